//! Sources that have been kept long enough.

use chrono::{DateTime, Duration, Utc};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr};
use uuid::Uuid;

use super::{
    Store,
    entities::{import, row_error},
    erasure::ENDED,
    error::Error,
};
use crate::domain::{
    ids::{ApplicationId, ImportId},
    import::{Import, ImportStatus},
};

/// Imports that are read at a time, and about as many sources that one sweep deletes.
const PAGE: u64 = 1_000;

impl Store {
    /// Ended imports whose source has been kept as long as their limits say, in the order of their ids.
    pub async fn list_expired_sources(&self, now: DateTime<Utc>) -> Result<Vec<Import>, Error> {
        let mut expired = Vec::new();
        let mut after = Uuid::nil();
        while expired.len() < PAGE as usize {
            let rows = import::Entity::find()
                .filter(import::Column::Status.is_in(ENDED.map(ImportStatus::as_str)))
                .filter(import::Column::SourceDeletedAt.is_null())
                .filter(import::Column::Id.gt(after))
                .order_by_asc(import::Column::Id)
                .limit(PAGE)
                .all(&self.db)
                .await?;
            let Some(last) = rows.last() else { break };
            after = last.id;
            for row in rows {
                let import = row.into_domain()?;
                let kept = Duration::days(i64::from(import.limits.source_retention_days));
                if import.completed_at.is_some_and(|ended| ended + kept <= now) {
                    expired.push(import);
                }
            }
        }
        Ok(expired)
    }

    /// Writes down that a source is gone, and deletes what row errors tell of its rows; how many failed
    /// stays known.
    pub async fn mark_source_deleted(
        &self,
        application: ApplicationId,
        id: ImportId,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        self.write(move |tx| {
            Box::pin(async move {
                import::Entity::update_many()
                    .col_expr(import::Column::SourceDeletedAt, Expr::value(now))
                    .col_expr(import::Column::StoredErrorCount, Expr::value(0))
                    .col_expr(import::Column::Sequence, Expr::cust("sequence + 1"))
                    .filter(import::Column::ApplicationId.eq(application.0))
                    .filter(import::Column::Id.eq(id.0))
                    .exec(tx)
                    .await?;
                row_error::Entity::delete_many()
                    .filter(row_error::Column::ApplicationId.eq(application.0))
                    .filter(row_error::Column::ImportId.eq(id.0))
                    .exec(tx)
                    .await?;
                Ok(())
            })
        })
        .await
    }
}
