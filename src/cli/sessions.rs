//! `carryover sessions`.

use clap::{Args, Subcommand, ValueEnum};

use super::{
    Done, Failure, output,
    page::{OneArgs, Page, day, print, shown},
};
use crate::grpc::pb;

/// What to ask of sessions.
#[derive(Debug, Subcommand)]
pub(super) enum SessionsCommand {
    /// List sessions, newest first
    List(Box<ListArgs>),
    /// Show a session
    Get(OneArgs),
    /// Show everything a session found out
    Decision(OneArgs),
    /// Erase a session for good, and its rows in stored files
    Delete(OneArgs),
}

/// Kinds of sessions.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum KindArg {
    /// Of people.
    User,
    /// Of companies.
    Business,
    /// Of both.
    All,
}

/// Flags of `sessions list`.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Whom the sessions are about
    #[arg(long, value_enum, default_value = "user")]
    kind: KindArg,

    /// Status, such as approved or "in review"; may be repeated
    #[arg(long = "status", value_name = "STATUS", value_parser = parse_status)]
    statuses: Vec<i32>,

    /// The customer's own id of the user or business
    #[arg(long, value_name = "ID")]
    vendor_data: Option<String>,

    /// Id, number, e-mail address or part of a name; see ListSessions
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

    /// Issuing state or country of the registry; may be repeated
    #[arg(long = "country", value_name = "CODE")]
    countries: Vec<String>,

    /// Document type code, of people only; may be repeated
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

fn parse_status(text: &str) -> Result<i32, String> {
    let name = format!("SESSION_STATUS_{}", text.trim().to_uppercase().replace([' ', '-'], "_"));
    let status =
        pb::SessionStatus::from_str_name(&name).filter(|status| *status != pb::SessionStatus::Unspecified);
    status
        .map(|status| status as i32)
        .ok_or_else(|| "is no status, such as approved or \"in review\"".to_owned())
}

pub(super) async fn run(command: SessionsCommand) -> Result<Done, Failure> {
    match command {
        SessionsCommand::List(args) => list(*args).await?,
        SessionsCommand::Get(args) => {
            let client = args.connection.open().await?;
            let request = pb::GetSessionRequest { session_id: args.id };
            let answer = client.sessions().get_session(request).await?.into_inner();
            print(answer.session.as_ref(), args.json)?;
        }
        SessionsCommand::Decision(args) => {
            let client = args.connection.open().await?;
            let request = pb::GetSessionDecisionRequest { session_id: args.id };
            let answer = client.sessions().get_session_decision(request).await?.into_inner();
            print(answer.decision.as_ref(), args.json)?;
        }
        SessionsCommand::Delete(args) => {
            let client = args.connection.open().await?;
            let request = pb::DeleteSessionRequest { session_id: args.id };
            let answer = client.sessions().delete_session(request).await?.into_inner();
            print(Some(&answer), args.json)?;
        }
    }
    Ok(Done::Well)
}

async fn list(args: ListArgs) -> Result<(), Failure> {
    let client = args.page.connection.open().await?;
    let kind = match args.kind {
        KindArg::User => pb::SessionKind::User,
        KindArg::Business => pb::SessionKind::Business,
        KindArg::All => pb::SessionKind::All,
    };
    let request = pb::ListSessionsRequest {
        page_size: args.page.limit,
        page_token: args.page.page_token.clone(),
        session_kind: kind as i32,
        session_types: Vec::new(),
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
    };
    let answer = client.sessions().list_sessions(request).await?.into_inner();
    args.page.print(&answer.sessions, &answer.next_page_token, |session| {
        format!(
            "{:>9}  {}  {:<11}  {:<10}  {:<24}  {}",
            session.session_number,
            session.session_id,
            output::word_of(session, "status"),
            day(session.created_at.as_ref()),
            output::printable(&session.external_id),
            shown(session.full_name.as_ref().or(session.company_name.as_ref())),
        )
    })
}
