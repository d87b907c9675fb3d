//! The segment transaction on PostgreSQL: binary COPY straight into the table.
//!
//! While nothing exists, rows are copied without a look. Once a key exists (a unique violation, or
//! the segment before met one) the keys are probed first and only new rows are copied. When another
//! transaction wins a key between probe and copy, the savepoint is rolled back and the probe, which
//! now sees it, is run again; each turn has met a newly committed key, so it comes to an end.
//! Keys go in sorted, so that two transactions wait for each other's keys in one order only.

mod copy;
mod media;
mod probe;
mod row_issues;

use std::time::Instant;

use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, Row};
use tokio::sync::OwnedSemaphorePermit;
use tracing::{Instrument, info_span};
use uuid::Uuid;

use super::{
    audit,
    commit::{
        ADD_COUNTERS, COMPLETE, Commit, Committed, Existing, FAIL, FENCE, FORGET_KEYS, Fence, Kept,
        MOVE_CHECKPOINT, OBEY_PAUSE, RecordRow, SEGMENT_DONE, SEGMENT_OF_ROW, SET_LEDGER, Settled, Standing,
        Verdict,
    },
    erasure::{ERASURE_LOCK, lock_of},
    error::{Error, is_unique_violation},
};
use crate::{
    clock,
    domain::ledger::{Ledger, Outcome},
    fault_points,
    metrics::{Metrics, Pool},
};

pub(super) async fn commit(
    pool: PgPool,
    mut commit: Commit,
    turn: OwnedSemaphorePermit,
    metrics: Metrics,
) -> Result<Committed, Error> {
    let since = Instant::now();
    let mut tx = pool.begin().instrument(info_span!("begin")).await?;
    metrics.pool_waited(Pool::Bulk, since.elapsed());
    let result = write(&mut tx, &mut commit).instrument(info_span!("write")).await;
    // The next segment is copied while this one's log goes to disk.
    drop(turn);
    match result {
        Ok(committed) if !commit.trial => {
            fault_points::reach("before_commit");
            tx.commit().instrument(info_span!("commit")).await?;
            fault_points::reach("after_commit");
            Ok(committed)
        }
        Ok(committed) => {
            tx.rollback().await?;
            Ok(committed)
        }
        Err(error) => {
            tx.rollback().await?;
            Err(error)
        }
    }
}

async fn write(tx: &mut PgConnection, commit: &mut Commit) -> Result<Committed, Error> {
    let fence = fence(tx, commit).await?;
    probe::forget_parties(tx, commit, &fence).await?;
    let commit = &*commit;
    let claim = &commit.claim;
    let (application, import) = (claim.application_id.0, claim.import_id.0);
    let settled = write_records(tx, commit, &fence).await?;
    media::count(tx, commit, &settled.media).await?;
    let kept = row_issues::write(tx, commit).await?;
    sqlx::query(SEGMENT_DONE)
        .bind(application)
        .bind(import)
        .bind(claim.range.seq)
        .bind(settled.ledger.as_bytes())
        .execute(&mut *tx)
        .await?;
    let counters = settled.counters();
    let standing = sqlx::query(ADD_COUNTERS)
        .bind(application)
        .bind(import)
        .bind(counters.created)
        .bind(counters.updated)
        .bind(counters.skipped)
        .bind(counters.failed)
        .bind(counters.duplicate)
        .bind(i64::from(claim.range.bytes))
        // Not when the segment began: watchers are told when it changed.
        .bind(clock::now())
        .bind(kept.errors)
        .bind(commit.batch.warnings().count() as i64)
        .bind(kept.warnings)
        .fetch_optional(&mut *tx)
        .await?
        .ok_or(Error::LeaseLost)?;
    let count = |at: usize| standing.try_get(at);
    let standing = Standing::new([count(0)?, count(1)?, count(2)?, count(3)?], standing.try_get(4)?);
    let ended = end_segment(tx, commit, &standing).await?;
    Ok(Committed { ended, counters: settled.ledger.counters() })
}

/// Moves the import on, or ends it, and says which.
async fn end_segment(tx: &mut PgConnection, commit: &Commit, standing: &Standing) -> Result<bool, Error> {
    let (application, import) = (commit.claim.application_id.0, commit.claim.import_id.0);
    let now = clock::now();
    sqlx::query(MOVE_CHECKPOINT).bind(application).bind(import).execute(&mut *tx).await?;
    let ended = match standing.fault(&commit.thresholds) {
        Some(fault) => {
            let fail = sqlx::query(FAIL).bind(application).bind(import).bind(now);
            fail.bind(fault.reason()).bind(fault.to_string()).execute(&mut *tx).await?;
            true
        }
        None => {
            let complete = sqlx::query(COMPLETE).bind(application).bind(import).bind(now);
            complete.execute(&mut *tx).await?.rows_affected() == 1
        }
    };
    if ended {
        sqlx::query(AssertSqlSafe(audit::record_end_sql("json_build_object")))
            .bind(application)
            .bind(import)
            .bind(clock::new_id())
            .bind(commit.claim.import_id.to_string())
            .bind(now)
            .execute(&mut *tx)
            .await?;
    }
    if ended && commit.dry_run {
        sqlx::query(FORGET_KEYS).bind(application).bind(import).execute(&mut *tx).await?;
    }
    if standing.pause_requested && !ended {
        sqlx::query(OBEY_PAUSE).bind(application).bind(import).bind(now).execute(&mut *tx).await?;
    }
    Ok(ended)
}

async fn fence(tx: &mut PgConnection, commit: &Commit) -> Result<Fence, Error> {
    let claim = &commit.claim;
    // Held with all other segments, and against an erasure: either it sees what we write, or we see it.
    sqlx::query("SELECT pg_advisory_xact_lock_shared($1, $2)")
        .bind(ERASURE_LOCK)
        .bind(lock_of(claim.application_id))
        .execute(&mut *tx)
        .await?;
    let held = sqlx::query(AssertSqlSafe(format!("{FENCE} FOR UPDATE OF s")))
        .bind(claim.application_id.0)
        .bind(claim.import_id.0)
        .bind(claim.range.seq)
        .bind(claim.epoch)
        .bind(claim.owner)
        .fetch_optional(&mut *tx)
        .await?;
    let held = held.ok_or(Error::LeaseLost)?;
    let kept = Kept { errors: held.try_get(1)?, warnings: held.try_get(2)? };
    Ok(Fence { salt: held.try_get(0)?, kept })
}

/// What is to be written of a segment, by what is known of its keys.
struct Plan<'c> {
    settled: Settled,
    /// Records to copy, with their numbers.
    fresh: Vec<(&'c RecordRow, i64)>,
    /// Places in `fresh` of rows that take the place of a later row of the import, which comes with it.
    replacing: Vec<(usize, i64, i64)>,
    /// Records that are replaced, with their rows where they are of this import.
    displaced: Vec<(Uuid, Option<i64>)>,
    /// Of these, records of other imports, which are kept for a revert.
    updated: Vec<Uuid>,
}

impl<'c> Plan<'c> {
    fn new(commit: &'c Commit, existing: &[Option<Existing>]) -> Self {
        let mut plan = Self {
            settled: Settled::new(commit),
            fresh: Vec::with_capacity(existing.len()),
            replacing: Vec::new(),
            displaced: Vec::new(),
            updated: Vec::new(),
        };
        for (record, existing) in commit.batch.records.iter().zip(existing) {
            match existing.map(|existing| commit.judge(record.row, existing)) {
                None => plan.fresh.push((record, commit.record_number(record.row))),
                Some(Verdict::Update { number }) => {
                    plan.settled.update(record.row);
                    // A dry run has nothing of it to take away.
                    if !commit.dry_run {
                        plan.displaced.push((record.id, None));
                    }
                    plan.updated.push(record.id);
                    plan.fresh.push((record, number));
                }
                Some(Verdict::Replace { row_number, number }) => {
                    plan.displaced.push((record.id, Some(row_number)));
                    plan.replacing.push((plan.fresh.len(), row_number, number));
                    plan.fresh.push((record, commit.record_number(record.row)));
                }
                Some(verdict) => plan.settled.skip(record.row, verdict == Verdict::Duplicate),
            }
        }
        plan
    }

    /// Writes what is planned.
    async fn write(&mut self, tx: &mut PgConnection, commit: &Commit) -> Result<Written, Error> {
        if !copy::lock(tx, commit, &self.displaced).await? {
            return Ok(Written::Changed);
        }
        let displaced: Vec<Uuid> = self.displaced.iter().map(|(id, _)| *id).collect();
        media::take_away(tx, commit, &displaced, &mut self.settled.media).await?;
        // In row order, so that two transactions lock ledgers in one order only.
        self.replacing.sort_unstable_by_key(|(_, row_number, _)| *row_number);
        for (at, row_number, number) in &self.replacing {
            let had_been = give_place(tx, commit, *row_number).await?;
            let (record, own_number) = &mut self.fresh[*at];
            self.settled.take_place(record.row, had_been);
            if had_been == Outcome::Updated {
                *own_number = *number;
            }
        }
        copy::keep_replaced(tx, commit, &self.updated).await?;
        copy::delete(tx, commit, &displaced).await?;
        match copy::copy(tx, commit, &self.fresh).await {
            Ok(()) => {
                self.settled.media.pending += media::queue(tx, commit, &self.fresh).await?;
                Ok(Written::All)
            }
            Err(Error::Postgres(error)) if is_unique_violation(&error) => Ok(Written::Refused(error)),
            Err(error) => Err(error),
        }
    }
}

/// What became of a plan.
enum Written {
    /// All of it is done.
    All,
    /// A record is not what it was when it was looked at.
    Changed,
    /// A key is taken, and nothing is written.
    Refused(sqlx::Error),
}

/// Writes the records whose keys are free, and tells what became of every row.
async fn write_records(tx: &mut PgConnection, commit: &Commit, fence: &Fence) -> Result<Settled, Error> {
    let mut existing = match commit.expect_existing {
        true => probe::probe(tx, commit).await?,
        false => vec![None; commit.batch.records.len()],
    };
    loop {
        let known = existing.iter().flatten().count();
        probe::mark_erased(tx, commit, fence, &mut existing).await?;
        let mut plan = Plan::new(commit, &existing);
        if plan.fresh.is_empty() {
            return Ok(plan.settled);
        }
        let mut savepoint = tx.begin().await?;
        let written = plan.write(&mut savepoint, commit).await?;
        if let Written::All = written {
            savepoint.commit().await?;
            return Ok(plan.settled);
        }
        savepoint.rollback().await?;
        existing = probe::probe(tx, commit).await?;
        if let Written::Refused(error) = written
            && existing.iter().flatten().count() <= known
        {
            // It is none of our keys that is taken: somebody has given the table another unique index.
            return Err(error.into());
        }
    }
}

/// Turns the ledger entry of a later row that gave its place to `skipped`; gives what it was.
async fn give_place(tx: &mut PgConnection, commit: &Commit, row_number: i64) -> Result<Outcome, Error> {
    let (application, import) = (commit.claim.application_id.0, commit.claim.import_id.0);
    let row = sqlx::query(AssertSqlSafe(format!("{SEGMENT_OF_ROW} FOR UPDATE")))
        .bind(application)
        .bind(import)
        .bind(row_number)
        .fetch_one(&mut *tx)
        .await?;
    let (seq, first_row, rows): (i32, i64, i32) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let mut ledger =
        Ledger::from_bytes(row.try_get(3)?, rows as usize).ok_or(Error::Corrupt("segments.ledger"))?;
    let had_been = ledger.set((row_number - first_row) as usize, Outcome::Skipped);
    sqlx::query(SET_LEDGER)
        .bind(application)
        .bind(import)
        .bind(seq)
        .bind(ledger.as_bytes())
        .execute(&mut *tx)
        .await?;
    Ok(had_been)
}
