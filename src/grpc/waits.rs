//! Time in which a peer takes nothing of an answer.
//!
//! A peer of HTTP/2 may listen to its connection and yet take nothing of one stream. Its body is then asked for no
//! more, so nothing in the body could end it: somebody else looks at the clock, and closes the whole connection.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// Since when the reader of a body is waited for, if it is.
pub(super) struct Waits {
    since: Arc<Mutex<Option<Instant>>>,
    _watch: AbortOnDropHandle<()>,
}

impl Waits {
    /// Hangs up when it has been waited for so long; who gives no room for a first byte is waited for, too.
    #[expect(clippy::disallowed_methods, reason = "it ends with the body")]
    pub(super) fn begin(patience: Duration, hang_up: CancellationToken) -> Self {
        let since = Arc::new(Mutex::new(Some(Instant::now())));
        let watch = AbortOnDropHandle::new(tokio::spawn(watch(since.clone(), patience, hang_up)));
        Self { since, _watch: watch }
    }

    /// The body is asked for more: what it gave before is taken, and its own time is not the reader's.
    pub(super) fn taken(&self) {
        self.set(None);
    }

    /// The body gives something to be taken.
    pub(super) fn given(&self) {
        self.set(Some(Instant::now()));
    }

    fn set(&self, since: Option<Instant>) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }
}

async fn watch(since: Arc<Mutex<Option<Instant>>>, patience: Duration, hang_up: CancellationToken) {
    loop {
        let since = *since.lock().unwrap_or_else(PoisonError::into_inner);
        let deadline = since.unwrap_or_else(Instant::now) + patience;
        if deadline <= Instant::now() {
            hang_up.cancel();
            return;
        }
        tokio::time::sleep_until(deadline).await;
    }
}
