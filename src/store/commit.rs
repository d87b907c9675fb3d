//! What a segment's transaction writes, whichever database it is.

mod erased;
mod media;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sea_orm::FromQueryResult;
use uuid::Uuid;

pub(super) use erased::tombstone;
pub use media::MediumRow;
pub(super) use media::{
    ADD_MEDIA, DELETE_MEDIA, DELETE_WARNINGS, FEWER_WARNINGS, MEDIA_CELLS, MEDIA_COLUMNS, MediaChange,
};

use super::{claims::Claim, table::Table};
use crate::{
    canonical::{arena::Arena, record::Record},
    domain::{
        fault::SourceFault,
        ids::WorkflowId,
        import::{Counters, OnExisting, Thresholds},
        issue::Issue,
        ledger::{Ledger, Outcome},
        limits::Limits,
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
    pub records: Vec<RecordRow>,
    /// Rows whose key stands earlier in this segment, by position in it.
    pub duplicates: Vec<u32>,
    /// Failed rows and every fault of each, in row order.
    pub failures: Vec<RowIssues>,
    /// Rows with warnings, whatever became of them, in row order.
    pub warnings: Vec<RowIssues>,
    /// What records link to, in row order; empty where media are not fetched.
    pub media: Vec<MediumRow>,
}

/// A record to be written.
#[derive(Debug)]
pub struct RecordRow {
    /// Its id, derived from its key.
    pub id: Uuid,
    /// Position of its row in the segment.
    pub row: u32,
    /// The record.
    pub record: Record,
}

/// Something to tell of a row, and where it stands.
#[derive(Debug)]
pub struct RowIssues {
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
    /// What there is to tell.
    pub issues: Vec<Issue>,
}

/// A segment's transaction, before it is run.
pub(super) struct Commit {
    pub(super) claim: Arc<Claim>,
    pub(super) batch: Batch,
    pub(super) table: &'static Table,
    pub(super) provider: String,
    /// Workflow of sessions; nil for records without one.
    pub(super) workflow_id: WorkflowId,
    /// `created_at` of records whose row gave none.
    pub(super) imported_at: DateTime<Utc>,
    pub(super) dry_run: bool,
    pub(super) on_existing: OnExisting,
    /// Whether rows of erased people and companies are imported, too.
    pub(super) import_erased: bool,
    /// Whether some of the keys may exist.
    pub(super) expect_existing: bool,
    /// Whether records of the import may have media.
    pub(super) has_media: bool,
    /// Row errors and warnings that may be kept in all.
    pub(super) limits: Limits,
    pub(super) thresholds: Thresholds,
    /// Only to see whether it can be written: it is rolled back.
    pub(super) trial: bool,
    pub(super) now: DateTime<Utc>,
}

/// What the first statement of the transaction told.
#[derive(Debug)]
pub(super) struct Fence {
    /// What tombstones of the application are salted with; none while it has none.
    pub(super) salt: Option<Vec<u8>>,
    /// What of the import is kept already.
    pub(super) kept: Kept,
}

/// How many row errors and warnings are kept.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Kept {
    pub(super) errors: i64,
    pub(super) warnings: i64,
}

/// A segment's transaction, after it.
#[derive(Debug, Clone, Copy)]
pub struct Committed {
    /// Whether it was the last one, and the import has ended.
    pub ended: bool,
    /// What its own rows came to.
    pub counters: Counters,
}

/// What has the key of a row.
#[derive(Debug, Clone, Copy)]
pub(super) enum Existing {
    /// A record of another import, with that number.
    Elsewhere {
        /// Its number, which it keeps.
        number: i64,
    },
    /// A row of this one.
    Row {
        /// That row.
        row_number: i64,
        /// Number of its record.
        number: i64,
    },
    /// Nobody any more: who it was about has been erased.
    Erased,
}

impl Existing {
    /// A record by its row number in this import, if it is of this import.
    pub(super) fn of_row(row_number: Option<i64>, number: i64) -> Self {
        row_number.map_or(Self::Elsewhere { number }, |row_number| Self::Row { row_number, number })
    }
}

/// What to do with a row whose key exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was known before the import.
    Known,
    /// It was known before the import, and this row takes its place.
    Update {
        /// The number the record keeps.
        number: i64,
    },
    /// It stands earlier in the same source.
    Duplicate,
    /// A later row of the same source was faster; the first in file order takes its place.
    Replace {
        /// That row.
        row_number: i64,
        /// Number of its record.
        number: i64,
    },
}

impl Commit {
    pub(super) fn row_number(&self, row: u32) -> i64 {
        self.claim.range.first_row + i64::from(row)
    }

    pub(super) fn record_number(&self, row: u32) -> i64 {
        self.claim.first_session_number + i64::from(row)
    }

    pub(super) fn judge(&self, row: u32, existing: Existing) -> Verdict {
        match existing {
            Existing::Erased => Verdict::Known,
            Existing::Elsewhere { number } => match self.on_existing {
                OnExisting::Skip => Verdict::Known,
                OnExisting::Update => Verdict::Update { number },
            },
            Existing::Row { row_number, .. } if row_number < self.row_number(row) => Verdict::Duplicate,
            Existing::Row { row_number, number } => Verdict::Replace { row_number, number },
        }
    }

    /// Row errors there is still room for, beside those that are kept already.
    pub(super) fn failures_to_keep(&self, kept: Kept) -> &[RowIssues] {
        let failures = &self.batch.failures;
        &failures[..failures.len().min(room(self.limits.stored_row_errors, kept.errors))]
    }

    /// Warnings there is still room for, beside those that are kept already: each with its row and its place
    /// among those of the row.
    pub(super) fn warnings_to_keep(&self, kept: Kept) -> Vec<(&RowIssues, i16, &Issue)> {
        let room = room(self.limits.stored_warnings, kept.warnings);
        self.batch.warnings().take(room).collect()
    }
}

/// How many more there is room for.
fn room(limit: u64, kept: i64) -> usize {
    usize::try_from(limit.saturating_sub(kept.unsigned_abs())).unwrap_or(usize::MAX)
}

impl Batch {
    /// Every warning, with its row and its place among those of the row.
    pub(super) fn warnings(&self) -> impl Iterator<Item = (&RowIssues, i16, &Issue)> {
        self.warnings.iter().flat_map(|of| (0..).zip(&of.issues).map(move |(at, issue)| (of, at, issue)))
    }
}

/// What a segment's rows came to, gathered while it is written.
pub(super) struct Settled {
    pub(super) ledger: Ledger,
    pub(super) duplicates: i64,
    pub(super) media: MediaChange,
    /// Later rows of the same import that gave their place to one of this segment: by what they had been.
    gave_place: Counters,
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
        let duplicates = commit.batch.duplicates.len() as i64;
        Self { ledger, duplicates, media: MediaChange::default(), gave_place: Counters::default() }
    }

    pub(super) fn skip(&mut self, row: u32, duplicate: bool) {
        self.ledger.set(row as usize, Outcome::Skipped);
        self.duplicates += i64::from(duplicate);
    }

    pub(super) fn update(&mut self, row: u32) {
        self.ledger.set(row as usize, Outcome::Updated);
    }

    /// A row takes the place of a later one, and what that one had been.
    pub(super) fn take_place(&mut self, row: u32, had_been: Outcome) {
        self.ledger.set(row as usize, had_been);
        self.gave_place.count(had_been);
    }

    /// What the import's counters rise by. A row that gives its place turns to skipped.
    pub(super) fn counters(&self) -> Counters {
        let mut counters = self.ledger.counters();
        let gone = self.gave_place;
        counters.created -= gone.created;
        counters.updated -= gone.updated;
        counters.skipped += gone.created + gone.updated;
        counters.duplicate = self.duplicates + gone.created + gone.updated;
        counters
    }
}

/// Columns of `dry_run_keys`.
pub(super) const KEY_COLUMNS: &str = "application_id, import_id, id, row_number";

/// Columns of `row_errors`.
pub(super) const ERROR_COLUMNS: &str = "application_id, import_id, row_number, line_number, byte_offset, \
    byte_count, external_id, issues, created_at";

/// Columns of `row_warnings`.
pub(super) const WARNING_COLUMNS: &str = "application_id, import_id, row_number, ordinal, line_number, \
    byte_offset, byte_count, external_id, issue, created_at";

/// The first statement: is the claim still ours? `$4` is its epoch, `$5` its owner. Tells what [`Fence`]
/// holds.
pub(super) const FENCE: &str = "SELECT a.tombstone_salt, i.stored_error_count, i.stored_warning_count FROM segments s \
    JOIN imports i ON i.application_id = s.application_id AND i.id = s.import_id \
    JOIN applications a ON a.id = s.application_id \
    WHERE s.application_id = $1 AND s.import_id = $2 AND s.seq = $3 AND s.epoch = $4 AND s.owner = $5 \
    AND s.state = 'CLAIMED'";

/// The segment that holds row `$3`.
pub(super) const SEGMENT_OF_ROW: &str = "SELECT seq, first_row, row_count, ledger FROM segments \
    WHERE application_id = $1 AND import_id = $2 AND first_row <= $3 AND row_count > 0 AND state = 'DONE' \
    ORDER BY first_row DESC LIMIT 1";

/// Writes the ledger of a segment that is done already.
pub(super) const SET_LEDGER: &str =
    "UPDATE segments SET ledger = $4 WHERE application_id = $1 AND import_id = $2 AND seq = $3";

/// Ends the segment.
pub(super) const SEGMENT_DONE: &str = "UPDATE segments SET state = 'DONE', owner = NULL, lease_expires_at = NULL, \
    ledger = $4, isolation = NULL WHERE application_id = $1 AND import_id = $2 AND seq = $3";

/// Adds to the counters, and tells what [`Standing`] holds; no row when the import has ended meanwhile.
pub(super) const ADD_COUNTERS: &str = "UPDATE imports SET created_count = created_count + $3, \
    updated_count = updated_count + $4, skipped_count = skipped_count + $5, failed_count = failed_count + $6, \
    duplicate_count = duplicate_count + $7, processed_bytes = processed_bytes + $8, updated_at = $9, \
    stored_error_count = stored_error_count + $10, warning_count = warning_count + $11, \
    stored_warning_count = stored_warning_count + $12, waiting_reason = NULL, sequence = sequence + 1 \
    WHERE application_id = $1 AND id = $2 AND status IN ('PROCESSING', 'PAUSED') \
    RETURNING created_count, updated_count, skipped_count, failed_count, pause_requested";

/// How an import stands once a segment is counted.
#[derive(Debug, FromQueryResult)]
pub(super) struct Standing {
    created_count: i64,
    updated_count: i64,
    skipped_count: i64,
    failed_count: i64,
    pub(super) pause_requested: bool,
}

impl Standing {
    /// From the columns of [`ADD_COUNTERS`].
    pub(super) fn new([created, updated, skipped, failed]: [i64; 4], pause_requested: bool) -> Self {
        Self {
            created_count: created,
            updated_count: updated,
            skipped_count: skipped,
            failed_count: failed,
            pause_requested,
        }
    }

    /// Which threshold is passed.
    pub(super) fn fault(&self, thresholds: &Thresholds) -> Option<SourceFault> {
        thresholds.passed(&Counters {
            created: self.created_count,
            updated: self.updated_count,
            skipped: self.skipped_count,
            failed: self.failed_count,
            duplicate: 0,
        })
    }
}

/// Fails the import in the transaction of its last segment: `$4` is the reason, `$5` the fault.
pub(super) const FAIL: &str = "UPDATE imports SET status = 'FAILED', completed_at = $3, updated_at = $3, \
    failure_reason = $4, failure = $5, pause_requested = FALSE, sequence = sequence + 1 \
    WHERE application_id = $1 AND id = $2";

/// Pauses the import when that was asked for and nothing of it is in work.
pub(super) const OBEY_PAUSE: &str = "UPDATE imports SET status = 'PAUSED', pause_requested = FALSE, \
    updated_at = $3, sequence = sequence + 1 \
    WHERE application_id = $1 AND id = $2 AND pause_requested AND status IN ('PENDING', 'PROCESSING') \
    AND NOT EXISTS (SELECT 1 FROM segments s WHERE s.application_id = $1 AND s.import_id = $2 \
        AND s.state = 'CLAIMED' AND s.owner IS NOT NULL AND s.lease_expires_at >= $3)";

/// Moves the checkpoint to the end of the contiguous run of finished segments.
pub(super) const MOVE_CHECKPOINT: &str = "UPDATE imports SET checkpoint_row = COALESCE((SELECT MIN(s.first_row) - 1 \
    FROM segments s WHERE s.application_id = $1 AND s.import_id = $2 AND s.state <> 'DONE'), total_rows) \
    WHERE application_id = $1 AND id = $2";

/// Ends the import when its upload is finished, no segment is open and no medium is waited for. A source that is unusable
/// from some point on has `failure_reason` set by then, and ends as failed with all before it kept.
pub(super) const COMPLETE: &str = "UPDATE imports \
    SET status = CASE WHEN failure_reason IS NULL THEN 'COMPLETED' ELSE 'FAILED' END, completed_at = $3, \
    updated_at = $3, pause_requested = FALSE, waiting_reason = NULL, sequence = sequence + 1 \
    WHERE application_id = $1 AND id = $2 AND upload_finished AND status IN ('PENDING', 'PROCESSING') \
    AND media_pending_count = 0 AND NOT EXISTS (SELECT 1 FROM segments s WHERE s.application_id = $1 AND s.import_id = $2 AND s.state <> 'DONE')";

/// Forgets what a dry run remembered, once it has ended.
pub(super) const FORGET_KEYS: &str = "DELETE FROM dry_run_keys WHERE application_id = $1 AND import_id = $2";
