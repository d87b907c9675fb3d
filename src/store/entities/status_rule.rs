//! Table `status_rules`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "status_rules")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) application_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) workflow_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) import_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) row_number: i64,
    pub(crate) valid_from: Option<i32>,
    pub(crate) valid_until: Option<i32>,
    pub(crate) external_id: Option<String>,
    pub(crate) feature: String,
    pub(crate) node_id: Option<String>,
    pub(crate) field: String,
    pub(crate) operator: String,
    pub(crate) value: Option<Json>,
    pub(crate) value_type: String,
    pub(crate) score: Option<String>,
    pub(crate) status: String,
    pub(crate) priority: Option<i32>,
    pub(crate) position: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
