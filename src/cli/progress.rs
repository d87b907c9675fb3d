//! Progress of an import: a bar on a terminal, plain lines elsewhere.

use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::{self, grouped, note};
use crate::grpc::pb;

/// Time between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(2);

/// Shows snapshots as they come.
pub(super) enum Progress {
    /// A bar that is drawn over.
    Bar(ProgressBar),
    /// A line now and then.
    Lines {
        /// When the last one was printed.
        last: Option<Instant>,
    },
    /// Nothing.
    Silent,
}

impl Progress {
    /// Fits standard error: progress never mixes with results.
    pub(super) fn new(silent: bool) -> Self {
        if silent {
            return Self::Silent;
        }
        if !std::io::stderr().is_terminal() {
            return Self::Lines { last: None };
        }
        let bar = ProgressBar::with_draw_target(Some(100), ProgressDrawTarget::stderr());
        let template = "{spinner} [{bar:32}] {percent:>3}% {msg}";
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.enable_steady_tick(Duration::from_millis(120));
        Self::Bar(bar)
    }

    /// Shows a snapshot.
    pub(super) fn show(&mut self, import: &pb::Import) {
        match self {
            Self::Bar(bar) => {
                bar.set_position((fraction(import) * 100.0) as u64);
                bar.set_message(text(import));
            }
            Self::Lines { last } => {
                if import.total_rows > 0 && last.is_none_or(|last| last.elapsed() >= LINE_EVERY) {
                    *last = Some(Instant::now());
                    note(&text(import));
                }
            }
            Self::Silent => {}
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// How far an import is, by bytes: rows are not known before the upload ends.
fn fraction(import: &pb::Import) -> f64 {
    let packed = import.compression > pb::Compression::None as i32;
    let announced = import.source_size.filter(|_| !packed && !import.upload_finished).unwrap_or(0);
    let total = announced.max(import.source_bytes);
    if total > 0 { (import.processed_bytes as f64 / total as f64).clamp(0.0, 1.0) } else { 0.0 }
}

fn text(import: &pb::Import) -> String {
    let eta = import.eta_seconds.map(|eta| format!(", {} left", span(eta))).unwrap_or_default();
    let updated = match import.updated_count {
        0 => String::new(),
        count => format!(", {} updated", grouped(count)),
    };
    let warnings = match import.warning_count {
        0 => String::new(),
        count => format!(", {} warnings", grouped(count)),
    };
    let of = if import.upload_finished { "of" } else { "of at least" };
    let media = output::media(import).map(|media| format!("; media: {media}")).unwrap_or_default();
    format!(
        "{} {of} {} rows: {} created{updated}, {} skipped, {} failed{warnings}; {} rows/s{eta}{media}",
        grouped(import.processed_rows),
        grouped(import.total_rows),
        grouped(import.created_count),
        grouped(import.skipped_count),
        grouped(import.failed_count),
        grouped(import.rows_per_second as i64),
    )
}

fn span(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{}:{:02} min", seconds / 60, seconds % 60),
        _ => format!("{}:{:02} h", seconds / 3600, seconds / 60 % 60),
    }
}
