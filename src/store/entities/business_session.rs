//! Table `business_sessions`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "business_sessions")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) application_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) session_number: i64,
    pub(crate) import_id: Uuid,
    pub(crate) row_number: i64,
    pub(crate) workflow_id: Uuid,
    pub(crate) provider: String,
    pub(crate) external_id: String,
    pub(crate) vendor_data: Option<String>,
    pub(crate) status: String,
    pub(crate) created_at: DateTimeUtc,
    pub(crate) company_name: String,
    pub(crate) registration_number: Option<String>,
    pub(crate) country_code: Option<String>,
    pub(crate) details: Option<Json>,
    pub(crate) metadata: Option<Json>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
