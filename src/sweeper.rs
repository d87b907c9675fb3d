//! Looks now and then for what nobody else comes back to: abandoned uploads, sources that were kept long
//! enough, erasures and retries whose process died, media that nothing names.

use std::time::Duration;

use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use crate::{
    clock,
    domain::{fault::SourceFault, import::Import},
    erasure::{Erasure, Swept},
    error::Error,
    feed::Feed,
    imports::Imports,
    metrics::{Metrics, Sweep},
    objects::Objects,
    store::Store,
};

/// When a sweeper sweeps what.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Time between two looks.
    pub every: Duration,
    /// How long an upload may stand still before its import fails.
    pub upload_ttl: Duration,
    /// How many days a source is kept behind the end of its import, where its application says nothing.
    pub source_retention_days: u32,
    /// How long a claim holds.
    pub lease: Duration,
}

/// How long a retry stands still before its feeder is taken for dead.
const STANDING: Duration = Duration::from_secs(30);

/// A sweeper.
pub struct Sweeper {
    /// Where imports are.
    pub store: Store,
    /// Where their sources are.
    pub objects: Objects,
    /// Who hears that an import has ended.
    pub feed: Feed,
    /// Who feeds retries.
    pub imports: Imports,
    /// Who finishes erasures.
    pub erasure: Erasure,
    /// Where it is counted.
    pub metrics: Metrics,
    /// When to look.
    pub settings: Settings,
}

impl Sweeper {
    /// Starts it; it ends when `stop` is cancelled.
    pub fn spawn(self, tasks: &TaskTracker, stop: CancellationToken) {
        self.metrics.sweeper_begins();
        let (erasure, metrics) = (self.erasure.clone(), self.metrics.clone());
        tasks.spawn(sweep_media(erasure, metrics, self.settings.every, stop.clone()));
        tasks.spawn(async move {
            while stop.run_until_cancelled(tokio::time::sleep(self.settings.every)).await.is_some() {
                self.end_frozen_copies().await;
                self.fail_abandoned_uploads().await;
                self.delete_expired_sources().await;
                self.forget_row_tallies().await;
                self.resume_erasures().await;
                self.feed_standing_retries().await;
            }
        });
    }

    /// Frees what processes hold locked that are frozen, so that others can take their work over.
    async fn end_frozen_copies(&self) {
        match self.store.end_frozen_copies(self.settings.lease).await {
            Ok(0) => {}
            Ok(count) => {
                warn!(copies.ended = count, "a process is frozen amid a COPY; its connection was ended")
            }
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "could not look for frozen processes");
            }
        }
    }

    /// Fails imports whose upload nobody went on with, so that they do not count as active for ever.
    async fn fail_abandoned_uploads(&self) {
        let hours = self.settings.upload_ttl.as_secs() / 3600;
        let before = clock::now() - self.settings.upload_ttl;
        let abandoned = match self.store.list_abandoned_uploads(before).await {
            Ok(abandoned) => {
                self.metrics.swept(Sweep::Uploads, true);
                abandoned
            }
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "could not look for abandoned uploads");
                self.metrics.swept(Sweep::Uploads, false);
                return;
            }
        };
        for (application, id) in abandoned {
            let fault = SourceFault::Abandoned { hours };
            if self.store.fail_import(application, id, &fault, clock::now()).await.is_ok() {
                info!(import.id = %id, "abandoned upload failed");
                self.metrics.upload_abandoned();
                self.feed.changed(id);
            }
        }
    }

    /// Deletes sources that have been kept long enough, with their row errors, and says so in their imports.
    async fn delete_expired_sources(&self) {
        let expired =
            match self.store.list_expired_sources(self.settings.source_retention_days, clock::now()).await {
                Ok(expired) => expired,
                Err(error) => {
                    warn!(error = &error as &dyn std::error::Error, "could not look for expired sources");
                    self.metrics.swept(Sweep::Sources, false);
                    return;
                }
            };
        let mut well = true;
        for import in expired {
            match self.delete_source(&import).await {
                Ok(()) => {
                    self.metrics.source_deleted();
                    info!(import.id = %import.id, "source deleted");
                }
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    warn!(import.id = %import.id, error, "could not delete a source");
                    well = false;
                }
            }
        }
        self.metrics.swept(Sweep::Sources, well);
    }

    /// Goes on with erasures that nobody works on any more.
    async fn resume_erasures(&self) {
        let Swept { count, well } = self.erasure.resume().await;
        self.metrics.erasures_resumed(count);
        self.metrics.swept(Sweep::Erasures, well);
    }

    async fn forget_row_tallies(&self) {
        let forgotten = self.store.forget_row_tallies(clock::now()).await;
        self.metrics.swept(Sweep::Leftovers, forgotten.is_ok());
        if let Err(error) = forgotten {
            warn!(error = &error as &dyn std::error::Error, "could not forget tallies of rows");
        }
    }

    /// Goes on with retries whose feeder died.
    async fn feed_standing_retries(&self) {
        if let Err(error) = self.store.forget_stray_corrections().await {
            warn!(error = &error as &dyn std::error::Error, "could not forget corrections");
        }
        let standing = self.store.list_standing_retries(clock::now() - STANDING).await;
        self.metrics.swept(Sweep::Retries, standing.is_ok());
        match standing {
            Ok(standing) => {
                for retry in standing {
                    self.imports.feed_retry(retry).await;
                }
            }
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "could not look for retries");
            }
        }
    }

    async fn delete_source(&self, import: &Import) -> Result<(), Error> {
        let (application, id) = (import.application_id, import.id);
        self.objects.delete_source(application, id).await?;
        self.store.mark_source_deleted(application, id, clock::now()).await?;
        // An erasure may have stored a segment in between; from here on none does.
        Ok(self.objects.delete_source(application, id).await?)
    }
}

/// Goes over the object store for media that nothing names. There may be very many, and nothing else waits for that.
async fn sweep_media(erasure: Erasure, metrics: Metrics, every: Duration, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
        let Swept { count, well } = erasure.sweep_media(&stop).await;
        metrics.media_swept(count);
        metrics.swept(Sweep::Media, well);
    }
}
