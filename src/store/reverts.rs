//! Taking back what an import wrote, a segment at a time.
//!
//! Created records are deleted by the numbers their segment had reserved; of updated ones the record as it
//! was before is put back. A record that another import has changed since is left, and what that import keeps
//! of it is mended: its own revert must not bring back a record of an import that has been reverted.
//!
//! A record that the database will not have taken back is found by halving, marked, and gone past.

mod effort;
mod step;

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, FromQueryResult, QueryFilter,
    QuerySelect, sea_query::Expr,
};
use uuid::Uuid;

use super::{
    Bulk, Store,
    api_keys::Caller,
    audit::{self, AuditEvent},
    entities::{
        application,
        import::{self, Column},
    },
    erasure,
    error::Error,
    imports::{self, changed, get},
    status_rules,
};
use crate::domain::{
    ids::{ApplicationId, ImportId},
    import::{Import, ImportStatus, ImportType},
    refusal::Refusal,
};
use effort::Effort;
pub use effort::Refused;
use step::Step;

/// A revert in hand. Only [`Store::claim_revert`] makes one, and every step of it asks for it.
#[derive(Debug)]
pub struct Revert {
    import: Import,
    owner: Uuid,
    effort: Effort,
}

impl Revert {
    /// The import.
    pub fn import_id(&self) -> ImportId {
        self.import.id
    }

    /// The application of the import.
    pub fn application_id(&self) -> ApplicationId {
        self.import.application_id
    }

    /// Makes the next step a smaller one after one that was refused; tells what to do.
    pub fn refused(&mut self) -> Refused {
        self.effort.refused()
    }
}

/// Takes a revert nobody has in hand, of the application after the one served last, so that claims go round over
/// applications. Those of one application come one after the other, and one that has begun comes to its end before
/// the next: `$1` is the owner, `$2` the lease, `$3` the time, `$4` the application served last.
const CLAIM: &str = "UPDATE imports SET revert_owner = $1, revert_lease_expires_at = $2 \
    WHERE (application_id, id) = (SELECT i.application_id, i.id FROM imports i WHERE i.revert_state = 'REVERTING' \
        AND (i.revert_lease_expires_at IS NULL OR i.revert_lease_expires_at <= $3) \
        AND NOT EXISTS (SELECT 1 FROM imports e WHERE e.application_id = i.application_id AND e.id <> i.id \
            AND e.revert_state = 'REVERTING' AND (e.revert_lease_expires_at > $3 \
                OR (e.revert_owner IS NULL, e.id) < (i.revert_owner IS NULL, i.id))) \
        ORDER BY (i.application_id > $4) DESC, i.application_id, i.id LIMIT 1 {lock}) \
    RETURNING application_id, id, revert_attempts, revert_limit";

/// Whether a claim stands: another import of the application may have been claimed between the choice and the
/// claim, without either being seen by the other.
const IN_HAND: &str = "SELECT 1 AS one FROM imports WHERE application_id = $1 AND id <> $2 \
    AND revert_state = 'REVERTING' AND revert_lease_expires_at > $3 LIMIT 1";

#[derive(FromQueryResult)]
struct Claimed {
    application_id: Uuid,
    id: Uuid,
    revert_attempts: i32,
    revert_limit: Option<i32>,
}

impl Store {
    /// Begins to revert an import that has ended, or what an earlier revert of it failed at; gives it as it stands
    /// then.
    pub async fn begin_revert(
        &self,
        application: ApplicationId,
        id: ImportId,
        caller: Caller,
        now: DateTime<Utc>,
    ) -> Result<Import, Error> {
        let store = self.clone();
        self.write(move |tx| {
            Box::pin(async move {
                // An erasure that is under way is waited for: what it takes out must not be put back.
                erasure::keep_out(&store, tx, application).await?;
                let mut owner = application::Entity::find_by_id(application.0);
                if matches!(store.bulk, Bulk::Postgres(_)) {
                    owner = owner.lock_exclusive();
                }
                let owner = owner.one(tx).await?.ok_or(Refusal::NotFound("application"))?;
                let import = get(tx, application, id).await?;
                let is_done = import.status == ImportStatus::Reverted && import.revert.failed == 0;
                if is_done || import.status == ImportStatus::Reverting {
                    return Ok(import);
                }
                let status = import.status;
                if !status.has_ended() {
                    let needed = "only one that has ended can be reverted";
                    return Err(Refusal::WrongState { status, needed }.into());
                }
                if import.spec.dry_run {
                    let needed = "a dry run wrote nothing that could be taken back";
                    return Err(Refusal::WrongState { status, needed }.into());
                }
                imports::check_active(tx, &owner).await?;
                if let (ImportType::StatusRules, Some(workflow)) =
                    (import.spec.import_type, import.spec.workflow_id)
                {
                    status_rules::check_alone(tx, application.0, workflow.0).await?;
                }
                take_up_failures(&store, tx, application, id).await?;
                // What an earlier revert took back stays counted; what it failed at is counted anew.
                update(application, id, now)
                    .col_expr(Column::RevertState, Expr::value(ImportStatus::Reverting.as_str()))
                    .col_expr(Column::RevertOwner, Expr::value(Option::<Uuid>::None))
                    .col_expr(Column::RevertLeaseExpiresAt, Expr::value(Option::<DateTime<Utc>>::None))
                    .col_expr(Column::RevertKeptCount, Expr::value(0))
                    .col_expr(Column::RevertFailedCount, Expr::value(0))
                    .col_expr(Column::RevertedAt, Expr::value(Option::<DateTime<Utc>>::None))
                    .col_expr(Column::RevertAttempts, Expr::value(0))
                    .col_expr(Column::RevertLimit, Expr::value(Option::<i32>::None))
                    .col_expr(Column::RevertCursor, Expr::value(Option::<Uuid>::None))
                    .exec(tx)
                    .await?;
                let event = AuditEvent::new(caller, Some(application), "revert_import", id.to_string());
                audit::record(tx, event, now).await?;
                get(tx, application, id).await
            })
        })
        .await
    }

    /// Takes a revert in hand that nobody has, if there is one; that of an application behind `after` first.
    pub async fn claim_revert(
        &self,
        owner: Uuid,
        after: Option<ApplicationId>,
        now: DateTime<Utc>,
        lease_until: DateTime<Utc>,
    ) -> Result<Option<Revert>, Error> {
        let lock = match self.bulk {
            Bulk::Postgres(_) => "FOR UPDATE SKIP LOCKED",
            Bulk::Sqlite(_) => "",
        };
        let after = after.map_or(Uuid::nil(), |id| id.0);
        let values = [owner.into(), lease_until.into(), now.into(), after.into()];
        let claim = self.statement(&CLAIM.replace("{lock}", lock), values);
        let store = self.clone();
        let claimed = self.write(move |tx| {
            Box::pin(async move {
                let Some(row) = tx.query_one_raw(claim).await? else { return Ok(None) };
                let claimed = Claimed::from_query_result(&row, "")?;
                let mut owner_row = application::Entity::find_by_id(claimed.application_id);
                if matches!(store.bulk, Bulk::Postgres(_)) {
                    owner_row = owner_row.lock_exclusive();
                }
                owner_row.one(tx).await?.ok_or(Refusal::NotFound("application"))?;
                let others = [claimed.application_id.into(), claimed.id.into(), now.into()];
                if tx.query_one_raw(store.statement(IN_HAND, others)).await?.is_some() {
                    return Err(Error::LeaseLost);
                }
                let import = get(tx, ApplicationId(claimed.application_id), ImportId(claimed.id)).await?;
                let effort = Effort { attempts: claimed.revert_attempts, limit: claimed.revert_limit };
                Ok(Some(Revert { import, owner, effort }))
            })
        });
        match claimed.await {
            Err(Error::LeaseLost) => Ok(None),
            claimed => claimed,
        }
    }

    /// Gives a revert back, to be claimed again from `not_before` on; its import says what it waits for.
    pub async fn release_revert(
        &self,
        revert: &Revert,
        reason: Option<&'static str>,
        now: DateTime<Utc>,
        not_before: DateTime<Utc>,
    ) -> Result<(), Error> {
        let (application, id, owner) = (revert.import.application_id, revert.import.id, revert.owner);
        let effort = revert.effort;
        self.write(move |tx| {
            Box::pin(async move {
                update(application, id, now)
                    .col_expr(Column::RevertLeaseExpiresAt, Expr::value(not_before))
                    .col_expr(Column::RevertAttempts, Expr::value(effort.attempts))
                    .col_expr(Column::RevertLimit, Expr::value(effort.limit))
                    .col_expr(Column::WaitingReason, Expr::value(reason))
                    .filter(Column::RevertOwner.eq(owner))
                    .filter(Column::RevertState.eq(ImportStatus::Reverting.as_str()))
                    .exec(tx)
                    .await?;
                Ok(())
            })
        })
        .await
    }

    /// Does the next step of a revert in one transaction, and holds it until `lease_until`; tells whether it
    /// was the last one. With `give_up` the step is not done, but the one record it is about is counted as failed.
    pub async fn revert_step(
        &self,
        revert: &mut Revert,
        give_up: bool,
        now: DateTime<Utc>,
        lease_until: DateTime<Utc>,
    ) -> Result<bool, Error> {
        let step = Step {
            store: self.clone(),
            application: revert.import.application_id,
            import: revert.import.clone(),
            owner: revert.owner,
            effort: revert.effort,
            give_up,
            now,
            lease_until,
        };
        let is_last = self.write(move |tx| Box::pin(async move { step.run(tx).await })).await?;
        // As the step has stored it: what was gone past says nothing about the next.
        if !give_up {
            revert.effort = revert.effort.done();
        }
        Ok(is_last)
    }
}

/// Has the next revert of an import try again what an earlier one went past: updated records are where they were,
/// and segments with such created ones are opened again. Those of reverts before marks were kept are all opened.
async fn take_up_failures(
    store: &Store,
    tx: &DatabaseTransaction,
    application: ApplicationId,
    id: ImportId,
) -> Result<(), Error> {
    const OPEN: &str = "UPDATE segments SET reverted = FALSE \
        WHERE application_id = $1 AND import_id = $2 AND reverted AND (\
            seq IN (SELECT seq FROM revert_failures WHERE application_id = $1 AND import_id = $2) \
            OR NOT EXISTS (SELECT 1 FROM revert_failures WHERE application_id = $1 AND import_id = $2))";
    const FORGET: &str = "DELETE FROM revert_failures WHERE application_id = $1 AND import_id = $2";
    for sql in [OPEN, FORGET] {
        tx.execute_raw(store.statement(sql, [application.0.into(), id.0.into()])).await?;
    }
    Ok(())
}

/// An update of an import that watchers see.
fn update(
    application: ApplicationId,
    id: ImportId,
    now: DateTime<Utc>,
) -> sea_orm::UpdateMany<import::Entity> {
    changed(now).filter(Column::ApplicationId.eq(application.0)).filter(Column::Id.eq(id.0))
}
