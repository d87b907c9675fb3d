//! A segment's way: its bytes are parsed into rows, the rows transformed into records.
//!
//! A whole segment goes from stage to stage as one batch. All its texts lie in one arena, and
//! records hold spans of it, so that no row allocates anything on its own.

mod blank;
mod columns;
mod csv;
mod drafted;
mod ndjson;
mod raw;
mod rows;
mod transform;

use bytes::Bytes;
use chrono::{DateTime, Utc};

pub use crate::adapters::mapping::check as check_mapping;
use crate::{
    adapters::registry::Native,
    canonical::{header::Header, schema::Schema, schema_of},
    domain::{
        fault::SourceFault,
        ids::ApplicationId,
        import::{Import, ImportSpec, SourceFormat},
        limits::Limits,
        segment::{SegmentKind, SegmentRange},
    },
    store::Batch,
};
pub use blank::blank_out;
pub use columns::{Columns, Sheet};
pub use csv::read_header;
use ndjson::Lines;
pub use raw::{fields, raw_row, raw_text};
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
    Csv { sheet: Sheet, delimiter: u8 },
    Ndjson { lines: Lines },
}

impl Reading {
    /// How the records of `import` are read; its format must be known.
    pub fn of(import: &Import) -> Result<Self, SourceFault> {
        let format = import.format.ok_or(SourceFault::UnknownFormat)?;
        let mut reading = Self::new(&import.spec, format, import.delimiter.unwrap_or(b','), &import.columns)?;
        if let Syntax::Ndjson { lines: Lines::Native(native) } = &mut reading.syntax {
            native.as_of = Some(import.created_at);
        }
        Ok(reading)
    }

    /// How the records of an import of that spec are read, once the beginning of its source is known.
    pub fn new(
        spec: &ImportSpec,
        format: SourceFormat,
        delimiter: u8,
        columns: &[String],
    ) -> Result<Self, SourceFault> {
        let schema = schema_of(spec.import_type);
        let syntax = match format {
            SourceFormat::Csv => {
                Syntax::Csv { sheet: Columns::of(spec)?.resolve(columns, usize::MAX)?, delimiter }
            }
            SourceFormat::Ndjson => Syntax::Ndjson {
                lines: match (columns::plan_of(spec)?, Native::of(spec)) {
                    (Some(plan), _) => Lines::mapped(plan),
                    (None, Some(native)) => Lines::Native(native),
                    (None, None) => Lines::Canonical,
                },
            },
        };
        Ok(Self { schema, syntax })
    }

    /// Reads CSV under this header.
    pub fn csv(schema: &'static Schema, header: Header, delimiter: u8) -> Self {
        Self { schema, syntax: Syntax::Csv { sheet: Sheet::Canonical(header), delimiter } }
    }

    /// Reads NDJSON of canonical records.
    pub fn ndjson(schema: &'static Schema) -> Self {
        Self { schema, syntax: Syntax::Ndjson { lines: Lines::Canonical } }
    }
}

/// Parses a segment's bytes into rows; a record larger than a row may be stands in segments of its own.
pub fn parse(reading: &Reading, range: &SegmentRange, source: Bytes, limits: &Limits) -> Rows {
    let cells = match &reading.syntax {
        Syntax::Csv { sheet, .. } => sheet.fields(),
        Syntax::Ndjson { .. } => USUAL_CELLS,
    };
    let mut rows = Rows::new(range, source, cells, limits);
    match (range.kind, &reading.syntax) {
        (SegmentKind::Records, Syntax::Csv { sheet, delimiter }) => {
            csv::parse(&mut rows, reading.schema, sheet, *delimiter);
        }
        (SegmentKind::Records, Syntax::Ndjson { lines }) => ndjson::parse(&mut rows, reading.schema, lines),
        (SegmentKind::OversizedRecord, _) => rows.refuse_oversized(limits),
        (SegmentKind::OversizedRest, _) => {}
    }
    rows
}

/// Transforms rows into canonical records, ready to be written.
pub fn transform(import: &Import, rows: Rows, now: DateTime<Utc>) -> Batch {
    judge(import.application_id, &import.spec, &import.limits, rows, now)
}

/// Transforms rows of a source that need not be an import's.
pub fn judge(
    application: ApplicationId,
    spec: &ImportSpec,
    limits: &Limits,
    rows: Rows,
    now: DateTime<Utc>,
) -> Batch {
    transform::transform(application, spec, limits, rows, now)
}
