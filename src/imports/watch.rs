//! Following an import: the newest state whenever it changed, a heartbeat while it did not.
//!
//! The state is read when the caller is ready for it, so a slow watcher skips states instead of
//! piling them up, and never slows an import.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::{Stream, stream};
use tokio::time::Instant;

use crate::{
    clock,
    domain::{
        ids::{ApplicationId, ImportId},
        import::Import,
        refusal::Refusal,
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

struct Watch {
    store: Store,
    changes: Changes,
    application: ApplicationId,
    id: ImportId,
    /// The last change sent.
    seen: i64,
    sent: Instant,
    ended: bool,
}

pub(super) fn watch(
    store: Store,
    feed: Feed,
    application: ApplicationId,
    id: ImportId,
    after: i64,
) -> impl Stream<Item = Result<WatchEvent, Error>> + Send {
    let sent = Instant::now().checked_sub(INTERVAL).unwrap_or_else(Instant::now);
    let watch =
        Watch { store, changes: feed.subscribe(id), application, id, seen: after, sent, ended: false };
    stream::try_unfold(watch, |mut watch| async move { Ok(watch.next().await?.map(|event| (event, watch))) })
}

impl Watch {
    async fn next(&mut self) -> Result<Option<WatchEvent>, Error> {
        if self.ended {
            return Ok(None);
        }
        tokio::select! {
            () = tokio::time::sleep_until(self.sent + INTERVAL) => {}
            () = self.changes.ended() => {}
        }
        loop {
            let import = self.store.find_import(self.application, self.id).await?;
            let import = import.ok_or(Refusal::NotFound("import"))?;
            self.ended = import.status.is_terminal();
            if import.sequence > self.seen {
                self.seen = import.sequence;
                self.sent = Instant::now();
                return Ok(Some(WatchEvent::Import(Box::new(import))));
            }
            if self.ended {
                return Ok(None);
            }
            if self.sent.elapsed() >= HEARTBEAT {
                self.sent = Instant::now();
                return Ok(Some(WatchEvent::Heartbeat(clock::now())));
            }
            changed_or_polled(&mut self.changes).await;
        }
    }
}

/// Waits until somebody says that an import changed, or it is time to look anyway.
pub(super) async fn changed_or_polled(changes: &mut Changes) {
    tokio::select! {
        () = changes.next() => {}
        () = tokio::time::sleep(POLL) => {}
    }
}
