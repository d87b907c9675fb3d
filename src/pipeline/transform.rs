//! Rows to records: adapt, validate, key, sort.

use chrono::{DateTime, Utc};

use super::rows::Rows;
use crate::{
    adapters::generic,
    canonical::field::Field,
    domain::{ids::SessionId, import::Import, issue::Issue, lines::LineCounter},
    store::{Batch, RowFailure, SessionRow},
};

pub(super) fn transform(import: &Import, mut rows: Rows, now: DateTime<Utc>) -> Batch {
    let count = rows.len();
    let mut sessions = Vec::with_capacity(count);
    let mut failures = Failures::new(&rows);
    let mut issues = Vec::new();
    for row in 0..count {
        if let Some(fault) = rows.rows[row].fault.take() {
            failures.add(&rows, row, vec![*fault]);
            continue;
        }
        let cells = rows.cells(row);
        let record = generic::user_verification(&rows.cells[cells], &mut rows.arena, now, &mut issues);
        if !issues.is_empty() {
            failures.add(&rows, row, std::mem::take(&mut issues));
            continue;
        }
        let provider = rows.arena.find(record.provider).unwrap_or(&import.spec.provider);
        let id =
            SessionId::of_user_session(import.application_id, provider, rows.arena.get(record.external_id));
        sessions.push(SessionRow { id, row: row as u32, record });
    }
    let failures = failures.list;
    let duplicates = keep_first_of_each_key(&mut sessions);
    Batch { arena: rows.arena, rows: count, sessions, duplicates, failures }
}

/// Sorts by key, which is the order in which the database locks them, and takes out rows whose key
/// stands earlier in the segment.
fn keep_first_of_each_key(sessions: &mut Vec<SessionRow>) -> Vec<u32> {
    // Cached: a record is large, and so is moved once and not at every comparison.
    sessions.sort_by_cached_key(|session| (session.id, session.row));
    let mut duplicates = Vec::new();
    sessions.dedup_by(|later, first| {
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
    list: Vec<RowFailure>,
    lines: LineCounter,
    counted: usize,
}

impl Failures {
    fn new(rows: &Rows) -> Self {
        Self { list: Vec::new(), lines: LineCounter::at(rows.range.first_line as u64), counted: 0 }
    }

    fn add(&mut self, rows: &Rows, row: usize, issues: Vec<Issue>) {
        let start = rows.rows[row].start as usize;
        self.lines.advance(&rows.source[self.counted..start]);
        self.counted = start;
        let external_id = rows.find_text(row, Field::ExternalId).map(|text| rows.arena.get(text).trim());
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
