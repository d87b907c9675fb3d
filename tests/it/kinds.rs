//! Imports of every type: their specs, and what their rows are refused for.

use carryover::{
    domain::import::{ImportType, SourceFormat},
    grpc::pb::{self, ImportStatus, IssueCode},
    sample::{Expected, Sample},
};
use serde_json::{Map, Value};

use crate::harness::{Server, Tenant, codes, counters};

/// A spec of that type for a tenant, whose workflow is of the kind it needs.
pub async fn spec_of(server: &Server, tenant: &Tenant, import_type: ImportType) -> pb::ImportSpec {
    let (wire, workflow_id) = match import_type {
        ImportType::UserVerification => (pb::ImportType::UserVerification, tenant.workflow.clone()),
        ImportType::BusinessVerification => {
            let workflow = server.workflow_of(&tenant.application, pb::WorkflowKind::Business).await;
            (pb::ImportType::BusinessVerification, workflow)
        }
        ImportType::Transactions => (pb::ImportType::Transactions, String::new()),
        ImportType::StatusRules => (pb::ImportType::StatusRules, tenant.workflow.clone()),
    };
    pb::ImportSpec { import_type: wire as i32, workflow_id, ..Default::default() }
}

/// Where records of that type are kept.
pub fn table_of(import_type: ImportType) -> &'static str {
    match import_type {
        ImportType::UserVerification => "user_sessions",
        ImportType::BusinessVerification => "business_sessions",
        ImportType::Transactions => "transactions",
        ImportType::StatusRules => "status_rules",
    }
}

/// A sample with a tenth of its rows broken and a tenth repeated.
pub fn sample(import_type: ImportType, format: SourceFormat, rows: u64, seed: u64) -> (Vec<u8>, Expected) {
    let mut file = Vec::new();
    let sample = Sample { import_type, format, rows, seed, invalid: 0.1, duplicate: 0.1 };
    let expected = sample.write(&mut file).expect("memory");
    (file, expected)
}

/// A row that differs from a good one in some members, and the issues it must have; none when it passes.
pub struct Verdict {
    pub name: &'static str,
    pub members: Value,
    pub issues: &'static [(&'static str, IssueCode)],
}

/// A row that breaks these rules.
pub const fn refused(
    name: &'static str,
    members: Value,
    issues: &'static [(&'static str, IssueCode)],
) -> Verdict {
    Verdict { name, members, issues }
}

/// A row that breaks no rule.
pub const fn passes(name: &'static str, members: Value) -> Verdict {
    Verdict { name, members, issues: &[] }
}

/// Imports each row as `good` with its members changed (null takes one away) and compares the issues.
pub async fn assert_verdicts(tenant: &Tenant, spec: pb::ImportSpec, good: &Value, verdicts: &[Verdict]) {
    let lines: Vec<String> = verdicts.iter().enumerate().map(|(n, verdict)| line(good, n, verdict)).collect();
    let spec = pb::ImportSpec { source_format: pb::SourceFormat::Ndjson as i32, ..spec };
    let import = tenant.import_as(spec, lines.join("\n")).await.expect("an import");
    assert_eq!(import.status(), ImportStatus::Completed, "{}", import.last_error());
    let errors = tenant.row_errors(&import.uuid).await;
    for (row, verdict) in (1..).zip(verdicts) {
        let error = errors.iter().find(|error| error.row_number == row);
        let mut found: Vec<(&str, IssueCode)> = error.map_or_else(Vec::new, |error| {
            error.issues.iter().map(|issue| issue.field.as_str()).zip(codes(error)).collect()
        });
        let mut wanted = verdict.issues.to_vec();
        found.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(found, wanted, "{}: {}", verdict.name, error.map_or("", |error| error.error.as_str()));
    }
    let failed = verdicts.iter().filter(|verdict| !verdict.issues.is_empty()).count();
    assert_eq!(counters(&import), ((verdicts.len() - failed) as i64, 0, failed as i64));
}

fn line(good: &Value, n: usize, verdict: &Verdict) -> String {
    let mut row: Map<String, Value> = good.as_object().expect("an object").clone();
    row.insert("external_id".to_owned(), format!("v-{n}").into());
    for (key, value) in verdict.members.as_object().expect("an object") {
        row.insert(key.clone(), value.clone());
    }
    row.retain(|_, value| !value.is_null());
    Value::Object(row).to_string()
}
