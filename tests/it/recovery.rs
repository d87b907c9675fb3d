//! Servers that die, stop or stumble lose nothing and do nothing twice.

use std::time::Duration;

use carryover::grpc::{
    client::Client,
    pb::{self, ImportStatus},
};
use tonic::Code;

use crate::{
    harness::{Database, Server, chunk, chunks, counters, finish, plain_csv, reason, resume},
    on_both_databases,
    processes::serve,
    waits::eventually,
};

on_both_databases!(
    a_soft_stop_ends_streams_and_a_restart_goes_on,
    a_segment_whose_write_fails_is_tried_again,
    a_lost_claim_is_taken_up_by_another,
);

async fn a_soft_stop_ends_streams_and_a_restart_goes_on(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "10"]).await;
    let tenant = server.tenant().await;
    let csv = plain_csv("r", 0, 200);
    let id = tenant.create().await.uuid;
    let watch = {
        let request = pb::WatchImportRequest { import_id: id.clone(), ..Default::default() };
        tenant.client.imports().watch_import(request).await.expect("a watch").into_inner()
    };
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    let mut client = tenant.client.imports();
    let upload = tokio::spawn(async move {
        client.upload_import(tokio_stream::wrappers::ReceiverStream::new(receiver)).await
    });
    sender.send(resume(&id, 0)).await.expect("sent");
    sender.send(chunk(0, &csv.as_bytes()[..csv.len() / 2])).await.expect("sent");
    while tenant.get(&id).await.processed_rows < 20 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let key = tenant.key.clone();
    let server = server.restart(&["--segment-rows", "10"]).await;
    let status = upload.await.expect("a task").expect_err("the upload is told");
    assert!(matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled), "{status:?}");
    let mut watch = watch;
    let ended = loop {
        match watch.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the watch ended as if the import had"),
            Err(status) => break status,
        }
    };
    assert!(ended.code() == Code::Unavailable || reason(&ended) == "SHUTTING_DOWN", "{ended:?}");

    let client = server.admin.with_key(&key).expect("a client");
    let tenant = crate::harness::Tenant { client, ..tenant };
    let committed = tenant.get(&id).await.committed_size as usize;
    assert!(committed > 0);
    let mut messages = vec![resume(&id, committed as i64)];
    messages.extend(chunks(csv.as_bytes(), committed, 500));
    messages.push(finish(csv.len()));
    tenant.upload(messages).await.expect("the rest");
    let import = tenant.wait(&id).await;
    assert_eq!((import.total_rows, counters(&import)), (200, (200, 0, 0)));
}

async fn a_segment_whose_write_fails_is_tried_again(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "10"]).await;
    let tenant = server.tenant().await;
    // A database that refuses for a while, as one does whose disk is full.
    server.sql(match database {
        Database::Sqlite => "CREATE TRIGGER refuse BEFORE INSERT ON user_sessions BEGIN SELECT RAISE(ABORT, 'disk full'); END;",
        Database::Postgres => "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'disk full'; END $$; \
             CREATE TRIGGER refuse BEFORE INSERT ON user_sessions FOR EACH ROW EXECUTE FUNCTION refuse();",
    }).await;
    let csv = plain_csv("t", 0, 25);
    let id = tenant.create().await.uuid;
    tenant
        .upload(vec![resume(&id, 0), chunk(0, csv.as_bytes()), finish(csv.len())])
        .await
        .expect("stored all the same");
    let waiting = eventually("it is tried", async || {
        Some(tenant.get(&id).await).filter(|import| import.waiting_reason.is_some())
    })
    .await;
    assert_eq!((waiting.status(), waiting.processed_rows), (ImportStatus::Processing, 0));
    server
        .sql(match database {
            Database::Sqlite => "DROP TRIGGER refuse;",
            Database::Postgres => "DROP TRIGGER refuse ON user_sessions;",
        })
        .await;
    let import = tenant.wait(&id).await;
    assert_eq!((import.status(), counters(&import)), (ImportStatus::Completed, (25, 0, 0)));
}

async fn a_lost_claim_is_taken_up_by_another(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "10"]).await;
    let tenant = server.tenant().await;
    let id = tenant.create().await.uuid;
    // Segments that a worker claimed and then died over: their lease has run out.
    server
        .sql(match database {
            Database::Sqlite => {
                "CREATE TRIGGER dead AFTER INSERT ON segments BEGIN UPDATE segments SET state = 'CLAIMED', \
             owner = x'00000000000000000000000000000000', epoch = 5, attempts = 1, \
             lease_expires_at = '2020-01-01T00:00:00+00:00' WHERE seq = NEW.seq; END;"
            }
            Database::Postgres => {
                "CREATE FUNCTION dead() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.state = 'CLAIMED'; \
             NEW.owner = '00000000-0000-0000-0000-000000000000'; NEW.epoch = 5; NEW.attempts = 1; \
             NEW.lease_expires_at = '2020-01-01'; RETURN NEW; END $$; \
             CREATE TRIGGER dead BEFORE INSERT ON segments FOR EACH ROW EXECUTE FUNCTION dead();"
            }
        })
        .await;
    let csv = plain_csv("d", 0, 35);
    tenant
        .upload(vec![resume(&id, 0), chunk(0, csv.as_bytes()), finish(csv.len())])
        .await
        .expect("an upload");
    let import = tenant.wait(&id).await;
    assert_eq!((import.status(), counters(&import)), (ImportStatus::Completed, (35, 0, 0)));
}

/// kill -9 at random moments of upload and work; whoever comes next ends with every row once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_nothing() {
    // With leases longer than the test: who comes next does not wait for those of the dead.
    const FLAGS: &[&str] = &["--segment-rows", "500", "--lease-seconds", "3600"];
    let folder = tempfile::tempdir().expect("a folder");
    let (mut child, address) = serve(folder.path(), FLAGS, &[]).await;
    let key = std::fs::read_to_string(folder.path().join("admin.key")).expect("the first admin key");
    let admin = Client::connect(&address, key.trim()).await.expect("connects");
    let request = pb::CreateApplicationRequest { name: "k".into(), enable_imports: true, sandbox: false };
    let application = admin
        .admin()
        .create_application(request)
        .await
        .expect("made")
        .into_inner()
        .application
        .expect("one")
        .id;
    let request = pb::CreateWorkflowRequest {
        application_id: application.clone(),
        name: "w".into(),
        kind: pb::WorkflowKind::User as i32,
    };
    let workflow_id = admin
        .workflows()
        .create_workflow(request)
        .await
        .expect("made")
        .into_inner()
        .workflow
        .expect("one")
        .id;
    let request = pb::CreateApiKeyRequest {
        application_id: application,
        role: pb::Role::Importer as i32,
        name: "k".into(),
        ..Default::default()
    };
    let key = admin.admin().create_api_key(request).await.expect("made").into_inner().key;
    let mut client = admin.with_key(&key).expect("a client");
    let spec = pb::ImportSpec { import_type: 1, workflow_id, ..Default::default() };
    let request = pb::CreateImportRequest { spec: Some(spec), request_id: String::new() };
    let id =
        client.imports().create_import(request).await.expect("made").into_inner().import.expect("one").uuid;
    let csv = plain_csv("k", 0, 60_000);

    let get = async |client: &Client| {
        let request = pb::GetImportRequest { import_id: id.clone() };
        client.imports().get_import(request).await.map(|answer| answer.into_inner().import.expect("one"))
    };
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..4 {
        let offset = get(&client).await.expect("it stands").committed_size as u64;
        let rest = std::io::Cursor::new(csv.as_bytes()[offset as usize..].to_vec());
        let wait = Duration::from_millis(random.u64(30..400));
        tokio::select! {
            _ = client.upload(&id, offset, rest) => {}
            () = tokio::time::sleep(wait) => {}
        }
        child.kill().await.expect("kill -9");
        let address;
        (child, address) = serve(folder.path(), FLAGS, &[]).await;
        client = Client::connect(&address, &key).await.expect("connects");
        let state = get(&client).await.expect("it stands");
        assert_eq!(state.processed_rows, state.created_count + state.skipped_count + state.failed_count);
    }
    let import = get(&client).await.expect("it stands");
    if !import.upload_finished {
        let offset = import.committed_size as u64;
        let rest = std::io::Cursor::new(csv.as_bytes()[offset as usize..].to_vec());
        client.upload(&id, offset, rest).await.expect("the rest");
    }
    let import = loop {
        let import = get(&client).await.expect("it stands");
        if import.status() != ImportStatus::Processing && import.status() != ImportStatus::Pending {
            break import;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(import.status(), ImportStatus::Completed, "{}", import.last_error());
    assert_eq!((import.total_rows, counters(&import)), (60_000, (60_000, 0, 0)));
    let request = pb::ListSessionsRequest { page_size: 3, ..Default::default() };
    let newest = client.sessions().list_sessions(request).await.expect("a page").into_inner().sessions;
    assert_eq!(newest[0].external_id, "k59999");
    child.kill().await.expect("ends");
}
