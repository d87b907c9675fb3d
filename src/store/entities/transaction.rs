//! Table `transactions`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "transactions")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) application_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) transaction_number: i64,
    pub(crate) import_id: Uuid,
    pub(crate) row_number: i64,
    pub(crate) provider: String,
    pub(crate) external_id: String,
    pub(crate) txn_id: String,
    pub(crate) transaction_at: DateTimeUtc,
    pub(crate) transaction_type: String,
    pub(crate) action_type: String,
    pub(crate) direction: String,
    pub(crate) amount: String,
    pub(crate) currency: String,
    pub(crate) status: String,
    pub(crate) score: i32,
    pub(crate) severity: Option<String>,
    pub(crate) subject_entity_type: Option<String>,
    pub(crate) subject_vendor_data: Option<String>,
    pub(crate) subject_name: Option<String>,
    pub(crate) subject_country: Option<String>,
    pub(crate) counterparty_entity_type: Option<String>,
    pub(crate) counterparty_vendor_data: Option<String>,
    pub(crate) counterparty_name: Option<String>,
    pub(crate) counterparty_country: Option<String>,
    pub(crate) details: Option<Json>,
    pub(crate) metadata: Option<Json>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
