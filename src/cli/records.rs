//! `carryover sessions` and `carryover users`.

use clap::{Args, Subcommand};

use super::{Done, Failure, connection::Connection, output};
use crate::grpc::pb;

/// What to ask of sessions.
#[derive(Debug, Subcommand)]
pub(super) enum SessionsCommand {
    /// List sessions, newest first
    List(Box<SessionListArgs>),
    /// Show a session
    Get(OneArgs),
    /// Show everything a session found out
    Decision(OneArgs),
}

/// What to ask of users.
#[derive(Debug, Subcommand)]
pub(super) enum UsersCommand {
    /// List users, the one with the newest session first
    List(UserListArgs),
    /// Show a user by vendor_data
    Get(OneArgs),
}

/// Flags of commands about one record.
#[derive(Debug, Args)]
pub(super) struct OneArgs {
    /// The record
    #[arg(value_name = "ID")]
    id: String,

    /// Print JSON on one line
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connection: Connection,
}

/// Flags of `sessions list`.
#[derive(Debug, Args)]
pub(super) struct SessionListArgs {
    /// Status, such as approved or "in review"; may be repeated
    #[arg(long = "status", value_name = "STATUS", value_parser = parse_status)]
    statuses: Vec<i32>,

    /// The customer's own id of the user
    #[arg(long, value_name = "ID")]
    vendor_data: Option<String>,

    /// Id, number, e-mail address or part of a name
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,

    /// Workflow; may be repeated
    #[arg(long = "workflow", value_name = "ID")]
    workflows: Vec<String>,

    /// First day of created_at
    #[arg(long, value_name = "YYYY-MM-DD")]
    date_from: Option<String>,

    /// Last day of created_at
    #[arg(long, value_name = "YYYY-MM-DD")]
    date_to: Option<String>,

    /// Issuing state, alpha-3; may be repeated
    #[arg(long = "country", value_name = "CODE")]
    countries: Vec<String>,

    /// Document type code; may be repeated
    #[arg(long = "document-type", value_name = "CODE")]
    document_types: Vec<String>,

    /// Provider they come from
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,

    /// Id at that provider
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,

    /// Import that made them
    #[arg(long = "import", value_name = "ID")]
    import_id: Option<String>,

    #[command(flatten)]
    page: Page,
}

/// Flags of `users list`.
#[derive(Debug, Args)]
pub(super) struct UserListArgs {
    #[command(flatten)]
    page: Page,
}

/// Flags of lists.
#[derive(Debug, Args)]
struct Page {
    /// At most this many
    #[arg(long, default_value_t = 50, value_name = "N")]
    limit: i32,

    /// Page token, as printed behind the page before
    #[arg(long, value_name = "TOKEN")]
    page_token: Option<String>,

    /// Print one JSON object a line
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connection: Connection,
}

impl Page {
    fn end(&self, next_page_token: &str) {
        if !next_page_token.is_empty() {
            output::note(&format!("there are more: --page-token {next_page_token}"));
        }
    }
}

fn parse_status(text: &str) -> Result<i32, String> {
    let name = format!("SESSION_STATUS_{}", text.trim().to_uppercase().replace([' ', '-'], "_"));
    let status =
        pb::SessionStatus::from_str_name(&name).filter(|status| *status != pb::SessionStatus::Unspecified);
    status
        .map(|status| status as i32)
        .ok_or_else(|| "is no status, such as approved or \"in review\"".to_owned())
}

pub(super) async fn sessions(command: SessionsCommand) -> Result<Done, Failure> {
    match command {
        SessionsCommand::List(args) => list_sessions(*args).await?,
        SessionsCommand::Get(args) => {
            let client = args.connection.open().await?;
            let answer = client.sessions().get_session(pb::GetSessionRequest { session_id: args.id }).await?;
            print(&answer.into_inner().session.unwrap_or_default(), args.json)?;
        }
        SessionsCommand::Decision(args) => {
            let client = args.connection.open().await?;
            let request = pb::GetSessionDecisionRequest { session_id: args.id };
            let answer = client.sessions().get_session_decision(request).await?;
            print(&answer.into_inner().decision.unwrap_or_default(), args.json)?;
        }
    }
    Ok(Done::Well)
}

fn print<M: prost::Message + prost::Name>(message: &M, json: bool) -> Result<(), Failure> {
    if json { output::print_json(message) } else { output::print_pretty(message) }
}

async fn list_sessions(args: SessionListArgs) -> Result<(), Failure> {
    let client = args.page.connection.open().await?;
    let request = pb::ListSessionsRequest {
        page_size: args.page.limit,
        page_token: args.page.page_token.clone().unwrap_or_default(),
        statuses: args.statuses,
        vendor_data: args.vendor_data.unwrap_or_default(),
        search: args.search.unwrap_or_default(),
        workflow_ids: args.workflows,
        date_from: args.date_from.unwrap_or_default(),
        date_to: args.date_to.unwrap_or_default(),
        countries: args.countries,
        document_types: args.document_types,
        provider: args.provider.unwrap_or_default(),
        external_id: args.external_id.unwrap_or_default(),
        import_id: args.import_id.unwrap_or_default(),
        ..Default::default()
    };
    let answer = client.sessions().list_sessions(request).await?.into_inner();
    for session in &answer.sessions {
        if args.page.json {
            output::print_json(session)?;
            continue;
        }
        let json = output::json_of(session);
        let text = |key: &str| output::printable(json[key].as_str().unwrap_or("-"));
        output::line(&format!(
            "{:>9}  {}  {:<11}  {:<10}  {:<24}  {}",
            session.session_number,
            session.session_id,
            text("status"),
            text("created_at").get(..10).unwrap_or("-"),
            text("external_id"),
            text("full_name"),
        ))?;
    }
    args.page.end(&answer.next_page_token);
    Ok(())
}

pub(super) async fn users(command: UsersCommand) -> Result<Done, Failure> {
    match command {
        UsersCommand::Get(args) => {
            let client = args.connection.open().await?;
            let answer = client.entities().get_user(pb::GetUserRequest { vendor_data: args.id }).await?;
            print(&answer.into_inner().user.unwrap_or_default(), args.json)?;
        }
        UsersCommand::List(UserListArgs { page }) => {
            let client = page.connection.open().await?;
            let request = pb::ListUsersRequest {
                page_size: page.limit,
                page_token: page.page_token.clone().unwrap_or_default(),
            };
            let answer = client.entities().list_users(request).await?.into_inner();
            for user in &answer.users {
                if page.json {
                    output::print_json(user)?;
                    continue;
                }
                let name = output::printable(user.effective_name.as_deref().unwrap_or("-"));
                let vendor_data = output::printable(&user.vendor_data);
                output::line(&format!(
                    "{vendor_data:<24}  {:>4} sessions  {:>4} approved  {:>4} declined  {:>4} in review  {name}",
                    user.session_count, user.approved_count, user.declined_count, user.in_review_count
                ))?;
            }
            page.end(&answer.next_page_token);
        }
    }
    Ok(Done::Well)
}
