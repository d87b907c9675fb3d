//! Erasing people and companies: their records go, salted hashes of their keys stay, so that the next
//! import of the same history leaves them out.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect, sea_query::OnConflict,
};
use serde_json::Value;
use uuid::Uuid;

use super::{
    Bulk, Store,
    audit::{self, AuditEvent},
    commit::tombstone as hash_of,
    entities::{
        application, business_session, import, row_error, segment, tombstone, transaction, user_session,
    },
    error::Error,
    imports::ACTIVE,
};
use crate::domain::{
    ids::{ApplicationId, ImportId, RecordKind, SessionId, derive},
    import::{Import, ImportStatus},
    refusal::Refusal,
    segment::SegmentRange,
};

/// Who is erased: people or companies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErasedKind {
    /// A person.
    User,
    /// A company.
    Business,
}

/// What was erased, as far as sources have to be gone over for it.
#[derive(Debug, Clone, Default)]
pub struct Erased {
    /// Sessions that are gone.
    pub sessions: u64,
    /// Transactions in which a party was made nameless.
    pub transactions: u64,
    /// Providers and the ids there, which rows of sources still carry.
    pub keys: Vec<(String, String)>,
}

/// Rows of a segment that were blanked out.
#[derive(Debug, Clone)]
pub struct SourceRows {
    /// The segment as it was.
    pub before: SegmentRange,
    /// The segment as it is.
    pub after: SegmentRange,
    /// Numbers of the rows.
    pub rows: Vec<i64>,
}

/// First parameter of the advisory lock that keeps an erasure and segments of its application apart.
pub(super) const ERASURE_LOCK: i32 = 0x6572;

/// Second parameter: a part of the application's id. Two applications may share it, and then wait in vain.
pub(super) fn lock_of(application: ApplicationId) -> i32 {
    let bytes = application.0.as_bytes();
    i32::from_be_bytes([bytes[12], bytes[13], bytes[14], bytes[15]])
}

/// A session that is erased.
struct Gone {
    id: Uuid,
    key: (String, String),
}

impl Store {
    /// Erases all sessions of a person or company, and its name from transactions.
    pub async fn erase_entity(
        &self,
        application: ApplicationId,
        kind: ErasedKind,
        vendor_data: &str,
        event: AuditEvent,
        now: DateTime<Utc>,
    ) -> Result<Erased, Error> {
        let (store, vendor_data) = (self.clone(), vendor_data.to_owned());
        self.write(move |tx| {
            Box::pin(async move {
                let salt = begin(&store, tx, application).await?;
                let gone = find_sessions(tx, application, kind, &vendor_data).await?;
                let record_kind = match kind {
                    ErasedKind::User => RecordKind::User,
                    ErasedKind::Business => RecordKind::Business,
                };
                let entity = derive(application, record_kind, &[vendor_data.as_bytes()]);
                let ids = gone.iter().map(|gone| gone.id).chain([entity]);
                bury(tx, application, &salt, ids.collect(), now).await?;
                delete_sessions(&store, tx, application, kind, &gone).await?;
                delete_replaced(&store, tx, application, kind, &vendor_data).await?;
                let transactions = forget_party(&store, tx, application, &vendor_data).await?;
                let keys: Vec<_> = gone.into_iter().map(|gone| gone.key).collect();
                let erased = Erased { sessions: keys.len() as u64, transactions, keys };
                let event = event.with("sessions", erased.sessions).with("transactions", transactions);
                audit::record(tx, event, now).await?;
                Ok(erased)
            })
        })
        .await
    }

    /// Erases one session.
    pub async fn erase_session(
        &self,
        application: ApplicationId,
        kind: ErasedKind,
        id: SessionId,
        event: AuditEvent,
        now: DateTime<Utc>,
    ) -> Result<Erased, Error> {
        let store = self.clone();
        self.write(move |tx| {
            Box::pin(async move {
                let salt = begin(&store, tx, application).await?;
                let key: Option<(String, String)> = match kind {
                    ErasedKind::User => {
                        let found = user_session::Entity::find_by_id((application.0, id.0)).one(tx).await?;
                        found.map(|row| (row.provider, row.external_id))
                    }
                    ErasedKind::Business => {
                        let found =
                            business_session::Entity::find_by_id((application.0, id.0)).one(tx).await?;
                        found.map(|row| (row.provider, row.external_id))
                    }
                };
                let key = key.ok_or(Refusal::NotFound("session"))?;
                bury(tx, application, &salt, vec![id.0], now).await?;
                let gone = [Gone { id: id.0, key: key.clone() }];
                delete_sessions(&store, tx, application, kind, &gone).await?;
                audit::record(tx, event, now).await?;
                Ok(Erased { sessions: 1, transactions: 0, keys: vec![key] })
            })
        })
        .await
    }

    /// Ended imports whose source is still kept, those behind `after` only, oldest first.
    pub async fn list_imports_with_source(
        &self,
        application: ApplicationId,
        after: Option<ImportId>,
        limit: u64,
    ) -> Result<Vec<Import>, Error> {
        let mut query = import::Entity::find()
            .filter(import::Column::ApplicationId.eq(application.0))
            .filter(import::Column::Status.is_in(ENDED.map(ImportStatus::as_str)))
            .filter(import::Column::SourceDeletedAt.is_null());
        if let Some(after) = after {
            query = query.filter(import::Column::Id.gt(after.0));
        }
        let rows = query.order_by_asc(import::Column::Id).limit(limit).all(&self.db).await?;
        rows.into_iter().map(import::Model::into_domain).collect()
    }

    /// Puts a segment with rows blanked out in the place of the one it was made of, and forgets what row
    /// errors say of those rows.
    pub async fn revise_segment(
        &self,
        application: ApplicationId,
        id: ImportId,
        revised: SourceRows,
    ) -> Result<(), Error> {
        use segment::Column;
        self.write(move |tx| {
            Box::pin(async move {
                let changed = segment::Entity::update_many()
                    .col_expr(
                        Column::Crc32c,
                        sea_orm::sea_query::Expr::value(i64::from(revised.after.crc32c)),
                    )
                    .col_expr(Column::Revision, sea_orm::sea_query::Expr::value(revised.after.revision))
                    .filter(Column::ApplicationId.eq(application.0))
                    .filter(Column::ImportId.eq(id.0))
                    .filter(Column::Seq.eq(revised.before.seq))
                    .filter(Column::Revision.eq(revised.before.revision))
                    .exec(tx)
                    .await?;
                if changed.rows_affected != 1 {
                    return Err(Error::LeaseLost);
                }
                for rows in revised.rows.chunks(500) {
                    row_error::Entity::update_many()
                        .col_expr(
                            row_error::Column::ExternalId,
                            sea_orm::sea_query::Expr::value(Option::<String>::None),
                        )
                        .col_expr(row_error::Column::Issues, sea_orm::sea_query::Expr::value(erased_issues()))
                        .filter(row_error::Column::ApplicationId.eq(application.0))
                        .filter(row_error::Column::ImportId.eq(id.0))
                        .filter(row_error::Column::RowNumber.is_in(rows.iter().copied()))
                        .exec(tx)
                        .await?;
                }
                Ok(())
            })
        })
        .await
    }
}

/// What a row error says once its row has been erased.
fn erased_issues() -> Value {
    serde_json::json!([{"code": "ERASED", "field": "", "message": "the row has been erased", "value": ""}])
}

/// Keeps segments of the application out until the transaction ends, and is refused while one of its imports
/// is active; gives the salt of its tombstones, which is made with the first.
async fn begin(
    store: &Store,
    tx: &DatabaseTransaction,
    application: ApplicationId,
) -> Result<Vec<u8>, Error> {
    if let Bulk::Postgres(_) = store.bulk {
        let lock = [ERASURE_LOCK.into(), lock_of(application).into()];
        tx.execute_raw(store.statement("SELECT pg_advisory_xact_lock($1, $2)", lock)).await?;
    }
    let active = import::Entity::find()
        .filter(import::Column::ApplicationId.eq(application.0))
        .filter(import::Column::Status.is_in(ACTIVE.map(ImportStatus::as_str)))
        .one(tx)
        .await?;
    if let Some(active) = active {
        return Err(Refusal::ImportInWork { import: ImportId(active.id) }.into());
    }
    let row = application::Entity::find_by_id(application.0).one(tx).await?;
    if let Some(salt) = row.ok_or(Refusal::NotFound("application"))?.tombstone_salt {
        return Ok(salt);
    }
    let salt = [Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes()].concat();
    application::Entity::update_many()
        .col_expr(application::Column::TombstoneSalt, sea_orm::sea_query::Expr::value(salt.clone()))
        .filter(application::Column::Id.eq(application.0))
        .exec(tx)
        .await?;
    Ok(salt)
}

async fn find_sessions(
    tx: &DatabaseTransaction,
    application: ApplicationId,
    kind: ErasedKind,
    vendor_data: &str,
) -> Result<Vec<Gone>, Error> {
    let rows: Vec<(Uuid, String, String)> = match kind {
        ErasedKind::User => {
            user_session::Entity::find()
                .select_only()
                .columns([
                    user_session::Column::Id,
                    user_session::Column::Provider,
                    user_session::Column::ExternalId,
                ])
                .filter(user_session::Column::ApplicationId.eq(application.0))
                .filter(user_session::Column::VendorData.eq(vendor_data))
                .into_tuple()
                .all(tx)
                .await?
        }
        ErasedKind::Business => {
            business_session::Entity::find()
                .select_only()
                .columns([
                    business_session::Column::Id,
                    business_session::Column::Provider,
                    business_session::Column::ExternalId,
                ])
                .filter(business_session::Column::ApplicationId.eq(application.0))
                .filter(business_session::Column::VendorData.eq(vendor_data))
                .into_tuple()
                .all(tx)
                .await?
        }
    };
    Ok(rows
        .into_iter()
        .map(|(id, provider, external_id)| Gone { id, key: (provider, external_id) })
        .collect())
}

/// Leaves a tombstone for each id.
async fn bury(
    tx: &DatabaseTransaction,
    application: ApplicationId,
    salt: &[u8],
    ids: Vec<Uuid>,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let rows: Vec<_> = ids
        .into_iter()
        .map(|id| tombstone::ActiveModel {
            application_id: Set(application.0),
            key_hash: Set(hash_of(salt, id).to_vec()),
            created_at: Set(now),
        })
        .collect();
    for rows in rows.chunks(500) {
        tombstone::Entity::insert_many(rows.to_vec())
            .on_conflict(OnConflict::new().do_nothing().to_owned())
            .exec_without_returning(tx)
            .await?;
    }
    Ok(())
}

/// Deletes sessions, and what they were before imports changed them.
async fn delete_sessions(
    store: &Store,
    tx: &DatabaseTransaction,
    application: ApplicationId,
    kind: ErasedKind,
    gone: &[Gone],
) -> Result<(), Error> {
    let table = match kind {
        ErasedKind::User => "user_sessions",
        ErasedKind::Business => "business_sessions",
    };
    for gone in gone {
        for table in [table.to_owned(), format!("replaced_{table}")] {
            let delete = format!("DELETE FROM {table} WHERE application_id = $1 AND id = $2");
            tx.execute_raw(store.statement(&delete, [application.0.into(), gone.id.into()])).await?;
        }
    }
    Ok(())
}

/// Deletes what records that are now about others were when they were about somebody.
async fn delete_replaced(
    store: &Store,
    tx: &DatabaseTransaction,
    application: ApplicationId,
    kind: ErasedKind,
    vendor_data: &str,
) -> Result<(), Error> {
    let sessions = match kind {
        ErasedKind::User => "replaced_user_sessions WHERE application_id = $1 AND vendor_data = $2",
        ErasedKind::Business => "replaced_business_sessions WHERE application_id = $1 AND vendor_data = $2",
    };
    let transactions = "replaced_transactions WHERE application_id = $1 \
                        AND (subject_vendor_data = $2 OR counterparty_vendor_data = $2)";
    for states in [sessions, transactions] {
        let delete = format!("DELETE FROM {states}");
        tx.execute_raw(store.statement(&delete, [application.0.into(), vendor_data.into()])).await?;
    }
    Ok(())
}

/// Makes a party of transactions nameless; the transactions themselves stay. Gives in how many.
async fn forget_party(
    store: &Store,
    tx: &DatabaseTransaction,
    application: ApplicationId,
    vendor_data: &str,
) -> Result<u64, Error> {
    use transaction::Column;
    let party = Condition::any()
        .add(Column::SubjectVendorData.eq(vendor_data))
        .add(Column::CounterpartyVendorData.eq(vendor_data));
    let found = transaction::Entity::find()
        .filter(Column::ApplicationId.eq(application.0))
        .filter(party)
        .all(tx)
        .await?;
    let count = found.len() as u64;
    for row in found {
        let mut details = row.details.clone();
        for (own, member) in
            [(&row.subject_vendor_data, "subject"), (&row.counterparty_vendor_data, "counterparty")]
        {
            if own.as_deref() != Some(vendor_data) {
                continue;
            }
            if let Some(Value::Object(details)) = &mut details {
                details.remove(member);
                details.remove("payment_details");
            }
            let forget = format!(
                "UPDATE transactions SET {member}_vendor_data = NULL, {member}_name = NULL, \
                 {member}_country = NULL WHERE application_id = $1 AND id = $2"
            );
            tx.execute_raw(store.statement(&forget, [application.0.into(), row.id.into()])).await?;
        }
        transaction::Entity::update_many()
            .col_expr(Column::Details, sea_orm::sea_query::Expr::value(details))
            .col_expr(Column::Metadata, sea_orm::sea_query::Expr::value(Option::<Value>::None))
            .filter(Column::ApplicationId.eq(application.0))
            .filter(Column::Id.eq(row.id))
            .exec(tx)
            .await?;
        let replaced = "DELETE FROM replaced_transactions WHERE application_id = $1 AND id = $2";
        tx.execute_raw(store.statement(replaced, [application.0.into(), row.id.into()])).await?;
    }
    Ok(count)
}

/// States in which nobody reads or writes an import's segments any more.
pub(super) const ENDED: [ImportStatus; 3] =
    [ImportStatus::Completed, ImportStatus::Failed, ImportStatus::Cancelled];
