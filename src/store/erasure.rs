//! Erasing people and companies: their records go, salted hashes of their keys stay, so that the next
//! import of the same history leaves them out.

mod media;
mod parties;
mod pending;
mod sources;

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait, ExprTrait, QueryFilter,
    QuerySelect,
    sea_query::{Alias, Expr, OnConflict, Query},
};
use uuid::Uuid;

use super::{
    Bulk, Store,
    audit::{self, AuditEvent},
    commit::tombstone as hash_of,
    entities::{application, business_session, tombstone, user_session},
    error::Error,
    imports::active_of,
    sessions::SessionTable,
};
use crate::{
    canonical::party::{EntityType, PartyKind},
    domain::{
        ids::{ApplicationId, ImportId, RecordKind, SessionId, derive},
        import::{ImportStatus, words},
        refusal::Refusal,
    },
};
pub use pending::PendingErasure;
pub use sources::{Revised, SourceRows};

words! {
    /// Who is erased: people or companies.
    ErasedKind {
        /// A person.
        User = "user",
        /// A company.
        Business = "business",
    }
}

impl ErasedKind {
    /// What kind of record the profile of one is.
    pub const fn record_kind(self) -> RecordKind {
        match self {
            Self::User => RecordKind::User,
            Self::Business => RecordKind::Business,
        }
    }

    /// What one is as a party of a transaction.
    pub const fn as_party(self) -> PartyKind {
        match self {
            Self::User => PartyKind::User,
            Self::Business => PartyKind::Business,
        }
    }

    /// The type a party of a transaction has that is one.
    const fn entity_type(self) -> EntityType {
        match self {
            Self::User => EntityType::Individual,
            Self::Business => EntityType::Company,
        }
    }
}

/// What was erased, and where rows about it are still to be found.
#[derive(Debug, Clone)]
pub struct Erased {
    /// Sessions that are gone.
    pub sessions: u64,
    /// Transactions in which a party was made nameless.
    pub transactions: u64,
    /// What is to be gone over.
    pub pending: PendingErasure,
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
    /// Erases all sessions of the person or company that an erasure is about, and its name from transactions.
    /// Its sources are for the caller to go over, until `lease_until` or longer.
    pub async fn erase_entity(
        &self,
        mut erasure: PendingErasure,
        event: AuditEvent,
        now: DateTime<Utc>,
        lease_until: DateTime<Utc>,
    ) -> Result<Erased, Error> {
        let store = self.clone();
        self.write(move |tx| {
            Box::pin(async move {
                let (application, kind) = (erasure.application, erasure.kind);
                let salt = begin(&store, tx, application).await?;
                let vendor_data = erasure.vendor_data.clone().unwrap_or_default();
                let gone = find(tx, application, kind, Which::Of(&vendor_data)).await?;
                let entity = derive(application, kind.record_kind(), &[vendor_data.as_bytes()]);
                let ids = gone.iter().map(|gone| gone.id).chain([entity]);
                bury(tx, application, &salt, ids.collect(), now).await?;
                erasure.media = delete_sessions(tx, &erasure, &gone).await?;
                let transactions = parties::forget(tx, application, kind, &vendor_data).await?;
                let sessions = gone.len() as u64;
                erasure.keys = gone.into_iter().map(|gone| gone.key).collect();
                pending::begin(tx, &erasure, lease_until).await?;
                let event = event.with("sessions", sessions).with("transactions", transactions);
                audit::record(tx, event, now).await?;
                Ok(Erased { sessions, transactions, pending: erasure })
            })
        })
        .await
    }

    /// Erases one session, as [`Store::erase_entity`] does all of somebody.
    pub async fn erase_session(
        &self,
        mut erasure: PendingErasure,
        id: SessionId,
        event: AuditEvent,
        now: DateTime<Utc>,
        lease_until: DateTime<Utc>,
    ) -> Result<Erased, Error> {
        let store = self.clone();
        self.write(move |tx| {
            Box::pin(async move {
                let (application, kind) = (erasure.application, erasure.kind);
                let salt = begin(&store, tx, application).await?;
                let gone = find(tx, application, kind, Which::One(id)).await?;
                if gone.is_empty() {
                    return Err(Refusal::NotFound("session").into());
                }
                bury(tx, application, &salt, vec![id.0], now).await?;
                erasure.media = delete_sessions(tx, &erasure, &gone).await?;
                erasure.keys = gone.into_iter().map(|gone| gone.key).collect();
                pending::begin(tx, &erasure, lease_until).await?;
                audit::record(tx, event, now).await?;
                Ok(Erased { sessions: 1, transactions: 0, pending: erasure })
            })
        })
        .await
    }
}

/// Keeps segments of the application out until the transaction ends, and is refused while one of its imports
/// is active; gives the salt of its tombstones, which is made with the first.
async fn begin(
    store: &Store,
    tx: &DatabaseTransaction,
    application: ApplicationId,
) -> Result<Vec<u8>, Error> {
    keep_out(store, tx, application).await?;
    if let Some(active) = active_of(application.0).one(tx).await? {
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

/// Keeps segments and erasures of an application out until the transaction ends.
pub(super) async fn keep_out(
    store: &Store,
    tx: &DatabaseTransaction,
    application: ApplicationId,
) -> Result<(), Error> {
    if let Bulk::Postgres(_) = store.bulk {
        let lock = [ERASURE_LOCK.into(), lock_of(application).into()];
        tx.execute_raw(store.statement("SELECT pg_advisory_xact_lock($1, $2)", lock)).await?;
    }
    Ok(())
}

/// Which sessions are meant.
#[derive(Clone, Copy)]
enum Which<'w> {
    /// All of somebody.
    Of(&'w str),
    /// One.
    One(SessionId),
}

async fn find(
    tx: &DatabaseTransaction,
    application: ApplicationId,
    kind: ErasedKind,
    which: Which<'_>,
) -> Result<Vec<Gone>, Error> {
    match kind {
        ErasedKind::User => find_in::<user_session::Entity>(tx, application, which).await,
        ErasedKind::Business => find_in::<business_session::Entity>(tx, application, which).await,
    }
}

async fn find_in<T: SessionTable>(
    tx: &DatabaseTransaction,
    application: ApplicationId,
    which: Which<'_>,
) -> Result<Vec<Gone>, Error> {
    let meant = match which {
        Which::Of(vendor_data) => T::VENDOR_DATA.eq(vendor_data),
        Which::One(id) => T::ID.eq(id.0),
    };
    let rows: Vec<(Uuid, String, String)> = T::of_application(application)
        .filter(meant)
        .select_only()
        .columns([T::ID, T::PROVIDER, T::EXTERNAL_ID])
        .into_tuple()
        .all(tx)
        .await?;
    let gone = |(id, provider, external_id)| Gone { id, key: (provider, external_id) };
    Ok(rows.into_iter().map(gone).collect())
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

/// Deletes sessions, what they were before imports changed them, and what sessions that are now about others
/// were when they were about somebody. Gives their media.
async fn delete_sessions(
    tx: &DatabaseTransaction,
    erasure: &PendingErasure,
    gone: &[Gone],
) -> Result<Vec<[u8; 32]>, Error> {
    let (table, replaced) = match erasure.kind {
        ErasedKind::User => (user_session::Entity::NAME, "replaced_user_sessions"),
        ErasedKind::Business => (business_session::Entity::NAME, "replaced_business_sessions"),
    };
    let ids: Vec<Uuid> = gone.iter().map(|gone| gone.id).collect();
    let media = match erasure.kind {
        ErasedKind::User => {
            media::forget(tx, erasure.application, &ids, erasure.vendor_data.as_deref()).await?
        }
        ErasedKind::Business => Vec::new(),
    };
    delete_by_id(tx, table, erasure.application, &ids).await?;
    delete_by_id(tx, replaced, erasure.application, &ids).await?;
    delete_by_id(tx, "revert_failures", erasure.application, &ids).await?;
    if let Some(vendor_data) = erasure.vendor_data.as_deref() {
        let about = Expr::col(Alias::new("vendor_data")).eq(vendor_data);
        delete(tx, replaced, erasure.application, Condition::all().add(about)).await?;
    }
    Ok(media)
}

async fn delete_by_id(
    tx: &DatabaseTransaction,
    table: &str,
    application: ApplicationId,
    ids: &[Uuid],
) -> Result<(), Error> {
    for ids in ids.chunks(500) {
        let is_one = Expr::col(Alias::new("id")).is_in(ids.iter().copied());
        delete(tx, table, application, Condition::all().add(is_one)).await?;
    }
    Ok(())
}

/// Deletes rows of an application's records.
async fn delete(
    tx: &DatabaseTransaction,
    table: &str,
    application: ApplicationId,
    which: Condition,
) -> Result<(), Error> {
    let mut delete = Query::delete();
    delete
        .from_table(Alias::new(table))
        .and_where(Expr::col(Alias::new("application_id")).eq(application.0))
        .cond_where(which);
    tx.execute(&delete).await?;
    Ok(())
}

/// States in which nobody reads or writes an import's segments any more.
pub(super) const ENDED: [ImportStatus; 3] =
    [ImportStatus::Completed, ImportStatus::Failed, ImportStatus::Cancelled];
