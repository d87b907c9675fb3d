//! A value of a row, decoded but not judged: what decoders hand to adapters.

use super::{arena::Text, schema::FieldId};

/// A field and its value.
#[derive(Debug, Clone, Copy)]
pub struct Cell {
    /// Which field.
    pub field: FieldId,
    /// Its value.
    pub value: Value,
}

/// How deep what adapters make may be nested.
pub const MADE_DEPTH: usize = 33;

/// A value that is there and not blank.
#[derive(Debug, Clone, Copy)]
pub enum Value {
    /// Text; a JSON number is the text of its digits.
    Text(Text),
    /// Text that must hold JSON: a CSV cell of a JSON column, or a key that ends in `_json`.
    EncodedJson(Text),
    /// A native JSON object, array, true or false, as it was written.
    Json(Text),
    /// An object that an adapter has made: JSON that can be kept, nested at most [`MADE_DEPTH`] deep.
    Made(Text),
}

impl Value {
    /// Its text, of whatever kind.
    pub const fn text(self) -> Text {
        match self {
            Self::Text(text) | Self::EncodedJson(text) | Self::Json(text) | Self::Made(text) => text,
        }
    }
}
