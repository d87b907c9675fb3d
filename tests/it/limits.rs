//! Limits an application has of its own: each is kept, and each refusal names it and its value.

use carryover::{
    domain::import::ImportType,
    grpc::pb::{self, ImportStatus, IssueCode},
};
use tonic::Code;
use tonic_types::StatusExt;

use crate::{
    harness::{
        Database, Server, Tenant, assert_refused, chunk, chunks, codes, counters, finish, plain_csv, resume,
        upload_of,
    },
    kinds::spec_of,
    on_both_databases,
};

on_both_databases!(
    sources_that_pass_a_limit_fail_and_keep_what_came_before,
    rows_that_pass_a_limit_fail_alone,
    rows_of_a_day_are_counted_over_imports,
    rows_count_from_when_they_are_stored,
    row_errors_are_kept_up_to_a_limit_and_counted_beyond,
    an_import_keeps_the_limits_it_began_with,
    active_imports_are_bounded_in_a_race,
    wrong_limits_are_told_all_at_once,
);

/// Gives an application limits of its own.
pub async fn set_limits(server: &Server, tenant: &Tenant, limits: pb::ApplicationLimits) {
    let request = pb::UpdateApplicationRequest {
        application_id: tenant.application.clone(),
        limits: Some(limits),
        ..Default::default()
    };
    let changed = server.admin.admin().update_application(request).await.expect("new limits").into_inner();
    assert_eq!(changed.application.expect("an application").limits, Some(limits));
}

async fn newest(tenant: &Tenant) -> pb::Import {
    let list = tenant.client.imports().list_imports(pb::ListImportsRequest::default()).await.expect("a list");
    tenant.wait(&list.into_inner().imports[0].uuid).await
}

async fn sources_that_pass_a_limit_fail_and_keep_what_came_before(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "10"]).await;
    let limits = pb::ApplicationLimits::default;
    let csv = plain_csv("l", 0, 40);
    let at_row = |row: usize| csv.match_indices('\n').nth(row).expect("a row").0 as i64 + 1;
    for (name, limits, words, created) in [
        ("rows", pb::ApplicationLimits { rows: Some(25), ..limits() }, ["25 rows", "limit rows"], 25),
        (
            "upload_bytes",
            pb::ApplicationLimits { upload_bytes: Some(at_row(25) + 5), ..limits() },
            ["bytes", "limit upload_bytes"],
            25,
        ),
    ] {
        let tenant = server.tenant().await;
        set_limits(&server, &tenant, limits).await;
        // In pieces of a row or so, that the limit may lie between two.
        let answer = tenant.upload(upload_of(tenant.spec(), csv.as_bytes(), 20)).await;
        let status = answer.expect_err(name);
        assert_eq!(status.code(), Code::ResourceExhausted, "{name}: {status:?}");
        assert!(words.iter().all(|word| status.message().contains(word)), "{name}: {}", status.message());
        assert!(status.get_details_quota_failure().is_some(), "{name}");
        let failed = newest(&tenant).await;
        assert_eq!(failed.status(), ImportStatus::Failed, "{name}");
        assert!(failed.last_error().contains(words[1]), "{name}: {}", failed.last_error());
        assert_eq!(
            (failed.total_rows, failed.created_count),
            (created, created),
            "{name}: rows before are kept"
        );
        let sessions = tenant.sessions(Default::default()).await;
        assert_eq!(sessions.len() as i64, created, "{name}");
    }
    let tenant = server.tenant().await;
    set_limits(&server, &tenant, pb::ApplicationLimits { columns: Some(4), ..limits() }).await;
    let failed = tenant.import(&csv).await;
    assert_eq!((failed.status(), failed.last_error_reason()), (ImportStatus::Failed, "TOO_MANY_COLUMNS"));
    assert!(failed.last_error().contains("5 columns, and 4"), "{}", failed.last_error());
    assert!(failed.last_error().contains("limit columns"), "{}", failed.last_error());
    set_limits(&server, &tenant, pb::ApplicationLimits { row_bytes: Some(64), ..limits() }).await;
    let header = format!("external_id{}\n", ",x".repeat(40));
    let failed = tenant.import(header).await;
    assert_eq!((failed.status(), failed.last_error_reason()), (ImportStatus::Failed, "HEADER_TOO_LARGE"));
    assert!(failed.last_error().contains("64 bytes (limit row_bytes)"), "{}", failed.last_error());
}

async fn rows_that_pass_a_limit_fail_alone(database: Database) {
    let server = Server::start(database).await;
    let limits = pb::ApplicationLimits::default;
    let long = "x".repeat(40);
    for (name, limits, csv, ndjson, code, words) in [
        (
            "row_bytes",
            pb::ApplicationLimits { row_bytes: Some(64), ..limits() },
            format!("external_id,address\na,{long}{long}\nb,x\n"),
            format!("{{\"external_id\":\"a\",\"address\":\"{long}\"}}\n{{\"external_id\":\"b\"}}\n"),
            IssueCode::RecordTooLarge,
            ["64 bytes", "limit row_bytes"],
        ),
        (
            "cell_bytes",
            pb::ApplicationLimits { cell_bytes: Some(16), ..limits() },
            format!("external_id,address\na,{long}\nb,x\n"),
            format!("{{\"external_id\":\"a\",\"address\":\"{long}\"}}\n{{\"external_id\":\"b\"}}\n"),
            IssueCode::TooLong,
            ["16 are allowed", "limit cell_bytes"],
        ),
        (
            "json_depth",
            pb::ApplicationLimits { json_depth: Some(2), ..limits() },
            "external_id,metadata_json\na,\"{\"\"a\"\":{\"\"b\"\":{}}}\"\nb,\"{\"\"a\"\":{}}\"\n".to_owned(),
            "{\"external_id\":\"a\",\"metadata\":{\"a\":{\"b\":{}}}}\n{\"external_id\":\"b\",\"metadata\":{\"a\":{}}}\n"
                .to_owned(),
            IssueCode::TooDeep,
            ["2 levels", "limit json_depth"],
        ),
    ] {
        for (format, file) in [("CSV", csv), ("NDJSON", ndjson)] {
            let tenant = server.tenant().await;
            set_limits(&server, &tenant, limits).await;
            let import = tenant.import(file).await;
            assert_eq!(counters(&import), (1, 0, 1), "{name}, {format}: {}", import.last_error());
            let error = &tenant.row_errors(&import.uuid).await[0];
            assert_eq!((error.row_number, codes(error)), (1, vec![code]), "{name}, {format}");
            assert!(words.iter().all(|word| error.error.contains(word)), "{name}, {format}: {}", error.error);
        }
    }
}

async fn rows_of_a_day_are_counted_over_imports(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "10"]).await;
    let (tenant, other) = (server.tenant().await, server.tenant().await);
    let limits = pb::ApplicationLimits { rows_per_day: Some(35), ..Default::default() };
    set_limits(&server, &tenant, limits).await;
    assert_eq!(counters(&tenant.import(plain_csv("a", 0, 20)).await), (20, 0, 0));
    for kept in [10, 0] {
        let answer = tenant.upload(upload_of(tenant.spec(), plain_csv("b", 0, 20).as_bytes(), 50)).await;
        let status = assert_refused(answer, Code::ResourceExhausted, "TOO_MANY_ROWS_PER_DAY");
        assert!(status.message().contains("35 rows in 24 hours"), "{}", status.message());
        assert!(status.message().contains("limit rows_per_day"), "{}", status.message());
        let failed = newest(&tenant).await;
        assert_eq!((failed.status(), failed.total_rows), (ImportStatus::Failed, kept));
        assert_eq!(failed.processed_rows, kept, "what was stored is settled");
    }
    assert_eq!(counters(&other.import(plain_csv("a", 0, 50)).await), (50, 0, 0), "each counts its own rows");

    // M029: three at a time may pass it by what each had in hand.
    set_limits(&server, &tenant, pb::ApplicationLimits { rows_per_day: Some(100), ..Default::default() })
        .await;
    allow(&server, &tenant, 3).await;
    let upload = async |n: usize| {
        let file = plain_csv(&format!("r{n}-"), 0, 60);
        let _ = tenant.upload(upload_of(tenant.spec(), file.as_bytes(), 100)).await;
    };
    tokio::join!(upload(1), upload(2), upload(3));
    let list = tenant.client.imports().list_imports(pb::ListImportsRequest::default()).await.expect("a list");
    let rows: i64 = list.into_inner().imports.iter().map(|import| import.total_rows).sum();
    assert!((80..=120).contains(&rows), "{rows} rows");
}

async fn rows_count_from_when_they_are_stored(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let limits = pb::ApplicationLimits { rows_per_day: Some(10), ..Default::default() };
    set_limits(&server, &tenant, limits).await;
    let early = tenant.create().await.uuid;
    server.sql("UPDATE imports SET created_at = '2020-01-01T00:00:00+00:00'").await;
    let csv = plain_csv("early", 0, 8);
    let messages = vec![resume(&early, 0), chunk(0, csv.as_bytes()), finish(csv.len())];
    tenant.upload(messages).await.expect("an upload");
    assert_eq!(counters(&tenant.wait(&early).await), (8, 0, 0));
    let upload = async |prefix: &str| {
        tenant.upload(upload_of(tenant.spec(), plain_csv(prefix, 0, 8).as_bytes(), 500)).await
    };
    assert_refused(upload("a").await, Code::ResourceExhausted, "TOO_MANY_ROWS_PER_DAY");
    let other_day = "UPDATE row_tallies SET hour = '2020-01-01T00:00:00+00:00'";
    server.sql(other_day).await;
    let other = upload("b").await.expect("those of another day do not count");
    tenant.wait(&other.uuid).await;
    assert_refused(upload("c").await, Code::ResourceExhausted, "TOO_MANY_ROWS_PER_DAY");
}

async fn allow(server: &Server, tenant: &Tenant, imports: i32) {
    let request = pb::UpdateApplicationRequest {
        application_id: tenant.application.clone(),
        max_active_imports: Some(imports),
        ..Default::default()
    };
    server.admin.admin().update_application(request).await.expect("a higher limit");
}

async fn row_errors_are_kept_up_to_a_limit_and_counted_beyond(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "5", "--segments-in-flight", "4"]).await;
    for (import_type, header, row) in [
        (ImportType::UserVerification, "external_id,status\n", "bad"),
        (ImportType::BusinessVerification, "external_id,company_name\n", ""),
        (ImportType::StatusRules, "external_id,feature,field,operator,status\n", "x,x,x,x"),
    ] {
        for limit in [7, 0] {
            let tenant = server.tenant().await;
            let limits = pb::ApplicationLimits { stored_row_errors: Some(limit), ..Default::default() };
            set_limits(&server, &tenant, limits).await;
            let rows: String = (0..60).map(|n| format!("e{n},{row}\n")).collect();
            let spec = spec_of(&server, &tenant, import_type).await;
            let import = tenant.import_as(spec, header.to_owned() + &rows).await.expect("an import");
            assert_eq!(import.status(), ImportStatus::Completed, "{import_type:?}");
            assert_eq!((import.failed_count, import.stored_error_count), (60, limit), "{import_type:?}");
            assert_eq!(tenant.row_errors(&import.uuid).await.len() as i64, limit, "{import_type:?}");
            let exported = String::from_utf8(tenant.export(&import.uuid, &[]).await).expect("text");
            assert_eq!(exported.lines().count(), 61, "{import_type:?}: the export needs no row error");
        }
    }
}

async fn an_import_keeps_the_limits_it_began_with(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "5"]).await;
    let tenant = server.tenant().await;
    let csv = plain_csv("k", 0, 20);
    let id = tenant.create().await.uuid;
    let tight = pb::ApplicationLimits { rows: Some(5), row_bytes: Some(64), ..Default::default() };
    set_limits(&server, &tenant, tight).await;
    let mut messages = vec![resume(&id, 0)];
    messages.extend(chunks(csv.as_bytes(), 0, 100));
    messages.push(finish(csv.len()));
    tenant.upload(messages).await.expect("the limits are those of the beginning");
    assert_eq!(counters(&tenant.wait(&id).await), (20, 0, 0));
    let answer = tenant.upload(upload_of(tenant.spec(), csv.as_bytes(), 100)).await;
    assert_refused(answer, Code::ResourceExhausted, "TOO_MANY_ROWS");
    newest(&tenant).await;
    // Limits that are not given any more are the server's again.
    set_limits(&server, &tenant, pb::ApplicationLimits::default()).await;
    assert_eq!(tenant.import(&csv).await.status(), ImportStatus::Completed);
}

/// M029 for imports at a time.
async fn active_imports_are_bounded_in_a_race(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    allow(&server, &tenant, 3).await;
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let (mut imports, spec) = (tenant.client.imports(), Some(tenant.spec()));
            let request = pb::CreateImportRequest { spec, request_id: String::new() };
            tokio::spawn(async move { imports.create_import(request).await })
        })
        .collect();
    let mut made = 0;
    for call in calls {
        match call.await.expect("a task") {
            Ok(_) => made += 1,
            Err(status) => {
                let words = "3 are allowed (limit max_active_imports)";
                assert!(status.message().contains(words), "{status:?}");
            }
        }
    }
    assert_eq!(made, 3);
}

async fn wrong_limits_are_told_all_at_once(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let all = |limit: i64| pb::ApplicationLimits {
        upload_bytes: Some(limit),
        rows: Some(limit),
        rows_per_day: Some(limit),
        row_bytes: Some(limit),
        columns: Some(limit),
        cell_bytes: Some(limit),
        json_depth: Some(limit),
        stored_row_errors: Some(limit),
        stored_warnings: Some(limit),
        source_retention_days: Some(limit),
    };
    for (limit, wrong) in [(-1, 11), (i64::MIN, 11), (i64::MAX, 11), (0, 8)] {
        let request = pb::UpdateApplicationRequest {
            application_id: tenant.application.clone(),
            max_active_imports: Some(0),
            limits: Some(all(limit)),
            ..Default::default()
        };
        let answer = server.admin.admin().update_application(request).await;
        let status = assert_refused(answer, Code::InvalidArgument, "INVALID_FIELDS");
        let violations = status.get_details_bad_request().expect("field violations").field_violations;
        assert_eq!(violations.len(), wrong, "{limit}: {violations:?}");
        assert!(violations.iter().any(|violation| violation.field == "limits.json_depth"), "{violations:?}");
    }
    let page = server.admin.admin().list_applications(pb::ListApplicationsRequest::default()).await;
    let page = page.expect("a page").into_inner();
    let own = page.applications.iter().find(|own| own.id == tenant.application).expect("the application");
    assert_eq!(own.limits.unwrap_or_default(), pb::ApplicationLimits::default(), "nothing was changed");
}
