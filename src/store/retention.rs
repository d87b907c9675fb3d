//! Sources that have been kept long enough.

use std::collections::HashMap;

use chrono::{DateTime, Duration, Utc};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr};
use uuid::Uuid;

use super::{
    Store, administration,
    api_keys::Caller,
    audit::{self, AuditEvent},
    entities::{application, import, medium, row_error, row_warning},
    erasure::ENDED,
    error::Error,
};
use crate::domain::{
    ids::{ApplicationId, ImportId},
    import::{Import, ImportStatus},
};

/// Imports that are read at a time, and about as many sources that one sweep deletes.
const PAGE: u64 = 1_000;

/// Media whose links one transaction forgets, and those that share the last of these.
const LINKS: u64 = 5_000;

/// Longer than anything is kept, and short enough to be added to a time.
const MANY_DAYS: i64 = 1_000_000;

impl Store {
    /// Ended imports whose source has been kept for as long as is right today, in the order of their ids:
    /// `days`, or what their application has in its place. Who shortens the time means what is there already.
    pub async fn list_expired_sources(&self, days: u32, now: DateTime<Utc>) -> Result<Vec<Import>, Error> {
        let own = self.own_retentions().await?;
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
                let days = own.get(&import.application_id).copied().unwrap_or(u64::from(days));
                let kept = Duration::days(i64::try_from(days).unwrap_or(i64::MAX).min(MANY_DAYS));
                if import.completed_at.is_some_and(|ended| ended + kept <= now) {
                    expired.push(import);
                }
            }
        }
        Ok(expired)
    }

    /// Whether the object store should hold the source of any import.
    pub async fn keeps_sources(&self) -> Result<bool, Error> {
        let kept = import::Entity::find()
            .filter(import::Column::SourceDeletedAt.is_null())
            .filter(import::Column::SourceBytes.gt(0))
            .limit(1);
        Ok(kept.one(&self.db).await?.is_some())
    }

    /// Days that applications keep sources for, of those that have a time of their own.
    async fn own_retentions(&self) -> Result<HashMap<ApplicationId, u64>, Error> {
        let rows = application::Entity::find().filter(application::Column::Limits.is_not_null());
        let mut own = HashMap::new();
        for row in rows.all(&self.db).await? {
            let days = administration::limit_settings(&row)?.source_retention_days;
            own.extend(days.map(|days| (ApplicationId(row.id), days)));
        }
        Ok(own)
    }

    /// Writes down that a source is gone, and deletes what row errors and warnings tell of its rows, and where its
    /// media were that are not stored; how many there were stays known.
    pub async fn mark_source_deleted(
        &self,
        application: ApplicationId,
        id: ImportId,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        // First, so that whoever dies in between comes back to it.
        self.forget_links(application, id).await?;
        self.write(move |tx| {
            Box::pin(async move {
                let marked = import::Entity::update_many()
                    .col_expr(import::Column::SourceDeletedAt, Expr::value(now))
                    .col_expr(import::Column::StoredErrorCount, Expr::value(0))
                    .col_expr(import::Column::StoredWarningCount, Expr::value(0))
                    .col_expr(import::Column::Sequence, Expr::cust("sequence + 1"))
                    .filter(import::Column::ApplicationId.eq(application.0))
                    .filter(import::Column::Id.eq(id.0))
                    .filter(import::Column::SourceDeletedAt.is_null())
                    .exec(tx)
                    .await?;
                if marked.rows_affected == 1 {
                    let target = id.to_string();
                    let event = AuditEvent::new(Caller::SERVER, Some(application), "delete_source", target);
                    audit::record(tx, event, now).await?;
                }
                row_error::Entity::delete_many()
                    .filter(row_error::Column::ApplicationId.eq(application.0))
                    .filter(row_error::Column::ImportId.eq(id.0))
                    .exec(tx)
                    .await?;
                row_warning::Entity::delete_many()
                    .filter(row_warning::Column::ApplicationId.eq(application.0))
                    .filter(row_warning::Column::ImportId.eq(id.0))
                    .exec(tx)
                    .await?;
                Ok(())
            })
        })
        .await
    }

    /// Forgets where media of an import were that are not stored, some of them in a transaction.
    async fn forget_links(&self, application: ApplicationId, id: ImportId) -> Result<(), Error> {
        use medium::Column;
        let mut behind = Uuid::nil();
        loop {
            let last = self.write(move |tx| {
                Box::pin(async move {
                    let of_import = Condition::all()
                        .add(Column::ApplicationId.eq(application.0))
                        .add(Column::JobId.eq(id.0))
                        .add(Column::UrlId.gt(behind));
                    let last: Option<Uuid> = medium::Entity::find()
                        .filter(of_import.clone())
                        .order_by_asc(Column::UrlId)
                        .select_only()
                        .column(Column::UrlId)
                        .offset(LINKS - 1)
                        .into_tuple()
                        .one(tx)
                        .await?;
                    medium::Entity::update_many()
                        .col_expr(Column::Url, Expr::value(Option::<String>::None))
                        .col_expr(Column::ComingSha256, Expr::value(Option::<Vec<u8>>::None))
                        .filter(of_import)
                        .filter(Column::UrlId.lte(last.unwrap_or(Uuid::max())))
                        .filter(Column::Url.is_not_null())
                        .exec(tx)
                        .await?;
                    Ok(last)
                })
            });
            match last.await? {
                Some(last) => behind = last,
                None => return Ok(()),
            }
        }
    }
}
