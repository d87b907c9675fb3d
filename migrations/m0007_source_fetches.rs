//! Sources that the server fetches by URL.

use sea_orm_migration::prelude::*;

/// The seventh step.
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0007_source_fetches"
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
-- Until the source is stored, or its import has ended. The URL may hold a token, and so is kept nowhere else.
CREATE TABLE source_fetches (
    application_id {uuid} NOT NULL,
    import_id {uuid} NOT NULL,
    url TEXT NOT NULL,
    -- A strong validator of what has been stored so far.
    etag TEXT,
    attempts {int} NOT NULL DEFAULT 0,
    lease_expires_at {timestamp} NOT NULL,
    PRIMARY KEY (application_id, import_id)
) {strict};

CREATE INDEX source_fetches_next ON source_fetches (lease_expires_at);
";
