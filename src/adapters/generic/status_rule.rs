//! Status rules of a workflow (contract §2.3).

mod value;

use super::reader::{Reader, TEXT_CHARS};
use crate::{
    canonical::{
        cell::{Cell, Value},
        json::{self, JsonType},
        object_writer::push_json_text,
        status_rule::{FIELD_PREFIXES, Operator, RuleFeature, RuleField, RuleStatus, StatusRule, ValueType},
    },
    domain::issue::IssueCode,
};

use RuleField as F;

/// A rule whose mandatory fields may be missing yet.
#[derive(Default)]
struct Draft {
    external_id: Option<String>,
    feature: Option<RuleFeature>,
    node_id: Option<String>,
    field: Option<String>,
    operator: Option<Operator>,
    value: Option<String>,
    value_type: Option<ValueType>,
    score: Option<String>,
    status: Option<RuleStatus>,
    priority: Option<i32>,
}

/// Reads a status rule.
pub(super) fn read(reader: &mut Reader<'_>) -> StatusRule {
    let mut draft = Draft::default();
    for &cell in reader.cells {
        read_field(&mut draft, reader, cell);
    }
    for (given, field) in [
        (draft.feature.is_some(), F::Feature),
        (draft.field.is_some(), F::Field),
        (draft.operator.is_some(), F::Operator),
        (draft.status.is_some(), F::Status),
    ] {
        reader.require(given, field.id());
    }
    let rule = StatusRule {
        external_id: draft.external_id,
        // A rule that misses something is never written, so the stand-ins are not.
        feature: draft.feature.unwrap_or(RuleFeature::Ocr),
        node_id: draft.node_id,
        field: draft.field.unwrap_or_default(),
        operator: draft.operator.unwrap_or(Operator::IsEmpty),
        value: draft.value,
        value_type: draft.value_type.unwrap_or(ValueType::Literal),
        score: draft.score,
        status: draft.status.unwrap_or(RuleStatus::NoAction),
        priority: draft.priority,
    };
    if draft.operator.is_some() {
        value::check(&rule, reader);
    }
    rule
}

fn read_field(draft: &mut Draft, reader: &mut Reader<'_>, cell: Cell) {
    let word = |word: &str| word.trim().to_ascii_lowercase().replace([' ', '-'], "_");
    match F::of(cell.field) {
        F::ExternalId => draft.external_id = owned(reader, cell, TEXT_CHARS),
        F::Feature => draft.feature = reader.word(cell, RuleFeature::parse),
        F::NodeId => draft.node_id = owned(reader, cell, TEXT_CHARS),
        F::Field => {
            let message = format!("must be {}", path_wanted());
            let path = reader.shaped(cell, is_path, &message);
            draft.field = path.map(|path| reader.arena.get(path).to_owned());
        }
        F::Operator => draft.operator = reader.word(cell, |text| Operator::from_word(&word(text))),
        F::Value | F::ValueJson => draft.value = read_value(reader, cell),
        F::ValueType => draft.value_type = reader.word(cell, |text| ValueType::from_word(&word(text))),
        F::Score => draft.score = reader.score(cell).map(|score| reader.arena.get(score).to_owned()),
        F::Status => {
            let parse = |text: &str| {
                let text = word(text).replace('_', " ");
                RuleStatus::ALL.iter().copied().find(|status| status.as_str().eq_ignore_ascii_case(&text))
            };
            draft.status = reader.word(cell, parse);
        }
        F::Priority => {
            draft.priority = reader.integer(cell, 0..=1_000_000, "is not a whole number from 0 to 1,000,000");
        }
    }
}

fn owned(reader: &mut Reader<'_>, cell: Cell, max: usize) -> Option<String> {
    reader.text(cell, max).map(|text| reader.arena.get(text).to_owned())
}

/// What a path looks like, for who wrote another.
fn path_wanted() -> String {
    format!("a path such as kyc.status, beginning with {}", FIELD_PREFIXES.join(", "))
}

fn is_path(text: &str) -> bool {
    let mut parts = text.split('.');
    parts.next().is_some_and(|prefix| FIELD_PREFIXES.contains(&prefix))
        && parts.clone().count() > 0
        && parts.all(|part| {
            !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
        })
}

/// Any JSON value; a text that is none is itself the value.
fn read_value(reader: &mut Reader<'_>, cell: Cell) -> Option<String> {
    let text = cell.value.text();
    let json = reader.arena.get(text);
    if json.is_empty() {
        return None;
    }
    // Inside an object, so that a value of any type is checked for what cannot be kept. Digits in a
    // CSV cell are a number, as they are in NDJSON; `"12"` with quotes is text in both.
    let checked = json::check(&format!("{{\"v\":{json}}}"), JsonType::Object, reader.max_depth + 1);
    match (cell.value, checked) {
        // In one spelling, since a rule without an id is known by its value.
        (_, Ok(())) => match serde_json::from_str(json) {
            Ok(serde_json::Value::Null) => None,
            Ok(value) => Some(value.to_string()),
            Err(_) => reader.refuse(cell, IssueCode::BadJson, "is not JSON that can be kept"),
        },
        (Value::Text(_), Err(_)) if json.contains('\0') => {
            reader.refuse(cell, IssueCode::NulCharacter, "holds a NUL character")
        }
        (Value::Text(_), Err(_)) => {
            let mut quoted = String::new();
            push_json_text(&mut quoted, json);
            Some(quoted)
        }
        _ => reader.refuse(cell, IssueCode::BadJson, "is not JSON that can be kept"),
    }
}
