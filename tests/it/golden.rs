//! What every import type becomes, word for word: the fixtures in either format give what lies in
//! `tests/golden`. `UPDATE_GOLDEN=1` writes those files.

use std::path::Path;

use carryover::domain::import::ImportType;
use serde_json::{Value, json};

use crate::{
    harness::{Database, Server, counters},
    kinds::spec_of,
    on_both_databases,
    shell::Shell,
};

on_both_databases!(
    user_verifications_are_golden,
    business_verifications_are_golden,
    transactions_are_golden,
    status_rules_are_golden,
);

/// Fields that another import or another day changes.
const VOLATILE: [&str; 8] =
    ["session_id", "didit_internal_id", "uuid", "id", "workflow_id", "application_id", "import_id", "age"];

fn without_volatile(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, _| !VOLATILE.contains(&name.as_str()));
            members.values_mut().for_each(without_volatile);
        }
        Value::Array(items) => items.iter_mut().for_each(without_volatile),
        _ => {}
    }
}

/// Imports a fixture in both formats, each into an application of its own, and compares what `read` finds.
async fn compare(database: Database, import_type: ImportType, read: impl AsyncFn(&Shell) -> Value) {
    let server = Server::start(database).await;
    let name = import_type.as_str();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let path = root.join(format!("golden/{name}.json"));
    for ending in ["csv", "ndjson"] {
        let fixture = std::fs::read(root.join(format!("fixtures/{name}.{ending}"))).expect("a fixture");
        let tenant = server.tenant().await;
        let spec = spec_of(&server, &tenant, import_type).await;
        let import = tenant.import_as(spec, fixture).await.expect("an import");
        assert_eq!(
            counters(&import),
            (import.total_rows, 0, 0),
            "{:?}",
            tenant.row_errors(&import.uuid).await
        );
        let mut found = read(&Shell::new(&server, &tenant.key)).await;
        without_volatile(&mut found);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            let text = serde_json::to_string_pretty(&found).expect("JSON");
            std::fs::write(&path, text + "\n").expect("written");
        }
        let golden: Value =
            serde_json::from_slice(&std::fs::read(&path).expect("a golden file")).expect("JSON");
        assert_eq!(found, golden, "{name}.{ending}: {}", serde_json::to_string_pretty(&found).expect("JSON"));
    }
}

/// Everything that `command get`, or another word, tells of the records of a list.
async fn each(shell: &Shell, records: &[Value], id: &str, command: &[&str]) -> Vec<Value> {
    let mut found = Vec::new();
    for record in records {
        let id = record[id].as_str().expect("an id");
        found.push(shell.json(&[command, &[id, "--json"]].concat(), 0).await);
    }
    found
}

async fn user_verifications_are_golden(database: Database) {
    compare(database, ImportType::UserVerification, async |shell| {
        let sessions = shell.lines(&["sessions", "list"]).await;
        let decisions = each(shell, &sessions, "session_id", &["sessions", "decision"]).await;
        json!({"sessions": sessions, "decisions": decisions, "users": shell.lines(&["users", "list"]).await})
    })
    .await;
}

async fn business_verifications_are_golden(database: Database) {
    compare(database, ImportType::BusinessVerification, async |shell| {
        let sessions = shell.lines(&["sessions", "list", "--kind", "business"]).await;
        let decisions = each(shell, &sessions, "session_id", &["sessions", "decision"]).await;
        let text = format!("{decisions:?}");
        assert!(!text.contains("media.example.net"), "links are never shown: {text}");
        let businesses = shell.lines(&["businesses", "list"]).await;
        json!({"sessions": sessions, "decisions": decisions, "businesses": businesses})
    })
    .await;
}

async fn transactions_are_golden(database: Database) {
    compare(database, ImportType::Transactions, async |shell| {
        let transactions = shell.lines(&["transactions", "list"]).await;
        let details = each(shell, &transactions, "uuid", &["transactions", "get"]).await;
        json!({"transactions": transactions, "details": details})
    })
    .await;
}

async fn status_rules_are_golden(database: Database) {
    compare(database, ImportType::StatusRules, async |shell| {
        let mut workflow = shell.lines(&["workflows", "list"]).await.remove(0);
        let id = workflow["id"].as_str().expect("an id").to_owned();
        let rules = shell.lines(&["workflows", "rules", &id]).await;
        let mut versions = shell.lines(&["workflows", "versions", &id]).await;
        for made_now in versions.iter_mut().chain([&mut workflow]) {
            made_now["created_at"] = Value::Null;
        }
        json!({"workflow": workflow, "versions": versions, "rules": rules})
    })
    .await;
}
