//! `carryover workflows`.

use clap::{Args, Subcommand};

use super::{
    Done, Failure, output,
    page::{OneArgs, Page, day, print},
};
use crate::grpc::pb;

/// What to ask of workflows.
#[derive(Debug, Subcommand)]
pub(super) enum WorkflowsCommand {
    /// List the workflows of the key's application
    List(Page),
    /// Show a workflow
    Get(OneArgs),
    /// List the versions of a workflow's status rules, newest first
    Versions(VersionsArgs),
    /// List the status rules of a workflow, in the order in which they are asked
    Rules(RulesArgs),
}

/// Flags of `workflows versions`.
#[derive(Debug, Args)]
pub(super) struct VersionsArgs {
    /// The workflow
    #[arg(value_name = "ID")]
    id: String,

    #[command(flatten)]
    page: Page,
}

/// Flags of `workflows rules`.
#[derive(Debug, Args)]
pub(super) struct RulesArgs {
    /// The workflow
    #[arg(value_name = "ID")]
    id: String,

    /// Version of the rules; the one in force without it
    #[arg(long, value_name = "N")]
    version: Option<i32>,

    #[command(flatten)]
    page: Page,
}

pub(super) async fn run(command: WorkflowsCommand) -> Result<Done, Failure> {
    match command {
        WorkflowsCommand::List(page) => list(String::new(), page).await?,
        WorkflowsCommand::Get(args) => {
            let client = args.connection.open().await?;
            let request = pb::GetWorkflowRequest { workflow_id: args.id };
            print(client.workflows().get_workflow(request).await?.into_inner().workflow.as_ref(), args.json)?;
        }
        WorkflowsCommand::Versions(VersionsArgs { id, page }) => {
            let client = page.connection.open().await?;
            let request = pb::ListWorkflowVersionsRequest {
                workflow_id: id,
                page_size: page.limit,
                page_token: page.page_token.clone(),
            };
            let answer = client.workflows().list_workflow_versions(request).await?.into_inner();
            page.print(&answer.versions, &answer.next_page_token, |version| {
                let day = day(version.created_at.as_ref());
                format!("version {:<4}  {day}  import {}", version.version, version.import_id)
            })?;
        }
        WorkflowsCommand::Rules(RulesArgs { id, version, page }) => {
            let client = page.connection.open().await?;
            let request = pb::ListStatusRulesRequest {
                workflow_id: id,
                version,
                page_size: page.limit,
                page_token: page.page_token.clone(),
            };
            let answer = client.workflows().list_status_rules(request).await?.into_inner();
            page.print(&answer.status_rules, &answer.next_page_token, rule_line)?;
        }
    }
    Ok(Done::Well)
}

/// Lists the workflows of an application; of the key's own without one.
pub(super) async fn list(application_id: String, page: Page) -> Result<(), Failure> {
    let client = page.connection.open().await?;
    let request = pb::ListWorkflowsRequest {
        application_id,
        page_size: page.limit,
        page_token: page.page_token.clone(),
    };
    let answer = client.workflows().list_workflows(request).await?.into_inner();
    page.print(&answer.workflows, &answer.next_page_token, |workflow| {
        let kind = output::word_of(workflow, "kind");
        let name = output::printable(&workflow.name);
        format!("{}  {kind:<8}  version {:<4}  {name}", workflow.id, workflow.version)
    })
}

fn rule_line(rule: &pb::StatusRule) -> String {
    let json = output::json_of(rule);
    let value = if json["value"].is_null() { String::new() } else { format!(" {}", json["value"]) };
    let status = json["status"].as_str().unwrap_or("-");
    output::printable(&format!("{:<20}  {} {}{value} → {status}", rule.feature, rule.field, rule.operator))
}
