//! Puts updated records back to what they were.

use sea_orm::{ConnectionTrait, DatabaseTransaction, FromQueryResult, Value};
use uuid::Uuid;

use super::{Done, Place, Step};
use crate::store::{error::Error, table::Table};

/// Updated records that one transaction puts back.
const BATCH: i32 = 2_000;

/// Stands for a segment where updated records are gone past; they go by their ids.
const SEQ: i32 = -1;

impl Step {
    /// Puts the next updated records back; nothing when there are none left.
    pub(super) async fn put_back(
        &self,
        tx: &DatabaseTransaction,
        table: &Table,
    ) -> Result<Option<Done>, Error> {
        let (name, columns) = (table.name, table.columns);
        let past = self.last_failure(tx, SEQ).await?.map_or(Uuid::nil(), |place| place.id);
        let limit = self.effort.limit.map_or(BATCH, |limit| limit.min(BATCH));
        let last = format!(
            "SELECT CAST(0 AS bigint) AS number, id FROM (SELECT id FROM replaced_{name} WHERE application_id = $1 \
             AND replaced_by = $2 AND id > $3 ORDER BY id LIMIT {limit}) AS batch ORDER BY id DESC LIMIT 1"
        );
        let Some(last) = self.find::<Place>(tx, &last, [past.into()]).await? else { return Ok(None) };
        if self.give_up {
            return self.go_past(tx, SEQ, last).await.map(Some);
        }
        let ids = || [past.into(), last.id.into()];
        let before = format!(
            "FROM replaced_{name} AS b WHERE b.application_id = $1 AND b.replaced_by = $2 AND b.id > $3 AND b.id <= $4"
        );
        self.mend_later_images(tx, name, past, last.id).await?;
        let others = format!(
            "{before} AND NOT EXISTS (SELECT 1 FROM {name} t \
             WHERE t.application_id = $1 AND t.id = b.id AND t.import_id = $2)"
        );
        self.forget_media(tx, &format!("SELECT b.id, b.import_id {others}"), ids()).await?;
        self.execute(tx, &format!("DELETE {others}"), ids()).await?;
        let own = format!(
            "FROM {name} AS t WHERE t.application_id = $1 AND t.import_id = $2 AND t.id IN (SELECT b.id {before})"
        );
        self.forget_own_media(tx, &format!("SELECT t.id, t.import_id {own}"), ids()).await?;
        let deleted = self.execute(tx, &format!("DELETE {own}"), ids()).await?;
        let insert = format!("INSERT INTO {name} ({columns}) SELECT {columns} {before}");
        let put_back = self.execute(tx, &insert, ids()).await?;
        self.execute(tx, &format!("DELETE {before}"), ids()).await?;
        if deleted != put_back {
            return Err(Error::Corrupt("replaced records"));
        }
        Ok(Some(Done { reverted: put_back, failed: 0 }))
    }

    /// Where a later import keeps this one's record as what was before, it keeps from now on what was before
    /// this one.
    async fn mend_later_images(
        &self,
        tx: &DatabaseTransaction,
        name: &str,
        past: Uuid,
        last: Uuid,
    ) -> Result<(), Error> {
        #[derive(FromQueryResult)]
        struct Image {
            replaced_by: Uuid,
            id: Uuid,
        }
        let images = format!(
            "FROM replaced_{name} AS l WHERE l.application_id = $1 AND l.import_id = $2 \
             AND l.replaced_by <> $2 \
             AND NOT EXISTS (SELECT 1 FROM {name} t WHERE t.application_id = $1 AND t.id = l.id AND t.import_id = $2) \
             AND l.id IN (SELECT b.id FROM replaced_{name} b \
                 WHERE b.application_id = $1 AND b.replaced_by = $2 AND b.id > $3 AND b.id <= $4)"
        );
        let ids = || -> [Value; 2] { [past.into(), last.into()] };
        self.forget_own_media(tx, &format!("SELECT l.id, l.import_id {images}"), ids()).await?;
        let delete = format!("DELETE {images} RETURNING replaced_by, id");
        let values = [self.application.0.into(), self.import.id.0.into()].into_iter().chain(ids());
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
}
