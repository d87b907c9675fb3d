//! Looks, every few seconds, whether the database and the object store answer, and what waits.

use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use crate::{
    clock,
    metrics::{Dependency, Metrics},
    objects::Objects,
    store::Store,
};

/// Time between two looks.
const EVERY: Duration = Duration::from_secs(5);

/// Time in which a dependency must answer: less than a probe of Kubernetes waits for several times.
const PATIENCE: Duration = Duration::from_secs(5);

/// What answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vitals {
    /// The database.
    pub database: bool,
    /// The object store.
    pub objects: bool,
    /// No stop is announced.
    pub stays: bool,
}

impl Vitals {
    /// Whether to send calls here that need the database.
    pub fn serves_database(self) -> bool {
        self.database && self.stays
    }

    /// Whether to send work here that needs all that a process stands on.
    pub fn serves_all(self) -> bool {
        self.serves_database() && self.objects
    }
}

/// Looks after the dependencies of one process.
pub struct Probe {
    /// The database.
    pub store: Store,
    /// The object store.
    pub objects: Objects,
    /// Where it is written down.
    pub metrics: Metrics,
}

impl Probe {
    /// Starts it, and gives what it sees; `leave` announces the stop, and it ends when `stop` is cancelled. Both
    /// dependencies were opened a moment ago.
    pub fn spawn(
        self,
        tasks: &TaskTracker,
        leave: &CancellationToken,
        stop: &CancellationToken,
    ) -> watch::Receiver<Vitals> {
        let (vitals, seen) = watch::channel(Vitals { database: true, objects: true, stays: true });
        let (leaves, told) = (leave.clone(), vitals.clone());
        let end = stop.clone().cancelled_owned();
        tasks.spawn(async move {
            tokio::select! {
                () = leaves.cancelled() => told.send_modify(|vitals| vitals.stays = false),
                () = end => {}
            }
        });
        let Self { store, objects, metrics } = self;
        let measured = metrics.clone();
        let database = move || ask_database(store.clone(), measured.clone());
        let told = vitals.clone();
        let (counted, up) = (metrics.clone(), Dependency::Database);
        tasks.spawn(watch_over(tasks.clone(), stop.clone(), database, move |is_up| {
            counted.is_up(up, is_up);
            told.send_if_modified(|vitals| change(&mut vitals.database, is_up, "the database"));
        }));
        let storage = move || {
            let objects = objects.clone();
            async move { objects.check().await.map_err(|error| log(&error, "the object store")).is_ok() }
        };
        tasks.spawn(watch_over(tasks.clone(), stop.clone(), storage, move |is_up| {
            metrics.is_up(Dependency::Objects, is_up);
            vitals.send_if_modified(|vitals| change(&mut vitals.objects, is_up, "the object store"));
        }));
        seen
    }
}

async fn ask_database(store: Store, metrics: Metrics) -> bool {
    store.measure_pools();
    let now = clock::now();
    match store.queue(now).await {
        Ok(queue) => {
            let wait = queue.waits_since.and_then(|since| (now - since).to_std().ok());
            metrics.queue(queue.segments, wait.unwrap_or_default());
            true
        }
        Err(error) => {
            log(&error, "the database");
            false
        }
    }
}

fn log(error: &(dyn std::error::Error + 'static), what: &str) {
    warn!(error, "{what} does not answer as it should");
}

/// Sets what is seen, and says whether it is new.
fn change(seen: &mut bool, is_up: bool, what: &str) -> bool {
    let changed = *seen != is_up;
    *seen = is_up;
    match (changed, is_up) {
        (true, true) => info!("{what} answers again"),
        (true, false) => warn!("{what} is away"),
        (false, _) => {}
    }
    changed
}

/// Asks again and again, and tells what came of it. A question that is not answered in time is not dropped, and
/// the next one waits for it.
async fn watch_over<F>(tasks: TaskTracker, stop: CancellationToken, ask: impl Fn() -> F, tell: impl Fn(bool))
where
    F: Future<Output = bool> + Send + 'static,
{
    loop {
        let since = Instant::now();
        let mut asked = tasks.spawn(ask());
        let in_time = tokio::select! {
            answer = &mut asked => Some(answer.unwrap_or(false)),
            () = tokio::time::sleep(PATIENCE) => None,
            () = stop.cancelled() => return,
        };
        tell(in_time.unwrap_or(false));
        if in_time.is_none() {
            tokio::select! {
                answer = asked => tell(answer.unwrap_or(false)),
                () = stop.cancelled() => return,
            }
        }
        let rest = EVERY.saturating_sub(since.elapsed());
        if stop.run_until_cancelled(tokio::time::sleep(rest)).await.is_none() {
            return;
        }
    }
}
