//! JSON lines to rows.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{drafted, rows::Rows};
use crate::{
    adapters::{
        mapping::{Given, Paths, Plan, Scratch},
        registry::{self, Native},
    },
    canonical::{
        cell::Value,
        schema::{FieldId, FieldSet, Form, Schema},
    },
    domain::issue::{Issue, IssueCode},
};

/// Whose records JSON lines are.
#[derive(Debug, Clone)]
pub(super) enum Lines {
    /// Canonical ones.
    Canonical,
    /// A provider's own, or canonical ones.
    Native(Native),
    /// Of a form that a mapping tells.
    Mapped(Plan, Paths),
}

impl Lines {
    /// Lines of the form that a mapping tells.
    pub(super) fn mapped(plan: Plan) -> Self {
        let paths = Paths::of(plan.sources());
        Self::Mapped(plan, paths)
    }
}

pub(super) fn parse(rows: &mut Rows, schema: &'static Schema, lines: &Lines) {
    let source = rows.source.clone();
    let (mut found, mut scratch) = (Vec::new(), Scratch::default());
    let mut start = rows.range.preamble as usize;
    while start < source.len() {
        let end = memchr::memchr(b'\n', &source[start..]).map_or(source.len(), |end| start + end + 1);
        let line = source[start..end].trim_ascii();
        let begun = std::mem::replace(&mut start, end);
        if line.is_empty() {
            continue;
        }
        rows.begin(begun, end - begun);
        let Ok(text) = std::str::from_utf8(line) else {
            rows.refuse(Issue::of_record(
                IssueCode::Encoding,
                "the line is not UTF-8 text; if the file has another encoding, name it in the spec",
            ));
            continue;
        };
        match lines {
            Lines::Mapped(plan, paths) => {
                parse_mapped(rows, text, schema, plan, paths, &mut found, &mut scratch);
            }
            Lines::Native(native) if parse_native(rows, text, schema, native) => {}
            _ => parse_canonical(rows, text, schema),
        }
    }
}

fn parse_canonical(rows: &mut Rows, text: &str, schema: &'static Schema) {
    let mut json = serde_json::Deserializer::from_str(text);
    let object = Object { rows, schema, group: None, met: &mut Met::default() };
    if let Err(error) = object.deserialize(&mut json).and_then(|()| json.end()) {
        rows.refuse(unread(text, &error));
    }
}

/// The issue of a line that is no JSON object.
fn unread(text: &str, error: &serde_json::Error) -> Issue {
    // Only a line that is JSON to its end is said to be.
    if error.is_data() && serde_json::from_str::<IgnoredAny>(text).is_ok() {
        Issue::of_record(IssueCode::NotAnObject, "the line is JSON, but not an object")
    } else {
        Issue::of_record(IssueCode::BadJson, format!("the line is not JSON: {}", in_line(error)))
    }
}

/// Reads a provider's own record into the open row; tells whether it was one.
fn parse_native(rows: &mut Rows, text: &str, schema: &Schema, native: &Native) -> bool {
    drafted::fill(rows, schema, true, |draft| {
        let read = registry::read(native, text, draft)?;
        Some(read.err().into_iter().collect())
    })
}

/// Reads a record into the open row as a mapping tells.
fn parse_mapped<'a>(
    rows: &mut Rows,
    text: &'a str,
    schema: &Schema,
    plan: &Plan,
    paths: &Paths,
    found: &mut Vec<Given<'a>>,
    scratch: &mut Scratch,
) {
    let twice = match paths.find(text, found) {
        Ok(twice) => twice,
        Err(error) => return rows.refuse(unread(text, &error)),
    };
    drafted::fill(rows, schema, plan.is_lenient(), |draft| {
        Some(plan.write(|slot| found[slot], scratch, draft))
    });
    if let Some(slot) = twice {
        let message = format!("the key at the end of {} stands twice", plan.sources()[slot]);
        rows.refuse(Issue::of_record(IssueCode::DuplicateKey, message));
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

const TWICE: &str = "the key stands twice";

/// Reads an object's known members into the open row. Told to read anything else it fails, and so
/// it does for `[…]`, which serde's derived structs would take.
struct Object<'r> {
    rows: &'r mut Rows,
    schema: &'static Schema,
    /// Path of the inner object that is read; none at the top.
    group: Option<&'static str>,
    met: &'r mut Met,
}

/// What a row has named already, whatever it said of it: the last of two values would win in silence.
#[derive(Default)]
struct Met {
    fields: FieldSet,
    groups: u32,
}

impl Met {
    /// Remembers a group by its place in the schema; tells whether it is new.
    const fn group(&mut self, place: usize) -> bool {
        let bit = 1 << place;
        let new = self.groups & bit == 0;
        self.groups |= bit;
        new
    }
}

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
        let Self { rows, schema, group, met } = self;
        while let Some(member) = map.next_key_seed(Key { schema, group })? {
            match member {
                Member::Field { field, encoded } => {
                    let raw: &RawValue = map.next_value()?;
                    if met.fields.insert(field) {
                        add_value(rows, schema, field, encoded, raw.get());
                    } else {
                        refuse_field(rows, schema, field, IssueCode::DuplicateKey, TWICE);
                    }
                }
                Member::Group(place) => {
                    let raw: &RawValue = map.next_value()?;
                    let group = schema.groups[place];
                    if met.group(place) {
                        read_group(rows, schema, group, met, raw.get());
                    } else {
                        rows.refuse(Issue::of_field(IssueCode::DuplicateKey, group, TWICE));
                    }
                }
                Member::Unknown => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// Reads an inner object whose members are fields of the row.
fn read_group(rows: &mut Rows, schema: &'static Schema, group: &'static str, met: &mut Met, raw: &str) {
    if raw == "null" {
        return;
    }
    let mut json = serde_json::Deserializer::from_str(raw);
    if (Object { rows, schema, group: Some(group), met }).deserialize(&mut json).is_err() {
        rows.refuse(Issue::of_field(IssueCode::WrongType, group, "must be a JSON object"));
    }
}

fn refuse_field(rows: &mut Rows, schema: &Schema, field: FieldId, code: IssueCode, message: &str) {
    rows.refuse(Issue::of_field(code, schema.spec(field).name, message));
}

fn add_value(rows: &mut Rows, schema: &Schema, field: FieldId, encoded: bool, raw: &str) {
    let text = |rows: &mut Rows, text: &str| {
        let text = rows.arena.push(text.trim());
        if encoded { Value::EncodedJson(text) } else { Value::Text(text) }
    };
    let value = match raw.as_bytes()[0] {
        b'n' => return rows.add_null(field),
        _ if schema.spec(field).form == Form::Any => Value::Json(rows.arena.push(raw)),
        b'"' if !raw.contains('\\') => text(rows, &raw[1..raw.len() - 1]),
        b'"' => match serde_json::from_str::<String>(raw) {
            Ok(unescaped) => text(rows, &unescaped),
            Err(_) => {
                let message = "the text holds an escape that is no character";
                return refuse_field(rows, schema, field, IssueCode::BadJson, message);
            }
        },
        b'{' | b'[' | b't' | b'f' => Value::Json(rows.arena.push(raw)),
        _ => Value::Text(rows.arena.push(raw)),
    };
    rows.add(schema, field, value);
}

/// What a key means.
enum Member {
    /// A field; whether the key is spelt as CSV columns with JSON cells are.
    Field { field: FieldId, encoded: bool },
    /// An inner object of fields, by its place in the schema.
    Group(usize),
    /// Nothing that is known.
    Unknown,
}

/// Reads a key.
struct Key {
    schema: &'static Schema,
    group: Option<&'static str>,
}

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Member;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Member, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Member;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Member, E> {
        let Some(group) = self.group else { return Ok(self.find(key)) };
        let mut buffer = [0; PATH_BYTES];
        Ok(join(group, key, &mut buffer).map_or(Member::Unknown, |path| self.find(path)))
    }
}

/// Longest path of a member; there is none longer in any schema.
const PATH_BYTES: usize = 96;

/// The path of a member of an inner object, without allocating.
fn join<'b>(group: &str, key: &str, buffer: &'b mut [u8; PATH_BYTES]) -> Option<&'b str> {
    let length = group.len() + 1 + key.len();
    let path = buffer.get_mut(..length)?;
    path[..group.len()].copy_from_slice(group.as_bytes());
    path[group.len()] = b'.';
    path[group.len() + 1..].copy_from_slice(key.as_bytes());
    std::str::from_utf8(path).ok()
}

impl Key {
    fn find(&self, path: &str) -> Member {
        if let Some(place) = self.schema.groups.iter().position(|group| *group == path) {
            return Member::Group(place);
        }
        let field = (self.schema.find)(path).or_else(|| self.schema.find_column(path));
        let Some(field) = field else { return Member::Unknown };
        let spec = self.schema.spec(field);
        Member::Field { field, encoded: spec.form == Form::Json && path.ends_with("_json") }
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        canonical::{schema::FieldSet, schema_of},
        domain::import::ImportType,
    };

    #[test]
    fn every_field_and_group_can_be_met() {
        for import_type in ImportType::ALL {
            let schema = schema_of(*import_type);
            assert!(schema.fields.len() <= FieldSet::FIELDS, "{import_type:?}");
            assert!(schema.groups.len() <= u32::BITS as usize, "{import_type:?}");
        }
    }
}
