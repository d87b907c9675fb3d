//! Imports: made, read, ended.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, ExprTrait, QueryFilter,
    QueryOrder, QuerySelect, sea_query::Expr,
};
use uuid::Uuid;

use super::{
    Bulk, Store,
    administration::{self, Caller, WorkflowKind},
    audit::{self, AuditEvent},
    commit::FORGET_KEYS,
    entities::{application, import, workflow},
    error::Error,
    status_rules,
};
use crate::domain::{
    fault::SourceFault,
    ids::{ApplicationId, ImportId},
    import::{Compression, Counters, Import, ImportSpec, ImportStatus, ImportType, SourceFormat, StartMode},
    limits::Limits,
    lines::LineEnds,
    refusal::Refusal,
};

/// An import that is to be made.
pub struct NewImport {
    /// Its id.
    pub id: ImportId,
    /// What is asked for.
    pub spec: ImportSpec,
    /// The caller's id of the request.
    pub request_id: Option<String>,
}

/// A page of imports, newest first.
pub struct ImportPage {
    /// At most this many.
    pub size: u64,
    /// Only imports older than this one.
    pub before: Option<ImportId>,
    /// Only these states; empty for all.
    pub statuses: Vec<ImportStatus>,
}

/// States in which an import counts as active.
pub(super) const ACTIVE: [ImportStatus; 3] =
    [ImportStatus::Pending, ImportStatus::Processing, ImportStatus::Paused];

impl import::Model {
    pub(super) fn into_domain(self) -> Result<Import, Error> {
        let word = |word: Option<String>| word.unwrap_or_default();
        Ok(Import {
            id: ImportId(self.id),
            application_id: ApplicationId(self.application_id),
            spec: serde_json::from_value(self.spec).map_err(|_| Error::Corrupt("imports.spec"))?,
            status: ImportStatus::from_word(&self.status).ok_or(Error::Corrupt("imports.status"))?,
            format: SourceFormat::from_word(&word(self.format)),
            compression: Compression::from_word(&word(self.compression)),
            encoding: self.encoding,
            limits: match self.limits {
                Some(limits) => {
                    serde_json::from_value(limits).map_err(|_| Error::Corrupt("imports.limits"))?
                }
                None => Limits::default(),
            },
            delimiter: self.delimiter.and_then(|delimiter| u8::try_from(delimiter).ok()),
            columns: match self.columns {
                Some(columns) => {
                    serde_json::from_value(columns).map_err(|_| Error::Corrupt("imports.columns"))?
                }
                None => Vec::new(),
            },
            total_rows: self.total_rows,
            counters: Counters {
                created: self.created_count,
                updated: self.updated_count,
                skipped: self.skipped_count,
                failed: self.failed_count,
                duplicate: self.duplicate_count,
            },
            stored_errors: self.stored_error_count,
            checkpoint_row: self.checkpoint_row,
            failure: self.failure_reason.zip(self.failure),
            committed_size: self.committed_size,
            source_bytes: self.source_bytes,
            processed_bytes: self.processed_bytes,
            upload_finished: self.upload_finished,
            upload_epoch: self.upload_epoch,
            sequence: self.sequence,
            created_at: self.created_at,
            updated_at: self.updated_at,
            started_at: self.started_at,
            completed_at: self.completed_at,
            source_deleted_at: self.source_deleted_at,
            line_ends: LineEnds::from_bits(self.line_ends),
        })
    }
}

/// The import, if the application has it.
pub(super) async fn find(
    db: &impl ConnectionTrait,
    application: ApplicationId,
    id: ImportId,
) -> Result<Option<Import>, Error> {
    let row = import::Entity::find_by_id((application.0, id.0)).one(db).await?;
    row.map(import::Model::into_domain).transpose()
}

impl Store {
    /// Makes an import, or finds the one its request id made. Switches, workflow and the limit on
    /// active imports are checked in the same transaction. Its limits are the server's, `limits`, with
    /// those of the application in their place.
    pub async fn create_import(
        &self,
        application: ApplicationId,
        new: NewImport,
        limits: Limits,
        caller: Caller,
        now: DateTime<Utc>,
    ) -> Result<Import, Error> {
        let NewImport { id, spec, request_id } = new;
        let lock = matches!(self.bulk, Bulk::Postgres(_));
        self.write(move |tx| {
            Box::pin(async move {
                // Locking the application makes check and insert one step for all its callers.
                let mut owner = application::Entity::find_by_id(application.0);
                if lock {
                    owner = owner.lock_exclusive();
                }
                let owner = owner.one(tx).await?.ok_or(Refusal::NotFound("application"))?;
                if let Some(request_id) = &request_id
                    && let Some(earlier) = find_by_request(tx, application, request_id).await?
                {
                    return if earlier.spec == spec {
                        Ok(earlier)
                    } else {
                        Err(Refusal::RequestIdReused.into())
                    };
                }
                may_import(tx, &owner, &spec).await?;
                let limits = administration::limit_settings(&owner)?.over(&limits);
                let event = AuditEvent::new(caller, Some(application), "create_import", id.to_string());
                audit::record(tx, event.with("import_type", spec.import_type.as_str()), now).await?;
                let row = import::ActiveModel {
                    application_id: Set(application.0),
                    id: Set(id.0),
                    request_id: Set(request_id),
                    held: Set(spec.start == StartMode::AfterUpload),
                    spec: Set(serde_json::to_value(&spec).map_err(|_| Error::Corrupt("spec"))?),
                    status: Set(ImportStatus::Pending.as_str().to_owned()),
                    format: Set(None),
                    compression: Set(None),
                    delimiter: Set(None),
                    columns: Set(None),
                    total_rows: Set(0),
                    processed_bytes: Set(0),
                    created_count: Set(0),
                    updated_count: Set(0),
                    skipped_count: Set(0),
                    failed_count: Set(0),
                    duplicate_count: Set(0),
                    checkpoint_row: Set(0),
                    failure_reason: Set(None),
                    failure: Set(None),
                    committed_size: Set(0),
                    source_bytes: Set(0),
                    upload_finished: Set(false),
                    upload_epoch: Set(0),
                    sequence: Set(1),
                    created_at: Set(now),
                    updated_at: Set(now),
                    started_at: Set(None),
                    completed_at: Set(None),
                    limits: Set(Some(serde_json::to_value(limits).map_err(|_| Error::Corrupt("limits"))?)),
                    encoding: Set(None),
                    stored_error_count: Set(0),
                    source_deleted_at: Set(None),
                    line_ends: Set(LineEnds::default().bits()),
                };
                import::Entity::insert(row).exec_with_returning(tx).await?.into_domain()
            })
        })
        .await
    }

    /// An import of the application.
    pub async fn find_import(
        &self,
        application: ApplicationId,
        id: ImportId,
    ) -> Result<Option<Import>, Error> {
        find(&self.db, application, id).await
    }

    /// Lists imports, newest first.
    pub async fn list_imports(
        &self,
        application: ApplicationId,
        page: ImportPage,
    ) -> Result<Vec<Import>, Error> {
        let mut query = import::Entity::find().filter(import::Column::ApplicationId.eq(application.0));
        if let Some(before) = page.before {
            query = query.filter(import::Column::Id.lt(before.0));
        }
        if !page.statuses.is_empty() {
            query = query
                .filter(import::Column::Status.is_in(page.statuses.iter().map(|status| status.as_str())));
        }
        let rows = query.order_by_desc(import::Column::Id).limit(page.size).all(&self.db).await?;
        rows.into_iter().map(import::Model::into_domain).collect()
    }

    /// Cancels an import; gives it as it stands afterwards.
    pub async fn cancel_import(
        &self,
        application: ApplicationId,
        id: ImportId,
        caller: Caller,
        now: DateTime<Utc>,
    ) -> Result<Import, Error> {
        let event = AuditEvent::new(caller, Some(application), "cancel_import", id.to_string());
        self.end_import(application, id, ImportStatus::Cancelled, None, Some(event), now).await
    }

    /// Fails an import at once; what is not settled stays so.
    pub async fn fail_import(
        &self,
        application: ApplicationId,
        id: ImportId,
        fault: &SourceFault,
        now: DateTime<Utc>,
    ) -> Result<Import, Error> {
        self.end_import(application, id, ImportStatus::Failed, Some(fault.clone()), None, now).await
    }

    async fn end_import(
        &self,
        application: ApplicationId,
        id: ImportId,
        status: ImportStatus,
        fault: Option<SourceFault>,
        event: Option<AuditEvent>,
        now: DateTime<Utc>,
    ) -> Result<Import, Error> {
        let forget = self.statement(FORGET_KEYS, [application.0.into(), id.0.into()]);
        self.write(move |tx| {
            Box::pin(async move {
                let mut end = import::Entity::update_many()
                    .col_expr(import::Column::Status, Expr::value(status.as_str()))
                    .col_expr(import::Column::CompletedAt, Expr::value(now))
                    .col_expr(import::Column::UpdatedAt, Expr::value(now))
                    .col_expr(import::Column::Sequence, Expr::col(import::Column::Sequence).add(1));
                if let Some(fault) = fault {
                    end = end
                        .col_expr(import::Column::FailureReason, Expr::value(fault.reason()))
                        .col_expr(import::Column::Failure, Expr::value(fault.to_string()));
                }
                let ended = end
                    .filter(import::Column::ApplicationId.eq(application.0))
                    .filter(import::Column::Id.eq(id.0))
                    .filter(import::Column::Status.is_in(ACTIVE.map(ImportStatus::as_str)))
                    .exec(tx)
                    .await?;
                if ended.rows_affected == 1
                    && let Some(event) = event
                {
                    audit::record(tx, event, now).await?;
                }
                tx.execute_raw(forget).await?;
                status_rules::discard(tx, application, id).await?;
                find(tx, application, id).await?.ok_or_else(|| Refusal::NotFound("import").into())
            })
        })
        .await
    }

    /// Imports whose upload has not moved since `before`.
    pub async fn list_abandoned_uploads(
        &self,
        before: DateTime<Utc>,
    ) -> Result<Vec<(ApplicationId, ImportId)>, Error> {
        let rows: Vec<(Uuid, Uuid)> = import::Entity::find()
            .select_only()
            .columns([import::Column::ApplicationId, import::Column::Id])
            .filter(import::Column::Status.is_in(ACTIVE.map(ImportStatus::as_str)))
            .filter(import::Column::UploadFinished.eq(false))
            .filter(import::Column::UpdatedAt.lt(before))
            .into_tuple()
            .all(&self.db)
            .await?;
        Ok(rows.into_iter().map(|(application, id)| (ApplicationId(application), ImportId(id))).collect())
    }
}

async fn find_by_request(
    tx: &DatabaseTransaction,
    application: ApplicationId,
    request_id: &str,
) -> Result<Option<Import>, Error> {
    let row = import::Entity::find()
        .filter(import::Column::ApplicationId.eq(application.0))
        .filter(import::Column::RequestId.eq(request_id))
        .one(tx)
        .await?;
    row.map(import::Model::into_domain).transpose()
}

async fn may_import(
    tx: &DatabaseTransaction,
    owner: &application::Model,
    spec: &ImportSpec,
) -> Result<(), Error> {
    if owner.sandbox {
        return Err(Refusal::Sandbox.into());
    }
    if !owner.imports_enabled {
        return Err(Refusal::ImportsNotEnabled.into());
    }
    if let Some(workflow) = spec.workflow_id {
        let found = workflow::Entity::find_by_id((owner.id, workflow.0)).one(tx).await?;
        let found =
            found.ok_or_else(|| Refusal::field("spec.workflow_id", "is no workflow of this application"))?;
        let wanted = match spec.import_type {
            ImportType::UserVerification => Some(WorkflowKind::User),
            ImportType::BusinessVerification => Some(WorkflowKind::Business),
            ImportType::Transactions | ImportType::StatusRules => None,
        };
        if let Some(wanted) = wanted.filter(|wanted| wanted.as_str() != found.kind) {
            let text = format!("must be a workflow of kind {} for this import type", wanted.as_str());
            return Err(Refusal::field("spec.workflow_id", text).into());
        }
        if spec.import_type == ImportType::StatusRules {
            status_rules::check_alone(tx, owner.id, workflow.0).await?;
        }
    }
    let active: Vec<Uuid> = import::Entity::find()
        .select_only()
        .column(import::Column::Id)
        .filter(import::Column::ApplicationId.eq(owner.id))
        .filter(import::Column::Status.is_in(ACTIVE.map(ImportStatus::as_str)))
        .order_by_desc(import::Column::Id)
        .into_tuple()
        .all(tx)
        .await?;
    let limit = i64::from(owner.max_active_imports);
    if (active.len() as i64) < limit {
        return Ok(());
    }
    let active = active.into_iter().map(ImportId).collect();
    Err(Refusal::ActiveImports { active, limit }.into())
}
