//! What records of providers and mapped ones cost, measured against canonical ones of the same type and format
//! in the same run: `cargo bench --bench providers`, with a part of a file's name for those alone.
//!
//! Each line is a file of samples read over and over, from bytes to records: its rate per byte, and the ratio
//! of that to the canonical rate. Both are read by turns, so that the machine is as fast for one as for the
//! other, and the fastest reading of each counts: whatever else runs makes none faster. The canonical rows are
//! as few and repeated as often, so that both sides find as many keys twice. A mapping is of those very rows,
//! each field by its own name. A ratio under 0.5 is marked: an import would feel it.

#![expect(clippy::expect_used, reason = "a bench that cannot begin should say so")]
#![expect(clippy::print_stdout, reason = "figures are what it is for")]

use std::{
    collections::BTreeMap,
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};

use carryover::{
    clock,
    domain::{
        import::{FieldMapping, Import, ImportType, Mapping, SourceFormat},
        limits::Limits,
    },
    intake::splitter::{Cut, Splitter},
    pipeline::{self, Reading},
    sample::Sample,
};

#[path = "shared/imports.rs"]
mod imports;

/// The server's, since rows of few bytes are mostly what is allocated for them.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Bytes of a source that is read over and over: a few milliseconds, so that two that are compared meet the same.
const SOURCE_BYTES: usize = 512 << 10;

/// Rounds, of which the fastest counts.
const ROUNDS: usize = 75;

const PEOPLE: ImportType = ImportType::UserVerification;

/// Least ratio to the canonical rate.
const BAR: f64 = 0.5;

/// A source in segments, and the import it belongs to.
struct Source {
    import: Import,
    bytes: usize,
    cuts: Vec<Cut>,
}

impl Source {
    /// `text` is a header, if its format has one, and rows.
    fn new(mut import: Import, text: &str) -> Self {
        let format = import.format.expect("named");
        let header = if format == SourceFormat::Csv { text.find('\n').map_or(0, |end| end + 1) } else { 0 };
        let (header, rows) = text.split_at(header);
        let text = header.to_owned() + &rows.repeat(SOURCE_BYTES / rows.len() + 1);
        let mut cuts = Vec::new();
        let mut splitter = Splitter::new(format, b',', Limits::default());
        splitter.push(text.as_bytes(), &mut cuts).expect("rows");
        splitter.finish(&mut cuts).expect("rows");
        if let Some(header) = splitter.header() {
            import.columns = pipeline::read_header(header, b',').expect("columns");
        }
        Self { import, bytes: text.len(), cuts }
    }

    fn read(&self) -> Duration {
        let reading = Reading::of(&self.import).expect("a format");
        let began = Instant::now();
        for cut in &self.cuts {
            let rows = pipeline::parse(&reading, &cut.range, cut.bytes.clone(), &self.import.limits);
            black_box(pipeline::transform(&self.import, rows, clock::now()));
        }
        began.elapsed()
    }

    /// Megabytes a second of one reading.
    fn rate(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.read().as_secs_f64()
    }

    /// Prints its rate, and what that is of the canonical one.
    fn compare(&self, name: &str, base: &Self) {
        let rounds: Vec<_> = (0..ROUNDS).map(|_| (self.rate(), base.rate())).collect();
        let rate = fastest(rounds.iter().map(|(rate, _)| *rate));
        let ratio = rate / fastest(rounds.iter().map(|(_, base)| *base));
        let mark = if ratio < BAR { " under the bar" } else { "" };
        println!("{name:22} {rate:8.1} MB/s {ratio:6.2}{mark}");
    }
}

fn fastest(rates: impl Iterator<Item = f64>) -> f64 {
    rates.fold(0.0, f64::max)
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

fn canonical(import_type: ImportType, format: SourceFormat) -> String {
    let mut rows = Vec::new();
    let sample = Sample { import_type, format, rows: 10, seed: 1, invalid: 0.0, duplicate: 0.0 };
    sample.write(&mut rows).expect("memory");
    String::from_utf8(rows).expect("text")
}

/// A mapping of every member of canonical people that is a text.
fn mapping() -> Mapping {
    let rows = canonical(PEOPLE, SourceFormat::Ndjson);
    let row = rows.lines().next().expect("a row");
    let members: BTreeMap<String, serde_json::Value> = serde_json::from_str(row).expect("an object");
    let texts = members.into_iter().filter(|(_, value)| value.is_string());
    let field = |(name, _): (String, _)| FieldMapping {
        sources: vec![name.clone()],
        field: name,
        ..FieldMapping::default()
    };
    Mapping { fields: texts.map(field).collect(), lenient: false }
}

fn main() {
    let kinds = [
        (PEOPLE, SourceFormat::Ndjson),
        (PEOPLE, SourceFormat::Csv),
        (ImportType::BusinessVerification, SourceFormat::Ndjson),
        (ImportType::Transactions, SourceFormat::Ndjson),
    ];
    let mut bases = Vec::new();
    for (import_type, format) in kinds {
        let rows = canonical(import_type, format);
        let base = Source::new(imports::import("generic", import_type, format), &rows);
        let rate = fastest((0..ROUNDS).map(|_| base.rate()));
        println!("{:22} {rate:8.1} MB/s {}", import_type.as_str(), format.as_str());
        bases.push(base);
    }
    let base_of = |kind| &bases[kinds.iter().position(|one| *one == kind).expect("measured")];
    for format in [SourceFormat::Ndjson, SourceFormat::Csv] {
        let mut import = imports::import("generic", PEOPLE, format);
        import.spec.mapping = Some(mapping());
        let source = Source::new(import, &canonical(PEOPLE, format));
        source.compare(&format!("mapped {}", format.as_str()), base_of((PEOPLE, format)));
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/providers");
    let mut files: Vec<_> =
        std::fs::read_dir(&folder).expect("samples").map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    let only = std::env::args().skip(1).find(|name| !name.starts_with('-'));
    for path in files {
        let format = match path.extension().and_then(|ending| ending.to_str()) {
            Some("ndjson") => SourceFormat::Ndjson,
            Some("csv") => SourceFormat::Csv,
            _ => continue,
        };
        let file = path.file_stem().and_then(|name| name.to_str()).expect("a name");
        if only.as_ref().is_some_and(|only| !file.contains(only.as_str())) {
            continue;
        }
        let (provider, import_type) = belongs_to(file);
        let rows = std::fs::read_to_string(&path).expect("rows");
        let source = Source::new(imports::import(provider, import_type, format), &rows);
        source.compare(file, base_of((import_type, format)));
    }
}
