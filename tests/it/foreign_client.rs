//! A client in another language that learns the API by reflection.

use tokio::process::Command;

use crate::{
    harness::{Database, Server},
    on_both_databases,
};

on_both_databases!(python_uploads_watches_and_reads);

async fn python_uploads_watches_and_reads(database: Database) {
    let python = std::env::var("CARRYOVER_TEST_PYTHON")
        .expect("CARRYOVER_TEST_PYTHON must name a Python with tests/foreign_client/requirements.txt; scripts/test makes one");
    let server = Server::start(database).await;
    let output = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/foreign_client/client.py"))
        .args([server.app.address.to_string(), server.admin_key.clone()])
        .output()
        .await
        .expect("Python runs");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    assert_eq!(out.lines().last(), Some("ok"), "{out}");
}
