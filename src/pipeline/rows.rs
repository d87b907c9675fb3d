//! Rows of a segment, parsed but not judged.

use bytes::Bytes;

use crate::{
    canonical::{
        arena::{Arena, Text},
        cell::{Cell, Value},
        field::Field,
    },
    domain::{
        issue::{Issue, IssueCode},
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
}

/// A row: where it stands, its cells, and what is wrong with it as a whole.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) start: u32,
    pub(super) len: u32,
    pub(super) first_cell: u32,
    pub(super) fault: Option<Box<Issue>>,
}

/// Cells of a usual row, for the first allocation.
const USUAL_CELLS: usize = 20;

impl Rows {
    pub(super) fn new(range: &SegmentRange, source: Bytes) -> Self {
        let rows = range.rows as usize;
        Self {
            range: *range,
            // What adapters derive goes behind the rows' own text.
            arena: Arena::with_capacity(source.len() + source.len() / 4),
            cells: Vec::with_capacity(rows * USUAL_CELLS),
            rows: Vec::with_capacity(rows),
            source,
        }
    }

    /// The one row of a record that is larger than a row may be.
    pub(super) fn oversized(range: &SegmentRange, source: Bytes, limit: usize) -> Self {
        let mut rows = Self::new(range, source);
        let len = rows.source.len();
        rows.begin(0, len);
        let message = format!("the record has more than {limit} bytes (limit row_bytes)");
        rows.refuse(Issue::of_record(IssueCode::RecordTooLarge, message));
        rows
    }

    /// Begins a row at these bytes of the segment.
    pub(super) fn begin(&mut self, start: usize, len: usize) {
        let first_cell = self.cells.len() as u32;
        self.rows.push(Row { start: start as u32, len: len as u32, first_cell, fault: None });
    }

    /// Adds a cell to the open row.
    pub(super) fn add(&mut self, field: Field, value: Value) {
        self.cells.push(Cell { field, value });
    }

    /// Cells of the open row.
    pub(super) fn open_cells(&self) -> &[Cell] {
        let first = self.rows.last().map_or(0, |row| row.first_cell as usize);
        &self.cells[first..]
    }

    /// Refuses the open row as a whole; the first reason stays.
    pub(super) fn refuse(&mut self, issue: Issue) {
        if let Some(row) = self.rows.last_mut() {
            row.fault.get_or_insert_with(|| Box::new(issue));
        }
    }

    /// Cells of a row.
    pub(super) fn cells(&self, row: usize) -> std::ops::Range<usize> {
        let end = self.rows.get(row + 1).map_or(self.cells.len(), |next| next.first_cell as usize);
        self.rows[row].first_cell as usize..end
    }

    /// Text of a cell of a row, if it has one.
    pub(super) fn find_text(&self, row: usize, field: Field) -> Option<Text> {
        let cells = &self.cells[self.cells(row)];
        cells.iter().find(|cell| cell.field == field).map(|cell| cell.value.text())
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
        let Row { start, len, .. } = self.rows[row];
        (self.range.byte_offset + i64::from(start), &self.source[start as usize..(start + len) as usize])
    }
}
