//! Parties of transactions: they become nameless, the transactions stay.

use sea_orm::{
    ColumnTrait, Condition, DatabaseTransaction, EntityTrait, ExprTrait, QueryFilter, QueryOrder,
    QuerySelect, sea_query::Expr,
};
use serde_json::Value;
use uuid::Uuid;

use super::ErasedKind;
use crate::{
    canonical::transaction::{EntityType, PartyKind, Side, forget_party},
    domain::ids::ApplicationId,
    store::{
        Store,
        entities::transaction::{self, Column},
        error::Error,
    },
};

/// Transactions that are read and written at a time.
const PAGE: u64 = 500;

/// Makes a party of transactions nameless; gives in how many.
pub(super) async fn forget(
    store: &Store,
    tx: &DatabaseTransaction,
    application: ApplicationId,
    kind: ErasedKind,
    vendor_data: &str,
) -> Result<u64, Error> {
    delete_replaced(store, tx, application, kind, vendor_data).await?;
    let (mut count, mut after) = (0, Uuid::nil());
    loop {
        // Along the primary key: no index of an import's price is worth what happens this seldom.
        let page = transaction::Entity::find()
            .filter(Column::ApplicationId.eq(application.0))
            .filter(Column::Id.gt(after))
            .filter(Condition::any().add(is_party(Side::Subject, kind, vendor_data)).add(is_party(
                Side::Counterparty,
                kind,
                vendor_data,
            )))
            .order_by_asc(Column::Id)
            .limit(PAGE)
            .all(tx)
            .await?;
        let Some(last) = page.last() else { return Ok(count) };
        after = last.id;
        count += page.len() as u64;
        let ids: Vec<Uuid> = page.iter().map(|row| row.id).collect();
        for row in page {
            forget_in(tx, row, kind, vendor_data).await?;
        }
        store.delete_by_id(tx, "replaced_transactions", application, &ids).await?;
    }
}

async fn forget_in(
    tx: &DatabaseTransaction,
    row: transaction::Model,
    kind: ErasedKind,
    vendor_data: &str,
) -> Result<(), Error> {
    let none = || Expr::value(Option::<String>::None);
    let is_party = |entity_type: &Option<String>, own: &Option<String>| {
        let entity_type = entity_type.as_deref().and_then(EntityType::from_word);
        own.as_deref() == Some(vendor_data) && PartyKind::of(entity_type, true) == kind.as_party()
    };
    let mut update = transaction::Entity::update_many();
    let mut details = row.details.unwrap_or(Value::Null);
    if is_party(&row.subject_entity_type, &row.subject_vendor_data) {
        forget_party(&mut details, Side::Subject);
        let columns = [Column::SubjectVendorData, Column::SubjectName, Column::SubjectCountry];
        update = columns.into_iter().fold(update, |update, column| update.col_expr(column, none()));
    }
    if is_party(&row.counterparty_entity_type, &row.counterparty_vendor_data) {
        forget_party(&mut details, Side::Counterparty);
        let columns = [Column::CounterpartyVendorData, Column::CounterpartyName, Column::CounterpartyCountry];
        update = columns.into_iter().fold(update, |update, column| update.col_expr(column, none()));
    }
    update
        .col_expr(Column::Details, Expr::value(Some(details).filter(|details| !details.is_null())))
        .col_expr(Column::Metadata, Expr::value(Option::<Value>::None))
        .filter(Column::ApplicationId.eq(row.application_id))
        .filter(Column::Id.eq(row.id))
        .exec(tx)
        .await?;
    Ok(())
}

/// Deletes what transactions that are now between others were when somebody was a party of them.
async fn delete_replaced(
    store: &Store,
    tx: &DatabaseTransaction,
    application: ApplicationId,
    kind: ErasedKind,
    vendor_data: &str,
) -> Result<(), Error> {
    use sea_orm::ConnectionTrait;
    // A party without a type is a person, as `PartyKind` has it.
    let party = |side: Side| {
        let (side, kind) = (side.as_str(), kind.entity_type().as_str());
        format!("({side}_vendor_data = $2 AND COALESCE({side}_entity_type, 'individual') = '{kind}')")
    };
    let delete = format!(
        "DELETE FROM replaced_transactions WHERE application_id = $1 AND ({} OR {})",
        party(Side::Subject),
        party(Side::Counterparty)
    );
    tx.execute_raw(store.statement(&delete, [application.0.into(), vendor_data.into()])).await?;
    Ok(())
}

/// Whether that side of a transaction is this user or business.
fn is_party(side: Side, kind: ErasedKind, vendor_data: &str) -> Condition {
    let (own, entity_type) = match side {
        Side::Subject => (Column::SubjectVendorData, Column::SubjectEntityType),
        Side::Counterparty => (Column::CounterpartyVendorData, Column::CounterpartyEntityType),
    };
    let is_kind = entity_type.eq(kind.entity_type().as_str());
    let is_kind = match kind {
        ErasedKind::User => is_kind.or(entity_type.is_null()),
        ErasedKind::Business => is_kind,
    };
    Condition::all().add(own.eq(vendor_data)).add(is_kind)
}
