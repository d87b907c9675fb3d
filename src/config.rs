//! Configuration of a server: flags, each with an environment variable and a key of the same name in a file. The flags
//! are its definition; `docs/configuration.md` is written from them.

mod contradictions;
mod fault;
mod fetching;
mod file;
mod layers;
mod limits;
mod media;
mod page;
mod print;
mod setting;
mod storage;
mod tls;
mod transport;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, ValueEnum, builder::BoolishValueParser};

pub use self::{
    contradictions::Contradiction,
    fault::Fault,
    fetching::FetchArgs,
    layers::{Layers, Unusable, parse},
    limits::LimitArgs,
    media::{Media, MediaArgs},
    page::page,
    print::print,
    storage::{PlaceOfObjects, StorageArgs},
    tls::{ClientAuth, TlsArgs},
    transport::TransportArgs,
};
use crate::{
    domain::limits::Limits,
    grpc::{Certificate, CertificateError, Transport},
    media::MediaSettings,
    sweeper,
    telemetry::{self, LogFormat, Tracing},
    worker::Settings,
};

/// What `serve` takes.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "a group of flags")]
    pub file: FileArgs,

    /// Address to listen on
    #[arg(long, env = "CARRYOVER_LISTEN", default_value = "127.0.0.1:50051", value_name = "ADDR")]
    pub listen: SocketAddr,

    /// What this process does: answer calls, process segments, or both. Processes share a PostgreSQL and an object store
    #[arg(long, env = "CARRYOVER_ROLE", default_value = "all", value_enum)]
    pub role: Role,

    /// URL that links to media begin with where this server serves them itself; the address it listens on without it
    #[arg(long, env = "CARRYOVER_PUBLIC_URL", value_parser = parse_public_url, value_name = "URL")]
    pub public_url: Option<String>,

    /// Seconds a link to a medium is good for, at most 7 days
    #[arg(long, env = "CARRYOVER_MEDIA_LINK_SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=604_800), value_name = "N")]
    pub media_link_seconds: u64,

    /// Admin key to add to the database, 32 to 256 visible characters; on an empty one without it one is made and written to DIR/admin.key
    #[arg(long, env = "CARRYOVER_ADMIN_KEY", hide_env_values = true, value_name = "KEY")]
    pub admin_key: Option<String>,

    /// Seconds that calls are still taken in after SIGTERM, while readiness and health say that they should go elsewhere; a worker stops at once
    #[arg(long, env = "CARRYOVER_DRAIN_SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=3600), value_name = "N")]
    pub drain_seconds: u64,

    /// Do not tell callers what services and messages there are; grpcurl then needs the .proto files
    #[arg(long, env = "CARRYOVER_NO_REFLECTION", value_parser = BoolishValueParser::new())]
    pub no_reflection: bool,

    /// Address to tell Prometheus metrics on, at /metrics over plain HTTP; none without it
    #[arg(long, env = "CARRYOVER_METRICS_LISTEN", value_name = "ADDR")]
    pub metrics_listen: Option<SocketAddr>,

    /// What to log, in the syntax of RUST_LOG
    #[arg(long, env = "CARRYOVER_LOG", default_value = "info,sqlx=warn,sea_orm=warn", value_parser = parse_filter, value_name = "FILTER")]
    pub log: String,

    /// How to log
    #[arg(long, env = "CARRYOVER_LOG_FORMAT", default_value = "text", value_enum)]
    pub log_format: LogFormat,

    /// OpenTelemetry collector to send traces to, by OTLP over gRPC, such as http://collector:4317; none without it
    #[arg(long, env = "CARRYOVER_OTLP_ENDPOINT", value_parser = parse_endpoint, value_name = "URL")]
    pub otlp_endpoint: Option<String>,

    /// Part of the traces that begin here which is sent, from 0 to 1; callers decide for those they began
    #[arg(long, env = "CARRYOVER_TRACE_SAMPLE_RATIO", default_value_t = 1.0, value_parser = parse_ratio, value_name = "RATIO")]
    pub trace_sample_ratio: f64,

    // What comes after a group would stand under its heading.
    #[command(flatten)]
    #[expect(missing_docs, reason = "a group of flags")]
    pub tls: TlsArgs,

    #[command(flatten)]
    #[expect(missing_docs, reason = "a group of flags")]
    pub storage: StorageArgs,

    #[command(flatten)]
    #[expect(missing_docs, reason = "a group of flags")]
    pub limits: LimitArgs,

    #[command(flatten)]
    #[expect(missing_docs, reason = "a group of flags")]
    pub transport: TransportArgs,

    #[command(flatten)]
    #[expect(missing_docs, reason = "a group of flags")]
    pub work: WorkArgs,

    #[command(flatten)]
    #[expect(missing_docs, reason = "a group of flags")]
    pub fetching: FetchArgs,

    #[command(flatten)]
    #[expect(missing_docs, reason = "a group of flags")]
    pub media: MediaArgs,
}

/// Where settings are that are neither flags nor in the environment.
#[derive(Debug, Clone, Args)]
pub struct FileArgs {
    /// File of settings (TOML), whose keys are the names of these flags; a flag or variable overrides it
    #[arg(long, env = "CARRYOVER_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// It answers calls and processes segments
    All,
    /// It answers calls only
    Api,
    /// It processes segments only, and answers for its health
    Worker,
}

/// How segments are worked on.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Work")]
pub struct WorkArgs {
    /// Segments written to the database at a time
    #[arg(long, env = "CARRYOVER_SEGMENTS_IN_FLIGHT", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64), value_name = "N")]
    pub segments_in_flight: u16,

    /// Rows of a segment, which is one database transaction
    #[arg(long, env = "CARRYOVER_SEGMENT_ROWS", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=100_000), value_name = "N")]
    pub segment_rows: u32,

    /// Seconds between two looks for abandoned uploads, expired sources and unfinished erasures
    #[arg(long, env = "CARRYOVER_SWEEP_SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    pub sweep_seconds: u64,

    /// Seconds a claim on a segment holds unless it is renewed, which a worker that lives does
    #[arg(long, env = "CARRYOVER_LEASE_SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    pub lease_seconds: u64,
}

/// What may surprise about settings that can be used, and about variables that nobody reads.
pub fn warnings(args: &ServeArgs, program: &clap::Command) -> Vec<String> {
    let surprising = args.contradictions().filter(|contradiction| !contradiction.stops_start());
    surprising.map(|contradiction| contradiction.to_string()).chain(misspelt(program)).collect()
}

/// Variables that nobody reads, though they look like settings.
pub fn misspelt(program: &clap::Command) -> impl Iterator<Item = String> {
    let strange = layers::strange_variables(program).into_iter();
    strange.map(|(variable, near)| format!("nobody reads {variable}; is {near} meant?"))
}

impl ServeArgs {
    /// Bounds of a source.
    pub fn source_limits(&self) -> Limits {
        let segment_bytes = Limits::default().segment_bytes;
        Limits {
            upload_bytes: self.limits.max_upload_bytes,
            rows: self.limits.max_rows,
            // A segment holds whole records, so none may be larger than one.
            row_bytes: usize::try_from(self.limits.max_row_bytes).unwrap_or(usize::MAX).min(segment_bytes),
            columns: self.limits.max_columns as usize,
            cell_bytes: usize::try_from(self.limits.max_cell_bytes).unwrap_or(usize::MAX),
            json_depth: self.limits.max_json_depth as usize,
            rows_per_day: self.limits.max_rows_per_day,
            stored_row_errors: self.limits.max_stored_row_errors,
            stored_warnings: self.limits.max_stored_warnings,
            source_retention_days: self.limits.source_retention_days,
            media_bytes: self.media.total_bytes,
            compression_ratio: self.limits.max_compression_ratio,
            segment_bytes,
            segment_rows: self.work.segment_rows as usize,
        }
    }

    /// The transport: its bounds, and the certificate, which is read.
    pub fn transport(&self) -> Result<Transport, CertificateError> {
        let certificate = self.tls.files().map(Certificate::read).transpose()?;
        Ok(self.transport.bounds(!self.no_reflection, certificate))
    }

    /// Whether what is between callers and this process can read what they say: keys and personal data. A worker is
    /// told nothing by anybody.
    pub fn is_exposed(&self) -> bool {
        let is_local = self.listen.ip().to_canonical().is_loopback();
        self.tls.certificate.is_none() && !is_local && self.role != Role::Worker
    }

    /// The admin key that is given, without the line end of the file that it may come from.
    pub fn admin_key(&self) -> Option<&str> {
        self.admin_key.as_deref().map(str::trim).filter(|key| !key.is_empty())
    }

    /// Time from the announcement of a stop to the stop. A worker answers no calls, and so has none to send elsewhere.
    pub fn drain(&self) -> Duration {
        let seconds = if self.role == Role::Worker { 0 } else { self.drain_seconds };
        Duration::from_secs(seconds)
    }

    /// How to work.
    pub fn settings(&self) -> Settings {
        Settings {
            segments_in_flight: usize::from(self.work.segments_in_flight),
            lease: Duration::from_secs(self.work.lease_seconds),
            ..Settings::default()
        }
    }

    /// Where traces go, and how many of them.
    pub fn tracing(&self) -> Tracing {
        Tracing { endpoint: self.otlp_endpoint.clone(), sample_ratio: self.trace_sample_ratio }
    }

    /// How to fetch media.
    pub fn media_settings(&self) -> MediaSettings {
        MediaSettings {
            at_a_time: usize::from(self.media.at_a_time),
            per_host: usize::from(self.media.per_host),
            per_import: usize::from(self.media.per_import),
            per_application: usize::from(self.media.per_application),
            total_time: Duration::from_secs(self.media.seconds),
            attempts: self.media.attempts,
            image_bytes: self.media.image_bytes,
            image_pixels: self.media.image_pixels,
            video_bytes: self.media.video_bytes,
            lease: Duration::from_secs(self.work.lease_seconds),
        }
    }

    /// When to sweep what.
    pub fn sweeping(&self) -> sweeper::Settings {
        sweeper::Settings {
            every: Duration::from_secs(self.work.sweep_seconds),
            upload_ttl: Duration::from_secs(self.limits.upload_ttl_hours.saturating_mul(3600)),
            source_retention_days: self.limits.source_retention_days,
            lease: self.settings().lease,
        }
    }
}

/// Reads a URL that links begin with.
fn parse_public_url(text: &str) -> Result<String, String> {
    let url = url::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let url =
        url.filter(|url| url.query().is_none() && url.fragment().is_none() && url.username().is_empty());
    url.map(String::from).ok_or_else(|| "must be a URL such as https://media.example.com".to_owned())
}

/// Reads a filter of logs.
fn parse_filter(text: &str) -> Result<String, String> {
    telemetry::is_filter(text)
        .then(|| text.to_owned())
        .ok_or_else(|| "is no filter such as info,sqlx=warn".to_owned())
}

/// Reads the URL of a collector.
fn parse_endpoint(text: &str) -> Result<String, String> {
    let url =
        url::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    // It is shown where settings are.
    let url = url.filter(|url| url.username().is_empty() && url.password().is_none());
    url.map(|_| text.to_owned()).ok_or_else(|| "must be a URL such as http://collector:4317".to_owned())
}

/// Reads a part of a whole.
fn parse_ratio(text: &str) -> Result<f64, String> {
    let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
    ratio.ok_or_else(|| "must be from 0 to 1".to_owned())
}

/// Reads a size such as `1048576`, `64KiB`, `1MiB` or `5GiB`.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit: u64 = match &text[digits.len()..] {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        other => return Err(format!("\"{other}\" is no unit; use KiB, MiB or GiB")),
    };
    let number: u64 = digits.parse().map_err(|_| format!("\"{text}\" is no size such as 64KiB or 5GiB"))?;
    number.checked_mul(unit).filter(|bytes| *bytes > 0).ok_or_else(|| format!("{text} is out of range"))
}

#[cfg(test)]
mod tests {
    use super::parse_bytes;

    #[test]
    fn sizes_have_units_or_none() {
        assert_eq!(parse_bytes("25"), Ok(25));
        assert_eq!(parse_bytes("5GiB"), Ok(5 << 30));
        for bad in ["", "10MB", "-1", "1.5GiB", "GiB", "0", "99999999999GiB"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
    }
}
