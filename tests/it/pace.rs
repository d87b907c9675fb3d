//! The pace of an upload: chunks that bring too little, and bytes that come too slowly.

use std::time::Duration;

use carryover::grpc::pb;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use crate::{
    harness::{
        Database, Server, Tenant, assert_refused, chunk, chunks, counters, fact, finish, plain_csv, resume,
    },
    on_both_databases,
    waits::{eventually, holding_writes},
};

on_both_databases!(
    chunks_that_bring_too_little_end_the_stream,
    a_trickle_ends_the_stream,
    a_busy_store_does_not_count_against_the_client,
);

/// Goes on with an upload that was ended, in chunks of a reasonable size.
async fn assert_resumable(tenant: &Tenant, id: &str, csv: &str, rows: i64) {
    let committed = tenant.get(id).await.committed_size;
    let mut messages = vec![resume(id, committed)];
    messages.extend(chunks(csv.as_bytes(), committed as usize, 64 << 10));
    messages.push(finish(csv.len()));
    tenant.upload(messages).await.expect("the rest");
    assert_eq!(counters(&tenant.wait(id).await), (rows, 0, 0));
}

/// Rows of so many bytes each, and some more.
pub fn large_rows(count: usize, bytes: usize) -> String {
    let json = format!("\"{{\"\"k\"\":\"\"{}\"\"}}\"", "x".repeat(bytes));
    let rows: String = (0..count).map(|n| format!("l{n},{json}\n")).collect();
    format!("external_id,metadata_json\n{rows}")
}

async fn chunks_that_bring_too_little_end_the_stream(database: Database) {
    let server = Server::start(database).await;
    let other = server.tenant().await;
    let csv = large_rows(1500, 2000);
    for (name, first, size, times, limit) in [
        ("E029 empty chunks", 1000, 0, 100_100, 100_000 + 1000 / 64),
        ("E030 chunks of 16 bytes", 0, 16, 134_000, 133_333),
    ] {
        let tenant = server.tenant().await;
        let id = tenant.create().await.uuid;
        let mut messages = vec![resume(&id, 0), chunk(0, &csv.as_bytes()[..first])];
        let mut at = first;
        for _ in 0..times {
            messages.push(chunk(at, &csv.as_bytes()[at..at + size]));
            at += size;
        }
        let status =
            assert_refused(tenant.upload(messages).await, Code::ResourceExhausted, "TOO_MANY_CHUNKS");
        assert_eq!(fact(&status, "limit"), limit.to_string(), "{name}");
        assert!(status.message().contains(&limit.to_string()), "{name}: {}", status.message());
        other.client.imports().list_imports(pb::ListImportsRequest::default()).await.expect(name);
        assert_resumable(&tenant, &id, &csv, 1500).await;
    }
}

async fn a_trickle_ends_the_stream(database: Database) {
    let server = Server::start_with(database, &["--upload-idle-seconds", "1", "--segment-rows", "10"]).await;
    let csv = plain_csv("t", 0, 200);
    for (name, size) in [("E034 a byte at a time", 1), ("E034 empty chunks", 0)] {
        let tenant = server.tenant().await;
        let id = tenant.create().await.uuid;
        let (sender, receiver) = mpsc::channel(1);
        let (bytes, first) = (csv.clone().into_bytes(), resume(&id, 0));
        let trickle = tokio::spawn(async move {
            let begin = [first, chunk(0, &bytes[..1500])];
            let rest = (0..400).map(|n| chunk(1500 + n * size, &bytes[1500 + n * size..][..size]));
            for message in begin.into_iter().chain(rest) {
                if sender.send(message).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let answer = tenant.client.imports().upload_import(ReceiverStream::new(receiver)).await;
        assert_refused(answer, Code::DeadlineExceeded, "UPLOAD_IDLE");
        trickle.await.expect(name);
        assert!(tenant.get(&id).await.committed_size > 0, "{name}: what came before is kept");
        assert_resumable(&tenant, &id, &csv, 200).await;
    }
}

async fn a_busy_store_does_not_count_against_the_client(database: Database) {
    const TRICKLE: usize = 350;
    let server = Server::start_with(database, &["--upload-idle-seconds", "2", "--segment-rows", "10"]).await;
    let tenant = server.tenant().await;
    let csv = plain_csv("b", 0, 200);
    let bytes = csv.as_bytes();
    let id = tenant.create().await.uuid;
    let (sender, receiver) = mpsc::channel(1);
    let send = async |message| sender.send(message).await.expect("the stream is read");
    let feed = async {
        send(resume(&id, 0)).await;
        send(chunk(0, &bytes[..1500])).await;
        eventually("a segment", async || (tenant.get(&id).await.committed_size > 0).then_some(())).await;
        let trickle = async {
            // The first of these are rows enough for a segment, which waits for the database, and what comes
            // then waits for it.
            send(chunk(1500, &bytes[1500..2500])).await;
            for at in (2500..2500 + TRICKLE).step_by(10) {
                send(chunk(at, &bytes[at..at + 10])).await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        holding_writes(&server, trickle).await;
        // Now it is the client who is waited for, and it has not used up its time.
        tokio::time::sleep(Duration::from_millis(500)).await;
        send(chunk(2500 + TRICKLE, &bytes[2500 + TRICKLE..])).await;
        send(finish(bytes.len())).await;
    };
    let mut client = tenant.client.imports();
    let (uploaded, ()) = tokio::join!(client.upload_import(ReceiverStream::new(receiver)), feed);
    uploaded.expect("the client was never late");
    assert_eq!(counters(&tenant.wait(&id).await), (200, 0, 0));
}
