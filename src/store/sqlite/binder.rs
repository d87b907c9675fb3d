//! Cells as parameters of a statement.

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use rusqlite::{CachedStatement, ToSql};
use uuid::Uuid;

use crate::store::table::Cells;

/// Binds the cells of a row to the parameters of a statement.
pub(super) struct Binder<'b, 't> {
    statement: &'b mut CachedStatement<'t>,
    bound: usize,
    failed: Option<rusqlite::Error>,
}

impl<'b, 't> Binder<'b, 't> {
    pub(super) fn new(statement: &'b mut CachedStatement<'t>) -> Self {
        Self { statement, bound: 0, failed: None }
    }

    /// Whether every cell could be bound.
    pub(super) fn done(self) -> rusqlite::Result<()> {
        self.failed.map_or(Ok(()), Err)
    }
}

impl Binder<'_, '_> {
    fn bind(&mut self, value: impl ToSql) {
        self.bound += 1;
        if let Err(error) = self.statement.raw_bind_parameter(self.bound, value) {
            self.failed.get_or_insert(error);
        }
    }
}

impl Cells for Binder<'_, '_> {
    fn uuid(&mut self, id: Uuid) {
        self.bind(id.as_bytes());
    }

    fn bigint(&mut self, number: i64) {
        self.bind(number);
    }

    fn int(&mut self, number: i32) {
        self.bind(number);
    }

    fn text(&mut self, text: Option<&str>) {
        self.bind(text);
    }

    fn time(&mut self, at: Option<DateTime<Utc>>) {
        self.bind(at.map(time));
    }

    fn date(&mut self, day: Option<NaiveDate>) {
        self.bind(day.map(date));
    }
}

/// A timestamp as sqlx writes it, so that both write the same text and texts sort as times do.
pub(super) fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, false)
}

fn date(date: NaiveDate) -> String {
    date.format("%F").to_string()
}
