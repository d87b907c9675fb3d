//! Many processes on one PostgreSQL: they share the segments of one file, hear each other, and do without
//! the dead, the frozen, and a database that goes away.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use carryover::grpc::{
    client::Client,
    pb::{self, ImportStatus, watch_import_response::Event},
};
use sqlx::Connection;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    process::Child,
};

use crate::{
    crash::{assert_same, expected, file},
    harness::{Database, counters, plain_csv},
    processes::{World, carry_on, create, get},
    stored,
};

const FLAGS: &[&str] =
    &["--segment-rows", "20", "--lease-seconds", "1", "--sweep-seconds", "1", "--log", "off"];

/// The same, with leases that no machine is too slow for.
const PATIENT: &[&str] = &["--segment-rows", "20", "--lease-seconds", "3", "--log", "off"];

async fn api(world: &World) -> (Child, Client, String) {
    let (child, address) = world.start(&["--role", "api"], &[]).await.expect("it starts");
    let client = world.client(&address).await.expect("connects");
    (child, client, address)
}

async fn worker(world: &World) -> (Child, String) {
    world.start(&["--role", "worker"], &[]).await.expect("it starts")
}

/// An api process settles nothing, a worker process serves nothing but its health.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_do_what_they_say() {
    let world = World::new(Database::Postgres, FLAGS).await;
    let (_api, client, _) = api(&world).await;
    let id = create(&client, world.spec()).await;
    let csv = plain_csv("r", 0, 100);
    client.upload(&id, 0, std::io::Cursor::new(csv.clone().into_bytes())).await.expect("stored");
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let waiting = get(&client, &id).await.expect("one");
    assert_eq!(
        (waiting.status(), waiting.processed_rows, waiting.total_rows),
        (ImportStatus::Pending, 0, 100)
    );

    let (_worker, address) = worker(&world).await;
    let import = carry_on(&client, &id, csv.as_bytes()).await.expect("it ends");
    assert_eq!((import.status(), counters(&import)), (ImportStatus::Completed, (100, 0, 0)));
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}")).expect("a URL");
    let mut health =
        tonic_health::pb::health_client::HealthClient::new(channel.connect().await.expect("it answers"));
    let check = tonic_health::pb::HealthCheckRequest::default();
    assert_eq!(health.check(check).await.expect("healthy").into_inner().status, 1);
    let refused = match world.client(&address).await {
        Some(client) => get(&client, &id).await.expect_err("it serves no imports").code(),
        None => tonic::Code::Unimplemented,
    };
    assert_eq!(refused, tonic::Code::Unimplemented);
}

/// SQLite belongs to one process, and says so.
#[tokio::test]
async fn roles_need_a_database_that_is_shared() {
    let folder = tempfile::tempdir().expect("a folder");
    for role in ["api", "worker"] {
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_carryover"))
            .args(["serve", "--listen", "127.0.0.1:0", "--role", role, "--data-dir"])
            .arg(folder.path())
            .output()
            .await
            .expect("it runs");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains("--database-url"), "{text}");
    }
}

/// A watcher at one process sees what another does, and goes on at a third with its token.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watchers_see_what_other_processes_do() {
    let world = World::new(Database::Postgres, FLAGS).await;
    let (mut first, client, _) = api(&world).await;
    let (_second, other, _) = api(&world).await;
    let _worker = worker(&world).await;
    let id = create(&client, world.spec()).await;
    let request =
        |token: &str| pb::WatchImportRequest { import_id: id.clone(), resume_token: token.to_owned() };
    let mut watch = client.imports().watch_import(request("")).await.expect("a watch").into_inner();
    let snapshot = watch.message().await.expect("a message").expect("one");
    let token = snapshot.resume_token.clone();

    let file = file();
    let half = file.len() / 2;
    let sent = file[..half].to_vec();
    let _ = other.upload(&id, 0, std::io::Cursor::new(sent)).await;
    loop {
        let message = watch.message().await.expect("a message").expect("not the end");
        if let Some(Event::Import(import)) = message.event
            && import.processed_rows > 0
        {
            break;
        }
    }
    first.kill().await.expect("ends");
    let mut watch = other.imports().watch_import(request(&token)).await.expect("a watch").into_inner();
    let other_again = other.clone();
    let rest = async { carry_on(&other_again, &id, &file).await.expect("it ends") };
    let seen = async {
        let (mut last, mut sequence) = (None, 0);
        while let Some(message) = watch.message().await.expect("a message") {
            if let Some(Event::Import(import)) = message.event {
                assert!(import.sequence > sequence, "forward only");
                sequence = import.sequence;
                last = Some(import);
            }
        }
        last.expect("a state")
    };
    let (import, last) = tokio::join!(rest, seen);
    assert_eq!((last.status(), last.sequence), (ImportStatus::Completed, import.sequence));
}

/// Workers share one file; some of them die, again and again.
async fn workers_may_die(count: usize) {
    let world = World::new(Database::Postgres, FLAGS).await;
    let (_api, client, address) = api(&world).await;
    let mut random = fastrand::Rng::with_seed(count as u64);
    for label in 0..2 {
        let spec = pb::ImportSpec { provider: format!("w{label}"), ..world.spec() };
        let id = create(&client, spec).await;
        let file = file();
        let import = {
            let going_on = carry_on(&client, &id, &file);
            tokio::pin!(going_on);
            let mut workers = Vec::new();
            let mut deaths = 0;
            loop {
                while workers.len() < count {
                    workers.push(worker(&world).await.0);
                }
                let life = Duration::from_millis(random.u64(5..120));
                tokio::select! {
                    import = &mut going_on => break import.expect("it ends"),
                    () = tokio::time::sleep(life), if deaths < 12 => {
                        let mut dead = workers.swap_remove(random.usize(0..workers.len()));
                        dead.kill().await.expect("kill -9");
                        deaths += 1;
                    }
                }
            }
        };
        let (other, spec) = world.neighbour(&address).await;
        let spec = pb::ImportSpec { provider: format!("w{label}"), ..spec };
        let undisturbed = create(&other, spec).await;
        let _worker = worker(&world).await;
        carry_on(&other, &undisturbed, &file).await.expect("it ends");
        assert_same(&world, &import, &undisturbed, &format!("{count} workers, {label}")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_worker_may_die() {
    workers_may_die(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_may_die() {
    workers_may_die(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_workers_may_die() {
    workers_may_die(4).await;
}

/// O014: more of them, fewer, none, and one again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_may_come_and_go() {
    let world = World::new(Database::Postgres, PATIENT).await;
    let (_api, client, _) = api(&world).await;
    let id = create(&client, world.spec()).await;
    let csv = plain_csv("s", 0, 2_000).into_bytes();
    client.upload(&id, 0, std::io::Cursor::new(csv.clone())).await.expect("stored");
    for count in [1, 4, 0, 2, 0] {
        let mut workers = Vec::new();
        for _ in 0..count {
            workers.push(worker(&world).await.0);
        }
        for mut worker in workers {
            signal(&worker, "-TERM");
            assert_eq!(worker.wait().await.expect("it ends").code(), Some(0));
        }
    }
    let _last = worker(&world).await;
    let import = carry_on(&client, &id, &csv).await.expect("it ends");
    assert_eq!((import.status(), counters(&import)), (ImportStatus::Completed, (2_000, 0, 0)));
    let deaths = "SELECT MAX(deaths) AS deaths FROM segments";
    let url = world.database_url.as_deref();
    let row = stored::rows_in(url, world.folder.path(), deaths).await.remove(0);
    assert_eq!(row["deaths"], 0, "who leaves gives back what it held");
}

fn signal(child: &Child, signal: &str) {
    let id = child.id().expect("it runs").to_string();
    let done = std::process::Command::new("kill").args([signal, &id]).status().expect("kill");
    assert!(done.success());
}

/// K009: a worker that is frozen past its lease writes nothing when it wakes up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_worker_is_fenced_out() {
    let world = World::new(Database::Postgres, FLAGS).await;
    let (_api, client, address) = api(&world).await;
    let file = file();
    let id = create(&client, world.spec()).await;
    client.upload(&id, 0, std::io::Cursor::new(file.clone())).await.expect("stored");
    let (frozen, _) = worker(&world).await;
    while get(&client, &id).await.expect("one").processed_rows == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    signal(&frozen, "-STOP");
    let (_second, _) = worker(&world).await;
    let import = carry_on(&client, &id, &file).await.expect("it ends without it");
    signal(&frozen, "-CONT");
    tokio::time::sleep(Duration::from_millis(500)).await;
    let after = get(&client, &id).await.expect("one");
    assert_eq!((after.sequence, counters(&after)), (import.sequence, expected()), "it has changed nothing");
    let (other, spec) = world.neighbour(&address).await;
    let undisturbed = create(&other, spec).await;
    carry_on(&other, &undisturbed, &file).await.expect("it ends");
    assert_same(&world, &after, &undisturbed, "frozen").await;
}

/// The same amid a COPY, which PostgreSQL cancels by no timeout while its sender is silent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_frozen_amid_a_copy_is_fenced_out() {
    let world = World::new(Database::Postgres, FLAGS).await;
    let url = world.database_url.clone().expect("a URL");
    let (_api, client, _) = api(&world).await;
    let id = create(&client, world.spec()).await;
    client.upload(&id, 0, std::io::Cursor::new(file())).await.expect("stored");
    let options: sqlx::postgres::PgConnectOptions = url.parse().expect("a URL");
    let options = options.application_name("carryover");
    let mut frozen = sqlx::PgConnection::connect_with(&options).await.expect("connects");
    sqlx::raw_sql("BEGIN; SELECT * FROM segments FOR UPDATE").execute(&mut frozen).await.expect("locks");
    let silent = frozen.copy_in_raw("COPY user_sessions FROM STDIN").await.expect("begins");
    let (_worker, _) = worker(&world).await;
    let import = carry_on(&client, &id, &file()).await.expect("it ends without it");
    assert_eq!((import.status(), counters(&import)), (ImportStatus::Completed, expected()));
    drop(silent);
}

/// A segment that takes longer than its lease is not taken from a worker that lives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_worker_keeps_its_claim() {
    let world = World::new(Database::Postgres, PATIENT).await;
    let url = world.database_url.clone().expect("a URL");
    let slow = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF NEW.external_id = 'c30' THEN PERFORM pg_sleep(4); END IF; RETURN NEW; END $$; \
         CREATE TRIGGER slow BEFORE INSERT ON user_sessions FOR EACH ROW EXECUTE FUNCTION slow();";
    let mut connection = sqlx::PgConnection::connect(&url).await.expect("connects");
    sqlx::raw_sql(slow).execute(&mut connection).await.expect("runs");
    let (_api, client, _) = api(&world).await;
    let _workers = (worker(&world).await, worker(&world).await);
    let id = create(&client, world.spec()).await;
    let import = carry_on(&client, &id, &file()).await.expect("it ends");
    assert_eq!(counters(&import), expected());
    let attempts = "SELECT MAX(attempts) AS most, MAX(deaths) AS deaths FROM segments";
    let row = stored::rows_in(Some(&url), world.folder.path(), attempts).await.remove(0);
    assert_eq!((&row["most"], &row["deaths"]), (&1.into(), &0.into()));
}

/// What a proxy does with the connections of a worker to its database.
pub const PASS: u8 = 0;
/// All end, and new ones are refused.
pub const CUT: u8 = 1;
/// The next COMMIT goes through, and its answer does not.
const SWALLOW_COMMIT: u8 = 2;
/// Each packet takes its time.
pub const SLOW: u8 = 3;

pub struct Proxy {
    pub port: u16,
    mode: Arc<AtomicU8>,
}

impl Proxy {
    pub async fn new(target: &url::Url) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let mode = Arc::new(AtomicU8::new(PASS));
        let target = format!("{}:{}", target.host_str().expect("a host"), target.port().expect("a port"));
        let shared = mode.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if shared.load(Ordering::SeqCst) != CUT {
                    tokio::spawn(pass(client, target.clone(), shared.clone()));
                }
            }
        });
        Self { port, mode }
    }

    pub fn set(&self, mode: u8) {
        self.mode.store(mode, Ordering::SeqCst);
    }
}

async fn pass(mut client: TcpStream, target: String, mode: Arc<AtomicU8>) -> Option<()> {
    let mut server = TcpStream::connect(target).await.ok()?;
    let (mut from_client, mut from_server) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => {
                let read = read.ok().filter(|read| *read > 0)?;
                if mode.load(Ordering::SeqCst) == SLOW {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                server.write_all(&from_client[..read]).await.ok()?;
                let is_commit = from_client[..read].windows(6).any(|word| word == b"COMMIT");
                if is_commit && mode.compare_exchange(SWALLOW_COMMIT, PASS, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    return None;
                }
            }
            read = server.read(&mut from_server) => {
                let read = read.ok().filter(|read| *read > 0)?;
                client.write_all(&from_server[..read]).await.ok()?;
            }
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
        }
        if mode.load(Ordering::SeqCst) == CUT {
            return None;
        }
    }
}

/// J003, J004: connections end in the middle, and the answer to a COMMIT gets lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_network_to_the_database_may_be_cut() {
    let world = World::new(Database::Postgres, FLAGS).await;
    let url = world.database_url.clone().expect("a URL");
    let mut through_proxy = url::Url::parse(&url).expect("a URL");
    let proxy = Proxy::new(&through_proxy).await;
    through_proxy.set_port(Some(proxy.port)).expect("a port");
    let (_api, client, address) = api(&world).await;
    let flags = ["--role", "worker", "--database-url", through_proxy.as_str()];
    let (_worker, _) = world.start(&flags, &[]).await.expect("it starts");
    let file = file();
    for round in 0..4 {
        let provider = format!("n{round}");
        let id = create(&client, pb::ImportSpec { provider: provider.clone(), ..world.spec() }).await;
        let import = {
            let going_on = carry_on(&client, &id, &file);
            tokio::pin!(going_on);
            let mut faults = 0;
            loop {
                tokio::select! {
                    import = &mut going_on => break import.expect("it ends"),
                    () = tokio::time::sleep(Duration::from_millis(30)), if faults < 6 => {
                        faults += 1;
                        if round % 2 == 0 {
                            proxy.set(SWALLOW_COMMIT);
                        } else {
                            proxy.set(CUT);
                            tokio::time::sleep(Duration::from_millis(200)).await;
                            proxy.set(PASS);
                        }
                    }
                }
            }
        };
        proxy.set(PASS);
        let (other, spec) = world.neighbour(&address).await;
        let undisturbed = create(&other, pb::ImportSpec { provider: provider.clone(), ..spec }).await;
        carry_on(&other, &undisturbed, &file).await.expect("it ends");
        assert_same(&world, &import, &undisturbed, &provider).await;
    }
}

/// All connections of all processes are ended by the database, again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_may_end_every_connection() {
    let world = World::new(Database::Postgres, FLAGS).await;
    let url = world.database_url.clone().expect("a URL");
    let (_process, address) = world.start(&[], &[]).await.expect("it starts");
    let client = world.client(&address).await.expect("connects");
    let file = file();
    let id = create(&client, world.spec()).await;
    client.upload(&id, 0, std::io::Cursor::new(file.clone())).await.expect("stored");
    let mut connection = sqlx::PgConnection::connect(&url).await.expect("connects");
    for _ in 0..10 {
        let end = "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()";
        sqlx::query(end).execute(&mut connection).await.expect("ended");
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    // Calls of our own may have hit a connection that was ended, and say that they can be tried again.
    let import = loop {
        match carry_on(&client, &id, &file).await {
            Ok(import) => break import,
            Err(status) => assert_eq!(status.code(), tonic::Code::Unavailable, "{status:?}"),
        }
    };
    let (other, spec) = world.neighbour(&address).await;
    let undisturbed = create(&other, spec).await;
    carry_on(&other, &undisturbed, &file).await.expect("it ends");
    assert_same(&world, &import, &undisturbed, "terminated").await;
}
