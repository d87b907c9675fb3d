//! Cuts a decoded source into segments of whole records. Pure and deterministic: where it cuts
//! depends on the bytes alone, never on how they arrive.

use bytes::{Bytes, BytesMut};

use super::{
    line_ends::LineEndNotes,
    scanner::{Event, Scanner},
};
use crate::domain::{
    fault::SourceFault,
    import::SourceFormat,
    limits::Limits,
    lines::{LineCounter, LineEnds},
    segment::{SegmentKind, SegmentRange},
};

/// UTF-8 byte order mark.
pub const BOM: &[u8] = b"\xef\xbb\xbf";

/// A segment and its bytes.
#[derive(Debug, Clone)]
pub struct Cut {
    /// Where it stands in the source.
    pub range: SegmentRange,
    /// Its bytes.
    pub bytes: Bytes,
    /// How its lines end.
    pub line_ends: LineEnds,
}

/// Where the records of a segment of whole records stand in it, in row order.
pub fn record_spans(
    format: SourceFormat,
    delimiter: u8,
    range: &SegmentRange,
    bytes: &[u8],
) -> Vec<std::ops::Range<usize>> {
    let mut scanner = match format {
        SourceFormat::Csv => Scanner::csv(delimiter),
        SourceFormat::Ndjson => Scanner::ndjson(),
    };
    let mut spans = Vec::with_capacity(range.rows as usize);
    let mut at = range.preamble as usize;
    while let Some((length, event)) = scanner.scan(&bytes[at..]) {
        if event == Event::Record {
            spans.push(at..at + length);
        }
        at += length;
    }
    if at < bytes.len() && scanner.is_inside_record() {
        spans.push(at..bytes.len());
    }
    spans
}

/// Cuts one source.
#[derive(Debug)]
pub struct Splitter {
    scanner: Scanner,
    limits: Limits,
    /// Bytes from the beginning of the open segment on.
    buffer: BytesMut,
    /// Bytes of the buffer the scanner has seen.
    scanned: usize,
    /// Bytes of the buffer up to the end of its last whole record.
    whole: usize,
    /// Whole records in the buffer.
    rows: i32,
    /// Bytes of the buffer that are BOM and header.
    preamble: usize,
    /// Where the open segment begins.
    seq: i32,
    first_row: i64,
    byte_offset: i64,
    lines: LineCounter,
    ends: LineEndNotes,
    /// The BOM has been looked for.
    begun: bool,
    /// The next record is the header.
    header_due: bool,
    header: Option<Bytes>,
    /// The open record is larger than a row may be; how many of its pieces are cut.
    oversized: Option<u32>,
}

impl Splitter {
    /// A splitter for a source from its beginning.
    pub fn new(format: SourceFormat, delimiter: u8, limits: Limits) -> Self {
        Self {
            scanner: match format {
                SourceFormat::Csv => Scanner::csv(delimiter),
                SourceFormat::Ndjson => Scanner::ndjson(),
            },
            limits,
            buffer: BytesMut::new(),
            scanned: 0,
            whole: 0,
            rows: 0,
            preamble: 0,
            seq: 0,
            first_row: 1,
            byte_offset: 0,
            lines: LineCounter::at(1),
            ends: LineEndNotes::new(format),
            begun: false,
            header_due: format == SourceFormat::Csv,
            header: None,
            oversized: None,
        }
    }

    /// A splitter that goes on behind a segment of whole records.
    pub fn resume(format: SourceFormat, delimiter: u8, limits: Limits, last: &Cut) -> Self {
        let mut lines = LineCounter::at(last.range.first_line as u64);
        lines.advance(&last.bytes);
        Self {
            seq: last.range.seq + 1,
            first_row: last.range.last_row() + 1,
            byte_offset: last.range.byte_end(),
            lines,
            begun: true,
            header_due: false,
            ..Self::new(format, delimiter, limits)
        }
    }

    /// The header record of a CSV source with its line end, once it is complete.
    pub fn header(&self) -> Option<&Bytes> {
        self.header.as_ref()
    }

    /// Takes the next bytes; appends what can be cut to `cuts`.
    pub fn push(&mut self, bytes: &[u8], cuts: &mut Vec<Cut>) -> Result<(), SourceFault> {
        self.buffer.extend_from_slice(bytes);
        if !self.begun {
            if self.buffer.len() < BOM.len() && BOM.starts_with(&self.buffer) {
                return Ok(());
            }
            self.begin();
        }
        self.scan(cuts)
    }

    fn begin(&mut self) {
        self.begun = true;
        if self.buffer.starts_with(BOM) {
            self.preamble = BOM.len();
            self.scanned = BOM.len();
            self.whole = BOM.len();
        }
    }

    fn scan(&mut self, cuts: &mut Vec<Cut>) -> Result<(), SourceFault> {
        while let Some((length, event)) = self.scanner.scan(&self.buffer[self.scanned..]) {
            let from = self.scanned;
            self.scanned += length;
            match event {
                Event::Blank => {
                    self.ends.blank(&self.buffer[from..self.scanned]);
                    self.blank_ended(cuts);
                }
                Event::Record if self.header_due => self.header_ended()?,
                Event::Record => self.record_ended(cuts)?,
            }
        }
        self.scanned = self.buffer.len();
        if self.scanned - self.whole > self.limits.row_bytes {
            if self.header_due {
                return Err(SourceFault::HeaderTooLarge { limit: self.limits.row_bytes });
            }
            self.oversize(cuts)?;
        }
        Ok(())
    }

    fn header_ended(&mut self) -> Result<(), SourceFault> {
        if self.scanned - self.whole > self.limits.row_bytes {
            return Err(SourceFault::HeaderTooLarge { limit: self.limits.row_bytes });
        }
        self.header_due = false;
        self.ends.record(&self.buffer[self.whole..self.scanned]);
        self.header = Some(Bytes::copy_from_slice(&self.buffer[self.whole..self.scanned]));
        self.whole = self.scanned;
        self.preamble = self.scanned;
        Ok(())
    }

    /// Blank lines join the open segment piece by piece, so that a gigabyte of them is no record.
    fn blank_ended(&mut self, cuts: &mut Vec<Cut>) {
        self.whole = self.scanned;
        if self.header_due {
            self.preamble = self.whole;
        }
        // Strictly more, so that the byte behind the cut is known and no CRLF is torn.
        while self.whole > self.limits.segment_bytes && !self.header_due {
            let (whole, mut at) = (self.whole, self.limits.segment_bytes);
            if self.buffer[at - 1] == b'\r' && self.buffer[at] == b'\n' {
                at -= 1;
            }
            self.whole = at;
            self.cut(SegmentKind::Records, self.rows, cuts);
            self.whole = whole - at;
        }
    }

    fn record_ended(&mut self, cuts: &mut Vec<Cut>) -> Result<(), SourceFault> {
        if self.scanned - self.whole > self.limits.row_bytes || self.oversized.is_some() {
            return self.oversized_ended(cuts);
        }
        if self.scanned > self.limits.segment_bytes && self.whole > 0 {
            self.cut(SegmentKind::Records, self.rows, cuts);
        }
        self.count_row()?;
        self.ends.record(&self.buffer[self.whole..self.scanned]);
        self.whole = self.scanned;
        self.rows += 1;
        if self.rows as usize == self.limits.segment_rows || self.whole == self.limits.segment_bytes {
            self.cut(SegmentKind::Records, self.rows, cuts);
        }
        Ok(())
    }

    /// A record has grown past the limit: what stands before it is cut, then the record itself in
    /// pieces of segment size, so that it is kept but never held.
    fn oversize(&mut self, cuts: &mut Vec<Cut>) -> Result<(), SourceFault> {
        if self.oversized.is_none() {
            if self.whole > 0 {
                self.cut(SegmentKind::Records, self.rows, cuts);
            }
            self.count_row()?;
            self.oversized = Some(0);
        }
        while self.buffer.len() >= self.limits.segment_bytes {
            self.cut_oversized(self.limits.segment_bytes, cuts);
        }
        Ok(())
    }

    fn oversized_ended(&mut self, cuts: &mut Vec<Cut>) -> Result<(), SourceFault> {
        self.ends.record(&self.buffer[..self.scanned]);
        let tail = self.buffer.split_off(self.scanned);
        self.oversize(cuts)?;
        if !self.buffer.is_empty() {
            self.cut_oversized(self.buffer.len(), cuts);
        }
        self.oversized = None;
        self.buffer.unsplit(tail);
        Ok(())
    }

    fn cut_oversized(&mut self, bytes: usize, cuts: &mut Vec<Cut>) {
        let pieces = self.oversized.get_or_insert(0);
        let (kind, rows) = match *pieces {
            0 => (SegmentKind::OversizedRecord, 1),
            _ => (SegmentKind::OversizedRest, 0),
        };
        *pieces += 1;
        self.whole = bytes;
        self.cut(kind, rows, cuts);
    }

    fn count_row(&self) -> Result<(), SourceFault> {
        let limit = self.limits.rows;
        if (self.first_row + i64::from(self.rows)) as u64 > limit {
            return Err(SourceFault::TooManyRows { limit });
        }
        Ok(())
    }

    /// Cuts the first `whole` bytes off as a segment.
    fn cut(&mut self, kind: SegmentKind, rows: i32, cuts: &mut Vec<Cut>) {
        let bytes = self.buffer.split_to(self.whole).freeze();
        cuts.push(Cut {
            range: SegmentRange {
                seq: self.seq,
                kind,
                first_row: self.first_row,
                rows,
                byte_offset: self.byte_offset,
                bytes: bytes.len() as i32,
                preamble: self.preamble as i32,
                first_line: self.lines.line() as i64,
                crc32c: crc32c::crc32c(&bytes),
                revision: 0,
            },
            line_ends: self.ends.cut(bytes.last().copied()),
            bytes: bytes.clone(),
        });
        self.lines.advance(&bytes);
        self.scanned = self.scanned.saturating_sub(self.whole);
        self.byte_offset += bytes.len() as i64;
        self.first_row += i64::from(rows);
        self.seq += 1;
        (self.whole, self.rows, self.preamble) = (0, 0, 0);
    }

    /// Ends the source. Whole records before a fault are still cut.
    pub fn finish(&mut self, cuts: &mut Vec<Cut>) -> Result<(), SourceFault> {
        let ended = self.end_last_record(cuts);
        self.ends.close();
        if ended.is_ok() {
            self.whole = self.buffer.len();
        }
        self.cut_whole(cuts);
        ended
    }

    fn end_last_record(&mut self, cuts: &mut Vec<Cut>) -> Result<(), SourceFault> {
        if !self.begun {
            self.begin();
        }
        if self.scanner.is_inside_quotes() {
            let mut lines = self.lines;
            lines.advance(&self.buffer[..self.whole]);
            return Err(SourceFault::UnterminatedQuote { line: lines.line() });
        }
        self.scanned = self.buffer.len();
        if self.scanner.is_inside_record() {
            if self.header_due {
                self.header_ended()?;
            } else {
                self.record_ended(cuts)?;
            }
        }
        let nothing = self.seq == 0 && self.header.is_none() && self.buffer.len() == self.preamble;
        if self.header_due || nothing { Err(SourceFault::Empty) } else { Ok(()) }
    }

    /// Cuts the whole records that are held, as the last segment before a fault or the end.
    pub fn cut_whole(&mut self, cuts: &mut Vec<Cut>) {
        if self.whole > 0 && !self.header_due && self.oversized.is_none() {
            self.cut(SegmentKind::Records, self.rows, cuts);
        }
    }
}
