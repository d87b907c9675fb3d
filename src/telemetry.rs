//! What the process tells of itself while it runs: logs, as text for people or JSON for machines, and traces for an
//! OpenTelemetry collector. No row content and no secret is in either.

mod trace;

use std::io::IsTerminal;

use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{LevelFilter, Targets},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

pub use trace::{Exporter, Tracing, TracingError, call_ended, call_span, caused_by, traceparent};

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Whether a text is a filter of logs.
pub fn is_filter(text: &str) -> bool {
    EnvFilter::try_new(text).is_ok()
}

/// Starts logging to standard error; `filter` is in the syntax of `RUST_LOG`.
pub fn init(filter: &str, format: LogFormat) {
    start(filter, format, None);
}

/// Starts logging, and tracing beside it. The exporter, if there is one, is asked for at the end what it still holds.
pub fn init_with_tracing(
    filter: &str,
    format: LogFormat,
    tracing: &Tracing,
) -> Result<Exporter, TracingError> {
    let exporter = Exporter::new(tracing)?;
    start(filter, format, Some(&exporter));
    Ok(exporter)
}

fn start(filter: &str, format: LogFormat, exporter: Option<&Exporter>) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    // What is traced does not follow from what is logged.
    let traced = Targets::new()
        .with_target(env!("CARGO_CRATE_NAME"), LevelFilter::INFO)
        .with_target("sea_orm", LevelFilter::INFO);
    let spans = exporter.map(|exporter| exporter.layer().with_filter(traced));
    // A second start, as in tests, keeps the first one.
    let _ = tracing_subscriber::registry().with(spans).with(lines.with_filter(filter)).try_init();
}
