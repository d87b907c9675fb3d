//! SIGTERM: streams are told, segments in work are finished or given back, and the process ends, whoever is
//! connected to it (security cases O002 to O006).

use std::sync::atomic::{AtomicUsize, Ordering};

use carryover::grpc::pb;
use tokio::{io::AsyncWriteExt, net::TcpStream, process::Child};
use tokio_util::sync::CancellationToken;
use tonic::{Code, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest,
    health_check_response::ServingStatus::{self, NotServing, Serving},
    health_client::HealthClient,
};
use tonic_types::StatusExt;

use crate::{
    harness::{Database, chunk, counters, plain_csv, reason, resume},
    processes::{World, carry_on, create, get},
    stored,
    waits::eventually,
};

const FLAGS: &[&str] = &["--segment-rows", "10", "--log", "off"];

/// Flags of a process whose log is read.
const HEARD: &[&str] = &["--segment-rows", "10", "--log", "carryover=info"];

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

/// O006: whoever asks for readiness finds out before anybody is refused, and whoever has not asked yet is answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_is_announced_before_calls_are_refused() {
    let world = World::new(Database::Postgres, FLAGS).await;
    let (mut old, first) = world.start(&["--drain-seconds", "5"], &[]).await.expect("it starts");
    let (_new, second) = world.start(&[], &[]).await.expect("it starts");
    let client = world.client(&second).await.expect("connects");
    let id = create(&client, world.spec()).await;
    // A caller as behind a load balancer: the first that says it is ready gets the call, on a connection of its own.
    let (is_over, answered) = (CancellationToken::new(), AtomicUsize::new(0));
    let calls = async {
        let mut elsewhere = 0;
        while !is_over.is_cancelled() {
            let is_ready = readiness(&first, "readiness").await == Some(Serving);
            let client = world.client(if is_ready { &first } else { &second }).await.expect("connects");
            get(&client, &id).await.expect("answered");
            match is_ready {
                true => drop(answered.fetch_add(1, Ordering::Relaxed)),
                false => elsewhere += 1,
            }
        }
        elsewhere
    };
    let stop = async {
        eventually("it is called", async || (answered.load(Ordering::Relaxed) > 0).then_some(())).await;
        terminate(&old);
        let gone = async || readiness(&first, "readiness").await.filter(|status| *status == NotServing);
        eventually("not ready", gone).await;
        assert_eq!(readiness(&first, "carryover.v1.ImportService").await, Some(NotServing));
        assert_eq!(readiness(&first, "").await, Some(Serving), "it lives");
        let late = world.client(&first).await.expect("it still takes connections");
        get(&late, &id).await.expect("and calls");
        let created = create(&late, world.spec()).await;
        get(&client, &created).await.expect("it is there");
        let code = old.wait().await.expect("it ends").code();
        is_over.cancel();
        code
    };
    let (elsewhere, code) = tokio::join!(calls, stop);
    assert_eq!(code, Some(0), "softly");
    assert!(elsewhere > 0, "callers found the other one");
}

/// What a server says of a service, on a new connection; nothing when it is gone.
async fn readiness(address: &str, service: &str) -> Option<ServingStatus> {
    let url = format!("http://{address}");
    let channel = Channel::from_shared(url).expect("an address").connect().await.ok()?;
    let request = HealthCheckRequest { service: service.to_owned() };
    Some(HealthClient::new(channel).check(request).await.ok()?.into_inner().status())
}

/// Rows of an import of ten segments.
const ROWS: usize = 100;

/// A process in whose hands a segment of 10 rows is, and is not settled before so many seconds have passed.
async fn with_a_slow_segment(world: &World, seconds: u32) -> (Child, String) {
    let url = world.database_url.as_deref().expect("a URL");
    let slow = format!(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         PERFORM pg_sleep({seconds}); RETURN NULL; END $$; \
         CREATE TRIGGER slow AFTER INSERT ON user_sessions EXECUTE FUNCTION slow();"
    );
    let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect(url).await.expect("connects");
    sqlx::raw_sql(sqlx::AssertSqlSafe(slow)).execute(&mut connection).await.expect("runs");
    let (child, address) = world.start(&[], &[]).await.expect("it starts");
    let client = world.client(&address).await.expect("connects");
    let id = create(&client, world.spec()).await;
    client.upload(&id, 0, std::io::Cursor::new(plain_csv("s", 0, ROWS).into_bytes())).await.expect("stored");
    let sleeps = "SELECT COUNT(*) AS held FROM pg_stat_activity \
                  WHERE datname = current_database() AND wait_event = 'PgSleep'";
    eventually("it is being written", async || (count(world, sleeps).await > 0).then_some(())).await;
    (child, id)
}

/// The number that a query of one row calls `held`.
async fn count(world: &World, sql: &str) -> i64 {
    let path = world.folder.path().join("carryover.db");
    let row = stored::rows_in(world.database_url.as_deref(), &path, sql).await.remove(0);
    row["held"].as_i64().expect("a number")
}

/// The import goes on in a process of its own, and every row is there once.
async fn goes_on(world: &World, id: &str) {
    let url = world.database_url.as_deref().expect("a URL");
    let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect(url).await.expect("connects");
    // Who sleeps does not notice that nobody waits for it, and leases run out by themselves.
    let awake = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND wait_event = 'PgSleep'; DROP FUNCTION slow() CASCADE; \
         UPDATE segments SET lease_expires_at = 'epoch' WHERE owner IS NOT NULL";
    sqlx::raw_sql(awake).execute(&mut connection).await.expect("runs");
    let (_child, address) = world.start(&[], &[]).await.expect("it starts");
    let client = world.client(&address).await.expect("connects");
    let import = carry_on(&client, id, &[]).await.expect("it goes on");
    assert_eq!(counters(&import), (ROWS as i64, 0, 0));
    assert_eq!(count(world, "SELECT COUNT(*) AS held FROM user_sessions").await, ROWS as i64);
}

/// O003: what is being written is committed, what was only claimed is given back, and both are told as they are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_amid_a_segment_leaves_it_whole() {
    let flags = ["--segments-in-flight", "1", "--lease-seconds", "600"];
    let world = World::new(Database::Postgres, &[FLAGS, &flags].concat()).await;
    let (mut child, id) = with_a_slow_segment(&world, 2).await;
    terminate(&child);
    assert_eq!(child.wait().await.expect("it ends").code(), Some(0), "softly");
    let done = count(&world, "SELECT 10 * COUNT(*) AS held FROM segments WHERE state = 'DONE'").await;
    assert!(
        (10..ROWS as i64).contains(&done),
        "what is being written is finished, and no more begun: {done}"
    );
    for (what, told) in [
        ("created", "SELECT created_count AS held FROM imports"),
        ("checkpoint", "SELECT checkpoint_row AS held FROM imports"),
        ("records", "SELECT COUNT(*) AS held FROM user_sessions"),
    ] {
        assert_eq!(count(&world, told).await, done, "{what}");
    }
    let held = "SELECT COUNT(*) AS held FROM segments WHERE owner IS NOT NULL";
    assert_eq!(count(&world, held).await, 0, "nobody waits for the lease of who is gone");
    goes_on(&world, &id).await;
}

/// O005: whoever asks twice does not want to wait, and loses no more than by a kill.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_at_once() {
    let world = World::new(Database::Postgres, HEARD).await;
    let (mut child, id) = with_a_slow_segment(&world, 600).await;
    terminate(&child);
    // Two at a time would be one.
    let stops = async || world.told.lock().expect("no panic").contains("SIGTERM").then_some(());
    eventually("it has heard", stops).await;
    terminate(&child);
    let code = child.wait().await.expect("it ends").code();
    assert_eq!(code, Some(1), "it did not finish what was in work");
    goes_on(&world, &id).await;
}

/// O005: it does not wait for ever either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_has_an_end() {
    let world = World::new(Database::Postgres, HEARD).await;
    let (mut child, id) = with_a_slow_segment(&world, 600).await;
    terminate(&child);
    let code = child.wait().await.expect("it ends").code();
    assert_eq!(code, Some(1), "it did not finish what was in work");
    goes_on(&world, &id).await;
}
