//! Tells format and CSV delimiter from a source's first line.

use super::splitter::BOM;
use crate::{
    domain::{
        fault::SourceFault,
        import::{ImportSpec, SourceFormat},
    },
    pipeline::Columns,
};

/// As much of a source as is looked at when its first line is longer.
pub(super) const SNIFF_BYTES: usize = 64 << 10;

/// Delimiters that are tried, the likeliest first.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// What a source is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dialect {
    pub(super) format: SourceFormat,
    pub(super) delimiter: u8,
}

/// Whether `start` is enough to sniff: the first line with something on it has ended.
pub(super) fn is_enough(start: &[u8]) -> bool {
    start.len() >= SNIFF_BYTES || first_line(start).1
}

/// Format that a file name tells.
pub fn format_of_name(name: &str) -> Option<SourceFormat> {
    let name = name.to_ascii_lowercase();
    let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
    match name.rsplit_once('.')?.1 {
        "csv" | "tsv" => Some(SourceFormat::Csv),
        "ndjson" | "jsonl" => Some(SourceFormat::Ndjson),
        _ => None,
    }
}

/// Sniffs a source by its beginning.
pub(super) fn sniff(start: &[u8], spec: &ImportSpec) -> Result<Dialect, SourceFault> {
    match start {
        [_, 0, ..] | [0, _, ..] => return Err(SourceFault::Encoding("UTF-16 without a byte order mark")),
        _ => {}
    }
    let (line, ended) = first_line(start);
    if line.is_empty() {
        return Err(SourceFault::Empty);
    }
    let columns = Columns::of(spec)?;
    let format =
        spec.source_format.or_else(|| format_of_name(&spec.source_filename)).or_else(|| match line[0] {
            b'{' | b'[' => Some(SourceFormat::Ndjson),
            _ => delimiter(line, &columns).map(|_| SourceFormat::Csv),
        });
    match format.ok_or(SourceFault::UnknownFormat)? {
        SourceFormat::Ndjson if line[0] == b'[' => Err(SourceFault::NotNdjson("a JSON array")),
        SourceFormat::Ndjson if line == b"{" && ended => {
            Err(SourceFault::NotNdjson("JSON spread over several lines"))
        }
        SourceFormat::Ndjson => Ok(Dialect { format: SourceFormat::Ndjson, delimiter: b',' }),
        SourceFormat::Csv => Ok(Dialect {
            format: SourceFormat::Csv,
            delimiter: spec.csv_delimiter.or_else(|| delimiter(line, &columns)).unwrap_or(DELIMITERS[0]),
        }),
    }
}

/// The first line with something on it, trimmed, and whether its end was seen.
fn first_line(start: &[u8]) -> (&[u8], bool) {
    let text = start.strip_prefix(BOM).unwrap_or(start).trim_ascii_start();
    match memchr::memchr2(b'\n', b'\r', text) {
        Some(end) => (text[..end].trim_ascii_end(), true),
        None => (text.trim_ascii_end(), false),
    }
}

/// The delimiter under which a header line names most columns that are known, those among them that it must.
fn delimiter(line: &[u8], columns: &Columns) -> Option<u8> {
    let known = |delimiter: u8| {
        let cells = line.split(|byte| *byte == delimiter);
        let names: Vec<_> =
            cells.filter_map(|cell| Some(std::str::from_utf8(cell).ok()?.trim().trim_matches('"'))).collect();
        columns.known(&names)
    };
    // `max_by_key` keeps the last of equals, so the likeliest delimiter is asked last.
    DELIMITERS.into_iter().rev().filter_map(|d| Some((known(d)?, d))).max_by_key(|(n, _)| *n).map(|(_, d)| d)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::import::ImportType;

    #[test]
    fn delimiters_and_names() {
        let columns = Columns::canonical(ImportType::UserVerification);
        for (line, found) in [
            ("external_id,status", Some(b',')),
            ("\"external_id\";\"status, old\";first_name", Some(b';')),
            ("status\texternal_id", Some(b'\t')),
            ("EXTERNAL_ID", Some(b',')),
            ("id,status", None),
        ] {
            assert_eq!(delimiter(line.as_bytes(), &columns), found, "{line}");
        }
        assert_eq!(format_of_name("Export.CSV.gz"), Some(SourceFormat::Csv));
        assert_eq!(format_of_name("x.jsonl"), Some(SourceFormat::Ndjson));
        assert_eq!(format_of_name("csv"), None);
    }
}
