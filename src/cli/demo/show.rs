//! What a demo shows of an import that has ended.

use std::time::Duration;

use crate::{
    cli::{
        Failure,
        import::Type,
        imports::print_row_error,
        output::{self, grouped},
    },
    grpc::{client::Client, pb},
    sample::Expected,
};

/// How many row errors are shown.
const SHOWN_ERRORS: i32 = 5;

/// What rows of a type are, for people.
pub(super) const fn what(import_type: Type) -> &'static str {
    match import_type {
        Type::UserVerification => "user verifications",
        Type::BusinessVerification => "business verifications",
        Type::Transactions => "transactions",
        Type::StatusRules => "status rules",
    }
}

/// Compares what became of the rows with what the generator put in.
pub(super) fn check(import: &pb::Import, expected: &Expected) -> Result<bool, Failure> {
    let processed = import.created_count + import.updated_count + import.skipped_count + import.failed_count;
    let found = Expected {
        created: import.created_count,
        skipped: import.skipped_count,
        failed: import.failed_count,
    };
    let right = processed == import.processed_rows && processed == import.total_rows && found == *expected;
    output::line(&if right {
        format!(
            "check      every row has one outcome, and each is the one it was made for: {} = {} + {} + {}",
            grouped(import.total_rows),
            grouped(found.created),
            grouped(found.skipped),
            grouped(found.failed)
        )
    } else {
        format!("check      WRONG: expected {expected:?}, found {found:?} of {} rows", import.total_rows)
    })?;
    Ok(right)
}

/// Shows the first row errors.
pub(super) async fn row_errors(client: &Client, import: &pb::Import) -> Result<(), Failure> {
    output::line("\nthe first row errors:")?;
    let request = pb::ListRowErrorsRequest {
        import_id: import.uuid.clone(),
        page_size: SHOWN_ERRORS,
        ..Default::default()
    };
    for error in client.imports().list_row_errors(request).await?.into_inner().row_errors {
        print_row_error(&error)?;
    }
    Ok(())
}

/// Shows one record as a caller reads it back.
pub(super) async fn record(client: &Client, import_type: Type, import: &pb::Import) -> Result<(), Failure> {
    match import_type {
        Type::UserVerification => decision(client, pb::SessionKind::User, import).await,
        Type::BusinessVerification => decision(client, pb::SessionKind::Business, import).await,
        Type::Transactions => {
            let request = pb::ListTransactionsRequest { page_size: 1, ..Default::default() };
            let page = client.transactions().list_transactions(request).await?.into_inner();
            show("transaction", page.transactions.first())
        }
        Type::StatusRules => {
            let workflow_id = import.workflow_id.clone().unwrap_or_default();
            let request = pb::ListStatusRulesRequest { workflow_id, page_size: 1, ..Default::default() };
            let page = client.workflows().list_status_rules(request).await?.into_inner();
            show("status rule", page.status_rules.first())
        }
    }
}

async fn decision(client: &Client, kind: pb::SessionKind, import: &pb::Import) -> Result<(), Failure> {
    let request = pb::ListSessionsRequest {
        page_size: 1,
        session_kind: kind as i32,
        import_id: import.uuid.clone(),
        ..Default::default()
    };
    let sessions = client.sessions().list_sessions(request).await?.into_inner().sessions;
    let Some(session) = sessions.into_iter().next() else { return Ok(()) };
    let request = pb::GetSessionDecisionRequest { session_id: session.session_id };
    show("decision", client.sessions().get_session_decision(request).await?.into_inner().decision.as_ref())
}

fn show<M: prost::Message + prost::Name>(what: &str, record: Option<&M>) -> Result<(), Failure> {
    let Some(record) = record else { return Ok(()) };
    output::line(&format!("\none {what}:"))?;
    output::print_pretty(record)
}

/// Rows a second.
pub(super) fn rate(import: &pb::Import, elapsed: Duration) -> f64 {
    import.total_rows as f64 / elapsed.as_secs_f64()
}

/// Shows speed and memory; the speed beside that of user verifications, where it is known.
pub(super) fn figures(
    import: &pb::Import,
    elapsed: Duration,
    rate_of_users: Option<f64>,
) -> Result<(), Failure> {
    let rate = rate(import, elapsed);
    output::line(&format!(
        "\n{} rows in {:.1} s, {} rows/s from the first byte sent to the last row settled",
        grouped(import.total_rows),
        elapsed.as_secs_f64(),
        grouped(rate as i64)
    ))?;
    if let Some(of_users) = rate_of_users {
        output::line(&format!("{:.2} of the rate of user verifications", rate / of_users))?;
    }
    match peak_memory_mib() {
        Some(peak) => output::line(&format!("peak memory {peak} MiB, server and client together")),
        None => output::line("peak memory is not known on this system"),
    }
}

/// The most memory this process has had resident.
fn peak_memory_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib / 1024)
}
