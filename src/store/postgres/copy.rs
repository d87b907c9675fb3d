//! Binary COPY of records, and what they take the place of.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{AssertSqlSafe, PgConnection, postgres::PgCopyIn};
use uuid::Uuid;

use crate::{
    fault_points,
    store::{
        commit::{Commit, KEY_COLUMNS, RecordRow},
        error::Error,
        table::{self, Cells},
    },
};

/// Bytes of one message of a COPY.
const COPY_PIECE_BYTES: usize = 256 << 10;

/// Days from 1970 to 2000, PostgreSQL's day 0.
const PG_EPOCH_DAYS: i32 = 10_957;

/// Microseconds from 1970 to 2000, PostgreSQL's time 0.
const PG_EPOCH_MICROS: i64 = 946_684_800_000_000;

/// Keeps records as they were before this import changed them; the first state counts.
pub(super) async fn keep_replaced(tx: &mut PgConnection, commit: &Commit, ids: &[Uuid]) -> Result<(), Error> {
    if ids.is_empty() || commit.dry_run {
        return Ok(());
    }
    let (name, columns) = (commit.table.name, commit.table.columns);
    let insert = format!(
        "INSERT INTO replaced_{name} (replaced_by, {columns}) SELECT $3, {columns} FROM {name} \
         WHERE application_id = $1 AND id = ANY($2) ON CONFLICT DO NOTHING"
    );
    let claim = &commit.claim;
    let query = sqlx::query(AssertSqlSafe(insert)).bind(claim.application_id.0).bind(ids);
    query.bind(claim.import_id.0).execute(tx).await?;
    Ok(())
}

/// Locks records whose place others take; tells whether each still is of the row it was found to be of.
/// Another segment may have taken the place of one since.
pub(super) async fn lock(
    tx: &mut PgConnection,
    commit: &Commit,
    displaced: &[(Uuid, Option<i64>)],
) -> Result<bool, Error> {
    if displaced.is_empty() {
        return Ok(true);
    }
    let (table, import) = match commit.dry_run {
        true => ("dry_run_keys", "AND u.import_id = $2"),
        false => (commit.table.name, ""),
    };
    let lock = format!(
        "SELECT COUNT(*) FROM (SELECT u.id, u.import_id, u.row_number FROM {table} u \
             WHERE u.application_id = $1 AND u.id = ANY($3) {import} ORDER BY u.id FOR UPDATE) AS l \
         JOIN UNNEST($3::uuid[], $4::bigint[]) AS k (id, row_number) ON k.id = l.id \
         WHERE k.row_number IS NOT DISTINCT FROM CASE WHEN l.import_id = $2 THEN l.row_number END"
    );
    let (ids, rows): (Vec<Uuid>, Vec<Option<i64>>) = displaced.iter().copied().unzip();
    let claim = &commit.claim;
    let query = sqlx::query_scalar(AssertSqlSafe(lock)).bind(claim.application_id.0).bind(claim.import_id.0);
    let unchanged: i64 = query.bind(ids).bind(rows).fetch_one(tx).await?;
    Ok(unchanged == displaced.len() as i64)
}

/// Takes away records whose place others take.
pub(super) async fn delete(tx: &mut PgConnection, commit: &Commit, ids: &[Uuid]) -> Result<(), Error> {
    if ids.is_empty() {
        return Ok(());
    }
    let (table, import) = match commit.dry_run {
        true => ("dry_run_keys", "AND import_id = $3"),
        false => (commit.table.name, "AND $3 IS NOT NULL"),
    };
    let delete = format!("DELETE FROM {table} WHERE application_id = $1 AND id = ANY($2) {import}");
    let claim = &commit.claim;
    let query = sqlx::query(AssertSqlSafe(delete)).bind(claim.application_id.0).bind(ids);
    query.bind(claim.import_id.0).execute(tx).await?;
    Ok(())
}

/// Writes records with their numbers.
pub(super) async fn copy(
    tx: &mut PgConnection,
    commit: &Commit,
    fresh: &[(&RecordRow, i64)],
) -> Result<(), Error> {
    let (table, columns) = match commit.dry_run {
        true => ("dry_run_keys", KEY_COLUMNS),
        false => (commit.table.name, commit.table.columns),
    };
    copy_in(tx, table, columns, fresh, |encoder, (record, number)| {
        if commit.dry_run {
            encoder.key(commit, record);
        } else {
            encoder.tuple(commit.table.count);
            table::fill(commit, record, *number, encoder);
        }
    })
    .await
}

/// Writes to a table what `encode` makes of each record.
pub(super) async fn copy_in(
    tx: &mut PgConnection,
    table: &str,
    columns: &str,
    fresh: &[(&RecordRow, i64)],
    encode: impl FnMut(&mut Encoder, &(&RecordRow, i64)),
) -> Result<(), Error> {
    let mut copy = tx.copy_in_raw(&format!("COPY {table} ({columns}) FROM STDIN (FORMAT binary)")).await?;
    match send(&mut copy, fresh, encode).await {
        Ok(()) => {
            copy.finish().await?;
            Ok(())
        }
        Err(error) => {
            copy.abort("the copy was given up").await?;
            Err(error.into())
        }
    }
}

/// Encodes and sends, a piece at a time, so that a segment never exists twice.
async fn send(
    copy: &mut PgCopyIn<&mut PgConnection>,
    fresh: &[(&RecordRow, i64)],
    mut encode: impl FnMut(&mut Encoder, &(&RecordRow, i64)),
) -> Result<(), sqlx::Error> {
    let mut encoder = Encoder::new();
    for record in fresh {
        encode(&mut encoder, record);
        if encoder.bytes.len() >= COPY_PIECE_BYTES {
            copy.send(encoder.bytes.as_slice()).await?;
            encoder.bytes.clear();
        }
    }
    fault_points::reach("in_copy");
    encoder.end();
    copy.send(encoder.bytes.as_slice()).await?;
    Ok(())
}

/// Writes rows in PostgreSQL's binary COPY format.
pub(super) struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    fn new() -> Self {
        let mut bytes = Vec::with_capacity(COPY_PIECE_BYTES + (COPY_PIECE_BYTES >> 2));
        bytes.extend_from_slice(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0");
        Self { bytes }
    }

    fn end(&mut self) {
        self.bytes.extend_from_slice(&(-1i16).to_be_bytes());
    }

    pub(super) fn tuple(&mut self, columns: usize) {
        self.bytes.extend_from_slice(&(columns as i16).to_be_bytes());
    }

    fn cell(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
        self.bytes.extend_from_slice(bytes);
    }

    fn null(&mut self) {
        self.bytes.extend_from_slice(&(-1i32).to_be_bytes());
    }

    /// One row of `dry_run_keys`, in the order of [`KEY_COLUMNS`].
    fn key(&mut self, commit: &Commit, record: &RecordRow) {
        self.tuple(4);
        self.uuid(commit.claim.application_id.0);
        self.uuid(commit.claim.import_id.0);
        self.uuid(record.id);
        self.bigint(commit.row_number(record.row));
    }
}

impl Cells for Encoder {
    fn uuid(&mut self, id: Uuid) {
        self.cell(id.as_bytes());
    }

    fn bigint(&mut self, number: i64) {
        self.cell(&number.to_be_bytes());
    }

    fn int(&mut self, number: i32) {
        self.cell(&number.to_be_bytes());
    }

    fn text(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.cell(text.as_bytes()),
            None => self.null(),
        }
    }

    fn time(&mut self, time: Option<DateTime<Utc>>) {
        match time {
            Some(time) => self.cell(&(time.timestamp_micros() - PG_EPOCH_MICROS).to_be_bytes()),
            None => self.null(),
        }
    }

    fn date(&mut self, date: Option<NaiveDate>) {
        match date {
            Some(date) => self.cell(&(date.to_epoch_days() - PG_EPOCH_DAYS).to_be_bytes()),
            None => self.null(),
        }
    }
}
