//! Table `row_warnings`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "row_warnings")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) application_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) import_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) row_number: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) ordinal: i16,
    pub(crate) line_number: i64,
    pub(crate) byte_offset: i64,
    pub(crate) byte_count: i64,
    pub(crate) external_id: Option<String>,
    pub(crate) issue: Json,
    pub(crate) created_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
