//! The program itself, as ops and scripts run it.

use std::{path::Path, process::Output};

use serde_json::Value;
use tokio::process::Command;

use crate::{
    harness::{Database, Server, plain_csv},
    on_both_databases,
};

on_both_databases!(the_main_job_from_a_shell, mistakes_end_with_one_clear_line);

struct Shell {
    server: String,
    key: String,
    folder: tempfile::TempDir,
}

impl Shell {
    fn new(server: &Server, key: &str) -> Self {
        Self { server: server.address(), key: key.to_owned(), folder: tempfile::tempdir().expect("a folder") }
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_carryover"))
            .args(arguments)
            .env("CARRYOVER_SERVER", &self.server)
            .env("CARRYOVER_API_KEY", &self.key)
            .current_dir(self.folder.path())
            .output()
            .await
            .expect("it runs")
    }

    /// Standard output of a run that ends with `code`.
    async fn out(&self, arguments: &[&str], code: i32) -> String {
        let output = self.run(arguments).await;
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// The JSON object on the last line; a watch prints one a line.
    async fn json(&self, arguments: &[&str], code: i32) -> Value {
        let out = self.out(arguments, code).await;
        serde_json::from_str(out.lines().last().expect("a line")).expect("a JSON object")
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }
}

async fn the_main_job_from_a_shell(database: Database) {
    let server = Server::start(database).await;
    let admin = Shell::new(&server, &server.admin_key);
    let application =
        admin.json(&["admin", "application", "create", "acme", "--enable-imports", "--json"], 0).await;
    let application = application["id"].as_str().expect("an id").to_owned();
    let key = admin
        .json(&["admin", "key", "create", "--application", &application, "--role", "importer", "--json"], 0)
        .await;
    let workflow = admin
        .json(
            &[
                "admin",
                "workflow",
                "create",
                "kyc",
                "--application",
                &application,
                "--kind",
                "user",
                "--json",
            ],
            0,
        )
        .await;
    let workflow = workflow["id"].as_str().expect("an id").to_owned();
    let shell = Shell::new(&server, key["key"].as_str().expect("a key"));

    let sample = [
        "sample",
        "--type",
        "user_verification",
        "--format",
        "csv",
        "--rows",
        "500",
        "--seed",
        "4",
        "--invalid",
        "0.01",
        "--duplicate",
        "0.01",
    ];
    let file = shell.out(&sample, 0).await;
    assert_eq!(file, shell.out(&sample, 0).await, "the same seed gives the same bytes");
    std::fs::write(shell.path("old.csv"), &file).expect("written");
    let import = ["import", "old.csv", "--type", "user_verification", "--workflow", &workflow, "--json"];
    let dry = shell.json(&[&import[..], &["--dry-run"]].concat(), 3).await;
    let job = shell.json(&import, 3).await;
    assert_eq!((job["status"].as_str(), job["total_rows"].as_i64()), (Some("COMPLETED"), Some(500)));
    for counter in ["created_count", "skipped_count", "failed_count", "processed_rows"] {
        assert_eq!(dry[counter], job[counter], "{counter}");
    }
    let failed = job["failed_count"].as_i64().expect("a number");
    assert!(failed > 0);
    let id = job["uuid"].as_str().expect("an id");
    assert_eq!(shell.json(&["get", id, "--json"], 0).await["uuid"], job["uuid"]);
    assert_eq!(shell.json(&["watch", id, "--json"], 3).await["status"], "COMPLETED");
    assert!(shell.out(&["list"], 0).await.contains(id));
    assert_eq!(shell.out(&["errors", id, "--json"], 0).await.lines().count() as i64, failed);
    shell.out(&["export", id, "-o", "failed.csv"], 0).await;
    let export = std::fs::read_to_string(shell.path("failed.csv")).expect("a file");
    assert_eq!(export.lines().next(), file.lines().next(), "the source's own header");
    assert_eq!(export.lines().count() as i64, failed + 1);

    let sessions = shell.out(&["sessions", "list", "--json"], 0).await;
    let session: Value = serde_json::from_str(sessions.lines().next().expect("a session")).expect("JSON");
    let session_id = session["session_id"].as_str().expect("an id");
    assert_eq!(session["session_type"], "MIGRATED");
    assert_eq!(shell.json(&["sessions", "get", session_id, "--json"], 0).await, session);
    let decision = shell.json(&["sessions", "decision", session_id, "--json"], 0).await;
    assert_eq!(decision["external_id"], session["external_id"]);
    let user = session["vendor_data"].as_str().expect("a key");
    let profile = shell.json(&["users", "get", user, "--json"], 0).await;
    assert_eq!(profile["vendor_data"], user);
    assert!(shell.out(&["users", "list"], 0).await.contains(user));
    let template = shell.out(&["template", "--type", "user_verification"], 0).await;
    assert!(template.starts_with("external_id,"), "{template}");

    std::fs::write(shell.path("good.csv"), plain_csv("cli", 0, 3)).expect("written");
    let detached = shell.json(&["import", "good.csv", "--detach", "--json"], 0).await;
    let watched = shell.json(&["watch", detached["uuid"].as_str().expect("an id"), "--json"], 0).await;
    assert_eq!(watched["created_count"], 3);
    let text = shell.out(&["import", "good.csv"], 0).await;
    assert!(text.contains("skipped    3"), "{text}");
}

async fn mistakes_end_with_one_clear_line(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let shell = Shell::new(&server, &tenant.key);
    let unknown = uuid::Uuid::new_v4().to_string();
    std::fs::write(shell.path("bad.csv"), "external_id,status\na,\"open\n").expect("written");
    for (arguments, code, words) in [
        (&["import", "missing.csv"][..], 1, "missing.csv"),
        (&["import", "."], 1, "directory"),
        (&["import", "bad.csv"], 1, "never closed"),
        (&["import", "bad.csv", "--workflow", &unknown], 1, "workflow"),
        (&["get", &unknown], 1, "no such import"),
        (&["get"], 2, "Usage"),
        (&["frobnicate"], 2, "unrecognized"),
        (&["import", "bad.csv", "--type", "spaceships"], 2, "spaceships"),
        (&["--server"], 2, "Usage"),
        (&["get", &unknown, "--server", "127.0.0.1:1"], 1, "no server answers"),
        (&["get", &unknown, "--api-key", "wrong"], 1, "API key"),
        (&["serve", "--database-url", "mysql://x", "--data-dir", "d"], 1, "postgres://"),
    ] {
        let output = shell.run(arguments).await;
        let error = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.contains(words), "{arguments:?}: {error}");
        assert!(!error.contains("panicked"), "{arguments:?}: {error}");
    }
    let folder = shell.path("d");
    assert!(!Path::new(&folder).join("carryover.db").exists());
}
