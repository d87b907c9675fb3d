//! `carryover config`: what a server would be told, and by whom.

use clap::Subcommand;

use super::{Done, Failure, output};
use crate::{
    app,
    config::{self, Layers, ServeArgs},
};

/// Commands about settings.
#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Say all that is wrong with the settings themselves; nobody is asked, which `carryover doctor` does
    ///
    /// Exit codes: 0 a server would take them, 2 it would not.
    Check(Box<ServeArgs>),
    /// Write all settings as a file, each with where it comes from; secrets are left out
    Print(Box<ServeArgs>),
    /// Write the page that documents all settings (docs/configuration.md)
    #[command(hide = true)]
    Page,
}

/// Runs one of them, which takes settings as `serve` does.
pub(super) fn run(
    command: &ConfigCommand,
    program: &clap::Command,
    layers: &Layers,
) -> Result<Done, Failure> {
    match command {
        ConfigCommand::Check(args) => check(args, program)?,
        ConfigCommand::Print(_) => output::raw(config::print(layers).as_bytes())?,
        ConfigCommand::Page => output::raw(config::page().as_bytes())?,
    }
    Ok(Done::Well)
}

fn check(args: &ServeArgs, program: &clap::Command) -> Result<(), Failure> {
    for warning in config::warnings(args, program) {
        output::note(&output::printable(&format!("warning: {warning}")));
    }
    match app::prepare(args) {
        Err(faults) => {
            for fault in &faults {
                output::complain(&app::causes(fault));
            }
            return Err(Failure::Usage("a server does not start with these settings".to_owned()));
        }
        Ok(prepared) if prepared.has_expired() => {
            output::note("warning: the certificate of --tls-cert has expired")
        }
        Ok(_) => {}
    }
    output::line("a server can use these settings")
}
