//! Text of a whole batch in one allocation; records hold spans of it.

/// A piece of an [`Arena`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Text {
    start: u32,
    len: u32,
}

impl Text {
    /// Whether it has no characters.
    pub const fn is_empty(self) -> bool {
        self.len == 0
    }

    /// A part of the piece, by bytes.
    pub fn part(self, range: std::ops::Range<usize>) -> Self {
        Self { start: self.start + range.start as u32, len: range.len() as u32 }
    }

    /// The piece without blanks around it.
    pub fn trim(self, arena: &Arena) -> Self {
        let text = arena.get(self);
        let kept = text.trim_start();
        let skipped = text.len() - kept.len();
        Self { start: self.start + skipped as u32, len: kept.trim_end().len() as u32 }
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
        let start = self.0.len() as u32;
        self.0.push_str(text);
        Text { start, len: text.len() as u32 }
    }

    /// The text of a piece.
    pub fn get(&self, text: Text) -> &str {
        let start = text.start as usize;
        &self.0[start..start + text.len as usize]
    }

    /// The text of a piece that may be absent.
    pub fn find(&self, text: Option<Text>) -> Option<&str> {
        text.map(|text| self.get(text))
    }
}
