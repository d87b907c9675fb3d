//! Parties of transactions: they become nameless, the transactions stay.

use sea_orm::{
    ColumnTrait, Condition, DatabaseTransaction, EntityTrait, ExprTrait, QueryFilter, QueryOrder,
    QuerySelect, sea_query::Expr,
};
use serde_json::Value;
use uuid::Uuid;

use super::{ErasedKind, delete, delete_by_id};
use crate::{
    canonical::party::{EntityType, PartyKind, Side, forget_party},
    domain::ids::ApplicationId,
    store::{
        entities::transaction::{self, Column},
        error::Error,
    },
};

/// Where transactions are kept as they were before imports changed them.
const REPLACED: &str = "replaced_transactions";

/// Transactions that are read and written at a time.
const PAGE: u64 = 500;

/// Makes a party of transactions nameless; gives in how many.
pub(super) async fn forget(
    tx: &DatabaseTransaction,
    application: ApplicationId,
    kind: ErasedKind,
    vendor_data: &str,
) -> Result<u64, Error> {
    // What transactions that are now between others were when somebody was a party of them.
    delete(tx, REPLACED, application, is_between(kind, vendor_data)).await?;
    let (mut count, mut after) = (0, Uuid::nil());
    loop {
        // Along the primary key: no index of an import's price is worth what happens this seldom.
        let page = transaction::Entity::find()
            .filter(Column::ApplicationId.eq(application.0))
            .filter(Column::Id.gt(after))
            .filter(is_between(kind, vendor_data))
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
        delete_by_id(tx, REPLACED, application, &ids).await?;
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

/// Whether a transaction, in whichever table, has this user or business on one of its sides.
fn is_between(kind: ErasedKind, vendor_data: &str) -> Condition {
    let is_party = |own: Column, entity_type: Column| {
        let is_kind = Expr::col(entity_type).eq(kind.entity_type().as_str());
        let is_kind = match kind {
            // A party without a type is a person, as `PartyKind` has it.
            ErasedKind::User => is_kind.or(Expr::col(entity_type).is_null()),
            ErasedKind::Business => is_kind,
        };
        Condition::all().add(Expr::col(own).eq(vendor_data)).add(is_kind)
    };
    Condition::any()
        .add(is_party(Column::SubjectVendorData, Column::SubjectEntityType))
        .add(is_party(Column::CounterpartyVendorData, Column::CounterpartyEntityType))
}
