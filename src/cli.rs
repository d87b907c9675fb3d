//! The command line: a client like any other, and the way to start a server.

mod admin;
mod config;
mod connection;
mod demo;
mod doctor;
mod entities;
mod import;
mod imports;
mod mapping;
mod migrate;
mod options;
mod output;
mod page;
mod preview;
mod progress;
mod reseal;
mod retry;
mod sample;
mod serve;
mod sessions;
mod transactions;
mod transfer;
mod workflows;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use thiserror::Error;

use crate::config::{Layers, Unusable, parse};

/// Bulk importer of identity-verification history over gRPC
///
/// Exit codes: 0 done, 3 done with failed rows, 1 failed, 2 wrong usage.
#[derive(Debug, Parser)]
#[command(name = "carryover", version, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(Box<crate::config::ServeArgs>),
    /// Check what a server with these flags stands on, and say what to do where something is wrong
    Doctor(Box<crate::config::ServeArgs>),
    /// Check and show the settings of a server
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Bring a database's schema up to date and end; a server does so as well when it starts
    Migrate(migrate::MigrateArgs),
    /// Seal every stored object with the first encryption key that is not; servers may run meanwhile
    Reseal(reseal::ResealArgs),
    /// Show the whole way once: server, synthetic file, import, what became of every row
    Demo(demo::DemoArgs),
    /// Import a file
    Import(import::ImportArgs),
    /// Show how the first rows of a file would be read; nothing is imported
    Preview(preview::PreviewArgs),
    /// Check field mappings
    #[command(subcommand)]
    Mapping(mapping::MappingCommand),
    /// Let no further segment of an import be taken up
    Pause(imports::OneArgs),
    /// Let a paused import go on, or with its file an upload that broke off
    Resume(import::ResumeArgs),
    /// Show an import
    Get(imports::OneArgs),
    /// List imports, newest first
    List(imports::ListArgs),
    /// Follow an import until it ends
    Watch(imports::OneArgs),
    /// Cancel an import
    Cancel(imports::OneArgs),
    /// Take failed rows of an import up again, from its stored source
    Retry(retry::RetryArgs),
    /// Take back what an import wrote that has ended
    Revert(imports::RevertArgs),
    /// Show the failed rows of an import, or rows with warnings
    Errors(imports::ErrorsArgs),
    /// Write rows of an import by outcome or with warnings, as they were sent
    Export(imports::ExportArgs),
    /// Show and erase sessions
    #[command(subcommand)]
    Sessions(sessions::SessionsCommand),
    /// Show and erase users
    #[command(subcommand)]
    Users(entities::UsersCommand),
    /// Show and erase businesses
    #[command(subcommand)]
    Businesses(entities::BusinessesCommand),
    /// Show transactions
    #[command(subcommand)]
    Transactions(transactions::TransactionsCommand),
    /// Show workflows and their status rules
    #[command(subcommand)]
    Workflows(workflows::WorkflowsCommand),
    /// Write an empty file of an import type
    Template(sample::TemplateArgs),
    /// Write a synthetic file; the same seed gives the same bytes
    Sample(sample::SampleArgs),
    /// Administer applications, keys and workflows
    #[command(subcommand)]
    Admin(admin::AdminCommand),
}

/// Why a command failed, as one line.
#[derive(Debug, Error)]
enum Failure {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] crate::grpc::client::ConnectError),
    /// A call was refused.
    #[error("{}", .0.message())]
    Call(#[from] tonic::Status),
    /// A file or a stream of this program.
    #[error("{what}")]
    Io {
        /// What was being done.
        what: String,
        #[source]
        source: std::io::Error,
    },
    /// The server did not start.
    #[error(transparent)]
    Start(#[from] crate::app::StartError),
    /// Anything else that needs words only.
    #[error("{0}")]
    Other(String),
    /// The command was used wrongly.
    #[error("{0}")]
    Usage(String),
}

impl Failure {
    /// Whether the command asked for something that cannot be asked for, by its own or the server's word.
    fn is_usage(&self) -> bool {
        match self {
            Self::Usage(_) => true,
            Self::Call(status) => status.code() == tonic::Code::InvalidArgument,
            _ => false,
        }
    }
}

/// How a command ended, when it did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    /// All is well.
    Well,
    /// The import is done and some of its rows failed.
    WithFailedRows,
    /// The import failed or was cancelled.
    Failed,
}

/// Runs the command line; gives the exit code.
pub fn main() -> ExitCode {
    let program = Cli::command();
    let layers = match parse(&program, std::env::args_os().collect()) {
        Ok(layers) => layers,
        Err(Unusable::CommandLine(error)) => error.exit(),
        Err(Unusable::Settings(faults)) => {
            faults.iter().for_each(|fault| output::complain(&fault.to_string()));
            return ExitCode::from(2);
        }
    };
    let cli = Cli::from_arg_matches(&layers.matches).unwrap_or_else(|error| error.exit());
    // First of all: two TLS providers may be linked one day, and then nobody would be chosen.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&Failure::Other(format!("start the runtime: {error}"))),
    };
    let outcome = runtime.block_on(run(cli.command, &program, &layers));
    runtime.shutdown_background();
    match outcome {
        Ok(Done::Well) => ExitCode::SUCCESS,
        Ok(Done::WithFailedRows) => ExitCode::from(3),
        Ok(Done::Failed) => ExitCode::FAILURE,
        Err(failure) => fail(&failure),
    }
}

async fn run(command: Command, program: &clap::Command, layers: &Layers) -> Result<Done, Failure> {
    match command {
        Command::Serve(args) => serve::run(&args, program).await,
        Command::Doctor(args) => doctor::run(&args, program).await,
        Command::Config(command) => config::run(&command, program, layers),
        Command::Migrate(args) => migrate::run(&args).await,
        Command::Reseal(args) => reseal::run(&args).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Import(args) => import::run(args).await,
        Command::Preview(args) => preview::run(args).await,
        Command::Mapping(command) => mapping::run(command).await,
        Command::Pause(args) => imports::pause(args).await,
        Command::Resume(args) => import::resume(args).await,
        Command::Get(args) => imports::get(args).await,
        Command::List(args) => imports::list(args).await,
        Command::Watch(args) => imports::watch(args).await,
        Command::Cancel(args) => imports::cancel(args).await,
        Command::Retry(args) => retry::run(args).await,
        Command::Revert(args) => imports::revert(args).await,
        Command::Errors(args) => imports::errors(args).await,
        Command::Export(args) => imports::export(args).await,
        Command::Sessions(command) => sessions::run(command).await,
        Command::Users(command) => entities::users(command).await,
        Command::Businesses(command) => entities::businesses(command).await,
        Command::Transactions(command) => transactions::run(command).await,
        Command::Workflows(command) => workflows::run(command).await,
        Command::Template(args) => sample::template(args).await,
        Command::Sample(args) => sample::run(args),
        Command::Admin(command) => admin::run(command).await,
    }
}

/// What to do about an address whose scheme is not the server's, by the words of h2 and rustls for what each then hears.
fn other_scheme(text: &str) -> &'static str {
    if text.contains("frame with invalid size") {
        "; if the server serves TLS, write https:// in --server"
    } else if text.contains("InvalidContentType") {
        "; the server serves no TLS: write http:// in --server"
    } else {
        ""
    }
}

fn fail(failure: &Failure) -> ExitCode {
    // A reader that went away, as `head` does, is no failure.
    if let Failure::Io { source, .. } = failure
        && source.kind() == std::io::ErrorKind::BrokenPipe
    {
        return ExitCode::SUCCESS;
    }
    let mut text = failure.to_string();
    let mut cause = match failure {
        // Its text is the message, which stands there already.
        Failure::Call(status) => std::error::Error::source(status),
        failure => std::error::Error::source(failure),
    };
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text.push_str(other_scheme(&text));
    if !matches!(failure, Failure::Call(status) if output::complain_of_fields(status)) {
        output::complain(&text);
    }
    if let Failure::Call(status) = failure {
        output::explain(status);
    }
    ExitCode::from(if failure.is_usage() { 2 } else { 1 })
}
