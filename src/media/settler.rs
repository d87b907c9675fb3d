//! Tells the database what came of downloads, many at a time.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use uuid::Uuid;

use super::{download::End, in_flight::Flight};
use crate::{
    clock,
    feed::Feed,
    metrics::{MediaEnd, Metrics},
    store::{self, Download, MediaOutcome, Store},
};

/// Downloads that are settled in one transaction, at most.
pub(super) const BATCH: usize = 256;

/// Time between two tries while the database is away.
const WAIT: Duration = Duration::from_secs(1);

/// Whoever does so.
pub(super) struct Settler {
    pub(super) store: Store,
    pub(super) feed: Feed,
    pub(super) metrics: Metrics,
    pub(super) owner: Uuid,
}

impl Settler {
    /// Goes on until nothing can end any more.
    pub(super) async fn run(self, mut ended: mpsc::Receiver<(Flight, End)>, stop: CancellationToken) {
        let mut batch = Vec::new();
        while ended.recv_many(&mut batch, BATCH).await > 0 {
            let mut outcomes = Vec::new();
            // What is in flight stays so until it is settled.
            for (flight, end) in &batch {
                match end {
                    End::Settled(outcome) => outcomes.push((flight.download.clone(), outcome.clone())),
                    end => self.give_up(&flight.download, end).await,
                }
            }
            self.settle(&outcomes, &stop).await;
            batch.clear();
        }
    }

    /// Settles what it can: while the database is away it waits, and what it refuses is put off alone.
    async fn settle(&self, outcomes: &[(Download, MediaOutcome)], stop: &CancellationToken) {
        let Some(error) = self.try_settle(outcomes, stop).await else { return };
        warn!(error = &error as &dyn std::error::Error, "could not settle media");
        if error.is_transient() {
            // They are fetched again when their leases have run out.
            return;
        }
        for one in outcomes {
            if outcomes.len() == 1 || self.try_settle(std::slice::from_ref(one), stop).await.is_some() {
                self.give_up(&one.0, &End::PutOff(clock::now() + WAIT)).await;
            }
        }
    }

    /// Tries until the database answers; gives what it refuses for.
    async fn try_settle(
        &self,
        outcomes: &[(Download, MediaOutcome)],
        stop: &CancellationToken,
    ) -> Option<store::Error> {
        if outcomes.is_empty() {
            return None;
        }
        loop {
            match self.store.settle_media(self.owner, outcomes.to_vec(), clock::now()).await {
                Ok(changed) => {
                    outcomes.iter().for_each(|(_, outcome)| self.count(outcome));
                    for import in changed {
                        self.feed.changed(import);
                    }
                    return None;
                }
                Err(error) if error.is_transient() && !stop.is_cancelled() => {
                    warn!(error = &error as &dyn std::error::Error, "media are not settled yet");
                    stop.run_until_cancelled(tokio::time::sleep(WAIT)).await;
                }
                Err(error) => return Some(error),
            }
        }
    }

    fn count(&self, outcome: &MediaOutcome) {
        match outcome {
            MediaOutcome::Stored(medium) => self.metrics.medium_stored(medium.size),
            MediaOutcome::Failed { .. } => self.metrics.medium_ended(MediaEnd::Failed),
        }
    }

    async fn give_up(&self, download: &Download, end: &End) {
        let (given_up, end) = match end {
            End::PutOff(again) => {
                (self.store.put_off_media(self.owner, download, *again).await, MediaEnd::PutOff)
            }
            End::Released => {
                (self.store.release_media(self.owner, download, clock::now()).await, MediaEnd::GivenBack)
            }
            End::Settled(_) => return,
        };
        self.metrics.medium_ended(end);
        if let Err(error) = given_up {
            // Nothing is lost: the lease runs out.
            warn!(import.id = %download.job, error = &error as &dyn std::error::Error, "could not give up a medium");
        }
    }
}
