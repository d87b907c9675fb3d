//! Files of other forms, read by a field mapping.

use carryover::{
    domain::import::{ImportType, Mapping},
    grpc::pb::{self, ImportStatus, IssueCode, Role},
};
use serde_json::{Value, json};
use tonic::Code;
use tonic_types::StatusExt;

use crate::{
    harness::{Database, Server, Tenant, assert_refused, codes, counters},
    kinds::spec_of,
    on_both_databases,
    shell::Shell,
};

on_both_databases!(
    the_example_of_the_page_is_read_as_it_says,
    json_lines_are_read_by_paths,
    companies_and_transactions_are_mapped_too,
    status_rules_are_mapped_too,
    odd_values_fail_their_row_or_are_left_out,
    all_that_is_wrong_with_a_mapping_is_told_at_once,
    mapped_rows_are_retried_exported_and_erased,
    a_header_without_its_columns_fails_at_once,
);

const PAGE: &str = include_str!("../../docs/mapping.md");

/// The code block of that kind on the page.
pub fn example(kind: &str) -> String {
    let (_, rest) = PAGE.split_once(&format!("```{kind}\n")).expect("a block");
    rest.split_once("```").expect("its end").0.to_owned()
}

/// A mapping of its JSON.
pub fn mapping(json: &Value) -> pb::Mapping {
    serde_json::from_value::<Mapping>(json.clone()).expect("a mapping").into()
}

fn fields(fields: &Value) -> pb::Mapping {
    mapping(&json!({"fields": fields}))
}

async fn import(tenant: &Tenant, mapping: pb::Mapping, file: &str) -> pb::Import {
    let spec = pb::ImportSpec { mapping: Some(mapping), ..tenant.spec() };
    tenant.import_as(spec, file).await.expect("an import")
}

async fn the_example_of_the_page_is_read_as_it_says(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let shell = Shell::new(&server, &tenant.key);
    std::fs::write(shell.path("people.csv"), example("csv")).expect("written");
    std::fs::write(shell.path("people.json"), example("json")).expect("written");
    let flags = ["people.csv", "--mapping", "people.json", "--type", "user_verification", "--json"];
    let checked = shell.json(&[&["mapping", "check"], &flags[..]].concat(), 0).await;
    let previewed = shell.json(&[&["preview"], &flags[..]].concat(), 0).await;
    assert_eq!(checked, previewed, "with a server and without");
    assert_eq!(checked["csv_delimiter"], ";");
    assert_eq!(
        checked["rows"][0]["fields"],
        json!({
            "external_id": "A-17", "provider": "oldcheck", "vendor_data": "cust-1", "status": "Approved",
            "full_name": "Ana María Silva", "date_of_birth": "1990-03-02", "issuing_state": "ESP",
            "document_number": "X123", "document_type": "Passport", "created_at": "2024-03-11T09:20:00Z",
            "metadata": {"plan": "gold"}
        })
    );
    assert!(tenant.sessions(Default::default()).await.is_empty(), "nothing is imported by looking");

    let job = shell.json(&[&["import"], &flags[..]].concat(), 0).await;
    assert_eq!(json!([job["created_count"], job["failed_count"]]), json!([3, 0]));
    assert_eq!(job["mapping"]["fields"][3]["values"], json!({"OK": "Approved", "KO": "Declined"}));
    assert_eq!(job["ignored_columns"], json!([]));
    let sessions = tenant.sessions(Default::default()).await;
    let found: Vec<_> = sessions
        .iter()
        .rev()
        .map(|s| (s.provider.as_str(), s.external_id.as_str(), s.full_name(), s.status()))
        .collect();
    assert_eq!(
        found,
        [
            ("oldcheck", "A-17", "Ana María Silva", pb::SessionStatus::Approved),
            ("oldcheck", "A-18", "Noor Haddad", pb::SessionStatus::Declined),
            ("oldcheck", "A-19", "Li", pb::SessionStatus::InReview),
        ]
    );
    let kept = tenant.get(job["uuid"].as_str().expect("an id")).await.mapping.expect("a mapping");
    assert_eq!(kept, mapping(&serde_json::from_str(&example("json")).expect("JSON")));
    let again = shell.json(&[&["import"], &flags[..]].concat(), 0).await;
    assert_eq!(again["skipped_count"], 3, "the same rows have the same keys");
}

async fn json_lines_are_read_by_paths(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let by_paths = fields(&json!([
        {"field": "external_id", "sources": ["check.id"]},
        {"field": "status", "sources": ["check.result", "state"], "values": {"1": "Approved", "true": "Approved"}},
        {"field": "first_name", "sources": ["person.names.0", r"person.full\.name"]},
        {"field": "created_at", "sources": ["at"], "date_format": "unix_ms"},
        {"field": "tags", "sources": ["labels"]},
        {"field": "metadata.score", "sources": ["check.score"]},
        {"field": "metadata.raw", "sources": ["check"]}
    ]));
    let file = concat!(
        r#"{"check":{"id":17,"result":1,"score":0.970},"person":{"names":["Zo\u00eb"]},"at":1710148841000,"labels":["x","y"],"external_id":"not this"}"#,
        "\n",
        r#"{"check":{"id":"b","result":null},"state":"TRUE ","person":{"full.name":"Bo"},"labels":[]}"#,
        "\n[1]\n{\"check\":\n{\"check\":{\"id\":1,\"id\":2}}\n{\"check\":{\"id\":[1]}}\n"
    );
    let import = import(&tenant, by_paths, file).await;
    assert_eq!(counters(&import), (2, 0, 4));
    let errors = tenant.row_errors(&import.uuid).await;
    let found: Vec<_> = errors.iter().map(|error| codes(error)[0]).collect();
    assert_eq!(
        found,
        [IssueCode::NotAnObject, IssueCode::BadJson, IssueCode::DuplicateKey, IssueCode::WrongType]
    );
    let mut sessions = tenant.sessions(Default::default()).await;
    sessions.reverse();
    assert_eq!(sessions[0].external_id, "17");
    assert_eq!((sessions[0].full_name(), sessions[1].full_name()), ("Zoë", "Bo"));
    assert!(sessions.iter().all(|session| session.status() == pb::SessionStatus::Approved));
    assert_eq!(sessions[0].created_at.expect("a time").seconds, 1_710_148_841);
    let decision = format!("{:?}", tenant.decision(&sessions[0].session_id).await);
    assert!(decision.contains("NumberValue(0.97)") && decision.contains("\"result\""), "{decision}");
}

async fn companies_and_transactions_are_mapped_too(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let companies = fields(&json!([
        {"field": "external_id", "sources": ["no"]},
        {"field": "company_name", "sources": ["firm"]},
        {"field": "country_code", "sources": ["land"]},
        {"field": "officers_json", "sources": ["people"]},
        {"field": "incorporation_date", "sources": ["since"], "date_format": "%Y%m%d"}
    ]));
    let spec = spec_of(&server, &tenant, ImportType::BusinessVerification).await;
    let file = "no,firm,land,people,since\n7,Brackwater Ltd,GBR,\"[{\"\"name\"\":\"\"Dana\"\"}]\",20010203\n";
    let spec = pb::ImportSpec { mapping: Some(companies), ..spec };
    let import = tenant.import_as(spec, file).await.expect("an import");
    assert_eq!(counters(&import), (1, 0, 0), "{:?}", tenant.row_errors(&import.uuid).await);
    let session_kind = pb::SessionKind::Business as i32;
    let filter = pb::ListSessionsRequest { session_kind, ..Default::default() };
    let company = tenant.sessions(filter).await.remove(0);
    assert_eq!(company.company_name(), "Brackwater Ltd");

    let transactions = fields(&json!([
        {"field": "transaction_id", "sources": ["id"]},
        {"field": "transaction_at", "sources": ["when"]},
        {"field": "transaction_category", "constant": "finance"},
        {"field": "direction", "sources": ["amount_sign"], "values": {"+": "in", "-": "out"}},
        {"field": "amount", "sources": ["money.value"]},
        {"field": "transaction_details.currency", "sources": ["money.unit"]},
        {"field": "subject_vendor_data", "sources": ["who"]},
        {"field": "subject_full_name", "sources": ["name"]}
    ]));
    let spec = spec_of(&server, &tenant, ImportType::Transactions).await;
    let spec = pb::ImportSpec { mapping: Some(transactions), ..spec };
    let file = r#"{"id":"t-1","when":"2024-03-11 09:20","amount_sign":"-","money":{"value":1.5e1,"unit":"EUR"},"who":"w","name":"Ana"}"#;
    let import = tenant.import_as(spec, file).await.expect("an import");
    assert_eq!(counters(&import), (1, 0, 0), "{:?}", tenant.row_errors(&import.uuid).await);
    let listed = tenant.client.transactions().list_transactions(pb::ListTransactionsRequest::default()).await;
    let found = listed.expect("a list").into_inner().transactions.remove(0);
    assert_eq!((found.txn_id.as_str(), found.amount.as_str()), ("t-1", "15"));
    assert_eq!(found.direction(), pb::TransactionDirection::Outbound);
}

async fn status_rules_are_mapped_too(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let rules = fields(&json!([
        {"field": "external_id", "sources": ["no"]},
        {"field": "feature", "sources": ["about.check"], "values": {"paper": "OCR", "face": "FACE_MATCH"}},
        {"field": "field", "sources": ["about.path"]},
        {"field": "operator", "sources": ["is"], "values": {"<": "less_than", "one of": "in"}},
        {"field": "value", "sources": ["than"]},
        {"field": "status", "sources": ["then"], "values": {"stop": "Declined"}, "otherwise": "In Review"},
        {"field": "priority", "sources": ["rank"]}
    ]));
    let spec = spec_of(&server, &tenant, ImportType::StatusRules).await;
    let spec = pb::ImportSpec { mapping: Some(rules), ..spec };
    let file = concat!(
        r#"{"no":1,"about":{"check":"paper","path":"kyc.age"},"is":"<","than":18,"then":"stop","rank":2}"#,
        "\n",
        r#"{"no":2,"about":{"check":"face","path":"face_match.score"},"is":"<","than":60.5,"then":"look"}"#,
        "\n",
        r#"{"no":3,"about":{"check":"paper","path":"kyc.issuing_state"},"is":"one of","than":["PRK","SYR"],"then":"stop","rank":1}"#,
        "\n",
        r#"{"no":4,"about":{"check":"palm","path":"kyc.age"},"is":"<","than":18,"then":"stop"}"#,
        "\n",
    );
    let import = tenant.import_as(spec.clone(), file).await.expect("an import");
    let errors = tenant.row_errors(&import.uuid).await;
    assert_eq!(counters(&import), (3, 0, 1), "{errors:?}");
    assert_eq!((errors[0].row_number, errors[0].issues[0].field.as_str()), (4, "feature"));
    let request = pb::ListStatusRulesRequest { workflow_id: tenant.workflow.clone(), ..Default::default() };
    let listed = tenant.client.workflows().list_status_rules(request).await.expect("a list").into_inner();
    let found: Vec<_> = listed
        .status_rules
        .iter()
        .map(|rule| {
            let value = format!("{:?}", rule.value.as_ref().and_then(|value| value.kind.clone()));
            (rule.external_id(), rule.feature.as_str(), rule.operator.as_str(), value, rule.status())
        })
        .collect();
    let (declined, review) = (pb::RuleStatus::Declined, pb::RuleStatus::InReview);
    assert_eq!(found.len(), 3, "{found:?}");
    let rule = |id: &str| found.iter().find(|rule| rule.0 == id).expect("a rule");
    assert_eq!((rule("1").1, rule("1").2, rule("1").4), ("OCR", "less_than", declined));
    assert_eq!((rule("2").1, rule("2").2, rule("2").4), ("FACE_MATCH", "less_than", review));
    assert_eq!((rule("3").1, rule("3").2, rule("3").4), ("OCR", "in", declined));
    for (id, told) in [("1", "NumberValue(18.0)"), ("2", "NumberValue(60.5)"), ("3", "StringValue(\"SYR\")")]
    {
        assert!(rule(id).3.contains(told), "{:?}", rule(id));
    }
    let again = tenant.import_as(spec, file).await.expect("an import");
    assert_eq!(counters(&again), (0, 3, 1), "the same rows are the same rules");
}

const ODD: &str = "id,outcome,born,mail\na,Approved,1/2/1990,ana@example.com\nb,Approved,1990-02-01,ben@example.com\n\
    c,Approved,3/4/1990,nobody\n,Approved,3/4/1990,\n";

fn odd(lenient: bool) -> pb::Mapping {
    mapping(&json!({"lenient": lenient, "fields": [
        {"field": "external_id", "sources": ["ID"]},
        {"field": "status", "sources": ["outcome"]},
        {"field": "date_of_birth", "sources": ["born"], "date_format": "%d/%m/%Y"},
        {"field": "email", "sources": ["mail"]}
    ]}))
}

async fn odd_values_fail_their_row_or_are_left_out(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let strict = import(&tenant, odd(false), ODD).await;
    assert_eq!(counters(&strict), (1, 0, 3));
    let errors = tenant.row_errors(&strict.uuid).await;
    let told: Vec<_> = errors.iter().map(|error| (error.row_number, error.error.as_str())).collect();
    assert_eq!(
        told,
        [
            (2, "date_of_birth: is not written as the mapping says (%d/%m/%Y)"),
            (3, "email: is not an e-mail address"),
            (4, "external_id: must be given"),
        ]
    );
    assert_eq!(errors[0].issues[0].value, "1*** (10 characters)", "a date of birth is masked");
    let lenient = import(&tenant, odd(true), ODD).await;
    assert_eq!(counters(&lenient), (2, 1, 1), "only a row without a key fails");
    let spec = pb::ImportSpec { mapping: Some(odd(true)), ..tenant.spec() };
    let request = pb::PreviewImportRequest {
        spec: Some(spec),
        data: ODD.as_bytes().to_vec().into(),
        whole: true,
        rows: 0,
    };
    let rows = tenant.client.imports().preview_import(request).await.expect("a preview").into_inner().rows;
    let warned: Vec<_> =
        rows.iter().flat_map(|row| &row.warnings).map(|issue| issue.field.as_str()).collect();
    assert_eq!(warned, ["date_of_birth", "email"]);
}

async fn all_that_is_wrong_with_a_mapping_is_told_at_once(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let wrong = fields(&json!([
        {"field": "shoe_size", "sources": ["a"]},
        {"field": "status", "sources": ["b"], "values": {"OK": "Aproved", "ok ": "Declined", "x": ""},
         "otherwise": "Approved", "constant": "Approved"},
        {"field": "Status", "sources": ["b"]},
        {"field": "first_name"},
        {"field": "last_name", "sources": [" ", "c"], "otherwise": "x", "date_format": "%Y"},
        {"field": "full_name", "sources": ["c"], "join": " "},
        {"field": "date_of_birth", "sources": ["d"], "date_format": "%d/%m/%y"},
        {"field": "created_at", "sources": ["e"], "date_format": "DD/MM"},
        {"field": "issuing_state", "constant": "Spain"},
        {"field": "metadata", "sources": ["f"]},
        {"field": "metadata.g", "sources": ["g"], "date_format": "unix"}
    ]));
    let spec = pb::ImportSpec { mapping: Some(wrong), encoding: "klingon".to_owned(), ..tenant.spec() };
    let request = pb::CreateImportRequest { spec: Some(spec), request_id: String::new() };
    let refused = tenant.client.imports().create_import(request).await;
    let refused = assert_refused(refused, Code::InvalidArgument, "INVALID_FIELDS");
    let violations = refused.get_details_bad_request().expect("violations").field_violations;
    let mut told: Vec<_> = violations.iter().map(|one| one.field.as_str()).collect();
    told.sort_unstable();
    let mut expected = vec![
        "spec.encoding",
        "spec.mapping.fields",
        "spec.mapping.fields[0].field",
        "spec.mapping.fields[1].constant",
        "spec.mapping.fields[1].otherwise",
        "spec.mapping.fields[1].values",
        "spec.mapping.fields[1].values[\"OK\"]",
        "spec.mapping.fields[2].field",
        "spec.mapping.fields[3].sources",
        "spec.mapping.fields[4].date_format",
        "spec.mapping.fields[4].otherwise",
        "spec.mapping.fields[4].sources[0]",
        "spec.mapping.fields[5].join",
        "spec.mapping.fields[6].date_format",
        "spec.mapping.fields[7].date_format",
        "spec.mapping.fields[8].constant",
        "spec.mapping.fields[10].date_format",
        "spec.mapping.fields[10].field",
    ];
    expected.sort_unstable();
    assert_eq!(told, expected, "{violations:?}");
    let last = violations.iter().find(|one| one.field == "spec.mapping.fields").expect("one");
    assert_eq!(last.description, "must map external_id");

    let many: Vec<_> = (0..201).map(|n| json!({"field": format!("metadata.{n}"), "constant": "x"})).collect();
    let long = json!([{"field": "external_id", "sources": ["a"], "constant": "x".repeat(65 << 10)}]);
    for large in [json!(many), long] {
        let spec = pb::ImportSpec { mapping: Some(fields(&large)), ..tenant.spec() };
        let request = pb::CreateImportRequest { spec: Some(spec), request_id: String::new() };
        let refused = tenant.client.imports().create_import(request).await;
        let refused = assert_refused(refused, Code::InvalidArgument, "INVALID_FIELDS");
        assert!(refused.message().contains("at most 200"), "{refused:?}");
    }
    let none = pb::ListImportsRequest::default();
    let imports = tenant.client.imports().list_imports(none).await.expect("a list").into_inner().imports;
    assert!(imports.is_empty());
}

async fn mapped_rows_are_retried_exported_and_erased(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "2"]).await;
    let tenant = server.tenant().await;
    // "status" is the name of a field, and here of a column that is none.
    let by_columns = fields(&json!([
        {"field": "external_id", "sources": ["no"]},
        {"field": "vendor_data", "sources": ["kind", "person"], "join": "-"},
        {"field": "status", "sources": ["verdict"]},
        {"field": "first_name", "sources": ["status"]}
    ]));
    let file = "no,kind,person,verdict,status\n1,p,anna,Approved,Anna\n2,p,ben,Green-ish,Ben\n\
        3,p,anna,Green-ish,Anna\n4,p,ben,Approved,Ben\n";
    let parent = import(&tenant, by_columns, file).await;
    assert_eq!(counters(&parent), (2, 0, 2));
    let error = tenant.row_errors(&parent.uuid).await.remove(0);
    assert_eq!((error.external_id(), error.issues[0].field.as_str()), ("2", "status"));
    assert!(error.raw_row.expect("the row").fields.contains_key("verdict"));

    let retry = |row: Value| {
        let corrections = vec![pb::RowCorrection { row_number: 2, row: row.to_string() }];
        let request =
            pb::RetryImportRequest { import_id: parent.uuid.clone(), corrections, ..Default::default() };
        let mut imports = tenant.client.imports();
        async move { imports.retry_import(request).await }
    };
    let by_field = retry(json!({"external_id": "2"})).await;
    assert_refused(by_field, Code::InvalidArgument, "INVALID_FIELDS");
    let row = json!({"no": "2", "kind": "p", "person": "ben", "verdict": "Declined", "status": "Benjamin"});
    let child = retry(row).await.expect("a retry").into_inner().import.expect("an import");
    let child = tenant.wait(&child.uuid).await;
    assert_eq!(counters(&child), (1, 0, 0));
    assert_eq!(child.mapping, parent.mapping, "a retry reads as its parent");
    let names: Vec<_> =
        tenant.sessions(Default::default()).await.iter().map(|s| s.full_name().to_owned()).collect();
    assert_eq!(names, ["Benjamin", "Ben", "Anna"]);

    let key = server.key(&tenant.application, Role::Operator).await;
    let operator = server.admin.with_key(&key).expect("a client");
    let request = pb::EraseUserRequest { vendor_data: "p-anna".to_owned() };
    operator.entities().erase_user(request).await.expect("erased");
    let outcomes = [pb::RowOutcome::Created, pb::RowOutcome::Failed];
    let left = String::from_utf8(tenant.export(&parent.uuid, &outcomes).await).expect("text");
    assert!(!left.to_lowercase().contains("anna") && left.contains("Green-ish,Ben"), "{left}");
}

async fn a_header_without_its_columns_fails_at_once(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let failed = import(&tenant, odd(false), "id;outcome;e-mail\n1;Approved;x\n").await;
    assert_eq!((failed.status(), failed.last_error_reason()), (ImportStatus::Failed, "MISSING_COLUMN"));
    let told = "the header has no born, mail, which the mapping names; found: id, outcome, e-mail";
    assert_eq!(failed.last_error(), told);
    let twice = import(&tenant, odd(false), "id,outcome,born,mail, Mail\n").await;
    assert_eq!(twice.last_error_reason(), "DUPLICATE_COLUMN");
    let spec = pb::ImportSpec { source_filename: "a.csv".to_owned(), ..tenant.spec() };
    let unknown = tenant.import_as(spec, "id,outcome\n1,Approved\n").await.expect("an import");
    assert_eq!(unknown.last_error_reason(), "MISSING_COLUMN");
    assert!(unknown.last_error().contains("field mapping"), "{}", unknown.last_error());
}
