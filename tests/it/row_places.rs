//! Where a failed row stands, as its row error tells: the row, the line and the byte that another reader
//! finds, one that knows nothing of segments.

use carryover::grpc::pb::{self, ImportStatus};

use crate::{
    harness::{Database, Server, Tenant},
    on_both_databases,
    properties::{PIECES, Record, csv_records, line_at, ndjson_records},
};

on_both_databases!(failed_rows_of_csv_are_found, failed_lines_of_ndjson_are_found);

/// Pieces that lines are made of: good ones, bad ones, and ends.
const LINE_PIECES: [&str; 12] = [
    "{\"external_id\":\"a\"}\n",
    "{\"external_id\":7,\"status\":\"?\"}\n",
    "{}",
    "\n",
    "\r\n",
    "\n\n",
    "\r",
    " ",
    "é",
    "[1]",
    "\"",
    "\0",
];

fn random_file(random: &mut fastrand::Rng, head: &str, pieces: &[&str]) -> Vec<u8> {
    let bom = if random.bool() { "\u{feff}" } else { "" };
    let body: String = (0..400).map(|_| pieces[random.usize(..pieces.len())]).collect();
    format!("{bom}{head}{body}").into_bytes()
}

/// Imports a file and compares the places of its row errors with those of the records that must fail.
async fn check(tenant: &Tenant, spec: pb::ImportSpec, file: &[u8], failed: &[Record], name: &str) {
    let import = tenant.import_as(spec, file).await.expect(name);
    assert_eq!(import.status(), ImportStatus::Completed, "{name}: {}", import.last_error());
    let errors = tenant.row_errors(&import.uuid).await;
    let found: Vec<_> = errors.iter().map(|e| (e.row_number, e.line_number as u64, e.byte_offset)).collect();
    let wanted: Vec<_> = failed
        .iter()
        .map(|record| (record.row, line_at(file, record.offset as usize), record.offset))
        .collect();
    assert_eq!(found, wanted, "{name}: {:?}", String::from_utf8_lossy(file));
}

async fn failed_rows_of_csv_are_found(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "7"]).await;
    let tenant = server.tenant().await;
    let mut random = fastrand::Rng::with_seed(23);
    // More columns than any row has, so that every row fails.
    let head = format!("external_id{}\r\n", ",x".repeat(400));
    for round in 0..8 {
        let (file, records) = std::iter::repeat_with(|| random_file(&mut random, &head, &PIECES))
            .find_map(|file| csv_records(&file).map(|records| (file, records)))
            .expect("a file whose quotes are closed");
        assert!(records.len() > 20, "round {round} has rows: {}", records.len());
        check(&tenant, tenant.spec(), &file, &records, &format!("round {round}")).await;
    }
}

async fn failed_lines_of_ndjson_are_found(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "7"]).await;
    let tenant = server.tenant().await;
    let mut random = fastrand::Rng::with_seed(24);
    let spec = pb::ImportSpec { source_format: pb::SourceFormat::Ndjson as i32, ..tenant.spec() };
    for round in 0..8 {
        let file = random_file(&mut random, "{\"external_id\":\"first\"}\n", &LINE_PIECES);
        let mut records = ndjson_records(&file);
        let all = records.len();
        let is_good = |bytes: &[u8]| {
            let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii();
            text.starts_with(b"{\"external_id\":\"")
                && serde_json::from_slice::<serde_json::Value>(text).is_ok()
        };
        records.retain(|record| !is_good(&record.bytes));
        assert!(records.len() > 20 && records.len() < all, "round {round} has lines of both kinds");
        check(&tenant, spec.clone(), &file, &records, &format!("round {round}")).await;
    }
}
