//! Taking back what an import wrote: what stands afterwards is what stood before, and every row is told.

use carryover::{
    domain::import::ImportType,
    grpc::pb::{self, ImportStatus, OnExisting, Role},
};
use serde_json::{Map, Value};
use tonic::{Code, Status};

use crate::{
    harness::{Database, Server, Tenant, assert_refused, counters, plain_csv},
    kinds::{spec_of, table_of},
    on_both_databases,
    processes::{World, carry_on, create, get},
    stored,
};

on_both_databases!(
    created_records_go_and_their_keys_are_free,
    updated_records_are_what_they_were,
    imports_are_reverted_in_any_order,
    what_was_erased_since_is_kept,
    rules_are_withdrawn_while_they_are_in_force,
    only_what_has_ended_is_reverted_by_an_operator,
);

const TYPES: [ImportType; 3] =
    [ImportType::UserVerification, ImportType::BusinessVerification, ImportType::Transactions];

/// Rows of a type with these keys; what they say holds `word`. A key that begins with `bad` fails.
fn csv(import_type: ImportType, keys: &[&str], word: &str) -> String {
    let header = match import_type {
        ImportType::UserVerification => "external_id,created_at,last_name,vendor_data",
        ImportType::BusinessVerification => "external_id,created_at,company_name,vendor_data",
        ImportType::Transactions | ImportType::StatusRules => {
            "transaction_id,transaction_at,transaction_category,direction,amount,currency,subject_vendor_data,subject_full_name"
        }
    };
    let mut csv = format!("{header}\n");
    for key in keys {
        let at = if key.starts_with("bad") { "never" } else { "2024-01-01T00:00:00Z" };
        csv.push_str(&match import_type {
            ImportType::Transactions => format!("{key},{at},finance,in,5,EUR,v,{word} {key}\n"),
            _ => format!("{key},{at},{word} {key},v-{key}\n"),
        });
    }
    csv
}

/// All records of a tenant, whole.
pub async fn records(server: &Server, tenant: &Tenant, table: &str) -> Vec<Map<String, Value>> {
    let id = stored::id(server, &tenant.application);
    stored::rows(server, &format!("SELECT * FROM {table} WHERE application_id = {id} ORDER BY id")).await
}

pub async fn operator(server: &Server, tenant: &Tenant) -> Tenant {
    let key = server.key(&tenant.application, Role::Operator).await;
    let client = server.admin.with_key(&key).expect("a client");
    Tenant { client, key, ..tenant.clone() }
}

pub async fn begin(tenant: &Tenant, id: &str) -> Result<pb::Import, Status> {
    let request = pb::RevertImportRequest { import_id: id.to_owned() };
    Ok(tenant.client.imports().revert_import(request).await?.into_inner().import.expect("an import"))
}

/// Reverts an import to the end; gives reverted, kept and failed.
pub async fn revert(tenant: &Tenant, id: &str) -> (i64, i64, i64) {
    let begun = begin(tenant, id).await.expect("it begins");
    assert!(matches!(begun.status(), ImportStatus::Reverting | ImportStatus::Reverted), "{begun:?}");
    let seen = tenant.watch(id).await;
    let import = seen.last().expect("a state");
    assert_eq!(import.status(), ImportStatus::Reverted);
    assert!(import.reverted_at.is_some());
    let buckets = (import.reverted_count, import.revert_kept_count, import.revert_failed_count);
    assert_eq!(buckets.0 + buckets.1 + buckets.2, import.created_count + import.updated_count);
    buckets
}

async fn created_records_go_and_their_keys_are_free(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "2"]).await;
    for import_type in TYPES {
        let tenant = server.tenant().await;
        let operator = operator(&server, &tenant).await;
        let spec = spec_of(&server, &tenant, import_type).await;
        let import = async |keys: &[&str]| {
            tenant.import_as(spec.clone(), csv(import_type, keys, "x")).await.expect("an import")
        };
        import(&["a", "b", "c"]).await;
        let before = records(&server, &tenant, table_of(import_type)).await;
        let second = import(&["d", "b", "e", "bad", "d", "f", "c"]).await;
        assert_eq!(counters(&second), (3, 3, 1), "{import_type:?}");
        assert_eq!(revert(&operator, &second.uuid).await, (3, 0, 0), "{import_type:?}");
        assert_eq!(records(&server, &tenant, table_of(import_type)).await, before, "{import_type:?}");
        let told = tenant.row_errors(&second.uuid).await;
        assert_eq!(told.len(), 1, "what was wrong with its rows stays");
        let again = import(&["d", "b", "e", "bad", "d", "f", "c"]).await;
        assert_eq!(counters(&again), (3, 3, 1), "{import_type:?}: as if it had never been");
    }
}

async fn updated_records_are_what_they_were(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "2"]).await;
    for import_type in TYPES {
        let tenant = server.tenant().await;
        let operator = operator(&server, &tenant).await;
        let skip = spec_of(&server, &tenant, import_type).await;
        let update = pb::ImportSpec { on_existing: OnExisting::Update as i32, ..skip.clone() };
        let first = csv(import_type, &["a", "b", "c", "d"], "old");
        tenant.import_as(skip, first).await.expect("an import");
        let table = table_of(import_type);
        let before = records(&server, &tenant, table).await;
        let keys = ["b", "new", "d", "bad", "b", "newer", "a"];
        let second = tenant.import_as(update, csv(import_type, &keys, "new")).await.expect("an import");
        assert_eq!((second.created_count, second.updated_count), (2, 3), "{import_type:?}");
        assert_ne!(records(&server, &tenant, table).await, before);
        assert_eq!(revert(&operator, &second.uuid).await, (5, 0, 0), "{import_type:?}");
        assert_eq!(records(&server, &tenant, table).await, before, "{import_type:?}");
        assert!(records(&server, &tenant, &format!("replaced_{table}")).await.is_empty());
    }
}

/// Three imports that change each other's records, reverted in each of the six orders.
async fn imports_are_reverted_in_any_order(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "2"]).await;
    for (import_type, order) in TYPES
        .into_iter()
        .zip([[0, 1, 2], [1, 0, 2], [2, 0, 1]])
        .chain([ImportType::UserVerification; 3].into_iter().zip([[0, 2, 1], [1, 2, 0], [2, 1, 0]]))
    {
        let tenant = server.tenant().await;
        let operator = operator(&server, &tenant).await;
        let spec = spec_of(&server, &tenant, import_type).await;
        let spec = pb::ImportSpec { on_existing: OnExisting::Update as i32, ..spec };
        let mut ids = Vec::new();
        for (keys, word) in
            [(&["a", "b", "c"][..], "one"), (&["b", "c", "d"], "two"), (&["c", "d", "a", "e"], "three")]
        {
            let import =
                tenant.import_as(spec.clone(), csv(import_type, keys, word)).await.expect("an import");
            ids.push(import.uuid);
        }
        let table = table_of(import_type);
        for turn in order {
            revert(&operator, &ids[turn]).await;
            let gone: Vec<_> = order.iter().take_while(|done| **done != turn).chain([&turn]).collect();
            for import in gone {
                let id = stored::id(&server, &ids[*import]);
                for table in [table.to_owned(), format!("replaced_{table}")] {
                    let sql = format!("SELECT COUNT(*) FROM {table} WHERE import_id = {id}");
                    let left = stored::texts(&server, &sql).await;
                    assert_eq!(
                        left,
                        ["0"],
                        "{import_type:?}, {order:?}: {table} of import {import} after {turn}"
                    );
                }
            }
        }
        assert!(records(&server, &tenant, table).await.is_empty(), "{import_type:?}, {order:?}");
        assert!(records(&server, &tenant, &format!("replaced_{table}")).await.is_empty());
    }
}

async fn what_was_erased_since_is_kept(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let operator = operator(&server, &tenant).await;
    let import = tenant.import(plain_csv("e", 0, 10)).await;
    let request = pb::EraseUserRequest { vendor_data: "person-3".to_owned() };
    operator.client.entities().erase_user(request).await.expect("erased");
    assert_eq!(revert(&operator, &import.uuid).await, (9, 1, 0));
    assert!(tenant.sessions(Default::default()).await.is_empty());
    let again = tenant.import(plain_csv("e", 0, 10)).await;
    assert_eq!(counters(&again), (9, 1, 0), "who was erased stays so");
}

async fn rules_are_withdrawn_while_they_are_in_force(database: Database) {
    const ONE: &str = "external_id,feature,field,operator,value,status\n\
        r1,OCR,kyc.age,less_than,18,Declined\nr2,OCR,kyc.name,equals,x,Declined\n";
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let operator = operator(&server, &tenant).await;
    let spec = spec_of(&server, &tenant, ImportType::StatusRules).await;
    let import = async |file: &str| tenant.import_as(spec.clone(), file).await.expect("an import");
    let rules = async || {
        let id = stored::id(&server, &tenant.application);
        let sql = format!(
            "SELECT * FROM status_rules WHERE application_id = {id} AND valid_from IS NOT NULL ORDER BY import_id, id"
        );
        stored::rows(&server, &sql).await
    };
    let version = async || {
        let request = pb::GetWorkflowRequest { workflow_id: tenant.workflow.clone() };
        let answer = tenant.client.workflows().get_workflow(request).await.expect("one").into_inner();
        answer.workflow.expect("one").version
    };
    let first = import(ONE).await;
    let after_one = rules().await;
    let second = import(&ONE.replace("18", "21").replace("r2", "r3")).await;
    assert_eq!((second.created_count, second.updated_count, version().await), (1, 1, 2));
    assert_eq!(revert(&operator, &first.uuid).await, (0, 2, 0), "another version is in force");
    assert_eq!(version().await, 2);
    let request = pb::UpdateApplicationRequest {
        application_id: tenant.application.clone(),
        max_active_imports: Some(5),
        ..Default::default()
    };
    server.admin.admin().update_application(request).await.expect("updated");
    let open = pb::CreateImportRequest { spec: Some(spec.clone()), request_id: String::new() };
    let open = tenant.client.imports().create_import(open).await.expect("made").into_inner();
    let refused = begin(&operator, &second.uuid).await;
    assert_refused(refused, Code::FailedPrecondition, "STATUS_RULES_IN_WORK");
    crate::control::cancel(&tenant.client, &open.import.expect("one").uuid).await.expect("cancelled");

    assert_eq!(revert(&operator, &second.uuid).await, (2, 0, 0));
    assert_eq!(
        (rules().await, version().await),
        (vec![], 0),
        "the first was reverted before, and goes with it"
    );
    let again = import(ONE).await;
    assert_eq!((again.created_count, version().await), (2, 1));
    assert_eq!(rules().await.len(), after_one.len());
    let third = import(&ONE.replace("18", "21")).await;
    assert_eq!(revert(&operator, &third.uuid).await, (1, 0, 0));
    assert_eq!(version().await, 1, "one that was not reverted stays");
}

async fn only_what_has_ended_is_reverted_by_an_operator(database: Database) {
    let server = Server::start(database).await;
    let (tenant, foreign) = (server.tenant().await, server.tenant().await);
    let boss = operator(&server, &tenant).await;
    let running = tenant.create().await.uuid;
    let refused =
        assert_refused(begin(&boss, &running).await, Code::FailedPrecondition, "WRONG_IMPORT_STATUS");
    assert!(refused.message().contains("PENDING"), "{refused:?}");
    crate::control::cancel(&tenant.client, &running).await.expect("cancelled");
    assert_eq!(revert(&boss, &running).await, (0, 0, 0), "a cancelled one may be, too");

    let dry = pb::ImportSpec { dry_run: true, ..tenant.spec() };
    let dry = tenant.import_as(dry, plain_csv("d", 0, 3)).await.expect("an import");
    let refused =
        assert_refused(begin(&boss, &dry.uuid).await, Code::FailedPrecondition, "WRONG_IMPORT_STATUS");
    assert!(refused.message().contains("dry run"), "{refused:?}");

    let import = tenant.import(plain_csv("r", 0, 5)).await;
    assert_refused(begin(&tenant, &import.uuid).await, Code::PermissionDenied, "ROLE_TOO_LOW");
    let other = operator(&server, &foreign).await;
    assert_refused(begin(&other, &import.uuid).await, Code::NotFound, "NOT_FOUND");
    let active = tenant.create().await.uuid;
    assert_refused(begin(&boss, &import.uuid).await, Code::ResourceExhausted, "ACTIVE_IMPORT_LIMIT");
    crate::control::cancel(&tenant.client, &active).await.expect("cancelled");

    assert_eq!(revert(&boss, &import.uuid).await, (5, 0, 0));
    let done = tenant.get(&import.uuid).await;
    let again = begin(&boss, &import.uuid).await.expect("the same");
    assert_eq!((again.status(), again.sequence), (ImportStatus::Reverted, done.sequence));
    let listed = async |status: ImportStatus| {
        let request = pb::ListImportsRequest { statuses: vec![status as i32], ..Default::default() };
        let listed = tenant.client.imports().list_imports(request).await.expect("a list").into_inner();
        listed.imports.into_iter().map(|import| import.uuid).collect::<Vec<_>>()
    };
    assert!(listed(ImportStatus::Reverted).await.contains(&import.uuid));
    assert!(!listed(ImportStatus::Completed).await.contains(&import.uuid));
}

/// Whoever takes a revert back dies at every step; the next goes on, and nothing is counted twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_may_die_in_the_middle() {
    for database in [Database::Sqlite, Database::Postgres] {
        let flags = ["--segment-rows", "10", "--lease-seconds", "1", "--log", "off"];
        let world = World::new(database, &flags).await;
        let (mut child, address) = world.start(&[], &[]).await.expect("it starts");
        let client = world.client(&address).await.expect("connects");
        let old = create(&client, world.spec()).await;
        carry_on(&client, &old, plain_csv("k", 0, 60).as_bytes()).await.expect("it ends");
        let update = pb::ImportSpec { on_existing: OnExisting::Update as i32, ..world.spec() };
        let id = create(&client, update).await;
        carry_on(&client, &id, plain_csv("k", 30, 100).as_bytes()).await.expect("it ends");
        child.kill().await.expect("ends");
        let mut begun = false;
        for times in [2, 3, 4, 2, 1] {
            let fault = [("CARRYOVER_FAULT_POINT", format!("revert_step:{times}"))];
            let fault = fault.each_ref().map(|(name, value)| (*name, value.as_str()));
            let Some((mut child, address)) = world.start(&[], &fault).await else { continue };
            if let Some(client) = world.client(&address).await
                && !begun
            {
                let request = pb::RevertImportRequest { import_id: id.clone() };
                begun = client.imports().revert_import(request).await.is_ok();
            }
            let _ = tokio::time::timeout(std::time::Duration::from_secs(5), child.wait()).await;
            let _ = child.kill().await;
        }
        let (mut child, address) = world.start(&[], &[]).await.expect("it starts");
        let client = world.client(&address).await.expect("connects");
        let import = loop {
            let import = get(&client, &id).await.expect("one");
            if import.status() == ImportStatus::Reverted {
                break import;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        };
        let buckets = (import.reverted_count, import.revert_kept_count, import.revert_failed_count);
        assert_eq!(buckets, (100, 0, 0), "{database:?}");
        let path = world.folder.path().join("carryover.db");
        let sql = "SELECT COUNT(*) AS count FROM user_sessions";
        let row = stored::rows_in(world.database_url.as_deref(), &path, sql).await.remove(0);
        assert_eq!(row["count"], 60, "{database:?}: what stood before");
        child.kill().await.expect("ends");
    }
}
