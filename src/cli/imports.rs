//! `carryover get|list|watch|pause|cancel|revert|errors|export`.

use std::{io::Write, path::PathBuf};

use clap::{Args, ValueEnum};

use super::{
    Done, Failure,
    connection::Connection,
    import::{outcome, show},
    output,
    page::Page,
    progress::Progress,
    transfer,
};
use crate::grpc::pb;

/// Flags of commands about one import.
#[derive(Debug, Args)]
pub(super) struct OneArgs {
    /// The import
    #[arg(value_name = "IMPORT")]
    id: String,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connection: Connection,
}

/// Flags of `list`.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only imports in this state, such as COMPLETED; may be given more than once
    #[arg(long, value_parser = parse_status, value_name = "STATUS")]
    status: Vec<pb::ImportStatus>,

    #[command(flatten)]
    page: Page,
}

fn parse_status(text: &str) -> Result<pb::ImportStatus, String> {
    pb::ImportStatus::from_str_name(&format!("IMPORT_STATUS_{}", text.to_uppercase()))
        .ok_or_else(|| "is no state, such as PROCESSING or COMPLETED".to_owned())
}

/// Flags of `errors`.
#[derive(Debug, Args)]
pub(super) struct ErrorsArgs {
    /// The import
    #[arg(value_name = "IMPORT")]
    id: String,

    /// Whether to show failed rows, or rows with warnings, whatever became of them
    #[arg(long, value_enum, default_value_t = Severity::Error)]
    severity: Severity,

    /// Only rows behind this one
    #[arg(long, default_value_t = 0, value_name = "ROW")]
    after_row: i64,

    /// Go on until the import has ended
    #[arg(long)]
    follow: bool,

    /// Print one JSON object a line, the row among its fields
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connection: Connection,
}

/// What there is to say of a row.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Severity {
    /// Why it failed.
    Error,
    /// What was left out of it, and what else its owner should know.
    Warning,
}

impl From<Severity> for pb::IssueSeverity {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Error => Self::Error,
            Severity::Warning => Self::Warning,
        }
    }
}

/// What became of a row.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Outcome {
    /// A record was written.
    Created,
    /// A record was changed.
    Updated,
    /// The key was known.
    Skipped,
    /// The row broke a rule.
    Failed,
}

/// Flags of `export`.
#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// The import
    #[arg(value_name = "IMPORT")]
    id: String,

    /// Outcome of the rows to write, failed without it; may be repeated
    #[arg(long = "outcome", value_enum)]
    outcomes: Vec<Outcome>,

    /// Only rows with warnings, of any outcome unless some are named
    #[arg(long)]
    warnings: bool,

    /// File to write to; standard output without it
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    #[command(flatten)]
    connection: Connection,
}

pub(super) async fn get(args: OneArgs) -> Result<Done, Failure> {
    let client = args.connection.open().await?;
    let answer = client.imports().get_import(pb::GetImportRequest { import_id: args.id }).await?;
    show(&transfer::import_of(answer.into_inner().import)?, args.json)?;
    Ok(Done::Well)
}

pub(super) async fn cancel(args: OneArgs) -> Result<Done, Failure> {
    let client = args.connection.open().await?;
    let answer = client.imports().cancel_import(pb::CancelImportRequest { import_id: args.id }).await?;
    show(&transfer::import_of(answer.into_inner().import)?, args.json)?;
    Ok(Done::Well)
}

pub(super) async fn pause(args: OneArgs) -> Result<Done, Failure> {
    let client = args.connection.open().await?;
    let answer = client.imports().pause_import(pb::PauseImportRequest { import_id: args.id }).await?;
    show(&transfer::import_of(answer.into_inner().import)?, args.json)?;
    Ok(Done::Well)
}

/// Flags of `revert`.
#[derive(Debug, Args)]
pub(super) struct RevertArgs {
    /// Return at once, without waiting for the end
    #[arg(long)]
    detach: bool,

    #[command(flatten)]
    one: OneArgs,
}

pub(super) async fn revert(args: RevertArgs) -> Result<Done, Failure> {
    let OneArgs { id, json, connection } = args.one;
    let client = connection.open().await?;
    let request = pb::RevertImportRequest { import_id: id.clone() };
    let mut import = transfer::import_of(client.imports().revert_import(request).await?.into_inner().import)?;
    if !args.detach {
        import = transfer::follow(&client, &id, Progress::new(true), |_| Ok(())).await?;
    }
    show(&import, json)?;
    Ok(if import.revert_failed_count > 0 { Done::Failed } else { Done::Well })
}

pub(super) async fn watch(args: OneArgs) -> Result<Done, Failure> {
    let client = args.connection.open().await?;
    let json = args.json;
    let each = |import: &pb::Import| if json { output::print_json(import) } else { Ok(()) };
    let import = transfer::follow(&client, &args.id, Progress::new(json), each).await?;
    if !json {
        show(&import, false)?;
    }
    Ok(outcome(&import))
}

pub(super) async fn list(args: ListArgs) -> Result<Done, Failure> {
    let ListArgs { status, page } = args;
    let client = page.connection.open().await?;
    let request = pb::ListImportsRequest {
        page_size: page.limit,
        page_token: page.page_token.clone(),
        statuses: status.into_iter().map(|status| status as i32).collect(),
    };
    let answer = client.imports().list_imports(request).await?.into_inner();
    page.print(&answer.imports, &answer.next_page_token, |import| {
        let status = import.status().as_str_name().replace("IMPORT_STATUS_", "");
        let name = output::printable(&import.source_filename);
        let kind = import.import_type().as_str_name().replace("IMPORT_TYPE_", "").to_lowercase();
        let dry = if import.dry_run { " (dry run)" } else { "" };
        let retry = if import.parent_import_id.is_some() { " (retry)" } else { "" };
        let counts = [
            (import.total_rows, "rows"),
            (import.created_count, "created"),
            (import.updated_count, "updated"),
            (import.skipped_count, "skipped"),
            (import.failed_count, "failed"),
        ];
        let counts = counts.map(|(count, of)| format!("{:>9} {of}", output::grouped(count))).join("  ");
        format!("{}  {status:<10}  {kind:<21}  {counts}  {name}{dry}{retry}", import.uuid)
    })?;
    Ok(Done::Well)
}

pub(super) async fn errors(args: ErrorsArgs) -> Result<Done, Failure> {
    let client = args.connection.open().await?;
    let request = pb::StreamRowErrorsRequest {
        import_id: args.id,
        after_row: args.after_row,
        follow: args.follow,
        severity: pb::IssueSeverity::from(args.severity) as i32,
    };
    let mut errors = client.imports().stream_row_errors(request).await?.into_inner();
    while let Some(message) = errors.message().await? {
        let Some(error) = message.row_error else { continue };
        if args.json { output::print_json(&error)? } else { print_row_error(&error)? }
    }
    Ok(Done::Well)
}

/// Prints what there is to say of a row for people.
pub(super) fn print_row_error(error: &pb::RowError) -> Result<(), Failure> {
    let key = error.external_id.as_deref().map(output::printable).unwrap_or_else(|| "-".to_owned());
    let text = output::printable(&error.error);
    output::line(&format!("row {:<9} line {:<9} {key:<24} {text}", error.row_number, error.line_number))
}

pub(super) async fn export(args: ExportArgs) -> Result<Done, Failure> {
    let client = args.connection.open().await?;
    let wire = |outcome: &Outcome| match outcome {
        Outcome::Created => pb::RowOutcome::Created as i32,
        Outcome::Updated => pb::RowOutcome::Updated as i32,
        Outcome::Skipped => pb::RowOutcome::Skipped as i32,
        Outcome::Failed => pb::RowOutcome::Failed as i32,
    };
    let get = pb::GetImportRequest { import_id: args.id.clone() };
    let import = transfer::import_of(client.imports().get_import(get).await?.into_inner().import)?;
    if !matches!(import.encoding.as_str(), "" | "UTF-8") {
        output::note("the rows come as UTF-8: import them without --encoding");
    }
    let severity = if args.warnings { pb::IssueSeverity::Warning } else { pb::IssueSeverity::Error };
    let request = pb::ExportRowsRequest {
        import_id: args.id,
        outcomes: args.outcomes.iter().map(wire).collect(),
        severity: severity as i32,
    };
    let mut parts = client.imports().export_rows(request).await?.into_inner();
    let Some(path) = args.output else {
        while let Some(part) = parts.message().await? {
            output::raw(&part.data)?;
        }
        return Ok(Done::Well);
    };
    let write = |source| Failure::Io { what: format!("write {}", path.display()), source };
    // What is there already is not emptied for an export that comes to nothing.
    let mut next = parts.message().await?;
    let mut file = std::fs::File::create(&path).map_err(write)?;
    while let Some(part) = next {
        file.write_all(&part.data).map_err(write)?;
        next = parts.message().await?;
    }
    file.sync_all().map_err(write)?;
    Ok(Done::Well)
}
