//! `carryover resume` with the file that an upload was begun with, and with another.

use carryover::grpc::pb::{self, ImportStatus};

use crate::{
    harness::{Database, Server, chunks, counters, plain_csv, resume},
    on_both_databases,
    shell::Shell,
    upload::send_and_break,
};

on_both_databases!(only_the_file_that_was_begun_with_goes_on);

async fn only_the_file_that_was_begun_with_goes_on(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "10"]).await;
    let tenant = server.tenant().await;
    let shell = Shell::new(&server, &tenant.key);
    let csv = plain_csv("f", 0, 60);
    let other = csv.replace("Ana", "Eva");
    let longer = format!("{csv}f60,Approved,Ana,Silva\n");
    for (name, text) in [("right.csv", &csv), ("other.csv", &other), ("longer.csv", &longer)] {
        std::fs::write(shell.path(name), text).expect("written");
    }
    std::fs::write(shell.path("shorter.csv"), &csv[..200]).expect("written");
    let begin = async |source_size: Option<i64>| {
        let spec = Some(pb::ImportSpec { source_size, ..tenant.spec() });
        let request = pb::CreateImportRequest { spec, request_id: String::new() };
        let made = tenant.client.imports().create_import(request).await.expect("made").into_inner();
        let id = made.import.expect("one").uuid;
        let mut messages = vec![resume(&id, 0)];
        messages.extend(chunks(&csv.as_bytes()[..csv.len() / 2], 0, 100));
        let broken = send_and_break(&tenant, &id, messages).await;
        assert!(broken.committed_size > 200, "{}", broken.committed_size);
        id
    };
    let id = begin(Some(csv.len() as i64)).await;
    for file in ["shorter.csv", "longer.csv"] {
        let output = shell.run(&["resume", &id, file]).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{file}: {said}");
        assert!(said.contains(&csv.len().to_string()), "{file}: {said}");
        assert!(!tenant.get(&id).await.upload_finished, "{file}: it waits for the right one");
    }
    shell.out(&["resume", &id, "right.csv"], 0).await;
    let import = tenant.get(&id).await;
    assert_eq!((import.status(), counters(&import)), (ImportStatus::Completed, (60, 0, 0)));

    let id = begin(Some(csv.len() as i64)).await;
    shell.out(&["resume", &id, "other.csv"], 1).await;
    let import = tenant.get(&id).await;
    assert_eq!(import.status(), ImportStatus::Failed, "two files are not mixed");
    assert_eq!(import.last_error_reason(), "SHA256_MISMATCH");

    // Nobody said how large it was to be.
    let id = begin(None).await;
    let output = shell.run(&["resume", &id, "shorter.csv"]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("shorter than"), "{said}");
    assert!(!tenant.get(&id).await.upload_finished, "it waits for the right one");
    shell.out(&["resume", &id, "right.csv"], 0).await;
    assert_eq!(counters(&tenant.get(&id).await), (0, 60, 0));
}
