//! What owners of rows should know of them, though they were taken.

use sea_orm_migration::prelude::*;

/// The eleventh step.
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0011_row_warnings"
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
CREATE TABLE row_warnings (
    application_id {uuid} NOT NULL,
    import_id {uuid} NOT NULL,
    row_number {bigint} NOT NULL,
    -- From 0 on what was found when the row was read, from 100 on what came later.
    ordinal {smallint} NOT NULL,
    line_number {bigint} NOT NULL,
    byte_offset {bigint} NOT NULL,
    byte_count {bigint} NOT NULL,
    external_id TEXT,
    issue {json} NOT NULL,
    created_at {timestamp} NOT NULL,
    PRIMARY KEY (application_id, import_id, row_number, ordinal)
) {strict};

ALTER TABLE imports ADD COLUMN warning_count {bigint} NOT NULL DEFAULT 0;
ALTER TABLE imports ADD COLUMN stored_warning_count {bigint} NOT NULL DEFAULT 0;
";
