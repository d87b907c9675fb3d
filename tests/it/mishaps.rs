//! Disks that are full or gone for a while, and two servers on one folder.

use std::time::Duration;

use carryover::grpc::pb::ImportStatus;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::{
    harness::{ADMIN_KEY, Database, Server, counters, plain_csv},
    on_both_databases,
    processes::{World, carry_on, create},
};

on_both_databases!(an_object_store_that_is_gone_is_waited_for);

/// J017: nothing can be written to SQLite for a while, whoever tries, and then all goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_passes() {
    let world = World::new(Database::Sqlite, &["--segment-rows", "50"]).await;
    let (mut child, address) = world.start(&[], &[]).await.expect("it starts");
    let client = world.client(&address).await.expect("it answers");
    let file = plain_csv("before", 0, 200).into_bytes();
    let id = create(&client, world.spec()).await;
    assert_eq!(counters(&carry_on(&client, &id, &file).await.expect("carried on")), (200, 0, 0));
    child.kill().await.expect("ends");

    let (child, address) = serve_unbothered(&world).await;
    let client = world.client(&address).await.expect("it answers");
    let id = create(&client, world.spec()).await;
    let half = plain_csv("after", 0, 500).into_bytes();
    limit_files(&child, "4096").await;
    for _ in 0..8 {
        carry_on(&client, &id, &half).await.expect_err("nothing is stored");
        let request =
            carryover::grpc::pb::CreateImportRequest { spec: Some(world.spec()), request_id: String::new() };
        let refused = client.imports().create_import(request).await.expect_err("nothing is written");
        assert_eq!(refused.code(), tonic::Code::Unavailable, "{refused}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    limit_files(&child, "unlimited").await;
    let import = loop {
        if let Ok(import) = carry_on(&client, &id, &half).await {
            break import;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!((import.status(), counters(&import)), (ImportStatus::Completed, (500, 0, 0)));
    assert_eq!(import.waiting_reason, None);
}

/// Starts the program so that a file it may not make larger is an error to it, and not its death.
async fn serve_unbothered(world: &World) -> (Child, String) {
    let mut child = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_carryover"), "serve"])
        .args(["--listen", "127.0.0.1:0", "--segment-rows", "50", "--admin-key", ADMIN_KEY, "--data-dir"])
        .arg(world.folder.path())
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let address = loop {
        let line = lines.next_line().await.expect("text").expect("it says where it listens");
        if let Some((_, rest)) = line.split_once("serves gRPC on ") {
            break rest.split(' ').next().expect("an address").to_owned();
        }
    };
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    (child, address)
}

/// How large files of a process may become.
async fn limit_files(child: &Child, bytes: &str) {
    let pid = child.id().expect("it runs").to_string();
    let limit = format!("--fsize={bytes}:unlimited");
    let set = Command::new("prlimit").args(["--pid", &pid, &limit]).status().await.expect("prlimit runs");
    assert!(set.success());
}

/// A folder that somebody has taken away is waited for, much longer than a segment is tried otherwise.
async fn an_object_store_that_is_gone_is_waited_for(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "10"]).await;
    let tenant = server.tenant().await;
    let id = tenant.create().await.uuid;
    let pause = carryover::grpc::pb::PauseImportRequest { import_id: id.clone() };
    tenant.client.imports().pause_import(pause).await.expect("paused");
    let rest = std::io::Cursor::new(plain_csv("g", 0, 30).into_bytes());
    tenant.client.upload(&id, 0, rest).await.expect("stored");
    let (here, away) = (server.path("objects"), server.path("elsewhere"));
    std::fs::rename(&here, &away).expect("taken away");
    // All the tries that a segment has are behind it.
    server.sql("UPDATE segments SET attempts = 50").await;
    let resume = carryover::grpc::pb::ResumeImportRequest { import_id: id.clone() };
    tenant.client.imports().resume_import(resume).await.expect("resumed");
    let waits = loop {
        if let Some(reason) = tenant.get(&id).await.waiting_reason {
            break reason;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(waits, "OBJECT_STORE_UNAVAILABLE");
    assert_eq!(tenant.get(&id).await.status(), ImportStatus::Processing);
    std::fs::rename(&away, &here).expect("brought back");
    let at_once = "UPDATE segments SET lease_expires_at = (SELECT created_at FROM imports) \
        WHERE lease_expires_at IS NOT NULL";
    server.sql(at_once).await;
    let import = tenant.wait(&id).await;
    assert_eq!((import.status(), counters(&import)), (ImportStatus::Completed, (30, 0, 0)));
}

/// SQLite belongs to one process, whose claims another would take for abandoned ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_is_kept_off_a_folder() {
    let world = World::new(Database::Sqlite, &[]).await;
    let (_child, _) = world.start(&[], &[]).await.expect("it starts");
    let output = Command::new(env!("CARGO_BIN_EXE_carryover"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(world.folder.path())
        .output()
        .await
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains("another process uses this SQLite database"), "{text}");
}
