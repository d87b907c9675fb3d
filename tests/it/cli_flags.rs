//! Flags of the program that change what an import does.

use carryover::grpc::pb;
use serde_json::{Value, json};

use crate::{
    harness::{Database, Server, chunk, chunks, finish, gzip, plain_csv, resume},
    on_both_databases,
    shell::Shell,
    upload::send_and_break,
    waits::eventually,
};

on_both_databases!(
    flags_of_an_import_reach_it,
    errors_are_followed_from_a_row_on,
    sandboxes_cannot_import,
    a_broken_upload_is_resumed_by_its_id,
    what_was_found_in_a_file_is_shown,
);

async fn flags_of_an_import_reach_it(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let shell = Shell::new(&server, &tenant.key);
    // A comma in the header, and more of them than of the delimiter: only the flag tells.
    let text = "external_id#first_name#a,b,c,d\nw-1#Jos\u{e9}#1\n";
    let (bytes, ..) = encoding_rs::WINDOWS_1252.encode(text);
    std::fs::write(shell.path("old.txt"), &bytes).expect("written");
    let import = [
        "import",
        "old.txt",
        "--type",
        "user_verification",
        "--json",
        "--format",
        "csv",
        "--delimiter",
        "#",
        "--encoding",
        "windows-1252",
        "--provider",
        "Veriff",
        "--start",
        "after-upload",
        "--label",
        "batch=7",
        "--label",
        "of=x=y",
    ];
    let job = shell.json(&import, 0).await;
    assert_eq!(
        json!([job["created_count"], job["csv_delimiter"], job["encoding"], job["provider"], job["start"]]),
        json!([1, "#", "windows-1252", "veriff", "after_upload"])
    );
    assert_eq!(job["labels"], json!({"batch": "7", "of": "x=y"}));
    assert_eq!(job["columns"], json!(["external_id", "first_name", "a,b,c,d"]));
    let session = tenant.sessions(Default::default()).await.remove(0);
    assert_eq!((session.provider.as_str(), session.full_name()), ("veriff", "Jos\u{e9}"));

    let of_provider = |more: &[&'static str]| {
        [&["import", "-", "--type", "user_verification", "--json", "--provider", "veriff"], more].concat()
    };
    let new = "external_id,first_name\nw-1,Joseph\n";
    let job = shell.json_of(&of_provider(&[]), new, 0).await;
    assert_eq!(
        json!([job["skipped_count"], job["start"]]),
        json!([1, "on_arrival"]),
        "as it is without a flag"
    );
    let job = shell.json_of(&of_provider(&["--on-existing", "update", "--dry-run"]), new, 0).await;
    assert_eq!(json!([job["updated_count"], job["dry_run"]]), json!([1, true]));
    assert_eq!(tenant.sessions(Default::default()).await[0].full_name(), "Jos\u{e9}");
    let job = shell.json_of(&of_provider(&["--on-existing", "update"]), new, 0).await;
    assert_eq!(job["updated_count"], 1);
    assert_eq!(tenant.sessions(Default::default()).await[0].full_name(), "Joseph");

    for (wrong, code, words) in [
        (["--label", "x"], 2, "KEY=VALUE"),
        (["--on-existing", "replace"], 2, "replace"),
        (["--start", "now"], 2, "now"),
        (["--delimiter", "##"], 2, "delimiter"),
        (["--encoding", "klingon"], 2, "encoding"),
        (["--provider", "no such!"], 2, "provider"),
    ] {
        let output =
            shell.run(&[&["import", "old.txt", "--type", "user_verification"], &wrong[..]].concat()).await;
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{wrong:?}: {error}");
        assert!(error.contains(words), "{wrong:?}: {error}");
    }
}

async fn a_broken_upload_is_resumed_by_its_id(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "5"]).await;
    let tenant = server.tenant().await;
    let shell = Shell::new(&server, &tenant.key);
    let csv = plain_csv("r", 0, 40);
    std::fs::write(shell.path("r.csv"), &csv).expect("written");
    let id = tenant.create().await.uuid;
    let half = csv.len() / 2;
    let mut messages = vec![resume(&id, 0)];
    messages.extend(chunks(&csv.as_bytes()[..half], 0, 100));
    tenant.upload(messages).await.expect_err("it breaks off");
    let committed = tenant.get(&id).await.committed_size;
    assert!((1..half as i64).contains(&committed), "{committed}");

    let told = shell.out(&["get", &id], 0).await;
    for words in [format!("unfinished: {committed} bytes"), format!("carryover resume {id} FILE")] {
        assert!(told.contains(&words), "{told}");
    }

    let import = ["import", "r.csv", "--type", "user_verification"];
    let busy = shell.run(&import).await;
    let error = String::from_utf8_lossy(&busy.stderr).into_owned();
    assert!(error.contains(&id), "what is in the way is named: {error}");
    let job = shell.json(&["resume", &id, "r.csv", "--json"], 0).await;
    assert_eq!((&job["uuid"], &job["created_count"]), (&json!(id), &json!(40)));
    let again = shell.json(&["resume", &id, "r.csv", "--json"], 0).await;
    assert_eq!(again["created_count"], 40, "there is nothing more to send");
    let output = shell.run(&["resume", &id, "-"]).await;
    assert_eq!(output.status.code(), Some(2));
    for command in
        [&["resume", &id, "/dev/null"][..], &["import", "/dev/null", "--type", "user_verification"]]
    {
        let output = shell.run(command).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("cannot be read again"), "a pipe would go on where it stands: {said}");
    }
}

async fn what_was_found_in_a_file_is_shown(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let shell = Shell::new(&server, &tenant.key);
    let (bytes, ..) = encoding_rs::WINDOWS_1252.encode("external_id;stat;first_name\nf-1;bad;José\n");
    std::fs::write(shell.path("f.csv"), gzip(&bytes)).expect("written");
    let import = ["import", "f.csv", "--type", "user_verification", "--encoding", "windows-1252"];
    let shown = shell.out(&import, 0).await;
    assert!(shown.contains("csv, delimiter ';', windows-1252, gzip"), "{shown}");
    assert!(shown.contains("columns nobody knows: stat"), "{shown}");
    let listed = shell.out(&["list", "--status", "completed"], 0).await;
    assert!(listed.contains("user_verification") && listed.contains("0 updated"), "{listed}");
    assert_eq!(shell.out(&["list", "--status", "failed"], 0).await, "");

    std::fs::write(shell.path("g.csv"), b"external_id;status;first_name\ng-1;bad;Jos\xe9\n")
        .expect("written");
    let import = ["import", "g.csv", "--type", "user_verification", "--encoding", "windows-1252", "--json"];
    let id = shell.json(&import, 3).await["uuid"].as_str().expect("an id").to_owned();
    let output = shell.run(&["export", &id]).await;
    assert_eq!(String::from_utf8_lossy(&output.stdout), "external_id;status;first_name\ng-1;bad;José\n");
    assert!(String::from_utf8_lossy(&output.stderr).contains("without --encoding"));
}

async fn errors_are_followed_from_a_row_on(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "5"]).await;
    let tenant = server.tenant().await;
    let shell = Shell::new(&server, &tenant.key);
    let csv =
        "external_id,status\n".to_owned() + &(1..=40).map(|n| format!("e{n},bad\n")).collect::<String>();
    let id = tenant.create().await.uuid;
    let mut messages = vec![resume(&id, 0)];
    messages.extend(chunks(&csv.as_bytes()[..csv.len() / 2], 0, 50));
    let committed = send_and_break(&tenant, &id, messages).await.committed_size as usize;
    eventually("the first errors", async || (tenant.get(&id).await.failed_count >= 10).then_some(())).await;

    let rows = |out: &str| -> Vec<i64> {
        let row = |line: &str| serde_json::from_str::<Value>(line).expect("JSON")["row_number"].as_i64();
        out.lines().filter_map(row).collect()
    };
    let now = rows(&shell.out(&["errors", &id, "--json", "--after-row", "7"], 0).await);
    assert!(now.starts_with(&[8, 9, 10]) && now.len() < 33, "those there are, without waiting: {now:?}");
    let following = async { shell.out(&["errors", &id, "--json", "--after-row", "7", "--follow"], 0).await };
    let sending = async {
        let rest = &csv.as_bytes()[committed..];
        let messages = vec![resume(&id, committed as i64), chunk(committed, rest), finish(csv.len())];
        tenant.upload(messages).await.expect("the rest");
    };
    let (followed, ()) = tokio::join!(following, sending);
    assert_eq!(rows(&followed), (8..=40).collect::<Vec<_>>(), "to the end of the import");
    let text = shell.out(&["errors", &id, "--after-row", "39"], 0).await;
    assert!(text.starts_with("row 40 ") && text.contains("e40"), "{text}");
    assert_eq!(shell.out(&["errors", &id, "--after-row", "40", "--follow"], 0).await, "");
}

async fn sandboxes_cannot_import(database: Database) {
    let server = Server::start(database).await;
    let admin = Shell::new(&server, &server.admin_key);
    let create = ["admin", "application", "create", "box", "--sandbox", "--json"];
    let made = admin.json(&create, 0).await;
    assert_eq!((&made["sandbox"], &made["imports_enabled"]), (&json!(true), &json!(false)));
    let id = made["id"].as_str().expect("an id");
    let key = server.key(id, pb::Role::Importer).await;
    let workflow = server.workflow(id).await;
    let shell = Shell::new(&server, &key);
    std::fs::write(shell.path("a.csv"), "external_id\na\n").expect("written");
    let output =
        shell.run(&["import", "a.csv", "--type", "user_verification", "--workflow", &workflow]).await;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("sandbox") && error.contains("SANDBOX_NOT_SUPPORTED"), "{error}");
}
