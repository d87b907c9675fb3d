//! Sources that the server fetches by URL.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use carryover::grpc::pb::{self, ImportStatus};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::{
    fake_dns::{A, Question, Reply},
    fake_origin::Step,
    harness::{Database, Server, Tenant},
    metrics::until,
    on_both_databases,
    outside::{HOME, Outside, PRIVATE, head, ok, path, redirect},
};

on_both_databases!(
    a_source_is_fetched,
    what_is_condemned_is_refused_at_once,
    what_cannot_be_fetched_fails_the_import,
    what_passes_is_tried_again,
    a_broken_fetch_goes_on_where_it_was,
    a_server_without_ranges_is_asked_for_all_again,
    a_source_that_gets_on_is_not_waited_for,
    a_source_that_breaks_off_again_and_again_gets_on,
    a_file_that_has_changed_is_not_mixed,
    nobody_uploads_into_it,
    a_cancelled_import_stays_so,
    another_server_goes_on,
);

const FILE: &str = "external_id,vendor_data,status\na,ann,Approved\nb,bob,Declined\nc,cat,Approved\nd,dan,Approved\n\
    e,eve,wrong\n";

/// A server that may reach a test's internet.
async fn server(database: Database, outside: &Outside, flags: &[&str]) -> (Server, tempfile::NamedTempFile) {
    let (owned, roots) = flags_for(outside);
    let mut all: Vec<&str> = owned.iter().map(String::as_str).collect();
    all.extend(flags);
    (Server::start_with(database, &all).await, roots)
}

fn flags_for(outside: &Outside) -> (Vec<String>, tempfile::NamedTempFile) {
    let (mut flags, roots) = outside.flags();
    flags.push("--segment-rows=2".to_owned());
    (flags, roots)
}

async fn create(tenant: &Tenant, url: &str) -> Result<pb::Import, Status> {
    let spec = pb::ImportSpec { source_file_url: url.to_owned(), ..tenant.spec() };
    let request = pb::CreateImportRequest { spec: Some(spec), request_id: String::new() };
    let made = tenant.client.imports().create_import(request).await?;
    Ok(made.into_inner().import.expect("an import"))
}

async fn fetched(tenant: &Tenant, url: &str) -> pb::Import {
    let import = create(tenant, url).await.expect("an import");
    tenant.wait(&import.uuid).await
}

fn assert_whole(import: &pb::Import) {
    assert_eq!(import.status(), ImportStatus::Completed, "{:?}", import.last_error);
    assert_eq!((import.total_rows, import.created_count, import.failed_count), (5, 4, 1));
    assert_eq!(import.source_bytes, FILE.len() as i64);
}

async fn a_source_is_fetched(database: Database) {
    let packed = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        std::io::Write::write_all(&mut encoder, FILE.as_bytes()).expect("packed");
        encoder.finish().expect("packed")
    };
    let outside = Outside::answering(move |request| match path(request) {
        "/old/people.csv?token=marker" => redirect(302, "/exports/people.csv?token=marker"),
        "/people.csv.gz" => {
            let length = format!("Content-Length: {}", packed.len());
            vec![head(&["HTTP/1.1 200 OK", &length]), Step::Send(packed.clone())]
        }
        _ => ok(FILE),
    });
    let outside = outside.await;
    let (server, _roots) = server(database, &outside, &[]).await;
    let tenant = server.tenant().await;
    let import = fetched(&tenant, &outside.url("/old/people.csv?token=marker")).await;
    assert_whole(&import);
    assert_eq!(import.source_file_url, Some(outside.url("/old/people.csv")));
    assert_eq!((import.source_filename.as_str(), import.upload_finished), ("people.csv", true));
    assert!(!format!("{import:?}").contains("marker"), "{import:?}");
    let errors = tenant.row_errors(&import.uuid).await;
    assert_eq!(errors.iter().map(|error| error.row_number).collect::<Vec<_>>(), [5]);

    let import = fetched(&tenant, &outside.url("/people.csv.gz")).await;
    assert_eq!(import.compression(), pb::Compression::Gzip);
    assert_eq!((import.total_rows, import.skipped_count, import.failed_count), (5, 4, 1));
}

async fn what_is_condemned_is_refused_at_once(database: Database) {
    let outside = Outside::answering(|_| ok(FILE)).await;
    let (server, _roots) = server(database, &outside, &[]).await;
    let tenant = server.tenant().await;
    for url in [
        "people.csv",
        "http://example.com/people.csv",
        "https://user:pass@example.com/people.csv",
        "https://example.com:8443/people.csv",
        "https://localhost/people.csv",
        "https://127.0.0.2/people.csv",
        "https://169.254.169.254/latest",
        "https://[::ffff:10.0.0.1]/people.csv",
    ] {
        let refused = create(&tenant, url).await.expect_err(url);
        assert_eq!(refused.code(), Code::InvalidArgument, "{url}: {refused}");
        let violations = refused.get_details_bad_request().expect("violations").field_violations;
        assert_eq!(violations.len(), 1, "{url}");
        assert_eq!(violations[0].field, "spec.source_file_url", "{url}");
    }
    let listed = tenant.client.imports().list_imports(pb::ListImportsRequest::default()).await;
    assert_eq!(listed.expect("a list").into_inner().imports.len(), 0);
    assert_eq!((outside.origin.connections(), outside.dns.asked().len()), (0, 0));
}

async fn what_cannot_be_fetched_fails_the_import(database: Database) {
    let names = |question: &Question| match question.name.as_str() {
        _ if question.kind != A => Reply::none(),
        name if name.starts_with("inside.") => Reply::a(&[HOME, PRIVATE]),
        _ => Reply::a(&[HOME]),
    };
    let answers = |request: &str| match path(request) {
        "/missing.csv?token=marker" => vec![head(&["HTTP/1.1 404 Not Found", "Content-Length: 0"])],
        "/plain.csv" => redirect(302, "http://media.example.com/people.csv"),
        "/large.csv" => vec![head(&["HTTP/1.1 200 OK", "Content-Length: 2000"]), Step::Hang],
        "/endless.csv" => vec![head(&["HTTP/1.1 200 OK"]), Step::Endless(b"a,b,c\n".to_vec())],
        _ => ok(FILE),
    };
    let outside = Outside::start(names, answers).await;
    let (server, _roots) = server(database, &outside, &["--max-upload-bytes", "1KiB"]).await;
    let tenant = server.tenant().await;
    let inside = format!("https://inside.example.com:{}/people.csv", outside.origin.port);
    for (url, reason) in [
        (outside.url("/missing.csv?token=marker"), "HTTP_STATUS"),
        (outside.url("/plain.csv"), "URL_SCHEME"),
        (outside.url("/large.csv"), "UPLOAD_TOO_LARGE"),
        (inside, "URL_ADDRESS"),
    ] {
        let import = fetched(&tenant, &url).await;
        assert_eq!(import.status(), ImportStatus::Failed, "{url}");
        assert_eq!(import.last_error_reason.as_deref(), Some(reason), "{url}: {:?}", import.last_error);
        assert!(!format!("{import:?}").contains("marker"), "{import:?}");
        assert_eq!(import.total_rows, 0);
    }
    let import = fetched(&tenant, &outside.url("/endless.csv")).await;
    assert_eq!(import.status(), ImportStatus::Failed);
    assert!(import.source_bytes <= 1024, "{}", import.source_bytes);
}

async fn what_passes_is_tried_again(database: Database) {
    let asked = AtomicUsize::new(0);
    let outside = Outside::answering(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => vec![head(&["HTTP/1.1 503 Busy", "Content-Length: 0", "Retry-After: 0"])],
        1 => vec![Step::Cut],
        _ => ok(FILE),
    });
    let outside = outside.await;
    let (server, _roots) = server(database, &outside, &[]).await;
    let tenant = server.tenant().await;
    let import = create(&tenant, &outside.url("/people.csv")).await.expect("an import");
    let seen = tenant.watch(&import.uuid).await;
    assert_whole(seen.last().expect("a snapshot"));
    let waits: Vec<_> = seen.iter().filter_map(|import| import.waiting_reason.as_deref()).collect();
    assert!(waits.contains(&"HTTP_STATUS"), "{waits:?}");
    assert_eq!(seen.last().expect("one").waiting_reason, None);
    assert_eq!(outside.origin.requests().len(), 3);
}

/// The first answer breaks off behind the third row, at byte 78; how the second one is asked for is told.
fn broken_first(
    then: impl Fn(&str) -> Vec<Step> + Send + Sync + 'static,
) -> impl Fn(&str) -> Vec<Step> + Send + Sync + 'static {
    let asked = AtomicUsize::new(0);
    move |request| {
        if asked.fetch_add(1, Ordering::SeqCst) > 0 {
            return then(request);
        }
        let length = format!("Content-Length: {}", FILE.len());
        let begun = head(&["HTTP/1.1 200 OK", &length, "ETag: \"one\"", "Accept-Ranges: bytes"]);
        let rest = std::time::Duration::from_millis(20);
        vec![
            begun,
            Step::Send(FILE.as_bytes()[..78].to_vec()),
            Step::Trickle(b"d,da".to_vec(), rest),
            Step::Cut,
        ]
    }
}

fn range(request: &str) -> Option<usize> {
    let line = request.lines().find(|line| line.to_lowercase().starts_with("range:"))?;
    line.split_once("bytes=")?.1.trim_end_matches('-').parse().ok()
}

async fn a_broken_fetch_goes_on_where_it_was(database: Database) {
    let outside = Outside::answering(broken_first(|request| {
        assert!(request.to_lowercase().contains("if-match: \"one\""), "{request}");
        let from = range(request).expect("a range");
        let rest = &FILE[from..];
        let part = format!("Content-Range: bytes {from}-{}/{}", FILE.len() - 1, FILE.len());
        let length = format!("Content-Length: {}", rest.len());
        let begun = head(&["HTTP/1.1 206 Partial Content", &length, &part, "ETag: \"one\""]);
        vec![begun, Step::Send(rest.as_bytes().to_vec())]
    }));
    let outside = outside.await;
    let (server, _roots) = server(database, &outside, &[]).await;
    let tenant = server.tenant().await;
    assert_whole(&fetched(&tenant, &outside.url("/people.csv")).await);
    let froms: Vec<_> = outside.origin.requests().iter().map(|request| range(request)).collect();
    let second = FILE.find("c,cat").expect("the third row");
    assert_eq!(froms, [None, Some(second)], "behind the segment that is stored");
}

/// Longer than the failures in a row that are put up with.
async fn a_source_that_breaks_off_again_and_again_gets_on(database: Database) {
    const PIECES: usize = 8;
    let rows: String = (0..2 * PIECES).map(|row| format!("row-{row},ann,Approved\n")).collect();
    let file = format!("external_id,vendor_data,status\n{rows}");
    let size = file.len();
    let served = file.clone();
    let outside = Outside::answering(move |request| {
        let from = range(request).unwrap_or(0);
        let part = format!("Content-Range: bytes {from}-{}/{size}", size - 1);
        let status = if from == 0 { "200 OK" } else { "206 Partial Content" };
        let length = format!("Content-Length: {}", size - from);
        let begun = head(&[&format!("HTTP/1.1 {status}"), &length, &part, "ETag: \"one\""]);
        // Two rows, and what shows that the second has ended.
        let breaks = served[from..].match_indices("row-").nth(2).map_or(size, |(at, _)| from + at + 4);
        let rest = std::time::Duration::from_millis(20);
        let mut steps = vec![begun, Step::Send(served.as_bytes()[from..breaks - 2].to_vec())];
        steps.push(Step::Trickle(served.as_bytes()[breaks - 2..breaks].to_vec(), rest));
        steps.extend((breaks < size).then_some(Step::Cut));
        steps
    });
    let outside = outside.await;
    let (server, _roots) = server(database, &outside, &[]).await;
    let tenant = server.tenant().await;
    let import = fetched(&tenant, &outside.url("/people.csv")).await;
    assert_eq!((import.status(), import.created_count), (ImportStatus::Completed, 2 * PIECES as i64));
    assert_eq!(outside.origin.requests().len(), PIECES);
}

async fn a_source_that_gets_on_is_not_waited_for(database: Database) {
    const PIECE: usize = 1_500_000;
    let rows: String = (0..24).map(|row| format!("row-{row},Approved,{}\n", "x".repeat(200_000))).collect();
    let file = format!("external_id,status,remark\n{rows}");
    let size = file.len();
    let outside = Outside::answering(move |request| {
        let from = range(request).unwrap_or(0);
        let part = format!("Content-Range: bytes {from}-{}/{size}", size - 1);
        let status = if from == 0 { "200 OK" } else { "206 Partial Content" };
        let length = format!("Content-Length: {}", size - from);
        let begun = head(&[&format!("HTTP/1.1 {status}"), &length, &part, "ETag: \"one\""]);
        let breaks = size.min(from + PIECE);
        let mut steps = vec![begun, Step::Send(file.as_bytes()[from..breaks].to_vec())];
        steps.extend((breaks < size).then_some(Step::Cut));
        steps
    });
    let outside = outside.await;
    let (server, _roots) = server(database, &outside, &["--metrics-listen", "127.0.0.1:0"]).await;
    let tenant = server.tenant().await;
    let import = fetched(&tenant, &outside.url("/people.csv")).await;
    assert_eq!(
        (import.status(), import.created_count),
        (ImportStatus::Completed, 24),
        "{:?}",
        import.last_error
    );
    let tries = outside.origin.requests().len();
    assert!(tries > size / PIECE, "{tries}");
    let text = until(&server, "carryover_fetches_total{result=\"stored\"}", 1.0).await;
    for (result, count) in [("gone_on", tries - 1), ("put_off", 0), ("stored", 1)] {
        let line = format!("carryover_fetches_total{{result=\"{result}\"}} {count}\n");
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
}

async fn a_server_without_ranges_is_asked_for_all_again(database: Database) {
    let outside = Outside::answering(broken_first(|_| ok(FILE))).await;
    let (server, _roots) = server(database, &outside, &[]).await;
    let tenant = server.tenant().await;
    assert_whole(&fetched(&tenant, &outside.url("/people.csv")).await);
}

async fn a_file_that_has_changed_is_not_mixed(database: Database) {
    let other = FILE.replace("ann,Approved", "ANN,Approved");
    let outside = Outside::answering(broken_first(move |_| ok(&other))).await;
    let (server, _roots) = server(database, &outside, &[]).await;
    let tenant = server.tenant().await;
    let import = fetched(&tenant, &outside.url("/people.csv")).await;
    assert_eq!(import.status(), ImportStatus::Failed);
    assert_eq!(import.last_error_reason.as_deref(), Some("SOURCE_CHANGED"));
    assert_eq!(import.total_rows, 2);
}

async fn nobody_uploads_into_it(database: Database) {
    let outside = Outside::answering(|_| vec![Step::Hang]).await;
    let (server, _roots) = server(database, &outside, &[]).await;
    let tenant = server.tenant().await;
    let import = create(&tenant, &outside.url("/people.csv")).await.expect("an import");
    let resume = pb::UploadResume { import_id: import.uuid.clone(), write_offset: 0 };
    let message = pb::upload_import_request::Message::Resume(resume);
    let refused = tenant.upload(vec![pb::UploadImportRequest { message: Some(message) }]).await;
    assert_eq!(refused.expect_err("it is fetched").code(), Code::InvalidArgument);
    let spec = pb::ImportSpec { source_file_url: outside.url("/people.csv"), ..tenant.spec() };
    let refused = tenant.import_as(spec, FILE).await.expect_err("either or");
    assert!(refused.message().contains("spec.source_file_url"), "{refused}");
}

async fn a_cancelled_import_stays_so(database: Database) {
    let outside = Outside::answering(|_| {
        vec![head(&["HTTP/1.1 200 OK"]), Step::Send(FILE.as_bytes()[..78].to_vec()), Step::Hang]
    });
    let outside = outside.await;
    let (server, _roots) = server(database, &outside, &["--lease-seconds", "1"]).await;
    let tenant = server.tenant().await;
    let import = create(&tenant, &outside.url("/people.csv")).await.expect("an import");
    while tenant.get(&import.uuid).await.processed_rows < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let request = pb::CancelImportRequest { import_id: import.uuid.clone() };
    tenant.client.imports().cancel_import(request).await.expect("cancelled");
    // The fetch is given up, so that the next one has room, and nobody begins it again.
    for _ in 0..4 {
        let other = create(&tenant, &outside.url("/people.csv")).await.expect("an import");
        let request = pb::CancelImportRequest { import_id: other.uuid.clone() };
        tenant.client.imports().cancel_import(request).await.expect("cancelled");
        assert_eq!(tenant.wait(&other.uuid).await.status(), ImportStatus::Cancelled);
    }
    let after = tenant.get(&import.uuid).await;
    assert_eq!((after.status(), after.waiting_reason.as_deref()), (ImportStatus::Cancelled, None));
    assert_eq!(after.processed_rows, 2);
}

async fn another_server_goes_on(database: Database) {
    let asked = Arc::<AtomicUsize>::default();
    let count = asked.clone();
    let outside = Outside::answering(move |_| {
        if count.fetch_add(1, Ordering::SeqCst) > 0 {
            return ok(FILE);
        }
        vec![head(&["HTTP/1.1 200 OK"]), Step::Send(FILE.as_bytes()[..78].to_vec()), Step::Hang]
    });
    let outside = outside.await;
    let (server, _roots) = server(database, &outside, &[]).await;
    let tenant = server.tenant().await;
    let import = create(&tenant, &outside.url("/people.csv")).await.expect("an import");
    while tenant.get(&import.uuid).await.processed_rows < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let (flags, _kept) = flags_for(&outside);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let server = server.restart(&flags).await;
    let client = server.admin.with_key(&tenant.key).expect("a client");
    let tenant = Tenant { client, ..tenant };
    assert_whole(&tenant.wait(&import.uuid).await);
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}
