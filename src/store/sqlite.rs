//! The segment transaction on SQLite: prepared statements on a connection of its own.
//!
//! An async driver pays a channel trip a statement, which costs more than SQLite does; so this one
//! writer speaks to SQLite directly, on a blocking thread.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::{
    commit::{
        ADD_COUNTERS, COMPLETE, Commit, Committed, ERROR_COLUMNS, Existing, FENCE, FORGET_KEYS, KEY_COLUMNS,
        MOVE_CHECKPOINT, SEGMENT_DONE, SEGMENT_OF_ROW, SESSION_COLUMN_COUNT, SESSION_COLUMNS, SET_LEDGER,
        SessionRow, Settled, Verdict,
    },
    connect::SQLITE_BUSY,
    error::Error,
};
use crate::domain::ledger::{Ledger, Outcome};

/// The one bulk writer.
#[derive(Clone)]
pub(super) struct Writer(Arc<Mutex<Connection>>);

/// Statements that a segment uses; as many are kept prepared.
const STATEMENTS: usize = 32;

impl Writer {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(SQLITE_BUSY)?;
        // A checkpoint copies random index pages; at every 1,000 pages it costs a third of the speed.
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 10000; \
             PRAGMA cache_size = -16384;",
        )?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    pub(super) fn commit(&self, commit: &Commit) -> Result<Committed, Error> {
        // A transaction rolls back when it is dropped, so a writer that panicked left nothing open.
        let mut connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let committed = write(&tx, commit)?;
        tx.commit()?;
        Ok(committed)
    }
}

fn write(tx: &Transaction<'_>, commit: &Commit) -> Result<Committed, Error> {
    let claim = &commit.claim;
    let (application, import) = (claim.application_id.0.as_bytes(), claim.import_id.0.as_bytes());
    if !shared(tx, FENCE)?.exists(params![application, import, claim.range.seq, claim.epoch])? {
        return Err(Error::LeaseLost);
    }
    let mut settled = Settled::new(commit);
    let mut records = Records::prepare(tx, commit)?;
    for session in &commit.batch.sessions {
        records.write(session, &mut settled)?;
    }
    write_row_errors(tx, commit)?;
    for row_number in &settled.replaced {
        give_place(tx, commit, *row_number)?;
    }
    shared(tx, SEGMENT_DONE)?.execute(params![
        application,
        import,
        claim.range.seq,
        settled.ledger.as_bytes()
    ])?;
    let counters = settled.counters();
    let counted = shared(tx, ADD_COUNTERS)?.execute(params![
        application,
        import,
        counters.created,
        counters.updated,
        counters.skipped,
        counters.failed,
        counters.duplicate,
        i64::from(claim.range.bytes),
        time(commit.now),
    ])?;
    if counted != 1 {
        return Err(Error::LeaseLost);
    }
    shared(tx, MOVE_CHECKPOINT)?.execute(params![application, import])?;
    let completed = shared(tx, COMPLETE)?.execute(params![application, import, time(commit.now)])?;
    let ended = completed == 1;
    if ended && commit.dry_run {
        shared(tx, FORGET_KEYS)?.execute(params![application, import])?;
    }
    Ok(Committed { ended })
}

/// The statements a record may need, prepared once a segment.
struct Records<'t> {
    commit: &'t Commit,
    insert: CachedStatement<'t>,
    /// Finds a session that has the key.
    find: CachedStatement<'t>,
    /// Finds the key among those this dry run has met.
    find_key: CachedStatement<'t>,
    delete: CachedStatement<'t>,
    /// The details of one record.
    details: String,
}

impl<'t> Records<'t> {
    fn prepare(tx: &'t Transaction<'_>, commit: &'t Commit) -> Result<Self, Error> {
        let (table, insert) = match commit.dry_run {
            true => ("dry_run_keys", insert_sql("dry_run_keys", KEY_COLUMNS, 4)),
            false => ("user_sessions", insert_sql("user_sessions", SESSION_COLUMNS, SESSION_COLUMN_COUNT)),
        };
        let by_key = "application_id = ?1 AND id = ?2";
        let columns = "CASE WHEN import_id = ?3 THEN row_number END";
        Ok(Self {
            commit,
            insert: tx.prepare_cached(&insert)?,
            find: tx.prepare_cached(&format!("SELECT {columns} FROM user_sessions WHERE {by_key}"))?,
            find_key: tx.prepare_cached(&format!(
                "SELECT {columns} FROM dry_run_keys WHERE {by_key} AND import_id = ?3"
            ))?,
            delete: tx.prepare_cached(&format!("DELETE FROM {table} WHERE {by_key} AND import_id = ?3"))?,
            details: String::new(),
        })
    }

    /// Writes a record if its key is free, and settles its row.
    fn write(&mut self, session: &SessionRow, settled: &mut Settled) -> Result<(), Error> {
        if self.commit.dry_run
            && let Some(known) = self.find_session(session)?
        {
            // Of another import, since a dry run writes no session.
            settled.skip(session.row, self.commit.judge(session.row, known) == Verdict::Duplicate);
            return Ok(());
        }
        if self.insert(session)? {
            return Ok(());
        }
        let known = if self.commit.dry_run { self.find_key(session)? } else { self.find_session(session)? };
        let known = known.ok_or(Error::Corrupt("session key"))?;
        match self.commit.judge(session.row, known) {
            Verdict::Replace { row_number } => {
                let claim = &self.commit.claim;
                let key = params![
                    claim.application_id.0.as_bytes(),
                    session.id.0.as_bytes(),
                    claim.import_id.0.as_bytes()
                ];
                self.delete.execute(key)?;
                self.insert(session)?;
                settled.replaced.push(row_number);
            }
            verdict => settled.skip(session.row, verdict == Verdict::Duplicate),
        }
        Ok(())
    }

    fn find_session(&mut self, session: &SessionRow) -> Result<Option<Existing>, Error> {
        find(&mut self.find, self.commit, session)
    }

    fn find_key(&mut self, session: &SessionRow) -> Result<Option<Existing>, Error> {
        find(&mut self.find_key, self.commit, session)
    }

    /// Inserts a record (or, in a dry run, its key); tells whether the key was free.
    fn insert(&mut self, session: &SessionRow) -> Result<bool, Error> {
        let commit = self.commit;
        let (record, arena) = (&session.record, &commit.batch.arena);
        let application = commit.claim.application_id.0.as_bytes();
        let import = commit.claim.import_id.0.as_bytes();
        let id = session.id.0.as_bytes();
        let row_number = commit.row_number(session.row);
        if commit.dry_run {
            return Ok(self.insert.execute(params![application, import, id, row_number])? == 1);
        }
        self.details.clear();
        record.details.write_json(arena, &mut self.details);
        let inserted = self.insert.execute(params![
            application,
            id,
            commit.session_number(session.row),
            import,
            row_number,
            commit.workflow_id.0.as_bytes(),
            commit.provider(record),
            arena.get(record.external_id),
            arena.find(record.vendor_data),
            record.status().as_str(),
            time(record.created_at.unwrap_or(commit.imported_at)),
            record.expires_at.map(time),
            record.document_type.map(|document| document.as_str()),
            arena.find(record.document_subtype),
            arena.find(record.document_number),
            arena.find(record.personal_number),
            arena.find(record.first_name),
            arena.find(record.last_name),
            arena.find(record.full_name),
            record.date_of_birth.map(date),
            record.gender.map(|gender| gender.as_str()),
            arena.find(record.nationality),
            record.issuing_state,
            record.date_of_issue.map(date),
            record.expiration_date.map(date),
            arena.find(record.address),
            arena.find(record.place_of_birth),
            record.id_verification_status.map(|status| status.as_str()),
            arena.find(record.email),
            arena.find(record.phone),
            Some(self.details.as_str()).filter(|json| !json.is_empty()),
            arena.find(record.metadata),
        ])?;
        Ok(inserted == 1)
    }
}

/// Prepares a statement both databases share. To SQLite `$1` is a name, numbered by where it first
/// stands; `?1` is the number it looks like.
fn shared<'t>(tx: &'t Transaction<'_>, sql: &str) -> rusqlite::Result<CachedStatement<'t>> {
    tx.prepare_cached(&sql.replace('$', "?"))
}

fn find(
    statement: &mut CachedStatement<'_>,
    commit: &Commit,
    session: &SessionRow,
) -> Result<Option<Existing>, Error> {
    let claim = &commit.claim;
    let key =
        params![claim.application_id.0.as_bytes(), session.id.0.as_bytes(), claim.import_id.0.as_bytes()];
    let row_number = statement.query_row(key, |row| row.get(0)).optional()?;
    Ok(row_number.map(Existing::of_row))
}

fn insert_sql(table: &str, columns: &str, count: usize) -> String {
    let places = vec!["?"; count].join(", ");
    format!("INSERT INTO {table} ({columns}) VALUES ({places}) ON CONFLICT DO NOTHING")
}

fn write_row_errors(tx: &Transaction<'_>, commit: &Commit) -> Result<(), Error> {
    let mut statement = tx.prepare_cached(&insert_sql("row_errors", ERROR_COLUMNS, 9))?;
    for failure in &commit.batch.failures {
        statement.execute(params![
            commit.claim.application_id.0.as_bytes(),
            commit.claim.import_id.0.as_bytes(),
            commit.row_number(failure.row),
            failure.line_number,
            failure.byte_offset,
            failure.byte_count,
            failure.external_id,
            serde_json::to_string(&failure.issues).map_err(|_| Error::Corrupt("issue"))?,
            time(commit.now),
        ])?;
    }
    Ok(())
}

/// Turns the ledger entry of a later row that gave its place to `skipped`.
fn give_place(tx: &Transaction<'_>, commit: &Commit, row_number: i64) -> Result<(), Error> {
    let (application, import) =
        (commit.claim.application_id.0.as_bytes(), commit.claim.import_id.0.as_bytes());
    let (seq, first_row, rows, bits): (i32, i64, u32, Vec<u8>) = shared(tx, SEGMENT_OF_ROW)?
        .query_row(params![application, import, row_number], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?;
    let mut ledger = Ledger::from_bytes(bits, rows as usize).ok_or(Error::Corrupt("segments.ledger"))?;
    ledger.set((row_number - first_row) as usize, Outcome::Skipped);
    shared(tx, SET_LEDGER)?.execute(params![application, import, seq, ledger.as_bytes()])?;
    Ok(())
}

/// A timestamp as sqlx writes it, so that both write the same text and texts sort as times do.
fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, false)
}

fn date(date: NaiveDate) -> String {
    date.format("%F").to_string()
}
