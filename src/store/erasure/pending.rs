//! Erasures whose sources are still to be gone over. Whoever does it holds a lease; when it dies, another
//! process goes on.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder,
    sea_query::Expr,
};
use serde_json::Value as Json;
use uuid::Uuid;

use super::ErasedKind;
use crate::{
    clock,
    domain::ids::ApplicationId,
    store::{Store, entities::erasure, error::Error},
};

/// Whose rows are to be found in sources.
#[derive(Debug, Clone)]
pub struct PendingErasure {
    /// Whose they are.
    pub application: ApplicationId,
    /// Its own id.
    pub id: Uuid,
    /// Whether it is about a person or a company.
    pub kind: ErasedKind,
    /// The customer's own id; none when a single session goes.
    pub vendor_data: Option<String>,
    /// Providers and the ids there of the sessions that are gone.
    pub keys: Vec<(String, String)>,
    /// SHA-256 of media that they named.
    pub media: Vec<[u8; 32]>,
}

impl PendingErasure {
    /// A new one; its own id tells nobody who it is about.
    pub fn new(application: ApplicationId, kind: ErasedKind, vendor_data: Option<String>) -> Self {
        Self { application, id: clock::new_id(), kind, vendor_data, keys: Vec::new(), media: Vec::new() }
    }

    fn is_this(&self) -> Condition {
        Condition::all()
            .add(erasure::Column::ApplicationId.eq(self.application.0))
            .add(erasure::Column::Id.eq(self.id))
    }
}

/// Writes an erasure down in the transaction that erases the records.
pub(super) async fn begin(
    tx: &DatabaseTransaction,
    pending: &PendingErasure,
    lease_until: DateTime<Utc>,
) -> Result<(), Error> {
    let row = erasure::ActiveModel {
        application_id: Set(pending.application.0),
        id: Set(pending.id),
        kind: Set(pending.kind.as_str().to_owned()),
        vendor_data: Set(pending.vendor_data.clone()),
        keys: Set(serde_json::to_value(&pending.keys).map_err(|_| Error::Corrupt("erasures.keys"))?),
        media: Set(Some(pending.media.iter().map(hex::encode).collect())),
        lease_expires_at: Set(lease_until),
    };
    erasure::Entity::insert(row).exec_without_returning(tx).await?;
    Ok(())
}

impl Store {
    /// Takes over an erasure that nobody works on any more.
    pub async fn claim_erasure(
        &self,
        now: DateTime<Utc>,
        lease_until: DateTime<Utc>,
    ) -> Result<Option<PendingErasure>, Error> {
        self.write(move |tx| {
            Box::pin(async move {
                let found = erasure::Entity::find()
                    .filter(erasure::Column::LeaseExpiresAt.lte(now))
                    .order_by_asc(erasure::Column::LeaseExpiresAt)
                    .one(tx)
                    .await?;
                let Some(row) = found else { return Ok(None) };
                let pending = PendingErasure {
                    application: ApplicationId(row.application_id),
                    id: row.id,
                    kind: ErasedKind::from_word(&row.kind).ok_or(Error::Corrupt("erasures.kind"))?,
                    vendor_data: row.vendor_data,
                    keys: serde_json::from_value(row.keys).map_err(|_| Error::Corrupt("erasures.keys"))?,
                    media: read_media(row.media)?,
                };
                let taken = erasure::Entity::update_many()
                    .col_expr(erasure::Column::LeaseExpiresAt, Expr::value(lease_until))
                    .filter(pending.is_this())
                    .filter(erasure::Column::LeaseExpiresAt.eq(row.lease_expires_at))
                    .exec(tx)
                    .await?;
                Ok((taken.rows_affected == 1).then_some(pending))
            })
        })
        .await
    }

    /// Holds on to an erasure until then; a time that has come gives it back.
    pub async fn lease_erasure(
        &self,
        pending: &PendingErasure,
        lease_until: DateTime<Utc>,
    ) -> Result<(), Error> {
        let this = pending.is_this();
        self.write(move |tx| {
            Box::pin(async move {
                erasure::Entity::update_many()
                    .col_expr(erasure::Column::LeaseExpiresAt, Expr::value(lease_until))
                    .filter(this)
                    .exec(tx)
                    .await?;
                Ok(())
            })
        })
        .await
    }

    /// Forgets an erasure that is done.
    pub async fn end_erasure(&self, pending: &PendingErasure) -> Result<(), Error> {
        let this = pending.is_this();
        self.write(move |tx| {
            Box::pin(async move {
                erasure::Entity::delete_many().filter(this).exec(tx).await?;
                Ok(())
            })
        })
        .await
    }
}

fn read_media(list: Option<Json>) -> Result<Vec<[u8; 32]>, Error> {
    let read = |text: &Json| {
        let mut sha256 = [0; 32];
        text.as_str().and_then(|text| hex::decode_to_slice(text, &mut sha256).ok()).map(|()| sha256)
    };
    let list = list.as_ref().and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().map(|text| read(text).ok_or(Error::Corrupt("erasures.media"))).collect()
}
