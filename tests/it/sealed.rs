//! Servers whose stored objects are sealed.

use std::{path::Path, process::Output};

use carryover::grpc::pb::{self, ImportStatus, RowOutcome};
use tokio::process::Command;
use tonic::Code;

use crate::{
    harness::{
        ADMIN_KEY, Database, Server, Tenant, assert_refused, chunks, counters, finish, plain_csv, resume,
        start,
    },
    on_both_databases,
    sealed_objects::{FALSE, NEW, OLD, key_file},
    stored::texts,
    stored_media::{self, ask, get},
    waits::eventually,
};

on_both_databases!(
    nothing_of_a_row_is_to_be_read,
    keys_change_while_files_are_imported,
    media_are_opened_as_they_are_served,
);

const CSV: &str = "external_id,vendor_data,status,first_name\n\
    s-1,anna,Approved,Marker\n\
    s-2,ben,wrong,Marker\n\
    s-3,cyd,Approved,Marker\n\
    s-4,anna,Approved,Marker\n";

/// Contents of all files below a folder.
fn files(folder: &Path) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.push(std::fs::read(path).expect("a file"));
        }
    }
    all
}

/// What of these files is sealed, and what is not; those that are ours and empty are neither.
fn count(files: &[Vec<u8>]) -> (usize, usize) {
    let sealed = files.iter().filter(|file| file.starts_with(b"\xffsealed\x01")).count();
    (sealed, files.iter().filter(|file| !file.is_empty()).count() - sealed)
}

fn holds(files: &[Vec<u8>], text: &str) -> bool {
    files.iter().any(|file| file.windows(text.len()).any(|window| window == text.as_bytes()))
}

/// Runs a command of the program on the server's folder.
async fn run(server: &Server, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_carryover"));
    command.args(arguments).arg("--data-dir").arg(server.path(""));
    command.kill_on_drop(true).output().await.expect("it runs")
}

fn as_text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// M026: rows are in no file of the store, and everything that reads them still does.
async fn nothing_of_a_row_is_to_be_read(database: Database) {
    let file = key_file(&[OLD]);
    let flags = ["--segment-rows", "1", "--encryption-keys", file.path().to_str().expect("a path")];
    let server = Server::start_with(database, &flags).await;
    let tenant = server.tenant().await;
    let id = tenant.create().await.uuid;
    // An upload that breaks off goes on behind a segment that is read.
    let cut = CSV.find("s-3").expect("a row") + 2;
    let mut messages = vec![resume(&id, 0)];
    messages.extend(chunks(&CSV.as_bytes()[..cut], 0, 20));
    tenant.upload(messages).await.expect_err("unfinished");
    let from = tenant.get(&id).await.committed_size as usize;
    assert!(from > 0);
    let mut messages = vec![resume(&id, from as i64)];
    messages.extend(chunks(CSV.as_bytes(), from, 20));
    messages.push(finish(CSV.len()));
    tenant.upload(messages).await.expect("uploaded");
    let import = tenant.wait(&id).await;
    assert_eq!(counters(&import), (3, 0, 1));

    let stored = files(&server.path("objects"));
    assert_eq!(count(&stored), (5, 0), "four segments, and what is noted of the key");
    assert!(!holds(&stored, "Marker") && !holds(&stored, "first_name"), "rows are not to be read");
    let errors = tenant.row_errors(&id).await;
    assert_eq!(errors[0].raw_row.as_ref().expect("the row").fields["first_name"], "Marker".to_owned().into());
    let created = tenant.export(&id, &[RowOutcome::Created, RowOutcome::Failed]).await;
    assert_eq!(as_text(&created), CSV);
    let request = pb::RetryImportRequest { import_id: id.clone(), ..Default::default() };
    let retried = tenant.client.imports().retry_import(request).await.expect("a retry").into_inner();
    let retried = tenant.wait(&retried.import.expect("an import").uuid).await;
    assert_eq!((retried.status(), counters(&retried)), (ImportStatus::Completed, (0, 0, 1)));

    let operator = server.key(&tenant.application, pb::Role::Operator).await;
    let operator = server.admin.with_key(&operator).expect("a client");
    let request = pb::EraseUserRequest { vendor_data: "anna".to_owned() };
    let erased = operator.entities().erase_user(request).await.expect("erased").into_inner();
    assert_eq!((erased.session_count, erased.source_row_count), (2, 2));
    let left = tenant.export(&id, &[RowOutcome::Created, RowOutcome::Failed]).await;
    assert!(as_text(&left).contains("cyd") && !as_text(&left).contains("anna"), "{}", as_text(&left));
    let stored = files(&server.path("objects"));
    assert!(!holds(&stored, "Marker"));
    assert_eq!(count(&stored).1, 0, "what was blanked out is sealed as well");
}

/// M026: old and new keys, and servers that have the old one as their first, while files are imported.
async fn keys_change_while_files_are_imported(database: Database) {
    let plain = Server::start_with(database, &["--segment-rows", "10"]).await;
    let tenant = plain.tenant().await;
    let before = tenant.import(plain_csv("plain", 0, 40) + "bad,Nonsense,Marker,,\n").await;
    assert!(holds(&files(&plain.path("objects")), "Marker"));
    let file = key_file(&[OLD]);
    let flags = |file: &tempfile::NamedTempFile| {
        ["--segment-rows", "10", "--encryption-keys", file.path().to_str().expect("a path")]
            .map(str::to_owned)
    };
    let restart = async |server: Server, flags: &[String]| {
        server.restart(&flags.iter().map(String::as_str).collect::<Vec<_>>()).await
    };
    let server = restart(plain, &flags(&file)).await;
    let at = |server: &Server| Tenant {
        client: server.admin.with_key(&tenant.key).expect("a client"),
        ..tenant.clone()
    };
    let of_old = at(&server).import(plain_csv("old", 0, 40) + "bad,Nonsense,Marker,,\n").await;
    assert!(holds(&files(&server.path("objects")), "Marker"), "what was plain is left as it is");

    let file = key_file(&[NEW, OLD]);
    let path = file.path().to_str().expect("a path");
    let server = restart(server, &flags(&file)).await;
    let tenant_now = at(&server);
    let importing = tokio::spawn(async move {
        tenant_now.import(plain_csv("new", 0, 2_000) + "bad,Nonsense,Marker,,\n").await
    });
    let mut resealed = run(&server, &["reseal", "--encryption-keys", path]).await;
    assert_eq!(resealed.status.code(), Some(0), "{}", as_text(&resealed.stderr));
    assert!(as_text(&resealed.stdout).contains("no object is sealed with 2023 any more"), "{resealed:?}");
    let of_new = importing.await.expect("ends");
    assert_eq!(counters(&of_new), (2_000, 0, 1));
    resealed = run(&server, &["reseal", "--encryption-keys", path]).await;
    assert!(as_text(&resealed.stdout).starts_with("resealed 0, "), "{resealed:?}");
    assert!(!holds(&files(&server.path("objects")), "Marker"));

    let server = restart(server, &flags(&key_file(&[NEW]))).await;
    let tenant = at(&server);
    for import in [before, of_old, of_new] {
        let errors = tenant.row_errors(&import.uuid).await;
        let raw = errors[0].raw_row.as_ref().expect("the row");
        assert_eq!(raw.fields["first_name"], "Marker".to_owned().into());
    }
}

async fn media_are_opened_as_they_are_served(database: Database) {
    let file = key_file(&[OLD]);
    let path = file.path().to_str().expect("a path");
    let server = Server::start_with(database, &["--encryption-keys", path]).await;
    let tenant = server.tenant().await;
    tenant.import(stored_media::row("p-1", "anna")).await;
    let session = tenant.sessions(Default::default()).await.remove(0);
    let bytes: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    stored_media::put(&server, &tenant, &session, "portrait_image", "image/jpeg", &bytes).await;
    let session = tenant.sessions(Default::default()).await.remove(0);
    let link = session.portrait_image.expect("a link");
    assert!(get(&link).await.body == bytes, "plain, from before there was a key");
    let resealed = run(&server, &["reseal", "--encryption-keys", path]).await;
    assert!(as_text(&resealed.stdout).starts_with("resealed 1, "), "{resealed:?}");
    assert_eq!(count(&files(&server.path("objects"))).1, 0);

    let whole = get(&link).await;
    assert_eq!((whole.status, whole.header("content-length")), (200, "300000"));
    assert!(whole.body == bytes);
    for (range, of, part) in [
        ("bytes=0-0", "bytes 0-0/300000", &bytes[..1]),
        ("bytes=65535-65536", "bytes 65535-65536/300000", &bytes[65_535..65_537]),
        ("bytes=-7", "bytes 299993-299999/300000", &bytes[299_993..]),
    ] {
        let answer = ask("GET", &link, &format!("range: {range}\r\n")).await;
        assert_eq!((answer.status, answer.header("content-range")), (206, of));
        assert!(answer.body == part, "{range}");
    }
    let nowhere = ask("GET", &link, "range: bytes=300000-\r\n").await;
    assert_eq!((nowhere.status, nowhere.header("content-range")), (416, "bytes */300000"));
}

/// M026: who lacks a key is told which at the start, and nothing is called lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_does_not_start_without_its_keys() {
    let (file, false_file) = (key_file(&[OLD]), key_file(&[NEW, FALSE]));
    let path = |file: &tempfile::NamedTempFile| file.path().to_str().expect("a path").to_owned();
    let server = Server::start_with(Database::Sqlite, &["--encryption-keys", &path(&file)]).await;
    for command in ["serve", "doctor", "reseal"] {
        for (flags, told) in [
            (vec![], "encryption key \"2023\", which --encryption-keys does not hold"),
            (vec!["--encryption-keys".to_owned(), path(&false_file)], "another encryption key than"),
        ] {
            if command == "reseal" && flags.is_empty() {
                continue;
            }
            let mut arguments = vec![command];
            if command != "reseal" {
                arguments.extend(["--listen", "127.0.0.1:0", "--admin-key", ADMIN_KEY]);
            }
            arguments.extend(flags.iter().map(String::as_str));
            let ended = run(&server, &arguments).await;
            let out = as_text(&ended.stdout) + &as_text(&ended.stderr);
            assert_eq!(ended.status.code(), Some(1), "{command}: {out}");
            assert!(out.contains(told), "{command}: {out}");
        }
    }
    let ended = run(&server, &["reseal"]).await;
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    let exposed = key_file(&[OLD]);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(exposed.path(), mode).expect("set");
    let ended = run(&server, &["reseal", "--encryption-keys", &path(&exposed)]).await;
    let told = as_text(&ended.stderr);
    assert!(told.contains("everybody on this machine") && !told.contains("1111"), "{told}");
}

/// M026: a process without the key, on a store that does not tell it so: it waits, whatever it tries.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lacks_its_key_waits_for_it() {
    let file = key_file(&[OLD]);
    let path = file.path().to_str().expect("a path");
    let flags = ["--segment-rows", "5", "--encryption-keys", path];
    let server = Server::start_with(Database::Postgres, &[&flags[..], &["--role", "api"]].concat()).await;
    let tenant = server.tenant().await;
    let csv = plain_csv("w", 0, 20);
    let mut messages = vec![start(tenant.spec())];
    messages.extend(chunks(csv.as_bytes(), 0, 1 << 16));
    messages.push(finish(csv.len()));
    let id = tenant.upload(messages).await.expect("uploaded").uuid;
    let words = server.path("objects/carryover.keys");
    let server = server.restart_after(&[], || std::fs::remove_dir_all(words).expect("removed")).await;
    let at = |server: &Server| Tenant {
        client: server.admin.with_key(&tenant.key).expect("a client"),
        ..tenant.clone()
    };
    let waiting = at(&server);
    eventually("it waits for the key", async || {
        let import = waiting.get(&id).await;
        (import.waiting_reason() == "ENCRYPTION_KEY_MISSING").then_some(())
    })
    .await;
    // What is lost is tried eight times.
    let tried = |times: u32| {
        format!(
            "UPDATE segments SET attempts = {times}, lease_expires_at = '2024-01-01T00:00:00+00:00' \
             WHERE state = 'CLAIMED' AND owner IS NULL"
        )
    };
    server.sql(&tried(8)).await;
    eventually("it is tried for the ninth time", async || {
        let tried = texts(&server, "SELECT COUNT(*) FROM segments WHERE attempts > 8").await;
        (tried != ["0"]).then_some(())
    })
    .await;
    assert_eq!(waiting.get(&id).await.status(), ImportStatus::Processing);
    let server = server.restart(&flags).await;
    // It need not rest for as long as it would after so many tries.
    server.sql(&tried(0)).await;
    let import = at(&server).wait(&id).await;
    assert_eq!((import.status(), counters(&import)), (ImportStatus::Completed, (20, 0, 0)));

    // What is read for a caller is refused, and says why.
    let words = server.path("objects/carryover.keys");
    let server = server.restart_after(&[], || std::fs::remove_dir_all(words).expect("removed")).await;
    let request = pb::ExportRowsRequest {
        import_id: id,
        outcomes: vec![RowOutcome::Created as i32],
        ..Default::default()
    };
    let answer = match at(&server).client.imports().export_rows(request).await {
        Ok(stream) => stream.into_inner().message().await,
        Err(status) => Err(status),
    };
    assert_refused(answer, Code::Unavailable, "ENCRYPTION_KEY_MISSING");
}
