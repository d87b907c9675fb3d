//! What a segment's transaction writes, whichever database it is.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::claims::Claim;
use crate::{
    canonical::{arena::Arena, user_verification::UserVerification},
    domain::{
        ids::{SessionId, WorkflowId},
        import::Counters,
        issue::Issue,
        ledger::{Ledger, Outcome},
    },
};

/// The rows of one segment, sorted into what is to be written and what failed.
#[derive(Debug, Default)]
pub struct Batch {
    /// Texts of the records.
    pub arena: Arena,
    /// Rows in the segment.
    pub rows: usize,
    /// Records to write, by id; one a key.
    pub sessions: Vec<SessionRow>,
    /// Rows whose key stands earlier in this segment, by position in it.
    pub duplicates: Vec<u32>,
    /// Failed rows, in row order.
    pub failures: Vec<RowFailure>,
}

/// A session to be written.
#[derive(Debug)]
pub struct SessionRow {
    /// Its id, derived from its key.
    pub id: SessionId,
    /// Position of its row in the segment.
    pub row: u32,
    /// The record.
    pub record: UserVerification,
}

/// A row that broke a rule.
#[derive(Debug)]
pub struct RowFailure {
    /// Position in the segment.
    pub row: u32,
    /// Line of the source on which it begins.
    pub line_number: i64,
    /// Byte of the source at which it begins.
    pub byte_offset: i64,
    /// Its bytes, line end included.
    pub byte_count: i64,
    /// Its key, where that could be read.
    pub external_id: Option<String>,
    /// Every fault of it.
    pub issues: Vec<Issue>,
}

/// A segment's transaction, before it is run.
pub(super) struct Commit {
    pub(super) claim: Arc<Claim>,
    pub(super) batch: Batch,
    pub(super) provider: String,
    pub(super) workflow_id: WorkflowId,
    /// `created_at` of sessions whose row gave none.
    pub(super) imported_at: DateTime<Utc>,
    pub(super) dry_run: bool,
    /// Whether some of the keys may exist.
    pub(super) expect_existing: bool,
    pub(super) now: DateTime<Utc>,
}

/// A segment's transaction, after it.
#[derive(Debug, Clone, Copy)]
pub struct Committed {
    /// Whether it was the last one, and the import has ended.
    pub ended: bool,
}

/// What has the key of a row.
#[derive(Debug, Clone, Copy)]
pub(super) enum Existing {
    /// A record of another import.
    Elsewhere,
    /// A row of this one.
    Row(i64),
}

impl Existing {
    /// A record by its row number in this import, if it is of this import.
    pub(super) fn of_row(row_number: Option<i64>) -> Self {
        row_number.map_or(Self::Elsewhere, Self::Row)
    }
}

/// What to do with a row whose key exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was known before the import.
    Known,
    /// It stands earlier in the same source.
    Duplicate,
    /// A later row of the same source was faster; the first in file order takes its place.
    Replace {
        /// That row.
        row_number: i64,
    },
}

impl Commit {
    pub(super) fn row_number(&self, row: u32) -> i64 {
        self.claim.range.first_row + i64::from(row)
    }

    pub(super) fn session_number(&self, row: u32) -> i64 {
        self.claim.first_session_number + i64::from(row)
    }

    pub(super) fn provider<'a>(&'a self, record: &UserVerification) -> &'a str {
        self.batch.arena.find(record.provider).unwrap_or(&self.provider)
    }

    pub(super) fn judge(&self, row: u32, existing: Existing) -> Verdict {
        match existing {
            Existing::Elsewhere => Verdict::Known,
            Existing::Row(row_number) if row_number < self.row_number(row) => Verdict::Duplicate,
            Existing::Row(row_number) => Verdict::Replace { row_number },
        }
    }
}

/// What a segment's rows came to, gathered while it is written.
pub(super) struct Settled {
    pub(super) ledger: Ledger,
    pub(super) duplicates: i64,
    /// Later rows of the same import that gave their place to one of this segment.
    pub(super) replaced: Vec<i64>,
}

impl Settled {
    pub(super) fn new(commit: &Commit) -> Self {
        let mut ledger = Ledger::new(commit.batch.rows);
        for row in &commit.batch.duplicates {
            ledger.set(*row as usize, Outcome::Skipped);
        }
        for failure in &commit.batch.failures {
            ledger.set(failure.row as usize, Outcome::Failed);
        }
        Self { ledger, duplicates: commit.batch.duplicates.len() as i64, replaced: Vec::new() }
    }

    pub(super) fn skip(&mut self, row: u32, duplicate: bool) {
        self.ledger.set(row as usize, Outcome::Skipped);
        self.duplicates += i64::from(duplicate);
    }

    /// What the import's counters rise by. A row that gives its place turns from created to skipped.
    pub(super) fn counters(&self) -> Counters {
        let mut counters = self.ledger.counters();
        let replaced = self.replaced.len() as i64;
        counters.created -= replaced;
        counters.skipped += replaced;
        counters.duplicate = self.duplicates + replaced;
        counters
    }
}

/// Columns of `user_sessions` in the order both writers fill them.
pub(super) const SESSION_COLUMNS: &str = "application_id, id, session_number, import_id, row_number, workflow_id, \
    provider, external_id, vendor_data, status, created_at, expires_at, document_type, document_subtype, \
    document_number, personal_number, first_name, last_name, full_name, date_of_birth, gender, nationality, \
    issuing_state, date_of_issue, expiration_date, address, place_of_birth, id_verification_status, email, phone, \
    details, metadata";

/// How many columns that is.
pub(super) const SESSION_COLUMN_COUNT: usize = 32;

/// Columns of `dry_run_keys`.
pub(super) const KEY_COLUMNS: &str = "application_id, import_id, id, row_number";

/// Columns of `row_errors`.
pub(super) const ERROR_COLUMNS: &str = "application_id, import_id, row_number, line_number, byte_offset, \
    byte_count, external_id, issues, created_at";

/// The first statement: is the claim still ours? `$4` is its epoch.
pub(super) const FENCE: &str = "SELECT 1 FROM segments \
    WHERE application_id = $1 AND import_id = $2 AND seq = $3 AND epoch = $4 AND state = 'CLAIMED'";

/// The segment that holds row `$3`.
pub(super) const SEGMENT_OF_ROW: &str = "SELECT seq, first_row, row_count, ledger FROM segments \
    WHERE application_id = $1 AND import_id = $2 AND first_row <= $3 AND row_count > 0 AND state = 'DONE' \
    ORDER BY first_row DESC LIMIT 1";

/// Writes the ledger of a segment that is done already.
pub(super) const SET_LEDGER: &str =
    "UPDATE segments SET ledger = $4 WHERE application_id = $1 AND import_id = $2 AND seq = $3";

/// Ends the segment.
pub(super) const SEGMENT_DONE: &str = "UPDATE segments SET state = 'DONE', owner = NULL, lease_expires_at = NULL, \
    ledger = $4 WHERE application_id = $1 AND import_id = $2 AND seq = $3";

/// Adds to the counters; no row when the import has ended meanwhile.
pub(super) const ADD_COUNTERS: &str = "UPDATE imports SET created_count = created_count + $3, \
    updated_count = updated_count + $4, skipped_count = skipped_count + $5, failed_count = failed_count + $6, \
    duplicate_count = duplicate_count + $7, processed_bytes = processed_bytes + $8, updated_at = $9, \
    sequence = sequence + 1 WHERE application_id = $1 AND id = $2 AND status IN ('PROCESSING', 'PAUSED')";

/// Moves the checkpoint to the end of the contiguous run of finished segments.
pub(super) const MOVE_CHECKPOINT: &str = "UPDATE imports SET checkpoint_row = COALESCE((SELECT MIN(s.first_row) - 1 \
    FROM segments s WHERE s.application_id = $1 AND s.import_id = $2 AND s.state <> 'DONE'), total_rows) \
    WHERE application_id = $1 AND id = $2";

/// Ends the import when its upload is finished and no segment is open. A source that is unusable
/// from some point on has `failure_reason` set by then, and ends as failed with all before it kept.
pub(super) const COMPLETE: &str = "UPDATE imports \
    SET status = CASE WHEN failure_reason IS NULL THEN 'COMPLETED' ELSE 'FAILED' END, completed_at = $3, \
    updated_at = $3, sequence = sequence + 1 \
    WHERE application_id = $1 AND id = $2 AND upload_finished AND status IN ('PENDING', 'PROCESSING') \
    AND NOT EXISTS (SELECT 1 FROM segments s WHERE s.application_id = $1 AND s.import_id = $2 AND s.state <> 'DONE')";

/// Forgets what a dry run remembered, once it has ended.
pub(super) const FORGET_KEYS: &str = "DELETE FROM dry_run_keys WHERE application_id = $1 AND import_id = $2";
