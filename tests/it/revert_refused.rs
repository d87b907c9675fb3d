//! Reverts that the database stands in the way of, and those that others wait for.

use carryover::grpc::pb::{self, ImportStatus, OnExisting};

use crate::{
    harness::{Database, Server, plain_csv},
    on_both_databases,
    revert::{begin, operator, records, revert},
    stored,
};

on_both_databases!(
    what_cannot_be_taken_back_is_counted_alone_and_tried_again,
    a_revert_that_waits_is_waited_for_in_its_application_alone,
    a_large_revert_lets_a_small_one_pass,
    what_has_nothing_to_go_back_to_is_deleted_a_part_at_a_time,
);

/// Has the database refuse to delete records with these keys, in a list as SQL writes it.
async fn refuse(server: &Server, keys: &str) {
    let refuse = match server.database {
        Database::Postgres => format!(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             IF OLD.external_id IN ({keys}) THEN RAISE 'no'; END IF; RETURN OLD; END $$; \
             CREATE TRIGGER refuse BEFORE DELETE ON user_sessions FOR EACH ROW EXECUTE FUNCTION refuse();"
        ),
        Database::Sqlite => format!(
            "CREATE TRIGGER refuse BEFORE DELETE ON user_sessions WHEN OLD.external_id IN ({keys}) \
             BEGIN SELECT RAISE(ABORT, 'no'); END;"
        ),
    };
    server.sql(&refuse).await;
}

async fn refuse_no_more(server: &Server) {
    server
        .sql(match server.database {
            Database::Postgres => "DROP TRIGGER refuse ON user_sessions",
            Database::Sqlite => "DROP TRIGGER refuse",
        })
        .await;
}

/// Records that the database will not have taken back are told while they are tried, and counted when they are
/// gone past; of all others nothing is left. Once it will, they are taken back, too.
async fn what_cannot_be_taken_back_is_counted_alone_and_tried_again(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "5"]).await;
    let tenant = server.tenant().await;
    let operator = operator(&server, &tenant).await;
    tenant.import(plain_csv("f", 0, 10)).await;
    let before = records(&server, &tenant, "user_sessions").await;
    let update = pb::ImportSpec { on_existing: OnExisting::Update as i32, ..tenant.spec() };
    let import = tenant.import_as(update, plain_csv("f", 5, 15)).await.expect("an import");
    assert_eq!((import.created_count, import.updated_count), (10, 5));
    refuse(&server, "'f7', 'f13'").await;
    begin(&operator, &import.uuid).await.expect("it begins");
    let seen = tenant.watch(&import.uuid).await;
    assert!(seen.iter().any(|state| state.waiting_reason() == "DATABASE_REFUSED"), "told while it lasts");
    assert!(seen.iter().all(|state| state.eta_seconds.is_none()), "nothing is left to settle");
    let ended = seen.last().expect("a state");
    assert_eq!((ended.status(), ended.waiting_reason.as_deref()), (ImportStatus::Reverted, None));
    let buckets = (ended.reverted_count, ended.revert_kept_count, ended.revert_failed_count);
    assert_eq!(buckets, (13, 0, 2));
    assert_eq!(tenant.sessions(Default::default()).await.len(), 11);

    refuse_no_more(&server).await;
    assert_eq!(revert(&operator, &import.uuid).await, (15, 0, 0), "what failed is tried again");
    assert_eq!(records(&server, &tenant, "user_sessions").await, before);
    let done = tenant.get(&import.uuid).await;
    let again = begin(&operator, &import.uuid).await.expect("the same");
    assert_eq!((again.status(), again.sequence), (ImportStatus::Reverted, done.sequence), "nothing is left");
}

/// A revert that waits lets those of other applications pass, and none of its own.
async fn a_revert_that_waits_is_waited_for_in_its_application_alone(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "5"]).await;
    let (tenant, other) = (server.tenant().await, server.tenant().await);
    let request = pb::UpdateApplicationRequest {
        application_id: tenant.application.clone(),
        max_active_imports: Some(5),
        ..Default::default()
    };
    server.admin.admin().update_application(request).await.expect("updated");
    let (boss, other_boss) = (operator(&server, &tenant).await, operator(&server, &other).await);
    let older = tenant.import(plain_csv("old", 0, 5)).await.uuid;
    let newer = tenant.import(plain_csv("new", 0, 5)).await.uuid;
    let small = other.import(plain_csv("s", 0, 5)).await.uuid;
    refuse(&server, "'new3'").await;
    begin(&boss, &newer).await.expect("it begins");
    while tenant.get(&newer).await.waiting_reason() != "DATABASE_REFUSED" {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    begin(&boss, &older).await.expect("it begins");
    assert_eq!(revert(&other_boss, &small).await, (5, 0, 0));
    let (waiting, behind) = (tenant.get(&newer).await, tenant.get(&older).await);
    assert_eq!((waiting.status(), waiting.reverted_count), (ImportStatus::Reverting, 0), "it waits still");
    assert_eq!((behind.status(), behind.reverted_count), (ImportStatus::Reverting, 0), "and is waited for");
    refuse_no_more(&server).await;
    assert_eq!(revert(&boss, &newer).await, (5, 0, 0));
    assert_eq!(revert(&boss, &older).await, (5, 0, 0));
    let time = async |id: &str| tenant.get(id).await.reverted_at.map(|at| (at.seconds, at.nanos));
    assert!(time(&newer).await <= time(&older).await, "one after the other");
}

async fn a_large_revert_lets_a_small_one_pass(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "1"]).await;
    let (tenant, other) = (server.tenant().await, server.tenant().await);
    let (boss, other_boss) = (operator(&server, &tenant).await, operator(&server, &other).await);
    let large = tenant.import(plain_csv("l", 0, 500)).await.uuid;
    let small = other.import(plain_csv("s", 0, 3)).await.uuid;
    begin(&boss, &large).await.expect("it begins");
    while tenant.get(&large).await.reverted_count == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(revert(&other_boss, &small).await, (3, 0, 0));
    assert_eq!(tenant.get(&large).await.status(), ImportStatus::Reverting, "it is still at it");
    assert_eq!(revert(&boss, &large).await, (500, 0, 0));
}

/// More records than one step goes over, among them some that an import changed whose own import is gone.
async fn what_has_nothing_to_go_back_to_is_deleted_a_part_at_a_time(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let operator = operator(&server, &tenant).await;
    let count = async || {
        let sql = "SELECT COUNT(*) FROM user_sessions";
        stored::texts(&server, sql).await.remove(0)
    };
    let first = tenant.import(plain_csv("x", 0, 50)).await.uuid;
    tenant.import(plain_csv("other", 0, 20_500)).await;
    let update = pb::ImportSpec { on_existing: OnExisting::Update as i32, ..tenant.spec() };
    let second = tenant.import_as(update, plain_csv("x", 0, 50)).await.expect("an import").uuid;
    assert_eq!(revert(&operator, &first).await, (0, 50, 0), "they are the second's");
    refuse(&server, "'x7'").await;
    assert_eq!(revert(&operator, &second).await, (49, 0, 1));
    assert_eq!(count().await, "20501");
    refuse_no_more(&server).await;
    assert_eq!(revert(&operator, &second).await, (50, 0, 0));
    assert_eq!(count().await, "20500", "those of others stay");
}
