//! Answers that a peer never takes, though it listens to its connection.

use std::time::Duration;

use carryover::grpc::pb::{self, ImportStatus};
use prost::Message;

use crate::{
    h2::{DATA, END_STREAM, HEADERS, Peer, SETTINGS, call, frame},
    harness::{Database, Server, Tenant, plain_csv},
    on_both_databases,
    waits::eventually,
    web::framed,
};

on_both_databases!(messages_that_wait_for_room_leave_the_connection_to_others);

const FLAGS: &[&str] =
    &["--max-calls-per-application", "1", "--stream-idle-seconds", "1", "--stall-seconds", "1"];

/// A peer that begins with windows of so many bytes and opens none of them, and has made a call.
async fn called(server: &Server, window: u8, path: &str, key: &str, message: &[u8]) -> Peer {
    let mut peer = Peer::connect(server.app.address).await;
    peer.send(&frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, window])).await;
    assert!(peer.is_served().await);
    peer.send(&[call(1, 0, path, key), frame(DATA, END_STREAM, 1, message)].concat()).await;
    assert!(peer.find(|frame| (frame.stream, frame.kind) == (1, HEADERS)).await.is_some(), "it is answered");
    peer
}

/// E008: a body is over when HTTP/2 has it, whether or not the peer takes any of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_not_taken_keeps_its_place_and_ends_its_connection() {
    let server = Server::start(Database::Sqlite).await;
    let tenant = server.tenant().await;
    let import = tenant.import(plain_csv("u", 0, 10)).await;
    assert_eq!(import.status(), ImportStatus::Completed);
    let server = server.restart(FLAGS).await;
    let client = server.admin.with_key(&tenant.key).expect("a client");
    let watch = pb::WatchImportRequest { import_id: import.uuid, ..Default::default() }.encode_to_vec();
    let list = async || client.imports().list_imports(pb::ListImportsRequest::default()).await;
    for (name, window, method, message) in [
        ("one answer, and a byte of it taken", 1, "ListImports", &[][..]),
        ("a stream that ends by itself", 0, "WatchImport", &watch),
        ("the same, and a byte of it taken", 1, "WatchImport", &watch),
    ] {
        eventually("the place of the one before", async || list().await.ok()).await;
        let path = format!("/carryover.v1.ImportService/{method}");
        let mut peer = called(&server, window, &path, &tenant.key, &framed(message)).await;
        let refused = list().await.expect_err(name);
        assert_eq!(refused.code(), tonic::Code::ResourceExhausted, "{name}: its place is taken");
        peer.end().await;
    }
    eventually("the last place", async || list().await.ok()).await;
}

/// The same for who has no key, and asks what the server can do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_does_what_is_told_to_strangers() {
    let server = Server::start_with(Database::Sqlite, FLAGS).await;
    // ServerReflectionRequest.list_services.
    let message = framed(&[0x3a, 1, b'*']);
    let path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    called(&server, 0, path, "", &message).await.end().await;
}

/// Those that are being received can be sent to their end, whatever those that wait take of the window they share.
async fn messages_that_wait_for_room_leave_the_connection_to_others(database: Database) {
    const CALLS: usize = 60;
    let server = Server::start_with(database, &["--writes-per-minute", "0"]).await;
    let tenant: Tenant = server.tenant().await;
    // More than there is room for, on one connection.
    let source = vec![b'x'; (4 << 20) - 1_000];
    let calls: Vec<_> = (0..CALLS)
        .map(|_| {
            let (mut imports, source) = (tenant.client.imports(), source.clone());
            let request = pb::PreviewImportRequest {
                spec: Some(tenant.spec()),
                data: source.into(),
                ..Default::default()
            };
            tokio::spawn(async move { imports.preview_import(request).await.map(drop) })
        })
        .collect();
    let answered = async {
        for call in calls {
            // What it says of such a source does not matter here.
            let _ = call.await.expect("a task");
        }
    };
    tokio::time::timeout(Duration::from_secs(100), answered).await.expect("all are answered");
}
