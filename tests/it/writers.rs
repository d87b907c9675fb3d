//! Who may write the source of an import, and where: offsets, and a second stream beside the first.

use carryover::grpc::{client::Client, pb::upload_import_request::Message};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use crate::{
    harness::{Database, Server, assert_refused, chunk, chunks, counters, fact, finish, plain_csv, resume},
    on_both_databases,
    processes::{World, carry_on, create, get},
    waits::eventually,
};

on_both_databases!(
    a_wrong_offset_names_the_right_one,
    a_wrong_offset_takes_nothing_over,
    a_second_writer_takes_over,
);

/// E040.
async fn a_wrong_offset_names_the_right_one(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "10"]).await;
    let tenant = server.tenant().await;
    let id = tenant.create().await.uuid;
    let status = assert_refused(
        tenant.upload(vec![resume(&id, 7), finish(7)]).await,
        Code::OutOfRange,
        "WRONG_OFFSET",
    );
    assert_eq!(fact(&status, "expected_offset"), "0");
    let (text, row) = (b"external_id,status\n", b"a,Approved\n");
    let (second, third) = (chunk(text.len(), row), chunk(text.len() + row.len(), b"b,Approved\n"));
    let mut negative = second.clone();
    if let Some(Message::Chunk(chunk)) = &mut negative.message {
        chunk.write_offset = -1;
    }
    for (name, wrong) in [
        ("a gap", vec![chunk(30, row)]),
        ("an overlap", vec![chunk(10, row)]),
        ("a negative one", vec![negative]),
        ("the first once more", vec![chunk(0, text)]),
        ("the third before the second", vec![third, second]),
    ] {
        let messages = [vec![resume(&id, 0), chunk(0, text)], wrong].concat();
        let status = assert_refused(tenant.upload(messages).await, Code::OutOfRange, "WRONG_OFFSET");
        assert_eq!(fact(&status, "expected_offset"), text.len().to_string(), "{name}");
    }
    // None of that harmed the import.
    let csv = plain_csv("w", 0, 3);
    let mut messages = vec![resume(&id, 0)];
    messages.extend(chunks(csv.as_bytes(), 0, 10));
    messages.push(finish(csv.len()));
    tenant.upload(messages).await.expect("the upload");
    assert_eq!(counters(&tenant.wait(&id).await), (3, 0, 0));
}

async fn a_wrong_offset_takes_nothing_over(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "10"]).await;
    let tenant = server.tenant().await;
    let csv = plain_csv("o", 0, 40);
    let id = tenant.create().await.uuid;
    let (sender, receiver) = mpsc::channel(4);
    let mut client = tenant.client.imports();
    let first = tokio::spawn(async move { client.upload_import(ReceiverStream::new(receiver)).await });
    sender.send(resume(&id, 0)).await.expect("sent");
    sender.send(chunk(0, csv.as_bytes())).await.expect("sent");
    eventually("a segment is stored", async || {
        Some(tenant.get(&id).await).filter(|import| import.committed_size > 0)
    })
    .await;
    let late = tenant.upload(vec![resume(&id, 0), chunk(0, csv.as_bytes())]).await;
    assert_refused(late, Code::OutOfRange, "WRONG_OFFSET");
    sender.send(finish(csv.len())).await.expect("the first stream goes on");
    drop(sender);
    let import = first.await.expect("a task").expect("uploaded").into_inner().import.expect("an import");
    assert_eq!(counters(&tenant.wait(&import.uuid).await), (40, 0, 0));
}

/// E043.
async fn a_second_writer_takes_over(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "10"]).await;
    let tenant = server.tenant().await;
    let csv = plain_csv("t", 0, 40);
    let id = tenant.create().await.uuid;
    let (sender, receiver) = mpsc::channel(4);
    let mut client = tenant.client.imports();
    let first = tokio::spawn(async move { client.upload_import(ReceiverStream::new(receiver)).await });
    sender.send(resume(&id, 0)).await.expect("sent");
    // A segment, and a row of the next.
    let begun = csv.match_indices('\n').nth(11).expect("a row").0;
    sender.send(chunk(0, &csv.as_bytes()[..begun])).await.expect("sent");
    let stored = async || Some(tenant.get(&id).await.committed_size).filter(|size| *size > 0);
    let stored = eventually("the first stream is open", stored).await;
    let mut messages = vec![resume(&id, stored)];
    messages.extend(chunks(csv.as_bytes(), stored as usize, 64));
    messages.push(finish(csv.len()));
    tenant.upload(messages).await.expect("the second writer is served");
    let answer = first.await.expect("a task").map(|_| ());
    assert_refused(answer, Code::Aborted, "UPLOAD_TAKEN_OVER");
    let import = tenant.wait(&id).await;
    assert_eq!((import.total_rows, counters(&import)), (40, (40, 0, 0)));
}

/// E043 over processes: the first stream hears of it with the next segment it stores.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_at_another_process_takes_over() {
    let world = World::new(Database::Postgres, &["--segment-rows", "10", "--log", "off"]).await;
    let (_one, address) = world.start(&["--role", "api"], &[]).await.expect("it starts");
    let first = world.client(&address).await.expect("connects");
    let (_other, address) = world.start(&["--role", "api"], &[]).await.expect("it starts");
    let second = world.client(&address).await.expect("connects");
    let _worker = world.start(&["--role", "worker"], &[]).await.expect("it starts");
    let csv = plain_csv("t", 0, 95);
    let (bytes, half) = (csv.as_bytes(), csv.len() / 2);
    let id = create(&first, world.spec()).await;
    let open = |client: &Client| {
        let (sender, receiver) = mpsc::channel(4);
        let mut imports = client.imports();
        let call = tokio::spawn(async move { imports.upload_import(ReceiverStream::new(receiver)).await });
        (sender, call)
    };
    let committed = async |beyond: usize| {
        eventually("a segment is stored", async || {
            let size = get(&first, &id).await.expect("one").committed_size as usize;
            (size > beyond).then_some(size)
        })
        .await
    };
    let (sender, overtaken) = open(&first);
    sender.send(resume(&id, 0)).await.expect("sent");
    sender.send(chunk(0, &bytes[..half])).await.expect("sent");
    // The first has stored what it can of that.
    let whole = csv.match_indices('\n').nth(40).expect("a row").0;
    let at = committed(whole).await;
    let (other_sender, upload) = open(&second);
    other_sender.send(resume(&id, at as i64)).await.expect("sent");
    other_sender.send(chunk(at, &bytes[at..at + half])).await.expect("sent");
    committed(at).await;
    sender.send(chunk(half, &bytes[half..])).await.expect("sent");
    assert_refused(overtaken.await.expect("a task").map(drop), Code::Aborted, "UPLOAD_TAKEN_OVER");
    other_sender.send(chunk(at + half, &bytes[at + half..])).await.expect("the second stream goes on");
    other_sender.send(finish(bytes.len())).await.expect("sent");
    drop(other_sender);
    upload.await.expect("a task").expect("uploaded");
    let import = carry_on(&first, &id, bytes).await.expect("it ends");
    assert_eq!((import.total_rows, counters(&import)), (95, (95, 0, 0)));
}
