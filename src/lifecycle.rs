//! Stopping: announced first, then softly, and hard when that takes too long.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

/// Everything that runs, and the token that asks it to stop.
#[derive(Clone, Default)]
pub struct Lifecycle {
    /// Announces the stop: whoever sends calls here should look elsewhere, while they are still answered.
    pub leave: CancellationToken,
    /// Soft stop: take no more work, end streams, finish what is in hand.
    pub stop: CancellationToken,
    /// All tasks.
    pub tasks: TaskTracker,
}

impl Lifecycle {
    /// Asks everything to stop and waits for it; `false` when `grace` was not enough.
    pub async fn stop_within(&self, grace: Duration) -> bool {
        self.stop.cancel();
        self.tasks.close();
        tokio::select! {
            () = self.tasks.wait() => true,
            () = tokio::time::sleep(grace) => false,
        }
    }

    /// Waits for a signal, or for a task that stops everything by itself; then announces the stop for `drain`, and
    /// stops within `grace`, where it gives whether that was enough. One more signal ends either.
    pub async fn run_until(&self, signals: Signals, drain: Duration, grace: Duration) -> bool {
        let Signals { mut term, mut int, .. } = signals;
        tokio::select! {
            _ = term.recv() => info!("SIGTERM: stopping"),
            _ = int.recv() => info!("SIGINT: stopping"),
            () = self.stop.cancelled() => warn!("a task ended; stopping"),
        }
        self.leave.cancel();
        tokio::select! {
            () = tokio::time::sleep(drain) => {}
            _ = term.recv() => {}
            _ = int.recv() => {}
            () = self.stop.cancelled() => {}
        }
        let done = tokio::select! {
            done = self.stop_within(grace) => done,
            _ = term.recv() => false,
            _ = int.recv() => false,
        };
        if !done {
            warn!("not everything stopped in time; what is in flight will be claimed again");
        }
        done
    }
}

/// What a process is told to stop by, heard from the moment that this exists.
pub struct Signals {
    term: Signal,
    int: Signal,
    /// It asks for files to be read anew, and ends nobody who has none.
    _hangup: Signal,
}

impl Signals {
    /// Begins to hear SIGTERM and SIGINT.
    pub fn hear() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            _hangup: signal(SignalKind::hangup())?,
        })
    }
}
