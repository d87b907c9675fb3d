//! A database that refuses a row in words of its own, or takes its time over one (security cases I013, I014).
//! Nobody knows what a trigger means, so no row is said to be wrong: the segment is not written, and its
//! import says so. What a constraint refuses is looked into: see `poison`.

use carryover::grpc::pb::{self, ImportStatus};

use crate::{
    harness::{Database, Server, counters, plain_csv},
    on_both_databases, stored as tables,
};

on_both_databases!(a_refused_row_ends_its_import_with_its_segment, a_key_that_is_not_ours_is_no_known_row);

/// Lets the database refuse row `k15` of anybody, with a code of its own.
async fn refuse(server: &Server, database: Database, code: &str) {
    // Every segment begins with its last attempt, so that nobody waits for the others.
    let sql = match database {
        Database::Sqlite => {
            "CREATE TRIGGER refuse BEFORE INSERT ON user_sessions WHEN NEW.external_id = 'k15' \
             BEGIN SELECT RAISE(ABORT, 'a secret of the database'); END; \
             CREATE TRIGGER last_try AFTER INSERT ON segments \
             BEGIN UPDATE segments SET attempts = 7 WHERE import_id = NEW.import_id AND seq = NEW.seq; END;"
                .to_owned()
        }
        Database::Postgres => format!(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.external_id = 'k15' \
             THEN RAISE 'a secret of the database' USING ERRCODE = '{code}'; END IF; RETURN NEW; END $$; \
             CREATE TRIGGER refuse BEFORE INSERT ON user_sessions FOR EACH ROW EXECUTE FUNCTION refuse(); \
             CREATE FUNCTION last_try() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             NEW.attempts = 7; RETURN NEW; END $$; \
             CREATE TRIGGER last_try BEFORE INSERT ON segments FOR EACH ROW EXECUTE FUNCTION last_try();"
        ),
    };
    server.sql(&sql).await;
}

async fn stop_refusing(server: &Server, database: Database) {
    let sql = match database {
        Database::Sqlite => "DROP TRIGGER refuse; DROP TRIGGER last_try",
        Database::Postgres => "DROP FUNCTION refuse CASCADE; DROP FUNCTION last_try CASCADE",
    };
    server.sql(sql).await;
}

async fn a_refused_row_ends_its_import_with_its_segment(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "10", "--segments-in-flight", "1"]).await;
    let codes: &[&str] = match database {
        Database::Sqlite => &[""],
        Database::Postgres => &["P0001"],
    };
    for code in codes {
        let (tenant, other) = (server.tenant().await, server.tenant().await);
        refuse(&server, database, code).await;
        // Else the import may have ended before its upload has.
        let spec = pb::ImportSpec { start: pb::StartMode::AfterUpload as i32, ..tenant.spec() };
        let import = tenant.import_as(spec, plain_csv("k", 0, 40)).await.expect("an import");
        assert_eq!(
            (import.status(), import.last_error_reason()),
            (ImportStatus::Failed, "UNPROCESSABLE_SEGMENT"),
            "{code}"
        );
        assert!(import.last_error().contains("rows 11 to 20"), "{code}: {}", import.last_error());
        assert!(!import.last_error().contains("secret"), "no word of the database: {}", import.last_error());
        let mut rows: Vec<_> =
            tenant.sessions(Default::default()).await.iter().map(|session| session.row_number).collect();
        rows.sort_unstable();
        assert!(rows.starts_with(&(1..=10).collect::<Vec<_>>()), "what stood before is kept: {rows:?}");
        assert!(!rows.iter().any(|row| (11..=20).contains(row)), "nothing of the segment is: {rows:?}");
        assert_eq!(import.created_count, rows.len() as i64, "what is counted is there");
        assert!(tenant.row_errors(&import.uuid).await.is_empty(), "no row is said to be wrong");
        assert_eq!(counters(&other.import(plain_csv("m", 0, 30)).await), (30, 0, 0), "others go on");

        // The same file again, once the database takes the row.
        stop_refusing(&server, database).await;
        let again = tenant.import(plain_csv("k", 0, 40)).await;
        let known = rows.len() as i64;
        assert_eq!(counters(&again), (40 - known, known, 0), "{code}: every row once");
    }
}

/// I014: a segment that takes longer to write than its claim holds is not taken up by another meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_database_writes_every_row_once() {
    let flags = ["--segment-rows", "10", "--lease-seconds", "5"];
    let server = Server::start_with(Database::Postgres, &flags).await;
    let (tenant, other) = (server.tenant().await, server.tenant().await);
    let slow = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF NEW.external_id = 'k15' THEN PERFORM pg_sleep(8); END IF; RETURN NEW; END $$; \
         CREATE TRIGGER slow BEFORE INSERT ON user_sessions FOR EACH ROW EXECUTE FUNCTION slow();";
    server.sql(slow).await;
    let csv = plain_csv("k", 0, 40);
    let (import, meanwhile) = tokio::join!(tenant.import(&csv), other.import(plain_csv("m", 0, 30)));
    assert_eq!(counters(&meanwhile), (30, 0, 0), "others go on");
    assert_eq!((import.status(), counters(&import)), (ImportStatus::Completed, (40, 0, 0)));
    let attempts = "SELECT attempts FROM segments ORDER BY attempts DESC LIMIT 1";
    assert_eq!(tables::texts(&server, attempts).await, ["1"], "nobody tried it again beside");
    assert_eq!(tenant.sessions(Default::default()).await.len(), 40);
}

/// A unique index that somebody gave the table refuses rows whose own keys are free, try by try.
async fn a_key_that_is_not_ours_is_no_known_row(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    refuse(&server, database, "P0001").await;
    server.sql("CREATE UNIQUE INDEX extra ON user_sessions (application_id, email)").await;
    let csv = "external_id,email\na,x@y.example\nb,x@y.example\nc,z@y.example\n";
    let spec = pb::ImportSpec { start: pb::StartMode::AfterUpload as i32, ..tenant.spec() };
    let import = tenant.import_as(spec, csv).await.expect("an import");
    assert_eq!(
        (import.status(), import.last_error_reason(), import.created_count),
        (ImportStatus::Failed, "UNPROCESSABLE_SEGMENT", 0)
    );
    assert!(tenant.sessions(Default::default()).await.is_empty());
}
