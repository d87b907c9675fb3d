//! Failed rows taken up again from the stored source: all, by code, by row, or with something in their place.

use carryover::grpc::pb::{self, ImportStatus, IssueCode};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::{
    harness::{Database, Server, Tenant, assert_refused, chunk, codes, counters, finish, plain_csv, resume},
    on_both_databases,
    processes::{World, create, get},
    stored,
};

on_both_databases!(
    rows_are_retried_as_they_were_sent,
    corrected_rows_of_csv_take_their_place,
    corrected_rows_of_ndjson_keep_their_digits,
    an_oversized_row_is_retried_whole,
    a_row_that_looks_like_anything_is_a_row,
    what_cannot_be_retried_is_refused,
    the_same_request_is_the_same_retry,
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

/// Good rows, and four that fail: two by status, one by date, one by both.
const PEOPLE: &str = "external_id;status;first_name;date_of_birth\r\n\
    a;Approved;Ana;1990-01-01\r\n\
    b;Unheard;\"Bo; or\r\n\"\"B\"\"\";1990-01-01\r\n\
    c;Approved;Cy;never\r\n\
    d;Approved;Di;1990-01-01\r\n\
    e;Unheard;Ed;1990-01-01\r\n\
    f;Unheard;Fe;never\r\n";

async fn rows_are_retried_as_they_were_sent(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "2"]).await;
    let tenant = server.tenant().await;
    let parent = tenant.import(PEOPLE).await;
    assert_eq!(counters(&parent), (2, 0, 4));

    let child = retry(&tenant, all(&parent.uuid)).await.expect("a retry");
    assert_eq!(child.parent_import_id(), parent.uuid);
    assert_eq!((child.status(), counters(&child)), (ImportStatus::Completed, (0, 0, 4)));
    assert_eq!((child.csv_delimiter.as_str(), child.provider.as_str()), (";", parent.provider.as_str()));
    let outcomes = [pb::RowOutcome::Failed];
    let (sent, again) =
        (tenant.export(&parent.uuid, &outcomes).await, tenant.export(&child.uuid, &outcomes).await);
    assert_eq!(String::from_utf8_lossy(&again), String::from_utf8_lossy(&sent), "byte for byte");

    for (request, keys) in [
        (
            pb::RetryImportRequest { codes: vec![IssueCode::InvalidValue as i32], ..all(&parent.uuid) },
            vec!["b", "c", "e", "f"],
        ),
        (pb::RetryImportRequest { first_row: 3, last_row: 5, ..all(&parent.uuid) }, vec!["c", "e"]),
        (pb::RetryImportRequest { last_row: 2, ..all(&parent.uuid) }, vec!["b"]),
    ] {
        let child = retry(&tenant, request).await.expect("a retry");
        let errors = tenant.row_errors(&child.uuid).await;
        let found: Vec<_> = errors.iter().map(|error| error.external_id()).collect();
        assert_eq!(found, keys);
        assert_eq!(errors[0].row_number, 1, "its rows count from one");
    }

    let child = retry(&tenant, all(&child.uuid)).await.expect("a retry of a retry");
    assert_eq!(counters(&child), (0, 0, 4));
    let request =
        pb::ListAuditEventsRequest { application_id: tenant.application.clone(), ..Default::default() };
    let events =
        server.admin.admin().list_audit_events(request).await.expect("events").into_inner().audit_events;
    assert_eq!(events.iter().filter(|event| event.action == "retry_import").count(), 5);
}

async fn corrected_rows_of_csv_take_their_place(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "2"]).await;
    let tenant = server.tenant().await;
    let parent = tenant.import(PEOPLE).await;
    let corrections = vec![
        correction(2, r#"{"external_id": "b", "status": "Approved", "first_name": "Bo; or\r\n\"B\""}"#),
        correction(6, r#"{"status": "Declined", "external_id": "f", "date_of_birth": null}"#),
    ];
    let request = pb::RetryImportRequest { corrections: corrections.clone(), ..all(&parent.uuid) };
    let child = retry(&tenant, request).await.expect("a retry");
    assert_eq!((child.status(), counters(&child)), (ImportStatus::Completed, (2, 0, 0)), "only these");
    let sessions = tenant.sessions(Default::default()).await;
    let mut keys: Vec<_> = sessions.iter().map(|session| session.external_id.as_str()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["a", "b", "d", "f"]);
    let bo = sessions.iter().find(|session| session.external_id == "b").expect("one");
    assert_eq!(bo.full_name(), "Bo; or\r\n\"B\"", "every character of it");
    let kept = stored::texts(&server, "SELECT COUNT(*) FROM row_corrections").await;
    assert_eq!(kept, ["0"], "nobody keeps them");

    let request = pb::RetryImportRequest { corrections, last_row: 100, ..all(&parent.uuid) };
    let child = retry(&tenant, request).await.expect("a retry");
    assert_eq!(counters(&child), (0, 2, 2), "the corrected are known by now, the others fail again");
}

async fn corrected_rows_of_ndjson_keep_their_digits(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let spec = pb::ImportSpec {
        import_type: pb::ImportType::Transactions as i32,
        workflow_id: String::new(),
        ..tenant.spec()
    };
    let row = r#"{"transaction_id":"t","transaction_at":"2024-01-01T00:00:00Z","transaction_category":"finance","direction":"DIR","amount":12345678901234567.123456789012345678,"currency":"EUR","subject_vendor_data":"s","subject_full_name":"S"}"#;
    let parent = tenant.import_as(spec, row).await.expect("an import");
    assert_eq!(counters(&parent), (0, 0, 1));
    let mended = row.replace("DIR", "in").replace(",\"currency", ",\n\t\"currency");
    let request = pb::RetryImportRequest { corrections: vec![correction(1, &mended)], ..all(&parent.uuid) };
    let child = retry(&tenant, request).await.expect("a retry");
    assert_eq!(counters(&child), (1, 0, 0), "{:?}", tenant.row_errors(&child.uuid).await);
    let list = pb::ListTransactionsRequest::default();
    let listed = tenant.client.transactions().list_transactions(list).await.expect("a list").into_inner();
    assert_eq!(listed.transactions[0].amount, "12345678901234567.123456789012345678");
}

async fn an_oversized_row_is_retried_whole(database: Database) {
    let server = Server::start_with(database, &["--max-row-bytes", "1KiB"]).await;
    let tenant = server.tenant().await;
    let large = "x".repeat(9 << 20);
    let csv = format!("external_id,first_name\na,A\nb,{large}\nc,C\n");
    let parent = tenant.import(&csv).await;
    assert_eq!(counters(&parent), (2, 0, 1));
    let child = retry(&tenant, all(&parent.uuid)).await.expect("a retry");
    assert_eq!(counters(&child), (0, 0, 1));
    assert_eq!(codes(&tenant.row_errors(&child.uuid).await[0]), [IssueCode::RecordTooLarge]);
    assert_eq!(child.source_bytes as usize, csv.len() - "a,A\n".len() - "c,C\n".len(), "all of it");
    let small = correction(2, r#"{"external_id": "b", "first_name": "B"}"#);
    let request = pb::RetryImportRequest { corrections: vec![small], ..all(&parent.uuid) };
    assert_eq!(counters(&retry(&tenant, request).await.expect("a retry")), (1, 0, 0));
}

/// Rows that look like another format, a packed file or nothing at all fail again, and not the retry.
async fn a_row_that_looks_like_anything_is_a_row(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let rows = b"[1]\n\x1f\x8b\x08\n{\n{\"external_id\":\"a\"}\n";
    let spec = pb::ImportSpec { source_format: pb::SourceFormat::Ndjson as i32, ..tenant.spec() };
    let good = b"{\"external_id\":\"first\"}\n".iter().chain(rows).copied().collect::<Vec<_>>();
    let parent = tenant.import_as(spec, good).await.expect("an import");
    assert_eq!(counters(&parent), (2, 0, 3));
    for first_row in [2, 3, 4] {
        let request = pb::RetryImportRequest { first_row, ..all(&parent.uuid) };
        let child = retry(&tenant, request).await.expect("a retry");
        let failed = 5 - first_row;
        assert_eq!(
            (child.status(), counters(&child)),
            (ImportStatus::Completed, (0, 0, failed)),
            "from {first_row}"
        );
    }
}

async fn what_cannot_be_retried_is_refused(database: Database) {
    let server = Server::start(database).await;
    let (tenant, foreign) = (server.tenant().await, server.tenant().await);
    let parent = tenant.import(PEOPLE).await;
    assert_refused(retry(&foreign, all(&parent.uuid)).await, Code::NotFound, "NOT_FOUND");
    let well = tenant.import(plain_csv("w", 0, 3)).await;
    assert_refused(retry(&tenant, all(&well.uuid)).await, Code::FailedPrecondition, "NOTHING_TO_RETRY");
    let none = pb::RetryImportRequest { codes: vec![IssueCode::TooDeep as i32], ..all(&parent.uuid) };
    assert_refused(retry(&tenant, none).await, Code::FailedPrecondition, "NOTHING_TO_RETRY");
    let dry = pb::ImportSpec { dry_run: true, ..tenant.spec() };
    let dry = tenant.import_as(dry, PEOPLE).await.expect("an import");
    assert_refused(retry(&tenant, all(&dry.uuid)).await, Code::FailedPrecondition, "WRONG_IMPORT_STATUS");

    let corrections = vec![
        correction(1, "{}"),
        correction(2, "[]"),
        correction(3, r#"{"external_id": "c", "nickname": "C"}"#),
        correction(5, "{}"),
        correction(5, "{}"),
        correction(99, "{}"),
        correction(-1, "{}"),
    ];
    let request = pb::RetryImportRequest { corrections, codes: vec![77], first_row: -3, ..all(&parent.uuid) };
    let refused =
        assert_refused(retry(&tenant, request.clone()).await, Code::InvalidArgument, "INVALID_FIELDS");
    let fields = |status: &Status| {
        let violations = status.get_details_bad_request().expect("BadRequest").field_violations;
        violations.into_iter().map(|violation| violation.field).collect::<Vec<_>>()
    };
    assert_eq!(fields(&refused), ["codes", "first_row"]);
    let request = pb::RetryImportRequest { codes: vec![], first_row: 0, ..request };
    let refused = assert_refused(retry(&tenant, request).await, Code::InvalidArgument, "INVALID_FIELDS");
    let told = fields(&refused);
    let of = |at: usize, member: &str| format!("corrections[{at}].{member}");
    let wanted =
        [(0, "row_number"), (1, "row"), (2, "row"), (4, "row_number"), (5, "row_number"), (6, "row_number")];
    assert_eq!(told, wanted.map(|(at, member)| of(at, member)));

    let child = retry(&tenant, all(&parent.uuid)).await.expect("a retry");
    let upload = tenant.upload(vec![resume(&child.uuid, 0), chunk(0, b"x"), finish(1)]).await;
    assert_refused(upload, Code::InvalidArgument, "INVALID_FIELDS");

    let active = tenant.create().await.uuid;
    assert_refused(retry(&tenant, all(&active)).await, Code::FailedPrecondition, "WRONG_IMPORT_STATUS");
    assert_refused(retry(&tenant, all(&parent.uuid)).await, Code::ResourceExhausted, "ACTIVE_IMPORT_LIMIT");
}

async fn the_same_request_is_the_same_retry(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let parent = tenant.import(PEOPLE).await;
    let request = pb::RetryImportRequest { request_id: "r-1".to_owned(), ..all(&parent.uuid) };
    let child = retry(&tenant, request.clone()).await.expect("a retry");
    let again = retry(&tenant, request.clone()).await.expect("the same");
    assert_eq!((again.uuid, again.sequence), (child.uuid, child.sequence));
    let other = pb::RetryImportRequest { last_row: 3, ..request };
    assert_refused(retry(&tenant, other).await, Code::AlreadyExists, "REQUEST_ID_REUSED");
}

/// An export of the failed rows of a file in another encoding is UTF-8, and so is a retry of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_in_another_encoding_is_retried() {
    let server = Server::start(Database::Sqlite).await;
    let tenant = server.tenant().await;
    let spec = pb::ImportSpec { encoding: "windows-1252".to_owned(), ..tenant.spec() };
    let parent = tenant
        .import_as(spec, b"external_id,status,first_name\na,Unheard,Jos\xe9\n")
        .await
        .expect("an import");
    let row = r#"{"external_id": "a", "status": "Approved", "first_name": "José"}"#;
    let request = pb::RetryImportRequest { corrections: vec![correction(1, row)], ..all(&parent.uuid) };
    let child = retry(&tenant, request).await.expect("a retry");
    assert_eq!((counters(&child), child.encoding.as_str()), ((1, 0, 0), "UTF-8"));
    assert_eq!(tenant.sessions(Default::default()).await[0].full_name(), "José");
}

/// Whoever feeds a retry dies while it does; another goes on with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feeder_may_die() {
    for database in [Database::Sqlite, Database::Postgres] {
        let flags = ["--segment-rows", "10", "--lease-seconds", "1", "--sweep-seconds", "1", "--log", "off"];
        let world = World::new(database, &flags).await;
        let mut csv = String::from("external_id,status\n");
        (0..300).for_each(|n| csv.push_str(&format!("k{n},Unheard\n")));
        let (mut child, address) =
            world.start(&[], &[("CARRYOVER_FAULT_POINT", "segment_added:35")]).await.expect("it starts");
        let client = world.client(&address).await.expect("connects");
        let id = create(&client, world.spec()).await;
        let parent = crate::processes::carry_on(&client, &id, csv.as_bytes()).await.expect("it ends");
        assert_eq!(counters(&parent), (0, 0, 300));
        let retried = client.imports().retry_import(all(&id)).await.expect("it begins").into_inner();
        let retried = retried.import.expect("one").uuid;
        child.wait().await.expect("it died at its fifth segment");

        let (mut child, address) = world.start(&[], &[]).await.expect("it starts");
        let client = world.client(&address).await.expect("connects");
        let begun = get(&client, &retried).await.expect("one");
        assert!(!begun.upload_finished && begun.total_rows < 300, "{begun:?}");
        // As if half a minute had gone by.
        let path = world.folder.path().join("carryover.db");
        match &world.database_url {
            Some(url) => {
                let mut connection =
                    <sqlx::PgConnection as sqlx::Connection>::connect(url).await.expect("connects");
                let sql = "UPDATE imports SET updated_at = updated_at - interval '1 hour' WHERE NOT upload_finished";
                while get(&client, &retried).await.expect("one").processed_rows < begun.total_rows {
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
                sqlx::query(sql).execute(&mut connection).await.expect("runs");
            }
            None => {
                while get(&client, &retried).await.expect("one").processed_rows < begun.total_rows {
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
                let sql = "UPDATE imports SET updated_at = strftime('%Y-%m-%dT%H:%M:%S+00:00', 'now', '-1 hours') WHERE NOT upload_finished";
                rusqlite::Connection::open(path).expect("opens").execute_batch(sql).expect("runs");
            }
        }
        let ended = loop {
            let import = get(&client, &retried).await.expect("one");
            if !matches!(import.status(), ImportStatus::Pending | ImportStatus::Processing) {
                break import;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        };
        assert_eq!((ended.total_rows, counters(&ended)), (300, (0, 0, 300)), "{database:?}");
        child.kill().await.expect("ends");
    }
}
