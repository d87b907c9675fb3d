//! A segment's way: its bytes are parsed into rows, the rows transformed into records.
//!
//! A whole segment goes from stage to stage as one batch. All its texts lie in one arena, and
//! records hold spans of it, so that no row allocates anything on its own.

mod csv;
mod ndjson;
mod raw;
mod rows;
mod transform;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use crate::{
    canonical::header::Header,
    domain::{
        fault::SourceFault,
        import::{Import, SourceFormat},
        segment::{SegmentKind, SegmentRange},
    },
    store::Batch,
};
pub use csv::read_header;
pub use raw::{raw_row, record_spans};
pub use rows::Rows;

/// How the records of an import are read; the same for all its segments.
#[derive(Debug, Clone)]
pub enum Reading {
    /// CSV under this header.
    Csv {
        /// Which column is which field.
        header: Header,
        /// The delimiter.
        delimiter: u8,
    },
    /// NDJSON.
    Ndjson,
}

impl Reading {
    /// How the records of `import` are read; its format must be known.
    pub fn of(import: &Import) -> Result<Self, SourceFault> {
        Ok(match import.format.ok_or(SourceFault::UnknownFormat)? {
            SourceFormat::Csv => Self::Csv {
                header: Header::resolve(&import.columns, usize::MAX)?,
                delimiter: import.delimiter.unwrap_or(b','),
            },
            SourceFormat::Ndjson => Self::Ndjson,
        })
    }
}

/// Parses a segment's bytes into rows; a record larger than `row_bytes` stands in segments of its own.
pub fn parse(reading: &Reading, range: &SegmentRange, source: Bytes, row_bytes: usize) -> Rows {
    match range.kind {
        SegmentKind::Records => parse_records(reading, range, source),
        SegmentKind::OversizedRecord => Rows::oversized(range, source, row_bytes),
        SegmentKind::OversizedRest => Rows::new(range, source),
    }
}

fn parse_records(reading: &Reading, range: &SegmentRange, source: Bytes) -> Rows {
    match reading {
        Reading::Csv { header, delimiter } => csv::parse(range, source, header, *delimiter),
        Reading::Ndjson => ndjson::parse(range, source),
    }
}

/// Transforms rows into canonical records, ready to be written.
pub fn transform(import: &Import, rows: Rows, now: DateTime<Utc>) -> Batch {
    transform::transform(import, rows, now)
}
