//! An import: what was asked for, its states and its counters.

mod mapping;
mod options;
mod spec;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    ids::{ApiKeyId, ApplicationId, ImportId},
    issue::IssueCode,
    ledger::Outcome,
    limits::Limits,
    lines::LineEnds,
    refusal::Refusal,
};

/// Makes an enum that is kept as a word in the database.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word it is written as.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The value a word stands for.
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str() == word)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                Self::from_word(&word).ok_or_else(|| serde::de::Error::custom(concat!("no ", stringify!($name))))
            }
        }
    };
}
pub use mapping::{FieldMapping, Mapping};
pub use options::ProviderOptions;
pub use spec::{ImportSpec, Thresholds};
pub(crate) use words;

words! {
    /// What the rows of a source describe.
    ImportType {
        /// Verifications of people.
        UserVerification = "user_verification",
        /// Verifications of companies.
        BusinessVerification = "business_verification",
        /// Transactions.
        Transactions = "transactions",
        /// Status rules of a workflow.
        StatusRules = "status_rules",
    }
}

words! {
    /// What becomes of a row whose key is known.
    #[derive(Default)]
    OnExisting {
        /// It is skipped.
        #[default]
        Skip = "skip",
        /// It takes the place of the record that is there.
        Update = "update",
    }
}

words! {
    /// How the records of a source are written.
    SourceFormat {
        /// RFC 4180 text with a header.
        Csv = "csv",
        /// One JSON object a line.
        Ndjson = "ndjson",
    }
}

words! {
    /// How a source is packed.
    Compression {
        /// Not packed.
        None = "none",
        /// gzip members.
        Gzip = "gzip",
        /// zstd frames.
        Zstd = "zstd",
    }
}

words! {
    /// When rows begin to be processed.
    StartMode {
        /// With the first stored segment.
        OnArrival = "on_arrival",
        /// Once the upload is finished.
        AfterUpload = "after_upload",
    }
}

words! {
    /// What becomes of the media that rows link to.
    #[derive(Default)]
    MediaPolicy {
        /// They are fetched.
        Fetch = "fetch",
        /// They are left where they are.
        #[default]
        Skip = "skip",
    }
}

words! {
    /// Where an import stands.
    ImportStatus {
        /// Accepted; no row has been processed.
        Pending = "PENDING",
        /// Rows are in work, or more of the source is awaited.
        Processing = "PROCESSING",
        /// Every row has an outcome.
        Completed = "COMPLETED",
        /// The source as a whole is unusable.
        Failed = "FAILED",
        /// Held until somebody resumes it.
        Paused = "PAUSED",
        /// Stopped on request.
        Cancelled = "CANCELLED",
        /// It had ended, and what it wrote is being taken back.
        Reverting = "REVERTING",
        /// What it wrote has been taken back.
        Reverted = "REVERTED",
    }
}

impl ImportStatus {
    /// Nothing about the import will change any more.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled | Self::Reverted)
    }

    /// All rows that will ever be settled are: it has ended, whatever came afterwards.
    pub const fn has_ended(self) -> bool {
        self.is_terminal() || matches!(self, Self::Reverting)
    }
}

/// How many rows had which outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Rows that made a record.
    pub created: i64,
    /// Rows that changed one.
    pub updated: i64,
    /// Rows whose key was known.
    pub skipped: i64,
    /// Rows that broke a rule.
    pub failed: i64,
    /// Of the skipped: rows whose key stood earlier in the same source.
    pub duplicate: i64,
}

impl Counters {
    /// Rows with an outcome.
    pub const fn processed(&self) -> i64 {
        self.created + self.updated + self.skipped + self.failed
    }

    /// Counts one more row.
    pub const fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Created => self.created += 1,
            Outcome::Updated => self.updated += 1,
            Outcome::Skipped => self.skipped += 1,
            Outcome::Failed => self.failed += 1,
        }
    }
}

/// How many media of an import's records stand where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MediaCounters {
    /// Neither stored nor failed.
    pub pending: i64,
    /// Stored.
    pub stored: i64,
    /// They could not be fetched or kept.
    pub failed: i64,
    /// Bytes that were stored, of each URL once.
    pub bytes: i64,
}

/// An import as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Import {
    /// Its id.
    pub id: ImportId,
    /// Its tenant.
    pub application_id: ApplicationId,
    /// What was asked for.
    pub spec: ImportSpec,
    /// Its bounds.
    pub limits: Limits,
    /// Where it stands.
    pub status: ImportStatus,
    /// Resolved format; unknown until the first bytes told it.
    pub format: Option<SourceFormat>,
    /// How the source is packed; unknown until the first bytes told it.
    pub compression: Option<Compression>,
    /// The source's character encoding, by its label; unknown until the first bytes told it.
    pub encoding: Option<String>,
    /// CSV delimiter in use.
    pub delimiter: Option<u8>,
    /// CSV column names.
    pub columns: Vec<String>,
    /// Rows known so far.
    pub total_rows: i64,
    /// Outcomes so far.
    pub counters: Counters,
    /// Media so far.
    pub media: MediaCounters,
    /// Failed rows whose row error is kept; the others are counted only.
    pub stored_errors: i64,
    /// Warnings of its rows so far.
    pub warnings: i64,
    /// Warnings that are kept; the others are counted only.
    pub stored_warnings: i64,
    /// Every row up to this one is settled.
    pub checkpoint_row: i64,
    /// Why it failed: a stable word and a sentence.
    pub failure: Option<(String, String)>,
    /// Wire bytes stored for good.
    pub committed_size: i64,
    /// Decoded bytes stored for good.
    pub source_bytes: i64,
    /// Decoded bytes whose rows are settled.
    pub processed_bytes: i64,
    /// The whole source is stored.
    pub upload_finished: bool,
    /// Which upload stream may write; an older one has been taken over.
    pub upload_epoch: i64,
    /// Rises with every change.
    pub sequence: i64,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// When its first row was taken up.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub completed_at: Option<DateTime<Utc>>,
    /// When its source was deleted.
    pub source_deleted_at: Option<DateTime<Utc>>,
    /// Kinds of line ends between its rows, as far as they are stored.
    pub line_ends: LineEnds,
    /// The key that made it; none for the server, and for imports from before that was kept.
    pub created_by: Option<ApiKeyId>,
    /// Somebody wants it paused, and segments are still in work.
    pub pause_requested: bool,
    /// Who paused it, or wants it paused, was an operator, so that only one may let it go on.
    pub resume_needs_operator: bool,
    /// What its next step waits for, as a stable word.
    pub waiting_reason: Option<String>,
    /// The import whose failed rows it takes up again.
    pub parent: Option<ImportId>,
    /// Which of them, if it is a retry.
    pub retry: Option<Retry>,
    /// How often somebody began to feed its source, if it is a retry, since that last grew.
    pub feedings: i32,
    /// The place in a trace where it was made, as a `traceparent`.
    pub traceparent: Option<String>,
    /// What became of what it wrote, if it was reverted.
    pub revert: Reverted,
    /// When that was done.
    pub reverted_at: Option<DateTime<Utc>>,
}

/// Which failed rows of its parent a retry takes up again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// Those with an issue of one of these kinds; any without.
    pub codes: Vec<IssueCode>,
    /// From this one on.
    pub first_row: Option<i64>,
    /// Up to this one.
    pub last_row: Option<i64>,
    /// Only those that come with a correction.
    pub corrected_only: bool,
    /// No rows, but the media that failed, or that nobody came to.
    #[serde(default)]
    pub failed_media: bool,
    /// SHA-256 of the corrections, in hexadecimal; none without any, and for retries from before it was kept.
    #[serde(default)]
    pub corrections_sha256: Option<String>,
}

impl Retry {
    /// Most corrections that come with one.
    pub const CORRECTIONS: usize = 10_000;

    /// Whether a row lies between the first and the last.
    pub fn spans(&self, row: i64) -> bool {
        self.first_row.is_none_or(|first| row >= first) && self.last_row.is_none_or(|last| row <= last)
    }
}

/// What a revert came to: each row that made or changed a record is in one of these.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reverted {
    /// The record is gone, or as it was before.
    pub reverted: i64,
    /// The record was changed or erased since, and is left as it is.
    pub kept: i64,
    /// It could not be done.
    pub failed: i64,
}

impl Import {
    /// Why it takes nothing more in, where it has ended.
    pub fn refuses_upload(&self) -> Option<Refusal> {
        match (self.status, &self.failure) {
            (ImportStatus::Failed, Some((reason, message))) => {
                Some(Refusal::ImportFailed { reason: reason.clone(), message: message.clone() })
            }
            (status, _) if status.has_ended() => {
                Some(Refusal::WrongState { status, needed: "an upload needs one that has not ended" })
            }
            _ => None,
        }
    }

    /// Whether media of its records are fetched.
    pub fn fetches_media(&self) -> bool {
        self.spec.fetches_media()
    }

    /// Bytes of media that may be fetched for it.
    pub fn media_budget(&self) -> i64 {
        let limit = i64::try_from(self.limits.media_bytes).unwrap_or(i64::MAX);
        self.spec.media_byte_budget.map_or(limit, |budget| budget.min(limit))
    }

    /// Rows settled a second between the start and `now` (or the end).
    pub fn rows_per_second(&self, now: DateTime<Utc>) -> f64 {
        let Some(started) = self.started_at else { return 0.0 };
        let seconds = (self.completed_at.unwrap_or(now) - started).as_seconds_f64();
        if seconds > 0.0 { self.counters.processed() as f64 / seconds } else { 0.0 }
    }

    /// Seconds to the end at the rate so far, by bytes; unknown while the size of the source is.
    pub fn eta_seconds(&self, now: DateTime<Utc>) -> Option<f64> {
        let total = if self.upload_finished {
            self.source_bytes
        } else {
            // Only an unpacked source's announced size counts the same bytes as `processed_bytes`.
            self.spec.source_size.filter(|_| self.compression == Some(Compression::None))?
        };
        let elapsed = (now - self.started_at?).as_seconds_f64();
        let left = total.checked_sub(self.processed_bytes).filter(|left| *left >= 0)?;
        (self.processed_bytes > 0 && !self.status.has_ended())
            .then(|| left as f64 * elapsed / self.processed_bytes as f64)
    }
}
