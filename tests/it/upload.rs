//! Uploads: cuts anywhere, broken streams, checksums, order of messages, finishing twice.

use std::time::Duration;

use carryover::grpc::pb::{self, ImportStatus, upload_import_request::Message};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use crate::{
    harness::{
        Database, Server, Tenant, assert_refused, chunk, chunks, codes, counters, fact, finish, gzip,
        message, plain_csv, resume, start, upload_of, zstd,
    },
    on_both_databases,
};

on_both_databases!(
    any_cut_gives_the_same_import,
    a_broken_upload_goes_on_where_it_stopped,
    a_broken_packed_upload_is_sent_again,
    finishing_twice_answers_the_same,
    request_ids_make_creation_idempotent,
    sizes_and_checksums_are_checked,
    after_upload_holds_rows_back,
    work_begins_while_the_upload_goes_on,
    messages_out_of_order_are_refused,
    limits_are_kept,
    another_file_cannot_be_resumed_into,
    a_spec_is_checked_field_by_field,
);

async fn tenant(database: Database) -> (Server, Tenant) {
    let server = Server::start_with(database, &["--segment-rows", "10"]).await;
    let tenant = server.tenant().await;
    (server, tenant)
}

/// BOM, CRLF, quoted line ends, characters of two to four bytes.
const NASTY: &str = "\u{feff}external_id,first_name,address\r\nn-1,\"Zoë \"\"Z\"\"\",\"a,\r\nb\"\r\nn-2,李小龍,\"😀\"\r\nn-3,,\r\n";

async fn any_cut_gives_the_same_import(database: Database) {
    let (_server, tenant) = tenant(database).await;
    let reference = tenant.import(NASTY).await;
    assert_eq!(counters(&reference), (3, 0, 0));
    for size in [1, 2, 3, 5, 7, 64] {
        let import =
            tenant.upload(upload_of(tenant.spec(), NASTY.as_bytes(), size)).await.expect("an upload");
        let import = tenant.wait(&import.uuid).await;
        assert_eq!((import.total_rows, counters(&import)), (3, (0, 3, 0)), "chunks of {size}");
        assert_eq!(import.source_bytes, reference.source_bytes);
    }
    let names: Vec<_> = tenant.sessions(Default::default()).await.into_iter().map(|s| s.full_name).collect();
    assert_eq!(names, [None, Some("李小龍".to_owned()), Some("Zoë \"Z\"".to_owned())]);
}

/// Sends messages and then breaks the stream off without half-closing it.
pub async fn send_and_break(
    tenant: &Tenant,
    import: &str,
    messages: Vec<pb::UploadImportRequest>,
) -> pb::Import {
    let (sender, receiver) = mpsc::channel(1);
    let mut client = tenant.client.imports();
    let call = tokio::spawn(async move { client.upload_import(ReceiverStream::new(receiver)).await });
    for message in messages {
        sender.send(message).await.expect("the call runs");
    }
    // What was sent is stored a moment later, when nothing more has come of it for a while; then the client is gone.
    let (mut stored, mut looks) = (0, 0);
    while looks < 10 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = tenant.get(import).await.total_rows;
        looks = if now == stored && now > 0 { looks + 1 } else { 0 };
        stored = now;
    }
    call.abort();
    let _ = call.await;
    tenant.get(import).await
}

/// E037, and what the client does then.
async fn a_broken_upload_goes_on_where_it_stopped(database: Database) {
    let (_server, tenant) = tenant(database).await;
    let csv = plain_csv("b-", 0, 95);
    let bytes = csv.as_bytes();
    let id = tenant.create().await.uuid;
    let mut messages = vec![resume(&id, 0)];
    messages.extend(chunks(&bytes[..bytes.len() / 2], 0, 100));
    let broken = send_and_break(&tenant, &id, messages).await;
    let committed = broken.committed_size as usize;
    assert!(committed > 0 && committed <= bytes.len() / 2, "{committed}");
    assert!(!broken.upload_finished && broken.status() != ImportStatus::Completed);
    assert_eq!(bytes[committed - 1], b'\n', "whole records are committed");

    let mut messages = vec![resume(&id, committed as i64)];
    messages.extend(chunks(bytes, committed, 1000));
    messages.push(finish(bytes.len()));
    tenant.upload(messages).await.expect("the rest");
    let import = tenant.wait(&id).await;
    assert_eq!((import.total_rows, counters(&import)), (95, (95, 0, 0)));
    assert_eq!(import.committed_size, bytes.len() as i64);
    let mut rows: Vec<_> = tenant
        .sessions(Default::default())
        .await
        .into_iter()
        .map(|s| (s.row_number, s.external_id))
        .collect();
    rows.sort();
    let expected: Vec<_> = (0..95).map(|n| (n + 1, format!("b-{n}"))).collect();
    assert_eq!(rows, expected, "row numbers follow the file over the break");
}

async fn a_broken_packed_upload_is_sent_again(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "500"]).await;
    let tenant = server.tenant().await;
    for (name, pack) in [("gzip", gzip as fn(&[u8]) -> Vec<u8>), ("zstd", zstd)] {
        // Enough that half of the packed file decodes to several segments.
        let csv = plain_csv(name, 0, 20_000);
        let packed = pack(csv.as_bytes());
        let id = tenant.create().await.uuid;
        let mut messages = vec![resume(&id, 0)];
        messages.extend(chunks(&packed[..packed.len() / 2], 0, 4096));
        let broken = send_and_break(&tenant, &id, messages).await;
        assert!(broken.total_rows > 0, "{name}: segments were stored");
        assert_eq!(broken.committed_size, 0, "{name}: a packed upload is sent again from its start");

        let mut messages = vec![resume(&id, 0)];
        messages.extend(chunks(&packed, 0, 50_000));
        messages.push(finish(packed.len()));
        tenant.upload(messages).await.expect("the whole file");
        let import = tenant.wait(&id).await;
        assert_eq!((import.total_rows, counters(&import)), (20_000, (20_000, 0, 0)), "{name}");
        assert_eq!(import.source_bytes, csv.len() as i64);
    }
}

async fn another_file_cannot_be_resumed_into(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "500"]).await;
    let tenant = server.tenant().await;
    let packed = gzip(plain_csv("a", 0, 20_000).as_bytes());
    let id = tenant.create().await.uuid;
    let mut messages = vec![resume(&id, 0)];
    messages.extend(chunks(&packed[..packed.len() / 2], 0, 4096));
    send_and_break(&tenant, &id, messages).await;
    let other = gzip(plain_csv("b", 0, 20_000).as_bytes());
    let mut messages = vec![resume(&id, 0)];
    messages.extend(chunks(&other, 0, 50_000));
    messages.push(finish(other.len()));
    assert_refused(tenant.upload(messages).await, Code::FailedPrecondition, "SOURCE_CHANGED");
}

async fn finishing_twice_answers_the_same(database: Database) {
    let (_server, tenant) = tenant(database).await;
    let csv = plain_csv("f", 0, 5);
    let id = tenant.create().await.uuid;
    let mut messages = vec![resume(&id, 0)];
    messages.extend(chunks(csv.as_bytes(), 0, 64));
    messages.push(finish(csv.len()));
    let first = tenant.upload(messages.clone()).await.expect("an upload");
    tenant.wait(&id).await;
    for again in [messages, vec![resume(&id, csv.len() as i64), finish(csv.len())]] {
        let second = tenant.upload(again).await.expect("the same answer");
        assert_eq!(
            (second.uuid, second.total_rows, second.committed_size),
            (first.uuid.clone(), 5, csv.len() as i64)
        );
    }
    assert_eq!(counters(&tenant.get(&id).await), (5, 0, 0));
}

async fn request_ids_make_creation_idempotent(database: Database) {
    let (_server, tenant) = tenant(database).await;
    let create = |spec: pb::ImportSpec| {
        let mut client = tenant.client.imports();
        let request = pb::CreateImportRequest { spec: Some(spec), request_id: "r-1".to_owned() };
        async move {
            client
                .create_import(request)
                .await
                .map(|answer| answer.into_inner().import.expect("an import").uuid)
        }
    };
    let first = create(tenant.spec()).await.expect("an import");
    assert_eq!(create(tenant.spec()).await.expect("the same"), first);
    let other = pb::ImportSpec { provider: "veriff".to_owned(), ..tenant.spec() };
    assert_refused(create(other).await, Code::AlreadyExists, "REQUEST_ID_REUSED");
    let csv = plain_csv("r", 0, 2);
    let begin =
        message(Message::Start(pb::UploadStart { spec: Some(tenant.spec()), request_id: "r-1".to_owned() }));
    let mut messages = vec![begin];
    messages.extend(chunks(csv.as_bytes(), 0, 64));
    messages.push(finish(csv.len()));
    let uploaded = tenant.upload(messages).await.expect("the upload");
    assert_eq!(uploaded.uuid, first, "start with the same request_id goes into the same import");
}

/// E041 for chunks, and what the whole is compared with.
async fn sizes_and_checksums_are_checked(database: Database) {
    let (_server, tenant) = tenant(database).await;
    let csv = plain_csv("c", 0, 3);
    let bytes = csv.as_bytes();

    let broken = |offset: usize, data: &[u8]| {
        let mut broken = chunk(offset, data);
        if let Some(Message::Chunk(chunk)) = &mut broken.message {
            chunk.crc32c = Some(1);
        }
        broken
    };
    let answer = tenant.upload(vec![start(tenant.spec()), broken(0, bytes), finish(bytes.len())]).await;
    let status = assert_refused(answer, Code::DataLoss, "CHUNK_CHECKSUM_MISMATCH");
    assert_eq!(fact(&status, "offset"), "0");
    let request = pb::ListImportsRequest::default();
    let id = tenant.client.imports().list_imports(request).await.expect("a list").into_inner().imports[0]
        .uuid
        .clone();
    let second = vec![resume(&id, 0), chunk(0, &bytes[..70]), broken(70, &bytes[70..]), finish(bytes.len())];
    let status = assert_refused(tenant.upload(second).await, Code::DataLoss, "CHUNK_CHECKSUM_MISMATCH");
    assert_eq!(fact(&status, "offset"), "70", "the chunks before are right");

    let answer = tenant.upload(vec![resume(&id, 0), chunk(0, bytes), finish(bytes.len() + 1)]).await;
    let status = assert_refused(answer, Code::OutOfRange, "WRONG_SIZE");
    assert_eq!(fact(&status, "received_size"), bytes.len().to_string());

    let hashed =
        |hash: Vec<u8>| message(Message::Finish(pb::UploadFinish { size: bytes.len() as i64, sha256: hash }));
    let answer = tenant.upload(vec![resume(&id, 0), chunk(0, bytes), hashed(vec![1; 31])]).await;
    assert_refused(answer, Code::InvalidArgument, "INVALID_FIELDS");
    let good = Sha256::digest(bytes).to_vec();
    tenant.upload(vec![resume(&id, 0), chunk(0, bytes), hashed(good)]).await.expect("the right hash");
    assert_eq!(counters(&tenant.wait(&id).await), (3, 0, 0));

    let answer = tenant.upload(vec![start(tenant.spec()), chunk(0, bytes), hashed(vec![0; 32])]).await;
    assert_refused(answer, Code::DataLoss, "SHA256_MISMATCH");
    let failed =
        tenant.client.imports().list_imports(pb::ListImportsRequest::default()).await.expect("a list");
    let failed = failed.into_inner().imports[0].clone();
    assert_eq!((failed.status(), failed.last_error_reason()), (ImportStatus::Failed, "SHA256_MISMATCH"));
}

async fn after_upload_holds_rows_back(database: Database) {
    let (_server, tenant) = tenant(database).await;
    let spec = pb::ImportSpec { start: pb::StartMode::AfterUpload as i32, ..tenant.spec() };
    let request = pb::CreateImportRequest { spec: Some(spec.clone()), request_id: String::new() };
    let made = tenant.client.imports().create_import(request).await.expect("an import").into_inner();
    let id = made.import.expect("an import").uuid;
    let csv = plain_csv("h", 0, 50);
    let mut messages = vec![resume(&id, 0)];
    messages.extend(chunks(csv.as_bytes(), 0, 100));
    let waiting = send_and_break(&tenant, &id, messages.clone()).await;
    assert!(waiting.total_rows >= 40, "segments are stored: {}", waiting.total_rows);
    assert_eq!((waiting.status(), waiting.processed_rows), (ImportStatus::Pending, 0));
    let committed = waiting.committed_size;
    let mut rest = vec![resume(&id, committed)];
    rest.extend(chunks(csv.as_bytes(), committed as usize, 100));
    rest.push(finish(csv.len()));
    tenant.upload(rest).await.expect("the rest");
    assert_eq!(counters(&tenant.wait(&id).await), (50, 0, 0));

    // A source that is found unusable leaves nothing behind.
    let mut bad = csv.replace("h", "z");
    bad.push_str("z,\"open");
    let failed = tenant.import_as(spec, bad).await.expect("an answer");
    assert_eq!(
        (failed.status(), failed.last_error_reason(), failed.created_count),
        (ImportStatus::Failed, "UNTERMINATED_QUOTE", 0)
    );
}

async fn work_begins_while_the_upload_goes_on(database: Database) {
    let (_server, tenant) = tenant(database).await;
    let csv = plain_csv("o", 0, 100);
    let id = tenant.create().await.uuid;
    let (sender, receiver) = mpsc::channel(4);
    let mut client = tenant.client.imports();
    let upload = tokio::spawn(async move { client.upload_import(ReceiverStream::new(receiver)).await });
    sender.send(resume(&id, 0)).await.expect("sent");
    let half = csv.len() / 2;
    sender.send(chunk(0, &csv.as_bytes()[..half])).await.expect("sent");
    loop {
        let import = tenant.get(&id).await;
        if import.processed_rows >= 30 {
            assert_eq!((import.status(), import.upload_finished), (ImportStatus::Processing, false));
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    sender.send(chunk(half, &csv.as_bytes()[half..])).await.expect("sent");
    sender.send(finish(csv.len())).await.expect("sent");
    upload.await.expect("a task").expect("an answer");
    assert_eq!(counters(&tenant.wait(&id).await), (100, 0, 0));
}

/// E032; E033 is what half-closes at once.
async fn messages_out_of_order_are_refused(database: Database) {
    let (server, tenant) = tenant(database).await;
    let id = tenant.create().await.uuid;
    let text = b"external_id\n";
    for (messages, name) in [
        (vec![], "E033 nothing"),
        (vec![chunk(0, text)], "a chunk first"),
        (vec![finish(0)], "finish first"),
        (vec![message_of_nothing()], "an empty message"),
        (vec![resume(&id, 0), resume(&id, 0)], "resume twice"),
        (
            vec![resume(&id, 0), chunk(0, text), finish(text.len()), chunk(text.len(), b"a\n")],
            "E032 a chunk behind finish",
        ),
        (vec![resume(&id, 0), message_of_nothing()], "an empty message later"),
    ] {
        let status = tenant.upload(messages).await.expect_err(name);
        assert_eq!(status.code(), Code::InvalidArgument, "{name}: {status:?}");
    }
    let other = server.tenant().await;
    for (tenant, first) in [(&tenant, resume(&id, 0)), (&other, start(other.spec()))] {
        let answer = tenant.upload(vec![first]).await;
        let status = assert_refused(answer, Code::InvalidArgument, "UPLOAD_UNFINISHED");
        assert_eq!(fact(&status, "committed_size"), "0", "E033 no more than the first one");
    }
    let unknown = uuid::Uuid::new_v4().to_string();
    for id in [unknown.as_str(), "nonsense", ""] {
        assert_refused(tenant.upload(vec![resume(id, 0)]).await, Code::NotFound, "NOT_FOUND");
    }
}

fn message_of_nothing() -> pb::UploadImportRequest {
    pb::UploadImportRequest { message: None }
}

async fn limits_are_kept(database: Database) {
    let flags = [
        "--max-upload-bytes",
        "64KiB",
        "--max-rows",
        "500",
        "--max-row-bytes",
        "2KiB",
        "--max-columns",
        "8",
        "--segment-rows",
        "100",
    ];
    let server = Server::start_with(database, &flags).await;
    let tenant = server.tenant().await;
    let newest = async || {
        let answer =
            tenant.client.imports().list_imports(pb::ListImportsRequest::default()).await.expect("a list");
        tenant.wait(&answer.into_inner().imports[0].uuid.clone()).await
    };
    let wide = format!("external_id,status,{}\n", vec!["x"; 3000].join(","));
    let answer = tenant.import_as(tenant.spec(), wide).await.expect("an answer");
    assert_eq!(answer.last_error_reason(), "HEADER_TOO_LARGE");
    let wide = "external_id,a,b,c,d,e,f,g,h\n1,,,,,,,,\n";
    let answer = tenant.import_as(tenant.spec(), wide).await.expect("an answer");
    assert_eq!(answer.last_error_reason(), "TOO_MANY_COLUMNS");

    let many: String = format!("external_id\n{}", (0..501).map(|n| format!("m{n}\n")).collect::<String>());
    let answer = tenant.upload(upload_of(tenant.spec(), many.as_bytes(), 1000)).await;
    assert_refused(answer, Code::ResourceExhausted, "TOO_MANY_ROWS");
    let failed = newest().await;
    assert_eq!((failed.status(), failed.last_error_reason()), (ImportStatus::Failed, "TOO_MANY_ROWS"));
    assert!(failed.last_error().contains("500"), "the limit is named: {}", failed.last_error());
    assert_eq!(failed.created_count, failed.total_rows, "rows stored before are kept");

    let refused = tenant
        .upload(vec![start(pb::ImportSpec { source_size: Some(1 << 40), ..tenant.spec() }), finish(0)])
        .await;
    assert_eq!(
        refused.expect("an answer").last_error_reason(),
        "EMPTY_FILE",
        "an announced size is only a hint"
    );

    let large = plain_csv("l", 0, 400) + &"x".repeat(80_000);
    let answer = tenant.upload(upload_of(tenant.spec(), large.as_bytes(), 10_000)).await;
    assert_refused(answer, Code::ResourceExhausted, "UPLOAD_TOO_LARGE");
    assert_eq!(newest().await.last_error_reason(), "UPLOAD_TOO_LARGE");

    let row = format!("external_id,address\nbig,{}\nsmall,x\n", "y".repeat(3000));
    let import = tenant.import(row).await;
    assert_eq!(counters(&import), (1, 0, 1), "a record that is too large fails alone");
    let errors = tenant.row_errors(&import.uuid).await;
    assert_eq!((errors[0].row_number, codes(&errors[0])), (1, vec![pb::IssueCode::RecordTooLarge]));
    assert!(errors[0].error.contains("2048"), "the limit is named: {}", errors[0].error);
}

async fn a_spec_is_checked_field_by_field(database: Database) {
    let (_server, tenant) = tenant(database).await;
    let spec = pb::ImportSpec {
        import_type: 9,
        provider: "No Such!".into(),
        workflow_id: "w".into(),
        source_format: 7,
        csv_delimiter: "ab".into(),
        source_filename: "a\nb".into(),
        source_size: Some(-1),
        ..Default::default()
    };
    let status = tenant.upload(vec![start(spec)]).await.expect_err("refused");
    let details = tonic_types::StatusExt::get_details_bad_request(&status).expect("field violations");
    let mut fields: Vec<_> =
        details.field_violations.iter().map(|violation| violation.field.as_str()).collect();
    fields.sort_unstable();
    assert_eq!(
        fields,
        [
            "spec.csv_delimiter",
            "spec.import_type",
            "spec.provider",
            "spec.source_filename",
            "spec.source_format",
            "spec.source_size",
            "spec.workflow_id",
        ]
    );
}
