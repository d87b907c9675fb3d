//! Warnings of the samples through a real server: all that an adapter says is read back.

use carryover::grpc::pb;
use serde_json::{Value, json};

use super::{SAMPLES, read_lines};
use crate::{
    harness::{Database, Server},
    kinds::spec_of,
    on_both_databases,
};

on_both_databases!(warnings_of_samples_are_read_back);

async fn warnings_of_samples_are_read_back(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "3"]).await;
    for sample in SAMPLES {
        let tenant = server.tenant().await;
        let spec = spec_of(&server, &tenant, sample.import_type).await;
        let spec = pb::ImportSpec { provider: sample.provider.to_owned(), ..spec };
        let import = tenant.import_as(spec, sample.lines().join("\n")).await.expect("an import");
        let mut expected = Vec::new();
        for (row, read) in (1..).zip(read_lines(sample.provider, sample.import_type, &sample.lines())) {
            let warnings = read["warnings"].as_array().into_iter().flatten();
            expected.extend(warnings.map(|warning| (row, warning.clone())));
        }
        let found = tenant.row_issues(&import.uuid, pb::IssueSeverity::Warning).await;
        let told: Vec<_> = found
            .iter()
            .flat_map(|row| row.issues.iter().map(|issue| (row.row_number, shown(issue))))
            .collect();
        assert_eq!(told, expected, "{}", sample.file);
        let count = expected.len() as i64;
        assert_eq!((import.warning_count, import.stored_warning_count), (count, count), "{}", sample.file);
    }
}

fn shown(issue: &pb::Issue) -> Value {
    let code = issue.code().as_str_name().trim_start_matches("ISSUE_CODE_");
    json!({"code": code, "field": issue.field, "message": issue.message, "value": issue.value})
}
