//! Physical lines: `\n`, `\r\n` and a lone `\r` each end one.

/// Kinds of line ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LineEnds(u8);

impl LineEnds {
    /// `\n`.
    pub const LF: Self = Self(1);
    /// `\r\n`.
    pub const CRLF: Self = Self(2);
    /// `\r`.
    pub const CR: Self = Self(4);

    /// Adds others.
    pub const fn add(&mut self, others: Self) {
        self.0 |= others.0;
    }

    /// Whether all of the others are among them.
    pub const fn contains(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    /// A number that keeps them, a bit each.
    pub const fn bits(self) -> i32 {
        self.0 as i32
    }

    /// Those that a number keeps.
    pub const fn from_bits(bits: i32) -> Self {
        Self(bits as u8)
    }
}

/// Counts lines over bytes that come in any pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineCounter {
    line: u64,
    after_cr: bool,
}

impl LineCounter {
    /// A counter that stands at the beginning of line `line`.
    pub const fn at(line: u64) -> Self {
        Self { line, after_cr: false }
    }

    /// Number of the line the next byte belongs to.
    pub const fn line(&self) -> u64 {
        self.line
    }

    /// Passes over `bytes`.
    pub fn advance(&mut self, bytes: &[u8]) {
        for position in memchr::memchr2_iter(b'\n', b'\r', bytes) {
            let follows_cr = if position == 0 { self.after_cr } else { bytes[position - 1] == b'\r' };
            if bytes[position] == b'\r' || !follows_cr {
                self.line += 1;
            }
        }
        if let Some(last) = bytes.last() {
            self.after_cr = *last == b'\r';
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_line_end_counts_once_however_it_is_cut() {
        let text = b"a\nb\r\nc\rd\r\r\n\n";
        let mut whole = LineCounter::at(1);
        whole.advance(text);
        assert_eq!(whole.line(), 7);
        for cut in 0..=text.len() {
            let mut pieces = LineCounter::at(1);
            pieces.advance(&text[..cut]);
            pieces.advance(&text[cut..]);
            assert_eq!(pieces, whole, "cut at {cut}");
        }
    }
}
