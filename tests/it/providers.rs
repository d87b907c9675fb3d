//! Records of other providers, in their own form: each sample becomes what `expected.json` says, and word
//! for word what lies in `tests/golden/providers`. `UPDATE_GOLDEN=1` writes those files.

mod end_to_end;
mod hostile;
mod links;
mod options;
mod page;
mod rows;
mod traps;
mod verdicts;
mod warnings;

use std::path::Path;

use carryover::domain::import::ImportType;
use serde_json::{Map, Value};

use rows::{read_lines, read_sheet};

/// A file of records and the import it belongs to.
pub struct Sample {
    pub file: &'static str,
    pub provider: &'static str,
    pub import_type: ImportType,
}

const fn people(file: &'static str, provider: &'static str) -> Sample {
    Sample { file, provider, import_type: ImportType::UserVerification }
}

const fn companies(file: &'static str, provider: &'static str) -> Sample {
    Sample { file, provider, import_type: ImportType::BusinessVerification }
}

const fn payments(file: &'static str, provider: &'static str) -> Sample {
    Sample { file, provider, import_type: ImportType::Transactions }
}

pub const SAMPLES: &[Sample] = &[
    people("sumsub", "sumsub"),
    people("metamap", "metamap"),
    people("veriff", "veriff"),
    people("onfido", "onfido"),
    people("persona", "persona"),
    people("trulioo", "trulioo"),
    people("incode", "incode"),
    people("jumio", "jumio"),
    people("jumio-netverify", "jumio"),
    people("idenfy", "idenfy"),
    companies("sumsub-kyb", "sumsub"),
    companies("persona-kyb", "persona"),
    companies("idenfy-kyb", "idenfy"),
    companies("trulioo-kyb", "trulioo"),
    companies("incode-kyb", "incode"),
    payments("sumsub-transactions", "sumsub"),
    payments("persona-transactions", "persona"),
];

impl Sample {
    pub fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(fixture(&format!("{}.ndjson", self.file))).expect("a sample");
        text.lines().map(str::to_owned).collect()
    }

    /// What its lines must become.
    pub fn expected(&self) -> Vec<Value> {
        let text = std::fs::read(fixture("expected.json")).expect("a list");
        let all: Vec<Value> = serde_json::from_slice(&text).expect("JSON");
        all.into_iter().filter(|line| line["file"] == format!("{}.ndjson", self.file)).collect()
    }
}

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/providers").join(name)
}

/// The fields of a line that `expected.json` tells of, as the contract names them.
const TOLD: [(&str, &[&str]); 8] = [
    ("external_id", &["external_id"]),
    ("transaction_id", &["transaction_id"]),
    ("vendor_data", &["vendor_data", "subject.vendor_data"]),
    ("status", &["status"]),
    ("first_name", &["first_name"]),
    ("last_name", &["last_name"]),
    ("company_name", &["company_name"]),
    ("registration_number", &["registration_number"]),
];

#[test]
fn every_sample_becomes_what_is_expected() {
    for sample in SAMPLES {
        let (lines, expected) = (sample.lines(), sample.expected());
        assert_eq!(lines.len(), expected.len(), "{}", sample.file);
        for (row, expected) in read_lines(sample.provider, sample.import_type, &lines).iter().zip(expected) {
            let line = format!("{}:{} {row}", sample.file, expected["line"]);
            assert_eq!(row["issues"], Value::Null, "{line}");
            for (key, fields) in TOLD {
                let Some(wanted) = expected.get(key) else { continue };
                let wanted = if wanted == "" { &Value::Null } else { wanted };
                let found = fields.iter().map(|field| &row["cells"][*field]).find(|cell| !cell.is_null());
                assert_eq!(found.unwrap_or(&Value::Null), wanted, "{key} of {line}");
            }
            if let Some(warnings) = expected.get("warnings").and_then(Value::as_array) {
                let found = row["cells"]["metadata"]["source_warnings"].as_array().cloned();
                assert_eq!(&found.unwrap_or_default(), warnings, "{line}");
            }
        }
    }
}

#[test]
fn samples_are_golden() {
    for sample in SAMPLES {
        assert_golden(sample.file, read_lines(sample.provider, sample.import_type, &sample.lines()));
    }
}

#[test]
fn a_providers_own_csv_is_golden() {
    let file = "sumsub-custom-export";
    let text = std::fs::read_to_string(fixture(&format!("{file}.csv"))).expect("a sample");
    assert_golden(file, read_sheet("sumsub", ImportType::UserVerification, &text));
}

fn assert_golden(name: &str, rows: Vec<Value>) {
    let file = format!("tests/golden/providers/{name}.json");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&file);
    let rows = Value::Array(rows);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, serde_json::to_string_pretty(&rows).expect("JSON") + "\n").expect("written");
    }
    let golden: Value = serde_json::from_slice(&std::fs::read(&path).expect("a golden file")).expect("JSON");
    assert_eq!(rows, golden, "{file}: {}", serde_json::to_string_pretty(&rows).expect("JSON"));
}

#[test]
fn no_sample_keeps_a_token_in_its_metadata() {
    for sample in SAMPLES {
        for row in read_lines(sample.provider, sample.import_type, &sample.lines()) {
            let metadata = row["cells"]["metadata"].to_string();
            for token in ["access_token", "location=", "?token"] {
                assert!(!metadata.contains(token), "{}: {metadata}", sample.file);
            }
        }
    }
}

#[test]
fn a_record_of_another_kind_names_its_own() {
    for sample in SAMPLES {
        let other = match sample.import_type {
            ImportType::Transactions => ImportType::UserVerification,
            _ => ImportType::Transactions,
        };
        for row in read_lines(sample.provider, other, &sample.lines()) {
            let issue = &row["issues"][0];
            assert_eq!(issue["code"], "WRONG_KIND", "{}: {row}", sample.file);
            let message = issue["message"].as_str().expect("a message");
            let right = format!("import it as {}", sample.import_type.as_str());
            assert!(message.ends_with(&right), "{}: {message}", sample.file);
        }
    }
}

#[test]
fn canonical_rows_of_a_provider_are_read_as_such() {
    let line = r#"{"external_id":"a-1","status":"Approved","first_name":"Noor","shoe_size":1}"#.to_owned();
    let bad = r#"{"external_id":"a-2","status":"green-ish"}"#.to_owned();
    for sample in SAMPLES.iter().filter(|sample| sample.import_type == ImportType::UserVerification) {
        let rows = read_lines(sample.provider, sample.import_type, &[line.clone(), bad.clone()]);
        let cells = serde_json::json!({"external_id": "a-1", "status": "Approved", "first_name": "Noor"});
        assert_eq!(rows[0]["cells"], cells, "{}", sample.provider);
        assert_eq!(rows[1]["issues"][0]["code"], "INVALID_VALUE", "{}", sample.provider);
    }
}

#[test]
fn a_record_without_its_provider_says_whose_it_looks_like() {
    let told = |row: &Value, provider: &str| {
        let end = format!("the record looks like one of {provider}; name that provider in the import");
        let issues = row["issues"].as_array().cloned().unwrap_or_default();
        issues.iter().any(|issue| issue["message"].as_str().is_some_and(|message| message.ends_with(&end)))
    };
    for sample in SAMPLES {
        for row in read_lines("generic", sample.import_type, &sample.lines()) {
            // Onfido's runs and Sumsub's webhooks both name an applicant.
            let is_unsure = sample.file == "onfido" && told(&row, "sumsub or onfido");
            assert!(is_unsure || told(&row, sample.provider), "{}: {row}", sample.file);
        }
    }
    let nobodys = [r#"{"id":"a","status":"Approved"}"#.to_owned()];
    let row = &read_lines("generic", ImportType::UserVerification, &nobodys)[0];
    assert_eq!(row["issues"][0]["message"], "must be given", "{row}");
}

#[test]
fn a_csv_has_links_of_the_customer_in_a_column() {
    let links = [r#""{""front"":""https://media.example.net/f.jpg"",""video"":7}""#, "", "nothing"];
    let row = |links: &str| format!("a,completed,{links},GREEN\n");
    let text = "applicantId,applicantStatus,_media,reviewAnswer\n".to_owned() + &links.map(row).concat();
    let rows = read_sheet("sumsub", ImportType::UserVerification, &text);
    assert_eq!(rows[0]["cells"]["front_image_url"], "https://media.example.net/f.jpg", "{rows:?}");
    for row in &rows {
        assert_eq!(
            (&row["cells"]["status"], &row["issues"]),
            (&Value::from("Approved"), &Value::Null),
            "{row}"
        );
    }
    assert_eq!(rows[1]["cells"], rows[2]["cells"], "what holds no links says nothing");
}

#[test]
fn links_of_the_customer_come_before_those_of_the_provider() {
    for sample in SAMPLES.iter().filter(|sample| sample.import_type == ImportType::UserVerification) {
        let line = &sample.lines()[0];
        let mut members: Map<String, Value> = serde_json::from_str(line).expect("an object");
        let own = "https://media.example.net/front.jpg?k=1";
        members.insert("_media".to_owned(), serde_json::json!({"front": own, "selfie": "", "video": 7}));
        let row = &read_lines(sample.provider, sample.import_type, &[Value::Object(members).to_string()])[0];
        assert_eq!(row["cells"]["front_image_url"], own, "{}", sample.provider);
        assert_eq!(row["issues"], Value::Null, "{}: {row}", sample.provider);
    }
}
