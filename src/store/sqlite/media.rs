//! Media of a segment's records.

use rusqlite::{Transaction, params};

use super::{Binder, insert_sql, key, shared};
use crate::store::{
    commit::{
        ADD_MEDIA, COUNT_MEDIA, Commit, DELETE_MEDIA, DELETE_WARNINGS, FEWER_WARNINGS, MEDIA_CELLS,
        MEDIA_COLUMNS, MediaChange, RecordRow,
    },
    error::Error,
};

/// Queues what a record links to.
pub(super) fn queue(
    tx: &Transaction<'_>,
    commit: &Commit,
    record: &RecordRow,
    change: &mut MediaChange,
) -> Result<(), Error> {
    for medium in commit.media_of(record.row) {
        let mut insert = tx.prepare_cached(&insert_sql("media", MEDIA_COLUMNS, MEDIA_CELLS))?;
        let mut binder = Binder::new(&mut insert);
        commit.fill_medium(record, medium, &mut binder);
        binder.done()?;
        change.pending += insert.raw_execute()? as i64;
    }
    Ok(())
}

/// Takes away the media of a record that gives its place.
pub(super) fn take_away(
    tx: &Transaction<'_>,
    commit: &Commit,
    record: &RecordRow,
    row_number: i64,
    change: &mut MediaChange,
) -> Result<(), Error> {
    let counts = shared(tx, &COUNT_MEDIA.replace("{lock}", ""))?
        .query_row(key(commit, record), |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]))?;
    if counts != [0; 3] {
        shared(tx, DELETE_MEDIA)?.execute(key(commit, record))?;
        change.take_away(row_number, counts);
    }
    Ok(())
}

/// Counts what a segment does to media.
pub(super) fn count(tx: &Transaction<'_>, commit: &Commit, change: &MediaChange) -> Result<(), Error> {
    if change.is_none() {
        return Ok(());
    }
    let (application, import) =
        (commit.claim.application_id.0.as_bytes(), commit.claim.import_id.0.as_bytes());
    let counts = params![application, import, change.pending, change.stored, change.failed];
    shared(tx, ADD_MEDIA)?.execute(counts)?;
    if change.failed == 0 {
        return Ok(());
    }
    let mut kept = 0;
    for row_number in &change.gone_rows {
        kept += shared(tx, DELETE_WARNINGS)?.execute(params![application, import, row_number])? as i64;
    }
    shared(tx, FEWER_WARNINGS)?.execute(params![application, import, -change.failed, kept])?;
    Ok(())
}
