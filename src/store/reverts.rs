//! Taking back what an import wrote, a segment at a time.
//!
//! Created records are deleted by the numbers their segment had reserved; of updated ones the record as it
//! was before is put back. A record that another import has changed since is left, and what that import keeps
//! of it is mended: its own revert must not bring back a record of an import that has been reverted.

mod step;

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QuerySelect, sea_query::Expr,
};
use uuid::Uuid;

use super::{
    Bulk, Store,
    administration::Caller,
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
use step::Step;

/// A revert in hand. Only [`Store::claim_revert`] makes one, and every step of it asks for it.
#[derive(Debug)]
pub struct Revert {
    import: Import,
    owner: Uuid,
}

impl Revert {
    /// The import.
    pub fn import_id(&self) -> ImportId {
        self.import.id
    }
}

/// Takes a revert nobody has in hand, of an application one after the other: `$1` is the owner, `$2` the lease, `$3` the time.
const CLAIM: &str = "UPDATE imports SET revert_owner = $1, revert_lease_expires_at = $2 \
    WHERE (application_id, id) = (SELECT i.application_id, i.id FROM imports i WHERE i.revert_state = 'REVERTING' \
        AND (i.revert_lease_expires_at IS NULL OR i.revert_lease_expires_at < $3) \
        AND NOT EXISTS (SELECT 1 FROM imports e WHERE e.application_id = i.application_id AND e.id < i.id \
            AND e.revert_state = 'REVERTING') \
        ORDER BY i.application_id, i.id LIMIT 1 {lock}) \
    RETURNING application_id, id";

#[derive(FromQueryResult)]
struct Key {
    application_id: Uuid,
    id: Uuid,
}

impl Store {
    /// Begins to revert an import that has ended; gives it as it stands then.
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
                if matches!(import.status, ImportStatus::Reverting | ImportStatus::Reverted) {
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
                update(application, id, now)
                    .col_expr(Column::RevertState, Expr::value(ImportStatus::Reverting.as_str()))
                    .exec(tx)
                    .await?;
                let event = AuditEvent::new(caller, Some(application), "revert_import", id.to_string());
                audit::record(tx, event, now).await?;
                get(tx, application, id).await
            })
        })
        .await
    }

    /// Takes a revert in hand that nobody has, if there is one.
    pub async fn claim_revert(
        &self,
        owner: Uuid,
        now: DateTime<Utc>,
        lease_until: DateTime<Utc>,
    ) -> Result<Option<Revert>, Error> {
        let lock = match self.bulk {
            Bulk::Postgres(_) => "FOR UPDATE SKIP LOCKED",
            Bulk::Sqlite(_) => "",
        };
        let values = [owner.into(), lease_until.into(), now.into()];
        let claim = self.statement(&CLAIM.replace("{lock}", lock), values);
        self.write(move |tx| {
            Box::pin(async move {
                let Some(row) = tx.query_one_raw(claim).await? else { return Ok(None) };
                let Key { application_id, id } = Key::from_query_result(&row, "")?;
                let import = get(tx, ApplicationId(application_id), ImportId(id)).await?;
                Ok(Some(Revert { import, owner }))
            })
        })
        .await
    }

    /// Holds a revert that stands still until `lease_until`, which may be now; its import says why.
    pub async fn hold_revert(
        &self,
        revert: &Revert,
        reason: Option<&'static str>,
        now: DateTime<Utc>,
        lease_until: DateTime<Utc>,
    ) -> Result<(), Error> {
        let (application, id, owner) = (revert.import.application_id, revert.import.id, revert.owner);
        self.write(move |tx| {
            Box::pin(async move {
                update(application, id, now)
                    .col_expr(Column::RevertLeaseExpiresAt, Expr::value(lease_until))
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
    /// was the last one. With `give_up` the step is not done, but what it was about is counted as failed.
    pub async fn revert_step(
        &self,
        revert: &Revert,
        give_up: bool,
        now: DateTime<Utc>,
        lease_until: DateTime<Utc>,
    ) -> Result<bool, Error> {
        let step = Step {
            store: self.clone(),
            application: revert.import.application_id,
            import: revert.import.clone(),
            owner: revert.owner,
            give_up,
            now,
            lease_until,
        };
        self.write(move |tx| Box::pin(async move { step.run(tx).await })).await
    }
}

/// An update of an import that watchers see.
fn update(
    application: ApplicationId,
    id: ImportId,
    now: DateTime<Utc>,
) -> sea_orm::UpdateMany<import::Entity> {
    changed(now).filter(Column::ApplicationId.eq(application.0)).filter(Column::Id.eq(id.0))
}
