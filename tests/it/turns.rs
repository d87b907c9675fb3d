//! Whose turn it is among applications whose segments wait.

use carryover::grpc::pb;

use crate::{
    control::{pause, resume_import},
    harness::{Database, Server, Tenant, chunks, counters, finish, plain_csv, resume},
    on_both_databases, stored as tables,
    waits::eventually,
};

on_both_databases!(a_small_import_does_not_wait_for_a_large_one);

const SEGMENT_ROWS: i64 = 10;
const LARGE: usize = 3_000;
const SMALL: usize = 30;

/// An import whose rows are all there and wait.
async fn waiting(tenant: &Tenant, rows: usize) -> String {
    let id = tenant.create().await.uuid;
    pause(&tenant.client, &id).await.expect("paused");
    let csv = plain_csv("t", 0, rows);
    let mut messages = vec![resume(&id, 0)];
    messages.extend(chunks(csv.as_bytes(), 0, 64 << 10));
    messages.push(finish(csv.len()));
    let uploaded = tenant.upload(messages).await.expect("stored");
    assert_eq!((uploaded.status(), uploaded.total_rows), (pb::ImportStatus::Paused, rows as i64));
    id
}

/// Writes down whose segments are claimed, in their order.
async fn note_claims(server: &Server) {
    let note = match server.database {
        Database::Sqlite => {
            "CREATE TABLE noted_claims (number INTEGER PRIMARY KEY, import_id BLOB);
            CREATE TRIGGER note_claims AFTER UPDATE OF epoch ON segments WHEN NEW.epoch > OLD.epoch
            BEGIN INSERT INTO noted_claims (import_id) VALUES (NEW.import_id); END"
        }
        Database::Postgres => {
            "CREATE TABLE noted_claims (number BIGSERIAL PRIMARY KEY, import_id UUID);
            CREATE FUNCTION note_claim() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN INSERT INTO noted_claims (import_id) VALUES (NEW.import_id); RETURN NEW; END $$;
            CREATE TRIGGER note_claims AFTER UPDATE OF epoch ON segments
            FOR EACH ROW WHEN (NEW.epoch > OLD.epoch) EXECUTE FUNCTION note_claim()"
        }
    };
    server.sql(note).await;
}

/// M010: one by one with the other, whose backlog is as long as it is.
async fn a_small_import_does_not_wait_for_a_large_one(database: Database) {
    let segment_rows = SEGMENT_ROWS.to_string();
    let flags = ["--segments-in-flight", "1", "--segment-rows", &segment_rows];
    let server = Server::start_with(database, &flags).await;
    let mut tenants = [server.tenant().await, server.tenant().await];
    // Without turns, claims would go by the ids of applications.
    tenants.sort_by(|one, other| one.application.cmp(&other.application));
    let [greedy, other] = tenants;
    let (large, small) = (waiting(&greedy, LARGE).await, waiting(&other, SMALL).await);
    note_claims(&server).await;
    resume_import(&greedy.client, &large).await.expect("resumed");
    let is_in_work = async || Some(greedy.get(&large).await.processed_rows).filter(|rows| *rows > 0);
    let before = eventually("the large one is in work", is_in_work).await;
    resume_import(&other.client, &small).await.expect("resumed");
    let done = other.wait(&small).await;
    assert_eq!((done.status(), counters(&done)), (pb::ImportStatus::Completed, (SMALL as i64, 0, 0)));
    let after = greedy.get(&large).await;
    assert!(before < after.processed_rows, "it went on meanwhile: {before}, {}", after.processed_rows);
    assert_eq!(after.status(), pb::ImportStatus::Processing, "and the small one did not wait for its end");
    let end = greedy.wait(&large).await;
    assert_eq!((end.status(), counters(&end)), (pb::ImportStatus::Completed, (LARGE as i64, 0, 0)));

    let mine = tables::id(&server, &small);
    let claims = format!(
        "SELECT CASE WHEN import_id = {mine} THEN 's' ELSE 'l' END AS whose FROM noted_claims ORDER BY number"
    );
    let claims = tables::texts(&server, &claims).await.concat();
    assert_eq!(claims.len(), (LARGE + SMALL) / SEGMENT_ROWS as usize, "each was claimed once: {claims}");
    assert_eq!(claims.trim_matches('l'), "slsls", "they take turns: {claims}");
}
