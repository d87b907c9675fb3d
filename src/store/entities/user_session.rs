//! Table `user_sessions`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "user_sessions")]
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
    pub(crate) expires_at: Option<DateTimeUtc>,
    pub(crate) document_type: Option<String>,
    pub(crate) document_subtype: Option<String>,
    pub(crate) document_number: Option<String>,
    pub(crate) personal_number: Option<String>,
    pub(crate) first_name: Option<String>,
    pub(crate) last_name: Option<String>,
    pub(crate) full_name: Option<String>,
    pub(crate) date_of_birth: Option<Date>,
    pub(crate) gender: Option<String>,
    pub(crate) nationality: Option<String>,
    pub(crate) issuing_state: Option<String>,
    pub(crate) date_of_issue: Option<Date>,
    pub(crate) expiration_date: Option<Date>,
    pub(crate) address: Option<String>,
    pub(crate) place_of_birth: Option<String>,
    pub(crate) id_verification_status: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) phone: Option<String>,
    pub(crate) details: Option<Json>,
    pub(crate) metadata: Option<Json>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
