//! Which line ends stand between the records of a source. Those inside quoted cells are text and do not
//! count, and so only a splitter can tell.

use crate::domain::{import::SourceFormat, lines::LineEnds};

/// Notes line ends as they are met.
#[derive(Debug)]
pub(super) struct LineEndNotes {
    format: SourceFormat,
    /// Since the last cut.
    noted: LineEnds,
    /// The blank lines met last end with a carriage return, whose newline may yet come.
    open_cr: bool,
    /// The last byte before what the splitter holds.
    before: Option<u8>,
}

impl LineEndNotes {
    pub(super) fn new(format: SourceFormat) -> Self {
        Self { format, noted: LineEnds::default(), open_cr: false, before: None }
    }

    /// A record has ended with these bytes, of which the last two tell how.
    pub(super) fn record(&mut self, bytes: &[u8]) {
        self.close();
        let (last, rest) = match bytes {
            [rest @ .., last] => (Some(*last), rest),
            [] => (self.before, bytes),
        };
        let second = rest.last().copied().or(self.before);
        match (last, second, self.format) {
            (Some(b'\n'), Some(b'\r'), _) => self.noted.add(LineEnds::CRLF),
            (Some(b'\n'), ..) => self.noted.add(LineEnds::LF),
            (Some(b'\r'), _, SourceFormat::Csv) => self.noted.add(LineEnds::CR),
            // The last line of a source need not end.
            _ => {}
        }
    }

    /// Blank lines have been passed.
    pub(super) fn blank(&mut self, bytes: &[u8]) {
        if self.format == SourceFormat::Ndjson {
            // One line, which may hold blanks.
            return self.record(bytes);
        }
        for byte in bytes {
            match byte {
                b'\n' if self.open_cr => {
                    self.open_cr = false;
                    self.noted.add(LineEnds::CRLF);
                }
                b'\n' => self.noted.add(LineEnds::LF),
                _ => {
                    self.close();
                    self.open_cr = true;
                }
            }
        }
    }

    /// No newline follows the last carriage return any more.
    pub(super) fn close(&mut self) {
        if std::mem::take(&mut self.open_cr) {
            self.noted.add(LineEnds::CR);
        }
    }

    /// What was noted for a segment that is cut, which ends with `last`.
    pub(super) fn cut(&mut self, last: Option<u8>) -> LineEnds {
        self.before = last;
        std::mem::take(&mut self.noted)
    }
}
