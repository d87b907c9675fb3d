//! Wakes those who wait for an import to change. A hint only: the database holds the truth, and
//! everybody who waits here also looks there by themselves from time to time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{Notify, watch};

use crate::domain::ids::ImportId;

/// Fan-out of "something changed", by import; cheap to clone.
#[derive(Clone, Default)]
pub struct Feed(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// Whether each import that somebody waits for has ended.
    imports: Mutex<HashMap<ImportId, watch::Sender<bool>>>,
    work: Notify,
}

/// Waits for one import to change.
pub struct Changes {
    receiver: watch::Receiver<bool>,
    feed: Feed,
    import: ImportId,
}

impl Feed {
    /// An import has changed.
    pub fn changed(&self, import: ImportId) {
        self.tell(import, false);
    }

    /// An import has changed for the last time.
    pub fn ended(&self, import: ImportId) {
        self.tell(import, true);
    }

    fn tell(&self, import: ImportId, ended: bool) {
        let imports = self.0.imports.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = imports.get(&import) {
            sender.send_modify(|known| *known |= ended);
        }
    }

    /// There may be a segment to claim.
    pub fn work_arrived(&self) {
        self.0.work.notify_one();
    }

    /// Waits until there may be a segment to claim.
    pub async fn wait_for_work(&self) {
        self.0.work.notified().await;
    }

    /// Changes of an import from now on.
    pub fn subscribe(&self, import: ImportId) -> Changes {
        let mut imports = self.0.imports.lock().unwrap_or_else(PoisonError::into_inner);
        let receiver = imports.entry(import).or_insert_with(|| watch::Sender::new(false)).subscribe();
        Changes { receiver, feed: self.clone(), import }
    }
}

impl Changes {
    /// Waits for the next change; changes since the last call count as one.
    pub async fn next(&mut self) {
        // The sender lives as long as this receiver does: `drop` below takes it out last.
        let _ = self.receiver.changed().await;
    }

    /// Waits for the last change.
    pub async fn ended(&mut self) {
        let _ = self.receiver.wait_for(|ended| *ended).await;
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        let mut imports = self.feed.0.imports.lock().unwrap_or_else(PoisonError::into_inner);
        if imports.get(&self.import).is_some_and(|sender| sender.receiver_count() <= 1) {
            imports.remove(&self.import);
        }
    }
}
