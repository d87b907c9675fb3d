//! What records of providers cost, measured against canonical NDJSON of the same type in the same run:
//! `cargo bench --bench providers`.
//!
//! Each line is a file of samples read over and over, from bytes to records: its rate per byte, and the ratio
//! of that to the canonical rate. The canonical rows are as few and repeated as often, so that both sides
//! find as many keys twice. A ratio under 0.5 is marked: an import would feel it.

#![expect(clippy::expect_used, reason = "a bench that cannot begin should say so")]
#![expect(clippy::print_stdout, reason = "figures are what it is for")]

use std::{
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};

use carryover::{
    clock,
    domain::{
        import::{Import, ImportType, SourceFormat},
        limits::Limits,
    },
    intake::splitter::{Cut, Splitter},
    pipeline::{self, Reading},
    sample::Sample,
};

#[path = "shared/imports.rs"]
mod imports;

/// Bytes of a source that is read over and over.
const SOURCE_BYTES: usize = 2 << 20;

/// Rounds of which the fastest counts: whatever else runs makes none faster.
const ROUNDS: usize = 9;

/// Least ratio to the canonical rate.
const BAR: f64 = 0.5;

/// A source in segments, and the import it belongs to.
struct Source {
    import: Import,
    bytes: usize,
    cuts: Vec<Cut>,
}

impl Source {
    fn new(provider: &str, import_type: ImportType, lines: &str) -> Self {
        let text = lines.repeat(SOURCE_BYTES / lines.len() + 1);
        let mut cuts = Vec::new();
        let mut splitter = Splitter::new(SourceFormat::Ndjson, b',', Limits::default());
        splitter.push(text.as_bytes(), &mut cuts).expect("lines");
        splitter.finish(&mut cuts).expect("lines");
        Self { import: imports::import(provider, import_type, SourceFormat::Ndjson), bytes: text.len(), cuts }
    }

    fn read(&self) -> Duration {
        let reading = Reading::of(&self.import).expect("NDJSON");
        let began = Instant::now();
        for cut in &self.cuts {
            let rows = pipeline::parse(&reading, &cut.range, cut.bytes.clone(), &self.import.limits);
            black_box(pipeline::transform(&self.import, rows, clock::now()));
        }
        began.elapsed()
    }

    /// Megabytes a second.
    fn rate(&self) -> f64 {
        let fastest = (0..ROUNDS).map(|_| self.read()).min().unwrap_or_default();
        self.bytes as f64 / 1e6 / fastest.as_secs_f64()
    }
}

/// The provider and type of a file of samples, by its name: `sumsub-kyb`.
fn belongs_to(file: &str) -> (&str, ImportType) {
    let (provider, rest) = file.split_once('-').unwrap_or((file, ""));
    let import_type = match rest {
        "kyb" => ImportType::BusinessVerification,
        "transactions" => ImportType::Transactions,
        _ => ImportType::UserVerification,
    };
    (provider, import_type)
}

fn canonical(import_type: ImportType) -> Source {
    let mut lines = Vec::new();
    let sample =
        Sample { import_type, format: SourceFormat::Ndjson, rows: 10, seed: 1, invalid: 0.0, duplicate: 0.0 };
    sample.write(&mut lines).expect("memory");
    Source::new("generic", import_type, &String::from_utf8(lines).expect("text"))
}

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/providers");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .expect("samples")
        .map(|entry| entry.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "ndjson"))
        .collect();
    files.sort();
    let types = [ImportType::UserVerification, ImportType::BusinessVerification, ImportType::Transactions];
    let canonical = types.map(|import_type| (import_type, canonical(import_type).rate()));
    for (import_type, rate) in canonical {
        println!("{:22} {rate:8.1} MB/s", import_type.as_str());
    }
    for path in files {
        let file = path.file_stem().and_then(|name| name.to_str()).expect("a name");
        let (provider, import_type) = belongs_to(file);
        let lines = std::fs::read_to_string(&path).expect("lines");
        let rate = Source::new(provider, import_type, &lines).rate();
        let (_, base) = canonical.iter().find(|(of, _)| *of == import_type).expect("measured");
        let ratio = rate / base;
        println!("{file:22} {rate:8.1} MB/s {ratio:6.2}{}", if ratio < BAR { " under the bar" } else { "" });
    }
}
