//! SeaORM entities, one a table. They do not leave this room.

pub(super) mod api_key;
pub(super) mod application;
pub(super) mod import;
pub(super) mod row_error;
pub(super) mod segment;
pub(super) mod user_session;
pub(super) mod workflow;
