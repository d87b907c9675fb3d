//! Approved needs a positive word of the provider's: with all of them taken away or made unknown, no record is.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{SAMPLES, rows::read_lines};

/// Words of any provider by which something is good, without case, `_`, `-` and blanks.
const POSITIVE: [&str; 17] = [
    "approved",
    "green",
    "verified",
    "9001",
    "clear",
    "passed",
    "confirmed",
    "match",
    "approvedverified",
    "accepted",
    "ok",
    "manualreviewapproved",
    "succeeded",
    "success",
    "docvalidated",
    "facematch",
    "valid",
];

fn is_positive(value: &Value) -> bool {
    let word = match value {
        Value::String(word) => word.to_lowercase().replace(['_', '-', ' '], ""),
        Value::Number(number) => number.to_string(),
        _ => return false,
    };
    POSITIVE.contains(&word.as_str())
}

/// Puts what `with` gives in the place of every positive word; takes it away for nothing. Tells how many it met.
fn replace(value: &mut Value, with: &mut impl FnMut() -> Option<Value>) -> usize {
    match value {
        Value::Array(items) => items.iter_mut().map(|item| replace(item, with)).sum(),
        Value::Object(members) => {
            let mut met = 0;
            let keys: Vec<String> = members.keys().cloned().collect();
            for key in keys {
                if is_positive(&members[&key]) {
                    met += 1;
                    match with() {
                        Some(new) => drop(members.insert(key, new)),
                        None => drop(members.remove(&key)),
                    }
                } else {
                    met += replace(&mut members[&key], with);
                }
            }
            met
        }
        value if is_positive(value) => {
            *value = with().unwrap_or(Value::Null);
            1
        }
        _ => 0,
    }
}

fn is_approved(row: &Value) -> bool {
    row["issues"].is_null()
        && row["cells"]["status"].as_str().is_some_and(|word| word.eq_ignore_ascii_case("approved"))
}

#[test]
fn without_its_words_no_record_is_approved() {
    let mut approved = 0;
    for sample in SAMPLES {
        for line in sample.lines() {
            let rows = read_lines(sample.provider, sample.import_type, std::slice::from_ref(&line));
            approved += usize::from(is_approved(&rows[0]));
            for new in [
                None,
                Some(Value::Null),
                Some(json!("")),
                Some(json!("splendid")),
                Some(json!(true)),
                Some(json!({})),
            ] {
                let mut record: Value = serde_json::from_str(&line).expect("JSON");
                replace(&mut record, &mut || new.clone());
                let row = &read_lines(sample.provider, sample.import_type, &[record.to_string()])[0];
                assert!(!is_approved(row), "{}: {new:?} {row}", sample.file);
            }
        }
    }
    // Each file has one at least, or the words would not have been needed.
    assert!(approved >= SAMPLES.len(), "{approved}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_stands_for_its_words_no_record_is_approved(
        sample in 0..SAMPLES.len(), line in any::<prop::sample::Index>(),
        words in prop::collection::vec(prop::option::of("[A-Za-z_ -]{0,12}"), 1..8),
    ) {
        let sample = &SAMPLES[sample];
        let lines = sample.lines();
        let mut record: Value = serde_json::from_str(line.get(&lines[..]).as_str()).expect("JSON");
        let mut words = words.into_iter().map(|word| word.map(Value::from)).filter(|word| !word.as_ref().is_some_and(is_positive)).cycle();
        replace(&mut record, &mut || words.next().flatten());
        let row = &read_lines(sample.provider, sample.import_type, &[record.to_string()])[0];
        prop_assert!(!is_approved(row), "{}: {record} {row}", sample.file);
    }
}
