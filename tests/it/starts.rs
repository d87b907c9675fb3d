//! Starts that come to nothing: addresses that cannot be had, and databases that cannot be used (P004 and P007 of the
//! security cases). Each ends at once, and says in one line what is wrong.

use std::os::unix::fs::MetadataExt;

use carryover::{
    app,
    grpc::{client::Client, pb},
};
use sqlx::Connection;

use crate::{
    configuration::Folder,
    harness::{ADMIN_KEY, Database, Server, flags_of, new_database, plain_csv},
};

/// Runs a command that is to fail, and gives its last line.
async fn last_words(arguments: &[&str]) -> String {
    let folder = Folder::new();
    let complaints = folder.complaints(&[arguments, &["--data-dir", "d"]].concat(), &[], 1).await;
    complaints.last().expect("a line").clone()
}

#[tokio::test]
async fn an_address_that_cannot_be_had_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("an address").to_string();
    // 192.0.2.1 is nobody's, as 127.0.0.1 is on a host that has no IPv4.
    for (address, words) in
        [(taken.as_str(), "in use"), ("192.0.2.1:50051", "Cannot assign requested address")]
    {
        let free = ["serve", "--listen", "127.0.0.1:0", "--metrics-listen", address];
        for arguments in [&["serve", "--listen", address, "--insecure-listen"][..], &free] {
            let said = last_words(arguments).await;
            assert!(said.contains(&format!("listen on {address}")) && said.contains(words), "{said}");
        }
    }
}

/// P004: ports below this are the system's, for everybody but root.
#[tokio::test]
async fn a_privileged_port_is_refused_to_others() {
    let first =
        std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").expect("Linux tells");
    let port = first.trim().parse::<u16>().expect("a number").saturating_sub(1);
    let listen = format!("127.0.0.1:{port}");
    let serve = ["serve", "--listen", &listen, "--data-dir", "/nowhere"];
    let mut command = std::process::Command::new("setpriv");
    if std::fs::metadata("/proc/self").expect("Linux tells").uid() == 0 {
        command.args(["--bounding-set=-all", "--inh-caps=-all", "--reuid=65534", "--clear-groups"]);
    }
    command.arg("--no-new-privs").arg(env!("CARGO_BIN_EXE_carryover")).args(serve).env_clear();
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("listen on {listen}")) && said.contains("Permission denied"), "{said}");
}

/// P004: a host may have no other address.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_of_ipv6_are_listened_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let data_dir = folder.path().to_str().expect("a path");
    let flags = ["--listen", "[::1]:0", "--data-dir", data_dir, "--admin-key", ADMIN_KEY];
    let app = app::start(&flags_of(&flags)).await.expect("it starts");
    assert!(app.address.is_ipv6(), "{}", app.address);
    let client = Client::connect(&app.address.to_string(), ADMIN_KEY).await.expect("connects");
    let request = pb::ListApplicationsRequest::default();
    client.admin().list_applications(request).await.expect("answered");
}

/// Runs statements on a database.
async fn sql(url: &str, statements: &[&str]) {
    let mut connection = sqlx::PgConnection::connect(url).await.expect("connects");
    for statement in statements {
        sqlx::query(sqlx::AssertSqlSafe((*statement).to_owned()))
            .execute(&mut connection)
            .await
            .expect("runs");
    }
}

#[tokio::test]
async fn a_database_that_cannot_be_used_is_told() {
    let url = new_database().await;
    let with = |change: &dyn Fn(&mut url::Url)| {
        let mut url = url::Url::parse(&url).expect("a URL");
        change(&mut url);
        url.to_string()
    };
    let name = format!("r{}", uuid::Uuid::new_v4().simple());
    let create = format!("CREATE ROLE {name} LOGIN");
    sql(&url, &[&create, "REVOKE CREATE ON SCHEMA public FROM PUBLIC"]).await;
    let missing = with(&|url| url.set_path("/no_such_database"));
    let unknown = with(&|url| url.set_username("no_such_role").expect("a name"));
    let powerless = with(&|url| url.set_username(&name).expect("a name"));
    for (url, words) in [
        (missing.as_str(), "database \"no_such_database\" does not exist"),
        (&unknown, "no_such_role"),
        (&powerless, "permission denied for schema public"),
        ("mysql://u:S3CRET-MARKER@127.0.0.1/d", "must begin with postgres://"),
        ("/var/lib/carryover.db", "must begin with postgres://"),
    ] {
        for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["migrate"]] {
            let said = last_words(&[command, &["--database-url", url]].concat()).await;
            assert!(said.contains(words) && !said.contains("S3CRET"), "{command:?} {url}: {said}");
        }
    }
    sql(&url, &[&format!("DROP ROLE {name}")]).await;
}

/// Only `migrate` needs a role that may make tables.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_of_rows_alone_serves_where_the_schema_is_made() {
    let mut server = Server::start(Database::Postgres).await;
    let name = format!("r{}", uuid::Uuid::new_v4().simple());
    let mut url = url::Url::parse(server.database_url.as_ref().expect("a URL")).expect("a URL");
    for grant in [
        format!("CREATE ROLE {name} LOGIN"),
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC".to_owned(),
        format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {name}"),
    ] {
        server.sql(&grant).await;
    }
    url.set_username(&name).expect("a name");
    server.database_url = Some(url.to_string());
    let server = server.restart(&[]).await;
    let tenant = server.tenant().await;
    let import = tenant.import(plain_csv("a", 0, 5)).await;
    assert_eq!((import.status(), import.created_count), (pb::ImportStatus::Completed, 5));

    let missing = "DELETE FROM seaql_migrations WHERE version = (SELECT MAX(version) FROM seaql_migrations)";
    server.sql(missing).await;
    let said = last_words(&["serve", "--listen", "127.0.0.1:0", "--database-url", url.as_str()]).await;
    assert!(said.contains("permission denied") || said.contains("must be owner"), "{said}");
}
