//! What is being fetched by this process, and how much room is left.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use uuid::Uuid;

use super::{MediaSettings, hosts::Hosts};
use crate::{
    clock,
    domain::ids::{ApplicationId, ImportId},
    guard::FetchError,
    store::{BusyMedia, Download, Store},
};

/// All of it; cheap to clone.
#[derive(Clone)]
pub(super) struct InFlight(Arc<Inner>);

struct Inner {
    at_a_time: usize,
    per_import: usize,
    per_application: usize,
    state: Mutex<State>,
    landed: Notify,
}

struct State {
    /// By job, URL and claim: one whose lease ran out may be claimed again here before it has ended.
    downloads: HashMap<(ImportId, Uuid, i64), Download>,
    hosts: Hosts,
}

/// One that is being fetched or settled, until this is dropped.
pub(super) struct Flight {
    pub(super) download: Download,
    all: InFlight,
}

impl InFlight {
    pub(super) fn new(settings: &MediaSettings) -> Self {
        let state = State { downloads: HashMap::new(), hosts: Hosts::new(settings.per_host) };
        Self(Arc::new(Inner {
            at_a_time: settings.at_a_time,
            per_import: settings.per_import,
            per_application: settings.per_application,
            state: Mutex::new(state),
            landed: Notify::new(),
        }))
    }

    pub(super) fn begin(&self, download: Download) -> Flight {
        let mut state = self.state();
        state.hosts.begin(&download.host);
        state.downloads.insert(key(&download), download.clone());
        drop(state);
        Flight { download, all: self.clone() }
    }

    /// How many more there may be.
    pub(super) fn room(&self) -> usize {
        self.0.at_a_time.saturating_sub(self.state().downloads.len())
    }

    /// Waits for one to end since the last time.
    pub(super) async fn landed(&self) {
        self.0.landed.notified().await;
    }

    /// What is at its bound, and what comes near it.
    pub(super) fn busy(&self) -> BusyMedia {
        let state = self.state();
        let mut jobs = HashMap::<ImportId, usize>::new();
        let mut applications = HashMap::<ApplicationId, usize>::new();
        for download in state.downloads.values() {
            *jobs.entry(download.job).or_default() += 1;
            *applications.entry(download.application).or_default() += 1;
        }
        let jobs = jobs.into_iter().filter(|(_, count)| *count >= self.0.per_import);
        BusyMedia {
            hosts: state.hosts.busy(Instant::now()),
            jobs: jobs.map(|(job, _)| job).collect(),
            applications,
            per_application: self.0.per_application,
        }
    }

    /// Renews the leases of what is in flight, until the last of it has ended.
    pub(super) async fn beat(self, store: Store, owner: Uuid, lease: Duration, stop: CancellationToken) {
        // Two beats may be missed.
        while stop.run_until_cancelled(tokio::time::sleep(lease / 3)).await.is_some() {
            let held: Vec<_> = {
                let state = self.state();
                state.downloads.values().map(|held| (held.application, held.job, held.url_id)).collect()
            };
            if held.is_empty() {
                continue;
            }
            // One that is lost needs no telling: the fence keeps whoever lost it from settling it.
            if let Err(error) = store.renew_media(owner, &held, clock::now() + lease).await {
                warn!(error = &error as &dyn std::error::Error, "could not renew claims on media");
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const fn key(download: &Download) -> (ImportId, Uuid, i64) {
    (download.job, download.url_id, download.epoch)
}

impl Flight {
    /// Its host has answered, whatever it said.
    pub(super) fn answered(&self) {
        self.all.state().hosts.answered(&self.download.host);
    }

    /// Its host has not, or wants to be left alone.
    pub(super) fn failed(&self, error: &FetchError) {
        self.all.state().hosts.failed(&self.download.host, error, Instant::now());
    }

    /// Why its host is not to be asked at all.
    pub(super) fn is_hopeless(&self) -> Option<FetchError> {
        self.all.state().hosts.is_hopeless(&self.download.host, Instant::now())
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let mut state = self.all.state();
        state.hosts.end(&self.download.host);
        state.downloads.remove(&key(&self.download));
        drop(state);
        self.all.0.landed.notify_one();
    }
}
