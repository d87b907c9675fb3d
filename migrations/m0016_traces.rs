//! What is done for an import is traced with the call that made it.

use sea_orm_migration::prelude::*;

/// The sixteenth step.
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0016_traces"
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
-- The place in a trace where it was made, as a traceparent of W3C Trace Context.
ALTER TABLE imports ADD COLUMN traceparent TEXT;
";
