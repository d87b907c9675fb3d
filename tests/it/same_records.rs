//! CSV and NDJSON of the same records leave the same rows, for every import type.

use carryover::domain::import::{ImportType, SourceFormat};
use serde_json::{Map, Value};

use crate::{
    harness::{Database, Server, counters},
    kinds::{sample, spec_of, table_of},
    on_both_databases, stored,
};

on_both_databases!(both_formats_give_the_same_records);

/// What an import derives, reserves or belongs to.
const OWN: [&str; 4] = ["application_id", "import_id", "workflow_id", "id"];

async fn both_formats_give_the_same_records(database: Database) {
    const ROWS: u64 = 120;
    let server = Server::start_with(database, &["--segment-rows", "50"]).await;
    let mut random = fastrand::Rng::new();
    for &import_type in ImportType::ALL {
        for _ in 0..3 {
            let seed = random.u64(..);
            let mut kept = Vec::new();
            for format in [SourceFormat::Csv, SourceFormat::Ndjson] {
                let tenant = server.tenant().await;
                let (file, expected) = sample(import_type, format, ROWS, seed);
                let spec = spec_of(&server, &tenant, import_type).await;
                let import = tenant.import_as(spec, file).await.expect("an import");
                let name = format!("{import_type:?} as {format:?} of seed {seed}");
                assert_eq!(
                    counters(&import),
                    (expected.created, expected.skipped, expected.failed),
                    "{name}"
                );
                let select = format!(
                    "SELECT * FROM {} WHERE import_id = {} ORDER BY row_number",
                    table_of(import_type),
                    stored::id(&server, &import.uuid)
                );
                let records: Vec<_> = stored::rows(&server, &select).await.into_iter().map(bare).collect();
                assert_eq!(records.len() as i64, expected.created, "{name}");
                let errors = tenant.row_errors(&import.uuid).await;
                let errors: Vec<_> = errors
                    .into_iter()
                    .map(|error| {
                        let fields: Vec<_> = error.issues.into_iter().map(|issue| issue.field).collect();
                        (error.row_number, error.external_id, fields)
                    })
                    .collect();
                assert_eq!(errors.len() as i64, expected.failed, "{name}");
                kept.push((records, errors));
            }
            assert_eq!(kept[0].1, kept[1].1, "row errors of {import_type:?}, seed {seed}");
            for (csv, ndjson) in kept[0].0.iter().zip(&kept[1].0) {
                assert_eq!(csv, ndjson, "{import_type:?}, seed {seed}");
            }
        }
    }
}

fn bare(mut row: Map<String, Value>) -> Map<String, Value> {
    row.retain(|column, _| !OWN.contains(&column.as_str()));
    row
}
