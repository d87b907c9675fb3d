//! Media of sessions: the queue of what is to be fetched, and what has been.

use sea_orm_migration::prelude::*;

/// The tenth step.
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0010_media"
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
ALTER TABLE imports ADD COLUMN media_pending_count {bigint} NOT NULL DEFAULT 0 CHECK (media_pending_count >= 0);
ALTER TABLE imports ADD COLUMN media_stored_count {bigint} NOT NULL DEFAULT 0 CHECK (media_stored_count >= 0);
ALTER TABLE imports ADD COLUMN media_failed_count {bigint} NOT NULL DEFAULT 0 CHECK (media_failed_count >= 0);
ALTER TABLE imports ADD COLUMN total_media_bytes {bigint} NOT NULL DEFAULT 0;

-- A medium is of a record as one import wrote it, so that what an update replaces keeps its own.
CREATE TABLE media (
    application_id {uuid} NOT NULL,
    record_id {uuid} NOT NULL,
    import_id {uuid} NOT NULL,
    slot TEXT NOT NULL,
    -- The import that fetches and counts it: the one that wrote the record, or a retry of it.
    job_id {uuid} NOT NULL,
    -- Where its row stands in the source.
    row_number {bigint} NOT NULL,
    line_number {bigint} NOT NULL,
    byte_offset {bigint} NOT NULL,
    byte_count {bigint} NOT NULL,
    -- What the URL comes to. It may hold a token, and so goes when the medium is stored, or the source is deleted.
    url_id {uuid} NOT NULL,
    url TEXT,
    host TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'PENDING' CHECK (state IN ('PENDING', 'STORED', 'FAILED')),
    -- Whether this is the one row of the job and URL that is fetched for all of them.
    leads {bool} NOT NULL DEFAULT FALSE,
    attempts {int} NOT NULL DEFAULT 0,
    -- When it may be taken up: the end of a lease, or of a wait.
    due_at {timestamp} NOT NULL,
    owner {uuid},
    epoch {bigint} NOT NULL DEFAULT 0,
    sha256 {bytes},
    size {bigint},
    media_type TEXT,
    width {int},
    height {int},
    -- Why it failed: a stable word and a sentence.
    reason TEXT,
    message TEXT,
    PRIMARY KEY (application_id, record_id, import_id, slot),
    CHECK ((state = 'STORED') = (sha256 IS NOT NULL)),
    CHECK ((state = 'FAILED') = (reason IS NOT NULL)),
    CHECK (owner IS NULL OR leads)
) {strict};

CREATE INDEX media_due ON media (application_id, job_id, host, due_at) WHERE state = 'PENDING';
CREATE INDEX media_url ON media (application_id, job_id, url_id, state);
CREATE UNIQUE INDEX media_leading ON media (application_id, job_id, url_id) WHERE leads;
CREATE INDEX media_held ON media (application_id, owner) WHERE owner IS NOT NULL;
CREATE INDEX media_content ON media (application_id, sha256) WHERE sha256 IS NOT NULL;
";
