//! Samples through a real server: what is read back of each record.

use std::collections::BTreeMap;

use carryover::{domain::import::ImportType, grpc::pb};
use serde_json::Value;

use super::SAMPLES;
use crate::{
    harness::{Database, Server, counters},
    kinds::spec_of,
    on_both_databases,
    shell::Shell,
};

on_both_databases!(samples_are_read_back);

async fn samples_are_read_back(database: Database) {
    let server = Server::start(database).await;
    for sample in SAMPLES {
        let tenant = server.tenant().await;
        let spec = spec_of(&server, &tenant, sample.import_type).await;
        let spec = pb::ImportSpec { provider: sample.provider.to_owned(), ..spec };
        let import = tenant.import_as(spec, sample.lines().join("\n")).await.expect("an import");
        assert_eq!(
            counters(&import),
            (import.total_rows, 0, 0),
            "{:?}",
            tenant.row_errors(&import.uuid).await
        );
        let list: &[&str] = match sample.import_type {
            ImportType::BusinessVerification => &["sessions", "list", "--kind", "business"],
            ImportType::Transactions => &["transactions", "list"],
            _ => &["sessions", "list"],
        };
        let found = Shell::new(&server, &tenant.key).lines(list).await;
        let found: BTreeMap<String, Value> = found.into_iter().map(|one| (key(&one), one)).collect();
        for expected in sample.expected() {
            let id = expected["external_id"].as_str().expect("an id");
            let found = found.get(id).unwrap_or_else(|| panic!("{}: {id} among {found:?}", sample.file));
            assert_eq!(status(&found["status"]), status(&expected["status"]), "{}: {found}", sample.file);
        }
    }
}

fn key(record: &Value) -> String {
    ["external_id", "source_external_id"]
        .iter()
        .find_map(|key| record[*key].as_str())
        .unwrap_or_default()
        .to_owned()
}

/// A status without the ways to write it.
fn status(word: &Value) -> String {
    let word = word.as_str().unwrap_or_default().to_lowercase().replace([' ', '_'], "");
    word.trim_start_matches("transactionstatus").trim_start_matches("sessionstatus").to_owned()
}
