//! What a process counts and measures, for Prometheus.
//!
//! Every name and every label is here. A label is one word of a list that this program knows; none ever holds an
//! id, an address or a value of a caller's. Gauges of the database are the same in every process of it.

mod labels;
mod listener;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use prometheus_client::{
    encoding::text,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::{
    clock,
    domain::import::{Counters, ImportType},
};

pub use labels::{Attempt, Dependency, FetchEnd, MediaEnd, Pool, Stage, Sweep, Way};
pub use listener::serve;

/// Labels, by their names.
type Labels<const N: usize> = [(&'static str, &'static str); N];

/// Names and values of the metrics of one process; cheap to clone.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    rows: Family<Labels<2>, Counter>,
    received_bytes: Family<Labels<1>, Counter>,
    stage_seconds: Family<Labels<1>, Histogram>,
    attempts: Family<Labels<1>, Counter>,
    leases_lost: Counter,
    segments_in_work: Gauge,
    segments_waiting: Gauge,
    oldest_wait_seconds: Gauge,
    up: Family<Labels<1>, Gauge>,
    pool_connections: Family<Labels<2>, Gauge>,
    pool_wait_seconds: Family<Labels<1>, Histogram>,
    fetches: Family<Labels<1>, Counter>,
    media: Family<Labels<1>, Counter>,
    media_bytes: Counter,
    sweeps: Family<Labels<2>, Counter>,
    last_sweep: Family<Labels<1>, Gauge>,
    sources_deleted: Counter,
    uploads_abandoned: Counter,
    erasures_resumed: Counter,
    media_swept: Counter,
    calls: Family<Labels<2>, Counter>,
    call_seconds: Family<Labels<1>, Histogram>,
    calls_open: Family<Labels<1>, Gauge>,
    connections_refused: Counter,
    certificate_expiry: Gauge,
    certificate_unusable: Gauge,
}

/// Buckets of segment stages and of connections: from a millisecond to what a statement may take.
const WORK_SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// Buckets of calls; streams are open for hours.
const CALL_SECONDS: [f64; 13] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 60.0, 600.0, 3600.0];

/// A family of histograms; a plain function, so that the family's type can be written down.
fn histograms(buckets: fn() -> Histogram) -> Family<Labels<1>, Histogram> {
    Family::new_with_constructor(buckets)
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Inner {
            registry: Registry::with_prefix("carryover"),
            rows: Family::default(),
            received_bytes: Family::default(),
            stage_seconds: histograms(|| Histogram::new(WORK_SECONDS)),
            attempts: Family::default(),
            leases_lost: Counter::default(),
            segments_in_work: Gauge::default(),
            segments_waiting: Gauge::default(),
            oldest_wait_seconds: Gauge::default(),
            up: Family::default(),
            pool_connections: Family::default(),
            pool_wait_seconds: histograms(|| Histogram::new(WORK_SECONDS)),
            fetches: Family::default(),
            media: Family::default(),
            media_bytes: Counter::default(),
            sweeps: Family::default(),
            last_sweep: Family::default(),
            sources_deleted: Counter::default(),
            uploads_abandoned: Counter::default(),
            erasures_resumed: Counter::default(),
            media_swept: Counter::default(),
            calls: Family::default(),
            call_seconds: histograms(|| Histogram::new(CALL_SECONDS)),
            calls_open: Family::default(),
            connections_refused: Counter::default(),
            certificate_expiry: Gauge::default(),
            certificate_unusable: Gauge::default(),
        };
        metrics.register();
        metrics.begin();
        Self(Arc::new(metrics))
    }
}

impl Inner {
    /// Gives each metric its name and meaning; counters get `_total` behind theirs.
    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("rows", "Rows settled by this process, dry runs left out", self.rows.clone());
        r.register("received_bytes", "Bytes of sources taken in, as sent", self.received_bytes.clone());
        r.register("stage_seconds", "Seconds of one segment in one stage", self.stage_seconds.clone());
        r.register("segment_attempts", "Attempts to settle a segment", self.attempts.clone());
        r.register(
            "leases_lost",
            "Segments that were another's when they were written",
            self.leases_lost.clone(),
        );
        r.register("segments_in_work", "Segments this process has claimed", self.segments_in_work.clone());
        r.register(
            "segments_waiting",
            "Segments of all processes to be claimed",
            self.segments_waiting.clone(),
        );
        r.register(
            "oldest_wait_seconds",
            "Longest time that an import with waiting segments has stood still",
            self.oldest_wait_seconds.clone(),
        );
        r.register("up", "1 while the dependency answers", self.up.clone());
        r.register("database_connections", "Connections to the database", self.pool_connections.clone());
        r.register(
            "database_wait_seconds",
            "Seconds until a transaction began, most of it waiting for a connection",
            self.pool_wait_seconds.clone(),
        );
        r.register("fetches", "Attempts to fetch a source", self.fetches.clone());
        r.register("media", "Attempts to fetch a medium that a row links to", self.media.clone());
        r.register("media_bytes", "Bytes of media that were stored", self.media_bytes.clone());
        r.register("sweeps", "Looks of the sweeper", self.sweeps.clone());
        r.register(
            "last_sweep_timestamp_seconds",
            "When the sweeper last went through with a look, or began",
            self.last_sweep.clone(),
        );
        r.register("sources_deleted", "Sources deleted when it was time", self.sources_deleted.clone());
        r.register("uploads_abandoned", "Uploads that nobody went on with", self.uploads_abandoned.clone());
        r.register(
            "erasures_resumed",
            "Erasures that the sweeper finished for a process that died or failed",
            self.erasures_resumed.clone(),
        );
        r.register(
            "media_swept",
            "Media that nothing named any more, deleted by the sweeper",
            self.media_swept.clone(),
        );
        r.register("calls", "Calls that have ended", self.calls.clone());
        r.register("call_seconds", "Seconds of a call from its head to its end", self.call_seconds.clone());
        r.register("calls_open", "Calls that are open: uploads, watches, exports", self.calls_open.clone());
        r.register(
            "connections_refused",
            "Connections closed at once: there were too many",
            self.connections_refused.clone(),
        );
        r.register(
            "tls_certificate_expiry_timestamp_seconds",
            "When the certificate in force expires; 0 without TLS",
            self.certificate_expiry.clone(),
        );
        r.register(
            "tls_files_unusable",
            "1 while the files of TLS cannot be used, and what was read before stays in force",
            self.certificate_unusable.clone(),
        );
    }

    /// Begins every counter at zero, so that its first rise is seen, where its labels are known beforehand.
    fn begin(&self) {
        for import_type in ImportType::ALL {
            for (outcome, _) in outcomes(&Counters::default()) {
                drop(self.rows.get_or_create(&rows_of(*import_type, outcome)));
            }
        }
        let families = [
            (&self.received_bytes, "way", Way::WORDS),
            (&self.attempts, "result", Attempt::WORDS),
            (&self.fetches, "result", FetchEnd::WORDS),
            (&self.media, "result", MediaEnd::WORDS),
        ];
        for (family, label, words) in families {
            for word in words {
                drop(family.get_or_create(&[(label, *word)]));
            }
        }
        for word in Sweep::WORDS {
            for result in ["done", "failed"] {
                drop(self.sweeps.get_or_create(&[("sweep", *word), ("result", result)]));
            }
        }
        for (histograms, label, words) in
            [(&self.stage_seconds, "stage", Stage::WORDS), (&self.pool_wait_seconds, "pool", Pool::WORDS)]
        {
            for word in words {
                drop(histograms.get_or_create(&[(label, *word)]));
            }
        }
        for word in Dependency::WORDS {
            self.up.get_or_create(&[("dependency", *word)]).set(1);
        }
    }
}

fn outcomes(counters: &Counters) -> [(&'static str, i64); 4] {
    let Counters { created, updated, skipped, failed, .. } = *counters;
    [("created", created), ("updated", updated), ("skipped", skipped), ("failed", failed)]
}

const fn rows_of(import_type: ImportType, outcome: &'static str) -> Labels<2> {
    [("import_type", import_type.as_str()), ("outcome", outcome)]
}

impl Metrics {
    /// All of it, as Prometheus reads it (OpenMetrics text).
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = text::encode(&mut text, &self.0.registry);
        text
    }

    /// Rows of a segment are settled.
    pub fn rows_settled(&self, import_type: ImportType, counters: &Counters) {
        for (outcome, count) in outcomes(counters) {
            self.0.rows.get_or_create(&rows_of(import_type, outcome)).inc_by(count.max(0).unsigned_abs());
        }
    }

    /// Bytes of a source came in.
    pub fn bytes_received(&self, way: Way, bytes: usize) {
        self.0.received_bytes.get_or_create(&[("way", way.word())]).inc_by(bytes as u64);
    }

    /// A segment is through a stage.
    pub fn stage_ended(&self, stage: Stage, took: Duration) {
        self.0.stage_seconds.get_or_create(&[("stage", stage.word())]).observe(took.as_secs_f64());
    }

    /// An attempt to settle a segment has ended.
    pub fn attempt_ended(&self, attempt: Attempt) {
        self.0.attempts.get_or_create(&[("result", attempt.word())]).inc();
    }

    /// A segment was another's when it was to be written.
    pub fn lease_lost(&self) {
        self.0.leases_lost.inc();
    }

    /// A segment is in work until this is dropped.
    pub fn segment_in_work(&self) -> Open {
        Open::count(self.0.segments_in_work.clone())
    }

    /// What waits to be claimed, and for how long nothing happened to the import that waits longest.
    pub fn queue(&self, segments: i64, oldest_wait: Duration) {
        self.0.segments_waiting.set(segments);
        self.0.oldest_wait_seconds.set(i64::try_from(oldest_wait.as_secs()).unwrap_or(i64::MAX));
    }

    /// Whether a dependency answers.
    pub fn is_up(&self, dependency: Dependency, up: bool) {
        self.0.up.get_or_create(&[("dependency", dependency.word())]).set(up.into());
    }

    /// How many connections a pool has.
    pub fn pool_connections(&self, pool: Pool, in_use: i64, idle: i64) {
        for (state, count) in [("in_use", in_use), ("idle", idle)] {
            self.0.pool_connections.get_or_create(&[("pool", pool.word()), ("state", state)]).set(count);
        }
    }

    /// A transaction began after so long.
    pub fn pool_waited(&self, pool: Pool, waited: Duration) {
        self.0.pool_wait_seconds.get_or_create(&[("pool", pool.word())]).observe(waited.as_secs_f64());
    }

    /// An attempt to fetch a source has ended.
    pub fn fetch_ended(&self, end: FetchEnd) {
        self.0.fetches.get_or_create(&[("result", end.word())]).inc();
    }

    /// An attempt to fetch a medium has ended.
    pub fn medium_ended(&self, end: MediaEnd) {
        self.0.media.get_or_create(&[("result", end.word())]).inc();
    }

    /// A medium is stored.
    pub fn medium_stored(&self, bytes: u64) {
        self.medium_ended(MediaEnd::Stored);
        self.0.media_bytes.inc_by(bytes);
    }

    /// This process has a sweeper, which has yet to look.
    pub fn sweeper_begins(&self) {
        Sweep::WORDS.iter().for_each(|word| self.looked(word));
    }

    /// The sweeper has looked.
    pub fn swept(&self, sweep: Sweep, well: bool) {
        let result = if well { "done" } else { "failed" };
        self.0.sweeps.get_or_create(&[("sweep", sweep.word()), ("result", result)]).inc();
        if well {
            self.looked(sweep.word());
        }
    }

    fn looked(&self, sweep: &'static str) {
        self.0.last_sweep.get_or_create(&[("sweep", sweep)]).set(clock::now().timestamp());
    }

    /// A source was deleted when its time had come.
    pub fn source_deleted(&self) {
        self.0.sources_deleted.inc();
    }

    /// An upload was given up.
    pub fn upload_abandoned(&self) {
        self.0.uploads_abandoned.inc();
    }

    /// Erasures were finished for processes that could not.
    pub fn erasures_resumed(&self, count: u64) {
        self.0.erasures_resumed.inc_by(count);
    }

    /// Media that nothing named were deleted.
    pub fn media_swept(&self, count: u64) {
        self.0.media_swept.inc_by(count);
    }

    /// A call of a method has ended with a status code.
    pub fn call_ended(&self, method: &'static str, code: &'static str, took: Duration) {
        self.0.calls.get_or_create(&[("method", method), ("code", code)]).inc();
        self.0.call_seconds.get_or_create(&[("method", method)]).observe(took.as_secs_f64());
    }

    /// A call of a method is open until this is dropped.
    pub fn call_open(&self, method: &'static str) -> Open {
        Open::count(self.0.calls_open.get_or_create_owned(&[("method", method)]))
    }

    /// A connection was one too many.
    pub fn connection_refused(&self) {
        self.0.connections_refused.inc();
    }

    /// The files of TLS are in force.
    pub fn certificate_read(&self, expires_at: Option<DateTime<Utc>>) {
        if let Some(expires_at) = expires_at {
            self.0.certificate_expiry.set(expires_at.timestamp());
        }
        self.0.certificate_unusable.set(0);
    }

    /// The files of TLS cannot be used.
    pub fn certificate_unusable(&self) {
        self.0.certificate_unusable.set(1);
    }
}

/// Counts as open until it is dropped.
pub struct Open(Gauge);

impl Open {
    fn count(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}
