//! Objects of media that nothing names any more.

use std::time::{self, Instant};

use chrono::Duration;
use tokio_stream::StreamExt;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Erasure, Swept};
use crate::{clock, domain::ids::ApplicationId, error::Error, objects::Sha256};

/// How often the media of an application are gone over, and how old those are that are deleted then: what was just
/// stored is still to be named.
const DAY: Duration = Duration::days(1);

/// Media that are looked up at a time.
const PAGE: usize = 1_000;

/// Media that are deleted in one go.
const DELETED_AT_ONCE: usize = 100;

/// How long workers respect a deletion whose process may have died, and how long it asks for more. A request takes
/// no longer than what lies in between.
const DELETION: Duration = Duration::minutes(10);
const LAST_DELETION: time::Duration = time::Duration::from_mins(3);

impl Erasure {
    /// Goes over the media of applications whose turn it is, and deletes those that nothing names: their records
    /// were reverted, or whoever stored them died before it could write that down. Ends between two pages when `stop`
    /// is cancelled.
    pub async fn sweep_media(&self, stop: &CancellationToken) -> Swept {
        let mut swept = Swept { count: 0, well: true };
        while !stop.is_cancelled() {
            let application = match self.store.claim_media_sweep(DAY, clock::now()).await {
                Ok(Some(application)) => application,
                Ok(None) => return swept,
                Err(error) => {
                    warn!(error = &error as &dyn std::error::Error, "could not look for media to go over");
                    return Swept { well: false, ..swept };
                }
            };
            match self.delete_strays(application, stop).await {
                Ok(0) => {}
                Ok(count) => {
                    info!(application.id = %application, media = count, "media that nothing names deleted");
                    swept.count += count;
                }
                // It has its turn again on another day.
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    warn!(application.id = %application, error, "could not go over media");
                    swept.well = false;
                }
            }
        }
        swept
    }

    async fn delete_strays(
        &self,
        application: ApplicationId,
        stop: &CancellationToken,
    ) -> Result<u64, Error> {
        self.objects.delete_unfinished_media(application, clock::now() - DAY).await?;
        let mut old = std::pin::pin!(self.objects.list_media(application, clock::now() - DAY));
        let (mut page, mut count) = (Vec::new(), 0);
        while let Some(Some(sha256)) = stop.run_until_cancelled(old.next()).await {
            page.push(sha256?);
            if page.len() == PAGE {
                count += self.delete_unnamed(application, &std::mem::take(&mut page)).await?;
            }
        }
        if stop.is_cancelled() {
            return Ok(count);
        }
        Ok(count + self.delete_unnamed(application, &page).await?)
    }

    /// Deletes those of these media that nothing of the application names; gives how many. All are tried, also
    /// behind one that cannot be deleted. Workers that are about to store the same wait meanwhile, or are seen.
    pub(super) async fn delete_unnamed(
        &self,
        application: ApplicationId,
        media: &[Sha256],
    ) -> Result<u64, Error> {
        let (mut count, mut failed) = (0, None);
        let mut left = self.store.unnamed_media(application, media).await?;
        while !left.is_empty() {
            let mut rest = left.split_off(left.len().min(DELETED_AT_ONCE));
            let (deletion, begun, now) = (clock::new_id(), Instant::now(), clock::now());
            self.store.begin_media_deletion(application, deletion, &left, now, now + DELETION).await?;
            let mut unsure = Vec::new();
            for sha256 in self.store.unnamed_media(application, &left).await? {
                if begun.elapsed() > LAST_DELETION {
                    rest.push(sha256);
                    continue;
                }
                match self.objects.delete_medium(application, &sha256).await {
                    Ok(()) => count += 1,
                    Err(error) => {
                        unsure.push(sha256);
                        failed.get_or_insert(error);
                    }
                }
            }
            self.store.end_media_deletion(application, deletion, &unsure).await?;
            left = rest;
        }
        failed.map_or(Ok(count), |error| Err(error.into()))
    }
}
