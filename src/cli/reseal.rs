//! `carryover reseal`.

use clap::Args;

use super::{Done, Failure, output};
use crate::{
    app,
    config::{FileArgs, StorageArgs},
    objects::Resealed,
    telemetry::{self, LogFormat},
};

/// What `reseal` takes: where the server's data are, and the keys.
#[derive(Debug, Clone, Args)]
pub(super) struct ResealArgs {
    #[command(flatten)]
    file: FileArgs,

    #[command(flatten)]
    storage: StorageArgs,
}

pub(super) async fn run(args: &ResealArgs) -> Result<Done, Failure> {
    if args.storage.encryption_keys.is_none() {
        return Err(Failure::Usage(
            "--encryption-keys must name the file whose first key is to seal".to_owned(),
        ));
    }
    telemetry::init("warn", LogFormat::Text);
    let Resealed { resealed, kept, gone, failed, retired } = app::reseal(&args.storage).await?;
    output::line(&format!(
        "resealed {resealed}, as they should be {kept}, deleted meanwhile {gone}, failed {failed}"
    ))?;
    for key in retired {
        output::line(&format!("no object is sealed with {} any more", output::printable(&key)))?;
    }
    Ok(if failed == 0 { Done::Well } else { Done::Failed })
}
