//! `carryover import`.

mod outcome;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
pub(super) use outcome::{outcome, print_outcome, show};

use super::{
    Done, Failure,
    connection::Connection,
    mapping, options, output,
    progress::Progress,
    transfer::{self, Source},
};
use crate::{
    config::parse_bytes,
    domain::import::ImportType,
    grpc::{client::Client, pb},
};

/// What a file's rows describe.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum Type {
    /// Verifications of people.
    UserVerification,
    /// Verifications of companies.
    BusinessVerification,
    /// Transactions.
    Transactions,
    /// Status rules of a workflow.
    StatusRules,
}

impl Type {
    pub(super) fn wire(self) -> pb::ImportType {
        match self {
            Self::UserVerification => pb::ImportType::UserVerification,
            Self::BusinessVerification => pb::ImportType::BusinessVerification,
            Self::Transactions => pb::ImportType::Transactions,
            Self::StatusRules => pb::ImportType::StatusRules,
        }
    }

    pub(super) fn domain(self) -> ImportType {
        match self {
            Self::UserVerification => ImportType::UserVerification,
            Self::BusinessVerification => ImportType::BusinessVerification,
            Self::Transactions => ImportType::Transactions,
            Self::StatusRules => ImportType::StatusRules,
        }
    }
}

/// What becomes of rows whose key is known.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum OnExisting {
    /// They are skipped.
    Skip,
    /// They take the place of the records that are there.
    Update,
}

/// What becomes of the media that rows link to.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Media {
    /// They are fetched and stored.
    Fetch,
    /// They are left where they are.
    Skip,
}

impl Media {
    fn wire(self) -> i32 {
        match self {
            Self::Fetch => pb::MediaPolicy::Fetch as i32,
            Self::Skip => pb::MediaPolicy::Skip as i32,
        }
    }
}

/// How a file's records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// RFC 4180 text with a header line.
    Csv,
    /// One JSON object a line.
    Ndjson,
}

impl Format {
    pub(super) fn wire(self) -> i32 {
        match self {
            Self::Csv => pb::SourceFormat::Csv as i32,
            Self::Ndjson => pb::SourceFormat::Ndjson as i32,
        }
    }
}

/// When rows begin to be processed.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Start {
    /// While the upload goes on.
    OnArrival,
    /// Once the upload is finished.
    AfterUpload,
}

/// Flags of `import`.
#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// File to import, plain or packed with gzip or zstd; "-" reads standard input
    #[arg(required_unless_present = "source_url")]
    file: Option<PathBuf>,

    /// URL (https) from which the server fetches the file
    #[arg(long, value_name = "URL", conflicts_with = "file")]
    source_url: Option<String>,

    /// What its rows describe
    #[arg(long = "type", value_enum)]
    import_type: Type,

    /// Workflow of the sessions; by default the only workflow of kind user there is
    #[arg(long, value_name = "ID")]
    workflow: Option<String>,

    /// Where the file is from: records of sumsub, metamap, veriff, onfido, persona, trulioo, jumio, incode and
    /// idenfy are read as those give them out; the label of rows that carry none [default: generic]
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,

    /// How its records are written; by default told from name and content
    #[arg(long, value_enum)]
    format: Option<Format>,

    /// File of a field mapping (JSON), for rows of a form that Carryover does not know
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,

    /// CSV delimiter; by default told from the header
    #[arg(long, value_name = "CHAR")]
    delimiter: Option<String>,

    /// When rows begin to be processed
    #[arg(long, default_value = "on-arrival", value_enum)]
    start: Start,

    /// Character encoding, such as windows-1252; by default UTF-8, or UTF-16 by its byte order mark
    #[arg(long, value_name = "LABEL")]
    encoding: Option<String>,

    /// What becomes of rows whose key is known
    #[arg(long, default_value = "skip", value_enum)]
    on_existing: OnExisting,

    /// Import rows of people and companies that were erased, too
    #[arg(long)]
    import_erased: bool,

    /// What becomes of images and videos that rows link to; the server's default without it
    #[arg(long, value_enum)]
    media: Option<Media>,

    /// Bytes of media that may be fetched, such as 10GiB; media beyond fail
    #[arg(long, value_parser = parse_bytes, value_name = "BYTES")]
    media_byte_budget: Option<u64>,

    /// Tell what would become of every row and write no record
    #[arg(long)]
    dry_run: bool,

    /// Failed rows beyond which the import fails
    #[arg(long, value_name = "N")]
    max_failed_rows: Option<i64>,

    /// Share of failed rows beyond which the import fails, such as 0.05, once 1,000 rows are settled
    #[arg(long, value_name = "SHARE")]
    max_failed_ratio: Option<f64>,

    /// Label for the import; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = parse_label)]
    labels: Vec<(String, String)>,

    /// Judgement call about the provider's records, such as sumsub_retry_is_expired=true; may be repeated
    ///
    /// docs/providers.md tells which there are and what holds without them.
    #[arg(long = "option", value_name = "NAME=VALUE", value_parser = options::parse)]
    options: Vec<(String, String)>,

    /// Return once the file is stored, without waiting for its rows
    #[arg(long)]
    detach: bool,

    /// Print the import as one JSON object, and no progress
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connection: Connection,
}

/// Flags of `resume`.
#[derive(Debug, Args)]
pub(super) struct ResumeArgs {
    /// The import
    #[arg(value_name = "IMPORT")]
    id: String,

    /// The same file again, when its upload broke off
    file: Option<PathBuf>,

    /// Print the import as one JSON object, and no progress
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connection: Connection,
}

/// Lets a paused import go on; with its file, uploads what is missing of it and follows the import to its end.
pub(super) async fn resume(args: ResumeArgs) -> Result<Done, Failure> {
    let client = args.connection.open().await?;
    let Some(file) = args.file else {
        let request = pb::ResumeImportRequest { import_id: args.id };
        let answer = client.imports().resume_import(request).await?.into_inner();
        show(&transfer::import_of(answer.import)?, args.json)?;
        return Ok(Done::Well);
    };
    let (source, _, size) = look_at(&file)?;
    if matches!(source, Source::Stdin) {
        return Err(Failure::Usage("standard input cannot be read again from where it broke off".to_owned()));
    }
    let request = pb::GetImportRequest { import_id: args.id };
    let import = transfer::import_of(client.imports().get_import(request).await?.into_inner().import)?;
    if let (Some(size), Some(begun)) = (size, import.source_size.filter(|_| !import.upload_finished))
        && size != begun
    {
        let text =
            format!("{} has {size} bytes; the import was begun with a file of {begun}", file.display());
        return Err(Failure::Usage(text));
    }
    if import.pause_requested || import.status() == pb::ImportStatus::Paused {
        client.imports().resume_import(pb::ResumeImportRequest { import_id: import.uuid.clone() }).await?;
    }
    let import = transfer::run(&client, import, source, false, args.json).await?;
    show(&import, args.json)?;
    Ok(outcome(&import))
}

fn parse_label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("a label has the form KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

pub(super) async fn run(args: ImportArgs) -> Result<Done, Failure> {
    let mapping = args.mapping.as_deref().map(mapping::read).transpose()?;
    let provider_options = options::read(&args.options)?;
    let client = args.connection.open().await?;
    let (source, name, size) = match &args.file {
        Some(file) => look_at(file).map(|(source, name, size)| (Some(source), name, size))?,
        None => (None, String::new(), None),
    };
    let workflow_id = match &args.workflow {
        Some(id) => id.clone(),
        None => only_workflow(&client, args.import_type).await?,
    };
    let spec = pb::ImportSpec {
        import_type: args.import_type.wire() as i32,
        provider: args.provider.unwrap_or_default(),
        workflow_id,
        source_format: args.format.map_or(0, Format::wire),
        source_filename: name,
        csv_delimiter: args.delimiter.unwrap_or_default(),
        start: match args.start {
            Start::OnArrival => pb::StartMode::OnArrival,
            Start::AfterUpload => pb::StartMode::AfterUpload,
        } as i32,
        dry_run: args.dry_run,
        source_size: size,
        labels: args.labels.into_iter().collect(),
        provider_options,
        on_existing: match args.on_existing {
            OnExisting::Skip => pb::OnExisting::Skip,
            OnExisting::Update => pb::OnExisting::Update,
        } as i32,
        import_erased: args.import_erased,
        encoding: args.encoding.unwrap_or_default(),
        max_failed_rows: args.max_failed_rows,
        max_failed_ratio: args.max_failed_ratio,
        failed_ratio_min_rows: None,
        source_file_url: args.source_url.unwrap_or_default(),
        media: args.media.map_or(0, Media::wire),
        media_byte_budget: args.media_byte_budget.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
        mapping: mapping.map(Into::into),
    };
    let import = transfer::create(&client, spec).await?;
    if !args.json {
        // Whoever has to go on with it needs its id, whatever becomes of this command.
        output::note(&format!("import {}", import.uuid));
    }
    let import = match source {
        Some(source) => transfer::run(&client, import, source, args.detach, args.json).await?,
        None if args.detach => import,
        None => transfer::follow(&client, &import.uuid, Progress::new(args.json), |_| Ok(())).await?,
    };
    show(&import, args.json)?;
    Ok(if args.detach && !transfer::is_terminal(&import) { Done::Well } else { outcome(&import) })
}

/// What the file is called and how large it is; fails before anything is created.
fn look_at(file: &Path) -> Result<(Source<'_>, String, Option<i64>), Failure> {
    if file == Path::new("-") {
        return Ok((Source::Stdin, "-".to_owned(), None));
    }
    let read = |source| Failure::Io { what: format!("read {}", file.display()), source };
    let metadata = std::fs::metadata(file).map_err(read)?;
    if metadata.is_dir() {
        return Err(read(std::io::Error::from(std::io::ErrorKind::IsADirectory)));
    }
    if !metadata.is_file() {
        // A pipe that is opened again goes on where it stands, and nobody would miss what came before.
        let what = "cannot be read again when an upload breaks off; `carryover import -` reads a pipe";
        let text = format!("{} {what}", file.display());
        return Err(Failure::Usage(text));
    }
    std::fs::File::open(file).map_err(read)?;
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok((Source::File(file), name, Some(i64::try_from(metadata.len()).unwrap_or(i64::MAX))))
}

/// The workflow that an import needs when none is named: the only one that fits.
pub(super) async fn only_workflow(client: &Client, import_type: Type) -> Result<String, Failure> {
    let (kind, words) = match import_type {
        Type::UserVerification => (Some(pb::WorkflowKind::User), "workflow of kind user"),
        Type::BusinessVerification => (Some(pb::WorkflowKind::Business), "workflow of kind business"),
        Type::StatusRules => (None, "workflow"),
        Type::Transactions => return Ok(String::new()),
    };
    let mut fitting = Vec::new();
    let mut request = pb::ListWorkflowsRequest { page_size: 1_000, ..Default::default() };
    loop {
        let page = client.workflows().list_workflows(request.clone()).await?.into_inner();
        let fits = |workflow: &pb::Workflow| kind.is_none_or(|kind| kind == workflow.kind());
        fitting.extend(page.workflows.into_iter().filter(fits).map(|workflow| workflow.id));
        if fitting.len() > 1 || page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    match (fitting.pop(), fitting.is_empty()) {
        (Some(workflow), true) => Ok(workflow),
        (None, _) => Err(Failure::Usage(format!("the application has no {words}; an admin can make one"))),
        _ => Err(Failure::Usage(format!(
            "the application has more than one {words}; choose one with --workflow"
        ))),
    }
}
