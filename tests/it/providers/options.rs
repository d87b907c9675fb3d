//! Judgement calls: each changes what it says and nothing else, is kept with the import, and is refused where it
//! is about another provider.

use carryover::{
    domain::import::{ImportType, ProviderOptions},
    grpc::pb,
};
use serde_json::{Value, json};

use super::{SAMPLES, rows::read_with};
use crate::{
    harness::{Database, Server},
    on_both_databases,
    shell::Shell,
};

/// What becomes of a record without an option and with it, in one member of its row.
struct Case {
    name: &'static str,
    options: ProviderOptions,
    provider: &'static str,
    record: Value,
    member: &'static str,
    without: Value,
    with: Value,
}

fn sumsub(status: &str, answer: Value) -> Value {
    json!({"id": "a", "inspectionId": "b", "review": {"reviewStatus": status, "reviewResult": answer}})
}

fn persona(status: &str) -> Value {
    json!({
        "data": {"type": "inquiry", "id": "inq_1", "attributes": {"status": status}},
        "included": [{"type": "verification/selfie", "id": "v", "attributes": {"status": "passed"}}],
    })
}

fn metamap(status: &str, document: Value, metadata: Value) -> Value {
    json!({"id": "65eecc0c4a02dd63f1333376", "flow": {"id": "f"}, "identity": {"status": status},
        "documents": [document], "metadata": metadata})
}

fn onfido(sub_result: &str) -> Value {
    json!({
        "check": {"id": "c", "applicant_id": "ap-1", "status": "complete", "result": "consider", "tags": ["x", "user:u-7"]},
        "reports": [{"name": "document", "result": "consider", "sub_result": sub_result}],
    })
}

fn set(change: impl FnOnce(&mut ProviderOptions)) -> ProviderOptions {
    let mut options = ProviderOptions::default();
    change(&mut options);
    options
}

fn cases() -> Vec<Case> {
    let case = |name, provider, options, record, member, without, with| Case {
        name,
        options,
        provider,
        record,
        member,
        without,
        with,
    };
    let retry = json!({"reviewAnswer": "RED", "reviewRejectType": "RETRY"});
    let veriff = json!({"status": "success",
        "verification": {"id": "v", "code": 9103, "status": "resubmission_requested", "vendorData": "u"}});
    let jumio = json!({"workflow": {"id": "w", "status": "PROCESSED", "userReference": "u", "customerInternalReference": "c"},
        "decision": {"type": "PASSED"}});
    let idenfy = json!({"scanRef": "s", "final": false, "status": {"overall": "APPROVED"}});
    let face =
        json!({"scanRef": "s", "type": "AUTHENTICATION", "method": "FACE_MATCHING", "status": "Success"});
    let whole = json!({"type": "passport", "fields": {"fullName": {"value": "Ana Sol"}}});
    vec![
        case(
            "retry",
            "sumsub",
            set(|o| o.sumsub_retry_is_expired = true),
            sumsub("completed", retry),
            "status",
            json!("Declined"),
            json!("Expired"),
        ),
        case(
            "awaiting user",
            "sumsub",
            set(|o| o.sumsub_awaiting_user_is_in_review = true),
            sumsub("awaitingUser", json!({})),
            "status",
            json!("Expired"),
            json!("In Review"),
        ),
        case(
            "key of the user",
            "metamap",
            set(|o| o.metamap_vendor_data_key = "ref".to_owned()),
            metamap("verified", json!({}), json!({"userId": "u", "ref": "r"})),
            "vendor_data",
            json!("u"),
            json!("r"),
        ),
        case(
            "split name",
            "metamap",
            set(|o| o.metamap_full_name_is_split = true),
            metamap("verified", whole, Value::Null),
            "last_name",
            Value::Null,
            json!("Sol"),
        ),
        case(
            "pending days",
            "metamap",
            set(|o| o.metamap_pending_days = Some(30)),
            metamap("postponed", json!({}), Value::Null),
            "status",
            json!("In Review"),
            json!("Expired"),
        ),
        case(
            "resubmission",
            "veriff",
            set(|o| o.veriff_resubmission_is_declined = true),
            veriff,
            "status",
            json!("Expired"),
            json!("Declined"),
        ),
        case(
            "consider",
            "onfido",
            set(|o| o.onfido_consider_is_in_review = true),
            onfido("suspected"),
            "status",
            json!("Declined"),
            json!("In Review"),
        ),
        case(
            "applicant",
            "onfido",
            set(|o| o.onfido_applicant_is_vendor_data = true),
            onfido("clear"),
            "vendor_data",
            Value::Null,
            json!("ap-1"),
        ),
        case(
            "tag",
            "onfido",
            set(|o| o.onfido_vendor_data_tag = "user:".to_owned()),
            onfido("clear"),
            "vendor_data",
            Value::Null,
            json!("u-7"),
        ),
        case(
            "completed",
            "persona",
            set(|o| o.persona_completed_is_in_review = true),
            persona("completed"),
            "status",
            json!("Approved"),
            json!("In Review"),
        ),
        case(
            "pending",
            "persona",
            set(|o| o.persona_pending_is_expired = true),
            persona("pending"),
            "status",
            json!("In Review"),
            json!("Expired"),
        ),
        case(
            "reference",
            "jumio",
            set(|o| o.jumio_internal_reference_is_vendor_data = true),
            jumio,
            "vendor_data",
            json!("u"),
            json!("c"),
        ),
        case(
            "provisional",
            "idenfy",
            set(|o| o.idenfy_provisional_is_final = true),
            idenfy,
            "status",
            json!("In Review"),
            json!("Approved"),
        ),
        case(
            "authentication",
            "idenfy",
            set(|o| o.idenfy_face_authentications = true),
            face,
            "status",
            Value::Null,
            json!("Approved"),
        ),
    ]
}

fn row(options: ProviderOptions, provider: &str, record: &Value) -> Value {
    read_with(options, provider, ImportType::UserVerification, &[record.to_string()]).remove(0)
}

#[test]
fn each_changes_what_it_says() {
    for Case { name, options, provider, record, member, without, with } in cases() {
        let plain = row(ProviderOptions::default(), provider, &record);
        assert_eq!(plain["cells"][member], without, "{name}: {plain}");
        let chosen = row(options, provider, &record);
        assert_eq!((&chosen["cells"][member], &chosen["issues"]), (&with, &Value::Null), "{name}: {chosen}");
    }
}

#[test]
fn what_is_young_still_pends() {
    let young = json!({"id": "a", "createdAt": carryover::clock::now().to_rfc3339(), "flow": {"id": "f"},
        "identity": {"status": "pending"}, "steps": []});
    let row = row(set(|o| o.metamap_pending_days = Some(1)), "metamap", &young);
    assert_eq!(row["cells"]["status"], "In Review", "{row}");
}

#[test]
fn an_outcome_that_nobody_can_tell_fails_where_that_is_asked() {
    let strict = || set(|o| o.unknown_outcome_fails = true);
    for record in [sumsub("flying", json!({})), sumsub("completed", json!({}))] {
        let plain = row(ProviderOptions::default(), "sumsub", &record);
        assert_eq!(
            (&plain["cells"]["status"], &plain["issues"]),
            (&json!("Expired"), &Value::Null),
            "{plain}"
        );
        let refused = row(strict(), "sumsub", &record);
        assert_eq!(refused["issues"][0]["field"], "status", "{refused}");
    }
    for sample in SAMPLES {
        let lines = sample.lines();
        let known = |row: &Value| {
            !row["warnings"].to_string().contains("Expired")
                && !row["warnings"].to_string().contains("in review")
        };
        let plain = read_with(ProviderOptions::default(), sample.provider, sample.import_type, &lines);
        let chosen = read_with(strict(), sample.provider, sample.import_type, &lines);
        for (plain, chosen) in plain.iter().zip(chosen).filter(|(plain, _)| known(plain)) {
            assert_eq!(plain, &chosen, "{}", sample.file);
        }
    }
}

#[test]
fn links_of_the_provider_can_be_left_alone() {
    let photo = json!({"type": "passport", "photos": ["https://media.example.com/f?location=TOKEN"]});
    let mut record = metamap("verified", photo, Value::Null);
    let plain = row(ProviderOptions::default(), "metamap", &record);
    assert_eq!(plain["cells"]["front_image_url"], "https://media.example.com/f?location=TOKEN");
    let kept = row(set(|o| o.links_are_references = true), "metamap", &record);
    assert_eq!(kept["cells"]["front_image_url"], Value::Null, "{kept}");
    let reference = json!([{"kind": "front", "url": "https://media.example.com/f"}]);
    assert_eq!(kept["cells"]["metadata"]["source_media"], reference, "{kept}");
    record["_media"] = json!({"front": "https://own.example.com/f"});
    let own = row(set(|o| o.links_are_references = true), "metamap", &record);
    assert_eq!(own["cells"]["front_image_url"], "https://own.example.com/f", "{own}");
    assert_eq!(own["cells"]["metadata"]["source_media"], reference, "{own}");
}

on_both_databases!(they_are_kept_with_the_import);

async fn they_are_kept_with_the_import(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let shell = Shell::new(&server, &tenant.key);
    let record = sumsub("completed", json!({"reviewAnswer": "RED", "reviewRejectType": "RETRY"}));
    std::fs::write(shell.path("old.ndjson"), record.to_string()).expect("written");
    let import = ["import", "old.ndjson", "--type", "user_verification", "--provider", "sumsub", "--json"];
    let flag = |value| [&import[..], &["--option", value]].concat();
    let job = shell.json(&flag("sumsub_retry_is_expired=true"), 0).await;
    assert_eq!(job["provider_options"]["sumsub_retry_is_expired"], true, "{job}");
    assert_eq!(job["provider_options"]["sumsub_awaiting_user_is_in_review"], false, "{job}");
    let session = tenant.sessions(Default::default()).await.remove(0);
    assert_eq!(session.status(), pb::SessionStatus::Expired);
    for wrong in ["sumsub_retry_is_expired=perhaps", "no_such_option=true", "sumsub_retry_is_expired"] {
        shell.out(&flag(wrong), 2).await;
    }
    for (options, field) in [
        (
            pb::ProviderOptions { idenfy_provisional_is_final: true, ..Default::default() },
            "idenfy_provisional_is_final",
        ),
        (pb::ProviderOptions { metamap_pending_days: Some(0), ..Default::default() }, "metamap_pending_days"),
        (
            pb::ProviderOptions { onfido_vendor_data_tag: "x".repeat(65), ..Default::default() },
            "onfido_vendor_data_tag",
        ),
    ] {
        let provider =
            if field.starts_with("idenfy") { "sumsub" } else { field.split('_').next().expect("a provider") };
        let spec = pb::ImportSpec {
            provider: provider.to_owned(),
            provider_options: Some(options),
            ..tenant.spec()
        };
        let refused = tenant.import_as(spec, "{}").await.expect_err("refused");
        assert!(refused.message().contains(field), "{field}: {refused:?}");
    }
}
