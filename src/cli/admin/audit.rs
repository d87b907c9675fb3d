//! `carryover admin audit`.

use clap::Args;

use super::super::{Failure, output, page::Page};
use crate::grpc::pb;

/// Flags of `admin audit`.
#[derive(Debug, Args)]
pub(in crate::cli) struct AuditArgs {
    /// Application it was done to; all without it
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    application: String,

    #[command(flatten)]
    page: Page,
}

pub(in crate::cli) async fn run(AuditArgs { application, page }: AuditArgs) -> Result<(), Failure> {
    let client = page.connection.open().await?;
    let request = pb::ListAuditEventsRequest {
        application_id: application,
        page_size: page.limit,
        page_token: page.page_token.clone(),
    };
    let answer = client.admin().list_audit_events(request).await?.into_inner();
    page.print(&answer.audit_events, &answer.next_page_token, |event| {
        let json = output::json_of(event);
        let who = if event.api_key_id.is_empty() { "the server" } else { &event.api_key_id };
        let details = if json["details"].is_null() { String::new() } else { json["details"].to_string() };
        output::printable(&format!(
            "{}  {:<18}  {}  by {} {who}  {details}",
            json["created_at"].as_str().unwrap_or("-"),
            event.action,
            event.target,
            event.role,
        ))
    })
}
