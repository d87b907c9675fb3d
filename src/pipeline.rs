//! A segment's way: its bytes are parsed into rows, the rows transformed into records.
//!
//! A whole segment goes from stage to stage as one batch. All its texts lie in one arena, and
//! records hold spans of it, so that no row allocates anything on its own.

mod blank;
mod csv;
mod ndjson;
mod raw;
mod rows;
mod transform;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use crate::{
    adapters::registry::Provider,
    canonical::{header::Header, schema::Schema, schema_of},
    domain::{
        fault::SourceFault,
        import::{Import, ImportType, SourceFormat},
        limits::Limits,
        segment::{SegmentKind, SegmentRange},
    },
    store::Batch,
};
pub use blank::blank_out;
pub use csv::read_header;
pub use raw::{raw_row, raw_text};
pub use rows::Rows;

/// Cells of a usual row where no header tells how many there may be.
const USUAL_CELLS: usize = 32;

/// How the records of an import are read; the same for all its segments.
#[derive(Debug, Clone)]
pub struct Reading {
    /// What rows describe.
    schema: &'static Schema,
    /// How they are written.
    syntax: Syntax,
}

#[derive(Debug, Clone)]
enum Syntax {
    Csv {
        header: Header,
        delimiter: u8,
    },
    /// JSON lines, some of which may be records of a provider.
    Ndjson {
        native: Option<(Provider, ImportType)>,
    },
}

impl Reading {
    /// How the records of `import` are read; its format must be known.
    pub fn of(import: &Import) -> Result<Self, SourceFault> {
        let schema = schema_of(import.spec.import_type);
        Ok(match import.format.ok_or(SourceFault::UnknownFormat)? {
            SourceFormat::Csv => {
                let header = Header::resolve(&import.columns, schema, usize::MAX)?;
                Self::csv(schema, header, import.delimiter.unwrap_or(b','))
            }
            SourceFormat::Ndjson => {
                let provider = Provider::of(&import.spec.provider);
                let native = provider.map(|provider| (provider, import.spec.import_type));
                Self { schema, syntax: Syntax::Ndjson { native } }
            }
        })
    }

    /// Reads CSV under this header.
    pub fn csv(schema: &'static Schema, header: Header, delimiter: u8) -> Self {
        Self { schema, syntax: Syntax::Csv { header, delimiter } }
    }

    /// Reads NDJSON of canonical records.
    pub fn ndjson(schema: &'static Schema) -> Self {
        Self { schema, syntax: Syntax::Ndjson { native: None } }
    }
}

/// Parses a segment's bytes into rows; a record larger than a row may be stands in segments of its own.
pub fn parse(reading: &Reading, range: &SegmentRange, source: Bytes, limits: &Limits) -> Rows {
    let cells = match &reading.syntax {
        Syntax::Csv { header, .. } => header.fields(),
        Syntax::Ndjson { .. } => USUAL_CELLS,
    };
    let mut rows = Rows::new(range, source, cells, limits);
    match (range.kind, &reading.syntax) {
        (SegmentKind::Records, Syntax::Csv { header, delimiter }) => {
            csv::parse(&mut rows, reading.schema, header, *delimiter);
        }
        (SegmentKind::Records, Syntax::Ndjson { native }) => {
            ndjson::parse(&mut rows, reading.schema, *native);
        }
        (SegmentKind::OversizedRecord, _) => rows.refuse_oversized(limits),
        (SegmentKind::OversizedRest, _) => {}
    }
    rows
}

/// Transforms rows into canonical records, ready to be written.
pub fn transform(import: &Import, rows: Rows, now: DateTime<Utc>) -> Batch {
    transform::transform(import, rows, now)
}
