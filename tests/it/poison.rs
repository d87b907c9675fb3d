//! A row that kills its worker, makes a stage panic, or that the database refuses: found, failed, and
//! everybody else's rows are settled.

use carryover::grpc::pb::{self, ImportStatus, IssueCode};

use crate::{
    harness::{Database, Server, codes, counters, plain_csv},
    processes::{World, carry_on, create, get},
};

const FLAGS: &[&str] = &["--segment-rows", "16", "--lease-seconds", "1", "--log", "off"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_a_row_that_kills_its_worker_fails_alone() {
    a_row_that_kills_its_worker_fails_alone(Database::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_a_row_that_kills_its_worker_fails_alone() {
    a_row_that_kills_its_worker_fails_alone(Database::Postgres).await;
}

/// Whoever runs the service starts it again whenever it dies; the import comes to its end all the same.
async fn a_row_that_kills_its_worker_fails_alone(database: Database) {
    let world = World::new(database, FLAGS).await;
    let file = plain_csv("k", 0, 100).into_bytes();
    let poison = [("CARRYOVER_POISON", "abort:k37")];
    let mut id = None;
    let mut deaths = 0;
    let import = loop {
        assert!(deaths < 40, "it comes to an end");
        deaths += 1;
        let Some((mut child, address)) = world.start(&[], &poison).await else { continue };
        let Some(client) = world.client(&address).await else { continue };
        if id.is_none() {
            id = Some(create(&client, world.spec()).await);
        }
        let Some(id) = &id else { continue };
        let ended = tokio::select! {
            _ = child.wait() => None,
            ended = carry_on(&client, id, &file) => ended.ok(),
        };
        if let Some(import) = ended {
            let request = pb::ListRowErrorsRequest { import_id: id.clone(), ..Default::default() };
            let errors =
                client.imports().list_row_errors(request).await.expect("a list").into_inner().row_errors;
            assert_eq!(errors.len(), 1);
            assert_eq!((errors[0].row_number, codes(&errors[0])), (38, vec![IssueCode::Unprocessable]));
            assert!(get(&client, id).await.is_ok(), "the server lives");
            child.kill().await.expect("ends");
            break import;
        }
        let _ = child.kill().await;
    };
    assert_eq!(
        (import.status(), counters(&import)),
        (ImportStatus::Completed, (99, 0, 1)),
        "{deaths} deaths"
    );
    // Three to be suspected, one for each halving of sixteen rows that was to blame, three alone.
    assert!((7..=12).contains(&deaths), "{deaths} deaths");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_makes_a_stage_panic_fails_alone() {
    for database in [Database::Sqlite, Database::Postgres] {
        let world = World::new(database, FLAGS).await;
        let poison = [("CARRYOVER_POISON", "panic:k37")];
        let (mut child, address) = world.start(&[], &poison).await.expect("it starts");
        let client = world.client(&address).await.expect("connects");
        let id = create(&client, world.spec()).await;
        let import = carry_on(&client, &id, plain_csv("k", 0, 100).as_bytes()).await.expect("it lives");
        assert_eq!((import.status(), counters(&import)), (ImportStatus::Completed, (99, 0, 1)));
        child.kill().await.expect("ends");
    }
}

/// I013: a row that breaks a constraint of the database is told, and no other fails with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_the_database_refuses_fail_alone() {
    let server = Server::start_with(Database::Postgres, &["--segment-rows", "100"]).await;
    server
        .sql("ALTER TABLE user_sessions ADD CONSTRAINT odd CHECK (external_id NOT IN ('k3', 'k50', 'k99', 'k240'))")
        .await;
    for dry_run in [true, false] {
        let tenant = server.tenant().await;
        let spec = pb::ImportSpec { dry_run, ..tenant.spec() };
        let import = tenant.import_as(spec, plain_csv("k", 0, 300)).await.expect("an import");
        if dry_run {
            // It writes no record, and so cannot know what the table would say of one.
            assert_eq!(counters(&import), (300, 0, 0));
            continue;
        }
        assert_eq!((import.status(), counters(&import)), (ImportStatus::Completed, (296, 0, 4)));
        let errors = tenant.row_errors(&import.uuid).await;
        let told: Vec<_> = errors.iter().map(|error| (error.row_number, codes(error))).collect();
        let unprocessable = |row| (row, vec![IssueCode::Unprocessable]);
        assert_eq!(told, [4, 51, 100, 241].map(unprocessable));
        assert!(!errors.iter().any(|error| error.error.contains("odd")), "no word of the database");
        assert_eq!(tenant.sessions(Default::default()).await.len(), 296);
    }
}
