//! SeaORM entities, one a table. They do not leave this room.

pub(super) mod api_key;
pub(super) mod application;
pub(super) mod audit_event;
pub(super) mod business_session;
pub(super) mod erasure;
pub(super) mod import;
pub(super) mod link_key;
pub(super) mod media_deletion;
pub(super) mod medium;
pub(super) mod row_correction;
pub(super) mod row_error;
pub(super) mod row_tally;
pub(super) mod row_warning;
pub(super) mod segment;
pub(super) mod source_fetch;
pub(super) mod status_rule;
pub(super) mod tombstone;
pub(super) mod transaction;
pub(super) mod user_session;
pub(super) mod workflow;
pub(super) mod workflow_version;
