//! What callers may count on of any method (security cases L): idempotency, pages, reasons, tolerance.

use std::collections::HashSet;

use carryover::grpc::pb::{self, ImportStatus, Role};
use prost::Message;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::{
    harness::{Database, Server, assert_refused, chunk, counters, finish, plain_csv, reason, resume},
    on_both_databases,
    web::{framed, web_call},
};

on_both_databases!(
    one_request_id_gives_one_import,
    page_tokens_and_sizes_are_checked,
    an_import_that_has_ended_takes_nothing_more,
    every_refusal_has_a_reason,
);

/// L001, L003, L004.
async fn one_request_id_gives_one_import(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let (mut imports, spec) = (tenant.client.imports(), Some(tenant.spec()));
            let request = pb::CreateImportRequest { spec, request_id: "once".to_owned() };
            tokio::spawn(async move { imports.create_import(request).await })
        })
        .collect();
    let mut made = HashSet::new();
    for call in calls {
        let answer = call.await.expect("a task").expect("the one import").into_inner();
        made.insert(answer.import.expect("an import").uuid);
    }
    assert_eq!(made.len(), 1);
    let id = made.into_iter().next().expect("one");
    let csv = plain_csv("l", 0, 3);
    let upload = vec![resume(&id, 0), chunk(0, csv.as_bytes()), finish(csv.len())];
    tenant.upload(upload).await.expect("an upload");
    assert_eq!(counters(&tenant.wait(&id).await), (3, 0, 0));
    let spec = Some(tenant.spec());
    let request = pb::CreateImportRequest { spec, request_id: "once".to_owned() };
    let again = tenant.client.imports().create_import(request).await.expect("the same").into_inner();
    let again = again.import.expect("an import");
    assert_eq!((again.status(), again.uuid), (ImportStatus::Completed, id.clone()), "also when it has ended");
    // Equal bytes are no request of their own: a new import, and every row is skipped.
    let other = tenant.import(&csv).await;
    assert_ne!(other.uuid, id);
    assert_eq!(counters(&other), (0, 3, 0));
    // Another application's ids are its own.
    let stranger = server.tenant().await;
    let spec = Some(stranger.spec());
    let request = pb::CreateImportRequest { spec, request_id: "once".to_owned() };
    let made = stranger.client.imports().create_import(request).await.expect("an import").into_inner();
    assert_ne!(made.import.expect("an import").uuid, id);
}

/// L005.
async fn page_tokens_and_sizes_are_checked(database: Database) {
    let server = Server::start(database).await;
    let (mine, theirs) = (server.tenant().await, server.tenant().await);
    let rows = |prefix: &str| plain_csv(prefix, 0, 5) + "e1,bad,,,\ne2,bad,,,\ne3,bad,,,\n";
    let import = mine.import(rows("m")).await;
    mine.import(plain_csv("n", 0, 1)).await;
    theirs.import(rows("t")).await;
    theirs.import(plain_csv("u", 0, 1)).await;
    let admin = &server.admin;
    for method in ["imports", "row errors", "sessions", "users", "applications"] {
        let list = async |tenant: &crate::harness::Tenant, page_size: i32, page_token: &str| {
            let page_token = page_token.to_owned();
            let client = &tenant.client;
            let (count, token) = match method {
                "imports" => {
                    let request = pb::ListImportsRequest { page_size, page_token, ..Default::default() };
                    let page = client.imports().list_imports(request).await?.into_inner();
                    (page.imports.len(), page.next_page_token)
                }
                "row errors" => {
                    let request = pb::ListRowErrorsRequest {
                        import_id: import.uuid.clone(),
                        page_size,
                        page_token,
                        ..Default::default()
                    };
                    let page = client.imports().list_row_errors(request).await?.into_inner();
                    (page.row_errors.len(), page.next_page_token)
                }
                "sessions" => {
                    let request = pb::ListSessionsRequest { page_size, page_token, ..Default::default() };
                    let page = client.sessions().list_sessions(request).await?.into_inner();
                    assert!(page.sessions.iter().all(|one| !one.external_id.starts_with(['t', 'u'])));
                    (page.sessions.len(), page.next_page_token)
                }
                "users" => {
                    let request = pb::ListUsersRequest { page_size, page_token };
                    let page = client.entities().list_users(request).await?.into_inner();
                    (page.users.len(), page.next_page_token)
                }
                _ => {
                    let request = pb::ListApplicationsRequest { page_size, page_token };
                    let page = admin.admin().list_applications(request).await?.into_inner();
                    (page.applications.len(), page.next_page_token)
                }
            };
            Ok::<_, Status>((count, token))
        };
        let (all, last) = list(&mine, 0, "").await.expect(method);
        assert!(all >= 2 && last.is_empty(), "{method}: {all}, {last:?}");
        assert_eq!(list(&mine, 1_000_000_000, "").await.expect(method).0, all, "{method}: a size is cut");
        let (one, token) = list(&mine, 1, "").await.expect(method);
        assert!(one == 1 && !token.is_empty(), "{method}");
        let (rest, _) = list(&mine, 0, &token).await.expect(method);
        assert_eq!(rest, all - 1, "{method}");
        for (size, token) in [
            (-1, ""),
            (i32::MIN, ""),
            (1, "tampered"),
            (1, "AAAA=="),
            (1, "\u{0}"),
            (1, "9999999999999999999999999999999999999999"),
            (1, "' OR 1=1 --"),
        ] {
            let answer = list(&mine, size, token).await;
            assert_refused(answer, Code::InvalidArgument, "INVALID_FIELDS");
        }
    }
}

/// L007.
async fn an_import_that_has_ended_takes_nothing_more(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let failed = tenant.import("external_id,status\na,\"open\n").await;
    assert_eq!(failed.status(), ImportStatus::Failed);
    let done = tenant.import(plain_csv("d", 0, 1)).await;
    for import in [&failed, &done] {
        let request = pb::CancelImportRequest { import_id: import.uuid.clone() };
        let answer = tenant.client.imports().cancel_import(request).await;
        let status = assert_refused(answer, Code::FailedPrecondition, "WRONG_IMPORT_STATUS");
        assert!(status.get_details_precondition_failure().is_some());
        let more = plain_csv("more", 0, 5);
        let messages =
            vec![resume(&import.uuid, import.committed_size), chunk(0, more.as_bytes()), finish(more.len())];
        // Its upload is finished, so there is nothing to do; and nothing is done.
        let _ = tenant.upload(messages).await;
        let now = tenant.get(&import.uuid).await;
        assert_eq!(
            (now.status(), now.total_rows, now.sequence),
            (import.status(), import.total_rows, import.sequence)
        );
    }
    assert_eq!(tenant.sessions(Default::default()).await.len(), 1);
}

/// L010.
async fn every_refusal_has_a_reason(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let reader =
        server.admin.with_key(&server.key(&tenant.application, Role::Reader).await).expect("a client");
    let nobody = server.admin.with_key("co_nobody").expect("a client");
    let unknown = uuid::Uuid::new_v4().to_string();
    let get = |id: &str| pb::GetImportRequest { import_id: id.to_owned() };
    let create = pb::CreateImportRequest { spec: Some(tenant.spec()), request_id: String::new() };
    let refusals: [(&str, Status, Code); 8] = [
        (
            "no key",
            nobody.imports().get_import(get(&unknown)).await.expect_err("refused"),
            Code::Unauthenticated,
        ),
        (
            "no such import",
            tenant.client.imports().get_import(get(&unknown)).await.expect_err("refused"),
            Code::NotFound,
        ),
        ("no id", tenant.client.imports().get_import(get("x")).await.expect_err("refused"), Code::NotFound),
        (
            "a role",
            reader.imports().create_import(create).await.expect_err("refused"),
            Code::PermissionDenied,
        ),
        (
            "no spec",
            tenant
                .client
                .imports()
                .create_import(pb::CreateImportRequest::default())
                .await
                .expect_err("refused"),
            Code::InvalidArgument,
        ),
        (
            "no application",
            server.admin.imports().get_import(get(&unknown)).await.expect_err("refused"),
            Code::PermissionDenied,
        ),
        (
            "no admin",
            tenant
                .client
                .admin()
                .list_applications(pb::ListApplicationsRequest::default())
                .await
                .expect_err("refused"),
            Code::PermissionDenied,
        ),
        ("nothing", tenant.upload(vec![]).await.expect_err("refused"), Code::InvalidArgument),
    ];
    for (name, status, code) in refusals {
        assert_eq!(status.code(), code, "{name}: {status:?}");
        assert!(!reason(&status).is_empty() && !status.message().is_empty(), "{name}: {status:?}");
        let info = status.get_details_error_info().expect(name);
        assert_eq!(info.domain, "carryover.v1", "{name}");
        let words = info.reason.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
        assert!(words, "{name}: {}", info.reason);
    }
}

/// L008, L009.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn newer_peers_are_understood() {
    let server = Server::start(Database::Sqlite).await;
    let tenant = server.tenant().await;
    // Field 1000, a varint, and field 1001, bytes.
    const UNKNOWN: &[u8] = &[0xc0, 0x3e, 7, 0xca, 0x3e, 2, 1, 2];
    let request = pb::ListImportsRequest { page_size: 5, ..Default::default() }.encode_to_vec();
    let path = "carryover.v1.ImportService/ListImports";
    let answer = web_call(&server, &tenant.key, path, "", &framed(&[&request, UNKNOWN].concat())).await;
    assert!(answer.contains("grpc-status:0") || answer.contains("grpc-status: 0"), "{answer}");

    let mut bytes = pb::Import { uuid: "u".to_owned(), status: 99, import_type: 99, ..Default::default() }
        .encode_to_vec();
    bytes.extend_from_slice(UNKNOWN);
    let import = pb::Import::decode(bytes.as_slice()).expect("an import");
    assert_eq!((import.uuid.as_str(), import.status(), import.status), ("u", ImportStatus::Unspecified, 99));
}
