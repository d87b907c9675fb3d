//! Table `imports`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "imports")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) application_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) request_id: Option<String>,
    pub(crate) spec: Json,
    pub(crate) status: String,
    pub(crate) held: bool,
    pub(crate) format: Option<String>,
    pub(crate) compression: Option<String>,
    pub(crate) delimiter: Option<i32>,
    pub(crate) columns: Option<Json>,
    pub(crate) total_rows: i64,
    pub(crate) processed_bytes: i64,
    pub(crate) created_count: i64,
    pub(crate) updated_count: i64,
    pub(crate) skipped_count: i64,
    pub(crate) failed_count: i64,
    pub(crate) duplicate_count: i64,
    pub(crate) checkpoint_row: i64,
    pub(crate) failure_reason: Option<String>,
    pub(crate) failure: Option<String>,
    pub(crate) committed_size: i64,
    pub(crate) source_bytes: i64,
    pub(crate) upload_finished: bool,
    pub(crate) upload_epoch: i64,
    pub(crate) sequence: i64,
    pub(crate) created_at: DateTimeUtc,
    pub(crate) updated_at: DateTimeUtc,
    pub(crate) started_at: Option<DateTimeUtc>,
    pub(crate) completed_at: Option<DateTimeUtc>,
    pub(crate) limits: Option<Json>,
    pub(crate) encoding: Option<String>,
    pub(crate) stored_error_count: i64,
    pub(crate) source_deleted_at: Option<DateTimeUtc>,
    pub(crate) line_ends: i32,
    pub(crate) created_by: Option<Uuid>,
    pub(crate) pause_requested: bool,
    pub(crate) resume_needs_operator: bool,
    pub(crate) waiting_reason: Option<String>,
    pub(crate) parent_id: Option<Uuid>,
    pub(crate) retry: Option<Json>,
    pub(crate) revert_state: Option<String>,
    pub(crate) revert_owner: Option<Uuid>,
    pub(crate) revert_lease_expires_at: Option<DateTimeUtc>,
    pub(crate) reverted_count: i64,
    pub(crate) revert_kept_count: i64,
    pub(crate) revert_failed_count: i64,
    pub(crate) reverted_at: Option<DateTimeUtc>,
    pub(crate) feedings: i32,
    pub(crate) revert_attempts: i32,
    pub(crate) revert_limit: Option<i32>,
    pub(crate) revert_cursor: Option<Uuid>,
    pub(crate) media_pending_count: i64,
    pub(crate) media_stored_count: i64,
    pub(crate) media_failed_count: i64,
    pub(crate) total_media_bytes: i64,
    pub(crate) warning_count: i64,
    pub(crate) stored_warning_count: i64,
    pub(crate) traceparent: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
