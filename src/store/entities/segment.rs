//! Table `segments`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "segments")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) application_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) import_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) seq: i32,
    pub(crate) kind: i16,
    pub(crate) first_row: i64,
    pub(crate) row_count: i32,
    pub(crate) byte_offset: i64,
    pub(crate) byte_count: i32,
    pub(crate) preamble: i32,
    pub(crate) first_line: i64,
    pub(crate) crc32c: i64,
    pub(crate) first_session_number: i64,
    pub(crate) state: String,
    pub(crate) owner: Option<Uuid>,
    pub(crate) epoch: i64,
    pub(crate) lease_expires_at: Option<DateTimeUtc>,
    pub(crate) attempts: i32,
    pub(crate) ledger: Option<Vec<u8>>,
    pub(crate) revision: i32,
    pub(crate) replaced_revision: Option<i32>,
    pub(crate) reverted: bool,
    pub(crate) deaths: i32,
    pub(crate) isolation: Option<Json>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
