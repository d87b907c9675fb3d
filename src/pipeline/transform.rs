//! Rows to records: adapt, validate, key, sort.

use chrono::{DateTime, Utc};

use super::rows::Rows;
use crate::{
    adapters::generic::Adapter,
    canonical::{schema::Schema, schema_of},
    domain::{
        ids::ApplicationId,
        import::ImportSpec,
        issue::{Issue, WARNINGS_OF_A_ROW},
        limits::Limits,
        lines::LineCounter,
    },
    fault_points,
    store::{Batch, RecordRow, RowFailure, RowWarning},
};

pub(super) fn transform(
    application: ApplicationId,
    spec: &ImportSpec,
    limits: &Limits,
    mut rows: Rows,
    now: DateTime<Utc>,
) -> Batch {
    let count = rows.len();
    let schema = schema_of(spec.import_type);
    let mut adapter = Adapter::new(spec.import_type, now, limits.json_depth);
    let mut records = Vec::with_capacity(count);
    let mut failures = Failures::new(&rows, schema);
    let mut issues = Vec::new();
    for row in 0..count {
        if cfg!(debug_assertions) {
            fault_points::reach_row(rows.find_text(row, schema.keys).map(|text| rows.arena.get(text)));
        }
        let mut faults = std::mem::take(&mut rows.rows[row].faults);
        if faults.iter().any(Issue::is_of_record) {
            failures.add(&rows, row, faults);
            continue;
        }
        let (range, nulls) = (rows.cells(row), rows.rows[row].nulls);
        let cells = &mut rows.cells[range];
        // In the order of the schema, so that CSV and NDJSON of one record give one record.
        if !cells.is_sorted_by_key(|cell| cell.field.0) {
            cells.sort_unstable_by_key(|cell| cell.field.0);
        }
        let record = adapter.read(cells, nulls, &mut rows.arena, &mut issues);
        if rows.rows[row].is_lenient {
            let unneeded = issues.extract_if(.., |issue| !schema.requires(&issue.field));
            let warnings = unneeded.map(|issue| RowWarning { row: row as u32, warning: issue.into() });
            rows.warnings.extend(warnings);
        }
        if !issues.is_empty() || !faults.is_empty() {
            issues.retain(|issue| !faults.iter().any(|fault| issue.is_within(fault)));
            faults.append(&mut issues);
            failures.add(&rows, row, faults);
            continue;
        }
        let id = record.id(&rows.arena, application, &spec.provider, spec.workflow_id);
        records.push(RecordRow { id, row: row as u32, record });
    }
    let failures = failures.list;
    let duplicates = keep_first_of_each_key(&mut records);
    let warnings = bounded(rows.warnings);
    Batch { arena: rows.arena, rows: count, records, duplicates, failures, warnings }
}

/// Warnings in row order, of each row so many as may be kept.
fn bounded(mut warnings: Vec<RowWarning>) -> Vec<RowWarning> {
    warnings.sort_by_key(|warning| warning.row);
    let (mut row, mut count) = (u32::MAX, 0);
    warnings.retain(|warning| {
        count = if warning.row == row { count + 1 } else { 1 };
        row = warning.row;
        count <= WARNINGS_OF_A_ROW
    });
    warnings
}

/// Sorts by key, which is the order in which the database locks them, and takes out rows whose key
/// stands earlier in the segment.
fn keep_first_of_each_key(records: &mut Vec<RecordRow>) -> Vec<u32> {
    // Cached: a record is large, and so is moved once and not at every comparison.
    records.sort_by_cached_key(|record| (record.id, record.row));
    let mut duplicates = Vec::new();
    records.dedup_by(|later, first| {
        let same = later.id == first.id;
        if same {
            duplicates.push(later.row);
        }
        same
    });
    duplicates
}

/// Failed rows in row order, with their lines: counted on from the failure before, so that a
/// segment is gone over once, however many of its rows fail.
struct Failures {
    schema: &'static Schema,
    list: Vec<RowFailure>,
    lines: LineCounter,
    counted: usize,
}

impl Failures {
    fn new(rows: &Rows, schema: &'static Schema) -> Self {
        let lines = LineCounter::at(rows.range.first_line as u64);
        Self { schema, list: Vec::new(), lines, counted: 0 }
    }

    fn add(&mut self, rows: &Rows, row: usize, issues: Vec<Issue>) {
        let start = rows.rows[row].start as usize;
        self.lines.advance(&rows.source[self.counted..start]);
        self.counted = start;
        let external_id = rows.find_text(row, self.schema.keys).map(|text| rows.arena.get(text).trim());
        self.list.push(RowFailure {
            row: row as u32,
            line_number: self.lines.line() as i64,
            byte_offset: rows.range.byte_offset + start as i64,
            byte_count: i64::from(rows.rows[row].len),
            external_id: external_id.filter(|id| !id.is_empty()).map(storable),
            issues,
        });
    }
}

/// A text that every database can keep, of at most 255 characters.
fn storable(text: &str) -> String {
    text.chars().map(|c| if c == '\0' { char::REPLACEMENT_CHARACTER } else { c }).take(255).collect()
}
