//! Warnings: kept beside what became of their rows, counted beyond a limit, and read back.

use carryover::{
    domain::import::ImportType,
    grpc::pb::{self, ImportStatus, IssueCode, IssueSeverity, Role, RowOutcome},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use crate::{
    harness::{Database, Server, Tenant, assert_refused, chunk, codes, counters, fact, finish, resume},
    kinds::spec_of,
    limits::set_limits,
    on_both_databases,
    shell::Shell,
    waits::eventually,
};

on_both_databases!(
    every_row_has_its_own_whatever_becomes_of_it,
    they_add_up_however_segments_are_settled,
    they_are_kept_up_to_a_limit_and_counted_beyond,
    rules_have_theirs,
    they_stream_while_the_import_runs,
    pages_of_warnings_are_no_pages_of_errors,
    rows_with_warnings_are_exported,
    who_is_erased_is_in_none,
    they_go_with_their_source,
    a_retry_has_its_own,
    the_program_shows_them,
);

/// Warnings of a row that [`record`] makes with `odd`.
const ODD: [IssueCode; 2] = [IssueCode::Sandbox, IssueCode::InvalidDate];

/// An applicant as Sumsub gives them out: `odd` ones are of the sandbox and born on no day, and those without an
/// answer fail.
fn record(key: usize, odd: bool, answered: bool) -> String {
    let odd = if odd { r#""sandboxMode":true,"# } else { "" };
    let born = if odd.is_empty() { "1979-01-02" } else { "1979-00-00" };
    let answer = if answered {
        r#","review":{"reviewStatus":"completed","reviewResult":{"reviewAnswer":"GREEN"}}"#
    } else {
        ""
    };
    format!(
        r#"{{"id":"w-{key}","inspectionId":"i-{key}","externalUserId":"u-{key}",{odd}"info":{{"firstName":"Noor","dob":"{born}"}}{answer}}}"#
    ) + "\n"
}

/// Rows by their number, from 1: each third is odd, each fifth fails, and each seventh repeats row 1.
fn records(rows: usize) -> String {
    let key = |row: usize| if row.is_multiple_of(7) { 1 } else { row };
    (1..=rows).map(|row| record(key(row), row.is_multiple_of(3), !row.is_multiple_of(5))).collect()
}

fn sumsub(tenant: &Tenant) -> pb::ImportSpec {
    pb::ImportSpec { provider: "sumsub".to_owned(), ..tenant.spec() }
}

async fn import(tenant: &Tenant, rows: &str) -> pb::Import {
    tenant.import_as(sumsub(tenant), rows).await.expect("an import")
}

async fn warnings(tenant: &Tenant, id: &str) -> Vec<pb::RowError> {
    tenant.row_issues(id, IssueSeverity::Warning).await
}

fn numbers(rows: &[pb::RowError]) -> Vec<i64> {
    rows.iter().map(|row| row.row_number).collect()
}

/// Every third number.
fn thirds(rows: i64) -> Vec<i64> {
    (1..=rows).filter(|row| row % 3 == 0).collect()
}

fn counts(import: &pb::Import) -> (i64, i64) {
    (import.warning_count, import.stored_warning_count)
}

async fn export(tenant: &Tenant, id: &str, outcomes: &[RowOutcome]) -> Result<String, Status> {
    let request = pb::ExportRowsRequest {
        import_id: id.to_owned(),
        outcomes: outcomes.iter().map(|outcome| *outcome as i32).collect(),
        severity: IssueSeverity::Warning as i32,
    };
    let mut stream = tenant.client.imports().export_rows(request).await?.into_inner();
    let mut file = Vec::new();
    while let Some(message) = stream.message().await? {
        file.extend_from_slice(&message.data);
    }
    Ok(String::from_utf8(file).expect("text"))
}

async fn every_row_has_its_own_whatever_becomes_of_it(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "2"]).await;
    let tenant = server.tenant().await;
    // One that is created, one that fails, one whose key stands before, and one without any.
    let rows =
        record(1, true, true) + &record(2, true, false) + &record(1, true, true) + &record(3, false, true);
    for dry_run in [true, false, false] {
        let spec = pb::ImportSpec { dry_run, ..sumsub(&tenant) };
        let import = tenant.import_as(spec, &rows).await.expect("an import");
        assert_eq!((import.failed_count, counts(&import)), (1, (6, 6)), "{import:?}");
        let warned = warnings(&tenant, &import.uuid).await;
        assert_eq!(numbers(&warned), [1, 2, 3], "dry run: {dry_run}");
        for row in &warned {
            assert_eq!(codes(row), ODD);
            assert!(row.issues.iter().all(|issue| issue.severity() == IssueSeverity::Warning), "{row:?}");
            assert_eq!(row.error, "the record is of a sandbox; date_of_birth: left out: it is no date");
        }
        let second = &warned[1];
        let begins = record(1, true, true).len() as i64;
        assert_eq!((second.line_number, second.byte_offset, second.external_id()), (2, begins, "w-2"));
        let raw = second.raw_row.as_ref().expect("the row as it was sent");
        assert!(raw.fields.contains_key("sandboxMode"), "{raw:?}");

        let errors = tenant.row_errors(&import.uuid).await;
        assert_eq!((numbers(&errors), codes(&errors[0])), (vec![2], vec![IssueCode::Required]));
        assert_eq!(errors[0].issues[0].severity(), IssueSeverity::Error);
        assert_ne!(errors[0].uuid, second.uuid, "a row that failed and has warnings is two things to tell");
        assert_eq!(warned, warnings(&tenant, &import.uuid).await, "ids stay the same");
    }
}

async fn they_add_up_however_segments_are_settled(database: Database) {
    let rows = records(200);
    for flags in [
        ["--segment-rows", "1000", "--segments-in-flight", "1"],
        ["--segment-rows", "3", "--segments-in-flight", "4"],
    ] {
        let server = Server::start_with(database, &flags).await;
        let tenant = server.tenant().await;
        for turn in ["all are new", "all are known"] {
            let import = import(&tenant, &rows).await;
            assert_eq!((import.failed_count, counts(&import)), (40, (132, 132)), "{flags:?}, {turn}");
            assert_eq!(numbers(&warnings(&tenant, &import.uuid).await), thirds(200), "{flags:?}, {turn}");
        }
    }
}

async fn they_are_kept_up_to_a_limit_and_counted_beyond(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "5", "--max-stored-warnings", "7"]).await;
    let (own, servers) = (server.tenant().await, server.tenant().await);
    set_limits(&server, &own, pb::ApplicationLimits { stored_warnings: Some(0), ..Default::default() }).await;
    for (tenant, limit) in [(&own, 0), (&servers, 7)] {
        let import = import(tenant, &records(60)).await;
        assert_eq!((import.status(), counts(&import)), (ImportStatus::Completed, (40, limit)));
        let kept: usize = warnings(tenant, &import.uuid).await.iter().map(|row| row.issues.len()).sum();
        assert_eq!(kept as i64, limit);
        assert_eq!(tenant.row_errors(&import.uuid).await.len(), 12, "row errors have a limit of their own");
        let refused = export(tenant, &import.uuid, &[]).await;
        let refused = assert_refused(refused, Code::FailedPrecondition, "WARNINGS_NOT_KEPT");
        let facts = (fact(&refused, "warning_count"), fact(&refused, "stored_warning_count"));
        assert_eq!(facts, ("40".to_owned(), limit.to_string()));
    }
}

async fn rules_have_theirs(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "2", "--max-stored-warnings", "3"]).await;
    let tenant = server.tenant().await;
    let rows: String =
        (0..5).map(|n| format!("{{\"id\":\"r-{n}\",\"inspectionId\":\"i\",\"info\":\"text\"}}\n")).collect();
    let spec = pb::ImportSpec {
        provider: "sumsub".to_owned(),
        ..spec_of(&server, &tenant, ImportType::StatusRules).await
    };
    let import = tenant.import_as(spec, rows).await.expect("an import");
    assert_eq!((counters(&import), counts(&import)), ((0, 0, 5), (5, 3)));
    let warned = warnings(&tenant, &import.uuid).await;
    assert_eq!((numbers(&warned), codes(&warned[0])), (vec![1, 2, 3], vec![IssueCode::WrongType]));
}

async fn they_stream_while_the_import_runs(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "5"]).await;
    let tenant = server.tenant().await;
    let rows = records(60);
    let request = pb::CreateImportRequest { spec: Some(sumsub(&tenant)), request_id: String::new() };
    let id = tenant
        .client
        .imports()
        .create_import(request)
        .await
        .expect("made")
        .into_inner()
        .import
        .expect("one")
        .uuid;
    let request = pb::StreamRowErrorsRequest {
        import_id: id.clone(),
        after_row: 5,
        follow: true,
        severity: IssueSeverity::Warning as i32,
    };
    let mut stream = tenant.client.imports().stream_row_errors(request).await.expect("a stream").into_inner();
    let (sender, receiver) = mpsc::channel(4);
    let mut client = tenant.client.imports();
    let upload = tokio::spawn(async move { client.upload_import(ReceiverStream::new(receiver)).await });
    let half = rows.len() / 2;
    sender.send(resume(&id, 0)).await.expect("sent");
    sender.send(chunk(0, &rows.as_bytes()[..half])).await.expect("sent");
    let mut seen = Vec::new();
    while seen.len() < 5 {
        let message = stream.message().await.expect("a message").expect("rows come while the upload goes on");
        seen.push(message.row_error.expect("a row"));
    }
    sender.send(chunk(half, &rows.as_bytes()[half..])).await.expect("sent");
    sender.send(finish(rows.len())).await.expect("sent");
    drop(sender);
    upload.await.expect("a task").expect("an answer");
    while let Some(message) = stream.message().await.expect("a message") {
        seen.push(message.row_error.expect("a row"));
    }
    assert_eq!(numbers(&seen), thirds(60)[1..], "each once, in row order, behind after_row");
    assert_eq!(seen, warnings(&tenant, &id).await[1..], "whole rows");
}

async fn pages_of_warnings_are_no_pages_of_errors(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let id = import(&tenant, &records(60)).await.uuid;
    let page = async |severity: i32, page_token: String| {
        let request = pb::ListRowErrorsRequest { import_id: id.clone(), page_size: 4, page_token, severity };
        tenant.client.imports().list_row_errors(request).await.map(tonic::Response::into_inner)
    };
    let (errors, warned) = (IssueSeverity::Error as i32, IssueSeverity::Warning as i32);
    let first = page(warned, String::new()).await.expect("a page");
    assert_eq!(numbers(&first.row_errors), [3, 6, 9, 12], "a page counts rows");
    let second = page(warned, first.next_page_token.clone()).await.expect("a page");
    assert_eq!(numbers(&second.row_errors), [15, 18, 21, 24]);
    let mixed = page(errors, first.next_page_token).await;
    assert_refused(mixed, Code::InvalidArgument, "INVALID_FIELDS");
    assert_refused(page(7, String::new()).await, Code::InvalidArgument, "INVALID_FIELDS");
    let unnamed = page(0, String::new()).await.expect("a page");
    assert_eq!(numbers(&unnamed.row_errors), [5, 10, 15, 20], "errors, where nobody says");
}

async fn rows_with_warnings_are_exported(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "4"]).await;
    let tenant = server.tenant().await;
    let rows = records(30);
    let id = import(&tenant, &rows).await.uuid;
    let lines: Vec<_> = rows.lines().collect();
    let meant = |keep: fn(usize) -> bool| -> String {
        (1..=30).filter(|row| row % 3 == 0 && keep(*row)).map(|row| format!("{}\n", lines[row - 1])).collect()
    };
    assert_eq!(export(&tenant, &id, &[]).await.expect("a file"), meant(|_| true));
    assert_eq!(export(&tenant, &id, &[RowOutcome::Failed]).await.expect("a file"), meant(|row| row % 5 == 0));
    let skipped = export(&tenant, &id, &[RowOutcome::Skipped]).await.expect("a file");
    assert_eq!(skipped, meant(|row| row % 7 == 0), "they stand twice in the file");
}

async fn who_is_erased_is_in_none(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "2"]).await;
    let tenant = server.tenant().await;
    let rows = record(1, true, true) + &record(2, true, true);
    let id = import(&tenant, &rows).await.uuid;
    let operator =
        server.admin.with_key(&server.key(&tenant.application, Role::Operator).await).expect("a client");
    let request = pb::EraseUserRequest { vendor_data: "u-1".to_owned() };
    operator.entities().erase_user(request).await.expect("erased");
    let warned = warnings(&tenant, &id).await;
    assert_eq!(numbers(&warned), [1, 2], "the account of warnings stays");
    assert_eq!(codes(&warned[0]), [IssueCode::Erased; 2]);
    assert_eq!((codes(&warned[1]).as_slice(), warned[1].external_id()), (&ODD[..], "w-2"));
    let told = format!("{:?}", warned[0]);
    assert!(warned[0].external_id.is_none() && !told.contains("w-1") && !told.contains("Noor"), "{told}");
    assert_eq!(counts(&tenant.get(&id).await), (4, 4));
}

async fn they_go_with_their_source(database: Database) {
    let server = Server::start_with(database, &["--sweep-seconds", "1"]).await;
    let (brief, long) = (server.tenant().await, server.tenant().await);
    let limits = pb::ApplicationLimits { source_retention_days: Some(0), ..Default::default() };
    set_limits(&server, &brief, limits).await;
    let kept = import(&long, &records(9)).await.uuid;
    let id = import(&brief, &records(9)).await.uuid;
    let deleted = eventually("the source is deleted", async || {
        Some(brief.get(&id).await).filter(|import| import.source_deleted_at.is_some())
    })
    .await;
    assert_eq!(counts(&deleted), (6, 0), "how many there were stays known");
    assert_eq!(warnings(&brief, &id).await, []);
    assert_refused(export(&brief, &id, &[]).await, Code::FailedPrecondition, "SOURCE_GONE");
    assert_eq!(numbers(&warnings(&long, &kept).await), [3, 6, 9], "another application's are still there");
}

async fn a_retry_has_its_own(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let rows = record(1, true, true) + &record(2, true, false) + &record(3, false, false);
    let parent = import(&tenant, &rows).await;
    assert_eq!((parent.failed_count, counts(&parent)), (2, (4, 4)));
    let mended = record(2, true, true);
    let request = pb::RetryImportRequest {
        import_id: parent.uuid.clone(),
        corrections: vec![pb::RowCorrection { row_number: 2, row: mended.trim().to_owned() }],
        ..Default::default()
    };
    let child = tenant.client.imports().retry_import(request).await.expect("a retry").into_inner();
    let child = tenant.wait(&child.import.expect("an import").uuid).await;
    assert_eq!((counters(&child), counts(&child)), ((1, 0, 0), (2, 2)));
    assert_eq!(numbers(&warnings(&tenant, &child.uuid).await), [1]);
    assert_eq!(numbers(&warnings(&tenant, &parent.uuid).await), [1, 2], "its parent's stay");
    assert_eq!(counts(&tenant.get(&parent.uuid).await), (4, 4));
}

async fn the_program_shows_them(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let rows = record(1, true, true) + &record(2, true, false) + &record(3, false, true);
    let id = import(&tenant, &rows).await.uuid;
    let shell = Shell::new(&server, &tenant.key);
    assert!(shell.out(&["get", &id], 0).await.contains("warnings   4\n"));
    let shown = shell.lines(&["errors", &id, "--severity", "warning"]).await;
    let told: Vec<_> = shown
        .iter()
        .map(|row| (&row["row_number"], &row["issues"][1]["code"], &row["issues"][1]["severity"]))
        .collect();
    assert_eq!(
        told,
        [
            (&1.into(), &"INVALID_DATE".into(), &"warning".into()),
            (&2.into(), &"INVALID_DATE".into(), &"warning".into())
        ]
    );
    let failed = shell.lines(&["errors", &id]).await;
    assert_eq!((failed.len(), &failed[0]["issues"][0]["severity"]), (1, &"error".into()));
    assert_eq!(
        shell.out(&["export", &id, "--warnings"], 0).await,
        record(1, true, true) + &record(2, true, false)
    );
    assert_eq!(
        shell.out(&["export", &id, "--warnings", "--outcome", "failed"], 0).await,
        record(2, true, false)
    );
    assert_eq!(shell.out(&["export", &id], 0).await, record(2, true, false));
}
