//! The row of an import of which nothing has arrived yet.

use chrono::{DateTime, Utc};
use sea_orm::ActiveValue::Set;

use crate::{
    domain::{
        ids::{ApplicationId, ImportId},
        import::{ImportSpec, ImportStatus, StartMode},
        limits::Limits,
        lines::LineEnds,
    },
    store::{entities::import, error::Error},
};

/// An import of which nothing has arrived yet.
pub(super) fn new_row(
    application: ApplicationId,
    id: ImportId,
    request_id: Option<String>,
    spec: &ImportSpec,
    limits: &Limits,
    now: DateTime<Utc>,
) -> Result<import::ActiveModel, Error> {
    Ok(import::ActiveModel {
        application_id: Set(application.0),
        id: Set(id.0),
        request_id: Set(request_id),
        held: Set(spec.start == StartMode::AfterUpload),
        spec: Set(serde_json::to_value(spec).map_err(|_| Error::Corrupt("spec"))?),
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
        created_by: Set(None),
        pause_requested: Set(false),
        resume_needs_operator: Set(false),
        waiting_reason: Set(None),
        parent_id: Set(None),
        retry: Set(None),
        revert_state: Set(None),
        revert_owner: Set(None),
        revert_lease_expires_at: Set(None),
        reverted_count: Set(0),
        revert_kept_count: Set(0),
        revert_failed_count: Set(0),
        reverted_at: Set(None),
        feedings: Set(0),
        revert_attempts: Set(0),
        revert_limit: Set(None),
        revert_cursor: Set(None),
    })
}
