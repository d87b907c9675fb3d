//! Objects of media that nothing names any more.

use chrono::Duration;
use tokio_stream::StreamExt;
use tracing::{info, warn};

use super::{Erasure, Swept};
use crate::{clock, domain::ids::ApplicationId, error::Error, objects::Sha256};

/// How often the media of an application are gone over, and how old those are that are deleted then: what was just
/// stored is still to be named.
const DAY: Duration = Duration::days(1);

/// Media that are looked up at a time.
const PAGE: usize = 1_000;

/// Applications that are gone over in one go, so that all else gets its turn.
const APPLICATIONS: usize = 100;

impl Erasure {
    /// Goes over the media of applications whose turn it is, and deletes those that nothing names: their records
    /// were reverted, or whoever stored them died before it could write that down.
    pub async fn sweep_media(&self) -> Swept {
        let mut swept = Swept { count: 0, well: true };
        for _ in 0..APPLICATIONS {
            let application = match self.store.claim_media_sweep(DAY, clock::now()).await {
                Ok(Some(application)) => application,
                Ok(None) => return swept,
                Err(error) => {
                    warn!(error = &error as &dyn std::error::Error, "could not look for media to go over");
                    return Swept { well: false, ..swept };
                }
            };
            match self.delete_strays(application).await {
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

    async fn delete_strays(&self, application: ApplicationId) -> Result<u64, Error> {
        let mut old = std::pin::pin!(self.objects.list_media(application, clock::now() - DAY));
        let (mut page, mut count) = (Vec::new(), 0);
        while let Some(sha256) = old.next().await {
            page.push(sha256?);
            if page.len() == PAGE {
                count += self.delete_unnamed(application, &std::mem::take(&mut page)).await?;
            }
        }
        Ok(count + self.delete_unnamed(application, &page).await?)
    }

    /// Deletes those of these media that nothing of the application names; gives how many. All are tried, also
    /// behind one that cannot be deleted.
    pub(super) async fn delete_unnamed(
        &self,
        application: ApplicationId,
        media: &[Sha256],
    ) -> Result<u64, Error> {
        let (mut count, mut failed) = (0, None);
        for sha256 in self.store.unnamed_media(application, media).await? {
            match self.objects.delete_medium(application, &sha256).await {
                Ok(()) => count += 1,
                Err(error) => drop(failed.get_or_insert(error)),
            }
        }
        failed.map_or(Ok(count), |error| Err(error.into()))
    }
}
