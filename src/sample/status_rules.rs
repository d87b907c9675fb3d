//! Status rules, with every operator and every type of value.

use fastrand::Rng;

use super::{
    Kind,
    vocabulary::{FIRST_NAMES, PLACES, one_of},
};
use crate::canonical::status_rule::Operator;

pub(super) static KIND: Kind = Kind {
    columns: &[
        "external_id",
        "feature",
        "node_id",
        "field",
        "operator",
        "value",
        "value_type",
        "score",
        "status",
        "priority",
    ],
    keys: 1,
    key_prefix: "rule",
    values,
    faults: &[
        ("feature", "TELEPATHY"),
        ("feature", ""),
        ("field", "weather.today"),
        ("field", ""),
        ("operator", "resembles"),
        ("operator", ""),
        ("value_type", "guess"),
        ("score", "101"),
        ("status", "Perhaps"),
        ("priority", "-1"),
    ],
};

fn values(number: u64, rng: &mut Rng) -> Vec<String> {
    let operators = Operator::ALL;
    // Each in its turn, so that a small sample holds all of them.
    let operator = operators[(number - 1) as usize % operators.len()];
    let (value, value_type) = value(operator, rng);
    let (feature, field) = one_of(
        [
            ("OCR", "kyc.issuing_state"),
            ("ID_VERIFICATION", "kyc.extra_fields.profession"),
            ("LIVENESS", "liveness.score"),
            ("FACE_MATCH", "face_match.score"),
            ("aml", "aml.risk_score"),
            ("DOCUMENT_AI", "document_ai.total"),
        ],
        rng,
    );
    let score = if operator == Operator::FuzzyMatch { rng.u8(..=100).to_string() } else { String::new() };
    vec![
        feature.to_owned(),
        one_of(["", "node-1"], rng).to_owned(),
        field.to_owned(),
        operator.as_str().to_owned(),
        value,
        value_type.to_owned(),
        score,
        one_of(["Approved", "Declined", "In Review", "No Action"], rng).to_owned(),
        if rng.bool() { rng.u16(..).to_string() } else { String::new() },
    ]
}

/// What an operator compares with, as JSON, and which type of value that is.
fn value(operator: Operator, rng: &mut Rng) -> (String, &'static str) {
    let text = |text: &str| format!("\"{text}\"");
    match operator {
        Operator::Equals | Operator::NotEquals => match rng.u8(..3) {
            0 => (text("kyc.first_name"), "field"),
            1 => (one_of(["true", "false"], rng).to_owned(), "literal"),
            _ => (text(one_of(FIRST_NAMES, rng)), ""),
        },
        Operator::GreaterThan
        | Operator::GreaterThanOrEquals
        | Operator::LessThan
        | Operator::LessThanOrEquals => match rng.bool() {
            true => (format!("{{\"unit\":\"days\",\"amount\":{}}}", rng.u8(..)), "relative_date"),
            false => (format!("{}.5", rng.u8(..100)), "literal"),
        },
        Operator::In | Operator::NotIn => {
            let (one, other) = (one_of(PLACES, rng).0, one_of(PLACES, rng).0);
            (format!("[\"{one}\",\"{other}\"]"), one_of(["list", "literal"], rng))
        }
        Operator::IsEmpty | Operator::IsNotEmpty => (String::new(), ""),
        Operator::Regex => (text(one_of(["^[A-Z]{2}[0-9]{7}$", "(?i)customs"], rng)), "literal"),
        Operator::Contains | Operator::NotContains | Operator::FuzzyMatch => {
            (text("Customs \\\"officer\\\", retired"), "literal")
        }
    }
}
