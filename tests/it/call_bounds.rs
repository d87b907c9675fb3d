//! How many calls are open at a time, and for how long: whoever has too many, or never ends one, harms nobody else.

use std::time::Duration;

use carryover::grpc::{
    client::Client,
    pb::{self, ImportStatus, Role},
};
use tonic::{Code, Request, Status, Streaming, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_types::StatusExt;

use crate::{
    h2::{DATA, END_STREAM, Frame, HEADERS, Peer, SETTINGS, WINDOW_UPDATE, call, frame, numbered},
    harness::{
        Database, Server, Tenant, assert_refused, chunk, counters, fact, finish, plain_csv, reason, resume,
    },
    on_both_databases,
    shell::Shell,
    waits::{eventually, holding_imports},
};

on_both_databases!(
    an_application_has_so_many_calls_open,
    a_call_that_is_no_stream_has_an_end,
    a_stream_has_an_end_and_goes_on_elsewhere,
);

/// What gRPC's own retries read.
fn pushback(status: &Status) -> u64 {
    let value = status.metadata().get("grpc-retry-pushback-ms").expect("a pushback");
    value.to_str().expect("text").parse().expect("milliseconds")
}

/// What is told to who had one call too many.
fn assert_told(status: &Status) {
    let wait = status.get_details_retry_info().expect("RetryInfo").retry_delay.expect("a delay");
    assert!(wait > Duration::ZERO);
    assert_eq!(u128::from(pushback(status)), wait.as_millis());
}

async fn list(client: &Client) -> Result<(), Status> {
    client.imports().list_imports(pb::ListImportsRequest::default()).await.map(drop)
}

async fn watch(client: &Client, id: &str) -> Result<Streaming<pb::WatchImportResponse>, Status> {
    let request = pb::WatchImportRequest { import_id: id.to_owned(), ..Default::default() };
    Ok(client.imports().watch_import(request).await?.into_inner())
}

/// E044, E050, M010: the bound is the application's, whatever its keys, and open as long as anything of a call is.
async fn an_application_has_so_many_calls_open(database: Database) {
    let flags = ["--max-calls-per-application", "20", "--segment-rows", "10"];
    let server = Server::start_with(database, &flags).await;
    let (greedy, other) = (server.tenant().await, server.tenant().await);
    let second =
        server.admin.with_key(&server.key(&greedy.application, Role::Operator).await).expect("a client");
    let id = greedy.create().await.uuid;
    let csv = plain_csv("g", 0, 40);
    let half = csv.len() / 2;
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    sender.send(resume(&id, 0)).await.expect("sent");
    sender.send(chunk(0, &csv.as_bytes()[..half])).await.expect("sent");
    let mut imports = greedy.client.imports();
    let upload = tokio::spawn(async move {
        imports.upload_import(tokio_stream::wrappers::ReceiverStream::new(receiver)).await
    });
    eventually("an upload", async || (greedy.get(&id).await.committed_size > 0).then_some(())).await;
    let mut watches = Vec::new();
    for _ in 0..19 {
        watches.push(watch(&greedy.client, &id).await.expect("one of twenty"));
    }
    for status in [
        list(&greedy.client).await.expect_err("one more"),
        watch(&greedy.client, &id).await.map(drop).expect_err("one more"),
        list(&second).await.expect_err("another key of the application"),
    ] {
        let status = assert_refused(Err::<(), _>(status), Code::ResourceExhausted, "OPEN_CALL_LIMIT");
        assert_told(&status);
        assert_eq!(fact(&status, "limit"), "20");
        let quota = status.get_details_quota_failure().expect("QuotaFailure");
        assert_eq!(quota.violations[0].subject, "application");
    }
    // Another one notices nothing of a thousand calls beyond the bound.
    let surplus = async {
        for _ in 0..1000 {
            list(&greedy.client).await.expect_err("one more");
        }
    };
    let (import, ()) = tokio::join!(other.import(plain_csv("o", 0, 100)), surplus);
    assert_eq!(counters(&import), (100, 0, 0));

    sender.send(chunk(half, &csv.as_bytes()[half..])).await.expect("sent");
    sender.send(finish(csv.len())).await.expect("sent");
    upload.await.expect("a task").expect("its place was its own to the end");
    for mut watch in watches {
        while watch.message().await.expect("each is told to the end").is_some() {}
    }
    for _ in 0..30 {
        list(&greedy.client).await.expect("every place was given back");
    }
}

/// `carryover` tries again what tells when to come back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_waits_for_its_turn() {
    let server = Server::start_with(Database::Sqlite, &["--max-calls-per-application", "2"]).await;
    let tenant = server.tenant().await;
    let id = tenant.create().await.uuid;
    let mut watches = Vec::new();
    for _ in 0..2 {
        watches.push(watch(&tenant.client, &id).await.expect("one of two"));
    }
    let shell = Shell::new(&server, &tenant.key);
    let waiting = {
        let id = id.clone();
        tokio::spawn(async move { shell.json(&["watch", &id, "--json"], 0).await })
    };
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(watches);
    eventually("a free place", async || list(&tenant.client).await.ok()).await;
    let csv = plain_csv("c", 0, 10);
    tenant
        .upload(vec![resume(&id, 0), chunk(0, csv.as_bytes()), finish(csv.len())])
        .await
        .expect("an upload");
    assert_eq!(waiting.await.expect("a task")["status"], "COMPLETED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_takes_so_many_calls() {
    let server = Server::start_with(Database::Sqlite, &["--max-calls", "6"]).await;
    let (one, other) = (server.tenant().await, server.tenant().await);
    let mut watches = Vec::new();
    for tenant in [&one, &other] {
        let id = tenant.create().await.uuid;
        for _ in 0..3 {
            watches.push(watch(&tenant.client, &id).await.expect("one of six"));
        }
    }
    let status = assert_refused(list(&one.client).await, Code::Unavailable, "OVERLOADED");
    assert_told(&status);
    let channel =
        Channel::from_shared(server.address()).expect("an address").connect().await.expect("connects");
    let mut health = HealthClient::new(channel);
    health.check(HealthCheckRequest::default()).await.expect("a server with much to do is well");
    watches.pop();
    eventually("a free place", async || list(&one.client).await.ok()).await;
}

/// E050: who has no key is bound as well, and keeps out nobody who has one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_without_a_key_are_bounded() {
    let server = Server::start_with(Database::Sqlite, &["--max-calls-per-application", "5"]).await;
    let tenant = server.tenant().await;
    let channel =
        Channel::from_shared(server.address()).expect("an address").connect().await.expect("connects");
    let mut health = HealthClient::new(channel);
    let mut watches = Vec::new();
    for _ in 0..5 {
        watches.push(health.watch(HealthCheckRequest::default()).await.expect("one of five"));
    }
    let refused = health.watch(HealthCheckRequest::default()).await;
    let status = assert_refused(refused, Code::ResourceExhausted, "OPEN_CALL_LIMIT");
    assert_eq!(status.get_details_quota_failure().expect("QuotaFailure").violations[0].subject, "peer");
    health.check(HealthCheckRequest::default()).await.expect("it is answered at once");
    list(&tenant.client).await.expect("who has a key is served");
    drop(watches);
    eventually("a free place", async || health.watch(HealthCheckRequest::default()).await.ok()).await;
}

async fn a_call_that_is_no_stream_has_an_end(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let server = server.restart(&["--max-call-seconds", "1"]).await;
    let tenant = Tenant { client: server.admin.with_key(&tenant.key).expect("a client"), ..tenant };
    let create = async || {
        let request = pb::CreateImportRequest { spec: Some(tenant.spec()), request_id: "one".to_owned() };
        tenant.client.imports().create_import(request).await
    };
    let late = holding_imports(&server, create()).await;
    let status = assert_refused(late, Code::DeadlineExceeded, "CALL_TOO_LONG");
    assert_eq!(fact(&status, "limit_seconds"), "1");
    let made = eventually("an import", async || create().await.ok()).await.into_inner();
    let id = made.import.expect("one").uuid;
    // A call whose message never comes.
    let mut peer = Peer::connect(server.app.address).await;
    peer.send(&call(1, 0, "/carryover.v1.ImportService/GetImport", &tenant.key)).await;
    let answer = peer.find(|frame| frame.stream == 1 && frame.kind == HEADERS).await;
    assert!(answer.is_some_and(|answer| answer.flags & END_STREAM != 0), "it is answered");
    // A stream goes on for longer.
    let mut stream = watch(&tenant.client, &id).await.expect("a watch");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let csv = plain_csv("l", 0, 10);
    tenant
        .upload(vec![resume(&id, 0), chunk(0, csv.as_bytes()), finish(csv.len())])
        .await
        .expect("an upload");
    while stream.message().await.expect("it goes on").is_some() {}
}

async fn a_stream_has_an_end_and_goes_on_elsewhere(database: Database) {
    let server = Server::start_with(database, &["--max-stream-seconds", "2", "--segment-rows", "10"]).await;
    let tenant = server.tenant().await;
    let id = tenant.create().await.uuid;
    let csv = plain_csv("s", 0, 40);
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    sender.send(resume(&id, 0)).await.expect("sent");
    sender.send(chunk(0, &csv.as_bytes()[..csv.len() / 2])).await.expect("sent");
    let mut imports = tenant.client.imports();
    let upload = tokio::spawn(async move {
        imports.upload_import(tokio_stream::wrappers::ReceiverStream::new(receiver)).await
    });
    let mut stream = watch(&tenant.client, &id).await.expect("a watch");
    let mut resume_token = String::new();
    let ended = loop {
        match stream.message().await {
            Ok(message) => resume_token = message.expect("it does not end as if the import had").resume_token,
            Err(status) => break status,
        }
    };
    for status in [ended, upload.await.expect("a task").expect_err("it is told")] {
        let status = assert_refused(Err::<(), _>(status), Code::Unavailable, "STREAM_TOO_LONG");
        assert_eq!(fact(&status, "limit_seconds"), "2");
        assert_told(&status);
    }
    let committed = tenant.get(&id).await.committed_size;
    assert!(committed > 0, "what came before is kept");
    let rest = chunk(committed as usize, &csv.as_bytes()[committed as usize..]);
    tenant.upload(vec![resume(&id, committed), rest, finish(csv.len())]).await.expect("the rest");
    eventually("its end", async || tenant.get(&id).await.completed_at).await;
    let request = pb::WatchImportRequest { import_id: id.clone(), resume_token };
    let mut stream = tenant.client.imports().watch_import(request).await.expect("a watch").into_inner();
    let mut last = None;
    while let Some(message) = stream.message().await.expect("a message") {
        last = message.event.or(last);
    }
    let Some(pb::watch_import_response::Event::Import(import)) = last else { panic!("no import: {last:?}") };
    assert_eq!((import.status(), counters(&import)), (ImportStatus::Completed, (40, 0, 0)));
}

/// E039 for streams: they end with their caller's deadline, even if nobody reads them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_with_its_deadline() {
    let server = Server::start_with(Database::Sqlite, &["--max-calls-per-application", "1"]).await;
    let tenant = server.tenant().await;
    let id = tenant.create().await.uuid;
    // The client of this test has a deadline as well, so it is told by hand.
    let mut request = Request::new(pb::WatchImportRequest { import_id: id.clone(), ..Default::default() });
    request.metadata_mut().insert("grpc-timeout", "1S".parse().expect("a value"));
    let mut stream = tenant.client.imports().watch_import(request).await.expect("a watch").into_inner();
    let status = loop {
        match stream.message().await {
            Ok(message) => assert!(message.is_some(), "it does not end as if the import had"),
            Err(status) => break status,
        }
    };
    assert_eq!((status.code(), reason(&status).as_str()), (Code::DeadlineExceeded, "DEADLINE_PASSED"));
    eventually("its place", async || list(&tenant.client).await.ok()).await;
}

/// A peer that keeps its window shut. First it is told, and has time to take that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_nobody_reads_is_let_go_of() {
    let flags = ["--max-calls-per-application", "1", "--stream-idle-seconds", "1"];
    let server = Server::start_with(Database::Sqlite, &flags).await;
    let tenant = server.tenant().await;
    let rows: String = (0..20_000).map(|n| format!("e{n},bad\n")).collect();
    let created = tenant.create().await.uuid;
    let csv = format!("external_id,status\n{rows}");
    let messages = vec![resume(&created, 0), chunk(0, csv.as_bytes()), finish(csv.len())];
    tenant.upload(messages).await.expect("an upload");
    let import = eventually("all rows", async || {
        let import = tenant.get(&created).await;
        (import.status() == ImportStatus::Completed).then_some(import)
    });
    assert_eq!(import.await.failed_count, 20_000);
    let message = {
        let request = pb::StreamRowErrorsRequest { import_id: created, ..Default::default() };
        crate::web::framed(&prost::Message::encode_to_vec(&request))
    };
    let mut peer = unreading(&server, "StreamRowErrors", &tenant.key, &message).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(peer.is_served().await, "there is time to take what ends it");
    // Room for all of it.
    peer.send(&[numbered(WINDOW_UPDATE, 0, 1 << 30), numbered(WINDOW_UPDATE, 1, 1 << 30)].concat()).await;
    let end = |frame: &Frame| frame.stream == 1 && frame.kind == HEADERS && frame.flags & END_STREAM != 0;
    assert!(peer.find(end).await.is_some(), "it is told");
    eventually("its place", async || list(&tenant.client).await.ok()).await;
    assert!(peer.is_served().await, "and keeps its connection");
    drop(peer);

    let server = server.restart(&[&flags[..], &["--stall-seconds", "1"]].concat()).await;
    let tenant = Tenant { client: server.admin.with_key(&tenant.key).expect("a client"), ..tenant };
    let mut peer = unreading(&server, "StreamRowErrors", &tenant.key, &message).await;
    peer.end().await;
    eventually("its place", async || list(&tenant.client).await.ok()).await;
}

/// A peer that keeps its window shut, and to which an answer has begun.
async fn unreading(server: &Server, method: &str, key: &str, message: &[u8]) -> Peer {
    let mut peer = Peer::connect(server.app.address).await;
    // Initial window: 0.
    peer.send(&frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])).await;
    assert!(peer.is_served().await);
    let head = call(1, 0, &format!("/carryover.v1.ImportService/{method}"), key);
    peer.send(&[head, frame(DATA, END_STREAM, 1, message)].concat()).await;
    let begun = |frame: &Frame| frame.stream == 1 && frame.kind == HEADERS;
    assert!(peer.find(begun).await.is_some(), "the answer begins");
    peer
}

/// The same for an answer that is one message: it is kept, and so is the place of its call, until the connection ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_nobody_reads_ends_its_connection() {
    let server = Server::start(Database::Sqlite).await;
    let tenant = server.tenant().await;
    tenant.create().await;
    let flags = ["--max-calls-per-application", "1", "--stream-idle-seconds", "1"];
    let server = server.restart(&flags).await;
    let tenant = Tenant { client: server.admin.with_key(&tenant.key).expect("a client"), ..tenant };
    let mut peer = unreading(&server, "ListImports", &tenant.key, &crate::web::framed(&[])).await;
    peer.end().await;
    eventually("its place", async || list(&tenant.client).await.ok()).await;
}

/// What gRPC calls trailers only: clients take a status in another head for a broken stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_refused_is_all_head() {
    let server = Server::start(Database::Sqlite).await;
    let mut peer = Peer::connect(server.app.address).await;
    let head = call(1, 0, "/carryover.v1.ImportService/WatchImport", "none");
    peer.send(&[head, frame(DATA, END_STREAM, 1, &[0; 5])].concat()).await;
    let answer = peer.find(|frame| frame.stream == 1).await.expect("an answer");
    assert_eq!((answer.kind, answer.flags & END_STREAM), (HEADERS, END_STREAM));
}
