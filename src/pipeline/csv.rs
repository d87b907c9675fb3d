//! CSV records to rows.

use csv_async::{AsyncReader, AsyncReaderBuilder, ByteRecord};
use futures_util::FutureExt;
use memchr::memmem;
use tokio::io::{AsyncReadExt, Chain};

use super::{columns::Sheet, drafted, rows::Rows};
use crate::{
    adapters::{
        mapping::{Given, MappedSheet, Plan, Scratch},
        registry::NativeSheet,
    },
    canonical::{
        cell::Value,
        header::Header,
        schema::{Form, Schema},
    },
    domain::{
        fault::SourceFault,
        issue::{Issue, IssueCode},
    },
};

/// A reader over memory. It begins with a line end of ours: csv-core takes a byte order mark off the
/// first bytes it sees, and only the first bytes of the *file* may be one.
type Reader<'b> = AsyncReader<Chain<&'b [u8], &'b [u8]>>;

/// Bytes that come before the segment's own.
const LEAD: &[u8] = b"\n";

fn reader(bytes: &[u8], delimiter: u8) -> Reader<'_> {
    AsyncReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .buffer_capacity(256 << 10)
        .create_reader(LEAD.chain(bytes))
}

/// Reads the next record and tells which bytes it takes; reading memory never waits.
fn next_record(
    reader: &mut Reader<'_>,
    bytes: &[u8],
    record: &mut ByteRecord,
) -> Option<std::ops::Range<usize>> {
    let begun = reader.position().byte() as usize;
    match reader.read_byte_record(record).now_or_never() {
        Some(Ok(true)) => {}
        // Memory gives no I/O error, and a flexible byte reader knows no other.
        _ => return None,
    }
    let at = |position: usize| position.saturating_sub(LEAD.len());
    let blank = bytes[at(begun)..].iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
    let mut end = at(reader.position().byte() as usize);
    if end > 0 && bytes[end - 1] == b'\r' && bytes.get(end) == Some(&b'\n') {
        end += 1;
    }
    Some(at(begun) + blank..end)
}

/// Column names of a header record.
pub fn read_header(header: &[u8], delimiter: u8) -> Result<Vec<String>, SourceFault> {
    let mut record = ByteRecord::new();
    next_record(&mut reader(header, delimiter), header, &mut record).ok_or(SourceFault::Empty)?;
    let text = |cell: &[u8]| String::from_utf8(cell.to_vec()).map_err(|_| SourceFault::HeaderEncoding);
    record.iter().map(text).collect()
}

pub(super) fn parse(rows: &mut Rows, schema: &Schema, sheet: &Sheet, delimiter: u8) {
    let preamble = rows.range.preamble as usize;
    let bytes = rows.source.slice(preamble..);
    let mut reader = reader(&bytes, delimiter);
    let width = sheet.width();
    let (mut record, mut scratch) = (ByteRecord::with_capacity(1024, width), Scratch::default());
    while let Some(taken) = next_record(&mut reader, &bytes, &mut record) {
        rows.begin(preamble + taken.start, taken.len());
        match std::str::from_utf8(record.as_slice()) {
            Ok(text) => match sheet {
                Sheet::Canonical(header) => add_cells(rows, &record, text, schema, header),
                Sheet::Native(sheet) => read_native(rows, &record, text, schema, sheet),
                Sheet::Mapped(plan, sheet) => {
                    read_mapped(rows, &record, text, schema, (plan, sheet), &mut scratch);
                }
            },
            Err(_) => rows.refuse(not_utf8()),
        }
        if record.len() != width {
            let mut message = format!("the record has {} cells, and the header {width}", record.len());
            message += likely_cause(&bytes[taken], record.len() < width, delimiter);
            rows.refuse(Issue::of_record(IssueCode::ColumnCount, message));
        }
    }
}

/// The text of a cell; blank behind the last one, and nothing where the cell is broken. Two broken characters
/// side by side may look whole across a cell's edge.
fn cell<'t>(record: &ByteRecord, text: &'t str, column: usize) -> Option<&'t str> {
    record.range(column).map_or(Some(""), |range| text.get(range))
}

fn read_native(rows: &mut Rows, record: &ByteRecord, text: &str, schema: &Schema, sheet: &NativeSheet) {
    if !text.is_ascii() && sheet.columns().any(|column| cell(record, text, column).is_none()) {
        return rows.refuse(not_utf8());
    }
    let cell = |column| cell(record, text, column).unwrap_or_default();
    drafted::fill(rows, schema, true, |draft| Some(sheet.read(cell, draft).err().into_iter().collect()));
}

fn read_mapped(
    rows: &mut Rows,
    record: &ByteRecord,
    text: &str,
    schema: &Schema,
    (plan, sheet): (&Plan, &MappedSheet),
    scratch: &mut Scratch,
) {
    let columns = sheet.columns();
    if columns.iter().any(|column| cell(record, text, *column).is_none()) {
        return rows.refuse(not_utf8());
    }
    let found = |slot: usize| Given::text(cell(record, text, columns[slot]).unwrap_or_default());
    drafted::fill(rows, schema, plan.is_lenient(), |draft| Some(plan.write(found, scratch, draft)));
}

/// The cells in front of what is wrong are kept even of a bad record: they tell its key.
fn add_cells(rows: &mut Rows, record: &ByteRecord, text: &str, schema: &Schema, header: &Header) {
    let whole = rows.arena.push(text);
    for column in 0..record.len().min(header.len()) {
        let (Some(field), Some(range)) = (header.field(column), record.range(column)) else { continue };
        // Two broken characters side by side may look whole across a cell's edge.
        if !text.is_char_boundary(range.start) || !text.is_char_boundary(range.end) {
            return rows.refuse(not_utf8());
        }
        let cell = whole.part(range).trim(&rows.arena);
        if cell.is_empty() {
            continue;
        }
        rows.add(
            schema,
            field,
            match schema.spec(field).form {
                Form::Json => Value::EncodedJson(cell),
                Form::Text | Form::Any => Value::Text(cell),
            },
        );
    }
}

/// What a record of another number of cells most often comes of, if it looks like that.
fn likely_cause(record: &[u8], has_too_few: bool, delimiter: u8) -> &'static str {
    if has_too_few && !record.ends_with(b"\n") && !record.ends_with(b"\r") {
        "; it is the last one and its line does not end, so the file may have been cut off"
    } else if !has_too_few && memmem::find(record, &[delimiter, b' ', b'"']).is_some() {
        "; a quote opens a cell only at its very beginning, and here a blank stands before one"
    } else {
        ""
    }
}

fn not_utf8() -> Issue {
    Issue::of_record(
        IssueCode::Encoding,
        "the record is not UTF-8 text; if the file has another encoding, name it in the spec",
    )
}
