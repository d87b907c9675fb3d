//! `carryover retry`.

use std::path::{Path, PathBuf};

use clap::Args;
use prost::Message;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Done, Failure,
    connection::Connection,
    import::{outcome, show},
    output,
    progress::Progress,
    transfer,
};
use crate::{domain::import::Retry, grpc::pb};

/// Most bytes of a message that a server takes, unless it is told otherwise.
const MESSAGE_BYTES: usize = 4 << 20;

/// Flags of `retry`.
#[derive(Debug, Args)]
pub(super) struct RetryArgs {
    /// The import whose failed rows, or media, are taken up again
    #[arg(value_name = "IMPORT")]
    id: String,

    /// Only rows with an issue of this kind, such as INVALID_VALUE; may be repeated
    #[arg(long = "code", value_parser = parse_code, value_name = "CODE")]
    codes: Vec<pb::IssueCode>,

    /// Only these rows
    #[arg(long, value_parser = parse_rows, value_name = "FIRST-LAST")]
    rows: Option<(i64, i64)>,

    /// Rows to take instead, as `errors --json` prints them and somebody mended their raw_row; "-" reads
    /// standard input; without --code and --rows only these are retried
    #[arg(long, value_name = "FILE")]
    corrected: Option<PathBuf>,

    /// No rows, but the images and videos that could not be fetched or kept
    #[arg(long, conflicts_with_all = ["codes", "rows", "corrected"])]
    failed_media: bool,

    /// Return at once, without waiting for the rows
    #[arg(long)]
    detach: bool,

    /// Print the new import as one JSON object, and no progress
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connection: Connection,
}

fn parse_code(text: &str) -> Result<pb::IssueCode, String> {
    pb::IssueCode::from_str_name(&format!("ISSUE_CODE_{}", text.to_uppercase()))
        .ok_or_else(|| "is no kind of issue, such as INVALID_VALUE or REQUIRED".to_owned())
}

fn parse_rows(text: &str) -> Result<(i64, i64), String> {
    let rows = text.split_once('-').and_then(|(first, last)| first.parse().ok().zip(last.parse().ok()));
    rows.filter(|(first, last)| *first > 0 && first <= last)
        .ok_or_else(|| "must be the first and the last row, such as 1-500".to_owned())
}

/// A line of the file of corrected rows; what else it says is not read.
#[derive(Deserialize)]
struct Corrected {
    row_number: i64,
    raw_row: Box<RawValue>,
}

fn read_corrected(path: &Path) -> Result<Vec<pb::RowCorrection>, Failure> {
    let (name, text) = if path == Path::new("-") {
        ("standard input".to_owned(), std::io::read_to_string(std::io::stdin()))
    } else {
        (path.display().to_string(), std::fs::read_to_string(path))
    };
    let text = text.map_err(|source| Failure::Io { what: format!("read {name}"), source })?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let corrected: Vec<_> = lines
        .map(|(at, line)| {
            let corrected: Corrected = serde_json::from_str(line).map_err(|error| {
                Failure::Usage(format!("line {} of {name} is no row error: {error}", at + 1))
            })?;
            let row = corrected.raw_row.get().to_owned();
            Ok(pb::RowCorrection { row_number: corrected.row_number, row })
        })
        .collect::<Result<_, Failure>>()?;
    if corrected.is_empty() {
        // A request without corrections would mean every failed row.
        return Err(Failure::Usage(format!("{name} holds no row")));
    }
    Ok(corrected)
}

/// Refuses what no server would take, and says how much of it would be.
fn check_size(request: &pb::RetryImportRequest) -> Result<(), Failure> {
    let all = &request.corrections;
    // Its number as a field; any below 16 takes as many bytes.
    let size_of = |correction| prost::encoding::message::encoded_len(6, correction);
    let others = request.encoded_len() - all.iter().map(size_of).sum::<usize>();
    let sizes = all.iter().scan(others, |size, correction| {
        *size += size_of(correction);
        Some(*size)
    });
    let fit = sizes.take(Retry::CORRECTIONS).take_while(|size| *size <= MESSAGE_BYTES).count();
    if fit == all.len() {
        return Ok(());
    }
    let number = |count: usize| output::grouped(count as i64);
    Err(Failure::Usage(format!(
        "there are {} corrected rows, and a retry takes {} at most, in a message of 4 MiB: the first {} fit; \
         split the file, and retry once with each part",
        number(all.len()),
        number(Retry::CORRECTIONS),
        number(fit),
    )))
}

pub(super) async fn run(args: RetryArgs) -> Result<Done, Failure> {
    let corrections = args.corrected.as_deref().map(read_corrected).transpose()?.unwrap_or_default();
    let (first_row, last_row) = args.rows.unwrap_or_default();
    let request = pb::RetryImportRequest {
        import_id: args.id,
        request_id: String::new(),
        codes: args.codes.into_iter().map(|code| code as i32).collect(),
        first_row,
        last_row,
        corrections,
        failed_media: args.failed_media,
    };
    check_size(&request)?;
    let client = args.connection.open().await?;
    let mut import = transfer::import_of(client.imports().retry_import(request).await?.into_inner().import)?;
    if args.detach {
        show(&import, args.json)?;
        return Ok(Done::Well);
    }
    let id = import.uuid;
    import = transfer::follow(&client, &id, Progress::new(args.json), |_| Ok(())).await?;
    show(&import, args.json)?;
    Ok(outcome(&import))
}
