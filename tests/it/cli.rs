//! The program itself, as ops and scripts run it.

use std::path::Path;

use carryover::{domain::import::ImportType, grpc::pb::Role};
use serde_json::{Value, json};

use crate::{
    harness::{Database, Server, assert_refused, counters, plain_csv},
    kinds::spec_of,
    on_both_databases,
    shell::Shell,
};

on_both_databases!(
    the_main_job_from_a_shell,
    records_of_every_kind_from_a_shell,
    administration_from_a_shell,
    mistakes_end_with_one_clear_line,
);

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
    let detached =
        shell.json(&["import", "good.csv", "--type", "user_verification", "--detach", "--json"], 0).await;
    let watched = shell.json(&["watch", detached["uuid"].as_str().expect("an id"), "--json"], 0).await;
    assert_eq!(watched["created_count"], 3);
    let text = shell.out(&["import", "good.csv", "--type", "user_verification"], 0).await;
    assert!(text.contains("skipped    3"), "{text}");
}

const BUSINESSES: &str = include_str!("../fixtures/business_verification.ndjson");
const TRANSACTIONS: &str = include_str!("../fixtures/transactions.ndjson");
const RULES: &str = include_str!("../fixtures/status_rules.ndjson");

async fn records_of_every_kind_from_a_shell(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    tenant.import("external_id,vendor_data,first_name,status\np-1,person-1,Mila,Approved\n").await;
    for (import_type, file) in [
        (ImportType::BusinessVerification, BUSINESSES),
        (ImportType::Transactions, TRANSACTIONS),
        (ImportType::StatusRules, RULES),
    ] {
        let spec = spec_of(&server, &tenant, import_type).await;
        let import = tenant.import_as(spec, file).await.expect("an import");
        assert_eq!(counters(&import).0, import.total_rows, "{import_type:?}");
    }
    let operator = server.key(&tenant.application, Role::Operator).await;
    let shell = Shell::new(&server, &operator);

    let all = shell.lines(&["sessions", "list", "--kind", "all"]).await;
    assert_eq!(all.len(), 6);
    let one = shell.lines(&["sessions", "list", "--kind", "business", "--limit", "1"]).await;
    assert_eq!(one, all[..1], "the newest is a business");
    assert_eq!(
        (&one[0]["session_kind"], &one[0]["company_name"]),
        (&json!("business"), &json!("Nobody Knows Ltd"))
    );
    let text = shell.out(&["sessions", "list", "--kind", "business", "--search", "oak"], 0).await;
    assert!(text.contains("Hollow Oak Joinery Ltd") && text.contains("Approved"), "{text}");
    let id = one[0]["session_id"].as_str().expect("an id");
    assert_eq!(shell.json(&["sessions", "get", id, "--json"], 0).await, one[0]);
    let deleted = shell.json(&["sessions", "delete", id, "--json"], 0).await;
    assert_eq!(deleted["session_number"], one[0]["session_number"]);
    shell.out(&["sessions", "get", id], 1).await;

    let businesses = shell.lines(&["businesses", "list"]).await;
    assert_eq!(businesses.len(), 3);
    let business = shell.json(&["businesses", "get", "shop-1", "--json"], 0).await;
    assert_eq!((&business["session_count"], &business["status"]), (&json!(2), &json!("ACTIVE")));
    assert!(businesses.contains(&business));
    assert!(shell.out(&["businesses", "list"], 0).await.contains("Hollow Oak Joinery Ltd"));

    let transactions = shell.lines(&["transactions", "list"]).await;
    let ids: Vec<_> = transactions.iter().map(|one| one["txn_id"].as_str().expect("an id")).collect();
    assert_eq!(ids, ["pay-2", "pay-1", "pay-4", "pay-3"], "newest first by when they happened");
    let id = transactions[1]["uuid"].as_str().expect("an id");
    let detail = shell.json(&["transactions", "get", id, "--json"], 0).await;
    assert_eq!((&detail["amount"], &detail["direction"]), (&json!("1500"), &json!("OUTBOUND")));
    assert!(shell.out(&["transactions", "list"], 0).await.contains("0.512345678901234567 BTC"));

    let workflows = shell.lines(&["workflows", "list"]).await;
    let with_rules = workflows.iter().find(|workflow| workflow["version"] == 1).expect("one has rules");
    let id = with_rules["id"].as_str().expect("an id");
    assert_eq!(shell.json(&["workflows", "get", id, "--json"], 0).await, *with_rules);
    assert_eq!(shell.lines(&["workflows", "versions", id]).await.len(), 1);
    let admin = Shell::new(&server, &server.admin_key);
    for list in [
        &["admin", "application", "list"][..],
        &["admin", "key", "list", "--application", &tenant.application],
        &["admin", "workflow", "list", "--application", &tenant.application],
    ] {
        server.tenant().await;
        server.key(&tenant.application, Role::Reader).await;
        let whole = admin.lines(list).await;
        let one = [list, &["--limit", "1", "--json"]].concat();
        let first = admin.run(&one).await;
        let note = String::from_utf8_lossy(&first.stderr).into_owned();
        let token = note.trim().rsplit(' ').next().expect("a token");
        let second = admin.json(&[&one[..], &["--page-token", token]].concat(), 0).await;
        assert_eq!(second, whole[1], "{list:?}: {note}");
        assert!(admin.out(list, 0).await.contains(whole[1]["id"].as_str().expect("an id")), "{list:?}");
    }
    assert_eq!(shell.lines(&["workflows", "rules", id, "--version", "1"]).await.len(), 8);
    let text = shell.out(&["workflows", "rules", id], 0).await;
    assert!(text.contains("liveness.score less_than 55 → Declined"), "{text}");

    let erased = shell.json(&["businesses", "erase", "shop-1", "--json"], 0).await;
    assert_eq!((&erased["session_count"], &erased["transaction_count"]), (&json!(2), &json!(2)));
    let erased = shell.json(&["users", "erase", "person-1", "--json"], 0).await;
    assert_eq!(erased["session_count"], 1);
    shell.out(&["users", "get", "person-1"], 1).await;
}

async fn administration_from_a_shell(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let admin = Shell::new(&server, &server.admin_key);
    let id = tenant.application.as_str();
    let update = ["admin", "application", "update", id, "--json"];
    let limits = ["--limit", "rows=10", "--limit", "upload_bytes=1GiB"];
    let changed = admin.json(&[&update[..], &limits].concat(), 0).await;
    assert_eq!(
        (&changed["limits"]["rows"], &changed["limits"]["upload_bytes"]),
        (&json!(10), &json!(1 << 30))
    );
    let changed = admin.json(&[&update[..], &["--limit", "upload_bytes="]].concat(), 0).await;
    assert_eq!((&changed["limits"]["rows"], &changed["limits"]["upload_bytes"]), (&json!(10), &Value::Null));
    let import = tenant.import_as(tenant.spec(), plain_csv("l", 0, 11)).await;
    assert_refused(import, tonic::Code::ResourceExhausted, "TOO_MANY_ROWS");
    for wrong in ["rows", "colour=1", "rows=many"] {
        admin.out(&[&update[..], &["--limit", wrong]].concat(), 2).await;
    }
    let audit = ["admin", "audit", "--application", id];
    let actions: Vec<_> = admin.lines(&audit).await.iter().map(|event| event["action"].clone()).collect();
    assert_eq!(actions.iter().filter(|action| **action == "update_application").count(), 2, "{actions:?}");
    assert!(actions.contains(&json!("create_import")), "{actions:?}");
    assert!(admin.out(&audit, 0).await.contains("update_application"));
    assert_eq!(admin.lines(&[&audit[..], &["--limit", "1"]].concat()).await.len(), 1);
}

async fn mistakes_end_with_one_clear_line(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let shell = Shell::new(&server, &tenant.key);
    let unknown = uuid::Uuid::new_v4().to_string();
    std::fs::write(shell.path("bad.csv"), "external_id,status\na,\"open\n").expect("written");
    for (arguments, code, words) in [
        (&["import", "missing.csv", "--type", "transactions"][..], 1, "missing.csv"),
        (&["import", ".", "--type", "transactions"], 1, "directory"),
        (&["import", "bad.csv", "--type", "user_verification"], 1, "never closed"),
        (&["import", "bad.csv"], 2, "--type"),
        (&["import", "bad.csv", "--type", "user_verification", "--workflow", &unknown], 2, "workflow"),
        (&["import", "bad.csv", "--type", "user_verification", "--encoding", "klingon"], 2, "encoding"),
        (&["list", "--status", "asleep"], 2, "PROCESSING"),
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
        assert!(!error.contains("panicked") && !error.contains("code: '"), "{arguments:?}: {error}");
    }
    let folder = shell.path("d");
    assert!(!Path::new(&folder).join("carryover.db").exists());
}
