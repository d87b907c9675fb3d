//! Table `applications`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "applications")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) imports_enabled: bool,
    pub(crate) sandbox: bool,
    pub(crate) max_active_imports: i32,
    pub(crate) next_session_number: i64,
    pub(crate) created_at: DateTimeUtc,
    pub(crate) limits: Option<Json>,
    pub(crate) tombstone_salt: Option<Vec<u8>>,
    pub(crate) media_swept_at: Option<DateTimeUtc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
