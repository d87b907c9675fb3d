//! What the value of a status rule must be: what its type says, then what its operator needs.

use regex::RegexBuilder;
use serde::Deserialize;
use serde_json::Number;

use super::{
    super::reader::{Reader, missing},
    is_path, path_wanted,
};
use crate::{
    canonical::{
        cell::Cell,
        status_rule::{Operator, RuleField, StatusRule, ValueType},
    },
    domain::issue::{Issue, IssueCode},
};

/// Memory a compiled regular expression may take.
const REGEX_BYTES: usize = 1 << 20;

/// Units that a relative date counts in.
const UNITS: [&str; 7] = ["seconds", "minutes", "hours", "days", "weeks", "months", "years"];

type Fault = (IssueCode, String);

/// Checks a rule whose operator is known.
pub(super) fn check(rule: &StatusRule, reader: &mut Reader<'_>) {
    let is_refused = |field: &str| reader.issues.iter().any(|issue| issue.field == field);
    let (type_refused, score_refused) = (is_refused("value_type"), is_refused("score"));
    let value_is_null = is_null(reader, RuleField::Value) || is_null(reader, RuleField::ValueJson);
    let score_is_null = is_null(reader, RuleField::Score);
    let mut refuse =
        |field: &str, (code, message): Fault| reader.issues.push(Issue::of_field(code, field, message));
    let operator = rule.operator.as_str();
    let takes_none = matches!(rule.operator, Operator::IsEmpty | Operator::IsNotEmpty);
    match rule.value.as_deref() {
        Some(_) if takes_none => {
            refuse("value", (IssueCode::InvalidValue, format!("must not be given with {operator}")));
        }
        None if takes_none => {}
        None => refuse("value", missing(value_is_null, &format!("must be given with {operator}"))),
        // What it must be is not known.
        Some(_) if type_refused => {}
        Some(value) => {
            if let Err(fault) = of_type(rule.value_type, value).and_then(|()| of_operator(rule, value)) {
                refuse("value", fault);
            }
        }
    }
    if rule.operator == Operator::FuzzyMatch && rule.score.is_none() && !score_refused {
        refuse("score", missing(score_is_null, "must be given with fuzzy_match"));
    }
}

/// Whether a field is null, in NDJSON or in a cell that holds JSON.
fn is_null(reader: &Reader<'_>, field: RuleField) -> bool {
    let is_cell = |cell: &Cell| cell.field == field.id() && reader.arena.get(cell.value.text()) == "null";
    reader.nulls.contains(field.id()) || reader.cells.iter().any(is_cell)
}

fn of_type(value_type: ValueType, value: &str) -> Result<(), Fault> {
    let wrong = |message: String| Err((IssueCode::WrongType, message));
    match value_type {
        ValueType::Literal => Ok(()),
        ValueType::List if value.starts_with('[') => Ok(()),
        ValueType::List => wrong("must be a list with value_type list".to_owned()),
        ValueType::Field => match serde_json::from_str::<String>(value) {
            Ok(path) if is_path(&path) => Ok(()),
            Ok(_) => {
                Err((IssueCode::InvalidValue, format!("must be {}, with value_type field", path_wanted())))
            }
            Err(_) => wrong(format!("must be text: {}, with value_type field", path_wanted())),
        },
        ValueType::RelativeDate => relative_date(value),
    }
}

/// A span of time before or behind the day a rule is looked at.
#[derive(Deserialize)]
struct Span {
    unit: Option<String>,
    amount: Option<Number>,
}

/// The contract tells no form; this is the one of its samples.
fn relative_date(value: &str) -> Result<(), Fault> {
    const WANTED: &str = "must be an object such as {\"unit\": \"days\", \"amount\": 30}, with value_type \
        relative_date";
    let wrong = (IssueCode::WrongType, WANTED.to_owned());
    // serde's structs would take a list of the members, too.
    if !value.starts_with('{') {
        return Err(wrong);
    }
    let span: Span = serde_json::from_str(value).map_err(|_| wrong)?;
    let invalid = |message: String| Err((IssueCode::InvalidValue, message));
    match span {
        Span { unit: None, .. } | Span { amount: None, .. } => invalid(WANTED.to_owned()),
        Span { unit: Some(unit), .. } if !UNITS.contains(&unit.as_str()) => {
            invalid(format!("unit must be one of {}", UNITS.join(", ")))
        }
        Span { amount: Some(amount), .. } if amount.as_i64().is_none() => {
            invalid("amount must be a whole number; one below 0 lies in the past".to_owned())
        }
        Span { .. } => Ok(()),
    }
}

fn of_operator(rule: &StatusRule, value: &str) -> Result<(), Fault> {
    let operator = rule.operator.as_str();
    match rule.operator {
        // The value is not there yet, only where it will come from.
        _ if rule.value_type == ValueType::Field => Ok(()),
        Operator::In | Operator::NotIn if !value.starts_with('[') => {
            Err((IssueCode::WrongType, format!("must be a list with {operator}")))
        }
        Operator::Regex => match serde_json::from_str::<String>(value) {
            Ok(pattern) => compiles(&pattern),
            Err(_) => Err((IssueCode::WrongType, "must be text with regex".to_owned())),
        },
        _ => Ok(()),
    }
}

/// The engine takes time linear in the text, whatever the expression.
fn compiles(pattern: &str) -> Result<(), Fault> {
    let Err(error) = RegexBuilder::new(pattern).size_limit(REGEX_BYTES).build() else { return Ok(()) };
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default().trim();
    Err((IssueCode::InvalidValue, format!("is not a regular expression: {last}")))
}
