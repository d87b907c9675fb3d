//! The database at the start, beside others, and at the edge of an import's life (sections J and K of the
//! security cases; `workers`, `crash` and `poison` hold the rest of them).

use std::time::Duration;

use carryover::grpc::pb::{self, ImportStatus};
use sqlx::Connection;

use crate::{
    control::cancel,
    harness::{Database, Server, Tenant, assert_adds_up, counters, plain_csv, upload_of},
    on_both_databases,
    processes::{World, carry_on, create, serve},
    stored,
};

on_both_databases!(
    a_later_schema_is_used_while_nothing_is_taken_away,
    a_cancel_and_the_end_of_an_import_are_one_of_the_two,
    a_cancelled_import_counts_what_it_wrote,
);

/// J001: a process that starts before its database waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_waits_for_its_database() {
    let url = url::Url::parse(&crate::harness::new_database().await).expect("a URL");
    // It is ours, and nobody listens there yet.
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let port = socket.local_addr().expect("an address").port();
    let mut away = url.clone();
    away.set_port(Some(port)).expect("a port");
    let folder = tempfile::tempdir().expect("a folder");
    let target = format!("{}:{}", url.host_str().expect("a host"), url.port().expect("a port"));
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let listener = socket.listen(128).expect("listens");
        while let Ok((mut client, _)) = listener.accept().await {
            let target = target.clone();
            tokio::spawn(async move {
                let mut server = tokio::net::TcpStream::connect(target).await?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    let (_child, address) = serve(folder.path(), &["--database-url", away.as_str()], &[]).await;
    assert!(address.contains("127.0.0.1"));

    let nobody = "postgres://nobody@127.0.0.1:1/none";
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_carryover"))
        .args(["serve", "--listen", "127.0.0.1:0", "--database-url", nobody, "--database-wait-seconds", "1"])
        .arg("--data-dir")
        .arg(folder.path())
        .output()
        .await
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains("open the database"), "{text}");
}

/// J019: processes that start together make the schema once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_start_together_migrate_once() {
    let url = crate::harness::new_database().await;
    let folder = tempfile::tempdir().expect("a folder");
    let flags = ["--database-url", &url, "--log", "off"];
    let (one, two, three) = tokio::join!(
        serve(folder.path(), &flags, &[]),
        serve(folder.path(), &flags, &[]),
        serve(folder.path(), &flags, &[])
    );
    drop((one, two, three));
    let twice = "SELECT version FROM seaql_migrations GROUP BY version HAVING COUNT(*) > 1";
    assert!(stored::rows_in(Some(&url), folder.path(), twice).await.is_empty());
}

/// Tells a database that a later version has been there.
async fn pretend_later(world: &World, version: &str) {
    let later = format!("INSERT INTO seaql_migrations (version, applied_at) VALUES ('{version}', 0)");
    match &world.database_url {
        Some(url) => {
            let mut connection = sqlx::PgConnection::connect(url).await.expect("connects");
            sqlx::query(sqlx::AssertSqlSafe(later)).execute(&mut connection).await.expect("runs");
        }
        None => {
            let path = world.folder.path().join("carryover.db");
            rusqlite::Connection::open(path).expect("opens").execute_batch(&later).expect("runs");
        }
    }
}

/// O007: a program works beside the one after it, whose migrations add to the schema only. J020: what takes
/// something away is left alone, and told.
async fn a_later_schema_is_used_while_nothing_is_taken_away(database: Database) {
    let world = World::new(database, &["--log", "off"]).await;
    let (mut running, address) = world.start(&[], &[]).await.expect("it starts");
    pretend_later(&world, "m9998_later").await;
    let client = world.client(&address).await.expect("connects");
    let before = create(&client, world.spec()).await;
    carry_on(&client, &before, plain_csv("b", 0, 5).as_bytes()).await.expect("it goes on");
    running.kill().await.expect("ends");
    let (mut restarted, address) = world.start(&[], &[]).await.expect("it starts again");
    let client = world.client(&address).await.expect("connects");
    let after = create(&client, world.spec()).await;
    let import = carry_on(&client, &after, plain_csv("a", 0, 5).as_bytes()).await.expect("it works");
    assert_eq!((import.status(), import.created_count), (ImportStatus::Completed, 5));
    restarted.kill().await.expect("ends");

    pretend_later(&world, "m9999_contract_names").await;
    for command in ["serve", "migrate"] {
        let output = program(&world, command).await;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains("later version"), "{text}");
    }
}

/// Runs the program on a world's database; gives how it ended.
async fn program(world: &World, command: &str) -> std::process::Output {
    let mut program = tokio::process::Command::new(env!("CARGO_BIN_EXE_carryover"));
    program.args([command, "--data-dir"]).arg(world.folder.path()).env("CARRYOVER_LISTEN", "127.0.0.1:0");
    if let Some(url) = &world.database_url {
        program.args(["--database-url", url]);
    }
    program.output().await.expect("it runs")
}

/// The schema can be made before any server is there, by several at a time, and nobody needs a key for it. A worker
/// needs none, either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_is_made_ahead_of_the_servers() {
    let url = crate::harness::new_database().await;
    let folder = tempfile::tempdir().expect("a folder");
    let migrate = || {
        let mut program = tokio::process::Command::new(env!("CARGO_BIN_EXE_carryover"));
        program.args(["migrate", "--database-url", &url, "--data-dir"]).arg(folder.path());
        program.output()
    };
    let (one, two) = tokio::join!(migrate(), migrate());
    for output in [one.expect("it runs"), two.expect("it runs")] {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && text.contains("PostgreSQL"), "{text}");
    }
    let worker = ["--role", "worker", "--database-url", &url, "--log", "off"];
    let (_child, _address) = serve(folder.path(), &worker, &[]).await;
    let keys = stored::rows_in(Some(&url), folder.path(), "SELECT id FROM api_keys").await;
    assert!(keys.is_empty() && !folder.path().join("admin.key").exists());
}

/// J016: somebody else writes to the SQLite file for a while.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_writer_of_sqlite_is_waited_for() {
    let server = Server::start_with(Database::Sqlite, &["--segment-rows", "10"]).await;
    let tenant = server.tenant().await;
    let id = tenant.create().await.uuid;
    let path = server.path("carryover.db");
    let holder = std::thread::spawn(move || {
        let connection = rusqlite::Connection::open(path).expect("opens");
        for _ in 0..3 {
            connection.execute_batch("BEGIN IMMEDIATE").expect("begins");
            std::thread::sleep(Duration::from_millis(400));
            connection.execute_batch("ROLLBACK").expect("ends");
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let csv = plain_csv("b", 0, 100);
    let rest = std::io::Cursor::new(csv.into_bytes());
    tenant.client.upload(&id, 0, rest).await.expect("stored");
    let import = tenant.wait(&id).await;
    holder.join().expect("it ends");
    assert_eq!((import.status(), counters(&import)), (ImportStatus::Completed, (100, 0, 0)));
}

/// J018: whatever kills the process, the file is whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_leaves_a_whole_sqlite_file() {
    let world = World::new(Database::Sqlite, &["--segment-rows", "20", "--log", "off"]).await;
    let mut id = None;
    let file = plain_csv("w", 0, 2_000).into_bytes();
    for round in 0..8 {
        let (mut child, address) = world.start(&[], &[]).await.expect("it starts");
        let client = world.client(&address).await.expect("connects");
        if id.is_none() {
            id = Some(create(&client, world.spec()).await);
        }
        let Some(id) = &id else { continue };
        tokio::select! {
            _ = carry_on(&client, id, &file) => {}
            () = tokio::time::sleep(Duration::from_millis(20 + 25 * round)) => {}
        }
        child.kill().await.expect("kill -9");
        let path = world.folder.path().join("carryover.db");
        let told = stored::rows_in(None, &path, "PRAGMA integrity_check").await;
        assert_eq!(told[0]["integrity_check"], "ok");
        let wrong =
            "SELECT 1 AS wrong FROM imports WHERE created_count <> (SELECT COUNT(*) FROM user_sessions)";
        assert!(stored::rows_in(None, &path, wrong).await.is_empty(), "what is counted is there");
    }
}

async fn import_of(server: &Server, rows: usize) -> (Tenant, pb::Import) {
    let tenant = server.tenant().await;
    let csv = plain_csv("c", 0, rows);
    let import = tenant.upload(upload_of(tenant.spec(), csv.as_bytes(), 10_000)).await.expect("stored");
    (tenant, import)
}

/// K016: a cancel that comes as the import ends either ends it, or is told that it has ended.
async fn a_cancel_and_the_end_of_an_import_are_one_of_the_two(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "10"]).await;
    let mut random = fastrand::Rng::with_seed(16);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..25 {
        let (tenant, import) = import_of(&server, 40).await;
        tokio::time::sleep(Duration::from_millis(random.u64(0..25))).await;
        let answer = cancel(&tenant.client, &import.uuid).await;
        let ended = tenant.get(&import.uuid).await;
        let wanted = match &answer {
            Ok(_) => ImportStatus::Cancelled,
            Err(status) => {
                assert_eq!(crate::harness::reason(status), "WRONG_IMPORT_STATUS");
                ImportStatus::Completed
            }
        };
        assert_eq!(ended.status(), wanted);
        seen.insert(wanted as i32);
        tokio::time::sleep(Duration::from_millis(30)).await;
        let later = tenant.get(&import.uuid).await;
        assert_eq!((later.status(), later.sequence), (ended.status(), ended.sequence), "an end is the end");
    }
    assert!(!seen.is_empty());
}

/// K017: a segment that is written while its import is cancelled is counted, or is not there.
async fn a_cancelled_import_counts_what_it_wrote(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "10"]).await;
    let mut random = fastrand::Rng::with_seed(17);
    for _ in 0..10 {
        let (tenant, import) = import_of(&server, 300).await;
        tokio::time::sleep(Duration::from_millis(random.u64(0..40))).await;
        let _ = cancel(&tenant.client, &import.uuid).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        let ended = tenant.get(&import.uuid).await;
        assert_adds_up(&ended);
        let written = tenant.sessions(Default::default()).await.len() as i64;
        assert_eq!(written, ended.created_count);
        let exported = tenant.export(&import.uuid, &[pb::RowOutcome::Created]).await;
        let lines = exported.iter().filter(|byte| **byte == b'\n').count() as i64;
        assert_eq!(lines.max(1), ended.created_count + 1, "the ledger says the same, under its header");
    }
}
