//! `carryover demo`, which nothing around it may bend.

use crate::{
    harness::{Database, Server, new_database},
    on_both_databases,
    shell::Shell,
};

on_both_databases!(it_shows_the_whole_way_again_and_again, it_shows_records_of_each_type);

async fn it_shows_the_whole_way_again_and_again(database: Database) {
    let server = Server::start(database).await;
    let shell = Shell::new(&server, &server.admin_key);
    // What is set for a real server is not the demo's: an address for all to reach, a tiny limit.
    let real = [
        ("CARRYOVER_LISTEN", "0.0.0.0:1"),
        ("CARRYOVER_MAX_ROWS", "1"),
        ("CARRYOVER_DATABASE_URL", "postgres://nobody@127.0.0.1:1/none"),
        ("CARRYOVER_DATA_DIR", "/nowhere"),
    ];
    let mut arguments = vec!["demo", "--rows", "1000"];
    // One where nobody else is at work: its segments would be out of another's reach.
    let url = new_database().await;
    let of_database: Vec<&str> = match &server.database_url {
        Some(_) => vec!["--database-url", &url, "--admin-key", &server.admin_key],
        None => vec![],
    };
    arguments.extend(of_database);
    for run in ["first", "second"] {
        let output = shell.run_with(&arguments, &real).await;
        let shown = String::from_utf8_lossy(&output.stdout);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{run}: {shown}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(shown.contains("listens on 127.0.0.1:"), "{run}: {shown}");
        assert!(!shown.contains("carryover errors"), "its server is gone: {run}: {shown}");
        assert!(shown.contains("each is the one it was made for"), "{run}: {shown}");
    }
    if server.database_url.is_some() {
        let output = shell.run_with(&["demo", "--rows", "10", "--database-url", &url], &real).await;
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains("--admin-key"), "{error}");
    }
}

async fn it_shows_records_of_each_type(database: Database) {
    let server = Server::start(database).await;
    let shell = Shell::new(&server, &server.admin_key);
    for import_type in ["business_verification", "transactions", "status_rules"] {
        let mut arguments = vec!["demo", "--rows", "300", "--format", "ndjson", "--type", import_type];
        // One where nobody else is at work: its segments would be out of another's reach.
        let url = new_database().await;
        if server.database_url.is_some() {
            arguments.extend(["--database-url", &url, "--admin-key", &server.admin_key]);
        }
        let shown = shell.out(&arguments, 0).await;
        assert!(shown.contains("each is the one it was made for"), "{import_type}: {shown}");
    }
}
