//! What would become of the first rows of a source: read by the code of an import, and stored nowhere.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::{
    clock,
    domain::{
        fault::SourceFault,
        ids::ApplicationId,
        import::{ImportSpec, SourceFormat},
        issue::Issue,
        ledger::Outcome,
        limits::Limits,
        lines::LineCounter,
    },
    error::Error,
    intake::{Beginning, splitter::Cut},
    pipeline::{self, Columns, Reading},
};

/// The first bytes of a source.
#[derive(Debug)]
pub struct Sample {
    /// They, as they would be uploaded.
    pub bytes: Bytes,
    /// Whether there are no more.
    pub is_whole: bool,
    /// Rows to show.
    pub rows: usize,
}

impl Sample {
    /// Most bytes of one.
    pub const BYTES: usize = 1 << 20;

    /// Most rows to show.
    pub const ROWS: usize = 100;
}

/// How a source would be read.
#[derive(Debug)]
pub struct Preview {
    /// What its first bytes told; nothing where they make it unusable.
    pub beginning: Option<Beginning>,
    /// Columns that would be ignored.
    pub ignored: Vec<String>,
    /// Its first rows.
    pub rows: Vec<PreviewRow>,
    /// Why its import would fail.
    pub fault: Option<SourceFault>,
}

/// A row, and what would become of it.
#[derive(Debug)]
pub struct PreviewRow {
    /// Its number.
    pub row_number: i64,
    /// The line it begins on.
    pub line_number: i64,
    /// Created, skipped where its key stands before it, or failed.
    pub outcome: Outcome,
    /// What it says in each canonical field.
    pub fields: Map<String, Value>,
    /// What is wrong with it.
    pub issues: Vec<Issue>,
    /// What was left out.
    pub warnings: Vec<Issue>,
    /// The row as it was read.
    pub raw: Map<String, Value>,
}

/// Looks at the beginning of a source.
pub async fn preview(spec: ImportSpec, limits: Limits, sample: Sample) -> Result<Preview, Error> {
    let Sample { bytes, is_whole, rows } = sample;
    let beginning = match Beginning::read(&spec, limits, bytes, is_whole, rows).await {
        Ok(beginning) => beginning,
        Err(fault) => return Ok(Preview::of_fault(fault)),
    };
    let now = clock::now();
    // As in a worker: a row that makes its thread panic harms nobody else.
    let shown = tokio::task::spawn_blocking(move || show(&spec, &limits, beginning, rows, now));
    Ok(shown.await?)
}

impl Preview {
    fn of_fault(fault: SourceFault) -> Self {
        Self { beginning: None, ignored: Vec::new(), rows: Vec::new(), fault: Some(fault) }
    }
}

fn show(
    spec: &ImportSpec,
    limits: &Limits,
    mut beginning: Beginning,
    wanted: usize,
    now: DateTime<Utc>,
) -> Preview {
    let cuts = std::mem::take(&mut beginning.cuts);
    let (columns, mut ignored, mut rows) = (&beginning.columns, Vec::new(), Vec::new());
    let mut fault = beginning.fault.take();
    let is_csv = beginning.format == SourceFormat::Csv;
    if is_csv && !columns.is_empty() {
        let sheet = Columns::of(spec).and_then(|known| known.resolve(columns, limits.columns));
        match sheet {
            Ok(sheet) => ignored = sheet.ignored(columns),
            Err(wrong) => fault = Some(wrong),
        }
    }
    // Without a header there are no rows either.
    if !(is_csv && columns.is_empty()) {
        match Reading::new(spec, beginning.format, beginning.delimiter, columns) {
            Ok(reading) => {
                for cut in cuts {
                    rows.extend(show_rows(spec, limits, &reading, columns, cut, now));
                }
            }
            Err(wrong) => fault = Some(wrong),
        }
    }
    rows.truncate(wanted);
    Preview { beginning: Some(beginning), ignored, rows, fault }
}

fn show_rows(
    spec: &ImportSpec,
    limits: &Limits,
    reading: &Reading,
    columns: &[String],
    cut: Cut,
    now: DateTime<Utc>,
) -> Vec<PreviewRow> {
    let rows = pipeline::parse(reading, &cut.range, cut.bytes.clone(), limits);
    let (mut lines, mut counted) = (LineCounter::at(cut.range.first_line as u64), 0);
    let mut shown = Vec::with_capacity(rows.len());
    for row in 0..rows.len() {
        let span = rows.span(row);
        lines.advance(&cut.bytes[counted..span.start]);
        counted = span.start;
        shown.push(PreviewRow {
            row_number: cut.range.first_row + row as i64,
            line_number: lines.line() as i64,
            outcome: Outcome::Created,
            fields: pipeline::fields(&rows, row, spec.import_type),
            issues: Vec::new(),
            warnings: Vec::new(),
            raw: pipeline::raw_row(reading, columns, &cut.bytes[span]),
        });
    }
    // Keys are compared within the source alone, whose application so makes no difference.
    let nobody = ApplicationId(uuid::Uuid::nil());
    let batch = pipeline::judge(nobody, spec, limits, rows, now);
    for row in batch.duplicates {
        shown[row as usize].outcome = Outcome::Skipped;
    }
    for failure in batch.failures {
        let row = &mut shown[failure.row as usize];
        (row.outcome, row.issues) = (Outcome::Failed, failure.issues);
    }
    for warning in batch.warnings {
        shown[warning.row as usize].warnings = warning.issues;
    }
    shown
}
