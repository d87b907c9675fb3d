//! Where records end. Agrees with csv-async and with "one JSON object a line" byte for byte.

/// What a scanner came to the end of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// A record; its terminator is passed.
    Record,
    /// Blank lines between records.
    Blank,
}

/// Finds record ends in bytes that come in any pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scanner {
    Csv { delimiter: u8, state: CsvState },
    Ndjson { content: bool },
}

/// Where a CSV scanner stands. The transitions are RFC 4180 as csv-core reads it: a quote opens a
/// quoted cell only as the cell's first character, and text behind a closing quote is plain text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CsvState {
    RecordStart,
    CellStart,
    Plain,
    Quoted,
    /// Behind a quote inside a quoted cell: the end of the cell, or half of a doubled quote.
    QuoteInQuoted,
    /// Behind a carriage return that ended a record; a newline still belongs to it.
    CarriageReturn,
}

impl Scanner {
    pub(super) fn csv(delimiter: u8) -> Self {
        Self::Csv { delimiter, state: CsvState::RecordStart }
    }

    pub(super) fn ndjson() -> Self {
        Self::Ndjson { content: false }
    }

    /// Reads on until something ends; `None` when all of `bytes` is read and nothing did.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Option<(usize, Event)> {
        match self {
            Self::Csv { delimiter, state } => scan_csv(*delimiter, state, bytes),
            Self::Ndjson { content } => scan_ndjson(content, bytes),
        }
    }

    /// Whether a record has begun and not ended.
    pub(super) fn is_inside_record(&self) -> bool {
        match self {
            Self::Csv { state, .. } => *state != CsvState::RecordStart,
            Self::Ndjson { content } => *content,
        }
    }

    /// Whether a quoted cell is open.
    pub(super) fn is_inside_quotes(&self) -> bool {
        matches!(self, Self::Csv { state: CsvState::Quoted, .. })
    }
}

fn scan_csv(delimiter: u8, state: &mut CsvState, bytes: &[u8]) -> Option<(usize, Event)> {
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        *state = match *state {
            CsvState::RecordStart if matches!(byte, b'\n' | b'\r') => {
                let blank = bytes[at..].iter().take_while(|b| matches!(b, b'\n' | b'\r')).count();
                return Some((at + blank, Event::Blank));
            }
            CsvState::CarriageReturn => {
                *state = CsvState::RecordStart;
                return Some((at + usize::from(byte == b'\n'), Event::Record));
            }
            CsvState::Quoted => match memchr::memchr(b'"', &bytes[at..]) {
                None => return None,
                Some(run) => {
                    at += run;
                    CsvState::QuoteInQuoted
                }
            },
            CsvState::QuoteInQuoted if byte == b'"' => CsvState::Quoted,
            begun => {
                let at_cell_start = matches!(begun, CsvState::RecordStart | CsvState::CellStart);
                let Some(run) = memchr::memchr3(b'"', b'\n', b'\r', &bytes[at..]) else {
                    let ends_cell = bytes[bytes.len() - 1] == delimiter;
                    *state = if ends_cell { CsvState::CellStart } else { CsvState::Plain };
                    return None;
                };
                at += run;
                match bytes[at] {
                    b'\n' => {
                        *state = CsvState::RecordStart;
                        return Some((at + 1, Event::Record));
                    }
                    b'\r' => CsvState::CarriageReturn,
                    _ if run == 0 && at_cell_start => CsvState::Quoted,
                    _ if run > 0 && bytes[at - 1] == delimiter => CsvState::Quoted,
                    _ => CsvState::Plain,
                }
            }
        };
        at += 1;
    }
    None
}

fn scan_ndjson(content: &mut bool, bytes: &[u8]) -> Option<(usize, Event)> {
    let end = memchr::memchr(b'\n', bytes);
    let line = &bytes[..end.unwrap_or(bytes.len())];
    *content = *content || line.iter().any(|byte| !matches!(byte, b' ' | b'\t' | b'\r'));
    let end = end? + 1;
    let event = if std::mem::take(content) { Event::Record } else { Event::Blank };
    Some((end, event))
}
