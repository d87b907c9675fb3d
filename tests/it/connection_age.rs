//! Connections that have become old or stay idle, or whose peer is gone: what is open on them goes on, or gives its place back.

use std::time::Duration;

use carryover::grpc::{
    client::Client,
    pb::{self, ImportStatus},
};
use tonic::Status;

use crate::{
    h2::{DATA, END_STREAM, Frame, GOAWAY, GoAway, HEADERS, PING, Peer, call, frame},
    harness::{Database, Server, chunk, chunks, counters, finish, plain_csv, resume},
    on_both_databases,
    waits::eventually,
    web::framed,
};

on_both_databases!(
    who_uses_an_old_connection_notices_nothing,
    an_upload_whose_client_fell_asleep_goes_on_elsewhere,
);

/// An upload and a watch outlive the age of their connection several times, and no call fails meanwhile.
async fn who_uses_an_old_connection_notices_nothing(database: Database) {
    let server = Server::start_with(database, &["--max-connection-age-seconds", "1"]).await;
    let tenant = server.tenant().await;
    let id = tenant.create().await.uuid;
    let watching = {
        let (tenant, id) = (tenant.clone(), id.clone());
        tokio::spawn(async move { tenant.watch(&id).await.pop().expect("a state") })
    };
    let csv = plain_csv("a", 0, 40);
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    let (mut imports, bytes) = (tenant.client.imports(), csv.clone().into_bytes());
    let upload = tokio::spawn(async move {
        imports.upload_import(tokio_stream::wrappers::ReceiverStream::new(receiver)).await
    });
    sender.send(resume(&id, 0)).await.expect("sent");
    let mut at = 0;
    for part in bytes.chunks(bytes.len().div_ceil(40)) {
        sender.send(chunk(at, part)).await.expect("the stream is open");
        at += part.len();
        for _ in 0..10 {
            list(&tenant.client).await.expect("a call");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    sender.send(finish(csv.len())).await.expect("sent");
    upload.await.expect("a task").expect("an upload on a connection that took no more calls");
    let last = watching.await.expect("a task");
    assert_eq!((last.status(), counters(&last)), (ImportStatus::Completed, (40, 0, 0)));
}

/// A call that the server never took up is made again: tonic's client gives one back when its connection is told to go,
/// before it sends it or when it reads that its stream came too late. Other clients do not show that.
async fn list(client: &Client) -> Result<(), Status> {
    let call = async || client.imports().list_imports(pb::ListImportsRequest::default()).await.map(drop);
    let came_too_late = |status: &Status| {
        status.message() == "operation was canceled"
            || format!("{status:?}").contains("GoAway(b\"\", NO_ERROR")
    };
    match call().await {
        Err(status) if came_too_late(&status) => call().await,
        answer => answer,
    }
}

fn watch_of(id: &str, key: &str) -> Vec<u8> {
    let request = pb::WatchImportRequest { import_id: id.to_owned(), ..Default::default() };
    let message = framed(&prost::Message::encode_to_vec(&request));
    let head = call(1, 0, "/carryover.v1.ImportService/WatchImport", key);
    [head, frame(DATA, END_STREAM, 1, &message)].concat()
}

/// Answers PINGs until the peer has been told to go; an old connection is told twice, with a PING in between.
async fn told_to_go(peer: &mut Peer) {
    loop {
        let frame = peer.find(|frame| [PING, GOAWAY].contains(&frame.kind)).await.expect("it is told first");
        if frame.kind == GOAWAY {
            assert_eq!(frame.number(4), 0, "without blame");
            if frame.number(0) != u32::MAX >> 1 {
                return;
            }
        } else {
            peer.send(&crate::h2::frame(PING, crate::h2::ACK, 0, &frame.payload)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_connection_is_told_to_go_and_its_streams_stay() {
    let server = Server::start_with(Database::Sqlite, &["--max-connection-age-seconds", "1"]).await;
    let tenant = server.tenant().await;
    let id = tenant.create().await.uuid;
    let mut idle = Peer::connect(server.app.address).await;
    told_to_go(&mut idle).await;
    assert_eq!(idle.end().await, None, "with nothing open it ends");

    let mut busy = Peer::connect(server.app.address).await;
    busy.send(&watch_of(&id, &tenant.key)).await;
    told_to_go(&mut busy).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let csv = plain_csv("o", 0, 10);
    tenant
        .upload(vec![resume(&id, 0), chunk(0, csv.as_bytes()), finish(csv.len())])
        .await
        .expect("an upload");
    let trailers =
        |frame: &Frame| frame.stream == 1 && frame.kind == HEADERS && frame.flags & END_STREAM != 0;
    assert!(busy.find(trailers).await.is_some(), "its watch goes on to the end");
    assert_eq!(busy.end().await, None, "and then it ends");
}

/// Who answers PINGs and calls nothing keeps no place; who watches has called.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_without_a_call_is_told_to_go() {
    let server = Server::start_with(Database::Sqlite, &["--connection-idle-seconds", "1"]).await;
    let tenant = server.tenant().await;
    let id = tenant.create().await.uuid;
    let mut busy = Peer::connect(server.app.address).await;
    busy.send(&watch_of(&id, &tenant.key)).await;
    assert!(busy.find(|frame| frame.stream == 1 && frame.kind == HEADERS).await.is_some(), "it is watched");
    let mut idle = Peer::connect(server.app.address).await;
    assert!(idle.is_served().await);
    told_to_go(&mut idle).await;
    assert_eq!(idle.end().await, None, "with nothing open it ends");

    // It has been open for longer, and answers no PING that it would be told with.
    let ping = frame(PING, 0, 0, b"stillher");
    assert!(busy.send(&ping).await);
    let answer = busy.find(|frame| [PING, GOAWAY].contains(&frame.kind)).await.expect("it is served");
    assert_eq!((answer.kind, &*answer.payload), (PING, &b"stillher"[..]), "who watches is told nothing");
    let csv = plain_csv("i", 0, 10);
    tenant
        .upload(vec![resume(&id, 0), chunk(0, csv.as_bytes()), finish(csv.len())])
        .await
        .expect("an upload");
    let trailers =
        |frame: &Frame| frame.stream == 1 && frame.kind == HEADERS && frame.flags & END_STREAM != 0;
    assert!(busy.find(trailers).await.is_some(), "its watch goes on to the end");
    told_to_go(&mut busy).await;
    assert_eq!(busy.end().await, None, "and then it ends as well");
}

/// A half-open connection: its peer is gone without a word, and answers nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_is_gone_gives_its_places_back() {
    let flags =
        ["--keepalive-seconds", "1", "--keepalive-timeout-seconds", "1", "--max-calls-per-application", "1"];
    let server = Server::start_with(Database::Sqlite, &flags).await;
    let tenant = server.tenant().await;
    let id = tenant.create().await.uuid;
    let mut gone = Peer::connect(server.app.address).await;
    gone.send(&watch_of(&id, &tenant.key)).await;
    assert!(gone.find(|frame| frame.stream == 1 && frame.kind == HEADERS).await.is_some(), "it is watched");
    // A peer that lives, on a connection of its own.
    eventually("its place", async || list(&tenant.client).await.ok()).await;
    let told = gone.end().await;
    assert!(told.is_none_or(|told: GoAway| told.code == 0), "it is over");
}

/// E036: the computer of a client falls asleep; its connection is over before it wakes up.
async fn an_upload_whose_client_fell_asleep_goes_on_elsewhere(database: Database) {
    let flags = [
        "--keepalive-seconds",
        "1",
        "--keepalive-timeout-seconds",
        "1",
        "--max-calls-per-application",
        "1",
        "--segment-rows",
        "10",
    ];
    let server = Server::start_with(database, &flags).await;
    let tenant = server.tenant().await;
    let csv = plain_csv("a", 0, 95);
    let id = tenant.create().await.uuid;
    let mut asleep = Peer::connect(server.app.address).await;
    asleep.send(&call(1, 0, "/carryover.v1.ImportService/UploadImport", &tenant.key)).await;
    for request in [resume(&id, 0), chunk(0, &csv.as_bytes()[..csv.len() / 2])] {
        let message = framed(&prost::Message::encode_to_vec(&request));
        asleep.send(&frame(DATA, 0, 1, &message)).await;
    }
    let told = asleep.end().await;
    assert!(told.is_none_or(|told: GoAway| told.code == 0), "it is over");

    // The place of its call is given back a moment later.
    let get = pb::GetImportRequest { import_id: id.clone() };
    let committed = eventually("its place", async || {
        let answer = tenant.client.imports().get_import(get.clone()).await.ok()?;
        Some(answer.into_inner().import.expect("one").committed_size as usize).filter(|size| *size > 0)
    })
    .await;
    assert!(committed <= csv.len() / 2);
    let mut messages = vec![resume(&id, committed as i64)];
    messages.extend(chunks(csv.as_bytes(), committed, 100));
    messages.push(finish(csv.len()));
    tenant.upload(messages).await.expect("the rest");
    let import = tenant.wait(&id).await;
    assert_eq!((import.total_rows, counters(&import)), (95, (95, 0, 0)), "every row once");
}
