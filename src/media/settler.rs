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
                let download = &flight.download;
                let given_up = match end {
                    End::Settled(outcome) => {
                        outcomes.push((download.clone(), outcome.clone()));
                        continue;
                    }
                    End::PutOff(again) => self.store.put_off_media(self.owner, download, *again).await,
                    End::Released => self.store.release_media(self.owner, download, clock::now()).await,
                };
                if let Err(error) = given_up {
                    // Nothing is lost: the lease runs out.
                    warn!(import.id = %download.job, error = &error as &dyn std::error::Error, "could not give up a medium");
                }
            }
            self.settle(outcomes, &stop).await;
            batch.clear();
        }
    }

    async fn settle(&self, outcomes: Vec<(Download, MediaOutcome)>, stop: &CancellationToken) {
        while !outcomes.is_empty() {
            match self.store.settle_media(self.owner, outcomes.clone(), clock::now()).await {
                Ok(changed) => {
                    for import in changed {
                        self.feed.changed(import);
                    }
                    return;
                }
                Err(error) => {
                    warn!(error = &error as &dyn std::error::Error, "could not settle media");
                    let may_pass = error.is_transient() && !stop.is_cancelled();
                    if !may_pass {
                        // They are fetched again when their leases have run out.
                        return;
                    }
                    stop.run_until_cancelled(tokio::time::sleep(WAIT)).await;
                }
            }
        }
    }
}
