//! What a segment costs before it reaches the database: `cargo bench`.
//!
//! Each figure is the throughput over the bytes of one segment of 10,000 rows, so that CSV and NDJSON of
//! the same records can be compared, and each stage with the one before it.

#![expect(clippy::expect_used, reason = "a bench that cannot begin should say so")]

use bytes::Bytes;
use carryover::{
    clock,
    domain::{
        import::{Import, ImportType, SourceFormat},
        limits::Limits,
        segment::SegmentRange,
    },
    intake::splitter::Splitter,
    pipeline::{self, Reading},
    sample::Sample,
};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

#[path = "shared/imports.rs"]
mod imports;

/// A segment of a synthetic source, and the import it belongs to.
struct Segment {
    import: Import,
    range: SegmentRange,
    bytes: Bytes,
}

fn segment(format: SourceFormat) -> Segment {
    let mut source = Vec::new();
    let rows = Limits::default().segment_rows as u64;
    let import_type = ImportType::UserVerification;
    let sample = Sample { import_type, format, rows, seed: 1, invalid: 0.0, duplicate: 0.0 };
    sample.write(&mut source).expect("memory");
    // Larger than usual, so that both formats give one segment of equally many rows.
    let limits = Limits { segment_bytes: 64 << 20, ..Limits::default() };
    let mut cuts = Vec::new();
    let mut splitter = Splitter::new(format, b',', limits);
    splitter.push(&source, &mut cuts).expect("good");
    splitter.finish(&mut cuts).expect("good");
    let columns = match splitter.header() {
        Some(header) => pipeline::read_header(header, b',').expect("good"),
        None => Vec::new(),
    };
    let cut = cuts.swap_remove(0);
    Segment {
        import: Import { columns, ..imports::import("generic", import_type, format) },
        range: cut.range,
        bytes: cut.bytes,
    }
}

fn stages(c: &mut Criterion) {
    for format in [SourceFormat::Csv, SourceFormat::Ndjson] {
        let Segment { import, range, bytes } = segment(format);
        let reading = Reading::of(&import).expect("a header");
        let limits = Limits::default();
        let mut group = c.benchmark_group(format.as_str());
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function("split", |b| {
            b.iter(|| {
                let mut cuts = Vec::new();
                let mut splitter = Splitter::new(format, b',', Limits::default());
                for chunk in bytes.chunks(256 << 10) {
                    splitter.push(chunk, &mut cuts).expect("good");
                }
                splitter.finish(&mut cuts).expect("good");
                cuts
            });
        });
        group.bench_function("parse", |b| {
            b.iter(|| pipeline::parse(&reading, &range, bytes.clone(), &limits));
        });
        group.bench_function("transform", |b| {
            b.iter_batched(
                || pipeline::parse(&reading, &range, bytes.clone(), &limits),
                |rows| pipeline::transform(&import, rows, clock::now()),
                BatchSize::LargeInput,
            );
        });
        group.finish();
    }
}

criterion_group!(benches, stages);
criterion_main!(benches);
