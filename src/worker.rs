//! Settles segments: claim → read → parse → transform → persist, as stages joined by channels.
//!
//! Each stage is a task with the next one's channel in hand and room for one batch, so decoding the
//! next segment overlaps the database's work on this one, and a slow database stops the claims.
//! A permit, taken before a claim and held until the segment is settled, bounds what is in flight.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info, warn};
use uuid::Uuid;

use crate::{
    clock,
    domain::{
        fault::SourceFault,
        ids::ApplicationId,
        import::{Import, ImportType},
    },
    feed::Feed,
    objects::{self, Objects},
    pipeline::{self, Reading, Rows},
    store::{self, Batch, Claim, Store},
};

/// How a worker works.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Segment transactions at a time.
    pub segments_in_flight: usize,
    /// How long a claim holds without an answer.
    pub lease: Duration,
    /// How long to wait for a hint before looking for work anyway.
    pub poll: Duration,
    /// How often a segment is tried before its import fails.
    pub attempts: i32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            // Two keep two database cores busy; four were not faster on two (see ARCHITECTURE.md).
            segments_in_flight: 2,
            lease: Duration::from_secs(120),
            poll: Duration::from_secs(1),
            attempts: 8,
        }
    }
}

/// A worker; cheap to clone.
#[derive(Clone)]
pub struct Worker {
    store: Store,
    objects: Objects,
    feed: Feed,
    settings: Settings,
    /// This process, as claims name it.
    owner: Uuid,
}

/// A claimed segment on its way.
struct InWork {
    claim: Arc<Claim>,
    import: Arc<Import>,
    permit: OwnedSemaphorePermit,
}

/// What stopped a segment.
enum Failed {
    Store(store::Error),
    Objects(objects::Error),
    Source(SourceFault),
    Panicked,
}

/// Longest wait before a segment that failed is tried again.
const MAX_BACKOFF: Duration = Duration::from_secs(30);

impl Worker {
    /// A worker.
    pub fn new(store: Store, objects: Objects, feed: Feed, mut settings: Settings) -> Self {
        settings.segments_in_flight = settings.segments_in_flight.min(store.writers());
        Self { store, objects, feed, settings, owner: clock::new_id() }
    }

    /// Starts the stages; they end when `stop` is cancelled and what is in flight is settled.
    pub fn spawn(self, tasks: &TaskTracker, stop: &CancellationToken) {
        let (to_parse, parsing) = mpsc::channel(1);
        let (to_transform, transforming) = mpsc::channel(1);
        let (to_persist, persisting) = mpsc::channel(1);
        tasks.spawn(self.clone().claim(to_parse, stop.clone()));
        tasks.spawn(self.clone().parse(ReceiverStream::new(parsing), to_transform));
        tasks.spawn(self.clone().transform(ReceiverStream::new(transforming), to_persist));
        tasks.spawn(self.persist(ReceiverStream::new(persisting)));
    }

    /// Claims segments, as many as there are permits for, and reads their bytes.
    async fn claim(self, next: mpsc::Sender<(InWork, Bytes)>, stop: CancellationToken) {
        // One more than are written at a time: it is decoded meanwhile.
        let permits = Arc::new(Semaphore::new(self.settings.segments_in_flight + 1));
        let mut last_served = None;
        while let Some(permit) = stop.run_until_cancelled(permits.clone().acquire_owned()).await {
            let Ok(permit) = permit else { return };
            match self.claim_next(last_served, permit).await {
                Ok(Some(work)) => {
                    last_served = Some(work.claim.application_id());
                    self.feed.changed(work.claim.import_id());
                    match self
                        .objects
                        .get_segment(work.claim.application_id(), work.claim.import_id(), work.claim.range())
                        .await
                    {
                        Ok(bytes) => {
                            if next.send((work, bytes)).await.is_err() {
                                return;
                            }
                        }
                        Err(error) => self.give_back(work, Failed::Objects(error)).await,
                    }
                }
                Ok(None) => self.rest(&stop).await,
                Err(error) => {
                    warn!(error = &error as &dyn std::error::Error, "could not claim a segment");
                    self.rest(&stop).await;
                }
            }
            if stop.is_cancelled() {
                return;
            }
        }
    }

    async fn claim_next(
        &self,
        last_served: Option<ApplicationId>,
        permit: OwnedSemaphorePermit,
    ) -> Result<Option<InWork>, store::Error> {
        let now = clock::now();
        let lease_until = now + self.settings.lease;
        let Some(claim) = self.store.claim(self.owner, last_served, now, lease_until).await? else {
            return Ok(None);
        };
        let import = self.store.find_import(claim.application_id(), claim.import_id()).await?;
        let import = import.ok_or(store::Error::Corrupt("segments.import_id"))?;
        Ok(Some(InWork { claim: Arc::new(claim), import: Arc::new(import), permit }))
    }

    async fn rest(&self, stop: &CancellationToken) {
        tokio::select! {
            () = self.feed.wait_for_work() => {}
            () = tokio::time::sleep(self.settings.poll) => {}
            () = stop.cancelled() => {}
        }
    }

    async fn parse(self, mut segments: ReceiverStream<(InWork, Bytes)>, next: mpsc::Sender<(InWork, Rows)>) {
        while let Some((work, bytes)) = segments.next().await {
            let (import, range) = (work.import.clone(), *work.claim.range());
            let parsed = tokio::task::spawn_blocking(move || {
                Reading::of(&import).map(|reading| pipeline::parse(&reading, &range, bytes, &import.limits))
            });
            match parsed.await {
                Ok(Ok(rows)) => {
                    if next.send((work, rows)).await.is_err() {
                        return;
                    }
                }
                Ok(Err(fault)) => self.give_back(work, Failed::Source(fault)).await,
                Err(_) => self.give_back(work, Failed::Panicked).await,
            }
        }
    }

    async fn transform(
        self,
        mut segments: ReceiverStream<(InWork, Rows)>,
        next: mpsc::Sender<(InWork, Batch)>,
    ) {
        while let Some((work, rows)) = segments.next().await {
            let import = work.import.clone();
            let now = clock::now();
            match tokio::task::spawn_blocking(move || pipeline::transform(&import, rows, now)).await {
                Ok(batch) => {
                    if next.send((work, batch)).await.is_err() {
                        return;
                    }
                }
                Err(_) => self.give_back(work, Failed::Panicked).await,
            }
        }
    }

    async fn persist(self, mut segments: ReceiverStream<(InWork, Batch)>) {
        let turns = Arc::new(Semaphore::new(self.settings.segments_in_flight));
        let tasks = TaskTracker::new();
        while let Some((work, batch)) = segments.next().await {
            let Ok(turn) = turns.clone().acquire_owned().await else { break };
            let worker = self.clone();
            tasks.spawn(async move { worker.commit(work, batch, turn).await });
        }
        tasks.close();
        tasks.wait().await;
    }

    async fn commit(&self, work: InWork, batch: Batch, turn: OwnedSemaphorePermit) {
        let InWork { claim, import, permit } = work;
        match self.store.commit_segment(claim.clone(), &import, batch, clock::now(), turn).await {
            Ok(committed) => {
                if committed.ended {
                    info!(import.id = %import.id, "import ended");
                    self.feed.ended(import.id);
                } else {
                    self.feed.changed(import.id);
                }
                if import.spec.import_type == ImportType::StatusRules {
                    // Its next segment could not be claimed before.
                    self.feed.work_arrived();
                }
            }
            Err(store::Error::LeaseLost) => {
                warn!(import.id = %import.id, segment.seq = claim.range().seq, "claim lost: the segment is another's, or its import has ended");
            }
            Err(error) => self.fail(&claim, Failed::Store(error)).await,
        }
        drop(permit);
    }

    async fn give_back(&self, work: InWork, failed: Failed) {
        self.fail(&work.claim, failed).await;
    }

    /// Gives a segment back to be tried again, or fails its import when trying does not help.
    async fn fail(&self, claim: &Claim, failed: Failed) {
        let range = claim.range();
        let id = claim.import_id();
        let helpless = claim.attempts() >= self.settings.attempts;
        let unprocessable =
            SourceFault::Unprocessable { first_row: range.first_row, last_row: range.last_row() };
        let fault = match failed {
            Failed::Store(error) => {
                error!(import.id = %id, segment.seq = range.seq, attempt = claim.attempts(),
                    error = &error as &dyn std::error::Error, "could not write a segment");
                (helpless && !error.is_transient()).then_some(unprocessable)
            }
            Failed::Objects(error) => {
                error!(import.id = %id, segment.seq = range.seq, attempt = claim.attempts(),
                    error = &error as &dyn std::error::Error, "could not read a segment");
                (helpless || matches!(error, objects::Error::Gone)).then_some(unprocessable)
            }
            Failed::Source(fault) => Some(fault),
            Failed::Panicked => {
                error!(import.id = %id, segment.seq = range.seq, "a stage panicked on a segment");
                helpless.then_some(unprocessable)
            }
        };
        let done = match fault {
            Some(fault) => {
                self.store.fail_import(claim.application_id(), id, &fault, clock::now()).await.map(drop)
            }
            None => self.store.release(claim, clock::now() + backoff(claim.attempts())).await,
        };
        if let Err(error) = done {
            // Nothing is lost: the lease runs out and the segment is claimed again.
            warn!(import.id = %id, error = &error as &dyn std::error::Error, "could not give a segment back");
        }
        self.feed.changed(id);
    }
}

/// Doubles from 100 ms up.
fn backoff(attempts: i32) -> Duration {
    let doublings = attempts.clamp(1, 16) as u32 - 1;
    Duration::from_millis(100).saturating_mul(1 << doublings).min(MAX_BACKOFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_and_is_bounded() {
        let waits = [1, 2, 5, 100].map(|attempts| backoff(attempts).as_millis());
        assert_eq!(waits, [100, 200, 1_600, 30_000]);
    }
}
