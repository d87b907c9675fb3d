//! Reverts that go past what they cannot take back, and on where they stood.

use sea_orm_migration::prelude::*;

/// The ninth step.
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0009_revert_failures"
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
-- How often the step at hand was refused, how many records it takes since (absent for as many as ever), and up
-- to which record all are gone over for those with nothing to go back to.
ALTER TABLE imports ADD COLUMN revert_attempts {int} NOT NULL DEFAULT 0;
ALTER TABLE imports ADD COLUMN revert_limit {int};
ALTER TABLE imports ADD COLUMN revert_cursor {uuid};

-- Records that a revert could not take back, until it is begun again. They are in the order in which it goes:
-- by segment and number those that were created, with segment -1 those that were updated, and -2 the rest.
CREATE TABLE revert_failures (
    application_id {uuid} NOT NULL,
    import_id {uuid} NOT NULL,
    seq {int} NOT NULL,
    number {bigint} NOT NULL,
    id {uuid} NOT NULL,
    PRIMARY KEY (application_id, import_id, seq, number, id)
) {strict};

CREATE INDEX revert_failures_record ON revert_failures (application_id, id);
";
