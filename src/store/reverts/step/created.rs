//! Deletes what an import created, by the numbers its segments had reserved.

use sea_orm::{
    ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr,
};

use super::{Done, Place, Step};
use crate::{
    domain::ledger::Ledger,
    store::{entities::segment, error::Error, table::Table},
};

impl Step {
    pub(super) async fn next_segment(
        &self,
        tx: &DatabaseTransaction,
    ) -> Result<Option<segment::Model>, Error> {
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

    /// Deletes the records a segment created that are still this import's, or as many as the limit says.
    pub(super) async fn delete_created(
        &self,
        tx: &DatabaseTransaction,
        table: &Table,
        segment: segment::Model,
    ) -> Result<Done, Error> {
        let (seq, rows) = (segment.seq, segment.row_count);
        let ledger = segment.ledger.and_then(|bits| Ledger::from_bytes(bits, rows as usize));
        let created = ledger.map(|ledger| ledger.counters().created);
        if created == Some(0) {
            self.end_segment(tx, seq).await?;
            return Ok(Done::default());
        }
        let (name, number) = (table.name, table.number);
        let own = |alias: &str| {
            format!(
                "{alias}.application_id = $1 AND {alias}.import_id = $2 AND {alias}.{number} >= $3 \
                 AND {alias}.{number} <= $4 AND NOT EXISTS (SELECT 1 FROM replaced_{name} b \
                     WHERE b.application_id = $1 AND b.replaced_by = $2 AND b.id = {alias}.id)"
            )
        };
        let reserved = segment.first_session_number;
        let past = self.last_failure(tx, seq).await?;
        let first = past.map_or(reserved, |place| place.number + 1);
        let last = reserved + i64::from(rows) - 1;
        let part = match self.effort.limit {
            None => None,
            Some(limit) => {
                let nth = format!(
                    "SELECT t.{number} AS number, t.id AS id FROM {name} t WHERE {} ORDER BY t.{number} \
                     LIMIT 1 OFFSET {}",
                    own("t"),
                    limit - 1
                );
                self.find::<Place>(tx, &nth, [first.into(), last.into()]).await?
            }
        };
        match part {
            Some(record) if self.give_up => return self.go_past(tx, seq, record).await,
            // Not even the records: what is left of the segment is left.
            None if self.give_up => {
                self.end_segment(tx, seq).await?;
                return Ok(Done::default());
            }
            _ => {}
        }
        let end = part.map_or(last, |place| place.number);
        let versions = format!("SELECT t.id, t.import_id FROM {name} t WHERE {}", own("t"));
        self.forget_own_media(tx, &versions, [first.into(), end.into()]).await?;
        let delete = format!("DELETE FROM {name} AS t WHERE {}", own("t"));
        let reverted = self.execute(tx, &delete, [first.into(), end.into()]).await?;
        if part.is_none() {
            if Some(reverted) != created {
                let versions = format!("SELECT t.id, t.import_id FROM replaced_{name} t WHERE {}", own("t"));
                self.forget_own_media(tx, &versions, [reserved.into(), last.into()]).await?;
                let forget = format!("DELETE FROM replaced_{name} AS t WHERE {}", own("t"));
                self.execute(tx, &forget, [reserved.into(), last.into()]).await?;
            }
            self.end_segment(tx, seq).await?;
        }
        Ok(Done { reverted, failed: 0 })
    }

    async fn end_segment(&self, tx: &DatabaseTransaction, seq: i32) -> Result<(), Error> {
        segment::Entity::update_many()
            .col_expr(segment::Column::Reverted, Expr::value(true))
            .filter(segment::Column::ApplicationId.eq(self.application.0))
            .filter(segment::Column::ImportId.eq(self.import.id.0))
            .filter(segment::Column::Seq.eq(seq))
            .exec(tx)
            .await?;
        Ok(())
    }
}
