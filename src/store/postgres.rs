//! The segment transaction on PostgreSQL: binary COPY straight into the table.
//!
//! While nothing exists, rows are copied without a look. Once a key exists (a unique violation, or
//! the segment before met one) the keys are probed first and only new rows are copied. When another
//! transaction wins a key between probe and copy, the savepoint is rolled back and the probe, which
//! now sees it, is run again; each turn has met a newly committed key, so it comes to an end.
//! Keys go in sorted, so that two transactions wait for each other's keys in one order only.

mod copy;
mod probe;

use sqlx::{Connection, PgConnection, PgPool, Row};
use uuid::Uuid;

use super::{
    commit::{
        ADD_COUNTERS, COMPLETE, Commit, Committed, ERROR_COLUMNS, FENCE, FORGET_KEYS, MOVE_CHECKPOINT,
        SEGMENT_DONE, SEGMENT_OF_ROW, SET_LEDGER, SessionRow, Settled, Verdict,
    },
    error::{Error, is_unique_violation},
};
use crate::domain::ledger::{Ledger, Outcome};
use copy::copy;
use probe::probe;

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
    let mut existing = match commit.expect_existing {
        true => probe(tx, commit).await?,
        false => vec![None; sessions.len()],
    };
    loop {
        let mut settled = Settled::new(commit);
        let mut fresh: Vec<&SessionRow> = Vec::with_capacity(sessions.len());
        let mut displaced: Vec<Uuid> = Vec::new();
        for (session, existing) in sessions.iter().zip(&existing) {
            match existing.map(|existing| commit.judge(session.row, existing)) {
                None => fresh.push(session),
                Some(Verdict::Replace { row_number }) => {
                    settled.replaced.push(row_number);
                    displaced.push(session.id.0);
                    fresh.push(session);
                }
                Some(verdict) => settled.skip(session.row, verdict == Verdict::Duplicate),
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
