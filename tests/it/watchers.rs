//! Many who watch one import, and one who watches through a database that is away for a while.

use carryover::grpc::pb::{self, ImportStatus, watch_import_response::Event};

use crate::{
    harness::{Database, Server, chunks, finish, plain_csv, resume},
    on_both_databases,
};

on_both_databases!(each_of_many_watchers_sees_the_end);

/// N006: the import is read once for all of them.
async fn each_of_many_watchers_sees_the_end(database: Database) {
    let flags = ["--segment-rows", "10", "--max-streams", "1000"];
    let server = Server::start_with(database, &flags).await;
    let tenant = server.tenant().await;
    let id = tenant.create().await.uuid;
    let mut watchers = Vec::new();
    for _ in 0..400 {
        let request = pb::WatchImportRequest { import_id: id.clone(), ..Default::default() };
        let mut watch = tenant.client.imports().watch_import(request).await.expect("a watch").into_inner();
        watchers.push(tokio::spawn(async move {
            let mut sequences = Vec::new();
            let mut last = None;
            while let Some(message) = watch.message().await.expect("a message") {
                if let Some(Event::Import(import)) = message.event {
                    sequences.push(import.sequence);
                    last = Some(import);
                }
            }
            assert!(sequences.is_sorted_by(|a, b| a < b), "forward only: {sequences:?}");
            last.expect("a state")
        }));
    }
    let csv = plain_csv("w", 0, 200);
    let mut messages = vec![resume(&id, 0)];
    messages.extend(chunks(csv.as_bytes(), 0, 700));
    messages.push(finish(csv.len()));
    tenant.upload(messages).await.expect("stored");
    for watcher in watchers {
        let last = watcher.await.expect("a task");
        assert_eq!((last.status(), last.processed_rows), (ImportStatus::Completed, 200));
    }
}
