//! Bounds on what a caller may send. Every one of them has a default here, a flag in the config, and a
//! setting of its own in an application; an import keeps those it began with.

use serde::{Deserialize, Serialize};

/// Bounds of one import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Bytes of an upload, as sent and as decoded.
    pub upload_bytes: u64,
    /// Rows of a source.
    pub rows: u64,
    /// Rows of all sources of an application in 24 hours.
    pub rows_per_day: u64,
    /// Bytes of one record.
    pub row_bytes: usize,
    /// Columns of a CSV source.
    pub columns: usize,
    /// Bytes of one cell or member.
    pub cell_bytes: usize,
    /// Nesting of JSON in a cell or member.
    pub json_depth: usize,
    /// Row errors that are kept; those beyond are counted only.
    pub stored_row_errors: u64,
    /// Warnings that are kept; those beyond are counted only.
    pub stored_warnings: u64,
    /// How many times larger than its packed form a source may be, once 10 MiB have been decoded.
    pub compression_ratio: u64,
    /// Days after its end that the source of an import is kept, and with it the rows of its row errors.
    pub source_retention_days: u32,
    /// Bytes of media that are fetched for it.
    pub media_bytes: u64,
    /// Bytes of one segment.
    pub segment_bytes: usize,
    /// Rows of one segment.
    pub segment_rows: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            upload_bytes: 5 << 30,
            rows: 5_000_000,
            rows_per_day: 50_000_000,
            row_bytes: 1 << 20,
            columns: 512,
            cell_bytes: 256 << 10,
            json_depth: 64,
            stored_row_errors: 100_000,
            stored_warnings: 100_000,
            // Honest CSV packs up to about 1:60, a bomb 1:1000 and more.
            compression_ratio: 200,
            source_retention_days: 30,
            media_bytes: 50 << 30,
            segment_bytes: 4 << 20,
            segment_rows: 10_000,
        }
    }
}

/// What an application has of its own; what is absent is the server's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LimitSettings {
    /// [`Limits::upload_bytes`].
    pub upload_bytes: Option<u64>,
    /// [`Limits::rows`].
    pub rows: Option<u64>,
    /// [`Limits::rows_per_day`].
    pub rows_per_day: Option<u64>,
    /// [`Limits::row_bytes`].
    pub row_bytes: Option<u64>,
    /// [`Limits::columns`].
    pub columns: Option<u64>,
    /// [`Limits::cell_bytes`].
    pub cell_bytes: Option<u64>,
    /// [`Limits::json_depth`].
    pub json_depth: Option<u64>,
    /// [`Limits::stored_row_errors`].
    pub stored_row_errors: Option<u64>,
    /// [`Limits::stored_warnings`].
    pub stored_warnings: Option<u64>,
    /// [`Limits::source_retention_days`].
    pub source_retention_days: Option<u64>,
}

impl LimitSettings {
    /// The server's limits with these in their place.
    pub fn over(&self, server: &Limits) -> Limits {
        let size = |own: Option<u64>, server: usize| {
            own.map_or(server, |own| usize::try_from(own).unwrap_or(usize::MAX))
        };
        Limits {
            upload_bytes: self.upload_bytes.unwrap_or(server.upload_bytes),
            rows: self.rows.unwrap_or(server.rows),
            rows_per_day: self.rows_per_day.unwrap_or(server.rows_per_day),
            // A segment holds whole records, so none may be larger than one.
            row_bytes: size(self.row_bytes, server.row_bytes).min(server.segment_bytes),
            columns: size(self.columns, server.columns),
            cell_bytes: size(self.cell_bytes, server.cell_bytes),
            json_depth: size(self.json_depth, server.json_depth),
            stored_row_errors: self.stored_row_errors.unwrap_or(server.stored_row_errors),
            stored_warnings: self.stored_warnings.unwrap_or(server.stored_warnings),
            source_retention_days: self
                .source_retention_days
                .map_or(server.source_retention_days, |days| u32::try_from(days).unwrap_or(u32::MAX)),
            ..*server
        }
    }
}
