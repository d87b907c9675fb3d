//! What is asked of an import.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Counters, ImportType, Mapping, MediaPolicy, OnExisting, ProviderOptions, SourceFormat, StartMode,
};
use crate::domain::{fault::SourceFault, ids::WorkflowId};

/// What to import and how; fixed once the import exists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImportSpec {
    /// What the rows describe.
    pub import_type: ImportType,
    /// Source label for rows that carry none.
    pub provider: String,
    /// Workflow of the sessions.
    pub workflow_id: Option<WorkflowId>,
    /// Format, where the caller or the file name told it.
    pub source_format: Option<SourceFormat>,
    /// The customer's name for the file.
    pub source_filename: String,
    /// Where the server fetches the source, without the query; none for an upload.
    #[serde(default)]
    pub source_file_url: Option<String>,
    /// CSV delimiter, where the caller told it.
    pub csv_delimiter: Option<u8>,
    /// When rows begin to be processed.
    pub start: StartMode,
    /// Write no record.
    pub dry_run: bool,
    /// What becomes of rows whose key is known.
    #[serde(default)]
    pub on_existing: OnExisting,
    /// Import rows of people and companies that were erased, too.
    #[serde(default)]
    pub import_erased: bool,
    /// Character encoding, where the caller told it.
    #[serde(default)]
    pub encoding: Option<String>,
    /// When too many failed rows fail the import.
    #[serde(default)]
    pub thresholds: Thresholds,
    /// What becomes of media; what the server is set to, until the import exists, and none for imports from
    /// before there were any.
    #[serde(default)]
    pub media: Option<MediaPolicy>,
    /// Bytes of media that may be fetched, where the caller said.
    #[serde(default)]
    pub media_byte_budget: Option<i64>,
    /// Announced size of the upload.
    pub source_size: Option<i64>,
    /// The caller's labels.
    pub labels: BTreeMap<String, String>,
    /// Which member or column is which field, where the caller told it.
    #[serde(default)]
    pub mapping: Option<Mapping>,
    /// How odd records of providers are read.
    #[serde(default)]
    pub provider_options: ProviderOptions,
}

impl ImportSpec {
    /// Whether media of its records are fetched.
    pub fn fetches_media(&self) -> bool {
        self.media == Some(MediaPolicy::Fetch) && !self.dry_run
    }
}

/// When an import fails because too many of its rows do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Thresholds {
    /// Failed rows beyond which it fails.
    pub max_failed_rows: Option<i64>,
    /// Share of failed rows among those settled beyond which it fails, from 0 to 1.
    pub max_failed_ratio: Option<f64>,
    /// Settled rows from which on the share counts.
    pub failed_ratio_min_rows: Option<i64>,
}

/// Settled rows from which on a share of failed ones counts, where the caller did not say.
const FAILED_RATIO_MIN_ROWS: i64 = 1_000;

impl Thresholds {
    /// Whether there is any.
    pub const fn are_set(&self) -> bool {
        self.max_failed_rows.is_some() || self.max_failed_ratio.is_some()
    }

    /// Which one these counters have passed.
    pub fn passed(&self, counters: &Counters) -> Option<SourceFault> {
        let (failed, settled) = (counters.failed, counters.processed());
        if let Some(limit) = self.max_failed_rows.filter(|limit| failed > *limit) {
            return Some(SourceFault::TooManyFailedRows { failed, limit });
        }
        let sample = self.failed_ratio_min_rows.unwrap_or(FAILED_RATIO_MIN_ROWS);
        let limit = self.max_failed_ratio.filter(|_| settled >= sample.max(1))?;
        (failed as f64 > limit * settled as f64).then(|| SourceFault::FailedRatio {
            failed,
            settled,
            limit: limit.to_string(),
        })
    }
}
