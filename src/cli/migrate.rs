//! `carryover migrate`.

use clap::Args;

use super::{Done, Failure, output};
use crate::{
    app,
    config::{FileArgs, StorageArgs},
    telemetry::{self, LogFormat},
};

/// What `migrate` takes: where the server's data are.
#[derive(Debug, Clone, Args)]
pub(super) struct MigrateArgs {
    #[command(flatten)]
    file: FileArgs,

    #[command(flatten)]
    storage: StorageArgs,
}

pub(super) async fn run(args: &MigrateArgs) -> Result<Done, Failure> {
    telemetry::init("warn", LogFormat::Text);
    let database = app::migrate(&args.storage).await?;
    output::note(&format!("the schema of the {database} database is up to date"));
    Ok(Done::Well)
}
