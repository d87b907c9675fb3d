//! A database or a folder that goes away for a while, or for good, and what an import says meanwhile (sections
//! J and O of the security cases).

use std::{path::Path, time::Duration};

use carryover::grpc::pb::{self, ImportStatus};
use tonic::Code;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_types::StatusExt;

use crate::{
    control::{cancel, pause, resume_import},
    harness::{
        Database, Server, Tenant, assert_refused, chunks, counters, finish, plain_csv, resume, upload_of,
    },
    on_both_databases,
    processes::{World, carry_on, create, get},
    waits::eventually,
    workers::{CUT, PASS, Proxy, SLOW},
};

on_both_databases!(an_import_says_what_it_waits_for, segments_that_were_lost_fail_their_import_and_no_other,);

/// Lets nobody write a session, and says why, as the database would.
async fn refuse_sessions(server: &Server, database: Database, state: &str) {
    let refuse = match database {
        Database::Sqlite => {
            "CREATE TRIGGER refuse BEFORE INSERT ON user_sessions BEGIN SELECT RAISE(ABORT, 'no'); END;"
                .to_owned()
        }
        Database::Postgres => format!(
            "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$; \
             CREATE TRIGGER refuse BEFORE INSERT ON user_sessions FOR EACH ROW EXECUTE FUNCTION refuse();"
        ),
    };
    server.sql(&refuse).await;
}

async fn allow_sessions(server: &Server, database: Database) {
    let on = if database == Database::Postgres { " ON user_sessions" } else { "" };
    server.sql(&format!("DROP TRIGGER refuse{on}")).await;
}

async fn an_import_says_what_it_waits_for(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "10"]).await;
    let faults: &[_] = match database {
        Database::Sqlite => &[("", "DATABASE_REFUSED")],
        Database::Postgres => &[
            ("40001", "DATABASE_CONFLICT"),
            ("40P01", "DATABASE_CONFLICT"),
            ("55P03", "DATABASE_CONFLICT"),
            ("57014", "DATABASE_UNAVAILABLE"),
            ("53100", "DISK_FULL"),
            ("25006", "DATABASE_READ_ONLY"),
            ("P0001", "DATABASE_REFUSED"),
        ],
    };
    for (state, reason) in faults {
        let tenant = server.tenant().await;
        refuse_sessions(&server, database, state).await;
        let csv = plain_csv("w", 0, 25);
        let id = tenant.upload(upload_of(tenant.spec(), csv.as_bytes(), 500)).await.expect("stored").uuid;
        let waiting = eventually(reason, async || {
            Some(tenant.get(&id).await).filter(|import| import.waiting_reason.is_some())
        })
        .await;
        assert_eq!((waiting.status(), waiting.waiting_reason()), (ImportStatus::Processing, *reason));
        assert_eq!(waiting.processed_rows, 0);
        allow_sessions(&server, database).await;
        let import = tenant.wait(&id).await;
        assert_eq!((import.status(), counters(&import)), (ImportStatus::Completed, (25, 0, 0)), "{state}");
        assert_eq!(import.waiting_reason, None, "{state}");
    }
}

/// A segment that is given back behind the end of its import changes nothing of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_that_has_ended_waits_for_nothing() {
    let server = Server::start_with(Database::Postgres, &["--segment-rows", "10"]).await;
    let tenant = server.tenant().await;
    let slow = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1); \
         RAISE EXCEPTION 'no' USING ERRCODE = '40001'; END $$; \
         CREATE TRIGGER slow BEFORE INSERT ON user_sessions FOR EACH ROW EXECUTE FUNCTION slow();";
    server.sql(slow).await;
    let csv = plain_csv("e", 0, 10);
    let id = tenant.upload(upload_of(tenant.spec(), csv.as_bytes(), 500)).await.expect("stored").uuid;
    eventually("it waits, and is tried again", async || {
        let import = tenant.get(&id).await;
        import.waiting_reason.map(drop)
    })
    .await;
    let ended = cancel(&tenant.client, &id).await.expect("cancelled");
    assert_eq!((ended.status(), ended.waiting_reason.as_deref()), (ImportStatus::Cancelled, None));
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let later = tenant.get(&id).await;
    assert_eq!((later.sequence, later.waiting_reason), (ended.sequence, None), "an end is the end");
}

/// J008: a server that was the primary and is no longer, and then is again, with nobody ending a connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_may_be_read_only_for_a_while() {
    let server = Server::start_with(Database::Postgres, &["--segment-rows", "10"]).await;
    let tenant = server.tenant().await;
    let id = tenant.create().await.uuid;
    pause(&tenant.client, &id).await.expect("paused");
    let csv = plain_csv("o", 0, 50);
    let mut messages = vec![resume(&id, 0)];
    messages.extend(chunks(csv.as_bytes(), 0, 500));
    messages.push(finish(csv.len()));
    tenant.upload(messages).await.expect("stored");

    let name = url::Url::parse(server.database_url.as_deref().expect("one")).expect("a URL");
    let name = name.path().trim_start_matches('/').to_owned();
    server.sql(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
    // A statement of its own: whoever connects before the first is committed is not read-only.
    let end_connections = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    server.sql(end_connections).await;
    let told = eventually("it is refused", async || {
        resume_import(&tenant.client, &id).await.err().filter(|status| status.code() == Code::Unavailable)
    })
    .await;
    assert!(told.get_details_retry_info().is_some(), "when to come back: {told:?}");
    assert_eq!(tenant.get(&id).await.status(), ImportStatus::Paused, "what only reads goes on");
    // Somebody resumed it just before.
    server.sql("SET TRANSACTION READ WRITE; UPDATE imports SET status = 'PENDING'").await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(tenant.get(&id).await.processed_rows, 0);

    let recover =
        format!("SET TRANSACTION READ WRITE; ALTER DATABASE {name} RESET default_transaction_read_only");
    server.sql(&recover).await;
    let import = eventually("it goes on", async || {
        Some(tenant.get(&id).await).filter(|import| import.status() == ImportStatus::Completed)
    })
    .await;
    assert_eq!((counters(&import), import.waiting_reason), ((50, 0, 0), None));
}

/// A process whose database can only be reached through a proxy.
async fn behind_a_proxy(world: &World) -> (tokio::process::Child, String, Proxy) {
    let mut url = url::Url::parse(world.database_url.as_deref().expect("one")).expect("a URL");
    let proxy = Proxy::new(&url).await;
    url.set_port(Some(proxy.port)).expect("a port");
    let (child, address) = world.start(&["--database-url", url.as_str()], &[]).await.expect("it starts");
    (child, address, proxy)
}

/// J015: each packet to the database takes its time, and the rows are the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_database_gets_every_row() {
    let flags = ["--segment-rows", "50", "--lease-seconds", "2", "--log", "off"];
    let world = World::new(Database::Postgres, &flags).await;
    let (_child, address, proxy) = behind_a_proxy(&world).await;
    let client = world.client(&address).await.expect("connects");
    let id = create(&client, world.spec()).await;
    proxy.set(SLOW);
    let import = carry_on(&client, &id, plain_csv("s", 0, 300).as_bytes()).await.expect("it ends");
    assert_eq!((import.status(), counters(&import)), (ImportStatus::Completed, (300, 0, 0)));
}

/// O009: a process without its database lives, says so to whoever asks, and goes on when it is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_outlives_its_database() {
    let world = World::new(Database::Postgres, &["--segment-rows", "10", "--log", "off"]).await;
    let (_child, address, proxy) = behind_a_proxy(&world).await;
    let client = world.client(&address).await.expect("connects");
    let id = create(&client, world.spec()).await;
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}")).expect("a URL");
    let mut health = HealthClient::new(channel.connect().await.expect("connects"));
    proxy.set(CUT);
    // The first call may still find that its connection has ended.
    for _ in 0..2 {
        let told = get(&client, &id).await.expect_err("there is no database");
        assert_eq!(told.code(), Code::Unavailable, "{told:?}");
        assert!(told.get_details_retry_info().is_some(), "when to come back: {told:?}");
        let alive = health.check(HealthCheckRequest::default()).await.expect("it lives").into_inner();
        assert_eq!(alive.status(), ServingStatus::Serving, "nothing is gained by starting it anew");
    }
    proxy.set(PASS);
    let csv = plain_csv("o", 0, 100).into_bytes();
    let import = eventually("it goes on", async || carry_on(&client, &id, &csv).await.ok()).await;
    assert_eq!((import.status(), counters(&import)), (ImportStatus::Completed, (100, 0, 0)));
}

/// O013: a folder of segments that does not outlive its process.
async fn segments_that_were_lost_fail_their_import_and_no_other(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "10"]).await;
    let (whole, half) = (server.tenant().await, server.tenant().await);
    let csv = plain_csv("l", 0, 60).into_bytes();
    let (of_whole, of_half) = (whole.create().await.uuid, half.create().await.uuid);
    pause(&whole.client, &of_whole).await.expect("paused");
    let mut messages = vec![resume(&of_whole, 0)];
    messages.extend(chunks(&csv, 0, 300));
    messages.push(finish(csv.len()));
    whole.upload(messages).await.expect("stored");
    let mut messages = vec![resume(&of_half, 0)];
    messages.extend(chunks(&csv[..csv.len() / 2], 0, 300));
    half.upload(messages).await.expect_err("it breaks off");
    let stands = eventually("what is stored is settled", async || {
        let import = half.get(&of_half).await;
        (import.total_rows > 0 && import.processed_rows == import.total_rows).then_some(import)
    })
    .await;

    let objects = server.path("objects");
    let lose = || {
        std::fs::remove_dir_all(&objects).expect("lost");
        // Somebody says that they are, and not on a disk that is not there.
        std::fs::create_dir(&objects).expect("made");
        std::fs::write(objects.join("carryover.objects"), "").expect("written");
    };
    let server = server.restart_after(&["--segment-rows", "10"], lose).await;
    let at =
        |tenant: Tenant| Tenant { client: server.admin.with_key(&tenant.key).expect("a client"), ..tenant };
    let (whole, half) = (at(whole), at(half));
    resume_import(&whole.client, &of_whole).await.expect("resumed");
    let failed = whole.wait(&of_whole).await;
    assert_eq!((failed.status(), failed.last_error_reason()), (ImportStatus::Failed, "SOURCE_LOST"));
    assert_eq!(counters(&failed), (0, 0, 0));
    let again = whole.import(&csv).await;
    assert_eq!((again.status(), counters(&again)), (ImportStatus::Completed, (60, 0, 0)));

    // Nobody goes on behind bytes that are gone.
    let from = stands.committed_size as usize;
    let mut messages = vec![resume(&of_half, from as i64)];
    messages.extend(chunks(&csv, from, 300));
    messages.push(finish(csv.len()));
    assert_refused(half.upload(messages).await, Code::FailedPrecondition, "SOURCE_GONE");
    cancel(&half.client, &of_half).await.expect("cancelled");
    let (again, known) = (half.import(&csv).await, stands.created_count);
    assert_eq!((again.status(), counters(&again)), (ImportStatus::Completed, (60 - known, known, 0)));
}

/// Runs a server that is not to start; gives what it says.
async fn complaint(flags: &[&str]) -> String {
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_carryover"))
        .args(["serve", "--listen", "127.0.0.1:0"])
        .args(flags)
        .output()
        .await
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    text
}

/// J017: files that are none of SQLite's, and places where there can be none.
#[tokio::test]
async fn sqlite_files_that_cannot_be_used_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let data_dir = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
    let server = Server::start(Database::Sqlite).await;
    let mut header = std::fs::read(server.path("carryover.db")).expect("a file");
    header[..16].copy_from_slice(b"SQLite format 9\0");
    for (name, content) in [("text", &b"hello, this is no database\n".repeat(100)), ("header", &header)] {
        std::fs::create_dir(data_dir(name)).expect("made");
        std::fs::write(Path::new(&data_dir(name)).join("carryover.db"), content).expect("written");
        let text = complaint(&["--data-dir", &data_dir(name)]).await;
        assert!(text.contains("open the database") && text.contains("not a database"), "{name}: {text}");
        let kept = std::fs::read(Path::new(&data_dir(name)).join("carryover.db")).expect("a file");
        assert_eq!(&kept, content, "it is left as it was");
    }
    std::fs::create_dir_all(Path::new(&data_dir("folder")).join("carryover.db")).expect("made");
    let text = complaint(&["--data-dir", &data_dir("folder")]).await;
    assert!(text.contains("open the database"), "{text}");
    std::fs::write(data_dir("file"), "").expect("written");
    let text = complaint(&["--data-dir", &data_dir("file")]).await;
    assert!(text.contains("use the folder"), "{text}");
}

/// J017: nobody begins with an empty file in the place of one that was taken away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sqlite_file_that_is_taken_away_is_not_made_anew() {
    let server = Server::start_with(Database::Sqlite, &["--segment-rows", "10"]).await;
    let tenant = server.tenant().await;
    for name in ["carryover.db", "carryover.db-wal", "carryover.db-shm"] {
        std::fs::remove_file(server.path(name)).expect("taken away");
    }
    let id = tenant.create().await.uuid;
    let calls = (0..50).map(|_| {
        let (tenant, id) = (tenant.clone(), id.clone());
        tokio::spawn(async move {
            let request = pb::GetImportRequest { import_id: id };
            tenant.client.imports().get_import(request).await
        })
    });
    for call in calls.collect::<Vec<_>>() {
        if let Err(status) = call.await.expect("a task") {
            assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        }
    }
    assert!(!server.path("carryover.db").exists());
}

/// Sets a bound of a process while it runs.
fn bound(child: &tokio::process::Child, bound: &str) {
    let pid = child.id().expect("it runs").to_string();
    let set = std::process::Command::new("prlimit").args(["--pid", &pid, bound]).status();
    assert!(set.expect("prlimit").success());
}

/// J017: no file may grow any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_may_be_full_for_a_while() {
    let flags = ["--segment-rows", "200", "--lease-seconds", "1", "--log", "off"];
    let world = World::new(Database::Sqlite, &flags).await;
    let (child, address) = world.start(&[], &[]).await.expect("it starts");
    let client = world.client(&address).await.expect("connects");
    let id = create(&client, world.spec()).await;
    let csv = plain_csv("d", 0, 4_000).into_bytes();
    let largest = std::fs::read_dir(world.folder.path()).expect("a folder");
    let largest = largest.filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len())).max().expect("a file");
    bound(&child, &format!("--fsize={}:unlimited", largest + (64 << 10)));
    let told = carry_on(&client, &id, &csv);
    let told = tokio::time::timeout(Duration::from_secs(4), told).await;
    if let Ok(told) = told {
        assert_eq!(told.expect_err("it is full").code(), Code::Unavailable);
    }
    assert!(get(&client, &id).await.expect("it reads").processed_rows < 4_000);
    bound(&child, "--fsize=unlimited");
    let import = eventually("it goes on", async || carry_on(&client, &id, &csv).await.ok()).await;
    assert_eq!((import.status(), counters(&import)), (ImportStatus::Completed, (4_000, 0, 0)));
}
