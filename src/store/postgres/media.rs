//! Media of a segment's records.

use sqlx::{AssertSqlSafe, PgConnection, Row};
use uuid::Uuid;

use super::copy;
use crate::store::{
    commit::{
        ADD_MEDIA, Commit, DELETE_MEDIA, DELETE_WARNINGS, FEWER_WARNINGS, MEDIA_CELLS, MEDIA_COLUMNS,
        MediaChange, RecordRow,
    },
    error::Error,
};

/// Queues what records link to; gives how many media they are.
pub(super) async fn queue(
    tx: &mut PgConnection,
    commit: &Commit,
    fresh: &[(&RecordRow, i64)],
) -> Result<i64, Error> {
    if commit.batch.media.is_empty() {
        return Ok(0);
    }
    let links = |record: &RecordRow| commit.media_of(record.row).iter();
    let count = fresh.iter().map(|(record, _)| links(record).len() as i64).sum();
    if count > 0 {
        copy::copy_in(tx, "media", MEDIA_COLUMNS, fresh, |encoder, (record, _)| {
            for medium in links(record) {
                encoder.tuple(MEDIA_CELLS);
                commit.fill_medium(record, medium, encoder);
            }
        })
        .await?;
    }
    Ok(count)
}

/// Takes away the media of records whose place others take, as far as they are of this import.
pub(super) async fn take_away(
    tx: &mut PgConnection,
    commit: &Commit,
    displaced: &[Uuid],
    change: &mut MediaChange,
) -> Result<(), Error> {
    if displaced.is_empty() || !commit.has_media {
        return Ok(());
    }
    let delete = DELETE_MEDIA.replace("{records}", "ANY($2)");
    let delete = sqlx::query(AssertSqlSafe(delete)).bind(commit.claim.application_id.0).bind(displaced);
    for row in delete.bind(commit.claim.import_id.0).fetch_all(tx).await? {
        change.take_away(row.try_get(0)?, row.try_get(1)?);
    }
    Ok(())
}

/// Counts what a segment does to media.
pub(super) async fn count(tx: &mut PgConnection, commit: &Commit, change: &MediaChange) -> Result<(), Error> {
    if change.is_none() {
        return Ok(());
    }
    let (application, import) = (commit.claim.application_id.0, commit.claim.import_id.0);
    let add = sqlx::query(ADD_MEDIA).bind(application).bind(import);
    add.bind(change.pending).bind(change.stored).bind(change.failed).execute(&mut *tx).await?;
    if change.failed == 0 {
        return Ok(());
    }
    let mut kept = 0;
    for row_number in &change.gone_rows {
        let delete = sqlx::query(DELETE_WARNINGS).bind(application).bind(import).bind(row_number);
        kept += delete.execute(&mut *tx).await?.rows_affected() as i64;
    }
    let fewer = sqlx::query(FEWER_WARNINGS).bind(application).bind(import);
    fewer.bind(-change.failed).bind(kept).execute(&mut *tx).await?;
    Ok(())
}
