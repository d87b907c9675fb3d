//! How often the source of a retry was fed without growing.

use sea_orm_migration::prelude::*;

/// The eighth step.
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0008_feedings"
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
-- Of a retry: how often somebody began to feed its source since that last grew.
ALTER TABLE imports ADD COLUMN feedings {int} NOT NULL DEFAULT 0;
";
