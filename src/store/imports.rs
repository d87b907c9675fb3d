//! Imports: made, read, ended.

mod new_row;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait, ExprTrait,
    QueryFilter, QueryOrder, QuerySelect, sea_query::Expr,
};
use uuid::Uuid;

use super::{
    Bulk, Store,
    administration::{self, WorkflowKind},
    api_keys::Caller,
    audit::{self, AuditEvent},
    entities::{application, import, workflow},
    erasure,
    error::Error,
    fetches, retries, status_rules,
};
use crate::domain::{
    ids::{ApiKeyId, ApplicationId, ImportId},
    import::{
        Compression, Counters, Import, ImportSpec, ImportStatus, ImportType, MediaCounters, Retry, Reverted,
        SourceFormat,
    },
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
    /// What makes it a retry, if it is one.
    pub retry: Option<NewRetry>,
    /// Where its source is to be fetched, if that is so.
    pub source_url: Option<String>,
    /// The place in a trace where it is made.
    pub traceparent: Option<String>,
}

/// What makes an import a retry.
pub struct NewRetry {
    /// Whose rows it takes up again.
    pub parent: ImportId,
    /// Which of them.
    pub rows: Retry,
    /// Rows to take instead, as they stand in a source, by the numbers they have in the parent.
    pub corrections: BTreeMap<i64, String>,
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

/// States in which an import has not ended.
pub(super) const ACTIVE: [ImportStatus; 3] =
    [ImportStatus::Pending, ImportStatus::Processing, ImportStatus::Paused];

/// Whether an import has one of these states. That of a revert goes before the one it ended in.
fn has_status(statuses: &[ImportStatus]) -> Condition {
    let words = || statuses.iter().map(|status| status.as_str());
    let ended = Condition::all()
        .add(import::Column::RevertState.is_null())
        .add(import::Column::Status.is_in(words()));
    Condition::any().add(ended).add(import::Column::RevertState.is_in(words()))
}

/// Imports of an application that count as active: those that have not ended, and those that are reverted.
pub(super) fn active_of(application: Uuid) -> sea_orm::Select<import::Entity> {
    let active = Condition::any()
        .add(import::Column::Status.is_in(ACTIVE.map(ImportStatus::as_str)))
        .add(import::Column::RevertState.eq(ImportStatus::Reverting.as_str()));
    import::Entity::find().filter(import::Column::ApplicationId.eq(application)).filter(active)
}

/// Refuses one more active import than the application may have.
pub(super) async fn check_active(tx: &DatabaseTransaction, owner: &application::Model) -> Result<(), Error> {
    let active: Vec<Uuid> = active_of(owner.id)
        .select_only()
        .column(import::Column::Id)
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

impl import::Model {
    fn media(&self) -> MediaCounters {
        MediaCounters {
            pending: self.media_pending_count,
            stored: self.media_stored_count,
            failed: self.media_failed_count,
            bytes: self.total_media_bytes,
        }
    }

    pub(super) fn into_domain(self) -> Result<Import, Error> {
        let word = |word: Option<String>| word.unwrap_or_default();
        let status = self.revert_state.as_ref().unwrap_or(&self.status);
        let media = self.media();
        Ok(Import {
            id: ImportId(self.id),
            application_id: ApplicationId(self.application_id),
            spec: serde_json::from_value(self.spec).map_err(|_| Error::Corrupt("imports.spec"))?,
            status: ImportStatus::from_word(status).ok_or(Error::Corrupt("imports.status"))?,
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
            media,
            stored_errors: self.stored_error_count,
            warnings: self.warning_count,
            stored_warnings: self.stored_warning_count,
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
            created_by: self.created_by.map(ApiKeyId),
            pause_requested: self.pause_requested,
            resume_needs_operator: self.resume_needs_operator,
            waiting_reason: self.waiting_reason,
            parent: self.parent_id.map(ImportId),
            retry: self
                .retry
                .map(|retry| serde_json::from_value(retry).map_err(|_| Error::Corrupt("imports.retry")))
                .transpose()?,
            revert: Reverted {
                reverted: self.reverted_count,
                kept: self.revert_kept_count,
                failed: self.revert_failed_count,
            },
            reverted_at: self.reverted_at,
            feedings: self.feedings,
            traceparent: self.traceparent,
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

/// The import; refused where the application has none such.
pub(super) async fn get(
    tx: &DatabaseTransaction,
    application: ApplicationId,
    id: ImportId,
) -> Result<Import, Error> {
    find(tx, application, id).await?.ok_or_else(|| Refusal::NotFound("import").into())
}

/// An update of imports that watchers see.
pub(super) fn changed(now: DateTime<Utc>) -> sea_orm::UpdateMany<import::Entity> {
    import::Entity::update_many()
        .col_expr(import::Column::UpdatedAt, Expr::value(now))
        .col_expr(import::Column::Sequence, Expr::col(import::Column::Sequence).add(1))
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
        let NewImport { id, spec, request_id, retry, source_url, traceparent } = new;
        let lock = matches!(self.bulk, Bulk::Postgres(_));
        let store = self.clone();
        self.write(move |tx| {
            Box::pin(async move {
                if retry.as_ref().is_some_and(|retry| retry.rows.failed_media) {
                    // An erasure that is under way deletes media, and the retry would wait for them for ever.
                    erasure::keep_out(&store, tx, application).await?;
                }
                // Locking the application makes check and insert one step for all its callers.
                let mut owner = application::Entity::find_by_id(application.0);
                if lock {
                    owner = owner.lock_exclusive();
                }
                let owner = owner.one(tx).await?.ok_or(Refusal::NotFound("application"))?;
                if let Some(request_id) = &request_id
                    && let Some(earlier) = find_by_request(tx, application, request_id).await?
                {
                    let parent = retry.as_ref().map(|retry| retry.parent);
                    let rows = retry.as_ref().map(|retry| &retry.rows);
                    let is_same =
                        earlier.spec == spec && earlier.parent == parent && earlier.retry.as_ref() == rows;
                    return if is_same { Ok(earlier) } else { Err(Refusal::RequestIdReused.into()) };
                }
                may_import(tx, &owner, &spec).await?;
                let limits = administration::limit_settings(&owner)?.over(&limits);
                let action = if retry.is_some() { "retry_import" } else { "create_import" };
                let mut event = AuditEvent::new(caller, Some(application), action, id.to_string())
                    .with("import_type", spec.import_type.as_str());
                let mut row = import::ActiveModel {
                    created_by: Set(caller.key.map(|key| key.0)),
                    traceparent: Set(traceparent),
                    ..new_row::new_row(application, id, request_id, &spec, &limits, now)?
                };
                if let Some(NewRetry { parent, rows, corrections }) = retry {
                    event = event.with("parent_import_id", parent.to_string());
                    if rows.failed_media {
                        retries::begin_with_media(&store, tx, application, (parent, id), &mut row, now)
                            .await?;
                    }
                    row.parent_id = Set(Some(parent.0));
                    row.retry = Set(Some(serde_json::to_value(rows).map_err(|_| Error::Corrupt("retry"))?));
                    retries::keep_corrections(tx, application, id, corrections).await?;
                }
                audit::record(tx, event, now).await?;
                let import = import::Entity::insert(row).exec_with_returning(tx).await?.into_domain()?;
                if let Some(url) = source_url {
                    fetches::add(tx, application, id, url, now).await?;
                }
                Ok(import)
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

    /// The import that was made with a request id.
    pub async fn find_requested_import(
        &self,
        application: ApplicationId,
        request_id: &str,
    ) -> Result<Option<Import>, Error> {
        find_by_request(&self.db, application, request_id).await
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
            query = query.filter(has_status(&page.statuses));
        }
        let rows = query.order_by_desc(import::Column::Id).limit(page.size).all(&self.db).await?;
        rows.into_iter().map(import::Model::into_domain).collect()
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
    db: &impl ConnectionTrait,
    application: ApplicationId,
    request_id: &str,
) -> Result<Option<Import>, Error> {
    let row = import::Entity::find()
        .filter(import::Column::ApplicationId.eq(application.0))
        .filter(import::Column::RequestId.eq(request_id))
        .one(db)
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
    check_active(tx, owner).await
}
