//! Applications, imports with their segments and row errors, user sessions.
//!
//! Keys begin with the application, so that the tables distribute and partition by it. Indexes are
//! the price of an import; `user_sessions` has three: its key (identity and idempotency in one,
//! because the id is derived from the key), list order, and vendor_data.

use sea_orm_migration::prelude::*;

/// The first tables.
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0001_spine"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(manager, &DDL.replace("{user_session_columns}", USER_SESSION_COLUMNS)).await
    }
}

/// Columns of `user_sessions`; the table of replaced sessions has them, too.
pub(super) const USER_SESSION_COLUMNS: &str = "    application_id {uuid} NOT NULL,
    id {uuid} NOT NULL,
    session_number {bigint} NOT NULL,
    import_id {uuid} NOT NULL,
    row_number {bigint} NOT NULL,
    workflow_id {uuid} NOT NULL,
    provider TEXT NOT NULL,
    external_id TEXT NOT NULL,
    vendor_data TEXT,
    status TEXT NOT NULL,
    created_at {timestamp} NOT NULL,
    expires_at {timestamp},
    document_type TEXT,
    document_subtype TEXT,
    document_number TEXT,
    personal_number TEXT,
    first_name TEXT,
    last_name TEXT,
    full_name TEXT,
    date_of_birth {date},
    gender TEXT,
    nationality TEXT,
    issuing_state TEXT,
    date_of_issue {date},
    expiration_date {date},
    address TEXT,
    place_of_birth TEXT,
    id_verification_status TEXT,
    email TEXT,
    phone TEXT,
    details {json},
    metadata {json},
";

const DDL: &str = "
CREATE TABLE applications (
    id {uuid} NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    imports_enabled {bool} NOT NULL,
    sandbox {bool} NOT NULL,
    max_active_imports {int} NOT NULL CHECK (max_active_imports > 0),
    next_session_number {bigint} NOT NULL,
    created_at {timestamp} NOT NULL
) {strict};

CREATE TABLE api_keys (
    id {uuid} NOT NULL PRIMARY KEY,
    application_id {uuid} REFERENCES applications (id),
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    hash {bytes} NOT NULL UNIQUE,
    created_at {timestamp} NOT NULL,
    revoked_at {timestamp},
    CHECK ((role = 'admin') = (application_id IS NULL))
) {strict};

CREATE TABLE workflows (
    application_id {uuid} NOT NULL REFERENCES applications (id),
    id {uuid} NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    created_at {timestamp} NOT NULL,
    PRIMARY KEY (application_id, id)
) {strict};

CREATE TABLE imports (
    application_id {uuid} NOT NULL REFERENCES applications (id),
    id {uuid} NOT NULL,
    request_id TEXT,
    spec {json} NOT NULL,
    status TEXT NOT NULL,
    held {bool} NOT NULL,
    format TEXT,
    compression TEXT,
    delimiter {int},
    columns {json},
    total_rows {bigint} NOT NULL,
    processed_bytes {bigint} NOT NULL,
    created_count {bigint} NOT NULL,
    updated_count {bigint} NOT NULL,
    skipped_count {bigint} NOT NULL,
    failed_count {bigint} NOT NULL,
    duplicate_count {bigint} NOT NULL,
    checkpoint_row {bigint} NOT NULL,
    failure_reason TEXT,
    failure TEXT,
    committed_size {bigint} NOT NULL,
    source_bytes {bigint} NOT NULL,
    upload_finished {bool} NOT NULL,
    upload_epoch {bigint} NOT NULL,
    sequence {bigint} NOT NULL,
    created_at {timestamp} NOT NULL,
    updated_at {timestamp} NOT NULL,
    started_at {timestamp},
    completed_at {timestamp},
    PRIMARY KEY (application_id, id),
    UNIQUE (application_id, request_id),
    CHECK (status IN ('PENDING', 'PROCESSING', 'COMPLETED', 'FAILED', 'PAUSED', 'CANCELLED')),
    CHECK ((completed_at IS NOT NULL) = (status IN ('COMPLETED', 'FAILED', 'CANCELLED'))),
    CHECK (duplicate_count <= skipped_count),
    CHECK (created_count + updated_count + skipped_count + failed_count <= total_rows),
    CHECK ((failure IS NULL) = (failure_reason IS NULL))
) {strict};

CREATE INDEX imports_active ON imports (application_id)
    WHERE status IN ('PENDING', 'PROCESSING', 'PAUSED');

CREATE TABLE segments (
    application_id {uuid} NOT NULL,
    import_id {uuid} NOT NULL,
    seq {int} NOT NULL,
    kind {smallint} NOT NULL,
    first_row {bigint} NOT NULL,
    row_count {int} NOT NULL,
    byte_offset {bigint} NOT NULL,
    byte_count {int} NOT NULL,
    preamble {int} NOT NULL,
    first_line {bigint} NOT NULL,
    crc32c {bigint} NOT NULL,
    first_session_number {bigint} NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('READY', 'CLAIMED', 'DONE')),
    owner {uuid},
    epoch {bigint} NOT NULL,
    lease_expires_at {timestamp},
    attempts {int} NOT NULL,
    ledger {bytes},
    PRIMARY KEY (application_id, import_id, seq),
    CHECK ((state = 'CLAIMED') = (lease_expires_at IS NOT NULL)),
    CHECK ((state = 'DONE') = (ledger IS NOT NULL))
) {strict};

CREATE INDEX segments_open ON segments (application_id, import_id, seq) WHERE state <> 'DONE';

CREATE TABLE row_errors (
    application_id {uuid} NOT NULL,
    import_id {uuid} NOT NULL,
    row_number {bigint} NOT NULL,
    line_number {bigint} NOT NULL,
    byte_offset {bigint} NOT NULL,
    byte_count {bigint} NOT NULL,
    external_id TEXT,
    issues {json} NOT NULL,
    created_at {timestamp} NOT NULL,
    PRIMARY KEY (application_id, import_id, row_number)
) {strict};

CREATE TABLE user_sessions (
{user_session_columns}    PRIMARY KEY (application_id, id)
) {strict};

CREATE INDEX user_sessions_number ON user_sessions (application_id, session_number);

CREATE INDEX user_sessions_vendor_data ON user_sessions (application_id, vendor_data, session_number)
    WHERE vendor_data IS NOT NULL;

-- What a dry run would have created; emptied when it ends.
CREATE TABLE dry_run_keys (
    application_id {uuid} NOT NULL,
    import_id {uuid} NOT NULL,
    id {uuid} NOT NULL,
    row_number {bigint} NOT NULL,
    PRIMARY KEY (application_id, import_id, id)
) {strict};
";
