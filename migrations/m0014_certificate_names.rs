//! Keys that are the name of a client's certificate.

use sea_orm_migration::prelude::*;

/// The fourteenth step.
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0014_certificate_names"
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
-- A DNS name or URI of a client's certificate that stands for the key; its secret was told to nobody.
ALTER TABLE api_keys ADD COLUMN certificate_name TEXT;

-- A name is one caller's; once its key is revoked it can be another's.
CREATE UNIQUE INDEX api_keys_certificate_name ON api_keys (certificate_name)
    WHERE certificate_name IS NOT NULL AND revoked_at IS NULL;
";
