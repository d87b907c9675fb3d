//! The audit trail: who did what and when, also where it was the server; and that nobody changes it.

use std::collections::BTreeMap;

use carryover::{
    domain::import::ImportType,
    grpc::{
        client::Client,
        pb::{self, Role},
    },
};
use prost_types::value::Kind;
use sqlx::Connection;
use tonic::Code;

use crate::{
    harness::{Database, Server, Tenant, assert_refused, chunk, chunks, finish, plain_csv, resume},
    kinds::spec_of,
    limits::set_limits,
    on_both_databases, stored,
    upload::send_and_break,
    waits::eventually,
};

on_both_databases!(
    every_act_of_a_caller_is_written_down,
    what_the_server_does_is_written_down,
    an_upload_that_another_key_goes_on_with_is_written_down,
    events_are_only_ever_added,
);

/// A key, by its id.
struct Key {
    id: String,
    client: Client,
}

async fn key(server: &Server, application_id: &str, role: Role) -> Key {
    let application_id = application_id.to_owned();
    let request = pb::CreateApiKeyRequest {
        application_id,
        role: role as i32,
        name: "audited".into(),
        ..Default::default()
    };
    let made = server.admin.admin().create_api_key(request).await.expect("a key").into_inner();
    let client = server.admin.with_key(&made.key).expect("a client");
    Key { id: made.api_key.expect("a key").id, client }
}

/// The events of an application, oldest first.
async fn events(server: &Server, tenant: &Tenant) -> Vec<pb::AuditEvent> {
    let application_id = tenant.application.clone();
    let request = pb::ListAuditEventsRequest { application_id, page_size: 1_000, ..Default::default() };
    let listed = server.admin.admin().list_audit_events(request).await.expect("a list").into_inner();
    listed.audit_events.into_iter().rev().collect()
}

/// Texts among an event's details.
fn details(event: &pb::AuditEvent) -> BTreeMap<&str, &str> {
    let fields = event.details.iter().flat_map(|details| &details.fields);
    fields
        .filter_map(|(name, value)| match &value.kind {
            Some(Kind::StringValue(text)) => Some((name.as_str(), text.as_str())),
            _ => None,
        })
        .collect()
}

/// M025.
async fn every_act_of_a_caller_is_written_down(database: Database) {
    let begun = chrono::Utc::now().timestamp() - 1;
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let (importer, operator) = (
        key(&server, &tenant.application, Role::Importer).await,
        key(&server, &tenant.application, Role::Operator).await,
    );
    let admin = {
        let listed = server.admin.admin().list_api_keys(pb::ListApiKeysRequest::default()).await;
        listed.expect("a list").into_inner().api_keys.remove(0).id
    };
    let as_importer = Tenant { client: importer.client.clone(), ..tenant.clone() };
    let imported = as_importer.import(plain_csv("Marker", 0, 3)).await.uuid;
    let session = tenant.sessions(Default::default()).await[0].session_id.clone();
    as_importer.export(&imported, &[pb::RowOutcome::Created]).await;
    let cancelled = as_importer.create().await.uuid;
    let cancel = pb::CancelImportRequest { import_id: cancelled.clone() };
    operator.client.imports().cancel_import(cancel).await.expect("cancelled");
    let delete = pb::DeleteSessionRequest { session_id: session.clone() };
    operator.client.sessions().delete_session(delete).await.expect("deleted");
    let erase = pb::EraseUserRequest { vendor_data: "person-0".into() };
    operator.client.entities().erase_user(erase).await.expect("erased");
    let erase = pb::EraseBusinessRequest { vendor_data: "shop-0".into() };
    operator.client.entities().erase_business(erase).await.expect("erased");
    set_limits(&server, &tenant, pb::ApplicationLimits { rows: Some(9), ..Default::default() }).await;
    let revoke = pb::RevokeApiKeyRequest { api_key_id: importer.id.clone() };
    server.admin.admin().revoke_api_key(revoke).await.expect("revoked");

    let events = events(&server, &tenant).await;
    for (action, target, who, role) in [
        ("create_application", Some(&tenant.application), &admin, "admin"),
        ("create_workflow", Some(&tenant.workflow), &admin, "admin"),
        ("create_api_key", Some(&importer.id), &admin, "admin"),
        ("create_api_key", Some(&operator.id), &admin, "admin"),
        ("create_import", Some(&imported), &importer.id, "importer"),
        ("export_rows", Some(&imported), &importer.id, "importer"),
        ("create_import", Some(&cancelled), &importer.id, "importer"),
        ("cancel_import", Some(&cancelled), &operator.id, "operator"),
        ("delete_session", Some(&session), &operator.id, "operator"),
        // An id of its own: the ids of people and companies tell who they are.
        ("erase_user", None, &operator.id, "operator"),
        ("erase_business", None, &operator.id, "operator"),
        ("update_application", Some(&tenant.application), &admin, "admin"),
        ("revoke_api_key", Some(&importer.id), &admin, "admin"),
    ] {
        let found = events
            .iter()
            .filter(|event| event.action == action && target.is_none_or(|target| event.target == *target));
        let found: Vec<_> = found.collect();
        assert_eq!(found.len(), 1, "{action} {target:?}: {events:?}");
        let event = found[0];
        assert_eq!((&event.api_key_id, event.role.as_str()), (who, role), "{action}");
        let at = event.created_at.expect("a time").seconds;
        let now = chrono::Utc::now().timestamp();
        assert!((begun..=now).contains(&at), "{action}: {at}");
    }
    let all = format!("{events:?}");
    assert!(!all.contains("Marker") && !all.contains("person-0"), "ids of ours only: {all}");
    let times: Vec<_> =
        events.iter().map(|event| event.created_at.map(|at| (at.seconds, at.nanos))).collect();
    assert!(times.is_sorted(), "newest first: {times:?}");
}

/// Events about an import that the server wrote.
fn of_server<'e>(events: &'e [pb::AuditEvent], target: &str) -> Vec<&'e pb::AuditEvent> {
    let of_target = events.iter().filter(|event| event.target == target && event.api_key_id.is_empty());
    of_target.collect()
}

async fn what_the_server_does_is_written_down(database: Database) {
    let flags = ["--sweep-seconds", "1", "--upload-ttl-hours", "2", "--segment-rows", "2"];
    let server = Server::start_with(database, &flags).await;
    let (tenant, keeps_nothing) = (server.tenant().await, server.tenant().await);
    let limits = pb::ApplicationLimits { source_retention_days: Some(0), ..Default::default() };
    set_limits(&server, &keeps_nothing, limits).await;

    let mut failed = Vec::new();
    let empty = tenant.import_as(tenant.spec(), "").await;
    assert!(empty.is_err() || empty.is_ok_and(|import| import.status() == pb::ImportStatus::Failed));
    // At once, after rows that are settled before the end is known, and after some that are not.
    let open_quote = |rows: usize| plain_csv("q", 0, rows) + "e,\"open\n";
    for file in [open_quote(0), open_quote(6), open_quote(300)] {
        failed.push(tenant.import(file).await);
    }
    let rules = spec_of(&server, &tenant, ImportType::StatusRules).await;
    failed.push(tenant.import_as(rules, "external_id,feature\na,\"open\n").await.expect("an import"));
    let mut reasons: BTreeMap<_, _> =
        failed.iter().map(|import| (import.uuid.clone(), import.last_error_reason().to_owned())).collect();
    assert!(failed.iter().all(|import| import.status() == pb::ImportStatus::Failed), "{failed:?}");

    let abandoned = tenant.create().await.uuid;
    let past = stored::id(&server, &abandoned);
    server
        .sql(&format!("UPDATE imports SET updated_at = '2020-01-01T00:00:00+00:00' WHERE id = {past}"))
        .await;
    tenant.wait(&abandoned).await;
    reasons.insert(abandoned, "UPLOAD_ABANDONED".to_owned());

    let written = events(&server, &tenant).await;
    for (import, reason) in &reasons {
        let events = of_server(&written, import);
        assert_eq!(events.len(), 1, "{import} {reason}: {written:#?}");
        assert_eq!((events[0].action.as_str(), events[0].role.as_str()), ("fail_import", "admin"));
        assert_eq!(details(events[0])["reason"], *reason);
    }
    let failures = written.iter().filter(|event| event.action == "fail_import").count();
    assert_eq!(failures, reasons.len() + 1, "of the empty file, too, and of nothing else");

    let done = keeps_nothing.import(plain_csv("d", 0, 3)).await.uuid;
    eventually("the source is deleted", async || keeps_nothing.get(&done).await.source_deleted_at).await;
    let written = events(&server, &keeps_nothing).await;
    let events = of_server(&written, &done);
    assert_eq!(events.iter().map(|event| event.action.as_str()).collect::<Vec<_>>(), ["delete_source"]);
}

async fn an_upload_that_another_key_goes_on_with_is_written_down(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "10"]).await;
    let tenant = server.tenant().await;
    let (one, two) = (
        key(&server, &tenant.application, Role::Importer).await,
        key(&server, &tenant.application, Role::Importer).await,
    );
    let (owner, other) = (
        Tenant { client: one.client.clone(), ..tenant.clone() },
        Tenant { client: two.client.clone(), ..tenant.clone() },
    );
    let resumed = async || {
        let all = events(&server, &tenant).await;
        all.into_iter().filter(|event| event.action == "resume_upload").collect::<Vec<_>>()
    };
    let csv = plain_csv("r", 0, 60);
    let id = owner.create().await.uuid;
    let mut messages = vec![resume(&id, 0)];
    messages.extend(chunks(&csv.as_bytes()[..csv.len() / 2], 0, 100));
    let broken = send_and_break(&owner, &id, messages).await;
    let wrong = other.upload(vec![resume(&id, broken.committed_size + 1)]).await;
    assert_refused(wrong, Code::OutOfRange, "WRONG_OFFSET");
    let again = resume(&id, broken.committed_size);
    assert_refused(owner.upload(vec![again.clone()]).await, Code::InvalidArgument, "UPLOAD_UNFINISHED");
    assert!(resumed().await.is_empty(), "by its own key, or not at all");

    let from = broken.committed_size as usize;
    let rest = [again, chunk(from, &csv.as_bytes()[from..]), finish(csv.len())];
    other.upload(rest.to_vec()).await.expect("an upload");
    other.upload(vec![resume(&id, csv.len() as i64), finish(csv.len())]).await.expect("it is finished");
    let events = resumed().await;
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!((&events[0].target, &events[0].api_key_id), (&id, &two.id));
    assert_eq!(details(&events[0])["created_by"], one.id);
    assert_eq!(tenant.wait(&id).await.created_count, 60);
}

/// M025: whoever has the database cannot rewrite the trail either, short of changing its tables.
async fn events_are_only_ever_added(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let before = stored::rows(&server, "SELECT * FROM audit_events ORDER BY id").await;
    assert!(before.len() > 2);
    let postgres_only = if database == Database::Postgres { &["TRUNCATE audit_events"][..] } else { &[] };
    for statement in [
        "UPDATE audit_events SET role = 'reader'",
        "UPDATE audit_events SET created_at = created_at WHERE action = 'create_application'",
        "DELETE FROM audit_events",
        "DELETE FROM audit_events WHERE action = 'create_api_key'",
    ]
    .iter()
    .chain(postgres_only)
    {
        let refused = match &server.database_url {
            Some(url) => {
                let mut connection = sqlx::PgConnection::connect(url).await.expect("connects");
                let ran = sqlx::raw_sql(*statement).execute(&mut connection).await;
                ran.expect_err(statement).to_string()
            }
            None => {
                let connection = rusqlite::Connection::open(server.path("carryover.db")).expect("opens");
                connection.execute_batch(statement).expect_err(statement).to_string()
            }
        };
        assert!(refused.contains("audit events are only ever added"), "{statement}: {refused}");
    }
    assert_eq!(stored::rows(&server, "SELECT * FROM audit_events ORDER BY id").await, before);
    tenant.import(plain_csv("a", 0, 1)).await;
    let after = stored::rows(&server, "SELECT * FROM audit_events ORDER BY id").await;
    assert_eq!((after.len(), &after[..before.len()]), (before.len() + 1, &before[..]), "adding goes on");
}
