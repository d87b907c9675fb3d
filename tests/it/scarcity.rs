//! Little of everything: threads, file descriptors, and what a watcher that comes and goes costs (section Q of
//! the security cases, N007).

use std::collections::BTreeSet;

use carryover::grpc::pb::{self, ImportStatus, watch_import_response::Event};
use tokio::net::TcpStream;

use crate::{
    harness::{Database, Server, chunks, counters, finish, plain_csv, resume, upload_of},
    on_both_databases,
    processes::{World, carry_on, create, get},
    stored,
    waits::eventually,
};

on_both_databases!(a_watcher_may_come_and_go);

/// Q008: with one thread for everything, who watches is told while rows are settled.
#[tokio::test(flavor = "current_thread")]
async fn one_thread_imports_and_tells() {
    for database in [Database::Sqlite, Database::Postgres] {
        let server = Server::start_with(database, &["--segment-rows", "200"]).await;
        let tenant = server.tenant().await;
        let csv = plain_csv("o", 0, 20_000);
        let spec = pb::ImportSpec { start: pb::StartMode::AfterUpload as i32, ..tenant.spec() };
        let id = tenant.upload(upload_of(spec, csv.as_bytes(), 64 << 10)).await.expect("stored").uuid;
        let seen = tenant.watch(&id).await;
        let on_the_way = seen.iter().filter(|import| (1..20_000).contains(&import.processed_rows)).count();
        assert!(on_the_way > 0, "{} states", seen.len());
        let last = seen.last().expect("one");
        assert_eq!((last.status(), counters(last)), (ImportStatus::Completed, (20_000, 0, 0)));
    }
}

/// Q007: a process that has no file descriptor left takes nobody in, and lives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_may_run_out_of_file_descriptors() {
    for database in [Database::Sqlite, Database::Postgres] {
        let world =
            World::new(database, &["--segment-rows", "20", "--lease-seconds", "1", "--log", "off"]).await;
        let (mut child, address) = world.start(&[], &[]).await.expect("it starts");
        let client = world.client(&address).await.expect("connects");
        let id = create(&client, world.spec()).await;
        let pid = child.id().expect("it runs").to_string();
        let set = std::process::Command::new("prlimit").args(["--pid", &pid, "--nofile=64"]).status();
        assert!(set.expect("prlimit").success());
        let host = address.trim_start_matches("http://").to_owned();
        let mut strangers = Vec::new();
        for _ in 0..200 {
            strangers.push(TcpStream::connect(&host).await.expect("the system takes it"));
        }
        let csv = plain_csv("f", 0, 400).into_bytes();
        // It may be refused, and is then tried again; what is there already goes on.
        let _ = client.upload(&id, 0, std::io::Cursor::new(csv.clone())).await;
        assert!(child.try_wait().expect("it can be asked").is_none(), "it lives");
        drop(strangers);
        let import = eventually("it goes on", async || carry_on(&client, &id, &csv).await.ok()).await;
        assert_eq!((import.status(), counters(&import)), (ImportStatus::Completed, (400, 0, 0)));
        assert!(world.client(&address).await.is_some(), "others are taken in again");
    }
}

/// O012: a worker that gets a tenth of a core is slow, and keeps what it has claimed beside one that has nothing to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_starved_worker_keeps_its_claims() {
    let flags = ["--segment-rows", "30000", "--lease-seconds", "6", "--log", "off"];
    let world = World::new(Database::Postgres, &flags).await;
    let url = world.database_url.clone().expect("a URL");
    let segments = async |sql: &'static str| stored::rows_in(Some(&url), world.folder.path(), sql).await;
    let (_api, address) = world.start(&["--role", "api"], &[]).await.expect("it starts");
    let client = world.client(&address).await.expect("connects");
    let id = create(&client, world.spec()).await;
    let (starved, _) = world.start(&["--role", "worker"], &[]).await.expect("it starts");
    let pid = starved.id().expect("it runs").to_string();
    let tenth = "while kill -STOP $0 2>/dev/null; do sleep 0.09; kill -CONT $0; sleep 0.01; done";
    // Once it takes segments it is starved already.
    let _starver = tokio::process::Command::new("sh")
        .args(["-c", tenth, &pid])
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    let csv = plain_csv("s", 0, 60_000).into_bytes();
    client.upload(&id, 0, std::io::Cursor::new(csv)).await.expect("stored");
    let claimed = async || {
        let row = segments("SELECT COUNT(*) AS held FROM segments WHERE owner IS NOT NULL").await.remove(0);
        (row["held"] == 2).then_some(())
    };
    eventually("both are claimed", claimed).await;
    let (_idle, _) = world.start(&["--role", "worker"], &[]).await.expect("it starts");
    let mut leases = BTreeSet::new();
    let end = eventually("it ends", async || {
        for row in segments("SELECT lease_expires_at FROM segments WHERE owner IS NOT NULL").await {
            leases.insert(row["lease_expires_at"].to_string());
        }
        Some(get(&client, &id).await.expect("an answer")).filter(|import| import.completed_at.is_some())
    })
    .await;
    assert_eq!((end.status(), counters(&end)), (ImportStatus::Completed, (60_000, 0, 0)));
    assert!(leases.len() > 2, "they were renewed: {leases:?}");
    let row = segments("SELECT MIN(epoch) AS first, MAX(epoch) AS last FROM segments").await.remove(0);
    assert_eq!((&row["first"], &row["last"]), (&1.into(), &1.into()), "nobody else had them");
}

/// N007: each time a watcher comes it is told the state there is, and the import never notices.
async fn a_watcher_may_come_and_go(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "10"]).await;
    let tenant = server.tenant().await;
    let id = tenant.create().await.uuid;
    let mut newest = 0;
    let csv = plain_csv("w", 0, 200);
    for time in 0..200 {
        if time == 100 {
            let mut messages = vec![resume(&id, 0)];
            messages.extend(chunks(csv.as_bytes(), 0, 700));
            messages.push(finish(csv.len()));
            tenant.upload(messages).await.expect("stored");
        }
        let request = pb::WatchImportRequest { import_id: id.clone(), ..Default::default() };
        let mut watch = tenant.client.imports().watch_import(request).await.expect("a watch").into_inner();
        let message = watch.message().await.expect("a message").expect("one");
        let Some(Event::Import(import)) = message.event else { panic!("the state comes first") };
        assert!(import.sequence >= newest, "never an older state");
        newest = import.sequence;
    }
    let import = tenant.wait(&id).await;
    assert_eq!((import.status(), counters(&import)), (ImportStatus::Completed, (200, 0, 0)));
}
