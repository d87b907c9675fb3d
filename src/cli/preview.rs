//! `carryover preview`.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use clap::Args;

use super::{
    Done, Failure,
    connection::Connection,
    import::{Format, Type, only_workflow},
    mapping, options, output,
};
use crate::grpc::{pb, preview::BYTES};

/// What is known of a file whose first rows are looked at.
#[derive(Debug, Args)]
pub(super) struct FileArgs {
    /// File, plain or packed with gzip or zstd, of which the first MiB is read; "-" reads standard input
    file: PathBuf,

    /// What its rows describe
    #[arg(long = "type", value_enum)]
    pub(super) import_type: Type,

    /// Where the file is from: records of sumsub, metamap, veriff, onfido, persona, trulioo, jumio, incode and
    /// idenfy are read as those give them out; the label of rows that carry none [default: generic]
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,

    /// How its records are written; by default told from name and content
    #[arg(long, value_enum)]
    format: Option<Format>,

    /// CSV delimiter; by default told from the header
    #[arg(long, value_name = "CHAR")]
    delimiter: Option<String>,

    /// Character encoding, such as windows-1252; by default UTF-8, or UTF-16 by its byte order mark
    #[arg(long, value_name = "LABEL")]
    encoding: Option<String>,

    /// Rows to show, at most 100
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=100))]
    rows: i32,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Flags of `preview`.
#[derive(Debug, Args)]
pub(super) struct PreviewArgs {
    #[command(flatten)]
    file: FileArgs,

    /// Workflow of the sessions; by default the only one that fits
    #[arg(long, value_name = "ID")]
    workflow: Option<String>,

    /// File of a field mapping (JSON), for rows of a form that Carryover does not know
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,

    /// Judgement call about the provider's records, as `carryover import` takes it; may be repeated
    #[arg(long = "option", value_name = "NAME=VALUE", value_parser = options::parse)]
    options: Vec<(String, String)>,

    #[command(flatten)]
    connection: Connection,
}

/// Shows how the server would read the first rows of a file.
pub(super) async fn run(args: PreviewArgs) -> Result<Done, Failure> {
    let mapping = args.mapping.as_deref().map(mapping::read).transpose()?;
    let provider_options = options::read(&args.options)?;
    let mut request = args.file.request(mapping.map(Into::into))?;
    request.spec = request.spec.map(|spec| pb::ImportSpec { provider_options, ..spec });
    let client = args.connection.open().await?;
    let workflow_id = match args.workflow {
        Some(id) => id,
        None => only_workflow(&client, args.file.import_type).await?,
    };
    let request = with_workflow(request, workflow_id);
    show(&client.imports().preview_import(request).await?.into_inner(), args.file.json)
}

/// The same request about a workflow.
pub(super) fn with_workflow(
    request: pb::PreviewImportRequest,
    workflow_id: String,
) -> pb::PreviewImportRequest {
    let spec = request.spec.map(|spec| pb::ImportSpec { workflow_id, ..spec });
    pb::PreviewImportRequest { spec, ..request }
}

impl FileArgs {
    pub(super) const fn json(&self) -> bool {
        self.json
    }

    /// What to ask of the file; its workflow is still missing.
    pub(super) fn request(&self, mapping: Option<pb::Mapping>) -> Result<pb::PreviewImportRequest, Failure> {
        let shown = self.file.display();
        let failed = |source| Failure::Io { what: format!("read {shown}"), source };
        let is_stdin = self.file == Path::new("-");
        let mut data = Vec::new();
        // One byte more tells whether there are more.
        let most = BYTES as u64 + 1;
        match is_stdin {
            true => std::io::stdin().lock().take(most).read_to_end(&mut data),
            false => File::open(&self.file).and_then(|file| file.take(most).read_to_end(&mut data)),
        }
        .map_err(failed)?;
        let whole = data.len() <= BYTES;
        data.truncate(BYTES);
        let name = self.file.file_name().map(|name| name.to_string_lossy().into_owned());
        let spec = pb::ImportSpec {
            import_type: self.import_type.wire() as i32,
            provider: self.provider.clone().unwrap_or_default(),
            source_format: self.format.map_or(0, Format::wire),
            source_filename: name.unwrap_or_default(),
            csv_delimiter: self.delimiter.clone().unwrap_or_default(),
            encoding: self.encoding.clone().unwrap_or_default(),
            mapping,
            ..Default::default()
        };
        Ok(pb::PreviewImportRequest { spec: Some(spec), data: data.into(), whole, rows: self.rows })
    }
}

/// Prints what would become of the rows.
pub(super) fn show(preview: &pb::PreviewImportResponse, json: bool) -> Result<Done, Failure> {
    let is_failed = |row: &pb::PreviewRow| row.outcome() == pb::RowOutcome::Failed;
    let done = match preview.last_error {
        Some(_) => Done::Failed,
        None if preview.rows.iter().any(is_failed) => Done::WithFailedRows,
        None => Done::Well,
    };
    if json {
        output::print_json(preview)?;
        return Ok(done);
    }
    if !preview.encoding.is_empty() {
        let format = output::word_of(preview, "source_format");
        output::line(&format!("source     {format}, {}", preview.encoding))?;
    }
    for (name, columns) in [("columns", &preview.columns), ("ignored", &preview.ignored_columns)] {
        if !columns.is_empty() {
            output::line(&format!("{name:<10} {}", output::printable(&columns.join(", "))))?;
        }
    }
    preview.rows.iter().try_for_each(print_row)?;
    if let Some(error) = &preview.last_error {
        output::complain(error);
    }
    Ok(done)
}

fn print_row(row: &pb::PreviewRow) -> Result<(), Failure> {
    let outcome = match row.outcome() {
        pb::RowOutcome::Failed => "would fail",
        pb::RowOutcome::Skipped => "would be skipped: its key stands in a row before it",
        _ => "would be taken",
    };
    output::line(&format!("\nrow {} (line {}) {outcome}", row.row_number, row.line_number))?;
    for (name, value) in output::json_of(row)["fields"].as_object().into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        output::line(&format!("  {name} = {}", output::printable(&value)))?;
    }
    for (mark, issues) in [("error", &row.issues), ("warning", &row.warnings)] {
        for pb::Issue { field, message, .. } in issues {
            let field = if field.is_empty() { "row" } else { field };
            output::line(&format!("  {mark}: {}", output::printable(&format!("{field}: {message}"))))?;
        }
    }
    Ok(())
}
