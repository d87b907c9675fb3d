//! Pausing, retrying and reverting imports; segments that are looked into because they kill their worker.

use sea_orm_migration::prelude::*;

/// The fifth step.
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0005_control"
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
-- The key that made it; unknown of imports before this.
ALTER TABLE imports ADD COLUMN created_by {uuid};
ALTER TABLE imports ADD COLUMN pause_requested {bool} NOT NULL DEFAULT FALSE;
ALTER TABLE imports ADD COLUMN resume_needs_operator {bool} NOT NULL DEFAULT FALSE;
ALTER TABLE imports ADD COLUMN waiting_reason TEXT;

-- A retry: whose rows it takes up again, and which of them.
ALTER TABLE imports ADD COLUMN parent_id {uuid};
ALTER TABLE imports ADD COLUMN retry {json};

-- A revert is a second life of an import that has ended: its status stays what it was.
ALTER TABLE imports ADD COLUMN revert_state TEXT CHECK (revert_state IN ('REVERTING', 'REVERTED'));
ALTER TABLE imports ADD COLUMN revert_owner {uuid};
ALTER TABLE imports ADD COLUMN revert_lease_expires_at {timestamp};
ALTER TABLE imports ADD COLUMN reverted_count {bigint} NOT NULL DEFAULT 0;
ALTER TABLE imports ADD COLUMN revert_kept_count {bigint} NOT NULL DEFAULT 0;
ALTER TABLE imports ADD COLUMN revert_failed_count {bigint} NOT NULL DEFAULT 0;
ALTER TABLE imports ADD COLUMN reverted_at {timestamp};

CREATE INDEX imports_pausing ON imports (application_id) WHERE pause_requested;
CREATE INDEX imports_reverting ON imports (application_id) WHERE revert_state = 'REVERTING';

ALTER TABLE segments ADD COLUMN reverted {bool} NOT NULL DEFAULT FALSE;
-- How often a worker died over it, and what is known of the row that kills.
ALTER TABLE segments ADD COLUMN deaths {int} NOT NULL DEFAULT 0;
ALTER TABLE segments ADD COLUMN isolation {json};

-- Rows that a retry takes instead of those of its parent's source; gone once its own source is stored.
CREATE TABLE row_corrections (
    application_id {uuid} NOT NULL,
    import_id {uuid} NOT NULL,
    row_number {bigint} NOT NULL,
    row_text TEXT NOT NULL,
    PRIMARY KEY (application_id, import_id, row_number)
) {strict};
";
