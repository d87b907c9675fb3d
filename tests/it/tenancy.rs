//! Nobody else's data: keys, roles, applications.

use std::time::Duration;

use carryover::grpc::{
    client::Client,
    pb::{self, Role},
};
use tonic::{Code, Request, Streaming};

use crate::{
    harness::{ADMIN_KEY, Database, Server, assert_refused, finish, plain_csv, reason, resume, start},
    on_both_databases,
    processes::{World, create},
};

on_both_databases!(
    ids_of_another_application_are_unknown,
    keys_are_checked,
    imports_are_off_by_default,
    roles_reach_as_far_as_they_say,
    equal_keys_of_two_applications_are_two_records,
    names_and_ids_are_checked,
    a_revoked_key_ends_its_long_calls,
);

/// M006; every RPC there is has its turn in `foreign_ids`.
async fn ids_of_another_application_are_unknown(database: Database) {
    let server = Server::start(database).await;
    let (mine, theirs) = (server.tenant().await, server.tenant().await);
    let import = mine.import(plain_csv("s", 0, 3)).await;
    let session = mine.sessions(Default::default()).await[0].session_id.clone();
    let id = import.uuid.clone();
    let imports = || theirs.client.imports();
    let not_found = |status: Result<(), tonic::Status>| assert_refused(status, Code::NotFound, "NOT_FOUND");
    not_found(imports().get_import(pb::GetImportRequest { import_id: id.clone() }).await.map(drop));
    not_found(
        imports()
            .watch_import(pb::WatchImportRequest { import_id: id.clone(), ..Default::default() })
            .await
            .map(drop),
    );
    not_found(imports().cancel_import(pb::CancelImportRequest { import_id: id.clone() }).await.map(drop));
    not_found(
        imports()
            .list_row_errors(pb::ListRowErrorsRequest { import_id: id.clone(), ..Default::default() })
            .await
            .map(drop),
    );
    not_found(
        imports()
            .stream_row_errors(pb::StreamRowErrorsRequest { import_id: id.clone(), ..Default::default() })
            .await
            .map(drop),
    );
    not_found(
        imports()
            .export_rows(pb::ExportRowsRequest { import_id: id.clone(), ..Default::default() })
            .await
            .map(drop),
    );
    not_found(theirs.upload(vec![resume(&id, 0), finish(0)]).await.map(drop));
    not_found(
        theirs
            .client
            .sessions()
            .get_session(pb::GetSessionRequest { session_id: session.clone() })
            .await
            .map(drop),
    );
    not_found(
        theirs
            .client
            .sessions()
            .get_session_decision(pb::GetSessionDecisionRequest { session_id: session })
            .await
            .map(drop),
    );
    not_found(
        theirs
            .client
            .entities()
            .get_user(pb::GetUserRequest { vendor_data: "person-0".into() })
            .await
            .map(drop),
    );
    let foreign_workflow = pb::ImportSpec { workflow_id: mine.workflow.clone(), ..theirs.spec() };
    let status = theirs.upload(vec![start(foreign_workflow)]).await.expect_err("refused");
    assert!(matches!(status.code(), Code::NotFound | Code::InvalidArgument), "{status:?}");
    assert!(theirs.sessions(Default::default()).await.is_empty());
    assert!(
        theirs.sessions(pb::ListSessionsRequest { import_id: id, ..Default::default() }).await.is_empty()
    );
    let users = theirs.client.entities().list_users(pb::ListUsersRequest::default()).await.expect("a list");
    assert!(users.into_inner().users.is_empty());
    let list = imports().list_imports(pb::ListImportsRequest::default()).await.expect("a list").into_inner();
    assert!(list.imports.is_empty());
}

async fn keys_are_checked(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let list = async |client: &Client| client.imports().list_imports(pb::ListImportsRequest::default()).await;
    for key in ["", "x", "co_00000000000000000000000000000000", &tenant.key[..20]] {
        let client = server.admin.with_key(key).expect("a client");
        assert_refused(list(&client).await, Code::Unauthenticated, "INVALID_API_KEY");
    }
    let channel = tonic::transport::Endpoint::from_shared(server.address())
        .expect("an address")
        .connect()
        .await
        .expect("connects");
    let mut anonymous = pb::import_service_client::ImportServiceClient::new(channel);
    let status = anonymous.list_imports(pb::ListImportsRequest::default()).await.expect_err("refused");
    assert_eq!(status.code(), Code::Unauthenticated);
    let mut bearer = Request::new(pb::ListImportsRequest::default());
    bearer.metadata_mut().insert("authorization", format!("Bearer {}", tenant.key).parse().expect("a value"));
    anonymous.list_imports(bearer).await.expect("a bearer token is a key, too");

    let request = pb::ListApiKeysRequest { application_id: tenant.application.clone(), ..Default::default() };
    let keys = server.admin.admin().list_api_keys(request).await.expect("keys").into_inner();
    assert!(!format!("{keys:?}").contains(&tenant.key), "a key is shown once, at its making");
    let request = pb::RevokeApiKeyRequest { api_key_id: keys.api_keys[0].id.clone() };
    server.admin.admin().revoke_api_key(request).await.expect("revoked");
    assert_refused(list(&tenant.client).await, Code::Unauthenticated, "INVALID_API_KEY");
}

async fn imports_are_off_by_default(database: Database) {
    let server = Server::start(database).await;
    for (sandbox, enable_imports, word) in
        [(false, false, "IMPORTS_NOT_ENABLED"), (true, true, "SANDBOX_NOT_SUPPORTED")]
    {
        let request = pb::CreateApplicationRequest { name: "a".into(), enable_imports, sandbox };
        let made = match server.admin.admin().create_application(request).await {
            Ok(made) => made.into_inner().application.expect("an application"),
            Err(status) => {
                assert!(sandbox && status.code() == Code::InvalidArgument, "{status:?}");
                continue;
            }
        };
        let workflow_id = server.workflow(&made.id).await;
        let client = server.admin.with_key(&server.key(&made.id, Role::Importer).await).expect("a client");
        let spec = pb::ImportSpec { import_type: 1, workflow_id, ..Default::default() };
        let request = pb::CreateImportRequest { spec: Some(spec), request_id: String::new() };
        assert_refused(client.imports().create_import(request).await, Code::PermissionDenied, word);
        client.imports().list_imports(pb::ListImportsRequest::default()).await.expect("reading is allowed");
    }
}

async fn roles_reach_as_far_as_they_say(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let reader =
        server.admin.with_key(&server.key(&tenant.application, Role::Reader).await).expect("a client");
    reader.imports().list_imports(pb::ListImportsRequest::default()).await.expect("a reader reads");
    let request = pb::CreateImportRequest { spec: Some(tenant.spec()), request_id: String::new() };
    assert_refused(reader.imports().create_import(request).await, Code::PermissionDenied, "ROLE_TOO_LOW");
    let request = pb::CreateApplicationRequest { name: "x".into(), ..Default::default() };
    assert_refused(
        tenant.client.admin().create_application(request).await,
        Code::PermissionDenied,
        "ROLE_TOO_LOW",
    );
    let status =
        server.admin.imports().list_imports(pb::ListImportsRequest::default()).await.expect_err("refused");
    assert_eq!(reason(&status), "KEY_WITHOUT_APPLICATION");
}

async fn equal_keys_of_two_applications_are_two_records(database: Database) {
    let server = Server::start(database).await;
    let (one, two) = (server.tenant().await, server.tenant().await);
    let csv = plain_csv("same", 0, 20);
    let (first, second) = tokio::join!(one.import(&csv), two.import(&csv));
    assert_eq!((first.created_count, second.created_count), (20, 20));
    let ids = |sessions: Vec<pb::Session>| sessions.into_iter().map(|s| s.session_id).collect::<Vec<_>>();
    let (mine, theirs) =
        (ids(one.sessions(Default::default()).await), ids(two.sessions(Default::default()).await));
    assert!(mine.iter().all(|id| !theirs.contains(id)));
}

async fn names_and_ids_are_checked(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let mut admin = server.admin.admin();
    for name in ["", "  ", "a\0", &"n".repeat(300)] {
        let request = pb::CreateApplicationRequest { name: name.to_owned(), ..Default::default() };
        let status = admin.create_application(request).await.expect_err("refused");
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    }
    for id in ["", "x", "00000000-0000-0000-0000-000000000000"] {
        let request = pb::CreateApiKeyRequest {
            application_id: id.into(),
            role: Role::Reader as i32,
            name: "k".into(),
            ..Default::default()
        };
        let status = admin.create_api_key(request).await.expect_err("refused");
        assert!(matches!(status.code(), Code::NotFound | Code::InvalidArgument), "{status:?}");
        let request = pb::GetSessionRequest { session_id: id.into() };
        assert_refused(tenant.client.sessions().get_session(request).await, Code::NotFound, "NOT_FOUND");
    }
    let request = pb::GetUserRequest { vendor_data: "a\0b".into() };
    let status = tenant.client.entities().get_user(request).await.expect_err("refused");
    assert!(
        matches!(status.code(), Code::NotFound | Code::InvalidArgument),
        "NUL never reaches the database: {status:?}"
    );
    for filter in [
        pb::ListSessionsRequest { vendor_data: "a\0".into(), ..Default::default() },
        pb::ListSessionsRequest { search: "a\0".into(), ..Default::default() },
        pb::ListSessionsRequest { external_id: "\0".into(), ..Default::default() },
        pb::ListSessionsRequest { provider: "\0".into(), ..Default::default() },
        pb::ListSessionsRequest { countries: vec!["\0".into()], ..Default::default() },
        pb::ListSessionsRequest { countries: vec!["FRA".into(); 100_000], ..Default::default() },
    ] {
        match tenant.client.sessions().list_sessions(filter.clone()).await {
            Ok(page) => assert!(page.into_inner().sessions.is_empty()),
            Err(status) => assert_eq!(status.code(), Code::InvalidArgument, "{filter:?}: {status:?}"),
        }
    }
}

/// M003: a key that is revoked ends the calls that were opened with it.
async fn a_revoked_key_ends_its_long_calls(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let id = tenant.create().await.uuid;
    let (watch, errors) = long_answers(&tenant.client, &id).await;
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    let mut client = tenant.client.imports();
    let upload = tokio::spawn(async move {
        client.upload_import(tokio_stream::wrappers::ReceiverStream::new(receiver)).await
    });
    sender.send(resume(&id, 0)).await.expect("sent");
    revoke_first_key(&server.admin, &tenant.application).await;
    assert_end(watch).await;
    assert_end(errors).await;
    assert_refused(upload.await.expect("a task"), Code::Unauthenticated, "INVALID_API_KEY");
    drop(sender);
}

/// M003, where another process of the same database is told to revoke it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_revoked_elsewhere_ends_its_long_calls() {
    let world = World::new(Database::Postgres, &["--log", "off"]).await;
    let (mut here, address) = world.start(&[], &[]).await.expect("it starts");
    let (mut there, other_address) = world.start(&[], &[]).await.expect("it starts");
    let client = world.client(&address).await.expect("it answers");
    let id = create(&client, world.spec()).await;
    let (watch, errors) = long_answers(&client, &id).await;
    let admin = Client::connect(&other_address, ADMIN_KEY).await.expect("it answers");
    let request = pb::ListApplicationsRequest::default();
    let applications = admin.admin().list_applications(request).await.expect("a list").into_inner();
    revoke_first_key(&admin, &applications.applications[0].id).await;
    assert_end(watch).await;
    assert_end(errors).await;
    let list = client.imports().list_imports(pb::ListImportsRequest::default()).await;
    assert_refused(list, Code::Unauthenticated, "INVALID_API_KEY");
    here.kill().await.expect("ends");
    there.kill().await.expect("ends");
}

/// A watch that has begun, and row errors that are followed.
async fn long_answers(
    client: &Client,
    id: &str,
) -> (Streaming<pb::WatchImportResponse>, Streaming<pb::StreamRowErrorsResponse>) {
    let request = pb::WatchImportRequest { import_id: id.to_owned(), ..Default::default() };
    let mut watch = client.imports().watch_import(request).await.expect("a watch").into_inner();
    watch.message().await.expect("a message").expect("a snapshot");
    let request = pb::StreamRowErrorsRequest { import_id: id.to_owned(), follow: true, ..Default::default() };
    let errors = client.imports().stream_row_errors(request).await.expect("a stream").into_inner();
    (watch, errors)
}

async fn revoke_first_key(admin: &Client, application: &str) {
    let request = pb::ListApiKeysRequest { application_id: application.to_owned(), ..Default::default() };
    let keys = admin.admin().list_api_keys(request).await.expect("keys").into_inner().api_keys;
    let request = pb::RevokeApiKeyRequest { api_key_id: keys[0].id.clone() };
    admin.admin().revoke_api_key(request).await.expect("revoked");
}

/// An answer that ends since its key is good no more.
async fn assert_end<T: std::fmt::Debug>(mut answers: Streaming<T>) {
    let ended = async {
        loop {
            match answers.message().await {
                Ok(Some(_)) => {}
                end => return end,
            }
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(60), ended).await.expect("it ends");
    assert_refused(ended, Code::Unauthenticated, "INVALID_API_KEY");
}
