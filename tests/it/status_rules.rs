//! Status rules: what an import of them changes, and that it does so at once or not at all.

use std::time::Duration;

use carryover::{
    domain::import::ImportType,
    grpc::pb::{self, ImportStatus, RuleStatus},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use crate::{
    harness::{Database, Server, Tenant, assert_refused, chunk, fact, resume},
    kinds::spec_of,
    on_both_databases,
};

on_both_databases!(
    versions_tell_what_changed,
    an_import_that_does_not_complete_changes_nothing,
    a_cancelled_import_changes_nothing,
    one_import_of_rules_at_a_time,
    pages_stay_with_their_version,
    the_first_of_equal_rules_wins,
    a_rule_that_is_changed_keeps_its_place,
);

const RULES: &str = include_str!("../fixtures/status_rules.ndjson");

async fn list(
    tenant: &Tenant,
    request: pb::ListStatusRulesRequest,
) -> Result<pb::ListStatusRulesResponse, tonic::Status> {
    tenant.client.workflows().list_status_rules(request).await.map(tonic::Response::into_inner)
}

fn of(tenant: &Tenant, version: Option<i32>) -> pb::ListStatusRulesRequest {
    pb::ListStatusRulesRequest { workflow_id: tenant.workflow.clone(), version, ..Default::default() }
}

async fn version(tenant: &Tenant) -> i32 {
    let request = pb::GetWorkflowRequest { workflow_id: tenant.workflow.clone() };
    let workflow = tenant.client.workflows().get_workflow(request).await.expect("a workflow").into_inner();
    workflow.workflow.expect("a workflow").version
}

/// Created, updated, skipped, failed.
async fn import(tenant: &Tenant, spec: &pb::ImportSpec, rows: &str) -> (i64, i64, i64, i64) {
    let import = tenant.import_as(spec.clone(), rows).await.expect("an import");
    assert_eq!(import.status(), ImportStatus::Completed, "{}", import.last_error());
    (import.created_count, import.updated_count, import.skipped_count, import.failed_count)
}

async fn versions_tell_what_changed(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "3"]).await;
    let tenant = server.tenant().await;
    let spec = spec_of(&server, &tenant, ImportType::StatusRules).await;
    let none = list(&tenant, of(&tenant, None)).await.expect("a list");
    assert_eq!((none.version, none.status_rules.len()), (0, 0));
    assert_eq!(import(&tenant, &spec, RULES).await, (8, 0, 0, 0));
    assert_eq!(import(&tenant, &spec, RULES).await, (0, 0, 8, 0));
    assert_eq!(version(&tenant).await, 1, "what changes nothing makes no version");
    let change = RULES.lines().nth(2).expect("r-3").replace("55", "65")
        + "\n"
        + &RULES.lines().nth(5).expect("a rule without an id").replace("No Action", "Declined")
        + "\n{\"external_id\":\"r-9\",\"feature\":\"OCR\",\"field\":\"kyc.age\",\"operator\":\"less_than\",\"value\":18,\"status\":\"Declined\",\"priority\":0}\n"
        + RULES.lines().next().expect("r-1")
        + "\n"
        + RULES.lines().next().expect("r-1 again")
        + "\n{\"feature\":\"OCR\",\"field\":\"spaceship.name\",\"operator\":\"is_empty\",\"status\":\"Declined\"}\n";
    let changed = tenant.import_as(spec, change).await.expect("an import");
    assert_eq!((changed.created_count, changed.updated_count), (1, 2));
    assert_eq!((changed.skipped_count, changed.duplicate_count, changed.failed_count), (2, 1, 1));
    assert_eq!(version(&tenant).await, 2);

    let now = list(&tenant, of(&tenant, None)).await.expect("a list");
    assert_eq!((now.version, now.status_rules.len()), (2, 9));
    let rule = |rules: &pb::ListStatusRulesResponse, id: &str| {
        rules.status_rules.iter().find(|rule| rule.external_id() == id).cloned().expect("a rule")
    };
    let number = |rule: pb::StatusRule| match rule.value.and_then(|value| value.kind) {
        Some(prost_types::value::Kind::NumberValue(number)) => number,
        other => panic!("{other:?}"),
    };
    assert_eq!((number(rule(&now, "r-3")), rule(&now, "r-3").since_version), (65.0, 2));
    assert_eq!((rule(&now, "r-1").since_version, rule(&now, "r-9").status()), (1, RuleStatus::Declined));
    let phone = now.status_rules.iter().find(|rule| rule.feature == "PHONE_VERIFICATION").expect("one");
    assert_eq!(phone.status(), RuleStatus::Declined, "known by what it looks at, it was changed");
    let ocr: Vec<_> = now.status_rules.iter().filter(|rule| rule.feature == "OCR").collect();
    let order: Vec<_> = ocr.iter().map(|rule| rule.external_id()).collect();
    assert_eq!(order, ["r-9", "r-2", "r-1", "r-5", ""], "by priority, then as they came");
    let before = list(&tenant, of(&tenant, Some(1))).await.expect("a list");
    assert_eq!((before.version, before.status_rules.len(), number(rule(&before, "r-3"))), (1, 8, 55.0));

    let request =
        pb::ListWorkflowVersionsRequest { workflow_id: tenant.workflow.clone(), ..Default::default() };
    let versions = tenant.client.workflows().list_workflow_versions(request).await.expect("a list");
    let versions = versions.into_inner().versions;
    assert_eq!(versions.iter().map(|version| version.version).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(versions[0].import_id, changed.uuid);
    for unknown in [3, -1] {
        assert_refused(list(&tenant, of(&tenant, Some(unknown))).await, Code::NotFound, "NOT_FOUND");
    }
}

async fn an_import_that_does_not_complete_changes_nothing(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "2"]).await;
    let tenant = server.tenant().await;
    let spec = spec_of(&server, &tenant, ImportType::StatusRules).await;
    let dry_run = pb::ImportSpec { dry_run: true, ..spec.clone() };
    assert_eq!(import(&tenant, &dry_run, RULES).await, (8, 0, 0, 0));
    assert_eq!(version(&tenant).await, 0);
    let csv = include_str!("../fixtures/status_rules.csv").to_owned() + "r-9,OCR,\"never closed";
    let failed = tenant.import_as(spec.clone(), csv).await.expect("an import");
    assert_eq!(failed.status(), ImportStatus::Failed);
    assert_eq!(version(&tenant).await, 0);
    assert!(list(&tenant, of(&tenant, None)).await.expect("a list").status_rules.is_empty());
    assert_eq!(import(&tenant, &spec, RULES).await, (8, 0, 0, 0), "nothing of them is in the way");
    assert_eq!(import(&tenant, &dry_run, &RULES.replace("55", "65")).await, (0, 1, 7, 0));
    assert_eq!(version(&tenant).await, 1);
}

async fn a_cancelled_import_changes_nothing(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "2"]).await;
    let tenant = server.tenant().await;
    let spec = spec_of(&server, &tenant, ImportType::StatusRules).await;
    assert_eq!(import(&tenant, &spec, RULES.lines().next().expect("r-1")).await, (1, 0, 0, 0));
    let request = pb::CreateImportRequest { spec: Some(spec.clone()), request_id: String::new() };
    let made = tenant.client.imports().create_import(request).await.expect("an import").into_inner();
    let id = made.import.expect("an import").uuid;
    let (sender, receiver) = mpsc::channel(4);
    let mut client = tenant.client.imports();
    let upload = tokio::spawn(async move { client.upload_import(ReceiverStream::new(receiver)).await });
    sender.send(resume(&id, 0)).await.expect("sent");
    sender.send(chunk(0, RULES.as_bytes())).await.expect("sent");
    while tenant.get(&id).await.processed_rows < 4 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let request = pb::CancelImportRequest { import_id: id.clone() };
    tenant.client.imports().cancel_import(request).await.expect("cancelled");
    drop(sender);
    upload.await.expect("a task").expect_err("the upload is refused");
    assert_eq!(tenant.wait(&id).await.status(), ImportStatus::Cancelled);
    let rules = list(&tenant, of(&tenant, None)).await.expect("a list");
    assert_eq!((rules.version, rules.status_rules.len()), (1, 1));
    assert_eq!(import(&tenant, &spec, RULES).await, (7, 0, 1, 0));
}

async fn one_import_of_rules_at_a_time(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let request = pb::UpdateApplicationRequest {
        application_id: tenant.application.clone(),
        max_active_imports: Some(9),
        ..Default::default()
    };
    server.admin.admin().update_application(request).await.expect("updated");
    let spec = spec_of(&server, &tenant, ImportType::StatusRules).await;
    let create = async |spec: &pb::ImportSpec| {
        let request = pb::CreateImportRequest { spec: Some(spec.clone()), request_id: String::new() };
        tenant.client.imports().create_import(request).await.map(|made| made.into_inner().import)
    };
    let first = create(&spec).await.expect("an import").expect("an import");
    let refused = assert_refused(create(&spec).await, Code::FailedPrecondition, "STATUS_RULES_IN_WORK");
    assert_eq!(fact(&refused, "import_id"), first.uuid);
    let workflow_id = server.workflow(&tenant.application).await;
    create(&pb::ImportSpec { workflow_id, ..spec.clone() }).await.expect("another workflow is free");
    create(&tenant.spec()).await.expect("people are free");
    let request = pb::CancelImportRequest { import_id: first.uuid };
    tenant.client.imports().cancel_import(request).await.expect("cancelled");
    create(&spec).await.expect("its turn has come");
}

async fn pages_stay_with_their_version(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let spec = spec_of(&server, &tenant, ImportType::StatusRules).await;
    import(&tenant, &spec, RULES).await;
    let whole = list(&tenant, of(&tenant, None)).await.expect("a list").status_rules;
    let page = |page_token| pb::ListStatusRulesRequest { page_size: 3, page_token, ..of(&tenant, None) };
    let first = list(&tenant, page(String::new())).await.expect("a page");
    import(&tenant, &spec, &RULES.replace("Declined", "Approved")).await;
    let mut found = first.status_rules;
    let mut token = first.next_page_token;
    while !token.is_empty() {
        let next = list(&tenant, page(token.clone())).await.expect("a page");
        assert_eq!(next.version, 1);
        found.extend(next.status_rules);
        let other = pb::ListStatusRulesRequest { version: Some(2), ..page(token) };
        assert_refused(list(&tenant, other).await, Code::InvalidArgument, "INVALID_FIELDS");
        token = next.next_page_token;
    }
    assert_eq!(found, whole);
    for wrong in ["x", "1", "1.-1", "1.99999999999999999999", ".", "1.2.3"] {
        let refused = list(&tenant, page(wrong.to_owned())).await;
        assert_refused(refused, Code::InvalidArgument, "INVALID_FIELDS");
    }
}

async fn the_first_of_equal_rules_wins(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "2"]).await;
    let tenant = server.tenant().await;
    let spec = spec_of(&server, &tenant, ImportType::StatusRules).await;
    import(&tenant, &spec, RULES).await;
    let same = RULES.lines().nth(2).expect("r-3").to_owned();
    let other = same.replace("55", "65");
    for rows in [[&same, &other, &other, &other], [&same, &same, &same, &other]] {
        let again = import(&tenant, &spec, &rows.map(String::as_str).join("\n")).await;
        assert_eq!(again, (0, 0, 4, 0), "wherever the cuts are");
    }
    assert_eq!(version(&tenant).await, 1);
}

/// Rules are asked in order, and the first that matches wins.
async fn a_rule_that_is_changed_keeps_its_place(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let spec = spec_of(&server, &tenant, ImportType::StatusRules).await;
    let rule = |id: &str, value: i32| {
        format!(
            "{{\"external_id\":\"{id}\",\"feature\":\"OCR\",\"field\":\"kyc.age\",\"operator\":\"less_than\",\"value\":{value},\"status\":\"Declined\"}}\n"
        )
    };
    let order = async || {
        let listed = list(&tenant, of(&tenant, None)).await.expect("a list").status_rules;
        listed.iter().map(|rule| rule.external_id().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(import(&tenant, &spec, &(rule("a", 1) + &rule("b", 2) + &rule("c", 3))).await, (3, 0, 0, 0));
    assert_eq!(import(&tenant, &spec, &(rule("d", 4) + &rule("a", 10))).await, (1, 1, 0, 0));
    assert_eq!(order().await, ["a", "b", "c", "d"]);
    assert_eq!(import(&tenant, &spec, &(rule("b", 20) + &rule("a", 100))).await, (0, 2, 0, 0));
    assert_eq!(order().await, ["a", "b", "c", "d"]);
}
