//! Uploads each message of which is a frame of its own, however small.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use carryover::grpc::pb::{self, upload_import_request::Message};
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::oneshot;

use crate::{
    harness::{Database, Server, chunk, chunks, counters, finish, message, plain_csv, resume},
    on_both_databases,
    pace::large_rows,
    waits::{eventually, holding_writes},
};

on_both_databases!(
    small_frames_that_wait_do_not_end_the_connection,
    small_frames_that_are_read_do_not_end_the_connection,
);

/// A stream that pauses between its messages: those that are ready at once go into one frame.
fn one_by_one(
    messages: impl IntoIterator<Item = pb::UploadImportRequest>,
) -> impl Stream<Item = pb::UploadImportRequest> {
    stream::iter(messages).then(async |message| {
        tokio::task::yield_now().await;
        message
    })
}

/// E027: h2 closes a connection on which more small frames wait unread than half its window pays for.
async fn small_frames_that_wait_do_not_end_the_connection(database: Database) {
    const ROWS: usize = 6500;
    const LARGE: usize = 3 << 20;
    const SMALL: usize = 60_000;
    /// As many as the window of a stream holds, or nearly.
    const MANY: usize = 20_000;
    let server = Server::start_with(database, &["--segment-rows", "200"]).await;
    let tenant = server.tenant().await;
    let csv = large_rows(ROWS, 2000);
    let id = tenant.create().await.uuid;
    let begun = csv.match_indices('\n').nth(200).expect("a row").0 + 1;
    // One is taken and cannot be stored, two wait behind it, and with the fourth nothing more is read.
    let small_begin = begun + 4 * LARGE;
    let large: Vec<_> = chunks(&csv.as_bytes()[..small_begin], begun, LARGE).collect();
    let bytes = csv.clone().into_bytes();
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = sent.clone();
    // Without a checksum they are as small as can be.
    let small = (small_begin..small_begin + SMALL).map(move |at| {
        counted.fetch_add(1, Ordering::Relaxed);
        let data = bytes[at..=at].to_vec().into();
        message(Message::Chunk(pb::UploadChunk { write_offset: at as i64, data, crc32c: None }))
    });
    let small_end = small_begin + SMALL;
    let end = [chunk(small_end, &csv.as_bytes()[small_end..]), finish(csv.len())];
    let rest = large.into_iter().chain(small).chain(end);
    let (is_held, held) = oneshot::channel::<()>();
    let messages = one_by_one([resume(&id, 0), chunk(0, &csv.as_bytes()[..begun])])
        .chain(stream::once(held).flat_map(move |_| one_by_one(rest.clone())));
    let mut imports = tenant.client.imports();
    let upload = tokio::spawn(async move { imports.upload_import(messages).await });
    eventually("a segment", async || (tenant.get(&id).await.committed_size > 0).then_some(())).await;
    let waiting = holding_writes(&server, async {
        is_held.send(()).expect("the stream is open");
        let mut before = 0;
        eventually("the window is full", async || {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let now = sent.load(Ordering::Relaxed);
            let is_still = std::mem::replace(&mut before, now) == now;
            (is_still && now > MANY || upload.is_finished()).then_some(now)
        })
        .await
    })
    .await;
    upload.await.expect("a task").expect("the connection lives");
    assert!((MANY..SMALL).contains(&waiting), "a window of them: {waiting}");
    assert_eq!(counters(&tenant.wait(&id).await), (ROWS as i64, 0, 0));
}

/// E028.
async fn small_frames_that_are_read_do_not_end_the_connection(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let csv = plain_csv("s", 0, 1250);
    assert!(csv.len() > 50_000);
    let id = tenant.create().await.uuid;
    let mut messages = vec![resume(&id, 0)];
    messages.extend(chunks(csv.as_bytes(), 0, 1));
    messages.push(finish(csv.len()));
    tenant.client.imports().upload_import(one_by_one(messages)).await.expect("an upload");
    assert_eq!(counters(&tenant.wait(&id).await), (1250, 0, 0));
}
