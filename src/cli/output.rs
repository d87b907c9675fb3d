//! What commands print: messages as JSON with the contract's names, or as tables for people.

use std::{
    fmt::Write as _,
    io::{self, Write},
    sync::LazyLock,
};

use prost::{Message, Name};
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage, Value,
};
use serde_json::{Map, Value as Json, json};
use tonic::Status;
use tonic_types::StatusExt;

use super::Failure;
use crate::grpc::pb::{self, DESCRIPTORS};

static POOL: LazyLock<Option<DescriptorPool>> = LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS).ok());

/// What fields a message has.
pub(super) fn descriptor(message: &str) -> Option<MessageDescriptor> {
    POOL.as_ref()?.get_message_by_name(message)
}

/// Prints a line to standard output.
pub(super) fn line(text: &str) -> Result<(), Failure> {
    raw(format!("{text}\n").as_bytes())
}

/// Writes bytes to standard output.
pub(super) fn raw(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = out.write_all(bytes).and_then(|()| out.flush());
    written.map_err(|source| Failure::Io { what: "write to standard output".to_owned(), source })
}

/// Prints a line to standard error.
pub(super) fn note(text: &str) {
    // Where even that fails nobody is listening.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Prints why a command failed.
pub(super) fn complain(text: &str) {
    note(&format!("carryover: {}", printable(text)));
}

/// Prints what is wrong with fields of a request, where it is several things, each on a line of its own; tells
/// whether it did.
pub(super) fn complain_of_fields(status: &Status) -> bool {
    let violations = status.get_details_bad_request().map(|details| details.field_violations);
    let Some(violations) = violations.filter(|violations| violations.len() > 1) else { return false };
    complain("the request is refused");
    for violation in violations {
        note(&format!("  {}", printable(&format!("{}: {}", violation.field, violation.description))));
    }
    let info = status.get_details_error_info();
    if let Some(more) = info.as_ref().and_then(|info| info.metadata.get("more")) {
        note(&format!("  and {} more", printable(more)));
    }
    true
}

/// Prints what a server said beyond its message.
pub(super) fn explain(status: &Status) {
    if let Some(info) = status.get_details_error_info() {
        let mut facts: Vec<_> = info.metadata.iter().map(|(key, value)| format!("{key}={value}")).collect();
        facts.sort();
        note(&format!("  {:?} {} {}", status.code(), info.reason, printable(&facts.join(" "))));
    }
}

/// Text without control characters, so that no cell of a file can drive a terminal.
pub(super) fn printable(text: &str) -> String {
    let is_safe =
        |c: &char| !c.is_control() && !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if is_safe(&c) { c } else { '\u{fffd}' }).collect()
}

/// A message as JSON: the contract's field names and words, numbers as numbers, absent as null.
pub(super) fn json_of<M: Message + Name>(message: &M) -> Json {
    let descriptor = descriptor(&M::full_name());
    let decoded = descriptor.and_then(|d| DynamicMessage::decode(d, message.encode_to_vec().as_slice()).ok());
    decoded.map_or(Json::Null, |message| of_message(&message))
}

/// A field of a message as JSON spells it; a dash where it is not set.
pub(super) fn word_of<M: Message + Name>(message: &M, field: &str) -> String {
    printable(json_of(message)[field].as_str().unwrap_or("-"))
}

/// Prints a message as one JSON object on a line.
pub(super) fn print_json<M: Message + Name>(message: &M) -> Result<(), Failure> {
    line(&escaped(&json_of(message).to_string()))
}

/// Prints a message as indented JSON, for people.
pub(super) fn print_pretty<M: Message + Name>(message: &M) -> Result<(), Failure> {
    line(&escaped(&serde_json::to_string_pretty(&json_of(message)).unwrap_or_default()))
}

/// JSON without what a terminal would obey and JSON allows: the same texts, escaped.
pub(super) fn escaped(json: &str) -> String {
    let obeyed = |c: char| {
        c >= '\u{7f}' && c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if obeyed(c) {
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

fn of_message(message: &DynamicMessage) -> Json {
    match message.descriptor().full_name() {
        "google.protobuf.Timestamp" => of_timestamp(message),
        "google.protobuf.Struct" => match message.get_field_by_name("fields").as_deref() {
            Some(Value::Map(fields)) => fields
                .iter()
                .map(|(key, value)| (key.as_str().unwrap_or_default().to_owned(), of_value(value, None)))
                .collect::<Map<_, _>>()
                .into(),
            _ => json!({}),
        },
        "google.protobuf.ListValue" => match message.get_field_by_name("values").as_deref() {
            Some(Value::List(values)) => values.iter().map(|value| of_value(value, None)).collect(),
            _ => json!([]),
        },
        "google.protobuf.Value" => match message.fields().next() {
            Some((field, _)) if field.name() == "null_value" => Json::Null,
            Some((_, value)) => of_value(value, None),
            None => Json::Null,
        },
        _ => {
            let member = |field: FieldDescriptor| {
                let absent = field.supports_presence() && !message.has_field(&field);
                let value =
                    if absent { Json::Null } else { of_value(&message.get_field(&field), Some(&field)) };
                (field.name().to_owned(), value)
            };
            message.descriptor().fields().map(member).collect::<Map<_, _>>().into()
        }
    }
}

fn of_timestamp(message: &DynamicMessage) -> Json {
    let number = |name| message.get_field_by_name(name).map(|value| value.into_owned());
    let seconds = number("seconds").and_then(|value| value.as_i64()).unwrap_or_default();
    let nanos = number("nanos").and_then(|value| value.as_i32()).unwrap_or_default();
    let time = chrono::DateTime::from_timestamp(seconds, nanos.unsigned_abs());
    time.map_or(Json::Null, |time| time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true).into())
}

fn of_value(value: &Value, field: Option<&FieldDescriptor>) -> Json {
    match value {
        Value::Bool(value) => (*value).into(),
        Value::I32(value) => (*value).into(),
        Value::I64(value) => (*value).into(),
        Value::U32(value) => (*value).into(),
        Value::U64(value) => (*value).into(),
        Value::F32(value) => (*value).into(),
        // A whole number of a JSON cell was one before it went through a Struct.
        Value::F64(value) if value.fract() == 0.0 && value.abs() < 1e15 => (*value as i64).into(),
        Value::F64(value) => (*value).into(),
        Value::String(text) => text.as_str().into(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned().into(),
        Value::EnumNumber(number) => of_enum(*number, field),
        Value::Message(message) => of_message(message),
        Value::List(values) => values.iter().map(|value| of_value(value, field)).collect(),
        Value::Map(members) => {
            let entry = field.and_then(|field| Some(field.kind().as_message()?.map_entry_value_field()));
            let member = |value| of_value(value, entry.as_ref());
            members
                .iter()
                .map(|(key, value)| (key.as_str().unwrap_or_default().to_owned(), member(value)))
                .collect::<Map<_, _>>()
                .into()
        }
    }
}

/// The contract's spelling of an enum value: statuses of sessions, checks and rules in words; those of jobs
/// and entities and all about transactions in upper case; the rest in lower case; null for what is not set.
fn of_enum(number: i32, field: Option<&FieldDescriptor>) -> Json {
    let Some(Kind::Enum(kind)) = field.map(FieldDescriptor::kind) else { return number.into() };
    let Some(value) = kind.get_value(number).filter(|value| value.number() != 0) else { return Json::Null };
    let prefix =
        kind.values().find(|value| value.number() == 0).map(|zero| zero.name().replace("UNSPECIFIED", ""));
    let word =
        value.name().strip_prefix(prefix.as_deref().unwrap_or_default()).unwrap_or(value.name()).to_owned();
    match kind.name() {
        "SessionStatus" | "FeatureStatus" | "RuleStatus" => title_case(&word).into(),
        "ImportStatus"
        | "IssueCode"
        | "SessionType"
        | "UserStatus"
        | "BusinessStatus"
        | "TransactionStatus"
        | "TransactionDirection"
        | "Severity"
        | "PartyRole"
        | "PartyKind"
        | "PaymentMethodRole" => word.into(),
        _ => word.to_lowercase().into(),
    }
}

fn title_case(word: &str) -> String {
    let mut out = String::new();
    for (position, part) in word.split('_').enumerate() {
        if position > 0 {
            out.push(' ');
        }
        let (first, rest) = part.split_at(part.len().min(1));
        let _ = write!(out, "{first}{}", rest.to_lowercase());
    }
    out
}

/// A number with thin groups of three: 1,234,567.
pub(super) fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut out = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if number < 0 { format!("-{out}") } else { out }
}

/// Media of an import for people; nothing where it has none.
pub(super) fn media(import: &pb::Import) -> Option<String> {
    let counts = [import.media_stored_count, import.media_failed_count, import.media_pending_count];
    let [stored, failed, pending] = counts.map(grouped);
    let bytes = grouped(import.total_media_bytes);
    let any = counts.iter().any(|count| *count > 0);
    any.then(|| format!("{stored} stored ({bytes} bytes), {failed} failed, {pending} pending"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_print_as_the_contract_spells_them() {
        let import = pb::Import {
            uuid: "u".to_owned(),
            status: pb::ImportStatus::Completed as i32,
            import_type: pb::ImportType::UserVerification as i32,
            total_rows: 9_007_199_254_740_993,
            created_at: Some(prost_types::Timestamp { seconds: 0, nanos: 5_000_000 }),
            ..pb::Import::default()
        };
        let json = json_of(&import);
        assert_eq!(json["status"], "COMPLETED");
        assert_eq!(json["import_type"], "user_verification");
        assert_eq!(json["total_rows"].as_i64(), Some(9_007_199_254_740_993));
        assert_eq!(json["created_at"], "1970-01-01T00:00:00.005Z");
        assert!(json["last_error"].is_null() && json["source_format"].is_null());
        let feature = pb::Feature { feature: "X".to_owned(), status: pb::FeatureStatus::NotFinished as i32 };
        assert_eq!(json_of(&feature)["status"], "Not Finished");
        let features = [("KYB".to_owned(), pb::FeatureStatus::InReview as i32)].into();
        let business = pb::Business { features, ..pb::Business::default() };
        assert_eq!(json_of(&business)["features"], json!({"KYB": "In Review"}));
        let transaction = pb::Transaction {
            status: pb::TransactionStatus::AwaitingUser as i32,
            ..pb::Transaction::default()
        };
        assert_eq!(json_of(&transaction)["status"], "AWAITING_USER");
        assert_eq!(grouped(-1_234_567), "-1,234,567");
        assert_eq!(printable("a\u{1b}[31m\r\n\u{202e}b"), "a\u{fffd}[31m\u{fffd}\u{fffd}\u{fffd}b");
    }
}
