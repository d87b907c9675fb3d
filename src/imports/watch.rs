//! Following an import: the newest state whenever it changed, a heartbeat while it did not.
//!
//! Of each import that is watched one task reads the state, however many watch it. A watcher takes the newest
//! one when its caller is ready for it, so a slow one skips states instead of piling them up, and never slows
//! an import.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures_util::{Stream, stream};
use tokio::{sync::watch, time::Instant};
use tracing::warn;

use crate::{
    clock,
    domain::{
        ids::{ApplicationId, ImportId},
        import::Import,
    },
    error::Error,
    feed::{Changes, Feed},
    store::Store,
};

/// One message of a watch.
#[derive(Debug)]
pub enum WatchEvent {
    /// The import as it stands.
    Import(Box<Import>),
    /// Nothing changed; the time.
    Heartbeat(DateTime<Utc>),
}

/// Least time between two states: a caller sees five a second at most, and the last one at once.
const INTERVAL: Duration = Duration::from_millis(200);

/// Longest silence.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// How often the database is asked although nobody said that anything changed.
const POLL: Duration = Duration::from_secs(1);

/// Least time between two reads of an import.
const READ_INTERVAL: Duration = Duration::from_millis(50);

type Newest = watch::Sender<Option<Arc<Import>>>;

/// The imports that are watched; cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Watches(Arc<Mutex<HashMap<ImportId, Newest>>>);

impl Watches {
    fn lock(&self) -> MutexGuard<'_, HashMap<ImportId, Newest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The states of an import from now on.
    fn subscribe(
        &self,
        store: &Store,
        feed: &Feed,
        application: ApplicationId,
        id: ImportId,
    ) -> watch::Receiver<Option<Arc<Import>>> {
        let mut watched = self.lock();
        if let Some(newest) = watched.get(&id) {
            return newest.subscribe();
        }
        let (newest, states) = watch::channel(None);
        watched.insert(id, newest.clone());
        let changes = feed.subscribe(id);
        #[expect(clippy::disallowed_methods, reason = "it ends with the last watcher, whom the stop ends")]
        tokio::spawn(self.clone().read(store.clone(), changes, application, id, newest));
        states
    }

    /// Reads an import whenever it may have changed, until it ends or nobody watches it.
    async fn read(
        self,
        store: Store,
        mut changes: Changes,
        application: ApplicationId,
        id: ImportId,
        newest: Newest,
    ) {
        loop {
            match store.find_import(application, id).await {
                Ok(import) => {
                    let ended = import.as_ref().is_none_or(|import| import.status.is_terminal());
                    newest.send_replace(import.map(Arc::new));
                    if ended {
                        self.lock().remove(&id);
                        return;
                    }
                }
                // Watchers hear heartbeats until the database is back.
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    warn!(import.id = %id, error, "could not read a watched import");
                }
            }
            tokio::select! {
                () = async {
                    tokio::time::sleep(READ_INTERVAL).await;
                    changed_or_polled(&mut changes).await;
                } => {}
                () = changes_end(&self, id, &newest) => return,
            }
        }
    }
}

/// Waits until nobody watches an import any more, and takes it out then.
async fn changes_end(watches: &Watches, id: ImportId, newest: &Newest) {
    loop {
        newest.closed().await;
        let mut watched = watches.lock();
        // Somebody may have come in between; under the lock nobody does.
        if newest.is_closed() {
            watched.remove(&id);
            return;
        }
    }
}

struct Watch {
    states: watch::Receiver<Option<Arc<Import>>>,
    /// What is sent first, read for this watch.
    snapshot: Option<Box<Import>>,
    /// The last change sent.
    seen: i64,
    sent: Instant,
    ended: bool,
}

/// Follows an import, which stands as `snapshot` says, from behind change `after`.
pub(super) fn watch(
    watches: &Watches,
    store: &Store,
    feed: &Feed,
    snapshot: Import,
    after: i64,
) -> impl Stream<Item = Result<WatchEvent, Error>> + Send + use<> {
    let states = watches.subscribe(store, feed, snapshot.application_id, snapshot.id);
    let sent = Instant::now();
    let watch = Watch { states, snapshot: Some(Box::new(snapshot)), seen: after, sent, ended: false };
    stream::try_unfold(watch, |mut watch| async move { Ok(watch.next().await?.map(|event| (event, watch))) })
}

impl Watch {
    async fn next(&mut self) -> Result<Option<WatchEvent>, Error> {
        if let Some(snapshot) = self.snapshot.take()
            && (snapshot.sequence > self.seen || snapshot.status.is_terminal())
        {
            self.ended = snapshot.status.is_terminal();
            return Ok((snapshot.sequence > self.seen).then(|| self.send(snapshot)));
        }
        while !self.ended {
            let newest = self.states.borrow_and_update().clone();
            let wait = match newest.filter(|newest| newest.sequence > self.seen) {
                Some(newest) if newest.status.is_terminal() || self.sent.elapsed() >= INTERVAL => {
                    self.ended = newest.status.is_terminal();
                    return Ok(Some(self.send(Box::new(Import::clone(&newest)))));
                }
                Some(_) => INTERVAL,
                None if self.sent.elapsed() >= HEARTBEAT => {
                    self.sent = Instant::now();
                    return Ok(Some(WatchEvent::Heartbeat(clock::now())));
                }
                None => HEARTBEAT,
            };
            tokio::select! {
                changed = self.states.changed() => self.ended = changed.is_err() && self.is_over(),
                () = tokio::time::sleep_until(self.sent + wait) => {}
            }
        }
        Ok(None)
    }

    fn send(&mut self, import: Box<Import>) -> WatchEvent {
        self.seen = import.sequence;
        self.sent = Instant::now();
        WatchEvent::Import(import)
    }

    /// Whether there is nothing that was not sent.
    fn is_over(&self) -> bool {
        self.states.borrow().as_ref().is_none_or(|newest| newest.sequence <= self.seen)
    }
}

/// Waits until somebody says that an import changed, or it is time to look anyway.
pub(super) async fn changed_or_polled(changes: &mut Changes) {
    tokio::select! {
        () = changes.next() => {}
        () = tokio::time::sleep(POLL) => {}
    }
}
