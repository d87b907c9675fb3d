//! For any file and any chunking: split + parse gives what parsing the whole gives.

use bytes::Bytes;
use carryover::{
    canonical::{header::Header, schema::FieldId, user_verification::USER_VERIFICATION},
    domain::{fault::SourceFault, import::SourceFormat, limits::Limits, segment::SegmentKind},
    intake::splitter::{Cut, Splitter},
    pipeline::{self, Reading},
};
use proptest::{collection::vec, prelude::*, sample::select};

/// A record of a source, found by a reader that knows nothing of segments.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub row: i64,
    pub offset: i64,
    pub bytes: Vec<u8>,
    /// Its cells without the blanks around them; those of CSV only.
    pub cells: Vec<String>,
}

const HEADER: &str = "external_id,b\r\n";

/// Pieces that CSV files are made of; line ends, quotes and delimiters in every company.
pub const PIECES: [&str; 17] = [
    "a",
    "é",
    "😀",
    ",",
    ",",
    "\n",
    "\n",
    "\r\n",
    "\r",
    "\"x\"",
    "\"a\nb\"",
    "\"a\"\"b\r\n\"",
    "\"\"",
    "b\"c",
    " ",
    "\n\n",
    "\0",
];

fn csv_file() -> impl Strategy<Value = Vec<u8>> {
    (any::<bool>(), vec(select(&PIECES[..]), 0..120)).prop_map(|(bom, pieces)| {
        let bom = if bom { "\u{feff}" } else { "" };
        format!("{bom}{HEADER}{}", pieces.concat()).into_bytes()
    })
}

fn ndjson_file() -> impl Strategy<Value = Vec<u8>> {
    let piece =
        select(vec!["{\"external_id\":\"a\"}", "{}", "\n", "\n", "\r\n", " ", "é", "[1]", "\"", "\r"]);
    vec(piece, 1..120).prop_map(|pieces| pieces.concat().into_bytes())
}

/// Sizes of the chunks a file arrives in, used round and round.
fn chunking() -> impl Strategy<Value = Vec<usize>> {
    vec(1..40_usize, 1..6)
}

fn limits(segment_rows: usize, segment_bytes: usize, row_bytes: usize) -> Limits {
    Limits { segment_rows, segment_bytes, row_bytes, ..Limits::default() }
}

/// Splits a file that arrives in chunks; what could be cut, and why it ended early.
fn split(
    format: SourceFormat,
    file: &[u8],
    chunks: &[usize],
    limits: Limits,
) -> (Vec<Cut>, Option<SourceFault>) {
    let mut splitter = Splitter::new(format, b',', limits);
    let mut cuts = Vec::new();
    let mut rest = file;
    let mut sizes = chunks.iter().cycle();
    while !rest.is_empty() {
        let (chunk, more) = rest.split_at((*sizes.next().expect("endless")).min(rest.len()));
        if let Err(fault) = splitter.push(chunk, &mut cuts) {
            return (cuts, Some(fault));
        }
        rest = more;
    }
    let fault = splitter.finish(&mut cuts).err();
    (cuts, fault)
}

fn reading(format: SourceFormat) -> Reading {
    let schema = &USER_VERIFICATION;
    match format {
        SourceFormat::Csv => {
            // A column for each field, so that cells of any number are kept.
            let columns: Vec<_> = schema.fields.iter().map(|field| field.column.to_owned()).collect();
            Reading::csv(schema, Header::resolve(&columns, schema, 100).expect("a header"), b',')
        }
        SourceFormat::Ndjson => Reading::ndjson(schema),
    }
}

/// What the segments hold, record by record.
fn records(format: SourceFormat, cuts: &[Cut]) -> Vec<Record> {
    let mut records = Vec::new();
    for cut in cuts {
        let rows = pipeline::parse(&reading(format), &cut.range, cut.bytes.clone(), &Limits::default());
        assert_eq!(rows.len() as i32, cut.range.rows, "the splitter and the parser see the same records");
        for row in 0..rows.len() {
            let (offset, bytes) = rows.location(row);
            let cell = |column| rows.find(row, FieldId(column as u8)).unwrap_or_default().to_owned();
            let columns = if format == SourceFormat::Csv { USER_VERIFICATION.fields.len() } else { 0 };
            records.push(Record {
                row: cut.range.first_row + row as i64,
                offset,
                bytes: bytes.to_vec(),
                cells: known((0..columns).map(cell).collect()),
            });
        }
    }
    records
}

/// Cells as they can be compared: as many as there are fields, none of the blank ones at the end.
fn known(mut cells: Vec<String>) -> Vec<String> {
    cells.truncate(USER_VERIFICATION.fields.len());
    let last = cells.iter().rposition(|cell| !cell.is_empty());
    cells.truncate(last.map_or(0, |last| last + 1));
    cells
}

/// Line on which a byte stands, counted from the beginning.
pub fn line_at(file: &[u8], at: usize) -> u64 {
    let mut line = 1;
    for position in 0..at {
        let lone_cr = file[position] == b'\r' && file.get(position + 1) != Some(&b'\n');
        line += u64::from(file[position] == b'\n' || lone_cr);
    }
    line
}

/// RFC 4180 with quotes inside cells taken literally, byte by byte; `None` for a quote never closed.
pub fn csv_records(file: &[u8]) -> Option<Vec<Record>> {
    #[derive(PartialEq)]
    enum At {
        Start,
        Plain,
        Quoted,
        Closing,
    }
    let mut records = Vec::new();
    let mut position = if file.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    while position < file.len() {
        if matches!(file[position], b'\n' | b'\r') {
            position += 1;
            continue;
        }
        let begin = position;
        let (mut at, mut cells) = (At::Start, vec![Vec::new()]);
        while let Some(byte) = file.get(position) {
            if at != At::Quoted && matches!(byte, b'\n' | b'\r') {
                break;
            }
            let (next, kept) = match (at, byte) {
                (At::Start, b'"') => (At::Quoted, false),
                (At::Closing, b'"') => (At::Quoted, true),
                (At::Quoted, b'"') => (At::Closing, false),
                (At::Quoted, _) => (At::Quoted, true),
                (_, b',') => (At::Start, false),
                _ => (At::Plain, true),
            };
            match (&next, kept) {
                (_, true) => cells.last_mut().expect("a cell").push(*byte),
                (At::Start, _) => cells.push(Vec::new()),
                _ => {}
            }
            at = next;
            position += 1;
        }
        if at == At::Quoted {
            return None;
        }
        let end = match file.get(position..) {
            Some([b'\r', b'\n', ..]) => position + 2,
            Some([_, ..]) => position + 1,
            _ => position,
        };
        let cells = cells.iter().map(|cell| String::from_utf8_lossy(cell).trim().to_owned());
        records.push((begin, end, known(cells.collect())));
        position = end;
    }
    // The first one is the header.
    Some(numbered(file, records.into_iter().skip(1)))
}

pub fn ndjson_records(file: &[u8]) -> Vec<Record> {
    let mut begin = 0;
    let lines = file.split_inclusive(|byte| *byte == b'\n').map(|line| {
        begin += line.len();
        (begin - line.len(), begin, Vec::new())
    });
    let records: Vec<_> =
        lines.filter(|(begin, end, _)| !file[*begin..*end].trim_ascii().is_empty()).collect();
    numbered(file, records.into_iter())
}

fn numbered(file: &[u8], records: impl Iterator<Item = (usize, usize, Vec<String>)>) -> Vec<Record> {
    records
        .zip(1..)
        .map(|((begin, end, cells), row)| Record {
            row,
            offset: begin as i64,
            bytes: file[begin..end].to_vec(),
            cells,
        })
        .collect()
}

/// Segments lie side by side from the first byte to the last, in rows as in bytes, lines and checksums.
fn assert_tiles(file: &[u8], cuts: &[Cut]) {
    let (mut offset, mut row) = (0, 1);
    for (seq, cut) in cuts.iter().enumerate() {
        let range = &cut.range;
        assert_eq!((range.seq, range.byte_offset, range.first_row), (seq as i32, offset, row));
        assert_eq!(range.bytes as usize, cut.bytes.len());
        assert_eq!(cut.bytes, Bytes::copy_from_slice(&file[offset as usize..range.byte_end() as usize]));
        assert_eq!(range.crc32c, crc32c::crc32c(&cut.bytes));
        // A piece of an oversized record may begin inside a CRLF, which no line begins with.
        if range.kind != SegmentKind::OversizedRest {
            assert_eq!(range.first_line as u64, line_at(file, offset as usize));
        }
        offset = range.byte_end();
        row += i64::from(range.rows);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn csv_is_split_as_the_whole_is_read(file in csv_file(), chunks in chunking(), rows in 1..6_usize, bytes in 60..300_usize) {
        let (cuts, fault) = split(SourceFormat::Csv, &file, &chunks, limits(rows, bytes, bytes));
        assert_tiles(&file, &cuts);
        match csv_records(&file) {
            None => prop_assert!(fault.is_some()),
            Some(expected) if expected.iter().all(|record| record.bytes.len() <= bytes) => {
                prop_assert_eq!(fault, None);
                prop_assert_eq!(records(SourceFormat::Csv, &cuts), expected);
                prop_assert_eq!(cuts.last().map_or(0, |cut| cut.range.byte_end()) as usize, file.len());
            }
            Some(_) => {}
        }
    }

    #[test]
    fn ndjson_is_split_as_the_whole_is_read(file in ndjson_file(), chunks in chunking(), rows in 1..6_usize, bytes in 60..300_usize) {
        let (cuts, fault) = split(SourceFormat::Ndjson, &file, &chunks, limits(rows, bytes, bytes));
        assert_tiles(&file, &cuts);
        let expected = ndjson_records(&file);
        if expected.iter().all(|record| record.bytes.len() <= bytes) {
            prop_assert_eq!(fault, None);
            prop_assert_eq!(records(SourceFormat::Ndjson, &cuts), expected);
        }
    }

    #[test]
    fn records_of_any_size_keep_their_numbers(file in csv_file(), chunks in chunking(), row_bytes in 15..40_usize) {
        let (cuts, fault) = split(SourceFormat::Csv, &file, &chunks, limits(3, 60, row_bytes));
        assert_tiles(&file, &cuts);
        if let (None, Some(expected)) = (fault, csv_records(&file)) {
            let total: i32 = cuts.iter().map(|cut| cut.range.rows).sum();
            prop_assert_eq!(total as usize, expected.len());
            for cut in cuts.iter().filter(|cut| cut.range.kind == SegmentKind::OversizedRecord) {
                let record = &expected[cut.range.first_row as usize - 1];
                prop_assert!(record.bytes.len() > row_bytes);
                // Blank lines before it may have joined the piece.
                prop_assert!(cut.range.byte_offset <= record.offset && record.offset < cut.range.byte_end());
            }
            let large = expected.iter().filter(|record| record.bytes.len() > row_bytes).count();
            let found = cuts.iter().filter(|cut| cut.range.kind == SegmentKind::OversizedRecord).count();
            prop_assert_eq!(found, large);
        }
    }

    #[test]
    fn chunks_never_move_a_cut(file in csv_file(), one in chunking(), other in chunking(), rows in 1..6_usize) {
        let split = |chunks: &[usize]| {
            let (cuts, fault) = split(SourceFormat::Csv, &file, chunks, limits(rows, 80, 30));
            (cuts.into_iter().map(|cut| cut.range).collect::<Vec<_>>(), fault)
        };
        prop_assert_eq!(split(&one), split(&other));
    }

    #[test]
    fn a_splitter_resumes_behind_any_whole_segment(file in csv_file(), chunks in chunking(), rows in 1..6_usize, at in any::<prop::sample::Index>()) {
        let limits = limits(rows, 80, 30);
        let (cuts, fault) = split(SourceFormat::Csv, &file, &chunks, limits);
        let whole: Vec<_> = cuts.iter().filter(|cut| cut.range.kind == SegmentKind::Records).collect();
        if fault.is_none() && !whole.is_empty() {
            let last = whole[at.index(whole.len())];
            let mut resumed = Vec::new();
            let mut splitter = Splitter::resume(SourceFormat::Csv, b',', limits, last);
            for chunk in file[last.range.byte_end() as usize..].chunks(chunks[0]) {
                splitter.push(chunk, &mut resumed).expect("no fault");
            }
            splitter.finish(&mut resumed).expect("no fault");
            let ranges = |cuts: &[Cut]| cuts.iter().map(|cut| cut.range).collect::<Vec<_>>();
            prop_assert_eq!(ranges(&resumed), ranges(&cuts[last.range.seq as usize + 1..]));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(tail in vec(any::<u8>(), 0..400), chunks in chunking()) {
        for (format, head) in [(SourceFormat::Csv, HEADER), (SourceFormat::Ndjson, "")] {
            let file = [head.as_bytes(), &tail].concat();
            let (cuts, _) = split(format, &file, &chunks, limits(4, 100, 50));
            assert_tiles(&file, &cuts);
            for cut in &cuts {
                pipeline::parse(&reading(format), &cut.range, cut.bytes.clone(), &limits(4, 100, 50));
            }
        }
    }
}
