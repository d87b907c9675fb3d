//! Fetches, in the background, the sources of imports that were given a URL.

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use crate::{
    clock,
    domain::{fault::SourceFault, import::Import, refusal::Refusal},
    error::Error,
    feed::Feed,
    imports::{FetchFailure, Imports},
    metrics::{FetchEnd, Metrics},
    store::{self, SourceFetch, Store},
};

/// Time between two looks for a source to fetch.
const POLL: Duration = Duration::from_millis(500);

/// Sources fetched at a time by one process.
const AT_A_TIME: usize = 4;

/// How often in a row the fetching of a source may bring nothing new.
const ATTEMPTS: u32 = 6;

/// Bytes that a try must have brought for the next to follow at once when it breaks off. One that brings less is
/// waited behind, so that nobody is asked without end for next to nothing.
const PROGRESS: i64 = 1 << 20;

/// Wait after the first failure; each later one doubles it.
const BACKOFF: Duration = Duration::from_secs(1);

/// Longest wait that a server may ask for.
const MAX_WAIT: Duration = Duration::from_secs(300);

/// A fetcher; cheap to clone.
#[derive(Clone)]
pub struct Fetcher {
    /// Where imports are.
    pub store: Store,
    /// Who takes sources in.
    pub imports: Imports,
    /// Who hears what an import waits for.
    pub feed: Feed,
    /// Where it is counted.
    pub metrics: Metrics,
    /// How long a fetch is held without a sign of life.
    pub lease: Duration,
}

impl Fetcher {
    /// Starts it; it ends when `stop` is cancelled, and what is not fetched then is another's.
    pub fn spawn(self, tasks: &TaskTracker, stop: CancellationToken) {
        let (own, room) = (tasks.clone(), Arc::new(Semaphore::new(AT_A_TIME)));
        tasks.spawn(async move {
            while stop.run_until_cancelled(tokio::time::sleep(POLL)).await.is_some() {
                // Each one found may not be the last.
                while let Ok(permit) = room.clone().try_acquire_owned()
                    && let Some(fetch) = self.claim().await
                {
                    let (fetcher, stop) = (self.clone(), stop.clone());
                    own.spawn(async move {
                        fetcher.fetch(fetch, &stop).await;
                        drop(permit);
                    });
                }
            }
        });
    }

    async fn claim(&self) -> Option<SourceFetch> {
        let now = clock::now();
        match self.store.claim_fetch(now, now + self.lease).await {
            Ok(fetch) => fetch,
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "could not look for sources to fetch");
                None
            }
        }
    }

    async fn fetch(&self, mut fetch: SourceFetch, stop: &CancellationToken) {
        let id = fetch.import;
        let settled = match stop.run_until_cancelled(self.bring(&mut fetch)).await {
            Some(Ok(())) => {
                self.metrics.fetch_ended(FetchEnd::Stored);
                self.store.end_fetch(&fetch).await
            }
            Some(Err(failure)) => self.settle(fetch, failure).await,
            // Another process goes on at once.
            None => self.store.hold_fetch(&fetch, clock::now()).await,
        };
        if let Err(error) = settled {
            // Nothing is lost: the lease runs out.
            warn!(import.id = %id, error = &error as &dyn std::error::Error, "could not end a fetch");
        }
        self.feed.changed(id);
    }

    /// Fetches what is missing of a source, and holds the fetch meanwhile.
    async fn bring(&self, fetch: &mut SourceFetch) -> Result<(), FetchFailure> {
        let holding = fetch.clone();
        tokio::select! {
            brought = self.try_while_it_gets_on(fetch) => brought,
            () = self.hold(holding) => Ok(()),
        }
    }

    async fn try_while_it_gets_on(&self, fetch: &mut SourceFetch) -> Result<(), FetchFailure> {
        loop {
            let Some(import) = self.store.find_import(fetch.application, fetch.import).await? else {
                return Ok(());
            };
            if is_over(&import) {
                return Ok(());
            }
            fetch.committed_size = import.committed_size;
            let failure = match self.imports.fetch_source(import, fetch, &self.metrics).await {
                Err(FetchFailure::Fetch(error)) if error.is_transient() && error.retry_after().is_none() => {
                    error
                }
                brought => return brought,
            };
            let import = self.store.find_import(fetch.application, fetch.import).await?;
            if import.is_none_or(|import| import.committed_size - fetch.committed_size < PROGRESS) {
                return Err(FetchFailure::Fetch(failure));
            }
            info!(import.id = %fetch.import, reason = failure.code(), "a source broke off; it is gone on with");
            self.metrics.fetch_ended(FetchEnd::GoneOn);
            fetch.attempts = 0;
        }
    }

    /// Renews the lease until the import is over, which somebody may have cancelled.
    async fn hold(&self, fetch: SourceFetch) {
        loop {
            tokio::time::sleep(self.lease / 3).await;
            let renewed = async {
                self.store.hold_fetch(&fetch, clock::now() + self.lease).await?;
                self.store.find_import(fetch.application, fetch.import).await
            };
            match renewed.await {
                Ok(import) if import.as_ref().is_none_or(is_over) => return,
                Ok(_) => {}
                Err(error) => {
                    warn!(error = &error as &dyn std::error::Error, "could not hold on to a fetch");
                }
            }
        }
    }

    /// Tries again later what may pass by itself, and fails the import for all else.
    async fn settle(&self, mut fetch: SourceFetch, failure: FetchFailure) -> Result<(), store::Error> {
        let (id, now) = (fetch.import, clock::now());
        let import = self.store.find_import(fetch.application, id).await?;
        let Some(import) = import.filter(|import| !is_over(import)) else {
            return self.store.end_fetch(&fetch).await;
        };
        if import.committed_size > fetch.committed_size {
            // However often a large file breaks off, it gets on.
            fetch.attempts = 0;
        }
        let fetch = &fetch;
        let fault = match failure {
            FetchFailure::Fetch(error) if error.is_transient() && fetch.attempts + 1 < ATTEMPTS => {
                warn!(import.id = %id, reason = error.code(), "a source could not be fetched; it is tried again");
                self.metrics.fetch_ended(FetchEnd::PutOff);
                let wait = error.retry_after().unwrap_or(BACKOFF * 2_u32.pow(fetch.attempts.min(8)));
                return self.store.put_off_fetch(fetch, error.code(), now + wait.min(MAX_WAIT), now).await;
            }
            FetchFailure::Fetch(error) => {
                SourceFault::NotFetched { reason: error.code(), detail: error.to_string() }
            }
            FetchFailure::Fault(fault) => fault,
            // The database or the object store must come back.
            FetchFailure::Own(error) => {
                if !matches!(error, Error::Refused(Refusal::UploadTakenOver | Refusal::ShuttingDown)) {
                    warn!(import.id = %id, error = &error as &dyn std::error::Error, "a source was not taken in");
                }
                self.metrics.fetch_ended(FetchEnd::PutOff);
                return self.store.hold_fetch(fetch, now + BACKOFF).await;
            }
        };
        info!(import.id = %id, reason = fault.reason(), "a source was not fetched");
        self.metrics.fetch_ended(FetchEnd::Failed);
        self.store.fail_import(fetch.application, id, &fault, now).await?;
        self.store.end_fetch(fetch).await
    }
}

/// Whether nothing more is to be fetched.
fn is_over(import: &Import) -> bool {
    import.upload_finished || import.status.has_ended()
}
