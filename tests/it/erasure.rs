//! Erasing people, companies and single sessions.

use carryover::grpc::pb::{self, ImportStatus, Role};
use tonic::Code;

use crate::{
    harness::{Database, Server, Tenant, assert_refused, counters},
    on_both_databases, stored as tables,
    waits::eventually,
};

on_both_databases!(
    an_erased_user_leaves_nothing_behind,
    an_erased_business_leaves_nothing_behind,
    a_deleted_session_stays_deleted,
    erasing_needs_the_role_and_the_application,
    erasing_waits_for_imports,
    updates_bring_nobody_back,
    an_unfinished_erasure_is_gone_on_with,
    a_replaced_object_that_was_left_is_deleted,
    parties_are_erased_by_kind,
    later_transactions_do_not_name_who_was_erased,
    rows_that_cannot_be_read_are_counted,
    strays_of_a_source_are_deleted,
);

/// Rows of two people; the second one fails as well, in a row of its own.
pub const CSV: &str = "external_id,provider,vendor_data,status,first_name,address\n\
    e-1,sumsub,anna,Approved,Anna Marker,\"Marker Street 1,\nMarkertown\"\n\
    e-2,sumsub,ben,Approved,Ben,Elm Street\n\
    e-3,sumsub,anna,wrong,Anna Marker,Marker Street 1\n\
    e-4,veriff,anna,Declined,Anna Marker,Marker Street 1\n\
    e-1,veriff,ben,Approved,Ben,Elm Street\n";

async fn operator(server: &Server, tenant: &Tenant) -> carryover::grpc::client::Client {
    server.admin.with_key(&server.key(&tenant.application, Role::Operator).await).expect("a client")
}

async fn erase_user(
    client: &carryover::grpc::client::Client,
    vendor_data: &str,
) -> Result<pb::EraseUserResponse, tonic::Status> {
    let request = pb::EraseUserRequest { vendor_data: vendor_data.to_owned() };
    client.entities().erase_user(request).await.map(tonic::Response::into_inner)
}

async fn export(tenant: &Tenant, import: &str) -> String {
    let outcomes = [pb::RowOutcome::Created, pb::RowOutcome::Skipped, pb::RowOutcome::Failed];
    let request = pb::ExportRowsRequest {
        import_id: import.to_owned(),
        outcomes: outcomes.iter().map(|outcome| *outcome as i32).collect(),
        ..Default::default()
    };
    let mut stream = tenant.client.imports().export_rows(request).await.expect("a stream").into_inner();
    let mut out = Vec::new();
    while let Some(part) = stream.message().await.expect("a part") {
        out.extend_from_slice(&part.data);
    }
    String::from_utf8(out).expect("text")
}

/// Everything below a folder, as one text.
pub fn stored(folder: &std::path::Path) -> String {
    let mut all = String::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            all += &stored(&path);
        } else {
            all += &String::from_utf8_lossy(&std::fs::read(&path).expect("a file"));
        }
    }
    all
}

/// M022.
async fn an_erased_user_leaves_nothing_behind(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "2"]).await;
    let tenant = server.tenant().await;
    let first = tenant.import(CSV).await;
    assert_eq!(counters(&first), (4, 0, 1));
    let again = tenant.import(CSV).await;
    assert_eq!(counters(&again), (0, 4, 1));
    let transactions = pb::ImportSpec {
        import_type: pb::ImportType::Transactions as i32,
        workflow_id: String::new(),
        ..tenant.spec()
    };
    let payment = r#"{"transaction_id":"t-1","transaction_at":"2024-01-01T00:00:00Z","transaction_category":"finance","transaction_details":{"direction":"in","amount":"5","currency":"EUR"},"subject":{"vendor_data":"anna","full_name":"Anna Marker","address":{"street":"Marker Street 1"}},"counterparty":{"vendor_data":"ben","full_name":"Ben"}}"#;
    let paid = tenant.import_as(transactions, payment).await.expect("an import");
    assert_eq!(counters(&paid), (1, 0, 0), "{}", paid.last_error());

    let client = operator(&server, &tenant).await;
    let report = erase_user(&client, "anna").await.expect("erased");
    assert_eq!((report.session_count, report.transaction_count), (2, 1));
    assert_eq!(report.source_row_count, 7, "three rows in two files of people, one of transactions");

    let left = tenant.sessions(Default::default()).await;
    let mut left: Vec<_> = left.iter().map(|s| (s.provider.as_str(), s.external_id.as_str())).collect();
    left.sort_unstable();
    assert_eq!(left, [("sumsub", "e-2"), ("veriff", "e-1")], "an equal id at another provider is another's");
    let gone = tenant.client.entities().get_user(pb::GetUserRequest { vendor_data: "anna".into() }).await;
    assert_refused(gone, Code::NotFound, "NOT_FOUND");
    for import in [&first, &again] {
        let errors = tenant.row_errors(&import.uuid).await;
        assert_eq!(errors.len(), 1, "the account of rows stays");
        assert_eq!(errors[0].row_number, 3);
        assert!(!format!("{errors:?}").contains("Marker"), "{errors:?}");
        assert_eq!(errors[0].external_id, None);
        let rows = export(&tenant, &import.uuid).await;
        assert!(rows.contains("Elm Street") && !rows.contains("Marker"), "{rows}");
        assert_eq!(tenant.get(&import.uuid).await.failed_count, 1);
    }
    let objects = stored(&server.path("objects/imports"));
    assert!(objects.contains("Elm Street") && !objects.contains("Marker"), "{objects}");

    if database == Database::Sqlite {
        for file in ["carryover.db", "carryover.db-wal"] {
            let kept = std::fs::read(server.path(file)).expect("a file");
            assert!(!String::from_utf8_lossy(&kept).contains("Marker"), "{file}");
        }
    }

    let left = async || {
        let tombstones = tables::texts(&server, "SELECT COUNT(*) FROM tombstones").await.concat();
        (tombstones, export(&tenant, &first.uuid).await, export(&tenant, &paid.uuid).await)
    };
    let before = left().await;
    assert_eq!(before.0, "3", "two keys and her own id");
    let repeated = erase_user(&client, "anna").await.expect("no error");
    assert_eq!(repeated, pb::EraseUserResponse::default(), "there was nothing left to erase");
    assert_eq!(left().await, before);
    assert!(tables::rows(&server, "SELECT * FROM erasures").await.is_empty());

    // The same history again: nobody comes back, and others are known.
    let third = tenant.import(CSV).await;
    assert_eq!(counters(&third), (0, 4, 1));
    let new = tenant.import("external_id,vendor_data,first_name\ne-9,anna,Anna\ne-10,carl,Carl\n").await;
    assert_eq!(counters(&new), (1, 1, 0), "also not under a new key");
    let spec = pb::ImportSpec { import_erased: true, ..tenant.spec() };
    let back = tenant.import_as(spec, CSV).await.expect("an import");
    assert_eq!(
        (back.status(), counters(&back)),
        (ImportStatus::Completed, (2, 2, 1)),
        "unless told otherwise"
    );

    let nothing = erase_user(&client, "nobody").await.expect("no error");
    assert_eq!((nothing.session_count, nothing.source_row_count), (0, 0));
}

/// M022 for companies.
async fn an_erased_business_leaves_nothing_behind(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let workflow_id = server.workflow_of(&tenant.application, pb::WorkflowKind::Business).await;
    let spec = pb::ImportSpec {
        import_type: pb::ImportType::BusinessVerification as i32,
        workflow_id,
        ..tenant.spec()
    };
    let rows = "{\"external_id\":\"c-1\",\"vendor_data\":\"acme\",\"company_name\":\"Marker Ltd\",\"officers\":[{\"name\":\"Marker\"}]}\n\
        {\"external_id\":\"c-2\",\"vendor_data\":\"other\",\"company_name\":\"Other Ltd\"}\n";
    let import = tenant.import_as(spec.clone(), rows).await.expect("an import");
    assert_eq!(counters(&import), (2, 0, 0));
    let client = operator(&server, &tenant).await;
    let request = pb::EraseBusinessRequest { vendor_data: "acme".into() };
    let report = client.entities().erase_business(request).await.expect("erased").into_inner();
    assert_eq!((report.session_count, report.source_row_count), (1, 1));
    let objects = stored(&server.path("objects/imports"));
    assert!(objects.contains("Other Ltd") && !objects.contains("Marker"), "{objects}");
    let again = tenant.import_as(spec, rows).await.expect("an import");
    assert_eq!((again.total_rows, counters(&again)), (2, (0, 2, 0)));
}

/// M022 for single sessions.
async fn a_deleted_session_stays_deleted(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let import = tenant.import(CSV).await;
    let sessions =
        tenant.sessions(pb::ListSessionsRequest { external_id: "e-4".into(), ..Default::default() });
    let session = sessions.await.remove(0);
    let client = operator(&server, &tenant).await;
    let request = pb::DeleteSessionRequest { session_id: session.session_id.clone() };
    let deleted = client.sessions().delete_session(request.clone()).await.expect("deleted").into_inner();
    assert_eq!(
        (deleted.session_id, deleted.session_number),
        (session.session_id.clone(), session.session_number)
    );
    assert_refused(client.sessions().delete_session(request).await, Code::NotFound, "NOT_FOUND");
    let get = pb::GetSessionRequest { session_id: session.session_id };
    assert_refused(tenant.client.sessions().get_session(get).await, Code::NotFound, "NOT_FOUND");
    let user = tenant.client.entities().get_user(pb::GetUserRequest { vendor_data: "anna".into() }).await;
    let user = user.expect("her other session").into_inner().user.expect("one");
    assert_eq!(user.session_count, 1);
    assert!(!export(&tenant, &import.uuid).await.contains("e-4"));
    assert_eq!(counters(&tenant.import(CSV).await), (0, 4, 1), "the key is not used again");
}

/// M022: nobody is named in the audit trail, and M006.
async fn erasing_needs_the_role_and_the_application(database: Database) {
    let server = Server::start(database).await;
    let (tenant, other) = (server.tenant().await, server.tenant().await);
    tenant.import(CSV).await;
    let session = tenant.sessions(Default::default()).await[0].session_id.clone();
    assert_refused(erase_user(&tenant.client, "anna").await, Code::PermissionDenied, "ROLE_TOO_LOW");
    let stranger = operator(&server, &other).await;
    let report = erase_user(&stranger, "anna").await.expect("nobody of theirs");
    assert_eq!((report.session_count, report.source_row_count), (0, 0));
    let request = pb::DeleteSessionRequest { session_id: session };
    assert_refused(stranger.sessions().delete_session(request).await, Code::NotFound, "NOT_FOUND");
    assert_eq!(tenant.sessions(Default::default()).await.len(), 4);
    let request =
        pb::ListAuditEventsRequest { application_id: other.application.clone(), ..Default::default() };
    let events =
        server.admin.admin().list_audit_events(request).await.expect("a list").into_inner().audit_events;
    let erased = events.iter().find(|event| event.action == "erase_user").expect("it is written down");
    assert!(!format!("{erased:?}").contains("anna"), "without a name: {erased:?}");
    assert_eq!(erased.role, "operator");
}

async fn erasing_waits_for_imports(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    tenant.import(CSV).await;
    let active = tenant.create().await.uuid;
    let client = operator(&server, &tenant).await;
    assert_refused(erase_user(&client, "anna").await, Code::FailedPrecondition, "IMPORT_IN_WORK");
    assert_eq!(tenant.sessions(Default::default()).await.len(), 4, "nothing is erased by halves");
    let cancel = pb::CancelImportRequest { import_id: active };
    tenant.client.imports().cancel_import(cancel).await.expect("cancelled");
    let report = erase_user(&client, "anna").await.expect("erased");
    assert_eq!((report.session_count, report.source_row_count), (2, 3));
}

async fn updates_bring_nobody_back(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let import = async |vendor_data: &str, name: &str| {
        let spec = pb::ImportSpec { on_existing: pb::OnExisting::Update as i32, ..tenant.spec() };
        let csv = format!("external_id,vendor_data,first_name\nx-1,{vendor_data},{name}\n");
        let import = tenant.import_as(spec, csv).await.expect("an import");
        (import.updated_count, import.skipped_count)
    };
    assert_eq!(import("anna", "Anna").await, (0, 0));
    assert_eq!(import("ben", "Ben").await, (1, 0));
    let replaced = async || tables::rows(&server, "SELECT * FROM replaced_user_sessions").await.len();
    assert_eq!(replaced().await, 1);
    let client = operator(&server, &tenant).await;
    erase_user(&client, "anna").await.expect("erased");
    assert_eq!(replaced().await, 0, "what the record was when it was hers is gone, too");
    assert_eq!(import("anna", "Anna").await, (0, 1), "and an update does not make it hers again");
    let session = tenant.sessions(Default::default()).await.remove(0);
    assert_eq!((session.vendor_data(), session.full_name()), ("ben", "Ben"));
}

/// Files below a folder, of all folders in it.
fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// M024, where a source cannot be read; processes that die are in `erasure_deaths`.
async fn an_unfinished_erasure_is_gone_on_with(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "1", "--sweep-seconds", "1"]).await;
    let tenant = server.tenant().await;
    tenant.import(CSV).await;
    let objects = server.path("objects");
    let marker = |path: &std::path::PathBuf| {
        String::from_utf8_lossy(&std::fs::read(path).expect("a file")).contains("Marker")
    };
    let about_her: Vec<_> = files(&objects).into_iter().filter(marker).collect();
    assert_eq!(about_her.len(), 3);
    let last = about_her[0].clone();
    let whole = std::fs::read(&last).expect("a file");
    std::fs::write(&last, "damaged").expect("written");

    let client = operator(&server, &tenant).await;
    let broken = erase_user(&client, "anna").await;
    assert_eq!(broken.expect_err("a segment cannot be read").code(), Code::Unavailable);
    let erasures = async || tables::rows(&server, "SELECT * FROM erasures").await.len();
    assert_eq!(tenant.sessions(Default::default()).await.len(), 2, "her records are gone");
    assert_eq!(erasures().await, 1, "what is left to do is written down");
    assert!(!stored(&objects).contains("Marker"), "what can be read is gone over all the same");

    std::fs::write(&last, whole).expect("written");
    eventually("the erasure is finished", async || (erasures().await == 0).then_some(())).await;
    let left = stored(&objects);
    assert!(left.contains("Elm Street") && !left.contains("Marker"), "{left}");
    let all: String = tables::texts(&server, "SELECT COUNT(*) FROM tombstones").await.concat();
    assert_eq!(all, "3", "two keys and her own id");
}

async fn a_replaced_object_that_was_left_is_deleted(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let import = tenant.import(CSV).await;
    let client = operator(&server, &tenant).await;
    erase_user(&client, "anna").await.expect("erased");
    let [segment] = files(&server.path("objects/imports")).try_into().expect("one segment");
    // The process died between writing the new segment down and deleting the old one's object.
    let left = segment.with_file_name("00000000.7");
    std::fs::write(&left, CSV).expect("written");
    let id = tables::id(&server, &import.uuid);
    let set = format!("UPDATE segments SET replaced_revision = 7 WHERE import_id = {id}");
    server.sql(&set).await;

    let report = erase_user(&client, "ben").await.expect("erased");
    assert_eq!(report.source_row_count, 2);
    assert!(!left.exists());
    let replaced = "SELECT replaced_revision FROM segments";
    assert_eq!(tables::texts(&server, replaced).await, ["-"]);
    let objects = stored(&server.path("objects/imports"));
    assert!(!objects.contains("Marker") && !objects.contains("Elm Street"), "{objects}");
}

fn payment(id: &str, subject: &str, counterparty: &str) -> String {
    format!(
        r#"{{"transaction_id":"{id}","transaction_at":"2024-01-01T00:00:00Z","transaction_category":"finance","transaction_details":{{"direction":"in","amount":"5","currency":"EUR","payment_details":"for {id}"}},"subject":{subject},"counterparty":{counterparty},"travel_rule_details":{{"status":"done","originator":"Marker"}},"tags":["kept"],"metadata":{{"note":"Marker"}}}}
"#
    )
}

const PERSON: &str = r#"{"entity_type":"individual","vendor_data":"42","full_name":"Marker Person","address":{"country":"ESP","street":"Marker Street"}}"#;
const COMPANY: &str = r#"{"entity_type":"company","vendor_data":"42","full_name":"Forty-Two Ltd","address":{"country":"DEU","street":"Company Street"}}"#;
const STRANGER: &str = r#"{"entity_type":"external","vendor_data":"42","full_name":"Stranger"}"#;

async fn import_payments(tenant: &Tenant, rows: &str, import_erased: bool) -> pb::Import {
    let spec = pb::ImportSpec {
        import_type: pb::ImportType::Transactions as i32,
        workflow_id: String::new(),
        import_erased,
        ..tenant.spec()
    };
    tenant.import_as(spec, rows).await.expect("an import")
}

/// Names of the parties of all transactions, by transaction id.
async fn names(tenant: &Tenant) -> Vec<String> {
    let listed = tenant.client.transactions().list_transactions(pb::ListTransactionsRequest::default()).await;
    let listed = listed.expect("a list").into_inner().transactions;
    let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "-".to_owned());
    let mut names: Vec<_> = listed
        .iter()
        .map(|one| format!("{} {} > {}", one.txn_id, name(&one.subject_name), name(&one.counterparty_name)))
        .collect();
    names.sort_unstable();
    names
}

async fn parties_are_erased_by_kind(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let rows = payment("t-1", PERSON, COMPANY) + &payment("t-2", COMPANY, STRANGER);
    assert_eq!(counters(&import_payments(&tenant, &rows, false).await), (2, 0, 0));
    let client = operator(&server, &tenant).await;
    let report = erase_user(&client, "42").await.expect("erased");
    assert_eq!((report.transaction_count, report.source_row_count), (1, 1));
    assert_eq!(names(&tenant).await, ["t-1 - > Forty-Two Ltd", "t-2 Forty-Two Ltd > Stranger"]);
    let request = pb::EraseBusinessRequest { vendor_data: "42".into() };
    let report = client.entities().erase_business(request).await.expect("erased").into_inner();
    assert_eq!((report.transaction_count, report.source_row_count), (2, 1), "a blanked row names nobody");
    assert_eq!(names(&tenant).await, ["t-1 - > -", "t-2 - > Stranger"]);
    let kept = tables::rows(&server, "SELECT * FROM transactions").await;
    for gone in ["Marker", "Street", "Forty-Two", "for t-"] {
        assert!(!format!("{kept:?}").contains(gone), "{gone}: {kept:?}");
    }
    assert!(format!("{kept:?}").contains("kept"), "what names nobody stays: {kept:?}");
}

async fn later_transactions_do_not_name_who_was_erased(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let client = operator(&server, &tenant).await;
    erase_user(&client, "42").await.expect("remembered");
    let rows = payment("t-1", PERSON, COMPANY)
        + &payment("t-2", COMPANY, PERSON)
        + &payment("t-3", COMPANY, STRANGER);
    assert_eq!(counters(&import_payments(&tenant, &rows, false).await), (3, 0, 0), "the transaction stays");
    let expected = ["t-1 - > Forty-Two Ltd", "t-2 Forty-Two Ltd > -", "t-3 Forty-Two Ltd > Stranger"];
    assert_eq!(names(&tenant).await, expected);
    let kept = tables::rows(&server, "SELECT * FROM transactions WHERE txn_id <> 't-3'").await;
    for gone in ["Marker", "ESP", "for t-"] {
        assert!(!format!("{kept:?}").contains(gone), "{gone}: {kept:?}");
    }
    assert!(format!("{kept:?}").contains("Company Street"), "{kept:?}");

    // An update does not bring the name back, but being told to does.
    let spec = pb::ImportSpec {
        import_type: pb::ImportType::Transactions as i32,
        workflow_id: String::new(),
        on_existing: pb::OnExisting::Update as i32,
        ..tenant.spec()
    };
    let updated = tenant.import_as(spec.clone(), rows.clone()).await.expect("an import");
    assert_eq!(updated.updated_count, 3);
    assert_eq!(names(&tenant).await, expected);
    let told = pb::ImportSpec { import_erased: true, ..spec };
    tenant.import_as(told, rows).await.expect("an import");
    assert_eq!(names(&tenant).await[0], "t-1 Marker Person > Forty-Two Ltd");
}

async fn rows_that_cannot_be_read_are_counted(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let rows = "{\"external_id\":\"u-1\",\"vendor_data\":\"anna\"}\n\
        {\"external_id\":\"u-2\",\"first_name\":\"Anna\" \"vendor_data\":\"anna\"}\n\
        {\"external_id\":\"u-3\",\"vendor_data\":\"ben\",\"vendor_data\":\"anna\"}\n\
        {\"external_id\":\"u-4\",\"vendor_data\":\"ben\"\n";
    let import = tenant.import(rows).await;
    assert_eq!(counters(&import), (1, 0, 3));
    let client = operator(&server, &tenant).await;
    let report = erase_user(&client, "anna").await.expect("erased");
    assert_eq!((report.source_row_count, report.unreadable_row_count), (1, 2), "and those of others are not");
}

async fn strays_of_a_source_are_deleted(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    tenant.import(CSV).await;
    let [segment] = files(&server.path("objects/imports")).try_into().expect("one segment");
    // Processes died before they could write down what they had stored: one long ago, one perhaps not yet.
    let (old, young) = (segment.with_file_name("00000000.8"), segment.with_file_name("00000000.9"));
    for stray in [&old, &young] {
        std::fs::write(stray, CSV).expect("written");
    }
    let hour_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3_600);
    std::fs::File::options()
        .write(true)
        .open(&old)
        .and_then(|file| file.set_modified(hour_ago))
        .expect("set");
    let client = operator(&server, &tenant).await;
    erase_user(&client, "anna").await.expect("erased");
    assert!(!old.exists(), "nobody will name it any more");
    assert!(young.exists(), "another process may be about to name it");
}
