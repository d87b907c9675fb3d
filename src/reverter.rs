//! Takes back, in the background, what imports wrote that are to be reverted.

use std::time::Duration;

use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info, warn};
use uuid::Uuid;

use crate::{
    clock, fault_points,
    feed::Feed,
    store::{self, Revert, Store},
};

/// Time between two looks for a revert.
const POLL: Duration = Duration::from_millis(500);

/// How often a step is tried before what it is about counts as failed.
const ATTEMPTS: u32 = 8;

/// Longest wait between two tries of a step.
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// A reverter.
pub struct Reverter {
    /// Where imports and records are.
    pub store: Store,
    /// Who hears how far a revert is.
    pub feed: Feed,
    /// How long a revert is held without a step.
    pub lease: Duration,
}

impl Reverter {
    /// Starts it; it ends when `stop` is cancelled, between two steps.
    pub fn spawn(self, tasks: &TaskTracker, stop: CancellationToken) {
        let owner = clock::new_id();
        tasks.spawn(async move {
            while stop.run_until_cancelled(tokio::time::sleep(POLL)).await.is_some() {
                match self.claim(owner).await {
                    Ok(Some(revert)) => self.revert(&revert, &stop).await,
                    Ok(None) => {}
                    Err(error) => {
                        warn!(error = &error as &dyn std::error::Error, "could not look for reverts");
                    }
                }
            }
        });
    }

    async fn claim(&self, owner: Uuid) -> Result<Option<Revert>, store::Error> {
        let now = clock::now();
        self.store.claim_revert(owner, now, now + self.lease).await
    }

    /// Holds a revert that stands still, for `reason`, or without one gives it back.
    async fn hold(&self, revert: &Revert, reason: Option<&'static str>) {
        let now = clock::now();
        let lease_until = if reason.is_some() { now + self.lease } else { now };
        if let Err(error) = self.store.hold_revert(revert, reason, now, lease_until).await {
            // Nothing is lost: the lease runs out.
            warn!(error = &error as &dyn std::error::Error, "could not hold a revert or give it back");
        }
        self.feed.changed(revert.import_id());
    }

    async fn revert(&self, revert: &Revert, stop: &CancellationToken) {
        let id = revert.import_id();
        let mut attempts = 0;
        loop {
            if stop.is_cancelled() {
                return self.hold(revert, None).await;
            }
            let now = clock::now();
            fault_points::reach("revert_step");
            match self.store.revert_step(revert, attempts >= ATTEMPTS, now, now + self.lease).await {
                Ok(is_last) => {
                    attempts = 0;
                    self.feed.changed(id);
                    if is_last {
                        info!(import.id = %id, "import reverted");
                        return;
                    }
                }
                Err(store::Error::LeaseLost) => {
                    warn!(import.id = %id, "another goes on with this revert");
                    return;
                }
                Err(error) => {
                    // What passes by itself is waited for, however long that takes.
                    attempts += u32::from(!error.is_transient());
                    error!(import.id = %id, attempts, error = &error as &dyn std::error::Error, "could not revert");
                    self.hold(revert, Some(error.reason())).await;
                    let wait = (POLL / 5).saturating_mul(1 << attempts.min(6)).min(MAX_BACKOFF);
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }
}
