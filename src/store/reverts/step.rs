//! One step of a revert: a segment's created records, some updated ones, or the version of its rules.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, ExprTrait, FromQueryResult, QueryFilter,
    QueryOrder, QuerySelect, sea_query::Expr,
};
use uuid::Uuid;

use super::update;
use crate::{
    domain::{
        ids::ApplicationId,
        import::{Import, ImportStatus},
        ledger::Ledger,
    },
    store::{
        Bulk, Store,
        entities::{import::Column, segment},
        error::Error,
        status_rules,
        table::Table,
    },
};

/// Updated records that one transaction puts back.
const BATCH: u64 = 2_000;

/// Rows of a step by what became of them; all others were changed since.
#[derive(Debug, Clone, Copy, Default, FromQueryResult)]
struct Done {
    reverted: i64,
    failed: i64,
}

/// One step of a revert, before it is run.
pub(super) struct Step {
    pub(super) store: Store,
    pub(super) application: ApplicationId,
    pub(super) import: Import,
    pub(super) owner: Uuid,
    /// Count it as failed instead of doing it.
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
                None => match self.batch_end(tx, table).await? {
                    Some(last) => self.put_back(tx, table, last).await?,
                    None => (self.delete_left_over(tx, table, so_far).await?, true),
                },
            },
        };
        let count = |column: Column, by: i64| Expr::col(column).add(by);
        update(self.application, self.import.id, self.now)
            .col_expr(Column::RevertedCount, count(Column::RevertedCount, done.reverted))
            .col_expr(Column::RevertFailedCount, count(Column::RevertFailedCount, done.failed))
            .col_expr(Column::RevertLeaseExpiresAt, Expr::value(self.lease_until))
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
    async fn fence(&self, tx: &DatabaseTransaction) -> Result<Done, Error> {
        let lock = match self.store.bulk {
            Bulk::Postgres(_) => "FOR UPDATE",
            Bulk::Sqlite(_) => "",
        };
        let held = format!(
            "SELECT reverted_count AS reverted, revert_failed_count AS failed FROM imports \
             WHERE application_id = $1 AND id = $2 AND revert_owner = $3 AND revert_state = 'REVERTING' {lock}"
        );
        let values = [self.application.0.into(), self.import.id.0.into(), self.owner.into()];
        let row = tx.query_one_raw(self.store.statement(&held, values)).await?.ok_or(Error::LeaseLost)?;
        Ok(Done::from_query_result(&row, "")?)
    }

    async fn next_segment(&self, tx: &DatabaseTransaction) -> Result<Option<segment::Model>, Error> {
        Ok(segment::Entity::find()
            .filter(segment::Column::ApplicationId.eq(self.application.0))
            .filter(segment::Column::ImportId.eq(self.import.id.0))
            .filter(segment::Column::State.eq("DONE"))
            .filter(segment::Column::Reverted.eq(false))
            .order_by_asc(segment::Column::Seq)
            .limit(1)
            .one(tx)
            .await?)
    }

    /// Runs a statement about this import, whose id is `$2`; gives how many rows it took.
    async fn execute(
        &self,
        tx: &DatabaseTransaction,
        sql: &str,
        further: impl IntoIterator<Item = sea_orm::Value>,
    ) -> Result<i64, Error> {
        let values = [self.application.0.into(), self.import.id.0.into()].into_iter().chain(further);
        Ok(tx.execute_raw(self.store.statement(sql, values)).await?.rows_affected() as i64)
    }

    /// Deletes the records a segment created that are still this import's.
    async fn delete_created(
        &self,
        tx: &DatabaseTransaction,
        table: &Table,
        segment: segment::Model,
    ) -> Result<Done, Error> {
        let rows = segment.row_count;
        let ledger = segment.ledger.and_then(|bits| Ledger::from_bytes(bits, rows as usize));
        let created = ledger.ok_or(Error::Corrupt("segments.ledger"))?.counters().created;
        segment::Entity::update_many()
            .col_expr(segment::Column::Reverted, Expr::value(true))
            .filter(segment::Column::ApplicationId.eq(self.application.0))
            .filter(segment::Column::ImportId.eq(self.import.id.0))
            .filter(segment::Column::Seq.eq(segment.seq))
            .exec(tx)
            .await?;
        if self.give_up || created == 0 {
            return Ok(Done { reverted: 0, failed: if self.give_up { created } else { 0 } });
        }
        let (name, number) = (table.name, table.number);
        let first = segment.first_session_number;
        let numbers = || [first.into(), (first + i64::from(rows)).into()];
        let own = |alias: &str| {
            format!(
                "{alias}.application_id = $1 AND {alias}.import_id = $2 AND {alias}.{number} >= $3 \
                 AND {alias}.{number} < $4 AND NOT EXISTS (SELECT 1 FROM replaced_{name} b \
                     WHERE b.application_id = $1 AND b.replaced_by = $2 AND b.id = {alias}.id)"
            )
        };
        let delete = format!("DELETE FROM {name} AS t WHERE {}", own("t"));
        let reverted = self.execute(tx, &delete, numbers()).await?;
        if reverted < created {
            let forget = format!("DELETE FROM replaced_{name} AS t WHERE {}", own("t"));
            self.execute(tx, &forget, numbers()).await?;
        }
        Ok(Done { reverted, failed: 0 })
    }

    /// The last id of the next updated records; nothing when there are none left.
    async fn batch_end(&self, tx: &DatabaseTransaction, table: &Table) -> Result<Option<Uuid>, Error> {
        #[derive(FromQueryResult)]
        struct Last {
            id: Uuid,
        }
        let name = table.name;
        let last = format!(
            "SELECT id FROM (SELECT id FROM replaced_{name} WHERE application_id = $1 AND replaced_by = $2 \
             ORDER BY id LIMIT {BATCH}) AS batch ORDER BY id DESC LIMIT 1"
        );
        let values = [self.application.0.into(), self.import.id.0.into()];
        let row = tx.query_one_raw(self.store.statement(&last, values)).await?;
        Ok(row.map(|row| Last::from_query_result(&row, "")).transpose()?.map(|last| last.id))
    }

    /// Puts updated records back to what they were, up to id `last`; tells whether that was all of them.
    async fn put_back(
        &self,
        tx: &DatabaseTransaction,
        table: &Table,
        last: Uuid,
    ) -> Result<(Done, bool), Error> {
        let (name, columns) = (table.name, table.columns);
        let before = format!("FROM replaced_{name} AS b WHERE b.application_id = $1 AND b.replaced_by = $2");
        if self.give_up {
            // They stay where they are, so that somebody can see to them.
            let left = format!("SELECT COUNT(*) AS count {before}");
            let values = [self.application.0.into(), self.import.id.0.into()];
            let row = tx.query_one_raw(self.store.statement(&left, values)).await?;
            let failed = row.ok_or(Error::Corrupt("count"))?.try_get("", "count")?;
            return Ok((Done { reverted: 0, failed }, true));
        }
        self.mend_later_images(tx, name, last).await?;
        let others = format!(
            "DELETE {before} AND b.id <= $3 AND NOT EXISTS (SELECT 1 FROM {name} t \
             WHERE t.application_id = $1 AND t.id = b.id AND t.import_id = $2)"
        );
        self.execute(tx, &others, [last.into()]).await?;
        let delete = format!(
            "DELETE FROM {name} AS t WHERE t.application_id = $1 AND t.import_id = $2 \
             AND t.id IN (SELECT b.id {before} AND b.id <= $3)"
        );
        let deleted = self.execute(tx, &delete, [last.into()]).await?;
        let insert = format!("INSERT INTO {name} ({columns}) SELECT {columns} {before} AND b.id <= $3");
        let put_back = self.execute(tx, &insert, [last.into()]).await?;
        self.execute(tx, &format!("DELETE {before} AND b.id <= $3"), [last.into()]).await?;
        if deleted != put_back {
            return Err(Error::Corrupt("replaced records"));
        }
        Ok((Done { reverted: put_back, failed: 0 }, false))
    }

    /// Deletes records this import updated that have nothing to go back to, because the import before it was
    /// reverted first. They are found by going over all records, and so only when some are missing.
    async fn delete_left_over(
        &self,
        tx: &DatabaseTransaction,
        table: &Table,
        so_far: Done,
    ) -> Result<Done, Error> {
        let written = self.import.counters.created + self.import.counters.updated;
        if self.give_up || so_far.failed > 0 || so_far.reverted >= written {
            return Ok(Done::default());
        }
        let own = "WHERE application_id = $1 AND import_id = $2";
        // What later imports keep of them is nothing to go back to, either.
        self.execute(tx, &format!("DELETE FROM replaced_{} {own}", table.name), []).await?;
        let reverted = self.execute(tx, &format!("DELETE FROM {} {own}", table.name), []).await?;
        Ok(Done { reverted, failed: 0 })
    }

    /// Where a later import keeps this one's record as what was before, it keeps from now on what was before
    /// this one.
    async fn mend_later_images(&self, tx: &DatabaseTransaction, name: &str, last: Uuid) -> Result<(), Error> {
        #[derive(FromQueryResult)]
        struct Image {
            replaced_by: Uuid,
            id: Uuid,
        }
        let delete = format!(
            "DELETE FROM replaced_{name} AS l WHERE l.application_id = $1 AND l.import_id = $2 \
             AND l.replaced_by <> $2 \
             AND NOT EXISTS (SELECT 1 FROM {name} t WHERE t.application_id = $1 AND t.id = l.id AND t.import_id = $2) \
             AND l.id IN (SELECT b.id FROM replaced_{name} b \
                 WHERE b.application_id = $1 AND b.replaced_by = $2 AND b.id <= $3) \
             RETURNING replaced_by, id"
        );
        let values = [self.application.0.into(), self.import.id.0.into(), last.into()];
        for row in tx.query_all_raw(self.store.statement(&delete, values)).await? {
            let later = Image::from_query_result(&row, "")?;
            let hand_over = format!(
                "UPDATE replaced_{name} SET replaced_by = $3 \
                 WHERE application_id = $1 AND replaced_by = $2 AND id = $4"
            );
            self.execute(tx, &hand_over, [later.replaced_by.into(), later.id.into()]).await?;
        }
        Ok(())
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
