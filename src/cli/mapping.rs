//! `carryover mapping`, and the files that hold mappings.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use uuid::Uuid;

use super::{
    Done, Failure,
    import::Type,
    preview::{self, FileArgs, with_workflow},
};
use crate::{
    domain::{import::Mapping, limits::Limits},
    grpc,
};

/// Commands about field mappings.
#[derive(Debug, Subcommand)]
pub(super) enum MappingCommand {
    /// Show all that is wrong with a mapping, and the first rows of a file as it reads them; needs no server
    Check(CheckArgs),
}

/// Flags of `mapping check`.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    file: FileArgs,

    /// File of the mapping (JSON)
    #[arg(long, value_name = "FILE")]
    mapping: PathBuf,
}

pub(super) async fn run(command: MappingCommand) -> Result<Done, Failure> {
    let MappingCommand::Check(args) = command;
    let request = args.file.request(Some(read(&args.mapping)?.into()))?;
    // There is no server to ask for one.
    let workflow = match args.file.import_type {
        Type::Transactions => String::new(),
        _ => Uuid::nil().to_string(),
    };
    let request = with_workflow(request, workflow);
    let answer = grpc::preview::run(request, Limits::default()).await?;
    preview::show(&answer, args.file.json())
}

/// Most bytes of a mapping's file; the server takes 64 KiB of text.
const FILE_BYTES: u64 = 1 << 20;

/// Reads a mapping from its file.
pub(super) fn read(path: &Path) -> Result<Mapping, Failure> {
    let shown = path.display();
    let what = || format!("read {shown}");
    let failed = |source| Failure::Io { what: what(), source };
    if std::fs::metadata(path).map_err(failed)?.len() > FILE_BYTES {
        return Err(Failure::Usage(format!("{shown} is larger than a mapping may be")));
    }
    let text = std::fs::read(path).map_err(failed)?;
    serde_json::from_slice(&text).map_err(|error| Failure::Usage(format!("{shown} is no mapping: {error}")))
}
