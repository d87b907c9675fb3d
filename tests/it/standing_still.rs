//! Imports in which nothing happens: watchers hear that the server is there, and the abandoned ones end.

use std::time::Duration;

use carryover::grpc::pb::{self, ImportStatus, watch_import_response::Event};
use tonic::Code;

use crate::{
    harness::{Database, Server, assert_refused, chunks, counters, finish, plain_csv, resume},
    on_both_databases, stored as tables,
    upload::send_and_break,
    waits::eventually,
};

on_both_databases!(a_watcher_hears_of_a_server_that_has_no_news, an_upload_that_nobody_goes_on_with_ends);

async fn a_watcher_hears_of_a_server_that_has_no_news(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let id = tenant.create().await.uuid;
    let request = pb::WatchImportRequest { import_id: id.clone(), resume_token: String::new() };
    let mut watch = tenant.client.imports().watch_import(request).await.expect("a watch").into_inner();
    let mut next = async || {
        let message = tokio::time::timeout(Duration::from_secs(60), watch.message());
        message.await.expect("a message before anybody gives up").expect("a message").expect("one")
    };
    let first = next().await;
    let Some(Event::Import(state)) = first.event else { panic!("the state comes first: {first:?}") };
    let beat = next().await;
    let Some(Event::Heartbeat(time)) = beat.event else { panic!("no news: {beat:?}") };
    assert!(time.seconds >= state.updated_at.expect("a time").seconds, "it tells the server's time");
    assert_eq!(beat.resume_token, first.resume_token, "and moves nothing on");

    // A watch that goes on from there has not missed what comes next.
    let request = pb::WatchImportRequest { import_id: id.clone(), resume_token: beat.resume_token };
    let mut resumed = tenant.client.imports().watch_import(request).await.expect("a watch").into_inner();
    let cancel = pb::CancelImportRequest { import_id: id };
    tenant.client.imports().cancel_import(cancel).await.expect("cancelled");
    let last = resumed.message().await.expect("a message").expect("one");
    let Some(Event::Import(state)) = last.event else { panic!("news: {last:?}") };
    assert_eq!(state.status(), ImportStatus::Cancelled);
    assert_eq!(resumed.message().await.expect("an end"), None);
}

/// E037, when the client does not come back.
async fn an_upload_that_nobody_goes_on_with_ends(database: Database) {
    let flags = ["--segment-rows", "10", "--sweep-seconds", "1", "--upload-ttl-hours", "2"];
    let server = Server::start_with(database, &flags).await;
    let (tenant, recent) = (server.tenant().await, server.tenant().await);
    let waiting = recent.create().await.uuid;
    let done = tenant.import(plain_csv("done", 0, 5)).await;
    let csv = plain_csv("a", 0, 30);
    let id = tenant.create().await.uuid;
    let mut messages = vec![resume(&id, 0)];
    messages.extend(chunks(&csv.as_bytes()[..csv.len() - 20], 0, 100));
    let broken = send_and_break(&tenant, &id, messages).await;
    assert!(!broken.upload_finished);
    eventually("what is stored is written", async || {
        (tenant.get(&id).await.processed_rows == 20).then_some(())
    })
    .await;

    // Three hours pass for one application, and one for the other.
    let moved = |hours: i32, application: &str| {
        let id = tables::id(&server, application);
        match database {
            Database::Sqlite => format!(
                "UPDATE imports SET updated_at = strftime('%Y-%m-%dT%H:%M:%S+00:00', 'now', '-{hours} hours') \
                 WHERE application_id = {id}"
            ),
            Database::Postgres => format!(
                "UPDATE imports SET updated_at = now() - interval '{hours} hours' WHERE application_id = {id}"
            ),
        }
    };
    server.sql(&moved(1, &recent.application)).await;
    server.sql(&moved(3, &tenant.application)).await;
    let ended = tenant.wait(&id).await;
    assert_eq!((ended.status(), ended.last_error_reason()), (ImportStatus::Failed, "UPLOAD_ABANDONED"));
    assert!(ended.last_error().contains("2 hours"), "{}", ended.last_error());
    assert_eq!(counters(&ended), (20, 0, 0), "rows that were stored are kept");
    assert_eq!(tenant.get(&done.uuid).await.status(), ImportStatus::Completed, "what has ended stays so");
    assert_eq!(recent.get(&waiting).await.status(), ImportStatus::Pending, "the other one may still be sent");

    let late = tenant.upload(vec![resume(&id, ended.committed_size), finish(csv.len())]).await;
    assert_refused(late, Code::FailedPrecondition, "UPLOAD_ABANDONED");
    let again = tenant.import(&csv).await;
    assert_eq!(
        counters(&again),
        (10, 20, 0),
        "it counts as active no longer, and the file can be sent again"
    );
}
