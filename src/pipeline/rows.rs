//! Rows of a segment, parsed but not judged.

use bytes::Bytes;

use crate::{
    canonical::{
        arena::{Arena, Text},
        cell::{Cell, Value},
        schema::{FieldId, FieldSet, Schema},
    },
    domain::{
        issue::{Issue, IssueCode},
        limits::Limits,
        segment::SegmentRange,
    },
};

/// The rows of one segment.
#[derive(Debug)]
pub struct Rows {
    pub(super) range: SegmentRange,
    pub(super) source: Bytes,
    pub(super) arena: Arena,
    pub(super) cells: Vec<Cell>,
    pub(super) rows: Vec<Row>,
    pub(super) cell_bytes: usize,
}

/// A row: where it stands, its cells, and what was wrong with it when it was parsed.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) start: u32,
    pub(super) len: u32,
    pub(super) first_cell: u32,
    /// Fields given as null, which have no cell.
    pub(super) nulls: FieldSet,
    pub(super) faults: Vec<Issue>,
    /// What its owner should know of it, though it is taken.
    pub(super) warnings: Vec<Issue>,
    /// Whether it came in another system's form, whose odd values are left out and do not fail it.
    pub(super) is_lenient: bool,
}

impl Rows {
    /// No rows yet, with room for those of the segment and `cells` of each.
    pub(super) fn new(range: &SegmentRange, source: Bytes, cells: usize, limits: &Limits) -> Self {
        let rows = range.rows as usize;
        Self {
            range: *range,
            // What adapters derive goes behind the rows' own text.
            arena: Arena::with_capacity(source.len() + source.len() / 4),
            cells: Vec::with_capacity(rows * cells),
            rows: Vec::with_capacity(rows),
            source,
            cell_bytes: limits.cell_bytes,
        }
    }

    /// Goes on with the bytes as they were sent, after some of the rows were parsed blanked out.
    pub fn with_source(self, source: Bytes) -> Self {
        Self { source, ..self }
    }

    /// Makes all the bytes one row: the beginning of a record that is larger than a row may be.
    pub(super) fn refuse_oversized(&mut self, limits: &Limits) {
        self.begin(0, self.source.len());
        let message = format!("the record has more than {} bytes (limit row_bytes)", limits.row_bytes);
        self.refuse(Issue::of_record(IssueCode::RecordTooLarge, message));
    }

    /// Begins a row at these bytes of the segment.
    pub(super) fn begin(&mut self, start: usize, len: usize) {
        let first_cell = self.cells.len() as u32;
        self.rows.push(Row {
            start: start as u32,
            len: len as u32,
            first_cell,
            nulls: FieldSet::default(),
            faults: Vec::new(),
            warnings: Vec::new(),
            is_lenient: false,
        });
    }

    /// Adds a cell to the open row.
    pub(super) fn add(&mut self, schema: &Schema, field: FieldId, value: Value) {
        let bytes = value.text().len();
        if bytes > self.cell_bytes {
            let message =
                format!("has {bytes} bytes, and {} are allowed (limit cell_bytes)", self.cell_bytes);
            self.refuse(Issue::of_field(IssueCode::TooLong, schema.spec(field).name, message));
        }
        self.cells.push(Cell { field, value });
    }

    /// Remembers that the open row gives a field as null.
    pub(super) fn add_null(&mut self, field: FieldId) {
        if let Some(row) = self.rows.last_mut() {
            row.nulls.insert(field);
        }
    }

    /// Refuses the open row. Whatever else is wrong with its fields is told, too, unless the record as a
    /// whole is at fault.
    pub(super) fn refuse(&mut self, issue: Issue) {
        if let Some(row) = self.rows.last_mut()
            && !row.faults.iter().any(|fault| fault.field == issue.field && fault.code == issue.code)
        {
            row.faults.push(issue);
        }
    }

    /// Cells of a row.
    pub(super) fn cells(&self, row: usize) -> std::ops::Range<usize> {
        let end = self.rows.get(row + 1).map_or(self.cells.len(), |next| next.first_cell as usize);
        self.rows[row].first_cell as usize..end
    }

    /// Text of the first of these fields that a row has.
    pub(super) fn find_text(&self, row: usize, fields: &[FieldId]) -> Option<Text> {
        let cells = &self.cells[self.cells(row)];
        let find = |field| cells.iter().find(|cell| cell.field == field).map(|cell| cell.value.text());
        fields.iter().find_map(|field| find(*field))
    }

    /// Text of a field of a row, if it has one.
    pub fn find(&self, row: usize, field: FieldId) -> Option<&str> {
        self.find_text(row, &[field]).map(|text| self.arena.get(text))
    }

    /// Cells of a row, as they were parsed.
    pub(super) fn fields(&self, row: usize) -> &[Cell] {
        &self.cells[self.cells(row)]
    }

    /// The text of a value of theirs.
    pub(super) fn text(&self, value: Value) -> &str {
        self.arena.get(value.text())
    }

    /// Whether a row could not be parsed as it should be.
    pub fn is_faulty(&self, row: usize) -> bool {
        !self.rows[row].faults.is_empty()
    }

    /// The bytes of the segment that a row takes, line end included.
    pub fn span(&self, row: usize) -> std::ops::Range<usize> {
        let Row { start, len, .. } = self.rows[row];
        start as usize..(start + len) as usize
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Where row `row` begins in the source, and its bytes: for tests against a whole-file parse.
    pub fn location(&self, row: usize) -> (i64, &[u8]) {
        let span = self.span(row);
        (self.range.byte_offset + span.start as i64, &self.source[span])
    }
}
