//! Links to stored media, and media that are no longer needed.

use sea_orm_migration::prelude::*;

/// The twelfth step.
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0012_media_links"
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
-- What links to media are signed with: one secret, the same for every process.
CREATE TABLE link_keys (
    id {smallint} PRIMARY KEY CHECK (id = 1),
    secret {bytes} NOT NULL
) {strict};

-- SHA-256 of media of those who are erased, in hexadecimal, as a list.
ALTER TABLE erasures ADD COLUMN media {json};

-- When the object store was last gone over for media that nothing names.
ALTER TABLE applications ADD COLUMN media_swept_at {timestamp};
";
