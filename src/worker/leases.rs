//! The claims a worker has in hand, and their heartbeat.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    clock,
    domain::ids::ImportId,
    store::{Claim, Store},
};

/// Claims by their import and the number of their segment.
type Claims = HashMap<(ImportId, i32), Arc<Claim>>;

/// Claims in hand; cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Leases(Arc<Mutex<Claims>>);

/// A claim in hand, until this is dropped.
pub(super) struct Held {
    claim: Arc<Claim>,
    leases: Leases,
}

impl Leases {
    /// Takes a claim in hand.
    pub(super) fn hold(&self, claim: Claim) -> Held {
        let claim = Arc::new(claim);
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.insert((claim.import_id(), claim.range().seq), claim.clone());
        Held { claim, leases: self.clone() }
    }

    /// Renews what is in hand, until nothing can be any more.
    pub(super) async fn beat(self, store: Store, lease: Duration, ended: CancellationToken) {
        // Two beats may be missed.
        while ended.run_until_cancelled(tokio::time::sleep(lease / 3)).await.is_some() {
            let claims: Vec<_> =
                self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
            for claim in claims {
                // A claim that is lost needs no telling: the fence keeps whoever lost it from writing.
                if let Err(error) = store.renew(&claim, clock::now() + lease).await {
                    warn!(error = &error as &dyn std::error::Error, "could not renew a claim");
                }
            }
        }
    }
}

impl Held {
    pub(super) fn claim(&self) -> &Arc<Claim> {
        &self.claim
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let key = (self.claim.import_id(), self.claim.range().seq);
        let mut held = self.leases.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A segment may have been claimed anew meanwhile.
        if held.get(&key).is_some_and(|claim| Arc::ptr_eq(claim, &self.claim)) {
            held.remove(&key);
        }
    }
}
