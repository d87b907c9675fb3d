//! `carryover serve`.

use std::time::Duration;

use tracing::warn;

use super::{Done, Failure, output};
use crate::{
    app,
    config::{self, ServeArgs},
    lifecycle::Signals,
    telemetry,
};

/// How long a stop may take before what is in flight is given up.
const GRACE: Duration = Duration::from_secs(20);

pub(super) async fn run(args: &ServeArgs, program: &clap::Command) -> Result<Done, Failure> {
    let exporter = telemetry::init_with_tracing(&args.log, args.log_format, &args.tracing());
    let exporter = exporter.map_err(app::StartError::from)?;
    // What the settings themselves have to say is told when they are used.
    config::misspelt(program).for_each(|variable| warn!("{variable}"));
    let app = app::start(args).await?;
    // Whoever reads that it serves may tell it to stop.
    let signals = Signals::hear();
    let signals = signals.map_err(|source| Failure::Io { what: "wait for signals".to_owned(), source })?;
    output::note(&format!("carryover serves gRPC on {} with {}", app.address, app.database));
    if let Some(address) = app.metrics_address {
        output::note(&format!("metrics are at http://{address}/metrics"));
    }
    if let Some(key) = &app.new_admin_key {
        output::note(&format!("the first admin key was written to {}", key.path.display()));
    }
    let well = app.lifecycle.run_until(signals, args.drain(), GRACE).await;
    exporter.shut_down().await;
    Ok(if well { Done::Well } else { Done::Failed })
}
