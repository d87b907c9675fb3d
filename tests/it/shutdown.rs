//! SIGTERM: streams are told, segments in work are finished or given back, and the process ends, whoever is
//! connected to it (security cases O002 to O005).

use carryover::grpc::pb;
use tokio::{io::AsyncWriteExt, net::TcpStream, process::Child};
use tonic::Code;
use tonic_types::StatusExt;

use crate::{
    harness::{Database, chunk, counters, plain_csv, reason, resume},
    processes::{World, carry_on, create, get},
    stored,
};

const FLAGS: &[&str] = &["--segment-rows", "10", "--log", "off"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_ends_whoever_is_connected() {
    ends_whoever_is_connected(Database::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_ends_whoever_is_connected() {
    ends_whoever_is_connected(Database::Postgres).await;
}

fn terminate(child: &Child) {
    let id = child.id().expect("it runs").to_string();
    assert!(std::process::Command::new("kill").arg(id).status().expect("kill").success());
}

async fn ends_whoever_is_connected(database: Database) {
    let world = World::new(database, FLAGS).await;
    let (mut child, address) = world.start(&[], &[]).await.expect("it starts");
    let client = world.client(&address).await.expect("connects");
    // One that says nothing, one that begins and says no more.
    let host = address.trim_start_matches("http://");
    let _silent = TcpStream::connect(host).await.expect("connects");
    let mut half = TcpStream::connect(host).await.expect("connects");
    half.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("sent");

    let csv = plain_csv("s", 0, 400);
    let id = create(&client, world.spec()).await;
    let request = pb::WatchImportRequest { import_id: id.clone(), ..Default::default() };
    let mut watch = client.imports().watch_import(request).await.expect("a watch").into_inner();
    let request = pb::StreamRowErrorsRequest { import_id: id.clone(), follow: true, ..Default::default() };
    let mut errors = client.imports().stream_row_errors(request).await.expect("a stream").into_inner();
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    let mut imports = client.imports();
    let upload = tokio::spawn(async move {
        imports.upload_import(tokio_stream::wrappers::ReceiverStream::new(receiver)).await
    });
    sender.send(resume(&id, 0)).await.expect("sent");
    sender.send(chunk(0, &csv.as_bytes()[..csv.len() / 2])).await.expect("sent");
    while get(&client, &id).await.expect("one").processed_rows == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    terminate(&child);

    let told = |status: tonic::Status| {
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::Unavailable, "SHUTTING_DOWN"),
            "{status:?}"
        );
        assert!(status.get_details_retry_info().is_some(), "when to come back: {status:?}");
    };
    told(upload.await.expect("a task").expect_err("it is told"));
    let ended = loop {
        match watch.message().await {
            Ok(message) => assert!(message.is_some(), "it does not end as if the import had"),
            Err(status) => break status,
        }
    };
    told(ended);
    told(errors.message().await.expect_err("it is told"));
    let code = child.wait().await.expect("it ends").code();
    assert_eq!(code, Some(0), "softly");

    let held = "SELECT COUNT(*) AS held FROM segments WHERE owner IS NOT NULL";
    let path = world.folder.path().join("carryover.db");
    let row = stored::rows_in(world.database_url.as_deref(), &path, held).await.remove(0);
    assert_eq!(row["held"], 0, "nobody waits for the lease of who is gone");
    let (_child, address) = world.start(&[], &[]).await.expect("it starts");
    let client = world.client(&address).await.expect("connects");
    let import = carry_on(&client, &id, csv.as_bytes()).await.expect("it goes on");
    assert_eq!(counters(&import), (400, 0, 0));
}

/// O005: whoever asks twice does not want to wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_at_once() {
    let world = World::new(Database::Postgres, FLAGS).await;
    let url = world.database_url.clone().expect("a URL");
    let slow = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         PERFORM pg_sleep(8); RETURN NEW; END $$; \
         CREATE TRIGGER slow BEFORE INSERT ON user_sessions FOR EACH ROW EXECUTE FUNCTION slow();";
    let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect(&url).await.expect("connects");
    sqlx::raw_sql(slow).execute(&mut connection).await.expect("runs");
    let (mut child, address) = world.start(&[], &[]).await.expect("it starts");
    let client = world.client(&address).await.expect("connects");
    let id = create(&client, world.spec()).await;
    let csv = plain_csv("s", 0, 10);
    client.upload(&id, 0, std::io::Cursor::new(csv.into_bytes())).await.expect("stored");
    while get(&client, &id).await.expect("one").started_at.is_none() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    terminate(&child);
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    terminate(&child);
    let code = child.wait().await.expect("it ends").code();
    assert_eq!(code, Some(1), "it did not finish what was in work");
}
