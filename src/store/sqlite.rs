//! The segment transaction on SQLite: prepared statements on a connection of its own.
//!
//! An async driver pays a channel trip a statement, which costs more than SQLite does; so this one
//! writer speaks to SQLite directly, on a blocking thread.

mod binder;
mod media;
mod row_issues;

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use binder::{Binder, time};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::{
    audit,
    commit::{
        ADD_COUNTERS, COMPLETE, Commit, Committed, Existing, FAIL, FENCE, FORGET_KEYS, Fence, KEY_COLUMNS,
        Kept, MOVE_CHECKPOINT, MediaChange, OBEY_PAUSE, RecordRow, SEGMENT_DONE, SEGMENT_OF_ROW, SET_LEDGER,
        Settled, Standing, Verdict,
    },
    connect::SQLITE_BUSY,
    error::Error,
    table,
};
use crate::{
    clock,
    domain::ledger::{Ledger, Outcome},
    fault_points,
};

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
             PRAGMA cache_size = -8192; PRAGMA secure_delete = ON;",
        )?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    pub(super) fn commit(&self, mut commit: Commit) -> Result<Committed, Error> {
        // A transaction rolls back when it is dropped, so a writer that panicked left nothing open.
        let mut connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let committed = write(&tx, &mut commit)?;
        if commit.trial {
            tx.rollback()?;
            return Ok(committed);
        }
        fault_points::reach("before_commit");
        tx.commit()?;
        fault_points::reach("after_commit");
        Ok(committed)
    }
}

fn write(tx: &Transaction<'_>, commit: &mut Commit) -> Result<Committed, Error> {
    let claim = commit.claim.clone();
    let (application, import) = (claim.application_id.0.as_bytes(), claim.import_id.0.as_bytes());
    let held = shared(tx, FENCE)?
        .query_row(
            params![application, import, claim.range.seq, claim.epoch, claim.owner.as_bytes()],
            |row| {
                let kept = Kept { errors: row.get(1)?, warnings: row.get(2)? };
                Ok(Fence { salt: row.get(0)?, kept })
            },
        )
        .optional()?;
    let fence = held.ok_or(Error::LeaseLost)?;
    forget_parties(tx, commit, &fence)?;
    let commit = &*commit;
    let mut settled = Settled::new(commit);
    let mut records = Records::prepare(tx, commit, &fence)?;
    for record in &commit.batch.records {
        records.write(record, &mut settled)?;
    }
    fault_points::reach("in_copy");
    media::count(tx, commit, &settled.media)?;
    let kept = row_issues::write(tx, commit, &fence)?;
    shared(tx, SEGMENT_DONE)?.execute(params![
        application,
        import,
        claim.range.seq,
        settled.ledger.as_bytes()
    ])?;
    let counters = settled.counters();
    let standing = shared(tx, ADD_COUNTERS)?
        .query_row(
            params![
                application,
                import,
                counters.created,
                counters.updated,
                counters.skipped,
                counters.failed,
                counters.duplicate,
                i64::from(claim.range.bytes),
                // Not when the segment began: watchers are told when it changed.
                time(clock::now()),
                kept.errors,
                commit.batch.warnings().count() as i64,
                kept.warnings,
            ],
            |row| Ok(Standing::new([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?], row.get(4)?)),
        )
        .optional()?;
    let ended = end_segment(tx, commit, &standing.ok_or(Error::LeaseLost)?)?;
    Ok(Committed { ended, counters: settled.ledger.counters() })
}

/// Moves the import on, or ends it, and says which.
fn end_segment(tx: &Transaction<'_>, commit: &Commit, standing: &Standing) -> Result<bool, Error> {
    let claim = &commit.claim;
    let (application, import) = (claim.application_id.0.as_bytes(), claim.import_id.0.as_bytes());
    let now = time(clock::now());
    shared(tx, MOVE_CHECKPOINT)?.execute(params![application, import])?;
    let ended = match standing.fault(&commit.thresholds) {
        Some(fault) => {
            let (reason, text) = (fault.reason(), fault.to_string());
            shared(tx, FAIL)?.execute(params![application, import, now, reason, text])? == 1
        }
        None => shared(tx, COMPLETE)?.execute(params![application, import, now])? == 1,
    };
    if ended {
        let (event, target) = (clock::new_id(), claim.import_id.to_string());
        let values = params![application, import, event.as_bytes(), target, now];
        shared(tx, &audit::record_end_sql("json_object"))?.execute(values)?;
    }
    if ended && commit.dry_run {
        shared(tx, FORGET_KEYS)?.execute(params![application, import])?;
    }
    if standing.pause_requested && !ended {
        shared(tx, OBEY_PAUSE)?.execute(params![application, import, now])?;
    }
    Ok(ended)
}

const FIND_TOMBSTONE: &str = "SELECT 1 FROM tombstones WHERE application_id = ?1 AND key_hash = ?2";

/// Makes parties of transactions nameless that were erased.
fn forget_parties(tx: &Transaction<'_>, commit: &mut Commit, fence: &Fence) -> Result<(), Error> {
    let Some(salt) = commit.salt(fence) else { return Ok(()) };
    let mut statement = tx.prepare_cached(FIND_TOMBSTONE)?;
    let mut erased = Vec::new();
    for (at, side, hash) in commit.party_tombstones(salt) {
        if statement.exists(params![commit.claim.application_id.0.as_bytes(), hash])? {
            erased.push((at, side));
        }
    }
    commit.forget_parties(erased)
}

/// The statements a record may need, prepared once a segment.
struct Records<'t> {
    tx: &'t Transaction<'t>,
    commit: &'t Commit,
    /// What tombstones are salted with, where they are looked at.
    salt: Option<&'t [u8]>,
    insert: CachedStatement<'t>,
    /// Finds a record that has the key.
    find: CachedStatement<'t>,
    /// Finds the key among those this dry run has met.
    find_key: CachedStatement<'t>,
    delete: CachedStatement<'t>,
}

impl<'t> Records<'t> {
    fn prepare(tx: &'t Transaction<'_>, commit: &'t Commit, fence: &'t Fence) -> Result<Self, Error> {
        let table = commit.table;
        let (written, insert) = match commit.dry_run {
            true => ("dry_run_keys", insert_sql("dry_run_keys", KEY_COLUMNS, 4)),
            false => (table.name, insert_sql(table.name, table.columns, table.count)),
        };
        let by_key = "application_id = ?1 AND id = ?2";
        let row = "CASE WHEN import_id = ?3 THEN row_number END";
        let (name, number) = (table.name, table.number);
        Ok(Self {
            tx,
            commit,
            salt: commit.salt(fence),
            insert: tx.prepare_cached(&insert)?,
            find: tx.prepare_cached(&format!("SELECT {row}, {number} FROM {name} WHERE {by_key}"))?,
            find_key: tx.prepare_cached(&format!(
                "SELECT {row}, 0 FROM dry_run_keys WHERE {by_key} AND import_id = ?3"
            ))?,
            delete: tx.prepare_cached(&format!("DELETE FROM {written} WHERE {by_key} AND ?3 IS NOT NULL"))?,
        })
    }

    /// Writes a record if its key is free, and settles its row.
    fn write(&mut self, record: &RecordRow, settled: &mut Settled) -> Result<(), Error> {
        let Some(existing) = self.find_or_insert(record)? else {
            return media::queue(self.tx, self.commit, record, &mut settled.media);
        };
        match self.commit.judge(record.row, existing) {
            Verdict::Update { number } => {
                self.keep_replaced(record)?;
                self.replace(record, number, &mut settled.media)?;
                settled.update(record.row);
            }
            Verdict::Replace { row_number, number } => {
                let had_been = give_place(self.tx, self.commit, row_number)?;
                let own = self.commit.record_number(record.row);
                let number = if had_been == Outcome::Updated { number } else { own };
                self.replace(record, number, &mut settled.media)?;
                settled.take_place(record.row, had_been);
            }
            verdict => settled.skip(record.row, verdict == Verdict::Duplicate),
        }
        Ok(())
    }

    /// What has the record's key; nothing when the key was free, and now is the record's.
    fn find_or_insert(&mut self, record: &RecordRow) -> Result<Option<Existing>, Error> {
        let number = self.commit.record_number(record.row);
        if self.commit.dry_run {
            // What this dry run has met itself comes first: the table does not know it.
            let known = match find(&mut self.find_key, self.commit, record)? {
                Some(key) => Some(key),
                None => find(&mut self.find, self.commit, record)?,
            };
            let known = match known {
                Some(own @ Existing::Row { .. }) => Some(own),
                other => self.find_erased(record)?.or(other),
            };
            if known.is_none() {
                self.insert(record, number)?;
            }
            return Ok(known);
        }
        // A record that an update would make about somebody erased is left as it is, too.
        if self.salt.is_some()
            && !matches!(find(&mut self.find, self.commit, record)?, Some(Existing::Row { .. }))
            && let Some(erased) = self.find_erased(record)?
        {
            return Ok(Some(erased));
        }
        if self.insert(record, number)? {
            return Ok(None);
        }
        Ok(Some(find(&mut self.find, self.commit, record)?.ok_or(Error::Corrupt("record key"))?))
    }

    fn find_erased(&self, record: &RecordRow) -> Result<Option<Existing>, Error> {
        let Some(salt) = self.salt else { return Ok(None) };
        let mut statement = self.tx.prepare_cached(FIND_TOMBSTONE)?;
        for hash in self.commit.tombstones(salt, record) {
            if statement.exists(params![self.commit.claim.application_id.0.as_bytes(), hash])? {
                return Ok(Some(Existing::Erased));
            }
        }
        Ok(None)
    }

    /// Keeps a record as it was before this import changed it; the first state counts.
    fn keep_replaced(&self, record: &RecordRow) -> Result<(), Error> {
        if self.commit.dry_run {
            return Ok(());
        }
        let (name, columns) = (self.commit.table.name, self.commit.table.columns);
        let mut statement = self.tx.prepare_cached(&format!(
            "INSERT INTO replaced_{name} (replaced_by, {columns}) SELECT ?3, {columns} FROM {name} \
             WHERE application_id = ?1 AND id = ?2 ON CONFLICT DO NOTHING"
        ))?;
        statement.execute(key(self.commit, record))?;
        Ok(())
    }

    /// Puts a record in the place of the one that has its key, and its media in the place of that one's.
    fn replace(&mut self, record: &RecordRow, number: i64, media: &mut MediaChange) -> Result<(), Error> {
        media::take_away(self.tx, self.commit, record, media)?;
        self.delete.execute(key(self.commit, record))?;
        self.insert(record, number)?;
        media::queue(self.tx, self.commit, record, media)
    }

    /// Inserts a record (or, in a dry run, its key); tells whether the key was free.
    fn insert(&mut self, record: &RecordRow, number: i64) -> Result<bool, Error> {
        let commit = self.commit;
        if commit.dry_run {
            let [application, id, import] = key(commit, record);
            let row_number = commit.row_number(record.row);
            return Ok(self.insert.execute(params![application, import, id, row_number])? == 1);
        }
        let mut binder = Binder::new(&mut self.insert);
        table::fill(commit, record, number, &mut binder);
        binder.done()?;
        Ok(self.insert.raw_execute()? == 1)
    }
}

/// Application, record and import: the parameters of every statement about a record's key.
fn key<'k>(commit: &'k Commit, record: &'k RecordRow) -> [&'k [u8; 16]; 3] {
    let claim = &commit.claim;
    [claim.application_id.0.as_bytes(), record.id.as_bytes(), claim.import_id.0.as_bytes()]
}

/// Prepares a statement both databases share. To SQLite `$1` is a name, numbered by where it first
/// stands; `?1` is the number it looks like.
fn shared<'t>(tx: &'t Transaction<'_>, sql: &str) -> rusqlite::Result<CachedStatement<'t>> {
    tx.prepare_cached(&sql.replace('$', "?"))
}

fn find(
    statement: &mut CachedStatement<'_>,
    commit: &Commit,
    record: &RecordRow,
) -> Result<Option<Existing>, Error> {
    let found = statement.query_row(key(commit, record), |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    Ok(found.map(|(row_number, number)| Existing::of_row(row_number, number)))
}

fn insert_sql(table: &str, columns: &str, count: usize) -> String {
    let places = vec!["?"; count].join(", ");
    format!("INSERT INTO {table} ({columns}) VALUES ({places}) ON CONFLICT DO NOTHING")
}

/// Turns the ledger entry of a later row that gave its place to `skipped`; gives what it was.
fn give_place(tx: &Transaction<'_>, commit: &Commit, row_number: i64) -> Result<Outcome, Error> {
    let (application, import) =
        (commit.claim.application_id.0.as_bytes(), commit.claim.import_id.0.as_bytes());
    let (seq, first_row, rows, bits): (i32, i64, u32, Vec<u8>) = shared(tx, SEGMENT_OF_ROW)?
        .query_row(params![application, import, row_number], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?;
    let mut ledger = Ledger::from_bytes(bits, rows as usize).ok_or(Error::Corrupt("segments.ledger"))?;
    let had_been = ledger.set((row_number - first_row) as usize, Outcome::Skipped);
    shared(tx, SET_LEDGER)?.execute(params![application, import, seq, ledger.as_bytes()])?;
    Ok(had_been)
}
