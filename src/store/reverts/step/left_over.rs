//! Deletes records an import updated that have nothing to go back to, because the import before it was
//! reverted first. They are found by going over all records, and so only when some are missing.

use sea_orm::{ConnectionTrait, DatabaseTransaction, Value, sea_query::Expr};
use uuid::Uuid;

use super::{Done, Place, SoFar, Step};
use crate::store::{entities::import::Column, error::Error, reverts::update, table::Table};

/// Records of the application that one transaction goes over.
const GONE_OVER: i32 = 20_000;

/// Stands for a segment where these are gone past.
const SEQ: i32 = -2;

impl Step {
    /// Goes over the next records; tells whether these were the last ones.
    pub(super) async fn delete_left_over(
        &self,
        tx: &DatabaseTransaction,
        table: &Table,
        so_far: SoFar,
    ) -> Result<(Done, bool), Error> {
        let written = self.import.counters.created + self.import.counters.updated;
        if so_far.reverted + so_far.failed >= written {
            return Ok((Done::default(), true));
        }
        let name = table.name;
        let past = so_far.cursor.unwrap_or_default();
        let all = format!(
            "SELECT id FROM {name} WHERE application_id = $1 AND id > $2 ORDER BY id LIMIT 1 OFFSET {}",
            GONE_OVER - 1
        );
        let all = self.store.statement(&all, [self.application.0.into(), past.into()]);
        let end = tx.query_one_raw(all).await?.map(|row| row.try_get::<Uuid>("", "id")).transpose()?;
        let (last, is_last) = (end.unwrap_or(Uuid::max()), end.is_none());
        let own = format!(
            "FROM {name} AS t WHERE t.application_id = $1 AND t.import_id = $2 AND t.id > $3 AND t.id <= $4 \
             AND NOT EXISTS (SELECT 1 FROM revert_failures f \
                 WHERE f.application_id = $1 AND f.import_id = $2 AND f.id = t.id)"
        );
        let part = match self.effort.limit {
            None => None,
            Some(limit) => {
                let nth = format!(
                    "SELECT CAST(0 AS bigint) AS number, t.id AS id {own} ORDER BY t.id LIMIT 1 OFFSET {}",
                    limit - 1
                );
                self.find::<Place>(tx, &nth, [past.into(), last.into()]).await?
            }
        };
        let done = match part {
            Some(record) if self.give_up => self.go_past(tx, SEQ, record).await?,
            // Not even the records: what later imports keep of them is left.
            None if self.give_up => Done::default(),
            _ => {
                let ids = || -> [Value; 2] { [past.into(), part.map_or(last, |place| place.id).into()] };
                // What later imports keep of them is nothing to go back to, either.
                let kept = format!(
                    "FROM replaced_{name} WHERE application_id = $1 AND import_id = $2 AND id > $3 AND id <= $4 \
                     AND replaced_by IN (SELECT i.id FROM imports i WHERE i.application_id = $1)"
                );
                self.forget_own_media(tx, &format!("SELECT id, import_id {kept}"), ids()).await?;
                self.execute(tx, &format!("DELETE {kept}"), ids()).await?;
                self.forget_own_media(tx, &format!("SELECT t.id, t.import_id {own}"), ids()).await?;
                Done { reverted: self.execute(tx, &format!("DELETE {own}"), ids()).await?, failed: 0 }
            }
        };
        let cursor = part.map_or(last, |place| place.id);
        update(self.application, self.import.id, self.now)
            .col_expr(Column::RevertCursor, Expr::value(cursor))
            .exec(tx)
            .await?;
        Ok((done, is_last && part.is_none()))
    }
}
