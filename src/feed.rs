//! Wakes those who wait for an import to change. A hint only: the database holds the truth, and
//! everybody who waits here also looks there by themselves from time to time.
//!
//! Where several processes work on one database, a relay carries what one says to the others.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, watch};

use crate::domain::ids::ImportId;

/// Fan-out of "something changed", by import; cheap to clone.
#[derive(Clone, Default)]
pub struct Feed(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// Imports that somebody waits for.
    imports: Mutex<HashMap<ImportId, watch::Sender<()>>>,
    work: Notify,
    /// What other processes are to hear; none where there are no others.
    outbox: Option<Outbox>,
}

#[derive(Default)]
struct Outbox {
    news: Mutex<News>,
    filled: Notify,
}

/// What happened since somebody last asked; many changes of an import are one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct News {
    /// Imports that changed.
    pub imports: BTreeSet<ImportId>,
    /// There may be a segment to claim.
    pub work: bool,
}

/// Waits for one import to change.
pub struct Changes {
    receiver: watch::Receiver<()>,
    feed: Feed,
    import: ImportId,
}

impl Feed {
    /// A feed that others hear, too, by a relay that calls [`Feed::news`].
    pub fn relayed() -> Self {
        Self(Arc::new(Inner { outbox: Some(Outbox::default()), ..Inner::default() }))
    }

    /// An import has changed.
    pub fn changed(&self, import: ImportId) {
        self.tell(import);
        self.relay(|news| {
            news.imports.insert(import);
        });
    }

    fn relay(&self, add: impl FnOnce(&mut News)) {
        if let Some(outbox) = &self.0.outbox {
            add(&mut lock(&outbox.news));
            outbox.filled.notify_one();
        }
    }

    /// Waits for something that others are to hear.
    pub async fn news(&self) -> News {
        let Some(outbox) = &self.0.outbox else { return std::future::pending().await };
        loop {
            let news = std::mem::take(&mut *lock(&outbox.news));
            if news != News::default() {
                return news;
            }
            outbox.filled.notified().await;
        }
    }

    /// Tells what another process said.
    pub fn hear(&self, news: &News) {
        for import in &news.imports {
            self.tell(*import);
        }
        if news.work {
            self.0.work.notify_one();
        }
    }

    /// Lets everybody look for themselves: something may have been missed.
    pub fn look_around(&self) {
        for sender in lock(&self.0.imports).values() {
            sender.send_modify(|()| {});
        }
        self.0.work.notify_one();
    }

    fn tell(&self, import: ImportId) {
        if let Some(sender) = lock(&self.0.imports).get(&import) {
            sender.send_modify(|()| {});
        }
    }

    /// There may be a segment to claim.
    pub fn work_arrived(&self) {
        self.0.work.notify_one();
        self.relay(|news| news.work = true);
    }

    /// Waits until there may be a segment to claim.
    pub async fn wait_for_work(&self) {
        self.0.work.notified().await;
    }

    /// Changes of an import from now on.
    pub fn subscribe(&self, import: ImportId) -> Changes {
        let mut imports = lock(&self.0.imports);
        let receiver = imports.entry(import).or_insert_with(|| watch::Sender::new(())).subscribe();
        Changes { receiver, feed: self.clone(), import }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Changes {
    /// Waits for the next change; changes since the last call count as one.
    pub async fn next(&mut self) {
        // The sender lives as long as this receiver does: `drop` below takes it out last.
        let _ = self.receiver.changed().await;
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        let mut imports = lock(&self.feed.0.imports);
        if imports.get(&self.import).is_some_and(|sender| sender.receiver_count() <= 1) {
            imports.remove(&self.import);
        }
    }
}
