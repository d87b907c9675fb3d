//! `carryover demo`: the whole way once, on a server of its own.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use clap::{Args, Parser};

use super::{
    Done, Failure,
    import::{Format, print_outcome},
    imports::print_row_error,
    output::{self, grouped},
    transfer::{self, Source},
};
use crate::{
    app::{self, App},
    config::ServeArgs,
    domain::import::SourceFormat,
    grpc::{client::Client, pb},
    sample::{Expected, Sample},
    telemetry::{self, LogFormat},
};

/// Flags of `demo`.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Rows of the synthetic file
    #[arg(long, default_value_t = 100_000, value_name = "N")]
    rows: u64,

    /// How its records are written
    #[arg(long, default_value = "csv", value_enum)]
    format: Format,

    /// PostgreSQL database to use (postgres://…) instead of SQLite in a temporary folder
    #[arg(long, env = "CARRYOVER_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: Option<String>,
}

/// Share of rows that break a rule, and of rows whose key stands earlier.
const SHARE: f64 = 0.01;

/// How many row errors are shown.
const SHOWN_ERRORS: i32 = 5;

/// Parses the server's own flags, so that the demo runs on their defaults.
#[derive(Parser)]
struct Serve {
    #[command(flatten)]
    args: ServeArgs,
}

pub(super) async fn run(args: DemoArgs) -> Result<Done, Failure> {
    telemetry::init("warn", LogFormat::Text);
    let io = |what: &str| {
        let what = what.to_owned();
        move |source| Failure::Io { what, source }
    };
    let folder = tempfile::tempdir().map_err(io("make a temporary folder"))?;
    let app = start(folder.path(), args.database_url.clone()).await?;
    output::line(&format!(
        "server     listens on {} with {} in {}",
        app.address,
        app.database,
        folder.path().display()
    ))?;
    let (client, workflow_id) = prepare(&app).await?;

    let (path, expected) = generate(&args, folder.path()).map_err(io("write the synthetic file"))?;
    let size = std::fs::metadata(&path).map_err(io("look at the synthetic file"))?.len();
    output::line(&format!(
        "file       {} user verifications, {:.0} MB of {}, {:.0} % invalid, {:.0} % duplicate",
        grouped(args.rows as i64),
        size as f64 / 1e6,
        if args.format == Format::Csv { "CSV" } else { "NDJSON" },
        SHARE * 100.0,
        SHARE * 100.0
    ))?;

    let begun = Instant::now();
    let spec = pb::ImportSpec {
        import_type: pb::ImportType::UserVerification as i32,
        workflow_id,
        source_filename: path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        source_size: i64::try_from(size).ok(),
        ..Default::default()
    };
    let import = transfer::run(&client, spec, Source::File(&path), false, false).await?;
    let elapsed = begun.elapsed();
    print_outcome(&import)?;
    let right = check(&import, &expected)?;
    show_records(&client, &import).await?;
    print_figures(&import, elapsed)?;
    let stopped = app.lifecycle.stop_within(Duration::from_secs(10)).await;
    Ok(if right && stopped { Done::Well } else { Done::Failed })
}

async fn start(folder: &Path, database_url: Option<String>) -> Result<App, Failure> {
    let serve = Serve::try_parse_from(["demo"]).map_err(|error| Failure::Usage(error.to_string()))?;
    let mut args = serve.args;
    args.listen.set_port(0);
    args.storage.data_dir = folder.to_path_buf();
    args.storage.database_url = database_url;
    args.storage.object_store = None;
    // A given database may have an admin key of its own already; this one is ours.
    args.admin_key = None;
    Ok(app::start(&args).await?)
}

/// Makes an application, a workflow and a key; gives a client under it and the workflow.
async fn prepare(app: &App) -> Result<(Client, String), Failure> {
    let address = format!("http://{}", app.address);
    let none = || Failure::Other("the server answered with nothing".to_owned());
    let given = std::env::var("CARRYOVER_ADMIN_KEY").ok();
    let secret = app.new_admin_key.as_ref().map(|key| key.secret.clone()).or(given).ok_or_else(|| {
        Failure::Usage(
            "the database is in use already: set CARRYOVER_ADMIN_KEY to an admin key of it".to_owned(),
        )
    })?;
    let admin = Client::connect(&address, &secret).await?;
    let request =
        pb::CreateApplicationRequest { name: "demo".to_owned(), enable_imports: true, sandbox: false };
    let application =
        admin.admin().create_application(request).await?.into_inner().application.ok_or_else(none)?;
    let request = pb::CreateWorkflowRequest {
        application_id: application.id.clone(),
        name: "onboarding".to_owned(),
        kind: pb::WorkflowKind::User as i32,
    };
    let workflow =
        admin.workflows().create_workflow(request).await?.into_inner().workflow.ok_or_else(none)?;
    let request = pb::CreateApiKeyRequest {
        application_id: application.id,
        role: pb::Role::Importer as i32,
        name: "demo".to_owned(),
    };
    let key = admin.admin().create_api_key(request).await?.into_inner().key;
    Ok((admin.with_key(&key)?, workflow.id))
}

fn generate(args: &DemoArgs, folder: &Path) -> std::io::Result<(PathBuf, Expected)> {
    let (format, name) = match args.format {
        Format::Csv => (SourceFormat::Csv, "demo.csv"),
        Format::Ndjson => (SourceFormat::Ndjson, "demo.ndjson"),
    };
    let path = folder.join(name);
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&path)?);
    let sample = Sample { format, rows: args.rows, seed: 1, invalid: SHARE, duplicate: SHARE };
    let expected = sample.write(&mut out)?;
    out.flush()?;
    Ok((path, expected))
}

/// Compares what became of the rows with what the generator put in.
fn check(import: &pb::Import, expected: &Expected) -> Result<bool, Failure> {
    let processed = import.created_count + import.updated_count + import.skipped_count + import.failed_count;
    let found = Expected {
        created: import.created_count,
        skipped: import.skipped_count,
        failed: import.failed_count,
    };
    let right = processed == import.processed_rows && processed == import.total_rows && found == *expected;
    output::line(&if right {
        format!(
            "check      every row has one outcome, and each is the one it was made for: {} = {} + {} + {}",
            grouped(import.total_rows),
            grouped(found.created),
            grouped(found.skipped),
            grouped(found.failed)
        )
    } else {
        format!("check      WRONG: expected {expected:?}, found {found:?} of {} rows", import.total_rows)
    })?;
    Ok(right)
}

async fn show_records(client: &Client, import: &pb::Import) -> Result<(), Failure> {
    output::line("\nthe first row errors:")?;
    let request = pb::ListRowErrorsRequest {
        import_id: import.uuid.clone(),
        page_size: SHOWN_ERRORS,
        page_token: String::new(),
    };
    for error in client.imports().list_row_errors(request).await?.into_inner().row_errors {
        print_row_error(&error)?;
    }
    let request =
        pb::ListSessionsRequest { page_size: 1, import_id: import.uuid.clone(), ..Default::default() };
    let sessions = client.sessions().list_sessions(request).await?.into_inner().sessions;
    if let Some(session) = sessions.into_iter().next() {
        output::line("\none decision:")?;
        let request = pb::GetSessionDecisionRequest { session_id: session.session_id };
        let decision = client.sessions().get_session_decision(request).await?.into_inner().decision;
        output::print_pretty(&decision.unwrap_or_default())?;
    }
    Ok(())
}

fn print_figures(import: &pb::Import, elapsed: Duration) -> Result<(), Failure> {
    let seconds = elapsed.as_secs_f64();
    let rate = grouped((import.total_rows as f64 / seconds) as i64);
    output::line(&format!(
        "\n{} rows in {seconds:.1} s, {rate} rows/s from the first byte sent to the last row settled",
        grouped(import.total_rows)
    ))?;
    match peak_memory_mib() {
        Some(peak) => output::line(&format!("peak memory {peak} MiB, server and client together")),
        None => output::line("peak memory is not known on this system"),
    }
}

/// The most memory this process has had resident.
fn peak_memory_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib / 1024)
}
