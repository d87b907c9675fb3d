//! The composition root: the only room that knows all others.

mod start_error;

use std::{
    env, fs, io,
    net::SocketAddr,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tokio::net::TcpListener;
use tracing::{error, info, warn};

use crate::{
    administration::Administration,
    config::{Contradiction, PlaceOfObjects, Role, ServeArgs, StorageArgs},
    erasure::Erasure,
    feed::Feed,
    fetcher::Fetcher,
    grpc::{self, Certificate, Transport},
    guard::Guard,
    imports::Imports,
    intake::Intake,
    lifecycle::Lifecycle,
    links::Links,
    media::MediaFetcher,
    metrics::{self, Metrics},
    objects::{Keys, Objects, Resealed},
    probe::Probe,
    records::Records,
    relay,
    reverter::Reverter,
    store::Store,
    sweeper::Sweeper,
    worker::{Settings, Worker},
};

pub use start_error::{StartError, causes};

/// Time between two tries to reach a database that does not answer yet.
const DATABASE_POLL: Duration = Duration::from_secs(1);

/// A running server.
pub struct App {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where it tells its metrics.
    pub metrics_address: Option<SocketAddr>,
    /// The admin key that was made, when the database was empty and none was given.
    pub new_admin_key: Option<NewAdminKey>,
    /// Stops it.
    pub lifecycle: Lifecycle,
    /// Which database it uses, for people.
    pub database: &'static str,
}

/// An admin key that was made at the first start.
pub struct NewAdminKey {
    /// Its secret.
    pub secret: String,
    /// Where it was written.
    pub path: PathBuf,
}

/// What settings alone tell, with the files they name.
pub struct Prepared {
    transport: Transport,
    guard: Guard,
    keys: Keys,
}

impl Prepared {
    /// Whether TLS is served with a certificate that clients turn away from.
    pub(crate) fn has_expired(&self) -> bool {
        self.transport.certificate.as_ref().is_some_and(Certificate::has_expired)
    }
}

/// Makes what the settings alone tell, and so finds out all that keeps a server from using them; nobody is asked.
pub fn prepare(args: &ServeArgs) -> Result<Prepared, Vec<StartError>> {
    let stopping = args.contradictions().filter(|contradiction| contradiction.stops_start());
    let mut faults: Vec<_> = stopping.map(StartError::from).collect();
    if let PlaceOfObjects::Url(url) = args.storage.place_of_objects() {
        faults.extend(Objects::open_bucket(url, text_variables()).err().map(StartError::from));
    }
    let transport = args.transport().map_err(StartError::from);
    let policy = args.fetching.policy().map_err(StartError::FetchRoots);
    let guard = policy.and_then(|policy| Ok(Guard::new(policy)?));
    match (transport, guard, read_keys(&args.storage)) {
        (Ok(transport), Ok(guard), Ok(keys)) if faults.is_empty() => {
            return Ok(Prepared { transport, guard, keys });
        }
        (transport, guard, keys) => {
            faults.extend([transport.err(), guard.err(), keys.err()].into_iter().flatten());
        }
    }
    Err(faults)
}

/// Starts a server.
pub async fn start(args: &ServeArgs) -> Result<App, StartError> {
    let Prepared { transport, guard, keys } = prepare(args).map_err(StartError::Settings)?;
    args.contradictions().for_each(|contradiction| warn!("{contradiction}"));
    let (listener, address) = listen(args.listen).await?;
    let (metrics_listener, metrics_address) = match args.metrics_listen {
        Some(address) => Some(listen(address).await?).unzip(),
        None => (None, None),
    };
    let metrics = Metrics::default();
    let (objects, store) = open_storage(args, keys, &metrics).await?;
    let administration = Administration::new(store.clone());
    // A worker answers nobody who would have a key, and its folder may be one that nobody sees.
    let new_admin_key =
        if args.role == Role::Worker { None } else { bootstrap(&administration, args).await? };

    let lifecycle = Lifecycle::default();
    let Lifecycle { leave, stop, tasks } = &lifecycle;
    let feed = make_feed(&store, &lifecycle);
    let intake = Intake::new(
        store.clone(),
        objects.clone(),
        feed.clone(),
        args.source_limits(),
        tasks.clone(),
        stop.clone(),
    );
    let erasure = Erasure::new(store.clone(), objects.clone());
    let policy = args.media.policy.into();
    let imports = Imports::new(store.clone(), objects.clone(), feed.clone(), intake, guard.clone(), policy);
    let vitals = Probe { store: store.clone(), objects: objects.clone(), metrics: metrics.clone() };
    let vitals = vitals.spawn(tasks, leave, stop);
    if let Some(listener) = metrics_listener {
        let vitals = vitals.clone();
        let is_ready = move || vitals.borrow().serves_all();
        tasks.spawn(metrics::serve(listener, metrics.clone(), is_ready, tasks.clone(), stop.clone()));
    }
    care_for_tls(args, &transport, &metrics, &lifecycle)?;
    if args.role != Role::Api {
        let hands = Hands {
            store: &store,
            objects: &objects,
            feed: &feed,
            imports: &imports,
            erasure: &erasure,
            guard,
        };
        hands.work(args, &metrics, &lifecycle)?;
    }
    let database = store.backend_name();
    let parts = if args.role == Role::Worker {
        None
    } else {
        let links = make_links(args, address, &store, objects).await?;
        let records = Records::new(store, links.clone());
        Some(grpc::Parts { imports, records, links, erasure, administration })
    };
    let stop = stop.clone();
    tasks.spawn(async move {
        if let Err(error) = grpc::serve(listener, parts, transport, metrics, vitals, stop.clone()).await {
            error!(error = &error as &dyn std::error::Error, "the server ended");
        }
        stop.cancel();
    });
    info!(%address, database, "serving");
    Ok(App { address, metrics_address, new_admin_key, lifecycle, database })
}

/// Opens what everything stands on, and sees that both can be used and belong together.
async fn open_storage(
    args: &ServeArgs,
    keys: Keys,
    metrics: &Metrics,
) -> Result<(Objects, Store), StartError> {
    make_folder(&args.storage.data_dir)?;
    let objects = open_objects(&args.storage)?.with_keys(keys);
    objects.try_out().await?;
    objects.take_up_keys().await?;
    let settings = args.settings();
    let store = open_store(&args.storage, settings.segments_in_flight, settings.lease, metrics).await?;
    must_be_the_folder(&args.storage, &objects, &store).await?;
    store.release_abandoned_claims().await.map_err(StartError::Database)?;
    Ok((objects, store))
}

/// Refuses the place of a disk that is not there: all that is on it would count as deleted.
async fn must_be_the_folder(
    storage: &StorageArgs,
    objects: &Objects,
    store: &Store,
) -> Result<(), StartError> {
    let PlaceOfObjects::Folder(path) = storage.place_of_objects() else { return Ok(()) };
    if objects.is_new() && store.keeps_sources().await.map_err(StartError::Database)? {
        objects.disown()?;
        return Err(StartError::ObjectsMissing { path });
    }
    Ok(())
}

/// Keeps the certificate as its files are, or says loudly that it is missed.
fn care_for_tls(
    args: &ServeArgs,
    transport: &Transport,
    metrics: &Metrics,
    lifecycle: &Lifecycle,
) -> Result<(), StartError> {
    if args.is_exposed() {
        let address = args.listen;
        warn!(%address, "INSECURE: keys and personal data go over the network as they are (--insecure-listen)");
    }
    let Some(certificate) = &transport.certificate else { return Ok(()) };
    if certificate.has_expired() {
        warn!("the certificate of --tls-cert has expired: clients turn away from it");
    }
    let Lifecycle { stop, tasks, .. } = lifecycle;
    let kept = certificate.keep_fresh(args.tls.reload_every(), metrics.clone(), tasks, stop.clone());
    kept.map_err(StartError::Signals)
}

/// A feed that is told of what other processes of the database do.
fn make_feed(store: &Store, lifecycle: &Lifecycle) -> Feed {
    if !store.is_shared() {
        return Feed::default();
    }
    let feed = Feed::relayed();
    relay::spawn(&feed, store, &lifecycle.tasks, &lifecycle.stop);
    feed
}

/// What background work stands on.
struct Hands<'a> {
    store: &'a Store,
    objects: &'a Objects,
    feed: &'a Feed,
    imports: &'a Imports,
    erasure: &'a Erasure,
    guard: Guard,
}

impl Hands<'_> {
    /// Starts all work of a process that does not only answer calls.
    fn work(self, args: &ServeArgs, metrics: &Metrics, lifecycle: &Lifecycle) -> Result<(), StartError> {
        let Lifecycle { stop, tasks, .. } = lifecycle;
        let (store, feed, metrics) = (|| self.store.clone(), || self.feed.clone(), || metrics.clone());
        let settings = args.settings();
        Worker::new(store(), self.objects.clone(), feed(), metrics(), settings).spawn(tasks, stop);
        let sweeper = Sweeper {
            store: store(),
            objects: self.objects.clone(),
            feed: feed(),
            erasure: self.erasure.clone(),
            imports: self.imports.clone(),
            metrics: metrics(),
            settings: args.sweeping(),
        };
        sweeper.spawn(tasks, stop.clone());
        let lease = settings.lease;
        Reverter { store: store(), feed: feed(), lease }.spawn(tasks, stop.clone());
        let imports = self.imports.clone();
        Fetcher { store: store(), imports, feed: feed(), metrics: metrics(), lease }
            .spawn(tasks, stop.clone());
        let (path, settings) = (args.storage.data_dir.join("spool"), args.media_settings());
        MediaFetcher::new(store(), self.objects.clone(), feed(), metrics(), self.guard, &path, settings)
            .map_err(|source| StartError::Folder { path, source })?
            .spawn(tasks, stop.clone());
        Ok(())
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Brings the schema of a database up to date; gives which database it is, for people.
pub async fn migrate(storage: &StorageArgs) -> Result<&'static str, StartError> {
    if !storage.names_postgres() {
        return Err(Contradiction::DatabaseUrl.into());
    }
    make_folder(&storage.data_dir)?;
    let Settings { segments_in_flight, lease, .. } = Settings::default();
    Ok(open_store(storage, segments_in_flight, lease, &Metrics::default()).await?.backend_name())
}

/// Seals every stored object with the first encryption key.
pub async fn reseal(storage: &StorageArgs) -> Result<Resealed, StartError> {
    Ok(open_objects(storage)?.with_keys(read_keys(storage)?).reseal().await?)
}

async fn make_links(
    args: &ServeArgs,
    address: SocketAddr,
    store: &Store,
    objects: Objects,
) -> Result<Links, StartError> {
    let secret = store.link_secret().await.map_err(StartError::Database)?;
    let scheme = if args.tls.certificate.is_some() { "https" } else { "http" };
    let public_url = args.public_url.clone().unwrap_or_else(|| format!("{scheme}://{address}"));
    Ok(Links::new(objects, &secret, &public_url, Duration::from_secs(args.media_link_seconds)))
}

async fn open_store(
    storage: &StorageArgs,
    segments_in_flight: usize,
    lease: Duration,
    metrics: &Metrics,
) -> Result<Store, StartError> {
    let opened = match &storage.database_url {
        None => Store::open_sqlite(&storage.data_dir.join("carryover.db"), metrics.clone()).await,
        Some(url) => {
            // One more commits meanwhile.
            let writers = u32::try_from(segments_in_flight).unwrap_or(u32::MAX).saturating_add(1);
            let wait = Duration::from_secs(storage.database_wait_seconds);
            let deadline = Instant::now() + wait;
            loop {
                let connections = storage.database_connections;
                match Store::open_postgres(url, writers, connections, lease, metrics.clone()).await {
                    Err(error) if error.is_transient() && Instant::now() < deadline => {
                        warn!(error = &error as &dyn std::error::Error, "waiting for the database");
                        tokio::time::sleep(DATABASE_POLL).await;
                    }
                    opened => break opened,
                }
            }
        }
    };
    opened.map_err(StartError::Database)
}

/// Opens the object store, for what is not sealed.
pub(crate) fn open_objects(storage: &StorageArgs) -> Result<Objects, StartError> {
    Ok(match storage.place_of_objects() {
        PlaceOfObjects::Folder(folder) => Objects::open_folder(&folder)?,
        PlaceOfObjects::Url(url) => Objects::open_bucket(url, text_variables())?,
    })
}

/// Reads the encryption keys, where there are any.
pub(crate) fn read_keys(storage: &StorageArgs) -> Result<Keys, StartError> {
    Ok(storage.encryption_keys.as_deref().map(Keys::read).transpose()?.unwrap_or_default())
}

/// Variables of the environment, but those that are no text.
fn text_variables() -> impl Iterator<Item = (String, String)> {
    env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

async fn bootstrap(
    administration: &Administration,
    args: &ServeArgs,
) -> Result<Option<NewAdminKey>, StartError> {
    let given = args.admin_key();
    let made = administration.bootstrap(given).await.map_err(StartError::AdminKey)?;
    let Some(secret) = made.filter(|_| given.is_none()) else { return Ok(None) };
    let path = args.storage.data_dir.join("admin.key");
    let write = |path: &Path| {
        let mut options = fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
        // The mode above is that of a new file only.
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        io::Write::write_all(&mut &file, format!("{secret}\n").as_bytes())
    };
    write(&path).map_err(|source| StartError::Folder { path: path.clone(), source })?;
    Ok(Some(NewAdminKey { secret, path }))
}

/// Makes the data folder.
fn make_folder(path: &Path) -> Result<(), StartError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    // Sources are personal data: nobody else on the machine reads them.
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|source| StartError::Folder { path: path.to_owned(), source })
}
