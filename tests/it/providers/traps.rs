//! Records that are read wrongly with ease.

use carryover::domain::import::ImportType;
use serde_json::{Value, json};

use super::{SAMPLES, rows::read_lines};

fn read(provider: &str, line: impl Into<String>) -> Value {
    read_lines(provider, ImportType::UserVerification, &[line.into()]).remove(0)
}

/// Asserts that a record is refused as a whole, with a message that tells why.
fn assert_refused(provider: &str, record: Value, why: &str) {
    let row = read(provider, record.to_string());
    let message = row["issues"][0]["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains(why), "{record}: {row}");
}

#[test]
fn metadata_outlives_what_no_database_keeps() {
    let deep = format!("{}{}", "[".repeat(60), "]".repeat(60));
    let line = format!(
        r#"{{"id":"a","inspectionId":"b","review":{{"reviewStatus":"completed","reviewResult":{{"reviewAnswer":"GREEN","clientComment":"so \ud800"}}}},
        "metadata":[{{"key":"half","value":"\udc00 and \\u0000"}},{{"key":"nul","value":"\u0000"}}],"questionnaires":{deep},"lang":"de"}}"#
    );
    let row = read("sumsub", line.replace('\n', " "));
    assert_eq!(row["issues"], Value::Null, "{row}");
    let metadata = &row["cells"]["metadata"];
    let kept = json!([{"key": "half", "value": "\u{fffd} and \\u0000"}, {"key": "nul", "value": "\u{fffd}"}]);
    assert_eq!((&metadata["source_metadata"], &metadata["lang"]), (&kept, &json!("de")), "{row}");
    assert_eq!(
        (&metadata["client_comment"], &metadata["questionnaires"]),
        (&json!("so \u{fffd}"), &Value::Null)
    );
}

#[test]
fn a_record_that_nobody_knows_is_told_as_such() {
    for sample in SAMPLES {
        let stranger = json!({"Ref": "a-1", "Outcome": "ok", "email": "not read"}).to_string();
        let row = &read_lines(sample.provider, sample.import_type, &[stranger])[0];
        let key = match sample.import_type {
            ImportType::Transactions => "transaction_id",
            _ => "external_id",
        };
        assert_eq!(row["issues"][0]["field"], key, "{row}");
        let message = row["issues"][0]["message"].as_str().expect("a message");
        assert!(message.contains("in no form that the provider is known to give out"), "{message}");
    }
}

#[test]
fn a_completed_review_without_its_answer_is_not_approved() {
    for state in ["completed", "Completed"] {
        let row = read("sumsub", json!({"applicantId": "a-1", "reviewStatus": state}).to_string());
        assert_eq!(row["cells"]["status"], "Expired", "{row}");
        assert_eq!(row["warnings"][0]["code"], "RESULT_NOT_IN_EXPORT", "{row}");
    }
}

#[test]
fn names_are_as_given_and_what_stands_for_none_is_none() {
    let names = |first: &str, last: &str, number: &str| {
        let data = json!({"docFirstName": first, "docLastName": last, "docNumber": number});
        let record = json!({"scanRef": "s-1", "clientId": "N/A", "final": true,
            "status": {"overall": "APPROVED"}, "data": data});
        let row = read("idenfy", record.to_string());
        assert_eq!(row["cells"]["vendor_data"], Value::Null, "{row}");
        ["first_name", "last_name", "document_number"].map(|cell| row["cells"][cell].clone())
    };
    let one_sign_a_letter = [json!("José"), json!("Müller"), json!("X1")];
    assert_eq!(names("Jose\u{301}", "Mu\u{308}ller", "X1<<<"), one_sign_a_letter);
    assert_eq!(names("N/A", "NA", "NA"), [Value::Null, json!("NA"), Value::Null]);
}

#[test]
fn webhooks_about_a_part_are_no_verdict_on_the_whole() {
    let review = json!({"reviewAnswer": "GREEN"});
    for event in ["applicantActionReviewed", "applicantKytTxnApproved", "videoIdentStatusChanged"] {
        let webhook = json!({"applicantId": "a", "inspectionId": "b", "type": event, "reviewStatus": "completed", "reviewResult": review});
        assert_refused("sumsub", webhook, "about none as a whole");
    }
    let watchlist = json!({"checkType": "initial_result", "sessionId": "s", "matchStatus": "no_match"});
    assert_refused("veriff", watchlist, "join it to the decision");
    assert_refused("trulioo", json!({"type": "EVENT_CALLBACK", "event": {"type": "x"}}), "holds no verdict");
    let paper =
        json!({"scanReference": "s", "transaction": {}, "document": {"status": "EXTRACTED", "type": "BS"}});
    assert_refused("jumio", paper, "holds no verdict");
    let face = json!({"scanRef": "s", "type": "ENROLLMENT", "method": "FACE_MATCHING", "status": "Success"});
    assert_refused("idenfy", face, "idenfy_face_authentications");
}

#[test]
fn full_service_details_fill_the_gaps_of_a_client() {
    let details = json!({
        "TransactionID": "t",
        "InputFields": [{"FieldName": "DocumentType", "Value": "Passport"}, {"FieldName": "EmailAddress", "Value": "a@example.com"}],
        "Record": {"TransactionRecordID": "r", "RecordStatus": "nomatch", "DatasourceResults": [{
            "DatasourceName": "Document Verification",
            "DatasourceFields": [{"FieldName": "DocumentVerified", "Status": "match"}, {"FieldName": "Liveness", "Status": "nomatch"}],
            "AppendedFields": [
                {"FieldName": "FirstName", "Data": "Read"}, {"FieldName": "LastName", "Data": "Off"},
                {"FieldName": "DocumentNumber", "Data": "X\u{200b}1"}, {"FieldName": "DocumentCountryCode", "Data": "FR"},
                {"FieldName": "YearOfExpiry", "Data": "2030"}, {"FieldName": "MonthOfExpiry", "Data": "2"}, {"FieldName": "DayOfExpiry", "Data": "1"},
            ],
        }]},
    });
    let field = |name: &str, role: &str, value: &str| json!({"name": name, "role": role, "value": [value]});
    let client = json!({
        "id": "c", "profileType": "PERSON", "status": "ACCEPTED",
        "flowData": {"f": {
            "fieldData": {"1": field("First", "first_name", "Typed"), "2": field("Born", "dob", "22/07/1990"), "3": {"name": "Mobile phone", "value": ["+33600000001"]}},
            "fileData": {"9": {"id": "file-9"}},
            "serviceData": [{"nodeType": "trulioo_doc_v", "match": true, "fullServiceDetails": details,
                "watchlistResults": {"Advanced Watchlist": {"watchlistStatus": "Potential Hit"}}}],
        }},
    });
    let row = read("trulioo", client.to_string());
    let told = |names: &[&str]| names.iter().map(|name| row["cells"][*name].clone()).collect::<Vec<_>>();
    assert_eq!(row["issues"], Value::Null, "{row}");
    assert_eq!(
        told(&["status", "first_name", "last_name", "date_of_birth"]),
        ["Approved", "Typed", "Off", "1990-07-22"]
    );
    assert_eq!(
        told(&["document_type", "document_number", "issuing_state", "expiration_date"]),
        ["P", "X1", "FRA", "2030-02-01"]
    );
    assert_eq!(
        told(&["id_verification_status", "liveness_status", "email", "phone"]),
        ["Approved", "Declined", "a@example.com", "+33600000001"]
    );
    let metadata = &row["cells"]["metadata"];
    assert_eq!(metadata["checks"]["aml"], "In Review", "{row}");
    assert_eq!(metadata["source_media"], json!([{"kind": "file", "id": "file-9"}]), "{row}");
}

#[test]
fn a_birthday_that_can_be_read_two_ways_is_left_out() {
    let client = |born: &str| {
        json!({"id": "c", "profileType": "PERSON", "status": "ACCEPTED",
        "flowData": {"f": {"fieldData": {"1": {"role": "dob", "name": "Born", "value": [born]}}}}})
        .to_string()
    };
    for (born, read_as) in [
        ("03/04/1990", Value::Null),
        ("31.12.1990", json!("1990-12-31")),
        ("05-05-1990", json!("1990-05-05")),
        ("12/31/1990", Value::Null),
    ] {
        assert_eq!(read("trulioo", client(born))["cells"]["date_of_birth"], read_as, "{born}");
    }
}

#[test]
fn old_executions_are_approved_only_by_what_tells_who_somebody_is() {
    let execution = |liveness: &str, watchlist: &str| {
        let one = |word: &str| json!([{"decision": {"type": word}}]);
        let record = json!({"workflow": {"id": "w", "status": "PROCESSED"}, "capabilities":
            {"usability": one("PASSED"), "liveness": one(liveness), "watchlistScreening": one(watchlist)}});
        read("jumio", record.to_string())["cells"]["status"].clone()
    };
    assert_eq!(execution("PASSED", "NOT_EXECUTED"), "Approved");
    assert_eq!(execution("NOT_EXECUTED", "PASSED"), "In Review");
    assert_eq!(execution("PASSED", "WARNING"), "In Review");
    assert_eq!(execution("PASSED", "REJECTED"), "Declined");
}

#[test]
fn pictures_of_a_session_are_links_or_names() {
    let record = json!({"interviewId": "i", "onboardingStatus": "ONBOARDING_FINISHED", "scores": {"overall": {"status": "OK"},
        "faceRecognition": {"maskCheck": {"status": "WARN"}}, "idValidation": {"appliedRule": {"name": "young"}}},
        "secondId": {"ocrData": {"typeOfId": "Passport", "documentNumber": "N2"}},
        "images": {"selfie": "https://own.example.com/s.jpg", "croppedBackID": "back-17", "fullFrameFrontID": "A".repeat(5_000)}});
    let row = read("incode", record.to_string());
    let metadata = &row["cells"]["metadata"];
    assert_eq!(row["cells"]["selfie_image_url"], "https://own.example.com/s.jpg", "{row}");
    assert_eq!(metadata["source_media"], json!([{"kind": "back", "id": "back-17"}]), "{row}");
    assert_eq!(
        metadata["source_warnings"],
        json!(["faceRecognition.maskCheck", "appliedRule.young"]),
        "{row}"
    );
    assert_eq!(metadata["other_documents"][0]["number"], "N2", "{row}");
}
