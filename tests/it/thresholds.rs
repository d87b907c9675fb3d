//! Too many failed rows fail an import early, with everything before kept and counted.

use carryover::grpc::pb::{self, ImportStatus};
use tonic::Code;

use crate::{
    harness::{
        Database, Server, assert_refused, chunk, chunks, counters, finish, plain_csv, resume, upload_of,
    },
    on_both_databases, stored,
};

on_both_databases!(
    one_failed_row_too_many_fails_the_import,
    a_share_of_failed_rows_counts_from_its_sample_on,
    an_upload_is_told_while_it_is_sent,
    senseless_thresholds_are_refused,
    a_dry_run_fails_as_the_import_would,
);

/// `good` rows, then `bad` ones, then good ones again.
fn csv(prefix: &str, good: usize, bad: usize, after: usize) -> String {
    let mut csv = plain_csv(prefix, 0, good);
    for n in 0..bad {
        csv.push_str(&format!("{prefix}bad{n},Unheard,A,B,C\n"));
    }
    let rest = plain_csv(prefix, good, after);
    csv.push_str(rest.split_once('\n').expect("a header").1);
    csv
}

async fn one_failed_row_too_many_fails_the_import(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "10", "--segments-in-flight", "1"]).await;
    let tenant = server.tenant().await;
    // Five bad rows in the third segment.
    let file = csv("t", 20, 5, 100);
    for (limit, fails) in [(4, true), (5, false)] {
        let spec = pb::ImportSpec {
            max_failed_rows: Some(limit),
            start: pb::StartMode::AfterUpload as i32,
            provider: format!("p{limit}"),
            ..tenant.spec()
        };
        let import = tenant.import_as(spec, &file).await.expect("an import");
        assert_eq!(import.max_failed_rows, Some(limit));
        if !fails {
            assert_eq!((import.status(), counters(&import)), (ImportStatus::Completed, (120, 0, 5)));
            continue;
        }
        assert_eq!(
            (import.status(), import.last_error_reason()),
            (ImportStatus::Failed, "TOO_MANY_FAILED_ROWS")
        );
        assert_eq!(import.last_error(), "5 rows failed, and the spec allows 4 (max_failed_rows)");
        assert_eq!(
            (counters(&import), import.checkpoint_row),
            ((25, 0, 5), 30),
            "the segment that passed it is kept"
        );
        assert_eq!(tenant.row_errors(&import.uuid).await.len(), 5);
        let filter = pb::ListSessionsRequest { provider: "p4".to_owned(), ..Default::default() };
        assert_eq!(tenant.sessions(filter).await.len(), 25);
    }
    let none = pb::ImportSpec { max_failed_rows: Some(0), provider: "zero".to_owned(), ..tenant.spec() };
    let import = tenant.import_as(none, csv("z", 1, 1, 0)).await.expect("an import");
    assert_eq!((import.status(), counters(&import)), (ImportStatus::Failed, (1, 0, 1)));
}

async fn a_share_of_failed_rows_counts_from_its_sample_on(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "10", "--segments-in-flight", "1"]).await;
    let tenant = server.tenant().await;
    let spec = |provider: &str| pb::ImportSpec {
        max_failed_ratio: Some(0.2),
        failed_ratio_min_rows: Some(30),
        start: pb::StartMode::AfterUpload as i32,
        provider: provider.to_owned(),
        ..tenant.spec()
    };
    // Half of the first segment is bad, a fifth of the first thirty rows is not more than a fifth.
    let import = tenant.import_as(spec("a"), csv("a", 5, 6, 89)).await.expect("an import");
    assert_eq!((import.status(), counters(&import)), (ImportStatus::Completed, (94, 0, 6)));
    let import = tenant.import_as(spec("b"), csv("b", 5, 7, 88)).await.expect("an import");
    assert_eq!((import.status(), import.last_error_reason()), (ImportStatus::Failed, "FAILED_RATIO"));
    assert_eq!(counters(&import), (23, 0, 7));
    assert!(import.last_error().contains("7 of 30 rows failed"), "{}", import.last_error());
}

async fn an_upload_is_told_while_it_is_sent(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "10"]).await;
    let tenant = server.tenant().await;
    let file = csv("u", 0, 10, 5_000);
    let spec = pb::ImportSpec { max_failed_rows: Some(3), ..tenant.spec() };
    let request = pb::CreateImportRequest { spec: Some(spec), request_id: String::new() };
    let made = tenant.client.imports().create_import(request).await.expect("made").into_inner();
    let id = made.import.expect("one").uuid;
    let begun = vec![resume(&id, 0), chunk(0, &file.as_bytes()[..2_000])];
    assert!(tenant.upload(begun).await.is_err(), "it broke off");
    let failed = tenant.wait(&id).await;
    assert_eq!((failed.status(), failed.upload_finished), (ImportStatus::Failed, false));
    let from = failed.committed_size as usize;
    let mut rest = vec![resume(&id, from as i64)];
    rest.extend(chunks(file.as_bytes(), from, 1_000));
    rest.push(finish(file.len()));
    let refused = assert_refused(tenant.upload(rest).await, Code::FailedPrecondition, "TOO_MANY_FAILED_ROWS");
    assert!(refused.message().contains("10 rows failed"), "{refused:?}");
}

async fn senseless_thresholds_are_refused(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let spec = |rows, ratio, sample| pb::ImportSpec {
        max_failed_rows: rows,
        max_failed_ratio: ratio,
        failed_ratio_min_rows: sample,
        ..tenant.spec()
    };
    for (spec, field) in [
        (spec(Some(-1), None, None), "spec.max_failed_rows"),
        (spec(None, Some(0.0), None), "spec.max_failed_ratio"),
        (spec(None, Some(1.0), None), "spec.max_failed_ratio"),
        (spec(None, Some(f64::NAN), None), "spec.max_failed_ratio"),
        (spec(None, Some(0.5), Some(0)), "spec.failed_ratio_min_rows"),
    ] {
        let refused = tenant.upload(upload_of(spec, b"external_id\n", 10)).await;
        let refused = assert_refused(refused, Code::InvalidArgument, "INVALID_FIELDS");
        assert!(refused.message().contains(field), "{refused:?}");
    }
}

async fn a_dry_run_fails_as_the_import_would(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "10", "--segments-in-flight", "1"]).await;
    let tenant = server.tenant().await;
    let spec = |dry_run| pb::ImportSpec {
        max_failed_rows: Some(2),
        start: pb::StartMode::AfterUpload as i32,
        dry_run,
        ..tenant.spec()
    };
    let file = csv("d", 15, 3, 40);
    let dry = tenant.import_as(spec(true), &file).await.expect("an import");
    let keys = stored::texts(&server, "SELECT COUNT(*) FROM dry_run_keys").await;
    assert_eq!(keys, ["0"], "nothing of it is left");
    let real = tenant.import_as(spec(false), &file).await.expect("an import");
    assert_eq!(dry.status(), ImportStatus::Failed);
    assert_eq!(
        (dry.status(), counters(&dry), dry.last_error),
        (real.status(), counters(&real), real.last_error)
    );
}
