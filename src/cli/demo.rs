//! `carryover demo`: the whole way once, on a server of its own.

mod show;

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use clap::{Args, CommandFactory, FromArgMatches, Parser};

use super::{
    Done, Failure,
    import::{Format, Type, print_outcome},
    output::{self, grouped},
    transfer::{self, Source},
};
use crate::{
    app::{self, App},
    config::ServeArgs,
    grpc::{client::Client, pb},
    sample::{Expected, Sample},
    telemetry::{self, LogFormat},
};

/// Flags of `demo`.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// What the rows of the synthetic file describe
    #[arg(long = "type", default_value = "user_verification", value_enum)]
    import_type: Type,

    /// Rows of the synthetic file
    #[arg(long, default_value_t = 100_000, value_name = "N")]
    rows: u64,

    /// How its records are written
    #[arg(long, default_value = "csv", value_enum)]
    format: Format,

    /// PostgreSQL database to use (postgres://…) instead of SQLite in a temporary folder
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,

    /// Admin key to call with, added to that database; its records stay there
    #[arg(
        long,
        env = "CARRYOVER_ADMIN_KEY",
        hide_env_values = true,
        requires = "database_url",
        value_name = "KEY"
    )]
    admin_key: Option<String>,
}

/// Share of rows that break a rule, and of rows whose key stands earlier.
const SHARE: f64 = 0.01;

/// Parses the server's own flags, so that the demo runs on their defaults.
#[derive(Parser)]
struct Serve {
    #[command(flatten)]
    args: ServeArgs,
}

/// An application of the demo's own.
struct Tenant {
    client: Client,
    user_workflow: String,
    business_workflow: String,
}

/// A synthetic file.
struct Synthetic {
    import_type: Type,
    path: PathBuf,
    size: u64,
    expected: Expected,
}

pub(super) async fn run(args: DemoArgs) -> Result<Done, Failure> {
    telemetry::init("warn", LogFormat::Text);
    let folder = tempfile::tempdir().map_err(io("make a temporary folder"))?;
    let app = start(folder.path(), &args).await?;
    output::line(&format!(
        "server     listens on {} with {} in {}",
        app.address,
        app.database,
        folder.path().display()
    ))?;
    if let (Some(_), Some(key)) = (&args.database_url, &app.new_admin_key) {
        output::line(&format!("admin key  {} (of that database, from now on)", key.secret))?;
    }
    let tenant = prepare(&app, args.admin_key.as_deref().map(str::trim)).await?;
    let rate_of_users = match args.import_type {
        Type::UserVerification => None,
        // The same machine at the same time: what another rate can be compared with.
        _ => Some(rate_of_users(&args, &tenant, folder.path()).await?),
    };

    let file = generate(&args, args.import_type, folder.path()).map_err(io("write the synthetic file"))?;
    output::line(&format!(
        "file       {} {}, {:.0} MB of {}, {:.0} % invalid, {:.0} % duplicate",
        grouped(args.rows as i64),
        show::what(args.import_type),
        file.size as f64 / 1e6,
        if args.format == Format::Csv { "CSV" } else { "NDJSON" },
        SHARE * 100.0,
        SHARE * 100.0
    ))?;
    let (import, elapsed) = import(&tenant, &file, false).await?;
    print_outcome(&import)?;
    let right = show::check(&import, &file.expected)?;
    show::row_errors(&tenant.client, &import).await?;
    show::record(&tenant.client, args.import_type, &import).await?;
    show::figures(&import, elapsed, rate_of_users)?;
    let stopped = app.lifecycle.stop_within(Duration::from_secs(10)).await;
    Ok(if right && stopped { Done::Well } else { Done::Failed })
}

fn io(what: &str) -> impl FnOnce(std::io::Error) -> Failure + use<> {
    let what = what.to_owned();
    move |source| Failure::Io { what, source }
}

/// Starts a server on defaults, whatever the environment says of the real one.
async fn start(folder: &Path, demo: &DemoArgs) -> Result<App, Failure> {
    let command = Serve::command().mut_args(|arg| arg.env(None::<&str>));
    let parsed = command.try_get_matches_from(["demo", "--listen", "127.0.0.1:0"]);
    let serve = parsed.and_then(|matches| Serve::from_arg_matches(&matches));
    let mut args = serve.map_err(|error| Failure::Usage(error.to_string()))?.args;
    args.storage.data_dir = folder.to_path_buf();
    args.storage.database_url = demo.database_url.clone();
    args.admin_key = demo.admin_key.clone();
    // What earlier demos kept on that database is gone with their folders, and nobody misses it.
    app::open_objects(&args.storage)?;
    Ok(app::start(&args).await?)
}

/// Makes an application, a workflow of each kind and a key.
async fn prepare(app: &App, given: Option<&str>) -> Result<Tenant, Failure> {
    let address = format!("http://{}", app.address);
    let made = app.new_admin_key.as_ref().map(|key| key.secret.as_str());
    let secret = made.or(given).ok_or_else(|| {
        Failure::Usage(
            "the database has an admin key already: give it, or another one, by --admin-key".to_owned(),
        )
    })?;
    let admin = Client::connect(&address, secret).await?;
    let request =
        pb::CreateApplicationRequest { name: "demo".to_owned(), enable_imports: true, sandbox: false };
    let application =
        admin.admin().create_application(request).await?.into_inner().application.ok_or_else(none)?.id;
    let user_workflow = workflow(&admin, &application, pb::WorkflowKind::User).await?;
    let business_workflow = workflow(&admin, &application, pb::WorkflowKind::Business).await?;
    let request = pb::CreateApiKeyRequest {
        application_id: application,
        role: pb::Role::Importer as i32,
        name: "demo".to_owned(),
        ..Default::default()
    };
    let key = admin.admin().create_api_key(request).await?.into_inner().key;
    Ok(Tenant { client: admin.with_key(&key)?, user_workflow, business_workflow })
}

fn none() -> Failure {
    Failure::Other("the server answered with nothing".to_owned())
}

async fn workflow(admin: &Client, application: &str, kind: pb::WorkflowKind) -> Result<String, Failure> {
    let request = pb::CreateWorkflowRequest {
        application_id: application.to_owned(),
        name: "onboarding".to_owned(),
        kind: kind as i32,
    };
    Ok(admin.workflows().create_workflow(request).await?.into_inner().workflow.ok_or_else(none)?.id)
}

fn generate(args: &DemoArgs, import_type: Type, folder: &Path) -> std::io::Result<Synthetic> {
    let ending = if args.format == Format::Csv { "csv" } else { "ndjson" };
    let path = folder.join(format!("{}.{ending}", import_type.domain().as_str()));
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&path)?);
    let sample = Sample {
        import_type: import_type.domain(),
        format: args.format.domain(),
        rows: args.rows,
        seed: 1,
        invalid: SHARE,
        duplicate: SHARE,
    };
    let expected = sample.write(&mut out)?;
    out.flush()?;
    let size = std::fs::metadata(&path)?.len();
    Ok(Synthetic { import_type, path, size, expected })
}

/// Imports a file; tells how long that took, too.
async fn import(tenant: &Tenant, file: &Synthetic, silent: bool) -> Result<(pb::Import, Duration), Failure> {
    let workflow_id = match file.import_type {
        Type::UserVerification | Type::StatusRules => tenant.user_workflow.clone(),
        Type::BusinessVerification => tenant.business_workflow.clone(),
        Type::Transactions => String::new(),
    };
    let name = file.path.file_name().map(|name| name.to_string_lossy().into_owned());
    let spec = pb::ImportSpec {
        import_type: file.import_type.wire() as i32,
        workflow_id,
        source_filename: name.unwrap_or_default(),
        source_size: i64::try_from(file.size).ok(),
        // Its links lead nowhere.
        media: pb::MediaPolicy::Skip as i32,
        ..Default::default()
    };
    let begun = Instant::now();
    let import = transfer::create(&tenant.client, spec).await?;
    let import = transfer::run(&tenant.client, import, Source::File(&file.path), false, silent).await?;
    Ok((import, begun.elapsed()))
}

/// Rows a second of as many user verifications.
async fn rate_of_users(args: &DemoArgs, tenant: &Tenant, folder: &Path) -> Result<f64, Failure> {
    let file =
        generate(args, Type::UserVerification, folder).map_err(io("write a file of user verifications"))?;
    let (import, elapsed) = import(tenant, &file, true).await?;
    let rate = show::rate(&import, elapsed);
    output::line(&format!(
        "yardstick  {} user verifications at {} rows/s",
        grouped(import.total_rows),
        grouped(rate as i64)
    ))?;
    std::fs::remove_file(&file.path).map_err(io("delete the file of user verifications"))?;
    Ok(rate)
}
