//! Which service is ready while something it stands on is away, and what the doctor says of it.

use sqlx::Connection;
use tonic::transport::Channel;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::{
    certificates::Authority,
    harness::{ADMIN_KEY, Database, Server, new_database},
    metrics, on_both_databases,
    shell::Shell,
    waits::eventually,
};

on_both_databases!(the_doctor_tells_what_is_added_from_what_is_taken_away);

const IMPORTS: &str = "carryover.v1.ImportService";
const SESSIONS: &str = "carryover.v1.SessionService";

struct Health(HealthClient<Channel>);

impl Health {
    async fn of(server: &Server) -> Self {
        let endpoint = Channel::from_shared(server.address()).expect("an address");
        Self(HealthClient::new(endpoint.connect().await.expect("connects")))
    }

    async fn check(&mut self, service: &str) -> ServingStatus {
        let request = HealthCheckRequest { service: service.to_owned() };
        self.0.check(request).await.expect(service).into_inner().status()
    }

    /// Waits for the status of a service, as it is told by a watch.
    async fn until(&mut self, service: &str, wanted: ServingStatus) {
        let request = HealthCheckRequest { service: service.to_owned() };
        let mut watch = self.0.watch(request).await.expect(service).into_inner();
        while watch.message().await.expect(service).expect("it goes on").status() != wanted {}
    }
}

use ServingStatus::{NotServing, Serving};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stores_nothing_serves_without_the_object_store() {
    let server = Server::start(Database::Sqlite).await;
    let mut health = Health::of(&server).await;
    for service in ["", "readiness", IMPORTS, SESSIONS] {
        assert_eq!(health.check(service).await, Serving, "{service}");
    }
    std::fs::rename(server.path("objects"), server.path("elsewhere")).expect("moved");
    health.until(IMPORTS, NotServing).await;
    assert_eq!(health.check("readiness").await, NotServing);
    assert_eq!(health.check(SESSIONS).await, Serving, "it reads the database alone");
    assert_eq!(health.check("").await, Serving, "a restart would not help");
    std::fs::rename(server.path("elsewhere"), server.path("objects")).expect("moved back");
    health.until(IMPORTS, Serving).await;
    assert_eq!(health.check("readiness").await, Serving);
}

/// Where there is TLS, Kubernetes asks the port of metrics.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_that_speak_no_grpc_are_answered() {
    let server = Server::start_with(Database::Sqlite, &["--metrics-listen", "127.0.0.1:0"]).await;
    let status = async |path: &str| {
        let answer = metrics::ask(&server, "GET", path).await;
        answer.split(' ').nth(1).expect("a status").to_owned()
    };
    assert_eq!((status("/livez").await, status("/readyz").await), ("200".into(), "200".into()));
    std::fs::rename(server.path("objects"), server.path("elsewhere")).expect("moved");
    eventually("not ready", async || (status("/readyz").await == "503").then_some(())).await;
    assert_eq!(status("/livez").await, "200", "a restart would not help");
    std::fs::rename(server.path("elsewhere"), server.path("objects")).expect("moved back");
    eventually("ready", async || (status("/readyz").await == "200").then_some(())).await;
    assert!(metrics::ask(&server, "POST", "/readyz").await.starts_with("HTTP/1.1 405 "));
}

/// O009.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_serves_without_the_database_and_the_server_lives() {
    let server = Server::start(Database::Postgres).await;
    let mut health = Health::of(&server).await;
    health.until(SESSIONS, Serving).await;
    let url = url::Url::parse(server.database_url.as_deref().expect("a URL")).expect("a URL");
    let name = url.path().trim_start_matches('/').to_owned();
    let mut other = url.clone();
    other.set_path("postgres");
    let mut connection = sqlx::PgConnection::connect(other.as_str()).await.expect("connects");
    // One after the other: whoever comes back before the first is committed would stay.
    for away in [
        format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"),
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"),
    ] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(away)).execute(&mut connection).await.expect("runs");
    }
    health.until(SESSIONS, NotServing).await;
    assert_eq!(health.check(IMPORTS).await, NotServing);
    assert_eq!(health.check("readiness").await, NotServing);
    assert_eq!(health.check("").await, Serving, "a restart would not help");
    let back = format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true");
    sqlx::raw_sql(sqlx::AssertSqlSafe(back)).execute(&mut connection).await.expect("runs");
    health.until(IMPORTS, Serving).await;
    server.tenant().await.create().await;
}

/// A server in a folder of a shell's; the doctor is asked about another one in the same place.
async fn shell() -> (Server, Shell) {
    let server = Server::start(Database::Sqlite).await;
    let shell = Shell::new(&server, ADMIN_KEY);
    (server, shell)
}

fn line<'a>(said: &'a str, check: &str) -> &'a str {
    let of = |line: &&str| line.get(6..).is_some_and(|rest| rest.starts_with(check));
    said.lines().find(of).unwrap_or_else(|| panic!("nothing about {check} in\n{said}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_finds_nothing_where_a_server_would_run() {
    let (server, shell) = shell().await;
    let said = shell.out(&["doctor", "--listen", "127.0.0.1:0", "--data-dir", "new"], 0).await;
    for check in ["config", "address", "database", "object store"] {
        assert!(line(&said, check).starts_with("ok "), "{said}");
    }
    assert!(!shell.path("new").exists(), "it makes nothing");
    let flags = ["doctor", "--listen", "127.0.0.1:0", "--data-dir", "new", "--metrics-listen"];
    let surprising = ["--max-connections", "10"];
    let running = server.app.address.to_string();
    let said = shell.out(&[&flags[..], &[&running], &surprising].concat(), 0).await;
    assert!(
        line(&said, "config").starts_with("warn") && said.contains("--max-connections-per-peer"),
        "{said}"
    );
    assert!(line(&said, "metrics").starts_with("warn") && said.contains("in use"), "{said}");
    // Beside a server that runs.
    let (folder, listen) = (server.path(""), server.app.address.to_string());
    let data_dir = folder.to_str().expect("a path");
    let said = shell.out(&["doctor", "--listen", &listen, "--data-dir", data_dir], 0).await;
    assert!(line(&said, "address").starts_with("warn"), "{said}");
    assert!(line(&said, "database").contains("the schema is this version's"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_says_what_is_wrong_with_a_database() {
    const SECRET: &str = "S3CRET-MARKER";
    let server = Server::start(Database::Postgres).await;
    let shell = Shell::new(&server, ADMIN_KEY);
    let listen = ["--listen", "127.0.0.1:0"];
    let ask = |url: String, code| {
        let shell = &shell;
        async move { shell.out(&[&["doctor", "--database-url", &url][..], &listen].concat(), code).await }
    };
    let url = server.database_url.clone().expect("a URL");
    assert!(line(&ask(url.clone(), 0).await, "database").contains("the schema is this version's"));
    let empty = new_database().await;
    assert!(line(&ask(empty, 0).await, "database").contains("empty"));
    server
        .sql("DELETE FROM seaql_migrations WHERE version = (SELECT MAX(version) FROM seaql_migrations)")
        .await;
    let said = ask(url.clone(), 0).await;
    assert!(line(&said, "database").starts_with("warn") && said.contains("1 migrations behind"), "{said}");
    server.sql("INSERT INTO seaql_migrations VALUES ('m9999_of_tomorrow', 0)").await;
    let said = ask(url, 1).await;
    assert!(line(&said, "database").starts_with("FAIL") && said.contains("m9999_of_tomorrow"), "{said}");
    for (url, words) in [
        (format!("postgres://u:{SECRET}@127.0.0.1:1/x"), "refused"),
        (format!("mysql://u:{SECRET}@127.0.0.1:1/x"), "postgres://"),
    ] {
        let said = ask(url, 1).await;
        assert!(said.contains("FAIL") && said.contains(words) && !said.contains(SECRET), "{said}");
    }
}

/// What `serve` takes after a rollback is no reason to go back to a backup.
async fn the_doctor_tells_what_is_added_from_what_is_taken_away(database: Database) {
    let server = Server::start(database).await;
    let shell = Shell::new(&server, ADMIN_KEY);
    let folder = server.path("");
    let mut doctor =
        vec!["doctor", "--listen", "127.0.0.1:0", "--data-dir", folder.to_str().expect("a path")];
    if let Some(url) = &server.database_url {
        doctor.extend(["--database-url", url]);
    }
    for (later, code, word) in [("m9998_later", 0, "warn"), ("m9999_contract_names", 1, "FAIL")] {
        server
            .sql(&format!("INSERT INTO seaql_migrations (version, applied_at) VALUES ('{later}', 0)"))
            .await;
        let said = shell.out(&doctor, code).await;
        let told = line(&said, "database");
        assert!(told.starts_with(word) && told.contains(later), "{said}");
        assert_eq!(said.contains("backup"), code == 1, "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_cannot_be_written_is_told() {
    let (_server, shell) = shell().await;
    let flags =
        ["--listen", "127.0.0.1:0", "--data-dir", "new", "--object-store", "file:///dev/null/objects"];
    let said = shell.out(&[&["doctor"][..], &flags].concat(), 1).await;
    assert!(line(&said, "object store").starts_with("FAIL"), "{said}");
    let url = format!("file://{}", shell.path("unmounted").display());
    let said = shell.out(&["doctor", "--listen", "127.0.0.1:0", "--object-store", &url], 0).await;
    assert!(line(&said, "object store").starts_with("warn") && said.contains("not mounted"), "{said}");
    assert!(!shell.path("unmounted").exists(), "where a disk is missing, that stays to be seen");
    let output = shell.run(&[&["serve"][..], &flags].concat()).await;
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("object store"), "{error}");
}

/// A database file that is none, and a certificate that clients turn away from.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_tells_what_is_spoilt() {
    let (_server, shell) = shell().await;
    let authority = Authority::new();
    let expired = authority.server_until("expired", 2020);
    std::fs::create_dir(shell.path("spoilt")).expect("made");
    std::fs::write(
        shell.path("spoilt/carryover.db"),
        "no database, but long enough to be looked at".repeat(99),
    )
    .expect("written");
    let flags = ["doctor", "--listen", "127.0.0.1:0", "--data-dir", "spoilt"];
    let said = shell.out(&[&flags[..], &expired.flags()].concat(), 1).await;
    let of_database = line(&said, "database");
    assert!(of_database.starts_with("FAIL") && of_database.contains("spoilt/carryover.db"), "{said}");
    assert!(said.contains("backup") && !said.contains("--database-url"), "{said}");
    let config = line(&said, "config");
    assert!(config.starts_with("FAIL") && config.contains("has expired"), "{said}");
}

/// A key that is not there, and name servers that do not answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_names_files_and_servers() {
    let (_server, shell) = shell().await;
    std::fs::write(shell.path("cert.pem"), "no certificate").expect("written");
    let said = shell
        .out(
            &[
                "doctor",
                "--listen",
                "127.0.0.1:0",
                "--data-dir",
                "new",
                "--tls-cert",
                "cert.pem",
                "--tls-key",
                "none.pem",
                "--fetch-dns",
                "127.0.0.1:1",
                "--fetch-connect-seconds",
                "1",
            ],
            1,
        )
        .await;
    assert!(line(&said, "config").contains("none.pem"), "{said}");
    assert!(line(&said, "name servers").starts_with("warn"), "{said}");
}
