//! Which objects of media may be deleted, while workers put others.
//!
//! The object store has no transactions, so whoever puts and whoever deletes tell each other through the database:
//! each first writes down what it is about to do, commits, and only then looks for the other.
//!
//! - Who puts writes the hash to the row that leads, then looks for deletions of it, and puts when there is none. From
//!   the first to the commit that names the object, the hash stands in that row.
//! - Who deletes writes the deletion down, then looks for rows that name the hash or are about to, and deletes when
//!   there is none. From the first to the last request of it, the deletion stands in the table.
//!
//! Of two that mean the same object, one has committed first, and the other, who looks after its own commit, sees that.
//! Thus either the object stays, or it is put again after it was deleted, and no row is left without one. A deletion
//! whose process died ends by the clock; whoever lives asks for nothing more long before.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect, sea_query::Expr,
};
use uuid::Uuid;

use super::{Download, Group, LEADS};
use crate::{
    domain::ids::ApplicationId,
    store::{
        Store,
        entities::{
            media_deletion,
            medium::{self, Column},
        },
        error::Error,
    },
};

/// Media that one statement looks for or writes down.
const CHUNK: usize = 500;

/// What came of an announcement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announced {
    /// The medium may be put now.
    Free,
    /// Somebody is deleting the very same; it is to be announced again in a while.
    BeingDeleted,
    /// The download is no longer held, and nothing is to be put for it.
    Lost,
}

impl Store {
    /// Announces that a medium is about to be put into the object store for a download that is held.
    pub async fn announce_medium(
        &self,
        owner: Uuid,
        download: &Download,
        sha256: &[u8; 32],
        now: DateTime<Utc>,
    ) -> Result<Announced, Error> {
        let announce = medium::Entity::update_many()
            .col_expr(Column::ComingSha256, Expr::value(sha256.to_vec()))
            .filter(Group::from(download).rows())
            .filter(Expr::cust(LEADS))
            .filter(Column::Owner.eq(owner))
            .filter(Column::Epoch.eq(download.epoch));
        let is_held =
            self.write(move |tx| Box::pin(async move { Ok(announce.exec(tx).await?.rows_affected == 1) }));
        if !is_held.await? {
            return Ok(Announced::Lost);
        }
        let deletions = media_deletion::Entity::find()
            .filter(media_deletion::Column::ApplicationId.eq(download.application.0))
            .filter(media_deletion::Column::Sha256.eq(sha256.to_vec()))
            .filter(media_deletion::Column::EndsAt.gt(now))
            .count(&self.db);
        Ok(if deletions.await? == 0 { Announced::Free } else { Announced::BeingDeleted })
    }

    /// Writes down that media of an application are being deleted, at most until `ends_at`; which of them nothing
    /// names is to be asked afterwards.
    pub async fn begin_media_deletion(
        &self,
        application: ApplicationId,
        deletion: Uuid,
        media: &[[u8; 32]],
        now: DateTime<Utc>,
        ends_at: DateTime<Utc>,
    ) -> Result<(), Error> {
        let rows: Vec<_> = media
            .iter()
            .map(|sha256| media_deletion::ActiveModel {
                application_id: Set(application.0),
                sha256: Set(sha256.to_vec()),
                deletion_id: Set(deletion),
                ends_at: Set(ends_at),
            })
            .collect();
        self.write(move |tx| {
            Box::pin(async move {
                // Those of processes that died.
                media_deletion::Entity::delete_many()
                    .filter(media_deletion::Column::EndsAt.lte(now))
                    .exec(tx)
                    .await?;
                for rows in rows.chunks(CHUNK) {
                    media_deletion::Entity::insert_many(rows.to_vec()).exec_without_returning(tx).await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// Ends a deletion, but not that of media for which it is not sure that nothing comes of it any more.
    pub async fn end_media_deletion(
        &self,
        application: ApplicationId,
        deletion: Uuid,
        unsure: &[[u8; 32]],
    ) -> Result<(), Error> {
        let end = media_deletion::Entity::delete_many()
            .filter(media_deletion::Column::ApplicationId.eq(application.0))
            .filter(media_deletion::Column::DeletionId.eq(deletion))
            .filter(media_deletion::Column::Sha256.is_not_in(unsure.iter().map(|sha256| sha256.to_vec())));
        self.write(move |tx| Box::pin(async move { Ok(end.exec(tx).await.map(drop)?) })).await
    }

    /// Those of these media that no row of the application names, nor is about to.
    pub async fn unnamed_media(
        &self,
        application: ApplicationId,
        media: &[[u8; 32]],
    ) -> Result<Vec<[u8; 32]>, Error> {
        let mut unnamed = Vec::new();
        for media in media.chunks(CHUNK) {
            let mut named = HashSet::new();
            // A medium that is settled goes from the first to the second, so this order meets it in one of them.
            for column in [Column::ComingSha256, Column::Sha256] {
                let found: Vec<Option<Vec<u8>>> = medium::Entity::find()
                    .filter(Column::ApplicationId.eq(application.0))
                    .filter(column.is_in(media.iter().map(|sha256| sha256.to_vec())))
                    .select_only()
                    .column(column)
                    .distinct()
                    .into_tuple()
                    .all(&self.db)
                    .await?;
                named.extend(found.into_iter().flatten());
            }
            unnamed.extend(media.iter().filter(|sha256| !named.contains(sha256.as_slice())));
        }
        Ok(unnamed)
    }
}
