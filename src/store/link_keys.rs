//! The secret that links to media are signed with.

use sea_orm::{ActiveValue::Set, EntityTrait, sea_query::OnConflict};
use uuid::Uuid;

use super::{Store, entities::link_key, error::Error};

/// There is one.
const ID: i16 = 1;

impl Store {
    /// The secret that all processes on this database share; the first that asks makes it.
    pub async fn link_secret(&self) -> Result<Vec<u8>, Error> {
        self.write(|tx| {
            Box::pin(async move {
                let new = link_key::ActiveModel {
                    id: Set(ID),
                    secret: Set([Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes()].concat()),
                };
                link_key::Entity::insert(new)
                    .on_conflict(OnConflict::column(link_key::Column::Id).do_nothing().to_owned())
                    .exec_without_returning(tx)
                    .await?;
                let kept = link_key::Entity::find_by_id(ID).one(tx).await?;
                Ok(kept.ok_or(Error::Corrupt("link_keys"))?.secret)
            })
        })
        .await
    }
}
