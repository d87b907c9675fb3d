//! How many rows an application stored, by the hour; keys in the order of their lists.

use sea_orm_migration::prelude::*;

/// The sixth step.
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0006_row_tallies"
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
-- Rows of sources as they are stored; what is older than a day is swept.
CREATE TABLE row_tallies (
    application_id {uuid} NOT NULL,
    hour {timestamp} NOT NULL,
    row_count {bigint} NOT NULL,
    PRIMARY KEY (application_id, hour)
) {strict};

-- Before, rows counted from when their import was made; any time does for an hour.
INSERT INTO row_tallies (application_id, hour, row_count)
    SELECT application_id, created_at, SUM(total_rows) FROM imports GROUP BY application_id, created_at;

CREATE INDEX api_keys_application ON api_keys (application_id, id);
";
