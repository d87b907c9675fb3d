//! `carryover doctor`: would a server with these flags run, and if not, what is to be done?

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use chrono::TimeDelta;
use futures_util::future::BoxFuture;
use tokio::net::TcpListener;

use super::{Done, Failure, output};
use crate::{
    app,
    config::{self, PlaceOfObjects, ServeArgs, StorageArgs},
    guard::Guard,
    objects,
    store::{self, Examined, Schema},
};

/// Clocks further apart than this end claims early, or late.
const CLOCKS_APART: TimeDelta = TimeDelta::seconds(5);

/// Time that one check may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What one check came to.
enum Finding {
    /// It is as it should be.
    Fine(String),
    /// A server would run, but somebody should know.
    Warning(String, &'static str),
    /// A server would not run, or not well: what is wrong, and what to do.
    Broken(String, &'static str),
}

use Finding::{Broken, Fine, Warning};

pub(super) async fn run(args: &ServeArgs, program: &clap::Command) -> Result<Done, Failure> {
    let mut well = true;
    let mut checks: Vec<(&str, BoxFuture<'_, Finding>)> = vec![
        ("config", Box::pin(async { check_config(args, program) })),
        ("address", Box::pin(check_address(args.listen, "choose another --listen"))),
        ("data folder", Box::pin(async { check_folder(&args.storage.data_dir) })),
        ("database", Box::pin(check_database(args))),
        ("object store", Box::pin(check_objects(args))),
        ("name servers", Box::pin(check_names(args))),
    ];
    if let Some(address) = args.metrics_listen {
        checks.insert(2, ("metrics", Box::pin(check_address(address, "choose another --metrics-listen"))));
    }
    for (name, check) in checks {
        let finding = tokio::select! {
            finding = check => finding,
            () = tokio::time::sleep(PATIENCE) => {
                let text = format!("no answer within {} seconds", PATIENCE.as_secs());
                Broken(text, "look whether a firewall or a full network is in between")
            }
        };
        let (word, text, advice) = match finding {
            Fine(text) => ("ok", text, None),
            Warning(text, advice) => ("warn", text, Some(advice)),
            Broken(text, advice) => {
                well = false;
                ("FAIL", text, Some(advice))
            }
        };
        output::line(&format!("{word:4}  {name:12}  {}", output::printable(&text)))?;
        if let Some(advice) = advice {
            output::line(&format!("{:20}{advice}", ""))?;
        }
    }
    Ok(if well { Done::Well } else { Done::Failed })
}

fn check_config(args: &ServeArgs, program: &clap::Command) -> Finding {
    let warnings = config::warnings(args, program).join("; ");
    match app::prepare(args) {
        Err(faults) => Broken(
            app::StartError::Settings(faults).to_string(),
            "mend the setting or the file that is named; `carryover config print` tells where it is set",
        ),
        Ok(prepared) if prepared.has_expired() => Broken(
            "the certificate of --tls-cert has expired".to_owned(),
            "renew it: clients turn away from it; a server that runs reads the file again by itself",
        ),
        Ok(_) if !warnings.is_empty() => Warning(warnings, "`carryover config print` tells where it is set"),
        Ok(_) if args.tls.certificate.is_some() => {
            Fine("the flags go together, and the certificate can be used".to_owned())
        }
        Ok(_) => Fine("the flags go together".to_owned()),
    }
}

async fn check_address(address: SocketAddr, advice: &'static str) -> Finding {
    match TcpListener::bind(address).await {
        Ok(_) => Fine(format!("{address} is free")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Warning(
            format!("{address} is in use"),
            "well if that is a server that runs; else choose another one",
        ),
        Err(error) => Broken(format!("{address}: {error}"), advice),
    }
}

fn check_folder(folder: &Path) -> Finding {
    if !folder.exists() {
        return judge_missing(folder, false);
    }
    match tempfile::tempfile_in(folder) {
        Ok(_) => Fine(format!("{} can be written to", folder.display())),
        Err(error) => Broken(
            format!("{} cannot be written to: {error}", folder.display()),
            "look at --data-dir, and at the rights of the folder",
        ),
    }
}

fn database_file(storage: &StorageArgs) -> PathBuf {
    storage.data_dir.join("carryover.db")
}

/// Looks at the database; none where a start makes it.
async fn examine(storage: &StorageArgs) -> Result<Option<Examined>, store::Error> {
    match &storage.database_url {
        Some(url) => store::examine_postgres(url).await.map(Some),
        None => store::examine_sqlite(&database_file(storage)).await,
    }
}

async fn check_database(args: &ServeArgs) -> Finding {
    let path = database_file(&args.storage);
    let name = if args.storage.database_url.is_some() { "PostgreSQL" } else { "SQLite" };
    match examine(&args.storage).await {
        Ok(Some(examined)) => judge_database(name, &examined),
        Ok(None) => Fine(format!("SQLite: {} is made at the first start", path.display())),
        Err(error) if args.storage.database_url.is_some() => Broken(
            format!("PostgreSQL: {}", app::causes(&error)),
            "look at host, port, name and password in --database-url, and whether the server runs",
        ),
        Err(error) => Broken(
            format!("SQLite: {}: {}", path.display(), app::causes(&error)),
            "look at the rights of the file; if it is damaged, go back to a backup",
        ),
    }
}

fn judge_database(name: &str, examined: &Examined) -> Finding {
    let version = format!("{name} {}", examined.version);
    if examined.is_too_old {
        return Broken(version, "PostgreSQL 15 or later is needed");
    }
    if examined.is_read_only {
        return Broken(
            format!("{version} is read-only"),
            "name the primary in --database-url, not a standby",
        );
    }
    if let Some(ahead) = examined.clock_ahead
        && ahead.abs() > CLOCKS_APART
    {
        let text = format!("{version}: its clock is {} seconds ahead of this machine's", ahead.num_seconds());
        return Broken(text, "let both follow a time server: claims are ended by the clock");
    }
    match &examined.schema {
        Schema::Current => Fine(format!("{version}, the schema is this version's")),
        Schema::Empty => Fine(format!("{version}, empty: the schema is made at the first start")),
        Schema::Older(missing) => Warning(
            format!("{version}, the schema is {missing} migrations behind"),
            "the next start of `carryover serve` brings it up to date; make a backup before",
        ),
        Schema::Extended(later) => Warning(
            format!("{version}, a later version has added to the schema ({})", later.join(", ")),
            "`carryover serve` uses it as it is, as during a rollout and after a rollback",
        ),
        Schema::Newer(unknown) => Broken(
            format!("{version}, the schema was made by a later version ({unknown})"),
            "run that version, or go back to a backup from before the upgrade",
        ),
    }
}

async fn check_objects(args: &ServeArgs) -> Finding {
    let place = args.storage.place_of_objects();
    if let PlaceOfObjects::Folder(folder) = &place
        && !objects::is_store(folder)
    {
        let examined = examine(&args.storage).await.ok().flatten();
        if examined.is_some_and(|examined| examined.knows_sources) {
            let text = format!("{} holds no objects, though the database knows of some", folder.display());
            return Broken(text, "mount its disk, or name the right folder: a server does not start without");
        }
        return judge_missing(folder, args.storage.object_store.is_some());
    }
    let tried = async {
        let objects = app::open_objects(&args.storage)?.with_keys(app::read_keys(&args.storage)?);
        objects.try_out().await?;
        objects.check_keys().await.map_err(app::StartError::from)
    };
    match tried.await {
        Ok(()) => Fine("an object can be written, read and deleted".to_owned()),
        Err(error) => Broken(
            app::causes(&error),
            "look at --object-store and --encryption-keys, at the rights of its folder or bucket, and at the credentials in the environment",
        ),
    }
}

/// What is to be said of a folder in which nothing was kept yet. It is not made: where a disk is missing, nobody would see
/// that any more.
fn judge_missing(folder: &Path, is_named: bool) -> Finding {
    // A bare name is in the folder where the program runs.
    let named = |above| if above == Path::new("") { Path::new(".") } else { above };
    let above = folder.ancestors().map(named).find(|above| above.exists()).unwrap_or(folder);
    let text = format!("{} is new: it is made at the first start", folder.display());
    match tempfile::tempdir_in(above) {
        Err(error) => Broken(
            format!("{} cannot be made: {error}", folder.display()),
            "look at --data-dir and --object-store, and at the rights of the folder above",
        ),
        Ok(_) if is_named => Warning(text, "if objects have been kept there before, its disk is not mounted"),
        Ok(_) => Fine(text),
    }
}

async fn check_names(args: &ServeArgs) -> Finding {
    let advice = "nothing can be fetched by URL: look at --fetch-dns, /etc/resolv.conf and --fetch-roots";
    let policy = match args.fetching.policy() {
        Ok(policy) => policy,
        Err(error) => {
            return Broken(format!("read the file of --fetch-roots: {error}"), "mend --fetch-roots");
        }
    };
    match Guard::new(policy) {
        Err(error) => Broken(app::causes(&error), advice),
        Ok(guard) if guard.has_name_servers().await => Fine("they answer".to_owned()),
        Ok(_) => Warning("they do not answer".to_owned(), advice),
    }
}
