//! Fetches, in the background, the media that imported rows link to.
//!
//! Turns go round over applications, imports and hosts; whoever is at a bound, or does not answer, is passed over and holds
//! nobody else up. What is fetched goes to a file without a name, is looked at, is stored under its hash, and
//! only then is known to the database, which takes what came of many at a time.

mod download;
mod hosts;
mod in_flight;
mod inspect;
mod kind;
mod settler;
mod spool;

use std::{io, panic::AssertUnwindSafe, path::Path, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;
use uuid::Uuid;

use self::{
    download::{Downloader, End},
    in_flight::{Flight, InFlight},
    settler::Settler,
    spool::Spool,
};
use crate::{
    clock,
    feed::Feed,
    guard::Guard,
    metrics::Metrics,
    objects::Objects,
    store::{ClaimedMedia, MediaCursor, Store},
};

/// Time between two looks for media to fetch.
const POLL: Duration = Duration::from_millis(500);

/// Media that are put into the object store at a time; each takes some MiB of memory.
const PUTS_AT_A_TIME: usize = 4;

/// How to fetch media.
#[derive(Debug, Clone)]
pub struct MediaSettings {
    /// How many at a time.
    pub at_a_time: usize,
    /// How many of these from one host.
    pub per_host: usize,
    /// How many of these for one import.
    pub per_import: usize,
    /// How many of these for one application.
    pub per_application: usize,
    /// How long a server may keep the fetching of one waiting in all.
    pub total_time: Duration,
    /// How often one is tried.
    pub attempts: u32,
    /// How many bytes an image may have.
    pub image_bytes: u64,
    /// How many pixels.
    pub image_pixels: u64,
    /// How many bytes a video may have.
    pub video_bytes: u64,
    /// How long a claim holds without a sign of life.
    pub lease: Duration,
}

/// Fetches media.
pub struct MediaFetcher {
    store: Store,
    feed: Feed,
    metrics: Metrics,
    downloader: Arc<Downloader>,
    in_flight: InFlight,
    owner: Uuid,
    lease: Duration,
}

impl MediaFetcher {
    /// A fetcher that keeps what it has not stored yet in a folder, which is made if it does not exist.
    pub fn new(
        store: Store,
        objects: Objects,
        feed: Feed,
        metrics: Metrics,
        guard: Guard,
        spool: &Path,
        settings: MediaSettings,
    ) -> io::Result<Self> {
        let (in_flight, lease) = (InFlight::new(&settings), settings.lease);
        let puts = Semaphore::new(PUTS_AT_A_TIME);
        let (owner, spool) = (clock::new_id(), Spool::open(spool)?);
        let downloader = Downloader { guard, store: store.clone(), owner, objects, spool, puts, settings };
        Ok(Self { store, feed, metrics, downloader: Arc::new(downloader), in_flight, owner, lease })
    }

    /// Starts it; it ends when `stop` is cancelled, and what is not fetched then is another's.
    pub fn spawn(self, tasks: &TaskTracker, stop: CancellationToken) {
        let (ends, ended) = mpsc::channel(settler::BATCH);
        let settler = Settler {
            store: self.store.clone(),
            feed: self.feed.clone(),
            metrics: self.metrics.clone(),
            owner: self.owner,
        };
        tasks.spawn(settler.run(ended, stop.clone()));
        tasks.spawn(self.in_flight.clone().beat(self.store.clone(), self.owner, self.lease, stop.clone()));
        tasks.spawn(self.run(ends, tasks.clone(), stop));
    }

    async fn run(self, ends: mpsc::Sender<(Flight, End)>, tasks: TaskTracker, stop: CancellationToken) {
        let mut after = MediaCursor::default();
        while !stop.is_cancelled() {
            let claimed = self.claim(&mut after).await;
            for import in claimed.changed {
                self.feed.changed(import);
            }
            let is_idle = claimed.downloads.is_empty();
            for download in claimed.downloads {
                let flight = self.in_flight.begin(download);
                let (downloader, ends, stop) = (self.downloader.clone(), ends.clone(), stop.clone());
                tasks.spawn(async move {
                    let end = AssertUnwindSafe(downloader.carry_out(&flight, &stop)).catch_unwind().await;
                    // A panic is the medium's own, until it has had its attempts.
                    let end = end.unwrap_or_else(|_| End::PutOff(clock::now() + POLL));
                    // Where nobody hears it any more, the lease runs out.
                    drop(ends.send((flight, end)).await);
                });
            }
            if is_idle {
                let next = async {
                    tokio::select! { () = tokio::time::sleep(POLL) => {}, () = self.in_flight.landed() => {} }
                };
                stop.run_until_cancelled(next).await;
            }
        }
    }

    /// Takes what there is room for.
    async fn claim(&self, after: &mut MediaCursor) -> ClaimedMedia {
        let room = self.in_flight.room();
        if room == 0 {
            return ClaimedMedia::default();
        }
        let (busy, now) = (self.in_flight.busy(), clock::now());
        match self.store.claim_media(self.owner, after, &busy, room, now, now + self.lease).await {
            Ok(claimed) => claimed,
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "could not look for media to fetch");
                ClaimedMedia::default()
            }
        }
    }
}
