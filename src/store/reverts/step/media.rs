//! Takes away the media of versions of records that a step deletes.

use std::collections::BTreeMap;

use sea_orm::{
    ConnectionTrait, DatabaseTransaction, ExprTrait, FromQueryResult, QueryFilter, Value, sea_query::Expr,
};
use uuid::Uuid;

use super::Step;
use crate::{
    domain::{
        ids::ImportId,
        import::{ImportType, MediaCounters},
    },
    store::{audit, commit::COMPLETE, entities::import::Column, error::Error, imports, reverts::update},
};

/// A medium that is gone.
#[derive(FromQueryResult)]
struct Gone {
    job_id: Uuid,
    state: String,
}

impl Step {
    /// Takes away media of what this import wrote, which a query gives as ids and imports.
    pub(super) async fn forget_own_media(
        &self,
        tx: &DatabaseTransaction,
        versions: &str,
        further: impl IntoIterator<Item = Value>,
    ) -> Result<(), Error> {
        // Nearly all imports have none, and are gone over no slower for that.
        if self.import.media == MediaCounters::default() {
            return Ok(());
        }
        self.forget_media(tx, versions, further).await
    }

    /// Takes away media of versions of records, whichever import wrote them.
    pub(super) async fn forget_media(
        &self,
        tx: &DatabaseTransaction,
        versions: &str,
        further: impl IntoIterator<Item = Value>,
    ) -> Result<(), Error> {
        if self.import.spec.import_type != ImportType::UserVerification {
            return Ok(());
        }
        let delete = format!(
            "DELETE FROM media WHERE application_id = $1 AND $2 IS NOT NULL \
             AND (record_id, import_id) IN ({versions}) RETURNING job_id, state"
        );
        let values = [self.application.0.into(), self.import.id.0.into()].into_iter().chain(further);
        let mut of_retries: BTreeMap<Uuid, MediaCounters> = BTreeMap::new();
        for row in tx.query_all_raw(self.store.statement(&delete, values)).await? {
            let gone = Gone::from_query_result(&row, "")?;
            // Counters of the import itself tell what it did.
            if gone.job_id == self.import.id.0 {
                continue;
            }
            let count = of_retries.entry(gone.job_id).or_default();
            match gone.state.as_str() {
                "STORED" => count.stored += 1,
                "FAILED" => count.failed += 1,
                _ => count.pending += 1,
            }
        }
        for (job, gone) in of_retries {
            self.count_for_retry(tx, ImportId(job), gone).await?;
        }
        Ok(())
    }

    /// Counts media as gone that a retry, if it goes on, would have come to; it may have waited for nothing else.
    async fn count_for_retry(
        &self,
        tx: &DatabaseTransaction,
        retry: ImportId,
        gone: MediaCounters,
    ) -> Result<(), Error> {
        let less = |column: Column, by: i64| Expr::col(column).sub(by);
        let counted = update(self.application, retry, self.now)
            .col_expr(Column::MediaPendingCount, less(Column::MediaPendingCount, gone.pending))
            .col_expr(Column::MediaStoredCount, less(Column::MediaStoredCount, gone.stored))
            .col_expr(Column::MediaFailedCount, less(Column::MediaFailedCount, gone.failed))
            .filter(Expr::cust("status IN ('PROCESSING', 'PAUSED')"))
            .exec(tx)
            .await?;
        let complete = [self.application.0.into(), retry.0.into(), self.now.into()];
        if counted.rows_affected == 1
            && tx.execute_raw(self.store.statement(COMPLETE, complete)).await?.rows_affected() == 1
        {
            let import = imports::get(tx, self.application, retry).await?;
            audit::record_end(tx, &import, self.now).await?;
        }
        Ok(())
    }
}
