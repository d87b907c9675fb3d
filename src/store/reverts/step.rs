//! One step of a revert: a segment's created records, some updated ones, some of those that have nothing to go
//! back to, or the version of its rules.

mod created;
mod left_over;
mod media;
mod updated;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, ExprTrait, FromQueryResult, Value, sea_query::Expr};
use uuid::Uuid;

use super::{effort::Effort, update};
use crate::{
    domain::{
        ids::ApplicationId,
        import::{Import, ImportStatus},
    },
    store::{Bulk, Store, entities::import::Column, error::Error, status_rules, table::Table},
};

/// Rows of a step by what became of them; all others were changed since.
#[derive(Debug, Clone, Copy, Default)]
struct Done {
    reverted: i64,
    failed: i64,
}

/// How far a revert is.
#[derive(Debug, FromQueryResult)]
struct SoFar {
    reverted: i64,
    failed: i64,
    cursor: Option<Uuid>,
}

/// A record by its place in the order of a step.
#[derive(Debug, Clone, Copy, FromQueryResult)]
struct Place {
    number: i64,
    id: Uuid,
}

/// One step of a revert, before it is run.
pub(super) struct Step {
    pub(super) store: Store,
    pub(super) application: ApplicationId,
    pub(super) import: Import,
    pub(super) owner: Uuid,
    pub(super) effort: Effort,
    /// Go past the one record it is about instead of doing it.
    pub(super) give_up: bool,
    pub(super) now: DateTime<Utc>,
    pub(super) lease_until: DateTime<Utc>,
}

impl Step {
    /// Does it; tells whether it was the last one.
    pub(super) async fn run(self, tx: &DatabaseTransaction) -> Result<bool, Error> {
        let so_far = self.fence(tx).await?;
        let (done, is_last) = match Table::of(self.import.spec.import_type) {
            None => (self.withdraw_rules(tx).await?, true),
            Some(table) => match self.next_segment(tx).await? {
                Some(segment) => (self.delete_created(tx, table, segment).await?, false),
                None => match self.put_back(tx, table).await? {
                    Some(done) => (done, false),
                    None => self.delete_left_over(tx, table, so_far).await?,
                },
            },
        };
        let count = |column: Column, by: i64| Expr::col(column).add(by);
        // What was gone past says nothing about the next.
        let effort = if self.give_up { self.effort } else { self.effort.done() };
        update(self.application, self.import.id, self.now)
            .col_expr(Column::RevertedCount, count(Column::RevertedCount, done.reverted))
            .col_expr(Column::RevertFailedCount, count(Column::RevertFailedCount, done.failed))
            .col_expr(Column::RevertLeaseExpiresAt, Expr::value(self.lease_until))
            .col_expr(Column::RevertAttempts, Expr::value(effort.attempts))
            .col_expr(Column::RevertLimit, Expr::value(effort.limit))
            .col_expr(Column::WaitingReason, Expr::value(Option::<String>::None))
            .exec(tx)
            .await?;
        if is_last {
            // Whatever was neither taken back nor failed is another's by now.
            let kept = "created_count + updated_count - reverted_count - revert_failed_count";
            update(self.application, self.import.id, self.now)
                .col_expr(Column::RevertState, Expr::value(ImportStatus::Reverted.as_str()))
                .col_expr(Column::RevertedAt, Expr::value(self.now))
                .col_expr(Column::RevertKeptCount, Expr::cust(kept))
                .exec(tx)
                .await?;
        }
        Ok(is_last)
    }

    /// What has been done already, as long as the revert is in our hands.
    async fn fence(&self, tx: &DatabaseTransaction) -> Result<SoFar, Error> {
        let lock = match self.store.bulk {
            Bulk::Postgres(_) => "FOR UPDATE",
            Bulk::Sqlite(_) => "",
        };
        let held = format!(
            "SELECT reverted_count AS reverted, revert_failed_count AS failed, revert_cursor AS \"cursor\" FROM imports \
             WHERE application_id = $1 AND id = $2 AND revert_owner = $3 AND revert_state = 'REVERTING' {lock}"
        );
        self.find(tx, &held, [self.owner.into()]).await?.ok_or(Error::LeaseLost)
    }

    /// Runs a statement about this import, whose id is `$2`; gives how many rows it took.
    async fn execute(
        &self,
        tx: &DatabaseTransaction,
        sql: &str,
        further: impl IntoIterator<Item = Value>,
    ) -> Result<i64, Error> {
        let values = [self.application.0.into(), self.import.id.0.into()].into_iter().chain(further);
        Ok(tx.execute_raw(self.store.statement(sql, values)).await?.rows_affected() as i64)
    }

    /// The first row of a query about this import, whose id is `$2`.
    async fn find<T: FromQueryResult>(
        &self,
        tx: &DatabaseTransaction,
        sql: &str,
        further: impl IntoIterator<Item = Value>,
    ) -> Result<Option<T>, Error> {
        let values = [self.application.0.into(), self.import.id.0.into()].into_iter().chain(further);
        let row = tx.query_one_raw(self.store.statement(sql, values)).await?;
        Ok(row.map(|row| T::from_query_result(&row, "")).transpose()?)
    }

    /// The last record that was gone past in a segment.
    async fn last_failure(&self, tx: &DatabaseTransaction, seq: i32) -> Result<Option<Place>, Error> {
        let last = "SELECT number, id FROM revert_failures WHERE application_id = $1 AND import_id = $2 AND seq = $3 \
            ORDER BY number DESC, id DESC LIMIT 1";
        self.find(tx, last, [seq.into()]).await
    }

    /// Marks a record as one that cannot be taken back, so that the next step goes past it. It stays where it
    /// is, so that somebody can see to it.
    async fn go_past(&self, tx: &DatabaseTransaction, seq: i32, place: Place) -> Result<Done, Error> {
        let mark = "INSERT INTO revert_failures (application_id, import_id, seq, number, id) VALUES ($1, $2, $3, $4, $5)";
        let failed = self.execute(tx, mark, [seq.into(), place.number.into(), place.id.into()]).await?;
        Ok(Done { reverted: 0, failed })
    }

    /// Withdraws the version of rules that this import published, if it is in force.
    async fn withdraw_rules(&self, tx: &DatabaseTransaction) -> Result<Done, Error> {
        let rows = self.import.counters.created + self.import.counters.updated;
        if self.give_up {
            return Ok(Done { reverted: 0, failed: rows });
        }
        let withdrawn = status_rules::withdraw(tx, &self.import).await?;
        Ok(Done { reverted: if withdrawn { rows } else { 0 }, failed: 0 })
    }
}
