//! Rows to records: adapt, validate, key, sort.

use chrono::{DateTime, Utc};

use super::rows::Rows;
use crate::{
    adapters::{
        generic::Adapter,
        registry::{self, Provider},
    },
    canonical::{schema::Schema, schema_of},
    domain::{
        ids::ApplicationId,
        import::ImportSpec,
        issue::{Issue, IssueCode, WARNINGS_OF_A_ROW},
        limits::Limits,
        lines::LineCounter,
    },
    fault_points,
    store::{Batch, MediumRow, RecordRow, RowIssues},
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
    let (mut failures, mut warned) = (Told::new(&rows, schema), Told::new(&rows, schema));
    let mut issues = Vec::new();
    let (mut media, mut places) = (Vec::new(), Places::new(&rows));
    let fetches_media = spec.fetches_media();
    for row in 0..count {
        if cfg!(debug_assertions) {
            fault_points::reach_row(rows.find_text(row, schema.keys).map(|text| rows.arena.get(text)));
        }
        let mut faults = std::mem::take(&mut rows.rows[row].faults);
        let mut warnings = std::mem::take(&mut rows.rows[row].warnings);
        if faults.iter().any(Issue::is_of_record) {
            warned.add(&rows, row, warnings);
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
            warnings.extend(unneeded.map(Issue::into_warning));
            warnings.truncate(WARNINGS_OF_A_ROW);
        }
        warned.add(&rows, row, warnings);
        if !issues.is_empty() || !faults.is_empty() {
            issues.retain(|issue| !faults.iter().any(|fault| issue.is_within(fault)));
            faults.append(&mut issues);
            tell_whose(&mut faults, spec, schema, &rows.source[rows.span(row)]);
            failures.add(&rows, row, faults);
            continue;
        }
        if fetches_media && !adapter.links().is_empty() {
            let Place { line_number, byte_offset, byte_count } = places.find(&rows, row);
            let row = row as u32;
            let links = adapter.links().iter();
            media.extend(links.map(|link| MediumRow {
                row,
                line_number,
                byte_offset,
                byte_count,
                slot: link.slot,
                url: link.url,
            }));
        }
        let id = record.id(&rows.arena, application, &spec.provider, spec.workflow_id);
        records.push(RecordRow { id, row: row as u32, record });
    }
    let (failures, warnings) = (failures.list, warned.list);
    let duplicates = keep_first_of_each_key(&mut records);
    Batch { arena: rows.arena, rows: count, records, duplicates, failures, warnings, media }
}

/// Tells of a record that has no key whose own it looks like, where the import names no provider that has a form.
fn tell_whose(faults: &mut [Issue], spec: &ImportSpec, schema: &Schema, record: &[u8]) {
    let is_of_key = |name: &str| schema.keys.iter().any(|key| schema.spec(*key).name == name);
    let no_key = |fault: &&mut Issue| fault.code == IssueCode::Required.as_str() && is_of_key(&fault.field);
    if spec.mapping.is_none()
        && Provider::of(&spec.provider).is_none()
        && let Some(fault) = faults.iter_mut().find(no_key)
        && let Ok(record) = std::str::from_utf8(record)
        && let Some(whose) = registry::whose(spec.import_type, record)
    {
        fault.message = format!("{}: {whose}", fault.message);
    }
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

/// Where a row stands in the source.
struct Place {
    line_number: i64,
    byte_offset: i64,
    byte_count: i64,
}

/// Finds the places of some rows, in row order: lines are counted on from the one before, so that a segment is
/// gone over once, however many they are.
struct Places {
    lines: LineCounter,
    counted: usize,
}

impl Places {
    fn new(rows: &Rows) -> Self {
        Self { lines: LineCounter::at(rows.range.first_line as u64), counted: 0 }
    }

    fn find(&mut self, rows: &Rows, row: usize) -> Place {
        let start = rows.rows[row].start as usize;
        self.lines.advance(&rows.source[self.counted..start]);
        self.counted = start;
        Place {
            line_number: self.lines.line() as i64,
            byte_offset: rows.range.byte_offset + start as i64,
            byte_count: i64::from(rows.rows[row].len),
        }
    }
}

/// Rows of which there is something to tell, in row order.
struct Told {
    schema: &'static Schema,
    list: Vec<RowIssues>,
    places: Places,
}

impl Told {
    fn new(rows: &Rows, schema: &'static Schema) -> Self {
        Self { schema, list: Vec::new(), places: Places::new(rows) }
    }

    fn add(&mut self, rows: &Rows, row: usize, issues: Vec<Issue>) {
        if issues.is_empty() {
            return;
        }
        let Place { line_number, byte_offset, byte_count } = self.places.find(rows, row);
        let external_id = rows.find_text(row, self.schema.keys).map(|text| rows.arena.get(text).trim());
        self.list.push(RowIssues {
            row: row as u32,
            line_number,
            byte_offset,
            byte_count,
            external_id: external_id.filter(|id| !id.is_empty()).map(storable),
            issues,
        });
    }
}

/// A text that every database can keep, of at most 255 characters.
fn storable(text: &str) -> String {
    if text.len() <= 255 && !text.contains('\0') {
        return text.to_owned();
    }
    text.chars().map(|c| if c == '\0' { char::REPLACEMENT_CHARACTER } else { c }).take(255).collect()
}
