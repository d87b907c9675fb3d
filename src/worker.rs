//! Settles segments: claim → read → parse → transform → persist, as stages joined by channels.
//!
//! Each stage is a task with the next one's channel in hand and room for one batch, so decoding the
//! next segment overlaps the database's work on this one, and a slow database stops the claims.
//! A permit, taken before a claim and held until the segment is settled, bounds what is in flight.

mod failed;
mod isolate;
mod leases;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument, Span, info, info_span, warn};
use uuid::Uuid;

use crate::{
    clock,
    domain::{
        fault::SourceFault,
        ids::ApplicationId,
        import::{Import, ImportType},
    },
    fault_points,
    feed::Feed,
    metrics::{Attempt, Metrics, Open, Stage},
    objects::Objects,
    pipeline::{self, Reading, Rows},
    store::{self, Batch, Committed, Store},
    telemetry,
};
use failed::Failed;
use leases::{Held, Leases};

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
    /// How many workers may die over a segment before its rows are looked at one by one.
    pub deaths: i32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            // Two keep two database cores busy; four were not faster on two (see docs/figures.md).
            segments_in_flight: 2,
            lease: Duration::from_secs(30),
            poll: Duration::from_secs(1),
            attempts: 8,
            deaths: 3,
        }
    }
}

/// A worker; cheap to clone.
#[derive(Clone)]
pub struct Worker {
    store: Store,
    objects: Objects,
    feed: Feed,
    metrics: Metrics,
    settings: Settings,
    /// This process, as claims name it.
    owner: Uuid,
    leases: Leases,
    /// Segments that are settled step by step.
    isolations: TaskTracker,
}

/// A claimed segment on its way; there is room for another when it is dropped.
struct InWork {
    held: Held,
    import: Arc<Import>,
    /// Everything that is done about it.
    span: Span,
    _permit: OwnedSemaphorePermit,
    _counted: Open,
}

/// Longest wait before a segment that failed is tried again.
const MAX_BACKOFF: Duration = Duration::from_secs(30);

impl Worker {
    /// A worker.
    pub fn new(store: Store, objects: Objects, feed: Feed, metrics: Metrics, mut settings: Settings) -> Self {
        settings.segments_in_flight = settings.segments_in_flight.min(store.writers());
        let (leases, isolations) = (Leases::default(), TaskTracker::new());
        Self { store, objects, feed, metrics, settings, owner: clock::new_id(), leases, isolations }
    }

    /// Starts the stages; they end when `stop` is cancelled and what is in flight is settled.
    pub fn spawn(self, tasks: &TaskTracker, stop: &CancellationToken) {
        let (to_parse, parsing) = mpsc::channel(1);
        let (to_transform, transforming) = mpsc::channel(1);
        let (to_persist, persisting) = mpsc::channel(1);
        let drained = CancellationToken::new();
        tasks.spawn(self.leases.clone().beat(self.store.clone(), self.settings.lease, drained.clone()));
        tasks.spawn(self.clone().claim(to_parse, stop.clone()));
        tasks.spawn(self.clone().parse(ReceiverStream::new(parsing), to_transform));
        tasks.spawn(self.clone().transform(ReceiverStream::new(transforming), to_persist));
        tasks.spawn(async move {
            let isolations = self.isolations.clone();
            self.persist(ReceiverStream::new(persisting)).await;
            // Every stage has ended, and so nobody begins another.
            isolations.close();
            isolations.wait().await;
            drained.cancel();
        });
    }

    /// Claims segments, as many as there are permits for, and reads their bytes.
    async fn claim(self, next: mpsc::Sender<(InWork, Bytes)>, stop: CancellationToken) {
        // One more than are written at a time: it is decoded meanwhile.
        let permits = Arc::new(Semaphore::new(self.settings.segments_in_flight + 1));
        let (mut last_served, mut looked) = (None, Instant::now());
        while let Some(permit) = stop.run_until_cancelled(permits.clone().acquire_owned()).await {
            let Ok(permit) = permit else { return };
            // Where there is always something to claim, nobody would look.
            if looked.elapsed() > self.settings.lease {
                looked = Instant::now();
                if let Err(error) = self.obey_pauses().await {
                    warn!(error = &error as &dyn std::error::Error, "could not look for pauses");
                }
            }
            match self.claim_next(last_served, permit).await {
                Ok(Some(work)) => {
                    last_served = Some(work.import.application_id);
                    fault_points::reach("after_claim");
                    self.feed.changed(work.import.id);
                    let span = info_span!(parent: &work.span, "read");
                    let Some((work, bytes)) = self.read(work).instrument(span).await else { continue };
                    if work.held.claim().is_suspect(self.settings.deaths) {
                        // With nobody else's rows in this process, a death tells whose it was.
                        let others = permits.acquire_many(self.settings.segments_in_flight as u32).await;
                        let span = work.span.clone();
                        self.find_killers(work, bytes).instrument(span).await;
                        drop(others);
                    } else if next.send((work, bytes)).await.is_err() {
                        return;
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

    async fn read(&self, work: InWork) -> Option<(InWork, Bytes)> {
        let (claim, since) = (work.held.claim(), Instant::now());
        match self.objects.get_segment(claim.application_id(), claim.import_id(), claim.range()).await {
            Ok(bytes) => {
                self.metrics.stage_ended(Stage::Read, since.elapsed());
                Some((work, bytes))
            }
            Err(error) => {
                self.fail(&work, Failed::Objects(error)).await;
                None
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
            self.obey_pauses().await?;
            return Ok(None);
        };
        let held = self.leases.hold(claim);
        let claim = held.claim();
        let import = match self.store.find_import(claim.application_id(), claim.import_id()).await {
            Ok(import) => import.ok_or(store::Error::Corrupt("segments.import_id"))?,
            Err(error) => {
                // A claim that runs out would count as the death of its worker.
                self.store.release(claim, now, error.reason(), now).await?;
                return Err(error);
            }
        };
        let (id, seq, attempt) = (import.id, claim.range().seq, claim.attempts());
        let span = info_span!(
            "segment", otel.kind = "consumer", import.id = %id, segment.seq = seq, segment.attempt = attempt
        );
        telemetry::caused_by(&span, import.traceparent.as_deref());
        let counted = self.metrics.segment_in_work();
        Ok(Some(InWork { held, import: Arc::new(import), span, _permit: permit, _counted: counted }))
    }

    /// Pauses imports whose last worker died before it could.
    async fn obey_pauses(&self) -> Result<(), store::Error> {
        for paused in self.store.obey_pauses(clock::now()).await? {
            self.feed.changed(paused);
        }
        Ok(())
    }

    async fn rest(&self, stop: &CancellationToken) {
        tokio::select! {
            () = self.feed.wait_for_work() => {}
            () = tokio::time::sleep(self.settings.poll) => {}
            () = stop.cancelled() => {}
        }
    }

    async fn parse(
        self,
        mut segments: ReceiverStream<(InWork, Bytes)>,
        next: mpsc::Sender<(InWork, Bytes, Rows)>,
    ) {
        while let Some((work, bytes)) = segments.next().await {
            let (import, range) = (work.import.clone(), *work.held.claim().range());
            let (source, since) = (bytes.clone(), Instant::now());
            let span = info_span!(parent: &work.span, "parse");
            let parsed = tokio::task::spawn_blocking(move || {
                Reading::of(&import).map(|reading| pipeline::parse(&reading, &range, source, &import.limits))
            });
            match parsed.instrument(span).await {
                Ok(Ok(rows)) => {
                    self.metrics.stage_ended(Stage::Parse, since.elapsed());
                    if next.send((work, bytes, rows)).await.is_err() {
                        return;
                    }
                }
                Ok(Err(fault)) => self.fail(&work, Failed::Source(fault)).await,
                Err(_) => self.find_spoilers(work, bytes, &Failed::Panicked),
            }
        }
    }

    async fn transform(
        self,
        mut segments: ReceiverStream<(InWork, Bytes, Rows)>,
        next: mpsc::Sender<(InWork, Bytes, Batch)>,
    ) {
        while let Some((work, bytes, rows)) = segments.next().await {
            let import = work.import.clone();
            let (now, since) = (clock::now(), Instant::now());
            let span = info_span!(parent: &work.span, "transform");
            let transformed = tokio::task::spawn_blocking(move || pipeline::transform(&import, rows, now));
            match transformed.instrument(span).await {
                Ok(batch) => {
                    self.metrics.stage_ended(Stage::Transform, since.elapsed());
                    if next.send((work, bytes, batch)).await.is_err() {
                        return;
                    }
                }
                Err(_) => self.find_spoilers(work, bytes, &Failed::Panicked),
            }
        }
    }

    async fn persist(self, mut segments: ReceiverStream<(InWork, Bytes, Batch)>) {
        let turns = Arc::new(Semaphore::new(self.settings.segments_in_flight));
        let tasks = TaskTracker::new();
        while let Some((work, bytes, batch)) = segments.next().await {
            let Ok(turn) = turns.clone().acquire_owned().await else { break };
            let worker = self.clone();
            let span = info_span!(parent: &work.span, "persist");
            tasks.spawn(async move { worker.commit(work, bytes, batch, turn).await }.instrument(span));
        }
        tasks.close();
        tasks.wait().await;
    }

    async fn commit(&self, work: InWork, bytes: Bytes, batch: Batch, turn: OwnedSemaphorePermit) {
        let (claim, import, since) = (work.held.claim().clone(), work.import.clone(), Instant::now());
        match self.store.commit_segment(claim, &import, batch, clock::now(), turn).await {
            Ok(committed) => {
                self.metrics.stage_ended(Stage::Persist, since.elapsed());
                self.committed(&import, committed);
            }
            Err(error) if error.is_of_data() => self.find_spoilers(work, bytes, &Failed::Store(error)),
            Err(error) => self.fail(&work, Failed::Store(error)).await,
        }
    }

    fn committed(&self, import: &Import, committed: Committed) {
        self.metrics.attempt_ended(Attempt::Settled);
        if !import.spec.dry_run {
            self.metrics.rows_settled(import.spec.import_type, &committed.counters);
        }
        if committed.ended {
            info!(import.id = %import.id, "import ended");
        }
        self.feed.changed(import.id);
        if import.spec.import_type == ImportType::StatusRules {
            // Its next segment could not be claimed before.
            self.feed.work_arrived();
        }
    }

    /// Gives a segment back to be tried again, or fails its import when trying does not help.
    async fn fail(&self, work: &InWork, failed: Failed) {
        let claim = work.held.claim();
        if let Failed::Store(store::Error::LeaseLost) = failed {
            self.metrics.lease_lost();
            warn!(import.id = %work.import.id, segment.seq = claim.range().seq,
                "claim lost: the segment is another's, or its import has ended");
            return;
        }
        failed.log(work);
        let (range, id) = (claim.range(), claim.import_id());
        let helpless = claim.attempts() >= self.settings.attempts;
        let (first_row, last_row) = (range.first_row, range.last_row());
        let unprocessable = SourceFault::Unprocessable { first_row, last_row };
        let reason = failed.reason();
        let fault = match failed {
            Failed::Store(error) => (helpless && !error.is_transient()).then_some(unprocessable),
            Failed::Source(fault) => Some(fault),
            // The store comes back, however long that takes.
            Failed::Objects(error) if !error.is_loss() => None,
            // Another worker may have what this one has not.
            Failed::Objects(_) => helpless.then_some(SourceFault::Lost { first_row, last_row }),
            Failed::Panicked | Failed::Helpless => helpless.then_some(unprocessable),
        };
        let end = if fault.is_some() { Attempt::Failed } else { Attempt::GivenBack };
        self.metrics.attempt_ended(end);
        let now = clock::now();
        let done = match fault {
            Some(fault) => self.store.fail_import(claim.application_id(), id, &fault, now).await.map(drop),
            None => self.store.release(claim, now + backoff(claim.attempts()), reason, now).await,
        };
        if let Err(error) = done {
            // Nothing is lost: the lease runs out and the segment is claimed again.
            warn!(import.id = %id, error = &error as &dyn std::error::Error, "could not give a segment back");
        }
        self.feed.changed(id);
    }
}

/// Doubles from 100 ms up, less up to a half of it by chance, so that workers do not come back all at once.
fn backoff(attempts: i32) -> Duration {
    longest_backoff(attempts).mul_f64(fastrand::f64().mul_add(0.5, 0.5))
}

fn longest_backoff(attempts: i32) -> Duration {
    let doublings = attempts.clamp(1, 16) as u32 - 1;
    Duration::from_millis(100).saturating_mul(1 << doublings).min(MAX_BACKOFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_and_is_bounded() {
        let waits = [1, 2, 5, 100].map(|attempts| longest_backoff(attempts).as_millis());
        assert_eq!(waits, [100, 200, 1_600, 30_000]);
        assert!((0..100).all(|_| (50..=100).contains(&backoff(1).as_millis())));
    }
}
