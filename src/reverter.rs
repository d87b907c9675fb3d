//! Takes back, in the background, what imports wrote that are to be reverted.
//!
//! A revert is given back after some steps and whenever it has to wait, so that a large one or one that stands
//! still keeps nobody else's waiting.

use std::time::Duration;

use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, error, info, warn};
use uuid::Uuid;

use crate::{
    clock,
    domain::ids::ApplicationId,
    fault_points,
    feed::Feed,
    store::{self, Refused, Revert, Store},
};

/// Time between two looks for a revert.
const POLL: Duration = Duration::from_millis(500);

/// Tries of steps after which others have their turn.
const TURN: u32 = 20;

/// Time until a step is tried again that failed by what passes by itself.
const OUTAGE: Duration = Duration::from_secs(1);

/// Time until a step is tried again that was refused once; it doubles with every refusal.
const MIN_BACKOFF: Duration = Duration::from_millis(200);

/// Longest time between two tries of a step.
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

/// Why and for how long a revert is given back.
struct Pause {
    reason: Option<&'static str>,
    wait: Duration,
}

impl Reverter {
    /// Starts it; it ends when `stop` is cancelled, between two steps.
    pub fn spawn(self, tasks: &TaskTracker, stop: CancellationToken) {
        let owner = clock::new_id();
        tasks.spawn(async move {
            let mut pause = POLL;
            let mut served = None;
            while stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
                pause = POLL;
                match self.claim(owner, served).await {
                    Ok(Some(mut revert)) => {
                        served = Some(revert.application_id());
                        pause = Duration::ZERO;
                        if let Some(pause) = self.take_turn(&mut revert, &stop).await {
                            self.release(&revert, pause).await;
                        }
                    }
                    Ok(None) => {}
                    Err(error) => {
                        warn!(error = &error as &dyn std::error::Error, "could not look for reverts");
                    }
                }
            }
        });
    }

    async fn claim(&self, owner: Uuid, after: Option<ApplicationId>) -> Result<Option<Revert>, store::Error> {
        let now = clock::now();
        self.store.claim_revert(owner, after, now, now + self.lease).await
    }

    async fn release(&self, revert: &Revert, pause: Pause) {
        let now = clock::now();
        if let Err(error) = self.store.release_revert(revert, pause.reason, now, now + pause.wait).await {
            // Nothing is lost: the lease runs out.
            warn!(error = &error as &dyn std::error::Error, "could not give a revert back");
        }
        self.feed.changed(revert.import_id());
    }

    /// Goes on with a revert; nothing when it is no longer in our hands.
    async fn take_turn(&self, revert: &mut Revert, stop: &CancellationToken) -> Option<Pause> {
        let id = revert.import_id();
        let mut give_up = false;
        for _ in 0..TURN {
            if stop.is_cancelled() {
                break;
            }
            let now = clock::now();
            fault_points::reach("revert_step");
            match self.store.revert_step(revert, give_up, now, now + self.lease).await {
                Ok(is_last) => {
                    give_up = false;
                    self.feed.changed(id);
                    if is_last {
                        info!(import.id = %id, "import reverted");
                        return None;
                    }
                }
                Err(store::Error::LeaseLost) => {
                    warn!(import.id = %id, "another goes on with this revert");
                    return None;
                }
                Err(error) if error.is_transient() || give_up => {
                    error!(import.id = %id, error = &error as &dyn std::error::Error, "could not revert");
                    let wait = if error.is_transient() { OUTAGE } else { MAX_BACKOFF };
                    return Some(Pause { reason: Some(error.reason()), wait });
                }
                Err(error) => {
                    let next = revert.refused();
                    debug!(import.id = %id, ?next, error = &error as &dyn std::error::Error, "refused to revert");
                    match next {
                        Refused::Narrow => {}
                        Refused::GiveUp => give_up = true,
                        Refused::Wait { attempts } => {
                            error!(import.id = %id, attempts, error = &error as &dyn std::error::Error, "could not revert");
                            let wait =
                                MIN_BACKOFF.saturating_mul(1 << (attempts - 1).min(6)).min(MAX_BACKOFF);
                            return Some(Pause { reason: Some(error.reason()), wait });
                        }
                    }
                }
            }
        }
        Some(Pause { reason: None, wait: Duration::ZERO })
    }
}
