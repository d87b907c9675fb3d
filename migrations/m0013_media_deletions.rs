//! What is about to be stored, and what is about to be deleted, of media.

use sea_orm_migration::prelude::*;

/// The thirteenth step.
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0013_media_deletions"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(manager, DDL).await
    }
}

const DDL: &str = "
-- SHA-256 of what is about to be put into the object store for a row that leads.
ALTER TABLE media ADD COLUMN coming_sha256 {bytes};
CREATE INDEX media_coming ON media (application_id, coming_sha256) WHERE coming_sha256 IS NOT NULL;

-- Media that somebody is deleting from the object store, and until when at most.
CREATE TABLE media_deletions (
    application_id {uuid} NOT NULL,
    sha256 {bytes} NOT NULL,
    deletion_id {uuid} NOT NULL,
    ends_at {timestamp} NOT NULL,
    PRIMARY KEY (application_id, sha256, deletion_id)
) {strict};
";
