//! The segment transaction on PostgreSQL: binary COPY straight into the table.
//!
//! While nothing exists, rows are copied without a look. Once a key exists (a unique violation, or
//! the segment before met one) the keys are probed first and only new rows are copied. When another
//! transaction wins a key between probe and copy, the savepoint is rolled back and the probe, which
//! now sees it, is run again; each turn has met a newly committed key, so it comes to an end.
//! Keys go in sorted, so that two transactions wait for each other's keys in one order only.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{Connection, PgConnection, PgPool, Row, postgres::PgCopyIn};
use uuid::Uuid;

use super::{
    commit::{
        ADD_COUNTERS, COMPLETE, Commit, Committed, ERROR_COLUMNS, Existing, FENCE, FORGET_KEYS, KEY_COLUMNS,
        MOVE_CHECKPOINT, SEGMENT_DONE, SEGMENT_OF_ROW, SESSION_COLUMN_COUNT, SESSION_COLUMNS, SET_LEDGER,
        SessionRow, Settled, Verdict,
    },
    error::{Error, is_unique_violation},
};
use crate::domain::ledger::{Ledger, Outcome};

/// Bytes of one message of a COPY.
const COPY_PIECE_BYTES: usize = 256 << 10;

/// Days from 1970 to 2000, PostgreSQL's day 0.
const PG_EPOCH_DAYS: i32 = 10_957;

/// Microseconds from 1970 to 2000, PostgreSQL's time 0.
const PG_EPOCH_MICROS: i64 = 946_684_800_000_000;

pub(super) async fn commit(pool: PgPool, commit: Commit) -> Result<Committed, Error> {
    let mut tx = pool.begin().await?;
    let result = write(&mut tx, &commit).await;
    match result {
        Ok(committed) => {
            tx.commit().await?;
            Ok(committed)
        }
        Err(error) => {
            tx.rollback().await?;
            Err(error)
        }
    }
}

async fn write(tx: &mut PgConnection, commit: &Commit) -> Result<Committed, Error> {
    let claim = &commit.claim;
    let (application, import) = (claim.application_id.0, claim.import_id.0);
    let fence = format!("{FENCE} FOR UPDATE");
    let held = sqlx::query(sqlx::AssertSqlSafe(fence))
        .bind(application)
        .bind(import)
        .bind(claim.range.seq)
        .bind(claim.epoch)
        .fetch_optional(&mut *tx)
        .await?;
    if held.is_none() {
        return Err(Error::LeaseLost);
    }
    let settled = write_records(tx, commit).await?;
    write_row_errors(tx, commit).await?;
    give_places(tx, commit, &settled).await?;
    sqlx::query(SEGMENT_DONE)
        .bind(application)
        .bind(import)
        .bind(claim.range.seq)
        .bind(settled.ledger.as_bytes())
        .execute(&mut *tx)
        .await?;
    let counters = settled.counters();
    let counted = sqlx::query(ADD_COUNTERS)
        .bind(application)
        .bind(import)
        .bind(counters.created)
        .bind(counters.updated)
        .bind(counters.skipped)
        .bind(counters.failed)
        .bind(counters.duplicate)
        .bind(i64::from(claim.range.bytes))
        .bind(commit.now)
        .execute(&mut *tx)
        .await?;
    if counted.rows_affected() != 1 {
        return Err(Error::LeaseLost);
    }
    sqlx::query(MOVE_CHECKPOINT).bind(application).bind(import).execute(&mut *tx).await?;
    let completed =
        sqlx::query(COMPLETE).bind(application).bind(import).bind(commit.now).execute(&mut *tx).await?;
    let ended = completed.rows_affected() == 1;
    if ended && commit.dry_run {
        sqlx::query(FORGET_KEYS).bind(application).bind(import).execute(&mut *tx).await?;
    }
    Ok(Committed { ended })
}

/// Writes the records whose keys are free, and tells what became of every row.
async fn write_records(tx: &mut PgConnection, commit: &Commit) -> Result<Settled, Error> {
    let sessions = &commit.batch.sessions;
    let mut existing = HashMap::new();
    if commit.expect_existing {
        existing = probe(tx, commit).await?;
    }
    loop {
        let mut settled = Settled::new(commit);
        let mut fresh: Vec<&SessionRow> = Vec::with_capacity(sessions.len());
        let mut displaced: Vec<Uuid> = Vec::new();
        for session in sessions {
            let verdict = existing
                .get(&session.id.0)
                .map(|known: &Existing| (commit.judge(session.row, *known), known));
            match verdict {
                None => fresh.push(session),
                Some((Verdict::Replace, known)) => {
                    settled.replaced.push(known.row_number);
                    displaced.push(session.id.0);
                    fresh.push(session);
                }
                Some((verdict, _)) => settled.skip(session.row, verdict == Verdict::Duplicate),
            }
        }
        if fresh.is_empty() {
            return Ok(settled);
        }
        let mut savepoint = tx.begin().await?;
        match copy(&mut savepoint, commit, &fresh, &displaced).await {
            Ok(()) => {
                savepoint.commit().await?;
                return Ok(settled);
            }
            Err(error) if is_unique_violation(&error) => {
                savepoint.rollback().await?;
                existing = probe(tx, commit).await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Finds the records that have the keys of this segment.
///
/// One index lookup a key, whatever the planner thinks: `LIMIT` keeps it from turning the lookups into
/// a join over the application's records, which it did on a fresh table without statistics.
async fn probe(tx: &mut PgConnection, commit: &Commit) -> Result<HashMap<Uuid, Existing>, Error> {
    const SESSIONS: &str = "SELECT k.id, s.import_id, s.row_number FROM UNNEST($2::uuid[]) AS k (id) \
        CROSS JOIN LATERAL (SELECT import_id, row_number FROM user_sessions u \
            WHERE u.application_id = $1 AND u.id = k.id LIMIT 1) AS s";
    const KEYS: &str = "SELECT k.id, s.import_id, s.row_number FROM UNNEST($2::uuid[]) AS k (id) \
        CROSS JOIN LATERAL (SELECT import_id, row_number FROM dry_run_keys u \
            WHERE u.application_id = $1 AND u.import_id = $3 AND u.id = k.id LIMIT 1) AS s";
    let ids: Vec<Uuid> = commit.batch.sessions.iter().map(|session| session.id.0).collect();
    let application = commit.claim.application_id.0;
    let mut rows = sqlx::query(SESSIONS).bind(application).bind(&ids).fetch_all(&mut *tx).await?;
    if commit.dry_run {
        let keys = sqlx::query(KEYS).bind(application).bind(&ids).bind(commit.claim.import_id.0);
        rows.extend(keys.fetch_all(&mut *tx).await?);
    }
    rows.iter()
        .map(|row| {
            let existing = Existing { import_id: row.try_get(1)?, row_number: row.try_get(2)? };
            Ok((row.try_get(0)?, existing))
        })
        .collect()
}

async fn copy(
    tx: &mut PgConnection,
    commit: &Commit,
    fresh: &[&SessionRow],
    displaced: &[Uuid],
) -> Result<(), sqlx::Error> {
    let (table, columns) = match commit.dry_run {
        true => ("dry_run_keys", KEY_COLUMNS),
        false => ("user_sessions", SESSION_COLUMNS),
    };
    let application = commit.claim.application_id.0;
    if !displaced.is_empty() {
        let import = if commit.dry_run { "AND import_id = $3" } else { "AND $3 IS NOT NULL" };
        let delete = format!("DELETE FROM {table} WHERE application_id = $1 AND id = ANY($2) {import}");
        sqlx::query(sqlx::AssertSqlSafe(delete))
            .bind(application)
            .bind(displaced)
            .bind(commit.claim.import_id.0)
            .execute(&mut *tx)
            .await?;
    }
    let mut copy = tx.copy_in_raw(&format!("COPY {table} ({columns}) FROM STDIN (FORMAT binary)")).await?;
    match send(&mut copy, commit, fresh).await {
        Ok(()) => copy.finish().await.map(drop),
        Err(error) => {
            copy.abort("the copy was given up").await?;
            Err(error)
        }
    }
}

/// Encodes and sends, a piece at a time, so that a segment never exists twice.
async fn send(
    copy: &mut PgCopyIn<&mut PgConnection>,
    commit: &Commit,
    fresh: &[&SessionRow],
) -> Result<(), sqlx::Error> {
    let mut encoder = Encoder::new();
    for session in fresh {
        if commit.dry_run {
            encoder.key(commit, session)
        } else {
            encoder.session(commit, session)
        }
        if encoder.0.len() >= COPY_PIECE_BYTES {
            copy.send(encoder.0.as_slice()).await?;
            encoder.0.clear();
        }
    }
    encoder.end();
    copy.send(encoder.0.as_slice()).await?;
    Ok(())
}

async fn write_row_errors(tx: &mut PgConnection, commit: &Commit) -> Result<(), Error> {
    let failures = &commit.batch.failures;
    if failures.is_empty() {
        return Ok(());
    }
    let insert = format!(
        "INSERT INTO row_errors ({ERROR_COLUMNS}) SELECT $1, $2, r, l, o, c, e, i::json, $9 \
         FROM UNNEST($3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[], $8::text[]) AS t (r, l, o, c, e, i)"
    );
    let issues: Vec<String> = failures
        .iter()
        .map(|f| serde_json::to_string(&f.issues))
        .collect::<Result<_, _>>()
        .map_err(|_| Error::Corrupt("issue"))?;
    sqlx::query(sqlx::AssertSqlSafe(insert))
        .bind(commit.claim.application_id.0)
        .bind(commit.claim.import_id.0)
        .bind(failures.iter().map(|f| commit.row_number(f.row)).collect::<Vec<_>>())
        .bind(failures.iter().map(|f| f.line_number).collect::<Vec<_>>())
        .bind(failures.iter().map(|f| f.byte_offset).collect::<Vec<_>>())
        .bind(failures.iter().map(|f| f.byte_count).collect::<Vec<_>>())
        .bind(failures.iter().map(|f| f.external_id.as_deref()).collect::<Vec<_>>())
        .bind(issues)
        .bind(commit.now)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

/// Turns the ledger entries of later rows that gave their place to `skipped`, in row order.
async fn give_places(tx: &mut PgConnection, commit: &Commit, settled: &Settled) -> Result<(), Error> {
    let (application, import) = (commit.claim.application_id.0, commit.claim.import_id.0);
    let find = format!("{SEGMENT_OF_ROW} FOR UPDATE");
    let mut replaced = settled.replaced.clone();
    replaced.sort_unstable();
    for row_number in replaced {
        let row = sqlx::query(sqlx::AssertSqlSafe(find.as_str()))
            .bind(application)
            .bind(import)
            .bind(row_number)
            .fetch_one(&mut *tx)
            .await?;
        let (seq, first_row, rows): (i32, i64, i32) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let mut ledger =
            Ledger::from_bytes(row.try_get(3)?, rows as usize).ok_or(Error::Corrupt("segments.ledger"))?;
        ledger.set((row_number - first_row) as usize, Outcome::Skipped);
        sqlx::query(SET_LEDGER)
            .bind(application)
            .bind(import)
            .bind(seq)
            .bind(ledger.as_bytes())
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}

/// Writes rows in PostgreSQL's binary COPY format.
struct Encoder(Vec<u8>);

impl Encoder {
    fn new() -> Self {
        let mut bytes = Vec::with_capacity(COPY_PIECE_BYTES + (COPY_PIECE_BYTES >> 2));
        bytes.extend_from_slice(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0");
        Self(bytes)
    }

    fn end(&mut self) {
        self.0.extend_from_slice(&(-1i16).to_be_bytes());
    }

    fn tuple(&mut self, columns: usize) {
        self.0.extend_from_slice(&(columns as i16).to_be_bytes());
    }

    fn cell(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
        self.0.extend_from_slice(bytes);
    }

    fn null(&mut self) {
        self.0.extend_from_slice(&(-1i32).to_be_bytes());
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

    fn key(&mut self, commit: &Commit, session: &SessionRow) {
        self.tuple(4);
        self.cell(commit.claim.application_id.0.as_bytes());
        self.cell(commit.claim.import_id.0.as_bytes());
        self.cell(session.id.0.as_bytes());
        self.cell(&commit.row_number(session.row).to_be_bytes());
    }

    /// One row of `user_sessions`, in the order of [`SESSION_COLUMNS`].
    fn session(&mut self, commit: &Commit, session: &SessionRow) {
        let (record, arena) = (&session.record, &commit.batch.arena);
        self.tuple(SESSION_COLUMN_COUNT);
        self.cell(commit.claim.application_id.0.as_bytes());
        self.cell(session.id.0.as_bytes());
        self.cell(&commit.session_number(session.row).to_be_bytes());
        self.cell(commit.claim.import_id.0.as_bytes());
        self.cell(&commit.row_number(session.row).to_be_bytes());
        self.cell(commit.workflow_id.0.as_bytes());
        self.cell(commit.provider(record).as_bytes());
        self.cell(arena.get(record.external_id).as_bytes());
        self.text(arena.find(record.vendor_data));
        self.cell(record.status().as_str().as_bytes());
        self.time(Some(record.created_at.unwrap_or(commit.imported_at)));
        self.time(record.expires_at);
        self.text(record.document_type.map(|document| document.as_str()));
        self.text(arena.find(record.document_subtype));
        self.text(arena.find(record.document_number));
        self.text(arena.find(record.personal_number));
        self.text(arena.find(record.first_name));
        self.text(arena.find(record.last_name));
        self.text(arena.find(record.full_name));
        self.date(record.date_of_birth);
        self.text(record.gender.map(|gender| gender.as_str()));
        self.text(arena.find(record.nationality));
        self.text(record.issuing_state);
        self.date(record.date_of_issue);
        self.date(record.expiration_date);
        self.text(arena.find(record.address));
        self.text(arena.find(record.place_of_birth));
        self.text(record.id_verification_status.map(|status| status.as_str()));
        self.text(arena.find(record.email));
        self.text(arena.find(record.phone));
        self.text(arena.find(session.details));
        self.text(arena.find(record.metadata));
    }
}
