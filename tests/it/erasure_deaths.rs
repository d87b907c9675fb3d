//! Processes that die in the middle of an erasure; whoever comes after them finishes it.

use carryover::grpc::{client::Client, pb};
use serde_json::{Map, Value};

use crate::{
    erasure::{CSV, stored},
    harness::Database,
    on_both_databases,
    processes::{World, carry_on, create},
    stored as tables,
    waits::eventually,
};

on_both_databases!(a_process_may_die_at_every_step_of_an_erasure);

/// Steps a process dies at and the time it comes there, and how many objects about her are left then: she has
/// three rows, each in a segment of its own, whose old object goes last.
const DEATHS: [(&str, usize); 5] = [
    ("entity_erased:1", 3),
    ("blanked_segment_stored:1", 3),
    ("blanked_segment_stored:3", 1),
    ("segment_revised:1", 3),
    ("segment_revised:3", 1),
];

async fn rows(world: &World, sql: &str) -> Vec<Map<String, Value>> {
    let path = world.folder.path().join("carryover.db");
    tables::rows_in(world.database_url.as_deref(), &path, sql).await
}

/// Everything in every table, as one text.
async fn kept(world: &World) -> String {
    let names = match world.database_url {
        Some(_) => "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public'",
        None => "SELECT name FROM sqlite_master WHERE type = 'table'",
    };
    let mut kept = String::new();
    for table in rows(world, names).await {
        let name = table["name"].as_str().expect("a name");
        kept += &format!("{name}: {:?}\n", rows(world, &format!("SELECT * FROM {name}")).await);
    }
    kept
}

async fn export(client: &Client, import: &str) -> String {
    let outcomes = [pb::RowOutcome::Created, pb::RowOutcome::Failed].map(|outcome| outcome as i32).to_vec();
    let request = pb::ExportRowsRequest { import_id: import.to_owned(), outcomes, ..Default::default() };
    let mut stream = client.imports().export_rows(request).await.expect("an export").into_inner();
    let mut file = Vec::new();
    while let Some(part) = stream.message().await.expect("a part") {
        file.extend_from_slice(&part.data);
    }
    String::from_utf8(file).expect("text")
}

/// M024.
async fn a_process_may_die_at_every_step_of_an_erasure(database: Database) {
    for (point, left) in DEATHS {
        die_at(&World::new(database, &["--segment-rows", "1", "--log", "off"]).await, point, left).await;
    }
}

async fn die_at(world: &World, point: &str, left: usize) {
    let objects = world.folder.path().join("objects/imports");
    let (mut child, address) =
        world.start(&[], &[("CARRYOVER_FAULT_POINT", point)]).await.expect("it starts");
    let client = world.client(&address).await.expect("it answers");
    let id = create(&client, world.spec()).await;
    carry_on(&client, &id, CSV.as_bytes()).await.expect("it ends");
    let request = pb::EraseUserRequest { vendor_data: "anna".to_owned() };
    client.entities().erase_user(request).await.expect_err("it dies");
    assert!(!child.wait().await.expect("it ends").success(), "{point}");
    assert_eq!(stored(&objects).matches("Anna Marker").count(), left, "{point}: it died in between");
    let count = async |table: &str| rows(world, &format!("SELECT * FROM {table}")).await.len();
    assert_eq!((count("erasures").await, count("user_sessions").await), (1, 2), "{point}");
    assert_eq!(count("tombstones").await, 3, "{point}: two keys and her own id");

    // Nobody says any more that it is worked on, and the time it was said for is over.
    let over = match world.database_url {
        Some(_) => "now() - interval '1 hour'",
        None => "strftime('%Y-%m-%dT%H:%M:%S+00:00', 'now', '-1 hours')",
    };
    let path = world.folder.path().join("carryover.db");
    let set_back = format!("UPDATE erasures SET lease_expires_at = {over}");
    tables::execute_in(world.database_url.as_deref(), &path, &set_back).await;
    let (mut child, address) = world.start(&["--sweep-seconds", "1"], &[]).await.expect("it starts");
    let client = world.client(&address).await.expect("it answers");
    let is_over = async || (count("erasures").await == 0).then_some(());
    eventually("the erasure is finished", is_over).await;

    let all = stored(&objects);
    assert!(all.contains("Elm Street") && !all.contains("Marker"), "{point}: {all}");
    let all = kept(world).await;
    assert!(all.contains("tombstones: ") && all.contains("Ben"), "{point}: {all}");
    for gone in ["Marker", &hex::encode("Marker"), "anna", &hex::encode("anna")] {
        assert!(!all.contains(gone), "{point}: {gone} in {all}");
    }
    assert_eq!(count("tombstones").await, 3, "{point}");
    let unfinished = rows(world, "SELECT * FROM segments WHERE replaced_revision IS NOT NULL").await;
    assert!(unfinished.is_empty(), "{point}: {unfinished:?}");
    if world.database_url.is_none() {
        let is_gone = |file: &str| {
            let bytes = std::fs::read(world.folder.path().join(file)).unwrap_or_default();
            !String::from_utf8_lossy(&bytes).contains("Marker")
        };
        let files = ["carryover.db", "carryover.db-wal"];
        let are_gone = async || files.iter().all(|file| is_gone(file)).then_some(());
        eventually("what was deleted is overwritten", are_gone).await;
    }
    let file = export(&client, &id).await;
    assert_eq!(file.matches("Elm Street").count(), 2, "{point}: rows of others are whole: {file}");
    child.kill().await.expect("ends");

    // Whoever imports the same again does not bring her back.
    let (mut child, address) = world.start(&[], &[]).await.expect("it starts");
    let client = world.client(&address).await.expect("it answers");
    let again = create(&client, world.spec()).await;
    let import = carry_on(&client, &again, CSV.as_bytes()).await.expect("it ends");
    assert_eq!((import.created_count, import.skipped_count, import.failed_count), (0, 4, 1), "{point}");
    child.kill().await.expect("ends");
}
