//! Sources that are fetched by URL. Who works on one holds a lease; when it dies, another process goes on.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder,
    Value, sea_query::Expr,
};

use super::{
    Store,
    entities::{import, source_fetch},
    error::Error,
    imports,
};
use crate::domain::ids::{ApplicationId, ImportId};

/// A source that is to be fetched.
#[derive(Clone)]
pub struct SourceFetch {
    /// Whose it is.
    pub application: ApplicationId,
    /// The import it is for.
    pub import: ImportId,
    /// Where it is; never shown, since it may hold a token.
    pub url: String,
    /// A strong validator of what has been stored of it.
    pub etag: Option<String>,
    /// How often in a row it has failed without bringing anything new.
    pub attempts: u32,
    /// Bytes of it that were stored when it was taken up.
    pub committed_size: i64,
}

impl SourceFetch {
    fn is_this(&self) -> Condition {
        Condition::all()
            .add(source_fetch::Column::ApplicationId.eq(self.application.0))
            .add(source_fetch::Column::ImportId.eq(self.import.0))
    }
}

/// Writes a fetch down in the transaction that makes its import.
pub(super) async fn add(
    tx: &DatabaseTransaction,
    application: ApplicationId,
    id: ImportId,
    url: String,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let row = source_fetch::ActiveModel {
        application_id: Set(application.0),
        import_id: Set(id.0),
        url: Set(url),
        etag: Set(None),
        attempts: Set(0),
        lease_expires_at: Set(now),
    };
    source_fetch::Entity::insert(row).exec_without_returning(tx).await?;
    Ok(())
}

impl Store {
    /// Takes up a fetch that nobody works on and whose time has come.
    pub async fn claim_fetch(
        &self,
        now: DateTime<Utc>,
        lease_until: DateTime<Utc>,
    ) -> Result<Option<SourceFetch>, Error> {
        self.write(move |tx| {
            Box::pin(async move {
                let found = source_fetch::Entity::find()
                    .filter(source_fetch::Column::LeaseExpiresAt.lte(now))
                    .order_by_asc(source_fetch::Column::LeaseExpiresAt)
                    .one(tx)
                    .await?;
                let Some(row) = found else { return Ok(None) };
                let fetch = SourceFetch {
                    application: ApplicationId(row.application_id),
                    import: ImportId(row.import_id),
                    url: row.url,
                    etag: row.etag,
                    attempts: row.attempts.unsigned_abs(),
                    committed_size: 0,
                };
                let taken = source_fetch::Entity::update_many()
                    .col_expr(source_fetch::Column::LeaseExpiresAt, Expr::value(lease_until))
                    .filter(fetch.is_this())
                    .filter(source_fetch::Column::LeaseExpiresAt.eq(row.lease_expires_at))
                    .exec(tx)
                    .await?;
                Ok((taken.rows_affected == 1).then_some(fetch))
            })
        })
        .await
    }

    /// Keeps the validator of what a fetch stores.
    pub async fn keep_validator(&self, fetch: &SourceFetch) -> Result<(), Error> {
        self.change_fetch(fetch, source_fetch::Column::Etag, fetch.etag.clone().into()).await
    }

    /// Holds on to a fetch until then; a time that has come gives it back.
    pub async fn hold_fetch(&self, fetch: &SourceFetch, lease_until: DateTime<Utc>) -> Result<(), Error> {
        self.change_fetch(fetch, source_fetch::Column::LeaseExpiresAt, lease_until.into()).await
    }

    async fn change_fetch(
        &self,
        fetch: &SourceFetch,
        column: source_fetch::Column,
        value: Value,
    ) -> Result<(), Error> {
        let this = fetch.is_this();
        self.write(move |tx| {
            Box::pin(async move {
                let change = source_fetch::Entity::update_many().col_expr(column, Expr::value(value));
                change.filter(this).exec(tx).await?;
                Ok(())
            })
        })
        .await
    }

    /// Leaves a fetch that has failed alone until `again`, and says on its import what it waits for.
    pub async fn put_off_fetch(
        &self,
        fetch: &SourceFetch,
        reason: &'static str,
        again: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let (this, attempts) = (fetch.is_this(), fetch.attempts as i32 + 1);
        let (application, id) = (fetch.application, fetch.import);
        self.write(move |tx| {
            Box::pin(async move {
                source_fetch::Entity::update_many()
                    .col_expr(source_fetch::Column::LeaseExpiresAt, Expr::value(again))
                    .col_expr(source_fetch::Column::Attempts, Expr::value(attempts))
                    .filter(this)
                    .exec(tx)
                    .await?;
                imports::changed(now)
                    .col_expr(import::Column::WaitingReason, Expr::value(reason))
                    .filter(import::Column::ApplicationId.eq(application.0))
                    .filter(import::Column::Id.eq(id.0))
                    .exec(tx)
                    .await?;
                Ok(())
            })
        })
        .await
    }

    /// Forgets a fetch: its source is stored, or will not be.
    pub async fn end_fetch(&self, fetch: &SourceFetch) -> Result<(), Error> {
        let this = fetch.is_this();
        self.write(move |tx| {
            Box::pin(async move {
                source_fetch::Entity::delete_many().filter(this).exec(tx).await?;
                Ok(())
            })
        })
        .await
    }
}
