//! What is still to be done of an erasure, so that another process can go on with it; places of rules.

use sea_orm_migration::prelude::*;

/// The third step.
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0003_erasures"
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
-- Erasures whose records are gone and whose sources are not gone over yet. They name whom they are about,
-- and so are deleted as soon as they are done.
CREATE TABLE erasures (
    application_id {uuid} NOT NULL,
    id {uuid} NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('user', 'business')),
    vendor_data TEXT,
    keys {json} NOT NULL,
    lease_expires_at {timestamp} NOT NULL,
    PRIMARY KEY (application_id, id)
) {strict};

-- The revision of a segment before the last one, while its object may still be in the store.
ALTER TABLE segments ADD COLUMN replaced_revision {int};

CREATE INDEX segments_replaced ON segments (application_id) WHERE replaced_revision IS NOT NULL;

-- Where a rule stands among others of its priority; one that is changed keeps its place.
ALTER TABLE status_rules ADD COLUMN position {bigint} NOT NULL DEFAULT 0;
UPDATE status_rules SET position = COALESCE(valid_from, 0) * 4294967296 + row_number;
";
