//! What a source says, borrowed from its row.

use std::borrow::Cow;

/// The value of one source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Given<'a> {
    /// It is absent, null, blank or without members.
    #[default]
    Nothing,
    /// A text as it is.
    Text(&'a str),
    /// A JSON text with escapes.
    Escaped(&'a str),
    /// A JSON number, true or false.
    Scalar(&'a str),
    /// A JSON object or list.
    Container(&'a str),
}

impl<'a> Given<'a> {
    /// A text, such as a cell.
    pub fn text(text: &'a str) -> Self {
        match text.trim() {
            "" => Self::Nothing,
            text => Self::Text(text),
        }
    }

    /// A JSON value.
    pub fn json(raw: &'a str) -> Self {
        match raw.as_bytes() {
            [b'"', ..] if raw.contains('\\') => Self::Escaped(raw),
            [b'"', ..] => Self::text(&raw[1..raw.len() - 1]),
            [b'{' | b'[', inner @ .., _] if inner.trim_ascii().is_empty() => Self::Nothing,
            [b'{' | b'[', ..] => Self::Container(raw),
            [] | [b'n', ..] => Self::Nothing,
            _ => Self::Scalar(raw),
        }
    }

    /// It as a text without blanks around it; empty where it says nothing, and nothing where it is no text.
    pub(super) fn read(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Nothing => Some(Cow::Borrowed("")),
            Self::Text(text) | Self::Scalar(text) => Some(Cow::Borrowed(text)),
            Self::Escaped(raw) => {
                serde_json::from_str::<String>(raw).ok().map(|text| Cow::Owned(text.trim().to_owned()))
            }
            Self::Container(_) => None,
        }
    }
}
