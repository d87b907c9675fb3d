//! Each rule of business verifications (contract §2.2).

use carryover::{
    domain::import::ImportType,
    grpc::pb::{self, IssueCode},
};
use serde_json::json;

use crate::{
    harness::{Database, Server},
    kinds::{assert_verdicts, passes, refused, spec_of},
    on_both_databases, stored,
};

on_both_databases!(
    each_rule_refuses_its_rows,
    what_is_kept_is_in_the_form_of_the_contract,
    words_that_are_no_role_stay
);

async fn each_rule_refuses_its_rows(database: Database) {
    use IssueCode::{
        BadJson, InvalidValue, NulCharacter, OutOfRange, Required, TooDeep, TooLong, UnsafeUrl, WrongType,
    };
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let spec = spec_of(&server, &tenant, ImportType::BusinessVerification).await;
    let good = json!({"company_name": "Brackwater Tools Ltd", "status": "Approved"});
    let long = |count: usize| "x".repeat(count);
    let verdicts = [
        passes("as it is", json!({})),
        passes("no status", json!({"status": null})),
        passes("a status of another word", json!({"status": "manual_review"})),
        passes("alpha-3 and small", json!({"country_code": "deu"})),
        passes("alpha-2", json!({"country_code": "de"})),
        passes("the other name of an address", json!({"legal_address": "3 Mill Lane"})),
        passes("words with other blanks", json!({"registry_status": "Struck_Off", "risk_level": "low"})),
        passes("a phone as companies write it", json!({"phone": "+44 (0)113 496-0000"})),
        passes("a role nobody knows", json!({"officers": [{"name": "A", "role": "Head of Everything"}]})),
        passes("lists as JSON in a text", json!({"officers_json": "[{\"name\":\"A\"}]"})),
        passes(
            "a share as a number",
            json!({"beneficial_owners": [{"name": "A", "ownership_max_shares": 7.5}]}),
        ),
        passes("the longest name", json!({"company_name": long(255)})),
        passes("members nobody knows", json!({"color": "red", "officers": [{"name": "A", "shoe_size": 44}]})),
        refused("no key", json!({"external_id": null}), &[("external_id", Required)]),
        refused("a blank key", json!({"external_id": "  "}), &[("external_id", Required)]),
        refused("a long key", json!({"external_id": long(256)}), &[("external_id", TooLong)]),
        refused("no name", json!({"company_name": null}), &[("company_name", Required)]),
        refused("a long name", json!({"company_name": long(256)}), &[("company_name", TooLong)]),
        refused("an odd provider", json!({"provider": "No Such!"}), &[("provider", InvalidValue)]),
        refused("no status", json!({"status": "In Progress"}), &[("status", InvalidValue)]),
        refused("no timestamp", json!({"created_at": "2024-01-01"}), &[("created_at", InvalidValue)]),
        refused("tomorrow", json!({"created_at": "2999-01-01T00:00:00Z"}), &[("created_at", OutOfRange)]),
        refused(
            "a long number",
            json!({"registration_number": long(101)}),
            &[("registration_number", TooLong)],
        ),
        refused("a country's name", json!({"country_code": "Germany"}), &[("country_code", InvalidValue)]),
        refused("no country", json!({"country_code": "XX"}), &[("country_code", InvalidValue)]),
        refused("a long region", json!({"region": long(11)}), &[("region", TooLong)]),
        refused("a long type", json!({"company_type": long(101)}), &[("company_type", TooLong)]),
        refused(
            "no date",
            json!({"incorporation_date": "31/12/1990"}),
            &[("incorporation_date", InvalidValue)],
        ),
        refused(
            "not yet",
            json!({"incorporation_date": "2999-01-01"}),
            &[("incorporation_date", OutOfRange)],
        ),
        refused("a long tax number", json!({"tax_number": long(101)}), &[("tax_number", TooLong)]),
        refused(
            "a registry's word",
            json!({"registry_status": "asleep"}),
            &[("registry_status", InvalidValue)],
        ),
        refused(
            "verified how",
            json!({"verification_status": "yes"}),
            &[("verification_status", InvalidValue)],
        ),
        refused("a risk", json!({"risk_level": "EXTREME"}), &[("risk_level", InvalidValue)]),
        refused("long capital", json!({"registered_capital": long(101)}), &[("registered_capital", TooLong)]),
        refused(
            "capital in mills",
            json!({"registered_capital_amount": "1000.005"}),
            &[("registered_capital_amount", OutOfRange)],
        ),
        refused(
            "capital with a comma",
            json!({"registered_capital_amount": "1,000.00"}),
            &[("registered_capital_amount", InvalidValue)],
        ),
        refused(
            "capital in a long word",
            json!({"registered_capital_currency": "EURO"}),
            &[("registered_capital_currency", InvalidValue)],
        ),
        refused("a long site", json!({"website": long(501)}), &[("website", TooLong)]),
        refused("no mail", json!({"email": "nobody"}), &[("email", InvalidValue)]),
        refused("a short phone", json!({"phone": "123456"}), &[("phone", InvalidValue)]),
        refused("a phone of letters", json!({"phone": "CALL-ME-NOW-1234567"}), &[("phone", InvalidValue)]),
        refused(
            "a long LEI",
            json!({"legal_entity_identifier": long(51)}),
            &[("legal_entity_identifier", TooLong)],
        ),
        refused(
            "a long place",
            json!({"location_of_registration": long(256)}),
            &[("location_of_registration", TooLong)],
        ),
        refused("a long VAT number", json!({"vat_number": long(65)}), &[("vat_number", TooLong)]),
        refused("officers that are one", json!({"officers": {"name": "A"}}), &[("officers", WrongType)]),
        refused("officers that are texts", json!({"officers": ["A"]}), &[("officers", WrongType)]),
        refused("officers in broken JSON", json!({"officers_json": "[{"}), &[("officers", BadJson)]),
        refused("a number for a name", json!({"officers": [{"name": 7}]}), &[("officers", WrongType)]),
        refused(
            "two officers with a fault each",
            json!({"officers": [{"role": "director"}, {"name": "B", "appointment_date": "soon"}]}),
            &[("officers[0].name", Required), ("officers[1].appointment_date", InvalidValue)],
        ),
        refused(
            "a role as long as a letter",
            json!({
                "officers": [{"name": "A", "designation": "CEO", "role": long(256)}],
                "beneficial_owners": [{"name": "B", "designation": long(256), "roles": ["ubo", long(256)]}]
            }),
            &[
                ("beneficial_owners[0].designation", TooLong),
                ("beneficial_owners[0].roles", TooLong),
                ("officers[0].role", TooLong),
            ],
        ),
        refused(
            "an owner that is neither",
            json!({"beneficial_owners": [{"name": "A", "entity_type": "robot", "email": "x"}]}),
            &[
                ("beneficial_owners[0].email", InvalidValue),
                ("beneficial_owners[0].entity_type", InvalidValue),
            ],
        ),
        refused(
            "a document of no kind that nobody may fetch",
            json!({"documents": [{"document_type": "NAPKIN", "file_url": "http://h.example/a.pdf"}]}),
            &[("documents[0].document_type", InvalidValue), ("documents[0].file_url", UnsafeUrl)],
        ),
        refused(
            "a document without file",
            json!({"documents": [{}]}),
            &[("documents[0].file_url", Required)],
        ),
        refused("one address", json!({"addresses": {"type": "x"}}), &[("addresses", WrongType)]),
        refused("industries as texts", json!({"industries": ["a"]}), &[("industries", WrongType)]),
        refused("tags that are numbers", json!({"tags": [1]}), &[("tags", WrongType)]),
        refused("101 tags", json!({"tags": vec!["t"; 101]}), &[("tags", TooLong)]),
        refused("metadata as a list", json!({"metadata": []}), &[("metadata", WrongType)]),
        refused("metadata with a NUL", json!({"metadata": {"a": "\u{0}"}}), &[("metadata", NulCharacter)]),
        refused("deep metadata", json!({"metadata": deep(65)}), &[("metadata", TooDeep)]),
        refused(
            "everything at once",
            json!({
                "company_name": "", "status": "?", "country_code": "Germany", "email": "x", "tags": {},
                "created_at": "now", "region": long(11), "officers": [{}], "metadata": 1
            }),
            &[
                ("company_name", Required),
                ("country_code", InvalidValue),
                ("created_at", InvalidValue),
                ("email", InvalidValue),
                ("metadata", WrongType),
                ("officers[0].name", Required),
                ("region", TooLong),
                ("status", InvalidValue),
                ("tags", WrongType),
            ],
        ),
    ];
    assert_verdicts(&tenant, spec, &good, &verdicts).await;
}

/// An object that many levels deep.
fn deep(levels: usize) -> serde_json::Value {
    (1..levels).fold(json!({}), |inner, _| json!({"k": inner}))
}

async fn what_is_kept_is_in_the_form_of_the_contract(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let spec = spec_of(&server, &tenant, ImportType::BusinessVerification).await;
    let row = json!({
        "external_id": " k ", "company_name": "A", "country_code": "gbr", "registry_status": "STRUCK-OFF",
        "registered_capital_amount": "1000.00", "alternative_names": ["B", "C"], "tags": "x, y",
        "officers": [{"name": " Dana ", "role": "Head of Everything"}, {"name": "E", "role": "Chairman", "is_active": false}],
        "beneficial_owners": [{"name": "H", "company_name": "H AS", "roles": ["UBO"], "ownership_max_shares": 50}],
    });
    // A number's digits are kept, however many: it is written as they are, not as JSON of this test would.
    let row = row
        .to_string()
        .replace("\"ownership_max_shares\":50", "\"ownership_max_shares\":0.1000000000000000055");
    let import = tenant.import_as(spec, row).await.expect("an import");
    assert_eq!(import.created_count, 1);
    let select = "SELECT external_id, provider, status, country_code FROM business_sessions";
    let kept = &stored::rows(&server, select).await[0];
    assert_eq!(
        serde_json::Value::Object(kept.clone()),
        json!({"external_id": "k", "provider": "generic", "status": "Expired", "country_code": "GB"})
    );
    let details =
        &stored::texts(&server, "SELECT CAST(details AS TEXT) AS details FROM business_sessions").await[0];
    let details: serde_json::Value = serde_json::from_str(details).expect("JSON");
    assert_eq!(
        details,
        json!({
            "registry_status": "struck off", "registered_capital_amount": "1000",
            "alternative_names": ["B", "C"], "tags": ["x", "y"],
            "officers": [
                {"name": "Dana", "designation": "Head of Everything", "role": "other", "is_active": true},
                {"name": "E", "role": "chairman", "is_active": false},
            ],
            "beneficial_owners": [{
                "name": "H", "entity_type": "company", "company_name": "H AS", "roles": ["ubo"],
                "ownership_max_shares": "0.1000000000000000055", "is_active": true
            }],
        })
    );
}

/// Beside a designation, and beside each other.
async fn words_that_are_no_role_stay(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let spec = spec_of(&server, &tenant, ImportType::BusinessVerification).await;
    let cases = [
        (json!(null), vec!["Director"], None),
        (json!("CEO"), vec!["director"], Some("CEO")),
        (json!(null), vec!["other"], None),
        (json!(null), vec!["Keeper of Keys"], Some("Keeper of Keys")),
        (json!("CEO"), vec![" Keeper of Keys "], Some("CEO; Keeper of Keys")),
        (json!("CEO"), vec!["CEO"], Some("CEO")),
        (json!(" "), vec!["Keeper"], Some("Keeper")),
        (json!("CEO"), vec!["ubo", "Keeper", "Cook", "Keeper"], Some("CEO; Keeper; Cook")),
    ];
    let officers: Vec<_> = (cases.iter().filter(|(_, roles, _)| roles.len() == 1))
        .map(|(designation, roles, _)| json!({"name": "A", "designation": designation, "role": roles[0]}))
        .collect();
    let owners: Vec<_> = (cases.iter())
        .map(|(designation, roles, _)| json!({"name": "A", "designation": designation, "roles": roles}))
        .collect();
    let row = json!({
        "external_id": "k", "company_name": "A", "officers": officers, "beneficial_owners": owners
    });
    let import = tenant.import_as(spec, row.to_string()).await.expect("an import");
    assert_eq!(import.created_count, 1);
    let companies =
        pb::ListSessionsRequest { session_kind: pb::SessionKind::Business as i32, ..Default::default() };
    let session = tenant.sessions(companies).await.remove(0);
    let check = tenant.decision(&session.session_id).await.key_people_checks.remove(0);
    let registry = check.registry.expect("a registry");
    let wanted: Vec<_> = cases.iter().map(|(_, _, wanted)| *wanted).collect();
    let found: Vec<_> = registry.officers.iter().map(|officer| officer.designation.as_deref()).collect();
    assert_eq!(found, wanted[..officers.len()]);
    let found: Vec<_> = registry.beneficial_owners.iter().map(|owner| owner.designation.as_deref()).collect();
    assert_eq!(found, wanted);
    assert_eq!(registry.officers[4].role(), "other");
    assert_eq!(registry.beneficial_owners[7].roles, ["ubo", "other", "other", "other"]);
}
