//! How the lines of a source end.

use sea_orm_migration::prelude::*;

/// The fourth step.
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0004_line_ends"
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
-- Kinds of line ends between the rows that are stored, a bit each; 0 in imports from before they were noted.
ALTER TABLE imports ADD COLUMN line_ends {int} NOT NULL DEFAULT 0;
";
