//! Samples through a real server: what is read back of each record.

use std::collections::BTreeMap;

use carryover::{domain::import::ImportType, grpc::pb};
use chrono::DateTime;
use serde_json::{Map, Value};

use super::{SAMPLES, rows::read_lines};
use crate::{
    harness::{Database, Server, Tenant, counters},
    kinds::spec_of,
    on_both_databases,
    shell::Shell,
};

on_both_databases!(samples_are_read_back);

async fn samples_are_read_back(database: Database) {
    let server = Server::start(database).await;
    for sample in SAMPLES {
        let tenant = server.tenant().await;
        let spec = spec_of(&server, &tenant, sample.import_type).await;
        let spec = pb::ImportSpec { provider: sample.provider.to_owned(), ..spec };
        let import = tenant.import_as(spec, sample.lines().join("\n")).await.expect("an import");
        assert_eq!(
            counters(&import),
            (import.total_rows, 0, 0),
            "{:?}",
            tenant.row_errors(&import.uuid).await
        );
        let list: &[&str] = match sample.import_type {
            ImportType::BusinessVerification => &["sessions", "list", "--kind", "business"],
            ImportType::Transactions => &["transactions", "list"],
            _ => &["sessions", "list"],
        };
        let found = Shell::new(&server, &tenant.key).lines(list).await;
        let found: BTreeMap<String, Value> = found.into_iter().map(|one| (key(&one), one)).collect();
        for expected in sample.expected() {
            let id = expected["external_id"].as_str().expect("an id");
            let found = found.get(id).unwrap_or_else(|| panic!("{}: {id} among {found:?}", sample.file));
            assert_eq!(status(&found["status"]), status(&expected["status"]), "{}: {found}", sample.file);
        }
        let rows = read_lines(sample.provider, sample.import_type, &sample.lines());
        let warnings: usize = rows.iter().filter_map(|row| Some(row["warnings"].as_array()?.len())).sum();
        assert_eq!(import.warning_count, warnings as i64, "{}", sample.file);
        let fullest =
            rows.iter().max_by_key(|row| row["cells"].as_object().map_or(0, Map::len)).expect("a row");
        let cells = &fullest["cells"];
        let whole: &[&str] = match sample.import_type {
            // It has no names and no documents.
            _ if sample.file.ends_with(".csv") => &["status", "created_at"],
            ImportType::Transactions => &["status", "transaction_details.amount"],
            ImportType::BusinessVerification => &["status", "company_name"],
            _ => &["status", "created_at", "first_name", "document_number"],
        };
        let missing: Vec<_> = whole.iter().filter(|cell| cells[**cell].is_null()).collect();
        assert!(missing.is_empty(), "{} has no {missing:?}", sample.file);
        let record = &found[cells["external_id"].as_str().expect("an id")];
        assert_read_back(&server, &tenant, sample.import_type, cells, record).await;
    }
}

/// Members of a decision or transaction in detail, and the cells they come from.
const PERSON: &[(&str, &str)] = &[
    ("/vendor_data", "vendor_data"),
    ("/metadata", "metadata"),
    ("/id_verifications/0/first_name", "first_name"),
    ("/id_verifications/0/last_name", "last_name"),
    ("/id_verifications/0/date_of_birth", "date_of_birth"),
    ("/id_verifications/0/nationality", "nationality"),
    ("/id_verifications/0/document_number", "document_number"),
    ("/id_verifications/0/personal_number", "personal_number"),
    ("/id_verifications/0/issuing_state", "issuing_state"),
    ("/id_verifications/0/date_of_issue", "date_of_issue"),
    ("/id_verifications/0/expiration_date", "expiration_date"),
    ("/id_verifications/0/address", "address"),
    ("/id_verifications/0/status", "id_verification_status"),
    ("/liveness_checks/0/status", "liveness_status"),
    ("/face_matches/0/status", "face_match_status"),
];
const COMPANY: &[(&str, &str)] = &[
    ("/vendor_data", "vendor_data"),
    ("/metadata", "metadata"),
    ("/registry_checks/0/company/company_name", "company_name"),
    ("/registry_checks/0/company/registration_number", "registration_number"),
];
const PAYMENT: &[(&str, &str)] = &[
    ("/metadata", "metadata"),
    ("/txn_id", "transaction_id"),
    ("/amount", "transaction_details.amount"),
    ("/currency", "transaction_details.currency"),
];

/// What a record says, whole, as an application reads it.
async fn assert_read_back(
    server: &Server,
    tenant: &Tenant,
    import_type: ImportType,
    cells: &Value,
    record: &Value,
) {
    let (get, members) = match import_type {
        ImportType::Transactions => (["transactions", "get"], PAYMENT),
        ImportType::BusinessVerification => (["sessions", "decision"], COMPANY),
        _ => (["sessions", "decision"], PERSON),
    };
    let id = ["session_id", "uuid", "id"].iter().find_map(|key| record[*key].as_str()).expect("an id");
    let detail = Shell::new(server, &tenant.key).json(&[get[0], get[1], id, "--json"], 0).await;
    for (member, cell) in members.iter().filter(|(_, cell)| !cells[*cell].is_null()) {
        let (found, cell) = (detail.pointer(member).unwrap_or(&Value::Null), &cells[*cell]);
        let same = if member.ends_with("status") { status(found) == status(cell) } else { found == cell };
        assert!(same, "{member} is {found} and not {cell}: {detail}");
    }
    let read = |text: &Value| text.as_str().and_then(|text| DateTime::parse_from_rfc3339(text).ok());
    if let Some(created) = read(&cells["created_at"]) {
        assert_eq!(read(&detail["created_at"]), Some(created), "{detail}");
    }
}

fn key(record: &Value) -> String {
    ["external_id", "source_external_id"]
        .iter()
        .find_map(|key| record[*key].as_str())
        .unwrap_or_default()
        .to_owned()
}

/// A status without the ways to write it.
fn status(word: &Value) -> String {
    let word = word.as_str().unwrap_or_default().to_lowercase().replace([' ', '_'], "");
    word.trim_start_matches("transactionstatus").trim_start_matches("sessionstatus").to_owned()
}
