//! Watching, row errors, exports, lists: what a caller reads back.

use std::time::Duration;

use carryover::grpc::pb::{self, ImportStatus, RowOutcome, watch_import_response::Event};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use crate::{
    harness::{Database, Server, Tenant, assert_refused, chunk, counters, finish, plain_csv, resume, start},
    on_both_databases,
};

on_both_databases!(
    a_watch_shows_states_and_ends,
    a_watch_goes_on_from_its_token,
    row_errors_stream_while_the_import_runs,
    exports_are_files_to_send_again,
    exports_of_ndjson_are_lines_to_send_again,
    lists_page_and_filter,
    cancelling_stops_an_import,
    what_is_nested_deep_can_be_read,
);

async fn a_watch_shows_states_and_ends(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "10"]).await;
    let tenant = server.tenant().await;
    let id = tenant.create().await.uuid;
    let watcher = tenant.clone();
    let watched = id.clone();
    let watch = tokio::spawn(async move { watcher.watch(&watched).await });
    let csv = plain_csv("w", 0, 300);
    let mut messages = vec![resume(&id, 0)];
    messages.extend(crate::harness::chunks(csv.as_bytes(), 0, 500));
    messages.push(finish(csv.len()));
    tenant.upload(messages).await.expect("an upload");
    let states = watch.await.expect("a watch");
    assert_eq!(states[0].status(), ImportStatus::Pending, "the state as it stands comes at once");
    let last = states.last().expect("a state");
    assert_eq!((last.status(), counters(last)), (ImportStatus::Completed, (300, 0, 0)));
    assert!(states.len() < 40, "states are folded: {}", states.len());
    let late = tenant.watch(&id).await;
    assert_eq!(late.len(), 1, "a watch of an ended import shows it and ends");
}

async fn a_watch_goes_on_from_its_token(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let id = tenant.create().await.uuid;
    let watch = async |token: &str| {
        let request = pb::WatchImportRequest { import_id: id.clone(), resume_token: token.to_owned() };
        tenant.client.imports().watch_import(request).await
    };
    let mut first = watch("").await.expect("a watch").into_inner();
    let message = first.message().await.expect("a message").expect("one");
    assert!(matches!(message.event, Some(Event::Import(_))));
    let mut second = watch(&message.resume_token).await.expect("a watch").into_inner();
    let csv = plain_csv("t", 0, 3);
    tenant
        .upload(vec![resume(&id, 0), chunk(0, csv.as_bytes()), finish(csv.len())])
        .await
        .expect("an upload");
    let newer = second.message().await.expect("a message").expect("one");
    match newer.event {
        Some(Event::Import(import)) => assert!(import.total_rows == 3, "only what is new comes: {import:?}"),
        other => panic!("{other:?}"),
    }
    let status = watch("no token").await.map(|_| ()).expect_err("refused");
    assert_eq!(status.code(), Code::InvalidArgument);
}

async fn row_errors_stream_while_the_import_runs(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "5"]).await;
    let tenant = server.tenant().await;
    let row = |n: usize| format!("e{n},{}\n", if n.is_multiple_of(3) { "bad" } else { "Approved" });
    let csv: String = "external_id,status\n".to_owned() + &(1..=60).map(row).collect::<String>();
    let (sender, receiver) = mpsc::channel(4);
    let mut client = tenant.client.imports();
    let upload = tokio::spawn(async move { client.upload_import(ReceiverStream::new(receiver)).await });
    let id = tenant.create().await.uuid;
    let request = pb::StreamRowErrorsRequest {
        import_id: id.clone(),
        after_row: 5,
        follow: true,
        ..Default::default()
    };
    let mut stream = tenant.client.imports().stream_row_errors(request).await.expect("a stream").into_inner();
    sender.send(resume(&id, 0)).await.expect("sent");
    let half = csv.len() / 2;
    sender.send(chunk(0, &csv.as_bytes()[..half])).await.expect("sent");
    let mut rows = Vec::new();
    while rows.len() < 5 {
        let message =
            stream.message().await.expect("a message").expect("errors come while the upload goes on");
        rows.push(message.row_error.expect("an error").row_number);
    }
    sender.send(chunk(half, &csv.as_bytes()[half..])).await.expect("sent");
    sender.send(finish(csv.len())).await.expect("sent");
    drop(sender);
    upload.await.expect("a task").expect("an answer");
    while let Some(message) = stream.message().await.expect("a message") {
        rows.push(message.row_error.expect("an error").row_number);
    }
    assert_eq!(
        rows,
        (6..=60).filter(|n| n % 3 == 0).collect::<Vec<_>>(),
        "each once, in row order, behind after_row"
    );
    let listed: Vec<_> = tenant.row_errors(&id).await;
    assert_eq!(listed.len(), 20);
    let again = tenant.row_errors(&id).await;
    assert_eq!(listed, again, "ids of row errors stay the same");
}

async fn exports_are_files_to_send_again(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "2", "--max-row-bytes", "4KiB"]).await;
    let tenant = server.tenant().await;
    let giant = "x".repeat(9000);
    let csv = format!(
        "\u{feff}external_id;status;address\r\na;Approved;\r\n\r\nb;bad;\"1;\r\n2\"\r\nc;Approved;{giant}\r\nd;bad;\"😀\"\"\"\r\ne;Approved;"
    );
    let import = tenant.import(&csv).await;
    assert_eq!((import.total_rows, counters(&import)), (5, (2, 0, 3)));
    let failed = String::from_utf8(tenant.export(&import.uuid, &[]).await).expect("text");
    let expected = format!(
        "\u{feff}external_id;status;address\r\nb;bad;\"1;\r\n2\"\r\nc;Approved;{giant}\r\nd;bad;\"😀\"\"\"\r\n"
    );
    assert_eq!(failed, expected, "byte for byte, under the same header");
    let mended = failed.replace("bad", "Declined").replace(&giant, "x");
    let again = tenant.import(mended).await;
    assert_eq!(counters(&again), (3, 0, 0), "the mended file imports");
    let both = tenant.export(&import.uuid, &[RowOutcome::Created, RowOutcome::Skipped]).await;
    let text = String::from_utf8(both).expect("text");
    assert_eq!(text.trim_end(), "\u{feff}external_id;status;address\r\na;Approved;\r\ne;Approved;");
}

async fn exports_of_ndjson_are_lines_to_send_again(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "2", "--max-row-bytes", "4KiB"]).await;
    let tenant = server.tenant().await;
    let giant = "x".repeat(9000);
    let lines = [
        "\u{feff}{\"external_id\":\"a\", \"status\":\"Approved\"}\r\n".to_owned(),
        "\n  {\"status\":\"bad\",\"external_id\":\"b\",\"no_field\":[1e5, 10000000000000000999]}\n"
            .to_owned(),
        format!("{{\"external_id\":\"c\",\"address\":\"{giant}\"}}\r\n"),
        "\r\n{\"external_id\":\"d\",\n".to_owned(),
        "{\"external_id\":\"e\",\"first_name\":\"\\u00e9\\n\"}\n".to_owned(),
        "{\"external_id\":\"f\",\"status\":\"bad\",\"first_name\":\"😀\"}".to_owned(),
    ];
    let import = tenant.import(lines.concat()).await;
    assert_eq!((import.total_rows, counters(&import)), (6, (2, 0, 4)));
    let failed = String::from_utf8(tenant.export(&import.uuid, &[]).await).expect("text");
    let trimmed = |n: usize| lines[n].trim_start_matches(['\r', '\n']);
    let expected = format!("\u{feff}{}{}{}{}\n", trimmed(1), trimmed(2), trimmed(3), trimmed(5));
    assert_eq!(failed, expected, "byte for byte, each on a line of its own");
    let mended = failed.replace("bad", "Declined").replace(&giant, "x").replace("\"d\",", "\"d\"}");
    let again = tenant.import(mended).await;
    assert_eq!(counters(&again), (4, 0, 0), "the mended file imports: {:?}", again.last_error);
    let both = tenant.export(&import.uuid, &[RowOutcome::Created, RowOutcome::Skipped]).await;
    let text = String::from_utf8(both).expect("text");
    assert_eq!(text, lines[0].clone() + &lines[4]);
}

async fn lists_page_and_filter(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let mut ids = Vec::new();
    for n in 0..5 {
        let file = if n == 2 { "nothing,that\nfits,\n".to_owned() } else { plain_csv("l", n, 1) };
        ids.insert(0, tenant.import(file).await.uuid);
    }
    let list = async |page_size: i32, page_token: String, statuses: &[ImportStatus]| {
        let statuses = statuses.iter().map(|status| *status as i32).collect();
        let request = pb::ListImportsRequest { page_size, page_token, statuses };
        tenant.client.imports().list_imports(request).await.map(|answer| answer.into_inner())
    };
    let mut found = Vec::new();
    let mut token = String::new();
    loop {
        let page = list(2, token, &[]).await.expect("a page");
        assert!(page.imports.len() <= 2);
        found.extend(page.imports.into_iter().map(|import| import.uuid));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(found, ids, "newest first, each once");
    let failed = list(0, String::new(), &[ImportStatus::Failed]).await.expect("a page").imports;
    assert_eq!(failed.iter().map(|import| import.uuid.as_str()).collect::<Vec<_>>(), [ids[2].as_str()]);
    for token in ["x", "AAAA", "../..", &"9".repeat(400)] {
        let status = list(1, token.to_owned(), &[]).await.expect_err("a wrong token");
        assert_eq!(status.code(), Code::InvalidArgument, "{token}");
    }
    let status = list(-1, String::new(), &[]).await.expect_err("a negative page size");
    assert_eq!(status.code(), Code::InvalidArgument);
}

async fn cancel(tenant: &Tenant, id: &str) -> Result<pb::Import, tonic::Status> {
    let request = pb::CancelImportRequest { import_id: id.to_owned() };
    tenant
        .client
        .imports()
        .cancel_import(request)
        .await
        .map(|answer| answer.into_inner().import.expect("an import"))
}

async fn cancelling_stops_an_import(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "10"]).await;
    let tenant = server.tenant().await;
    let csv = plain_csv("c", 0, 100);
    let id = tenant.create().await.uuid;
    let (sender, receiver) = mpsc::channel(4);
    let mut client = tenant.client.imports();
    let upload = tokio::spawn(async move { client.upload_import(ReceiverStream::new(receiver)).await });
    sender.send(resume(&id, 0)).await.expect("sent");
    sender.send(chunk(0, &csv.as_bytes()[..csv.len() / 2])).await.expect("sent");
    while tenant.get(&id).await.processed_rows < 20 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let cancelled = cancel(&tenant, &id).await.expect("cancelled");
    assert_eq!(cancelled.status(), ImportStatus::Cancelled);
    assert_eq!(cancel(&tenant, &id).await.expect("the same answer").status(), ImportStatus::Cancelled);
    let rest = chunk(csv.len() / 2, &csv.as_bytes()[csv.len() / 2..]);
    sender.send(rest).await.expect("sent");
    sender.send(finish(csv.len())).await.expect("sent");
    let status = upload.await.expect("a task").expect_err("the upload is refused");
    assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
    let ended = tenant.wait(&id).await;
    assert_eq!(ended.status(), ImportStatus::Cancelled);
    let sessions = tenant.sessions(pb::ListSessionsRequest::default()).await;
    assert_eq!(sessions.len() as i64, ended.created_count, "what was settled stays and is counted");

    let done = tenant.import(plain_csv("d", 0, 1)).await;
    assert_refused(cancel(&tenant, &done.uuid).await, Code::FailedPrecondition, "WRONG_IMPORT_STATUS");
    // The slot is free again, also when an upload is given up before its first byte.
    let idle = tenant.create().await.uuid;
    let busy = tenant.upload(vec![start(tenant.spec())]).await;
    assert_refused(busy, Code::ResourceExhausted, "ACTIVE_IMPORT_LIMIT");
    cancel(&tenant, &idle).await.expect("cancelled");
    tenant.import(plain_csv("e", 0, 1)).await;
}

async fn what_is_nested_deep_can_be_read(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let metadata = format!("{}\"here\"{}", "{\"in\":".repeat(60), "}".repeat(60));
    let row = format!("{{\"external_id\":\"deep\",\"metadata\":{metadata}}}\n");
    let import = tenant.import(row).await;
    assert_eq!(counters(&import), (1, 0, 0), "{}", import.last_error());
    let session = tenant.sessions(Default::default()).await.remove(0);
    let decision = tenant.decision(&session.session_id).await;
    let inner = format!("{:?}", decision.metadata.expect("metadata"));
    let text = format!("{}\"here\"{}", "{\"in\":".repeat(36), "}".repeat(36));
    assert!(inner.contains(&format!("{text:?}")), "behind 24 objects comes the text of the rest: {inner}");
}
