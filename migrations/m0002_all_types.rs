//! Companies, transactions and status rules; what updates and erasure leave behind; limits of an
//! application; the audit trail.

use sea_orm_migration::prelude::*;

use super::m0001_spine::USER_SESSION_COLUMNS;

/// The second step.
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0002_all_types"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let ddl = DDL
            .replace("{user_session_columns}", USER_SESSION_COLUMNS)
            .replace("{business_session_columns}", BUSINESS_SESSION_COLUMNS)
            .replace("{transaction_columns}", TRANSACTION_COLUMNS);
        super::run(manager, &ddl).await?;
        let append_only = match manager.get_database_backend() {
            sea_orm::DatabaseBackend::Postgres => APPEND_ONLY_POSTGRES,
            _ => APPEND_ONLY_SQLITE,
        };
        manager.get_connection().execute_unprepared(append_only).await.map(drop)
    }
}

const BUSINESS_SESSION_COLUMNS: &str = "    application_id {uuid} NOT NULL,
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
    company_name TEXT NOT NULL,
    registration_number TEXT,
    country_code TEXT,
    details {json},
    metadata {json},
";

const TRANSACTION_COLUMNS: &str = "    application_id {uuid} NOT NULL,
    id {uuid} NOT NULL,
    transaction_number {bigint} NOT NULL,
    import_id {uuid} NOT NULL,
    row_number {bigint} NOT NULL,
    provider TEXT NOT NULL,
    external_id TEXT NOT NULL,
    txn_id TEXT NOT NULL,
    transaction_at {timestamp} NOT NULL,
    transaction_type TEXT NOT NULL,
    action_type TEXT NOT NULL,
    direction TEXT NOT NULL,
    amount TEXT NOT NULL,
    currency TEXT NOT NULL,
    status TEXT NOT NULL,
    score {int} NOT NULL,
    severity TEXT,
    subject_entity_type TEXT,
    subject_vendor_data TEXT,
    subject_name TEXT,
    subject_country TEXT,
    counterparty_entity_type TEXT,
    counterparty_vendor_data TEXT,
    counterparty_name TEXT,
    counterparty_country TEXT,
    details {json},
    metadata {json},
";

const DDL: &str = "
ALTER TABLE applications ADD COLUMN limits {json};
ALTER TABLE applications ADD COLUMN tombstone_salt {bytes};
ALTER TABLE imports ADD COLUMN limits {json};
ALTER TABLE imports ADD COLUMN encoding TEXT;
ALTER TABLE imports ADD COLUMN stored_error_count {bigint} NOT NULL DEFAULT 0;
ALTER TABLE imports ADD COLUMN source_deleted_at {timestamp};
ALTER TABLE segments ADD COLUMN revision {int} NOT NULL DEFAULT 0;
ALTER TABLE workflows ADD COLUMN version {int} NOT NULL DEFAULT 0;

CREATE TABLE business_sessions (
{business_session_columns}    PRIMARY KEY (application_id, id)
) {strict};

CREATE INDEX business_sessions_number ON business_sessions (application_id, session_number);

CREATE INDEX business_sessions_vendor_data ON business_sessions (application_id, vendor_data, session_number)
    WHERE vendor_data IS NOT NULL;

CREATE TABLE transactions (
{transaction_columns}    PRIMARY KEY (application_id, id)
) {strict};

CREATE INDEX transactions_number ON transactions (application_id, transaction_number);

CREATE INDEX transactions_time ON transactions (application_id, transaction_at, transaction_number);

-- Records as they were before import `replaced_by` changed them, so that it can be reverted.
CREATE TABLE replaced_user_sessions (
    replaced_by {uuid} NOT NULL,
{user_session_columns}    PRIMARY KEY (application_id, replaced_by, id)
) {strict};

CREATE TABLE replaced_business_sessions (
    replaced_by {uuid} NOT NULL,
{business_session_columns}    PRIMARY KEY (application_id, replaced_by, id)
) {strict};

CREATE TABLE replaced_transactions (
    replaced_by {uuid} NOT NULL,
{transaction_columns}    PRIMARY KEY (application_id, replaced_by, id)
) {strict};

-- A rule is in force from the version that published it to the one that replaced it. One that no version
-- has published yet belongs to an import that runs.
CREATE TABLE status_rules (
    application_id {uuid} NOT NULL,
    workflow_id {uuid} NOT NULL,
    id {uuid} NOT NULL,
    import_id {uuid} NOT NULL,
    row_number {bigint} NOT NULL,
    valid_from {int},
    valid_until {int},
    external_id TEXT,
    feature TEXT NOT NULL,
    node_id TEXT,
    field TEXT NOT NULL,
    operator TEXT NOT NULL,
    value {json},
    value_type TEXT NOT NULL,
    score TEXT,
    status TEXT NOT NULL,
    priority {int},
    PRIMARY KEY (application_id, workflow_id, import_id, id)
) {strict};

CREATE TABLE workflow_versions (
    application_id {uuid} NOT NULL,
    workflow_id {uuid} NOT NULL,
    version {int} NOT NULL,
    import_id {uuid} NOT NULL,
    created_at {timestamp} NOT NULL,
    PRIMARY KEY (application_id, workflow_id, version)
) {strict};

-- What is left of erased people and companies: salted hashes of their keys.
CREATE TABLE tombstones (
    application_id {uuid} NOT NULL,
    key_hash {bytes} NOT NULL,
    created_at {timestamp} NOT NULL,
    PRIMARY KEY (application_id, key_hash)
) {strict};

CREATE TABLE audit_events (
    id {uuid} NOT NULL PRIMARY KEY,
    application_id {uuid},
    api_key_id {uuid},
    role TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    details {json},
    created_at {timestamp} NOT NULL
) {strict};

CREATE INDEX audit_events_application ON audit_events (application_id, id);
";

const APPEND_ONLY_SQLITE: &str = "
CREATE TRIGGER audit_events_no_update BEFORE UPDATE ON audit_events
    BEGIN SELECT RAISE(ABORT, 'audit events are only ever added'); END;
CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events
    BEGIN SELECT RAISE(ABORT, 'audit events are only ever added'); END;
";

const APPEND_ONLY_POSTGRES: &str = "
CREATE FUNCTION audit_events_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE 'audit events are only ever added'; END $$;
CREATE TRIGGER audit_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events
    EXECUTE FUNCTION audit_events_append_only();
";
