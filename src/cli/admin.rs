//! `carryover admin`.

mod application;
mod audit;

use clap::{Args, Subcommand, ValueEnum};
use prost::{Message, Name};
use serde_json::json;

use super::{
    Done, Failure,
    connection::Connection,
    output,
    page::{self, Page, day},
    workflows,
};
use crate::grpc::pb;

/// What to administer.
#[derive(Debug, Subcommand)]
pub(super) enum AdminCommand {
    /// Tenants
    #[command(subcommand)]
    Application(application::ApplicationCommand),
    /// API keys
    #[command(subcommand)]
    Key(KeyCommand),
    /// Workflows that sessions belong to
    #[command(subcommand)]
    Workflow(WorkflowCommand),
    /// Show what was done to applications and imports, newest first
    Audit(audit::AuditArgs),
}

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Make a key; its secret is shown this once
    Create {
        /// Application it belongs to; none for admin keys
        #[arg(long, value_name = "ID", default_value = "")]
        application: String,
        /// What it may do; each role includes the ones before it
        #[arg(long, value_enum)]
        role: RoleArg,
        /// Its name
        #[arg(long, default_value = "")]
        name: String,
        /// DNS name or URI in a client's certificate that stands for the key, which then has no secret
        #[arg(long, value_name = "NAME", default_value = "")]
        certificate_name: String,
        #[command(flatten)]
        common: Common,
    },
    /// End a key at once
    Revoke {
        /// The key's id
        #[arg(value_name = "ID")]
        id: String,
        #[command(flatten)]
        common: Common,
    },
    /// List keys
    List {
        /// Application they belong to; none for admin keys
        #[arg(long, value_name = "ID", default_value = "")]
        application: String,
        #[command(flatten)]
        page: Page,
    },
}

/// What to do with workflows.
#[derive(Debug, Subcommand)]
pub(super) enum WorkflowCommand {
    /// Make a workflow
    Create {
        /// Its name
        name: String,
        /// Application it belongs to
        #[arg(long, value_name = "ID")]
        application: String,
        /// What sessions it is for
        #[arg(long, value_enum)]
        kind: KindArg,
        #[command(flatten)]
        common: Common,
    },
    /// List workflows
    List {
        /// Application they belong to
        #[arg(long, value_name = "ID", default_value = "")]
        application: String,
        #[command(flatten)]
        page: Page,
    },
}

/// Roles of keys.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum RoleArg {
    /// Read imports and the records they made.
    Reader,
    /// Import, too.
    Importer,
    /// Control any import of the application and erase people and companies, too.
    Operator,
    /// Administer.
    Admin,
}

/// Kinds of workflows.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum KindArg {
    /// People.
    User,
    /// Companies.
    Business,
}

/// Flags of every admin command.
#[derive(Debug, Args)]
pub(super) struct Common {
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connection: Connection,
}

impl Common {
    fn print<M: Message + Name>(&self, message: Option<&M>) -> Result<(), Failure> {
        page::print(message, self.json)
    }
}

pub(super) async fn run(command: AdminCommand) -> Result<Done, Failure> {
    match command {
        AdminCommand::Application(command) => application::run(command).await?,
        AdminCommand::Key(command) => key(command).await?,
        AdminCommand::Workflow(command) => workflow(command).await?,
        AdminCommand::Audit(args) => audit::run(args).await?,
    }
    Ok(Done::Well)
}

async fn key(command: KeyCommand) -> Result<(), Failure> {
    match command {
        KeyCommand::Create { application, role, name, certificate_name, common } => {
            let client = common.connection.open().await?;
            let role = match role {
                RoleArg::Reader => pb::Role::Reader,
                RoleArg::Importer => pb::Role::Importer,
                RoleArg::Operator => pb::Role::Operator,
                RoleArg::Admin => pb::Role::Admin,
            } as i32;
            let request =
                pb::CreateApiKeyRequest { application_id: application, role, name, certificate_name };
            let answer = client.admin().create_api_key(request).await?.into_inner();
            let mut printed = output::json_of(&answer.api_key.unwrap_or_default());
            if !answer.key.is_empty() {
                printed["key"] = json!(answer.key);
            }
            let text = if common.json {
                printed.to_string()
            } else {
                serde_json::to_string_pretty(&printed).unwrap_or_default()
            };
            output::line(&output::escaped(&text))
        }
        KeyCommand::Revoke { id, common } => {
            let client = common.connection.open().await?;
            let request = pb::RevokeApiKeyRequest { api_key_id: id };
            common.print(client.admin().revoke_api_key(request).await?.into_inner().api_key.as_ref())
        }
        KeyCommand::List { application, page } => {
            let client = page.connection.open().await?;
            let request = pb::ListApiKeysRequest {
                application_id: application,
                page_size: page.limit,
                page_token: page.page_token.clone(),
            };
            let answer = client.admin().list_api_keys(request).await?.into_inner();
            page.print(&answer.api_keys, &answer.next_page_token, |key| {
                let (role, made) = (output::word_of(key, "role"), day(key.created_at.as_ref()));
                let state = if key.revoked_at.is_some() { "revoked" } else { "good" };
                let name = output::printable(&key.name);
                let certificate = output::printable(&key.certificate_name);
                format!("{}  {role:<8}  {made}  {state:<7}  {name}  {certificate}", key.id)
            })
        }
    }
}

async fn workflow(command: WorkflowCommand) -> Result<(), Failure> {
    match command {
        WorkflowCommand::Create { name, application, kind, common } => {
            let client = common.connection.open().await?;
            let kind = match kind {
                KindArg::User => pb::WorkflowKind::User,
                KindArg::Business => pb::WorkflowKind::Business,
            } as i32;
            let request = pb::CreateWorkflowRequest { application_id: application, name, kind };
            common.print(client.workflows().create_workflow(request).await?.into_inner().workflow.as_ref())
        }
        WorkflowCommand::List { application, page } => workflows::list(application, page).await,
    }
}
