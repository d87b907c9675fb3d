//! Media of a segment's records.

use rusqlite::{Transaction, params};

use super::{Binder, insert_sql, key, shared};
use crate::store::{
    commit::{
        ADD_MEDIA, Commit, DELETE_MEDIA, DELETE_WARNINGS, FEWER_WARNINGS, MEDIA_CELLS, MEDIA_COLUMNS,
        MediaChange, RecordRow,
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

/// Takes away the media of a record whose place another takes, as far as they are of this import.
pub(super) fn take_away(
    tx: &Transaction<'_>,
    commit: &Commit,
    record: &RecordRow,
    change: &mut MediaChange,
) -> Result<(), Error> {
    if !commit.has_media {
        return Ok(());
    }
    let mut delete = shared(tx, &DELETE_MEDIA.replace("{records}", "$2"))?;
    let mut gone = delete.query(key(commit, record))?;
    while let Some(row) = gone.next()? {
        change.take_away(row.get(0)?, &row.get::<_, String>(1)?);
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
