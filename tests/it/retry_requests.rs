//! What a retry may be asked for, and how it is told what cannot be.

use carryover::grpc::pb::{self, ImportStatus, IssueCode};
use serde_json::json;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::{
    harness::{Database, Server, Tenant, assert_refused, counters, fact},
    on_both_databases,
    shell::Shell,
};

on_both_databases!(
    codes_need_every_row_error,
    a_retry_has_no_thresholds,
    a_request_id_belongs_to_its_corrections,
    a_repeated_request_is_answered_whatever_became_of_the_parent,
    corrections_name_columns_or_fields,
    too_many_corrections_are_refused,
    a_thousand_faults_are_told_in_short,
    corrections_from_a_shell,
);

async fn retry(tenant: &Tenant, request: pb::RetryImportRequest) -> Result<pb::Import, Status> {
    let answer = tenant.client.imports().retry_import(request).await?;
    let import = answer.into_inner().import.expect("an import");
    Ok(tenant.wait(&import.uuid).await)
}

fn all(id: &str) -> pb::RetryImportRequest {
    pb::RetryImportRequest { import_id: id.to_owned(), ..Default::default() }
}

fn correction(row_number: i64, row: &str) -> pb::RowCorrection {
    pb::RowCorrection { row_number, row: row.to_owned() }
}

fn violations(status: &Status) -> Vec<(String, String)> {
    let violations = status.get_details_bad_request().expect("BadRequest").field_violations;
    violations.into_iter().map(|violation| (violation.field, violation.description)).collect()
}

/// Two good rows, and four that fail.
const PEOPLE: &str =
    "external_id,status\na,Approved\nb,Unheard\nc,Unheard\nd,Approved\ne,Unheard\nf,Unheard\n";

async fn codes_need_every_row_error(database: Database) {
    let server = Server::start_with(database, &["--max-stored-row-errors", "3"]).await;
    let tenant = server.tenant().await;
    let parent = tenant.import(PEOPLE).await;
    assert_eq!((parent.failed_count, parent.stored_error_count), (4, 3));
    let codes = vec![IssueCode::InvalidValue as i32];
    let by_code = pb::RetryImportRequest { codes: codes.clone(), ..all(&parent.uuid) };
    let refused =
        assert_refused(retry(&tenant, by_code).await, Code::FailedPrecondition, "ROW_ERRORS_NOT_KEPT");
    assert!(refused.message().contains("4 rows") && refused.message().contains("3 row errors"), "{refused}");
    assert_eq!(
        (fact(&refused, "failed_count"), fact(&refused, "stored_error_count")),
        ("4".into(), "3".into())
    );
    let by_row = pb::RetryImportRequest { first_row: 5, ..all(&parent.uuid) };
    assert_eq!(counters(&retry(&tenant, by_row).await.expect("a retry")), (0, 0, 2));
    let child = retry(&tenant, pb::RetryImportRequest { last_row: 5, ..all(&parent.uuid) }).await;
    let child = child.expect("a retry");
    assert_eq!((child.failed_count, child.stored_error_count), (3, 3));
    let by_code = pb::RetryImportRequest { codes, ..all(&child.uuid) };
    assert_eq!(counters(&retry(&tenant, by_code).await.expect("every row error is kept")), (0, 0, 3));
}

async fn a_retry_has_no_thresholds(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "2", "--segments-in-flight", "1"]).await;
    let tenant = server.tenant().await;
    let spec = pb::ImportSpec {
        max_failed_rows: Some(3),
        max_failed_ratio: Some(0.9),
        failed_ratio_min_rows: Some(2),
        ..tenant.spec()
    };
    let parent = tenant.import_as(spec, PEOPLE).await.expect("an import");
    assert_eq!((parent.status(), counters(&parent)), (ImportStatus::Failed, (2, 0, 4)));
    let child = retry(&tenant, all(&parent.uuid)).await.expect("a retry");
    assert_eq!((child.status(), counters(&child)), (ImportStatus::Completed, (0, 0, 4)));
    assert_eq!(
        (child.max_failed_rows, child.max_failed_ratio, child.failed_ratio_min_rows),
        (None, None, None)
    );
}

async fn a_request_id_belongs_to_its_corrections(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let parent = tenant.import(PEOPLE).await;
    let row = |status: &str| correction(2, &json!({"external_id": "b", "status": status}).to_string());
    let other_row = correction(3, r#"{"external_id": "c", "status": "Approved"}"#);
    let request =
        |corrections| pb::RetryImportRequest { request_id: "r".to_owned(), corrections, ..all(&parent.uuid) };
    let first = retry(&tenant, request(vec![row("Unheard of")])).await.expect("a retry");
    assert_eq!(counters(&first), (0, 0, 1));
    let again = retry(&tenant, request(vec![row("Unheard of")])).await.expect("the same");
    assert_eq!(again.uuid, first.uuid);
    for corrections in [vec![row("Approved")], vec![other_row], vec![]] {
        let answer = retry(&tenant, request(corrections)).await;
        assert_refused(answer, Code::AlreadyExists, "REQUEST_ID_REUSED");
    }
}

async fn a_repeated_request_is_answered_whatever_became_of_the_parent(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let parent = tenant.import(PEOPLE).await;
    let corrections = vec![correction(2, r#"{"external_id": "b", "status": "Approved"}"#)];
    let request = pb::RetryImportRequest { request_id: "r".to_owned(), corrections, ..all(&parent.uuid) };
    let child = retry(&tenant, request.clone()).await.expect("a retry");
    let key = server.key(&tenant.application, pb::Role::Operator).await;
    let operator = server.admin.with_key(&key).expect("a client");
    let revert = pb::RevertImportRequest { import_id: parent.uuid.clone() };
    operator.imports().revert_import(revert).await.expect("it begins");
    assert_eq!(tenant.wait(&parent.uuid).await.status(), ImportStatus::Reverted);
    let again = retry(&tenant, request.clone()).await.expect("the same");
    assert_eq!((&again.uuid, counters(&again)), (&child.uuid, (1, 0, 0)));
    let other = pb::RetryImportRequest { last_row: 3, ..request };
    assert_refused(retry(&tenant, other).await, Code::AlreadyExists, "REQUEST_ID_REUSED");
    assert_refused(retry(&tenant, all(&parent.uuid)).await, Code::FailedPrecondition, "WRONG_IMPORT_STATUS");
}

async fn corrections_name_columns_or_fields(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let csv = "External_ID,status,metadata_json,Shoe Size\n\
        a,Approved,{torn,41\nb,Approved,{torn,42\nc,Approved,{torn,43\n";
    let parent = tenant.import(csv).await;
    assert_eq!(counters(&parent), (0, 0, 3));
    let named = &tenant.row_errors(&parent.uuid).await[0].issues[0];
    assert_eq!(named.field, "metadata", "a row error names the field");
    let twice = correction(3, r#"{"external_id": "c", "metadata": {}, "metadata_json": "{}"}"#);
    let request = pb::RetryImportRequest { corrections: vec![twice], ..all(&parent.uuid) };
    let refused = assert_refused(retry(&tenant, request).await, Code::InvalidArgument, "INVALID_FIELDS");
    let [(field, text)] = &violations(&refused)[..] else { panic!("{refused:?}") };
    assert!(field == "corrections[0].row" && text.contains("\"metadata_json\" twice"), "{refused}");
    let corrections = vec![
        correction(1, r#"{"external_id": "a", "status": "Approved", "metadata": {"n": 1}, "Shoe Size": 4}"#),
        correction(2, r#"{"External_ID": "b", "Metadata_JSON": "{\"n\": 2}"}"#),
        correction(3, r#"{" EXTERNAL_ID ": "c", "metadata_json": {"n": 3}}"#),
    ];
    let request = pb::RetryImportRequest { corrections, ..all(&parent.uuid) };
    let child = retry(&tenant, request).await.expect("a retry");
    assert_eq!(counters(&child), (3, 0, 0), "{:?}", tenant.row_errors(&child.uuid).await);
    let created = tenant.export(&child.uuid, &[pb::RowOutcome::Created]).await;
    let created = String::from_utf8(created).expect("text");
    let rows: Vec<_> = created.lines().collect();
    assert_eq!(
        rows[..3],
        ["External_ID,status,metadata_json,Shoe Size", r#"a,Approved,"{""n"": 1}",4"#, r#"b,,"{""n"": 2}","#,]
    );
}

async fn too_many_corrections_are_refused(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let csv: String = (0..10_001).map(|n| format!("k{n},Unheard\n")).collect();
    let parent = tenant.import(format!("external_id,status\n{csv}")).await;
    assert_eq!(parent.failed_count, 10_001);
    let mended = |n| correction(n, &json!({"external_id": format!("k{n}")}).to_string());
    let mut corrections: Vec<_> = (1..=10_001).map(mended).collect();
    let request = pb::RetryImportRequest { corrections: corrections.clone(), ..all(&parent.uuid) };
    let refused = assert_refused(retry(&tenant, request).await, Code::InvalidArgument, "INVALID_FIELDS");
    let [(field, text)] = &violations(&refused)[..] else { panic!("{refused:?}") };
    assert!(field == "corrections" && text.contains("10,000"), "{refused}");
    corrections.pop();
    let request = pb::RetryImportRequest { corrections, ..all(&parent.uuid) };
    assert_eq!(counters(&retry(&tenant, request).await.expect("a retry")), (10_000, 0, 0));
}

async fn a_thousand_faults_are_told_in_short(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let parent = tenant.import(PEOPLE).await;
    let bad = |row: &str| {
        let corrections = (0..5_000).map(|n| correction(1_000 + n, row)).collect();
        pb::RetryImportRequest { corrections, ..all(&parent.uuid) }
    };
    let refused = assert_refused(retry(&tenant, bad("{}")).await, Code::InvalidArgument, "INVALID_FIELDS");
    let told = violations(&refused);
    assert!((20..=50).contains(&told.len()), "{}", told.len());
    assert_eq!(told[0].0, "corrections[0].row_number");
    let more = (5_000 - told.len()).to_string();
    assert!(refused.message().ends_with(&format!("; and {more} more")), "{refused}");
    assert_eq!(refused.message().matches("has not failed").count(), told.len());
    assert_eq!(fact(&refused, "more"), more);
    // Names of columns are as long as a caller likes.
    let long = json!({"ł".repeat(50_000): 1}).to_string();
    let corrections = (0..4).map(|n| correction([2, 3, 5, 6][n], &long)).collect();
    let request = pb::RetryImportRequest { corrections, ..all(&parent.uuid) };
    let refused = assert_refused(retry(&tenant, request).await, Code::InvalidArgument, "INVALID_FIELDS");
    let (field, text) = &violations(&refused)[0];
    assert!(field == "corrections[0].row" && text.starts_with("the source has no column"), "{refused}");

    let shell = Shell::new(&server, &tenant.key);
    let line = |n: i64| json!({"row_number": 1_000 + n, "raw_row": {}}).to_string() + "\n";
    std::fs::write(shell.path("bad.ndjson"), (0..60).map(line).collect::<String>()).expect("written");
    let output = shell.run(&["retry", &parent.uuid, "--corrected", "bad.ndjson"]).await;
    let error = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(2), "{error}");
    let lines = error.lines().filter(|line| line.contains("has not failed"));
    assert!(lines.clone().all(|line| line.matches("corrections[").count() == 1), "one a line: {error}");
    let more = 60 - lines.count();
    assert!(error.lines().any(|line| line.trim() == format!("and {more} more")), "{error}");
}

async fn corrections_from_a_shell(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let shell = Shell::new(&server, &tenant.key);
    let parent = tenant.import(PEOPLE).await;
    let retry = ["retry", &parent.uuid, "--json", "--corrected"];
    let told = async |file: &str, text: &str| {
        std::fs::write(shell.path(file), text).expect("written");
        let output = shell.run(&[&retry[..], &[file]].concat()).await;
        let error = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(2), "{error}");
        error
    };
    for empty in ["", "\n  \n"] {
        let error = told("empty.ndjson", empty).await;
        assert!(error.contains("empty.ndjson holds no row"), "{error}");
    }
    let line = |n: i64, size: usize| {
        json!({"row_number": n, "raw_row": {"external_id": "x".repeat(size)}}).to_string() + "\n"
    };
    let error = told("large.ndjson", &(1..=50).map(|n| line(n, 100 << 10)).collect::<String>()).await;
    assert!(error.contains("the first 40 ") && error.contains("4 MiB") && error.contains("split"), "{error}");
    let error = told("long.ndjson", &(1..=10_002).map(|n| line(n, 1)).collect::<String>()).await;
    assert!(error.contains("10,002") && error.contains("the first 10,000 "), "{error}");
    let page = tenant.client.imports().list_imports(pb::ListImportsRequest::default()).await.expect("a page");
    assert_eq!(page.into_inner().imports.len(), 1, "nothing was retried");

    let errors = shell.out(&["errors", &parent.uuid, "--json"], 0).await;
    assert!(errors.contains("\"raw_row\":{"), "{errors}");
    let mended = errors.lines().take(3).map(|line| line.replace("\"Unheard\"}", "\"Approved\"}") + "\n");
    let child = shell.json_of(&[&retry[..], &["-"]].concat(), &mended.collect::<String>(), 0).await;
    assert_eq!((&child["created_count"], &child["failed_count"]), (&json!(3), &json!(0)));
}
