//! No record brings an adapter down: whatever a line says, it becomes a row or a row error.

use carryover::domain::import::ImportType;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{SAMPLES, rows::read_lines};

/// Any JSON, a few levels deep.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        "[0-9-]{0,12}".prop_map(Value::from),
        Just(json!("2024-13-45T99:99:99+9999")),
        Just(json!("\u{0}")),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((".{0,8}", inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// How many values a value has in it, itself among them.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum(),
        _ => 0,
    }
}

/// Puts `new` in the place of the value number `at`.
fn replace(value: &mut Value, at: &mut usize, new: &Value) {
    if *at == 0 {
        *value = new.clone();
        *at = usize::MAX;
        return;
    }
    *at -= 1;
    let inner: Vec<&mut Value> = match value {
        Value::Array(items) => items.iter_mut().collect(),
        Value::Object(members) => members.values_mut().collect(),
        _ => return,
    };
    for value in inner {
        if *at < usize::MAX {
            replace(value, at, new);
        }
    }
}

fn check(provider: &str, import_type: ImportType, line: String) -> Result<(), TestCaseError> {
    let rows = read_lines(provider, import_type, std::slice::from_ref(&line));
    prop_assert!(rows.len() <= 1, "{line}");
    for row in rows {
        let has_key = ["external_id", "transaction_id"].iter().any(|key| row["cells"].get(*key).is_some());
        prop_assert!(has_key || row.get("issues").is_some(), "{line}: {row}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_value_is_a_row_or_a_row_error(value in any_json(), sample in 0..SAMPLES.len()) {
        let sample = &SAMPLES[sample];
        check(sample.provider, sample.import_type, value.to_string())?;
    }

    #[test]
    fn any_cut_of_a_sample_is_a_row_or_a_row_error(
        sample in 0..SAMPLES.len(), line in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(),
    ) {
        let sample = &SAMPLES[sample];
        let lines = sample.lines();
        let line = line.get(&lines[..]).as_str();
        let mut at = at.index(line.len());
        while !line.is_char_boundary(at) {
            at -= 1;
        }
        check(sample.provider, sample.import_type, line[..at].to_owned())?;
    }

    #[test]
    fn any_change_of_a_member_is_a_row_or_a_row_error(
        sample in 0..SAMPLES.len(), line in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(),
        new in any_json(),
    ) {
        let sample = &SAMPLES[sample];
        let lines = sample.lines();
        let mut value: Value = serde_json::from_str(line.get(&lines[..]).as_str()).expect("JSON");
        let mut at = at.index(count(&value));
        replace(&mut value, &mut at, &new);
        check(sample.provider, sample.import_type, value.to_string())?;
    }

    #[test]
    fn an_escape_that_is_no_character_costs_no_metadata(
        sample in 0..SAMPLES.len(), line in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(),
        escape in prop::sample::select(vec!["\\ud800", "\\udc00x", "\\u0000", "\\ud800\\ud800", "\\\\ud800"]),
    ) {
        const HERE: &str = "<HERE>";
        let sample = &SAMPLES[sample];
        let lines = sample.lines();
        let line = line.get(&lines[..]).as_str();
        let mut value: Value = serde_json::from_str(line).expect("JSON");
        let mut at = at.index(count(&value));
        replace(&mut value, &mut at, &json!(HERE));
        let line = value.to_string().replace(HERE, escape);
        for row in read_lines(sample.provider, sample.import_type, std::slice::from_ref(&line)) {
            let lost = row["warnings"].as_array().is_some_and(|all| all.iter().any(|one| one["field"] == "metadata"));
            prop_assert!(!lost, "{line}: {row}");
        }
    }
}
