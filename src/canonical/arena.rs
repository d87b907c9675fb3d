//! Text of a whole batch in one allocation; records hold spans of it.

use std::num::NonZeroU32;

/// A piece of an [`Arena`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text {
    /// Its first byte, counted from 1, so that an absent text takes no more room than one.
    first: NonZeroU32,
    len: u32,
}

impl Default for Text {
    fn default() -> Self {
        Self { first: NonZeroU32::MIN, len: 0 }
    }
}

impl Text {
    fn at(start: usize, len: usize) -> Self {
        Self { first: NonZeroU32::MIN.saturating_add(start as u32), len: len as u32 }
    }

    const fn start(self) -> usize {
        self.first.get() as usize - 1
    }

    /// Whether it has no characters.
    pub const fn is_empty(self) -> bool {
        self.len == 0
    }

    /// How many bytes it has.
    pub const fn len(self) -> usize {
        self.len as usize
    }

    /// A part of the piece, by bytes.
    pub fn part(self, range: std::ops::Range<usize>) -> Self {
        Self::at(self.start() + range.start, range.len())
    }

    /// The piece without blanks around it.
    pub fn trim(self, arena: &Arena) -> Self {
        let text = arena.get(self);
        // What begins and ends with a visible ASCII character, as nearly all cells do, has no blanks.
        if let [b'!'..=b'~', .., b'!'..=b'~'] | [b'!'..=b'~'] = text.as_bytes() {
            return self;
        }
        let kept = text.trim_start();
        let skipped = text.len() - kept.len();
        Self::at(self.start() + skipped, kept.trim_end().len())
    }
}

/// Text of a batch. At most 4 GiB; a segment and what is derived from it stay far below.
#[derive(Debug, Default)]
pub struct Arena(String);

impl Arena {
    /// An arena with room for `bytes`.
    pub fn with_capacity(bytes: usize) -> Self {
        Self(String::with_capacity(bytes))
    }

    /// Keeps a copy of `text`.
    pub fn push(&mut self, text: &str) -> Text {
        let start = self.0.len();
        self.0.push_str(text);
        Text::at(start, text.len())
    }

    /// The text of a piece.
    pub fn get(&self, text: Text) -> &str {
        &self.0[text.start()..text.start() + text.len as usize]
    }

    /// The text of a piece that may be absent.
    pub fn find(&self, text: Option<Text>) -> Option<&str> {
        text.map(|text| self.get(text))
    }
}
