//! How long nobody has called over a connection.

use std::{future, sync::Arc, time::Duration};

use tokio::sync::watch;

/// The calls that are open on a connection; cheap to clone.
#[derive(Clone, Default)]
pub(super) struct OpenCalls(Arc<watch::Sender<usize>>);

/// One of them, until this is dropped.
pub(super) struct OpenCall(OpenCalls);

impl OpenCalls {
    /// One more.
    pub(super) fn begin(&self) -> OpenCall {
        self.0.send_modify(|open| *open += 1);
        OpenCall(self.clone())
    }

    /// Waits until there has been none for so long, if that is bounded.
    pub(super) async fn none_for(&self, time: Option<Duration>) {
        let Some(time) = time else { return future::pending().await };
        let mut open = self.0.subscribe();
        loop {
            // It does not end before this.
            drop(open.wait_for(|open| *open == 0).await);
            tokio::select! {
                () = tokio::time::sleep(time) => return,
                _ = open.changed() => {}
            }
        }
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.0.0.send_modify(|open| *open -= 1);
    }
}
