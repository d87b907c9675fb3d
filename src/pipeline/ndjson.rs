//! JSON lines to rows.

use std::fmt;

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::rows::Rows;
use crate::{
    canonical::{cell::Value, field::Field},
    domain::{
        issue::{Issue, IssueCode},
        segment::SegmentRange,
    },
};

pub(super) fn parse(range: &SegmentRange, source: Bytes) -> Rows {
    let mut rows = Rows::new(range, source.clone());
    let mut start = range.preamble as usize;
    while start < source.len() {
        let end = memchr::memchr(b'\n', &source[start..]).map_or(source.len(), |end| start + end + 1);
        let line = source[start..end].trim_ascii();
        if !line.is_empty() {
            rows.begin(start, end - start);
            parse_line(&mut rows, line);
        }
        start = end;
    }
    rows
}

fn parse_line(rows: &mut Rows, line: &[u8]) {
    let Ok(text) = std::str::from_utf8(line) else {
        return rows.refuse(Issue::of_record(IssueCode::Encoding, "the line is not UTF-8 text"));
    };
    let mut json = serde_json::Deserializer::from_str(text);
    if let Err(error) = Object(rows).deserialize(&mut json).and_then(|()| json.end()) {
        // Only a line that is JSON to its end is said to be.
        rows.refuse(if error.is_data() && serde_json::from_str::<IgnoredAny>(text).is_ok() {
            Issue::of_record(IssueCode::NotAnObject, "the line is JSON, but not an object")
        } else {
            Issue::of_record(IssueCode::BadJson, format!("the line is not JSON: {}", in_line(&error)))
        });
    }
}

/// A parser's message with the column only; its line is always 1.
fn in_line(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.split_once(" at line ") {
        Some((what, _)) => format!("{what} at column {}", error.column()),
        None => text,
    }
}

/// Reads an object's known members into the open row. Told to read anything else it fails, and so
/// it does for `[…]`, which serde's derived structs would take.
struct Object<'r>(&'r mut Rows);

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let rows = self.0;
        while let Some(key) = map.next_key_seed(Key)? {
            match key {
                Some((field, encoded)) => {
                    let raw: &RawValue = map.next_value()?;
                    if rows.open_cells().iter().any(|cell| cell.field == field) {
                        let message = "the key stands twice in the object";
                        rows.refuse(Issue::of_field(IssueCode::DuplicateKey, field.name(), message));
                    }
                    add_value(rows, field, encoded, raw.get());
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

fn add_value(rows: &mut Rows, field: Field, encoded: bool, raw: &str) {
    let text = |rows: &mut Rows, text: &str| {
        let text = rows.arena.push(text.trim());
        if encoded { Value::EncodedJson(text) } else { Value::Text(text) }
    };
    let value = match raw.as_bytes()[0] {
        b'n' => return,
        b'"' if !raw.contains('\\') => text(rows, &raw[1..raw.len() - 1]),
        b'"' => match serde_json::from_str::<String>(raw) {
            Ok(unescaped) => text(rows, &unescaped),
            Err(_) => {
                let message = "the text holds an escape that is no character";
                return rows.refuse(Issue::of_field(IssueCode::BadJson, field.name(), message));
            }
        },
        b'{' | b'[' | b't' | b'f' => Value::Json(rows.arena.push(raw)),
        _ => Value::Text(rows.arena.push(raw)),
    };
    rows.add(field, value);
}

/// Reads a key: which field it is, and whether it is spelt `…_json`.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Option<(Field, bool)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Option<(Field, bool)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        let field = Field::from_name(key).or_else(|| Field::from_column(key));
        Ok(field.map(|field| (field, field.is_json() && key.len() > field.name().len())))
    }
}
