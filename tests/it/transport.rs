//! What a peer may do to the wire without harm to others.

use std::time::Duration;

use carryover::grpc::pb::{self, ImportStatus};
use tonic::Code;

use crate::{
    harness::{
        Database, Server, assert_refused, chunk, chunks, counters, finish, gzip, plain_csv, resume, upload_of,
    },
    on_both_databases,
    web::{framed, has_status, packed, raw, web_call},
};

on_both_databases!(
    empty_chunks_are_harmless,
    a_stream_that_is_not_read_harms_nobody,
    silence_ends_an_upload_and_it_can_be_resumed,
    messages_have_a_largest_size,
    malformed_calls_are_refused_and_the_server_lives,
    other_protocols_on_the_port,
    many_streams_at_a_time,
    large_windows_of_small_messages_take_no_memory,
);

/// E029: so many are accepted.
async fn empty_chunks_are_harmless(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let id = tenant.create().await.uuid;
    let csv = plain_csv("e", 0, 2);
    let mut messages = vec![resume(&id, 0), chunk(0, csv.as_bytes())];
    messages.extend(std::iter::repeat_n(chunk(csv.len(), b""), 50_000));
    messages.push(finish(csv.len()));
    tenant.upload(messages).await.expect("an upload");
    assert_eq!(counters(&tenant.wait(&id).await), (2, 0, 0));
}

async fn a_stream_that_is_not_read_harms_nobody(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let rows: String = (0..30_000).map(|n| format!("e{n},bad\n")).collect();
    let import = tenant.import(format!("external_id,status\n{rows}")).await;
    assert_eq!(import.failed_count, 30_000);
    let request = pb::StreamRowErrorsRequest { import_id: import.uuid.clone(), ..Default::default() };
    let mut unread = tenant.client.imports().stream_row_errors(request).await.expect("a stream").into_inner();
    let id = tenant.create().await.uuid;
    let request = pb::WatchImportRequest { import_id: id.clone(), ..Default::default() };
    let mut watch = tenant.client.imports().watch_import(request).await.expect("a watch").into_inner();
    tokio::time::sleep(Duration::from_secs(1)).await;
    // Others go on, on the same connection.
    let csv = plain_csv("o", 0, 2000);
    let mut messages = vec![resume(&id, 0)];
    messages.extend(chunks(csv.as_bytes(), 0, 100));
    messages.push(finish(csv.len()));
    tenant.upload(messages).await.expect("an upload");
    assert_eq!(counters(&tenant.wait(&id).await), (2000, 0, 0));
    // Who comes back late finds everything: each row error once, and the end of the import.
    let mut rows = 0;
    while let Some(message) = unread.message().await.expect("a message") {
        rows += 1;
        assert_eq!(message.row_error.expect("an error").row_number, rows);
    }
    assert_eq!(rows, 30_000);
    let mut last = None;
    while let Some(message) = watch.message().await.expect("a message") {
        last = message.event;
    }
    assert!(
        matches!(last, Some(pb::watch_import_response::Event::Import(import)) if import.status() == ImportStatus::Completed)
    );
}

async fn silence_ends_an_upload_and_it_can_be_resumed(database: Database) {
    let server = Server::start_with(database, &["--upload-idle-seconds", "2", "--segment-rows", "10"]).await;
    let tenant = server.tenant().await;
    let csv = plain_csv("i", 0, 30);
    let id = tenant.create().await.uuid;
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    sender.send(resume(&id, 0)).await.expect("sent");
    sender.send(chunk(0, &csv.as_bytes()[..600])).await.expect("sent");
    let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let answer = tenant.client.imports().upload_import(stream).await;
    assert_refused(answer, Code::DeadlineExceeded, "UPLOAD_IDLE");
    let committed = tenant.get(&id).await.committed_size;
    assert!(committed > 0, "what came before is kept");
    let mut messages = vec![resume(&id, committed)];
    messages.extend(chunks(csv.as_bytes(), committed as usize, 100));
    messages.push(finish(csv.len()));
    tenant.upload(messages).await.expect("the rest");
    assert_eq!(counters(&tenant.wait(&id).await), (30, 0, 0));
}

async fn messages_have_a_largest_size(database: Database) {
    let server = Server::start_with(database, &["--max-message-bytes", "128KiB"]).await;
    let tenant = server.tenant().await;
    let csv = plain_csv("m", 0, 20_000);
    let status =
        tenant.upload(upload_of(tenant.spec(), csv.as_bytes(), 200 << 10)).await.expect_err("refused");
    assert!(matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted), "{status:?}");
    assert!(status.message().contains("131072"), "the limit is named: {status:?}");
    let imports =
        tenant.client.imports().list_imports(pb::ListImportsRequest::default()).await.expect("a list");
    let id = imports.into_inner().imports[0].uuid.clone();
    let mut messages = vec![resume(&id, tenant.get(&id).await.committed_size)];
    messages.extend(chunks(csv.as_bytes(), 0, (128 << 10) - 32));
    messages.push(finish(csv.len()));
    tenant.upload(messages).await.expect("chunks up to the limit pass");
    assert_eq!(counters(&tenant.wait(&id).await), (20_000, 0, 0));
}

async fn malformed_calls_are_refused_and_the_server_lives(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let path = "carryover.v1.ImportService/GetImport";
    let bomb = packed(&gzip(&vec![0; 64 << 20]));
    let (deflated, gzipped) = ("grpc-encoding: deflate\r\n", "grpc-encoding: gzip\r\n");
    for (name, path, headers, body, code) in [
        ("E018 a length of 4 GiB", path, "", vec![0, 0xff, 0xff, 0xff, 0xff, 1, 2], Code::OutOfRange),
        ("E020 packed without an encoding", path, "", vec![1, 0, 0, 0, 1, 0], Code::Internal),
        ("E021 an unknown encoding", path, deflated, vec![1, 0, 0, 0, 1, 0], Code::Unimplemented),
        ("E022 a packed message that inflates", path, gzipped, bomb, Code::ResourceExhausted),
        ("E026 a text that is not UTF-8", path, "", framed(b"\x0a\x02\xff\xfe"), Code::Internal),
        ("a wrong wire type", path, "", framed(b"\x08\x01"), Code::Internal),
        ("a torn message", path, "", framed(b"\x0a\x7f"), Code::Internal),
        ("half a frame", path, "", vec![0, 0, 0], Code::Internal),
        ("an unknown method", "carryover.v1.ImportService/Nothing", "", framed(b""), Code::Unimplemented),
        ("an unknown service", "x.Y/Z", "", framed(b""), Code::Unimplemented),
    ] {
        let answer = web_call(&server, &tenant.key, path, headers, &body).await;
        assert!(has_status(&answer, code), "{name}: {answer}");
        tenant.client.imports().list_imports(pb::ListImportsRequest::default()).await.expect(name);
    }
}

/// E025: no request holds itself, and so only groups that nobody knows can be nested without end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_groups_are_nested_so_deep_and_no_deeper() {
    const DEEPEST: usize = 100;
    let server = Server::start(Database::Sqlite).await;
    let tenant = server.tenant().await;
    for (depth, code) in [
        (1, Code::NotFound),
        (DEEPEST, Code::NotFound),
        (DEEPEST + 1, Code::Internal),
        (100_000, Code::Internal),
    ] {
        // Begins and ends of field 15.
        let groups = [vec![0x7b; depth], vec![0x7c; depth]].concat();
        let path = "carryover.v1.ImportService/GetImport";
        let answer = web_call(&server, &tenant.key, path, "", &framed(&groups)).await;
        assert!(has_status(&answer, code), "{depth}: {answer}");
        assert_eq!(answer.contains("recursion"), code == Code::Internal, "{depth}: {answer}");
        tenant.client.imports().list_imports(pb::ListImportsRequest::default()).await.expect("it lives");
    }
}

async fn other_protocols_on_the_port(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let get = raw(&server, b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(
        get.starts_with("HTTP/1.1 4") || get.contains("grpc-status: 12") || get.contains("grpc-status:12"),
        "{get}"
    );
    let json = raw(&server, b"POST /carryover.v1.ImportService/GetImport HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}").await;
    assert!(json.starts_with("HTTP/1.1 4"), "{json}");
    let garbage = raw(&server, &[0xff; 4096]).await;
    assert!(!garbage.contains("200 OK"), "{garbage}");
    let healthy = web_call(
        &server,
        "",
        "grpc.health.v1.Health/Check",
        "origin: https://evil.example\r\n",
        &framed(b""),
    )
    .await;
    assert!(healthy.starts_with("HTTP/1.1 200"), "gRPC-web works, health needs no key: {healthy}");
    assert!(
        !healthy.to_lowercase().contains("access-control-allow-origin"),
        "no browser of another origin may call: {healthy}"
    );
    let listed =
        web_call(&server, &tenant.key, "carryover.v1.ImportService/ListImports", "", &framed(b"")).await;
    assert!(listed.contains("grpc-status:0") || listed.contains("grpc-status: 0"), "{listed}");
}

async fn many_streams_at_a_time(database: Database) {
    let server = Server::start_with(database, &["--max-streams", "20"]).await;
    let tenant = server.tenant().await;
    let id = tenant.create().await.uuid;
    let watches: Vec<_> = (0..50)
        .map(|_| {
            let (tenant, id) = (tenant.clone(), id.clone());
            tokio::spawn(async move { tenant.watch(&id).await.pop().expect("a state").status() })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    // Another connection is not held up by the first one's streams.
    let key = tenant.key.clone();
    let client = carryover::grpc::client::Client::connect(&server.address(), &key).await.expect("connects");
    let other = crate::harness::Tenant { client, ..tenant };
    let csv = plain_csv("m", 0, 10);
    other.upload(vec![resume(&id, 0), chunk(0, csv.as_bytes()), finish(csv.len())]).await.expect("an upload");
    for watch in watches {
        assert_eq!(
            watch.await.expect("a task"),
            ImportStatus::Completed,
            "calls above the limit wait their turn"
        );
    }
}

/// A packed message tells how far back it may look, and a reader that believes it takes as much memory (E023).
async fn large_windows_of_small_messages_take_no_memory(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let message = {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("an encoder");
        encoder.window_log(27).expect("128 MiB");
        encoder.include_contentsize(false).expect("a frame that does not tell its size");
        std::io::Write::write_all(&mut encoder, b"\x08\x05").expect("packed");
        packed(&encoder.finish().expect("packed"))
    };
    let path = "carryover.v1.ImportService/ListImports";
    let call = async || web_call(&server, &tenant.key, path, "grpc-encoding: zstd\r\n", &message).await;
    let is_served = |answer: &String| answer.contains("grpc-status:0");
    assert!(is_served(&call().await), "{}", call().await);
    let before = memory("VmRSS:");
    for _ in 0..10 {
        let calls = futures_util::future::join_all((0..20).map(|_| call()));
        assert!(calls.await.iter().all(is_served));
    }
    let peak = memory("VmHWM:");
    assert!(peak < before + (128 << 10), "not even one window was filled: {before} to {peak} KiB");
}

/// A figure of this process' memory, in KiB.
fn memory(figure: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(figure)).expect("a figure");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
