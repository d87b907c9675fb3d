//! Table `media`.

use sea_orm::entity::prelude::*;

#[derive(Clone, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "media")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) application_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) record_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) import_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) slot: String,
    pub(crate) job_id: Uuid,
    pub(crate) row_number: i64,
    pub(crate) line_number: i64,
    pub(crate) byte_offset: i64,
    pub(crate) byte_count: i64,
    pub(crate) url_id: Uuid,
    pub(crate) url: Option<String>,
    pub(crate) host: String,
    pub(crate) state: String,
    pub(crate) leads: bool,
    pub(crate) attempts: i32,
    pub(crate) due_at: DateTimeUtc,
    pub(crate) owner: Option<Uuid>,
    pub(crate) epoch: i64,
    pub(crate) coming_sha256: Option<Vec<u8>>,
    pub(crate) sha256: Option<Vec<u8>>,
    pub(crate) size: Option<i64>,
    pub(crate) media_type: Option<String>,
    pub(crate) width: Option<i32>,
    pub(crate) height: Option<i32>,
    pub(crate) reason: Option<String>,
    pub(crate) message: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl std::fmt::Debug for Model {
    /// Without the URL, which may hold a token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model")
            .field("url_id", &self.url_id)
            .field("slot", &self.slot)
            .finish_non_exhaustive()
    }
}
