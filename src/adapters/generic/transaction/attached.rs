//! What is attached to a transaction as JSON: results of providers, Travel Rule data and the network
//! around it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::reader::Reader;
use crate::{
    canonical::{
        arena::Text,
        cell::Cell,
        json::{self, JsonType},
        object_writer::ObjectWriter,
        transaction::ProviderResultType,
    },
    domain::issue::{Issue, IssueCode},
};

/// What a provider found out about the transaction.
#[derive(Deserialize)]
struct ProviderResult {
    provider: Option<String>,
    result_type: Option<String>,
    status: Option<String>,
    severity: Option<String>,
    score: Option<f64>,
    summary: Option<String>,
    payload: Option<Box<RawValue>>,
}

pub(super) fn provider_results(reader: &mut Reader<'_>, cell: Cell) -> Option<String> {
    let list = reader.objects(cell)?;
    let Ok(results) = serde_json::from_str::<Vec<ProviderResult>>(reader.arena.get(list)) else {
        return reader.refuse(
            cell,
            IssueCode::WrongType,
            "holds an object whose members have the wrong types",
        );
    };
    let mut out = String::from("[");
    for (at, result) in results.into_iter().enumerate() {
        let mut refuse = |member: &str, message: &str| {
            let path = format!("provider_results[{at}].{member}");
            reader.issues.push(Issue::of_field(IssueCode::InvalidValue, &path, message));
        };
        if at > 0 {
            out.push(',');
        }
        let mut writer = ObjectWriter::new(&mut out);
        writer.text("provider", result.provider.as_deref().unwrap_or_default());
        let kind = result.result_type.as_deref().unwrap_or("CUSTOM").trim().to_uppercase();
        match ProviderResultType::from_word(&kind) {
            Some(kind) => writer.word("result_type", kind.as_str()),
            None => refuse("result_type", "is no type of result, such as WALLET_SCREENING or CUSTOM"),
        }
        writer.text("status", result.status.as_deref().unwrap_or_default());
        match result.severity.as_deref().map(|word| super::parse_severity(word.trim())) {
            Some(Some(severity)) => writer.word("severity", severity.as_str()),
            Some(None) => refuse("severity", "must be UNKNOWN, LOW, MEDIUM, HIGH or CRITICAL"),
            None => {}
        }
        match result.score.unwrap_or_default() {
            score if (0.0..=f64::from(super::MAX_SCORE)).contains(&score) && score.fract() == 0.0 => {
                writer.raw("score", &format!("{score:.0}"));
            }
            _ => refuse("score", "is not a whole number from 0 to 100"),
        }
        if let Some(summary) = &result.summary {
            writer.text("summary", summary);
        }
        match result.payload.as_deref().map(RawValue::get) {
            Some(payload) if payload.starts_with('{') => writer.raw("payload", payload),
            Some("null") | None => {}
            Some(_) => refuse("payload", "must be an object"),
        }
        writer.close();
    }
    out.push(']');
    (out.len() > "[]".len()).then_some(out)
}

/// What a member must be, because the API serves it as that.
#[derive(Clone, Copy)]
enum Kind {
    /// Text.
    Text,
    /// Text that must be there and not blank.
    RequiredText,
    /// True or false.
    Flag,
    /// A whole number from 0 on.
    Count,
    /// An object.
    Object,
    /// A list of objects.
    Objects,
}

const TRAVEL_RULE: &[(&str, Kind)] = &[
    ("status", Kind::RequiredText),
    ("protocol", Kind::Text),
    ("required", Kind::Flag),
    ("obligations_count", Kind::Count),
    ("originator_data", Kind::Object),
    ("beneficiary_data", Kind::Object),
    ("metadata", Kind::Object),
];

const NETWORK_SNAPSHOT: &[(&str, Kind)] =
    &[("nodes", Kind::Objects), ("edges", Kind::Objects), ("metrics", Kind::Object)];

pub(super) fn travel_rule(reader: &mut Reader<'_>, cell: Cell) -> Option<Text> {
    object_of(reader, cell, TRAVEL_RULE)
}

pub(super) fn network_snapshot(reader: &mut Reader<'_>, cell: Cell) -> Option<Text> {
    object_of(reader, cell, NETWORK_SNAPSHOT)
}

/// An object whose members are what is served; those the table does not name are kept unread.
fn object_of(reader: &mut Reader<'_>, cell: Cell, members: &[(&str, Kind)]) -> Option<Text> {
    let object = reader.object(cell)?;
    // Of two members of one name the later counts, here as for whoever reads what is stored.
    let Ok(given) = serde_json::from_str::<BTreeMap<String, &RawValue>>(reader.arena.get(object)) else {
        return reader.refuse(cell, IssueCode::BadJson, "is not JSON that can be kept");
    };
    let field = reader.schema.spec(cell.field).name;
    let before = reader.issues.len();
    for (name, kind) in members {
        let raw = given.get(*name).map(|raw| raw.get());
        if let Some((code, message)) = fault(raw, *kind, reader.max_depth) {
            reader.issues.push(Issue::of_field(code, &format!("{field}.{name}"), message));
        }
    }
    (reader.issues.len() == before).then_some(object)
}

/// What is wrong with a member, as JSON; null is the same as none.
fn fault(raw: Option<&str>, kind: Kind, max_depth: usize) -> Option<(IssueCode, &'static str)> {
    let raw = match (raw, kind) {
        (None, Kind::RequiredText) => return Some((IssueCode::Required, "must be given as text")),
        (Some("null"), Kind::RequiredText) => {
            return Some((IssueCode::NullValue, "is null; must be given as text"));
        }
        (None | Some("null"), _) => return None,
        (Some(raw), _) => raw,
    };
    let (is_right, wanted) = match kind {
        Kind::RequiredText if is_blank(raw) => return Some((IssueCode::Required, "must be given as text")),
        Kind::Text | Kind::RequiredText => (raw.starts_with('"'), "must be text"),
        Kind::Flag => (matches!(raw, "true" | "false"), "must be true or false"),
        Kind::Count if is_number(raw) && !is_count(raw) => {
            return Some((IssueCode::OutOfRange, "is not a whole number from 0 on"));
        }
        Kind::Count => (is_number(raw), "must be a number"),
        Kind::Object => (raw.starts_with('{'), "must be an object"),
        Kind::Objects => {
            (json::check(raw, JsonType::Objects, max_depth).is_ok(), "must be a list of objects")
        }
    };
    (!is_right).then_some((IssueCode::WrongType, wanted))
}

fn is_blank(raw: &str) -> bool {
    raw.starts_with('"') && serde_json::from_str::<String>(raw).is_ok_and(|text| text.trim().is_empty())
}

fn is_number(raw: &str) -> bool {
    raw.starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

/// Digits alone, since another spelling, such as `2.0`, would be served as none.
fn is_count(raw: &str) -> bool {
    raw.parse::<i64>().is_ok_and(|count| count >= 0)
}
