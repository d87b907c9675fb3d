//! What the rooms behind know, as the wire says it: what all kinds share.

mod admin;
mod business;
mod entity;
mod import;
mod mapping;
mod options;
mod preview;
mod session;
mod transaction;
mod workflow;

use chrono::{DateTime, NaiveDate, Utc};
use prost::Message;
use prost_types::{ListValue, Struct, Timestamp, Value, value::Kind};
use serde_json::{Map, Value as Json};

pub(super) use admin::{api_key, application, audit_event};
pub(super) use entity::{business, deleted_session, erased_business, erased_user, user};
pub(super) use import::{import, row_error};
pub(super) use preview::preview;
pub(super) use session::{decision, session};
pub(super) use transaction::{transaction, transaction_detail};
pub(super) use workflow::{status_rule, workflow, workflow_version};

/// Node of a workflow that imported checks stand under.
const IMPORTED_NODE: &str = "imported";

pub(super) fn timestamp(time: DateTime<Utc>) -> Timestamp {
    Timestamp { seconds: time.timestamp(), nanos: time.timestamp_subsec_nanos() as i32 }
}

fn date(date: NaiveDate) -> String {
    date.format("%F").to_string()
}

/// Objects and lists within each other that go over the wire: a peer reads a protobuf message nested
/// at most 100 deep, and each of them takes three. What is nested deeper goes as the text of its JSON.
const NESTED: usize = 24;

/// Bytes of an object as a message. A number takes one where it is text and eleven here, so a large one goes
/// with what is nested in it as text.
const OBJECT_BYTES: usize = 256 << 10;

fn json(value: &Json, within: usize) -> Value {
    let kind = match value {
        Json::Null => Kind::NullValue(0),
        Json::Bool(value) => Kind::BoolValue(*value),
        Json::Number(number) => match number.as_f64() {
            Some(value) => Kind::NumberValue(value),
            None => Kind::StringValue(number.to_string()),
        },
        Json::String(text) => Kind::StringValue(text.clone()),
        nested if within == NESTED => Kind::StringValue(nested.to_string()),
        Json::Array(items) => Kind::ListValue(items_of(items, within + 1)),
        Json::Object(members) => Kind::StructValue(members_of(members, within + 1)),
    };
    Value { kind: Some(kind) }
}

fn items_of(items: &[Json], within: usize) -> ListValue {
    ListValue { values: items.iter().map(|item| json(item, within)).collect() }
}

fn members_of(members: &Map<String, Json>, within: usize) -> Struct {
    Struct { fields: members.iter().map(|(key, value)| (key.clone(), json(value, within))).collect() }
}

fn object(members: &Map<String, Json>) -> Struct {
    let object = members_of(members, 1);
    if object.encoded_len() <= OBJECT_BYTES { object } else { members_of(members, NESTED) }
}

fn find_object(value: Option<&Json>) -> Option<Struct> {
    value.and_then(Json::as_object).map(object)
}

fn list(value: &Json) -> Option<ListValue> {
    let items = value.as_array()?;
    let list = items_of(items, 1);
    Some(if list.encoded_len() <= OBJECT_BYTES { list } else { items_of(items, NESTED) })
}

/// The wire value of a stored word, such as `In Review`, under the prefix of its enum.
fn word<E: Default>(prefix: &str, word: &str, find: fn(&str) -> Option<E>) -> E {
    find(&format!("{prefix}_{}", word.to_uppercase().replace(' ', "_"))).unwrap_or_default()
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
