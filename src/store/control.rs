//! Commands on imports: pause, resume, cancel; and their end by a fault.
//!
//! A pause is asked for first and obeyed once no segment is in work: by the call itself, by whoever settles
//! or gives back the last one, or by a worker that looks for those whose worker died.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, QueryFilter, QuerySelect, sea_query::Expr,
};
use uuid::Uuid;

use super::{
    Store,
    api_keys::Caller,
    audit::{self, AuditEvent},
    commit::{COMPLETE, FORGET_KEYS, OBEY_PAUSE},
    entities::import::{self, Column},
    error::Error,
    imports::{ACTIVE, changed, get},
    retries, status_rules,
};
use crate::domain::{
    fault::SourceFault,
    ids::{ApplicationId, ImportId},
    import::{Import, ImportStatus},
    refusal::{Refusal, Role},
};

/// How an import ends before its rows do.
enum End {
    Cancelled(Caller),
    Failed(SourceFault),
}

impl Store {
    /// Cancels an import; gives it as it stands afterwards.
    pub async fn cancel_import(
        &self,
        application: ApplicationId,
        id: ImportId,
        caller: Caller,
        now: DateTime<Utc>,
    ) -> Result<Import, Error> {
        self.end_import(application, id, End::Cancelled(caller), now).await
    }

    /// Fails an import at once; what is not settled stays so.
    pub async fn fail_import(
        &self,
        application: ApplicationId,
        id: ImportId,
        fault: &SourceFault,
        now: DateTime<Utc>,
    ) -> Result<Import, Error> {
        self.end_import(application, id, End::Failed(fault.clone()), now).await
    }

    async fn end_import(
        &self,
        application: ApplicationId,
        id: ImportId,
        end: End,
        now: DateTime<Utc>,
    ) -> Result<Import, Error> {
        let forget = self.statement(FORGET_KEYS, [application.0.into(), id.0.into()]);
        self.write(move |tx| {
            Box::pin(async move {
                let update = changed(now)
                    .col_expr(Column::CompletedAt, Expr::value(now))
                    .col_expr(Column::PauseRequested, Expr::value(false))
                    .col_expr(Column::ResumeNeedsOperator, Expr::value(false))
                    .col_expr(Column::WaitingReason, Expr::value(Option::<String>::None));
                let status = |status: ImportStatus| Expr::value(status.as_str());
                let (update, event) = match end {
                    End::Cancelled(caller) => {
                        check_control(&get(tx, application, id).await?, caller)?;
                        let event =
                            AuditEvent::new(caller, Some(application), "cancel_import", id.to_string());
                        (update.col_expr(Column::Status, status(ImportStatus::Cancelled)), event)
                    }
                    End::Failed(fault) => {
                        let event = AuditEvent::of_failure(application, id, fault.reason());
                        let update = update
                            .col_expr(Column::Status, status(ImportStatus::Failed))
                            .col_expr(Column::FailureReason, Expr::value(fault.reason()))
                            .col_expr(Column::Failure, Expr::value(fault.to_string()));
                        (update, event)
                    }
                };
                let ended = update.filter(is_active(application, id)).exec(tx).await?;
                if ended.rows_affected == 1 {
                    audit::record(tx, event, now).await?;
                }
                tx.execute_raw(forget).await?;
                retries::forget_corrections(tx, application, id).await?;
                status_rules::discard(tx, application, id).await?;
                get(tx, application, id).await
            })
        })
        .await
    }

    /// Asks for a pause, and pauses at once where nothing is in work; gives the import as it stands then.
    pub async fn pause_import(
        &self,
        application: ApplicationId,
        id: ImportId,
        caller: Caller,
        now: DateTime<Utc>,
    ) -> Result<Import, Error> {
        let obey = self.statement(OBEY_PAUSE, [application.0.into(), id.0.into(), now.into()]);
        self.write(move |tx| {
            Box::pin(async move {
                let import = get(tx, application, id).await?;
                check_control(&import, caller)?;
                let is_operator = caller.role >= Role::Operator;
                let is_asked = import.pause_requested || import.status == ImportStatus::Paused;
                if is_asked && (import.resume_needs_operator || !is_operator) {
                    return Ok(import);
                }
                let mut ask = changed(now);
                if import.status != ImportStatus::Paused {
                    ask = ask.col_expr(Column::PauseRequested, Expr::value(true));
                }
                let asked = ask
                    .col_expr(Column::ResumeNeedsOperator, Expr::value(is_operator))
                    .filter(is_active(application, id))
                    .exec(tx)
                    .await?;
                if asked.rows_affected == 1 {
                    let event = AuditEvent::new(caller, Some(application), "pause_import", id.to_string());
                    audit::record(tx, event, now).await?;
                    // A statement of its own: it sees the segments of claims that were waited for.
                    tx.execute_raw(obey).await?;
                }
                get(tx, application, id).await
            })
        })
        .await
    }

    /// Lets a paused import go on; gives it as it stands then.
    pub async fn resume_import(
        &self,
        application: ApplicationId,
        id: ImportId,
        caller: Caller,
        now: DateTime<Utc>,
    ) -> Result<Import, Error> {
        let complete = self.statement(COMPLETE, [application.0.into(), id.0.into(), now.into()]);
        let forget = self.statement(FORGET_KEYS, [application.0.into(), id.0.into()]);
        self.write(move |tx| {
            Box::pin(async move {
                let import = get(tx, application, id).await?;
                check_control(&import, caller)?;
                let needs_operator = import.resume_needs_operator && !import.status.has_ended();
                if needs_operator && caller.role < Role::Operator {
                    return Err(Refusal::RoleTooLow { needed: Role::Operator, actual: caller.role }.into());
                }
                let next = match import.started_at {
                    Some(_) => ImportStatus::Processing,
                    None => ImportStatus::Pending,
                };
                let resumed = changed(now)
                    .col_expr(Column::Status, Expr::value(next.as_str()))
                    .col_expr(Column::PauseRequested, Expr::value(false))
                    .col_expr(Column::ResumeNeedsOperator, Expr::value(false))
                    .filter(is_active(application, id))
                    .filter(
                        Column::PauseRequested.eq(true).or(Column::Status.eq(ImportStatus::Paused.as_str())),
                    )
                    .exec(tx)
                    .await?;
                if resumed.rows_affected == 1 {
                    let event = AuditEvent::new(caller, Some(application), "resume_import", id.to_string());
                    audit::record(tx, event, now).await?;
                    // Its upload may have come to its end meanwhile.
                    if tx.execute_raw(complete).await?.rows_affected() == 1 {
                        tx.execute_raw(forget).await?;
                        status_rules::settle(tx, application, id, now).await?;
                        audit::record_end(tx, &get(tx, application, id).await?, now).await?;
                    }
                }
                get(tx, application, id).await
            })
        })
        .await
    }

    /// Pauses imports whose pause was asked for and whose last segment in work was its worker's last, too.
    pub async fn obey_pauses(&self, now: DateTime<Utc>) -> Result<Vec<ImportId>, Error> {
        let asked: Vec<(Uuid, Uuid)> = import::Entity::find()
            .select_only()
            .columns([Column::ApplicationId, Column::Id])
            .filter(Column::PauseRequested.eq(true))
            .into_tuple()
            .all(&self.db)
            .await?;
        let mut paused = Vec::new();
        for (application, id) in asked {
            let obey = self.statement(OBEY_PAUSE, [application.into(), id.into(), now.into()]);
            let obeyed = self
                .write(move |tx| Box::pin(async move { Ok(tx.execute_raw(obey).await?.rows_affected()) }));
            if obeyed.await? == 1 {
                paused.push(ImportId(id));
            }
        }
        Ok(paused)
    }
}

/// Importers control what their own key made, operators all.
fn check_control(import: &Import, caller: Caller) -> Result<(), Refusal> {
    let is_own = import.created_by.is_none() || import.created_by == caller.key;
    if is_own || caller.role >= Role::Operator {
        return Ok(());
    }
    Err(Refusal::RoleTooLow { needed: Role::Operator, actual: caller.role })
}

pub(super) fn is_active(application: ApplicationId, id: ImportId) -> sea_orm::Condition {
    sea_orm::Condition::all()
        .add(Column::ApplicationId.eq(application.0))
        .add(Column::Id.eq(id.0))
        .add(Column::Status.is_in(ACTIVE.map(ImportStatus::as_str)))
}
