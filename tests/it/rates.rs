//! Calls that take too long, and too many of them.

use std::{net::IpAddr, time::Duration};

use carryover::grpc::{
    client::Client,
    pb::{self, Role, import_service_client::ImportServiceClient},
};
use tonic::{Code, Request, Status, transport::Endpoint};
use tonic_types::StatusExt;

use crate::{
    harness::{Database, Server, Tenant, assert_refused, chunk, counters, fact, finish, plain_csv, resume},
    on_both_databases,
    waits::holding_imports,
    web::raw,
};

on_both_databases!(
    a_key_has_so_many_calls_a_minute,
    who_tries_wrong_keys_is_stopped_and_nobody_else,
    wrong_keys_at_once_are_no_more,
    good_keys_cost_nothing,
    a_call_that_takes_too_long_harms_no_job,
);

async fn read(client: &Client) -> Result<(), Status> {
    client.imports().list_imports(pb::ListImportsRequest::default()).await.map(drop)
}

/// What a caller is told who called too often.
fn assert_told(answer: Result<(), Status>, subject: &str, limit: &str) {
    let status = assert_refused(answer, Code::ResourceExhausted, "RATE_LIMIT");
    assert_eq!(fact(&status, "limit"), limit);
    let wait = status.get_details_retry_info().expect("RetryInfo").retry_delay.expect("a delay");
    assert!(wait > Duration::ZERO && wait <= Duration::from_secs(60), "{wait:?}");
    let quota = status.get_details_quota_failure().expect("QuotaFailure");
    assert_eq!(quota.violations.iter().map(|one| one.subject.as_str()).collect::<Vec<_>>(), [subject]);
}

/// Contract, limits of the API.
async fn a_key_has_so_many_calls_a_minute(database: Database) {
    let server = Server::start(database).await;
    let (tenant, other) = (server.tenant().await, server.tenant().await);
    let second = server.key(&tenant.application, Role::Importer).await;
    let server = server.restart(&["--reads-per-minute", "4", "--writes-per-minute", "3"]).await;
    let at = |key: &str| server.admin.with_key(key).expect("a client");
    let (first, second, other) = (at(&tenant.key), at(&second), at(&other.key));
    for _ in 0..4 {
        read(&first).await.expect("one of four");
    }
    assert_told(read(&first).await, "api_key", "4");
    read(&second).await.expect("another key of the application");
    read(&other).await.expect("another application");

    let tenant = Tenant { client: first, ..tenant };
    let create = async || {
        let request = pb::CreateImportRequest { spec: Some(tenant.spec()), request_id: "one".to_owned() };
        tenant.client.imports().create_import(request).await
    };
    let id = create().await.expect("reads do not count").into_inner().import.expect("an import").uuid;
    let csv = plain_csv("r", 0, 1_000);
    let mut messages = vec![resume(&id, 0)];
    messages.extend(csv.as_bytes().chunks(500).enumerate().map(|(n, data)| chunk(n * 500, data)));
    messages.push(finish(csv.len()));
    tenant.upload(messages).await.expect("an upload is one call");
    create().await.expect("the third");
    assert_told(create().await.map(drop), "api_key", "3");
    assert_told(tenant.upload(vec![resume(&id, 0)]).await.map(drop), "api_key", "3");

    let watch = pb::WatchImportRequest { import_id: id, ..Default::default() };
    let mut stream = second.imports().watch_import(watch.clone()).await.expect("a watch").into_inner();
    while stream.message().await.expect("a message").is_some() {}
    for _ in 0..2 {
        read(&second).await.expect("the stream was one call, whatever it told");
    }
    let status = second.imports().watch_import(watch).await.map(drop);
    assert_told(status, "api_key", "4");
}

/// M005.
async fn who_tries_wrong_keys_is_stopped_and_nobody_else(database: Database) {
    let server = Server::start_with(database, &["--failed-keys-per-minute", "5"]).await;
    let tenant = server.tenant().await;
    let unused = server.key(&tenant.application, Role::Reader).await;
    read(&tenant.client).await.expect("a good key");
    let wrong = |n: usize| server.admin.with_key(&format!("carryover_{n:064}")).expect("a client");
    for n in 0..5 {
        assert_refused(read(&wrong(n)).await, Code::Unauthenticated, "INVALID_API_KEY");
    }
    for n in 5..50 {
        assert_told(read(&wrong(n)).await, "peer", "5");
    }
    let mut nobody = ImportServiceClient::connect(server.address()).await.expect("connects");
    let answer = nobody.list_imports(pb::ListImportsRequest::default()).await;
    assert_told(answer.map(drop), "peer", "5");
    for _ in 0..20 {
        read(&tenant.client).await.expect("whoever has called before goes on, from the same address as well");
    }
    server.key(&tenant.application, Role::Reader).await;

    let endpoint = Endpoint::from_shared(server.address()).expect("an address");
    let elsewhere = endpoint.local_address(Some(IpAddr::from([127, 0, 0, 2])));
    let mut elsewhere = ImportServiceClient::new(elsewhere.connect().await.expect("connects"));
    let mut request = Request::new(pb::ListImportsRequest::default());
    request.metadata_mut().insert("x-api-key", unused.parse().expect("a key"));
    elsewhere.list_imports(request).await.expect("a key that was never seen, from another address");
}

/// M005, at once: nobody has looked the keys up by the time that the last of them comes.
async fn wrong_keys_at_once_are_no_more(database: Database) {
    let server = Server::start_with(database, &["--failed-keys-per-minute", "5"]).await;
    let tenant = server.tenant().await;
    read(&tenant.client).await.expect("a good key");
    let tries: Vec<_> = (0..200)
        .map(|n| {
            let client = server.admin.with_key(&format!("carryover_{n:064}")).expect("a client");
            tokio::spawn(async move { read(&client).await })
        })
        .collect();
    let mut looked_up = 0;
    for answer in tries {
        let status = answer.await.expect("a task").expect_err("a wrong key");
        match status.code() {
            Code::Unauthenticated => looked_up += 1,
            _ => assert_told(Err(status), "peer", "5"),
        }
    }
    assert_eq!(looked_up, 5);
    read(&tenant.client).await.expect("who was known goes on");
}

/// What nobody knows yet may be good: it costs nothing, one key after the other or many calls under one.
async fn good_keys_cost_nothing(database: Database) {
    let server = Server::start_with(database, &["--failed-keys-per-minute", "5"]).await;
    let owner = server.tenant().await;
    for _ in 0..10 {
        let key = server.key(&owner.application, Role::Reader).await;
        read(&server.admin.with_key(&key).expect("a client")).await.expect("a good key");
    }
    let key = server.key(&owner.application, Role::Reader).await;
    let client = server.admin.with_key(&key).expect("a client");
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { read(&client).await })
        })
        .collect();
    for call in calls {
        call.await.expect("a task").expect("one of many at once");
    }
}

/// L011.
async fn a_call_that_takes_too_long_harms_no_job(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let request = pb::UpdateApplicationRequest {
        application_id: tenant.application.clone(),
        max_active_imports: Some(2),
        ..Default::default()
    };
    server.admin.admin().update_application(request).await.expect("updated");
    let csv = plain_csv("l", 0, 500);
    let running = tenant.create().await.uuid;
    let create = |timeout: Duration| {
        let spec = Some(tenant.spec());
        let mut request = Request::new(pb::CreateImportRequest { spec, request_id: "slow".to_owned() });
        request.set_timeout(timeout);
        let mut imports = tenant.client.imports();
        async move { imports.create_import(request).await }
    };
    let late = holding_imports(&server, create(Duration::from_millis(300))).await;
    let status = late.expect_err("nobody could write");
    assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled), "{status:?}");

    tenant
        .upload(vec![resume(&running, 0), chunk(0, csv.as_bytes()), finish(csv.len())])
        .await
        .expect("the upload goes on");
    assert_eq!(counters(&tenant.wait(&running).await), (500, 0, 0));
    let made = create(Duration::from_secs(30)).await.expect("an import").into_inner().import.expect("one");
    let list = tenant.client.imports().list_imports(pb::ListImportsRequest::default()).await.expect("a list");
    let mut ids: Vec<_> = list.into_inner().imports.into_iter().map(|import| import.uuid).collect();
    ids.sort_unstable();
    let mut both = [running, made.uuid];
    both.sort_unstable();
    assert_eq!(ids, both, "what became of the late call, its repetition found");
}

/// M015: the port answers gRPC and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_port_has_no_pages() {
    let server = Server::start(Database::Sqlite).await;
    for path in [
        "/",
        "/admin",
        "/admin/",
        "/metrics",
        "/debug/pprof/",
        "/debug/pprof/heap",
        "/debug/vars",
        "/health",
        "/healthz",
        "/ready",
        "/status",
        "/env",
        "/config",
        "/actuator",
        "/swagger.json",
        "/graphql",
        "/.git/config",
        "/../../etc/passwd",
        "/carryover.v1.AdminService/ListApiKeys",
    ] {
        for verb in ["GET", "HEAD", "POST", "PUT", "DELETE", "TRACE"] {
            let request = format!(
                "{verb} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            );
            let answer = raw(&server, request.as_bytes()).await.to_lowercase();
            let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
            let refused = head.starts_with("http/1.1 4") || head.contains("grpc-status: 12");
            assert!(refused, "{verb} {path}: {answer}");
            assert!(
                body.trim_matches(|c: char| c.is_ascii_digit() || c.is_whitespace()).is_empty(),
                "{verb} {path}: {answer}"
            );
        }
    }
}
