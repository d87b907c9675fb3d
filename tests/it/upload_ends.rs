//! How uploads end that are not what was announced, and many at a time of one tenant.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use carryover::grpc::pb::{self, ImportStatus, upload_import_request::Message};
use sha2::{Digest, Sha256};
use tonic::Code;
use tonic_types::StatusExt;

use crate::{
    harness::{
        Database, Server, assert_refused, chunk, chunks, counters, fact, finish, gzip, message, plain_csv,
        resume, start, upload_of, zstd,
    },
    limits::set_limits,
    on_both_databases,
    retention::files_with,
    waits::eventually,
};

on_both_databases!(
    a_wrong_size_ends_nothing,
    a_wrong_hash_ends_the_import,
    an_upload_without_end_is_cut_off,
    uploads_at_a_time_harm_nobody_else,
);

/// E042: the size is a slip of the caller's, who may say the right one; nothing is settled by the wrong one.
async fn a_wrong_size_ends_nothing(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "10"]).await;
    for (name, start) in
        [("on arrival", pb::StartMode::OnArrival), ("after upload", pb::StartMode::AfterUpload)]
    {
        let csv = plain_csv("s", 0, 35);
        for (packing, bytes) in [
            ("plain", csv.clone().into_bytes()),
            ("gzip", gzip(csv.as_bytes())),
            ("zstd", zstd(csv.as_bytes())),
        ] {
            let name = format!("{packing}, {name}");
            let tenant = server.tenant().await;
            let spec = pb::ImportSpec { start: start as i32, ..tenant.spec() };
            let request = pb::CreateImportRequest { spec: Some(spec), request_id: String::new() };
            let made = tenant.client.imports().create_import(request).await.expect("an import").into_inner();
            let id = made.import.expect("an import").uuid;
            for wrong in [0, bytes.len() - 1, bytes.len() + 1, 2 * bytes.len()] {
                let committed = tenant.get(&id).await.committed_size;
                let mut messages = vec![resume(&id, committed)];
                messages.extend(chunks(&bytes, committed as usize, 100));
                messages.push(finish(wrong));
                let status = assert_refused(tenant.upload(messages).await, Code::OutOfRange, "WRONG_SIZE");
                assert_eq!(fact(&status, "received_size"), bytes.len().to_string(), "{name}");
                let open = tenant.get(&id).await;
                assert!(!open.upload_finished && open.completed_at.is_none(), "{name}: {open:?}");
                if start == pb::StartMode::AfterUpload {
                    assert_eq!((open.status(), open.processed_rows), (ImportStatus::Pending, 0), "{name}");
                }
            }
            let committed = tenant.get(&id).await.committed_size;
            let mut messages = vec![resume(&id, committed)];
            messages.extend(chunks(&bytes, committed as usize, 1000));
            messages.push(finish(bytes.len()));
            tenant.upload(messages).await.expect("the right size");
            let import = tenant.wait(&id).await;
            assert_eq!((import.status(), counters(&import)), (ImportStatus::Completed, (35, 0, 0)), "{name}");
        }
    }
}

/// E042: another hash means another file, which no further byte can mend.
async fn a_wrong_hash_ends_the_import(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "10"]).await;
    for start in [pb::StartMode::OnArrival, pb::StartMode::AfterUpload] {
        for (packing, pack) in [("plain", <[u8]>::to_vec as fn(&[u8]) -> Vec<u8>), ("gzip", gzip)] {
            let name = format!("{packing}, {start:?}");
            let tenant = server.tenant().await;
            let bytes = pack(plain_csv("h", 0, 35).as_bytes());
            let spec = pb::ImportSpec { start: start as i32, ..tenant.spec() };
            let upload = |hash: [u8; 32]| {
                let mut messages = upload_of(spec.clone(), &bytes, 100);
                let last = pb::UploadFinish { size: bytes.len() as i64, sha256: hash.to_vec() };
                *messages.last_mut().expect("finish") = message(Message::Finish(last));
                tenant.upload(messages)
            };
            let other = Sha256::digest(b"another file").into();
            assert_refused(upload(other).await, Code::DataLoss, "SHA256_MISMATCH");
            let request = pb::ListImportsRequest::default();
            let list = tenant.client.imports().list_imports(request).await.expect("a list").into_inner();
            let failed = tenant.wait(&list.imports[0].uuid).await;
            assert_eq!(
                (failed.status(), failed.last_error_reason()),
                (ImportStatus::Failed, "SHA256_MISMATCH"),
                "{name}"
            );
            let hash = |of: &[u8]| hex::encode(Sha256::digest(of));
            let (actual, announced) = (hash(&bytes), hash(b"another file"));
            assert!(failed.last_error().contains(&actual), "{name}: {}", failed.last_error());
            assert!(failed.last_error().contains(&announced), "{name}: {}", failed.last_error());
            let sessions = tenant.sessions(Default::default()).await.len() as i64;
            assert_eq!(failed.created_count, sessions, "{name}: what is counted is there");
            if start == pb::StartMode::AfterUpload {
                assert_eq!(sessions, 0, "{name}: no row was begun with");
            }
            let right = upload(Sha256::digest(&bytes).into()).await.expect("the right hash");
            let import = tenant.wait(&right.uuid).await;
            assert_eq!(counters(&import), (35 - sessions, sessions, 0), "{name}");
        }
    }
}

/// E035: as much is taken as fits, and that is not kept for longer than any other source.
async fn an_upload_without_end_is_cut_off(database: Database) {
    const LIMIT: usize = 8 << 20;
    /// What may be on its way when it is refused.
    const UNDERWAY: usize = 10 << 20;
    let server = Server::start_with(database, &["--sweep-seconds", "1"]).await;
    let tenant = server.tenant().await;
    let (upload_bytes, source_retention_days) = (Some(LIMIT as i64), Some(0));
    let limits = pb::ApplicationLimits { upload_bytes, source_retention_days, ..Default::default() };
    set_limits(&server, &tenant, limits).await;
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = sent.clone();
    let header = "external_id,metadata_json\n";
    let rows = (0..1_000_000).map(move |n| {
        let row = format!("e{n},\"{{\"\"k\"\":\"\"{}\"\"}}\"\n", "Marker".repeat(200));
        let at = counted.fetch_add(row.len(), Ordering::Relaxed);
        chunk(header.len() + at, row.as_bytes())
    });
    let messages = [start(tenant.spec()), chunk(0, header.as_bytes())].into_iter().chain(rows);
    let answer = tenant.client.imports().upload_import(tokio_stream::iter(messages)).await;
    assert_refused(answer, Code::ResourceExhausted, "UPLOAD_TOO_LARGE");
    eventually("its client sends no more", async || (Arc::strong_count(&sent) == 1).then_some(())).await;
    let sent = sent.load(Ordering::Relaxed);
    assert!((LIMIT..LIMIT + UNDERWAY).contains(&sent), "{sent}");

    let list = tenant.client.imports().list_imports(pb::ListImportsRequest::default()).await.expect("a list");
    let failed = tenant.wait(&list.into_inner().imports[0].uuid).await;
    assert_eq!((failed.status(), failed.last_error_reason()), (ImportStatus::Failed, "UPLOAD_TOO_LARGE"));
    assert!(failed.created_count > 0, "rows that came before are kept");
    eventually("the source is deleted", async || tenant.get(&failed.uuid).await.source_deleted_at).await;
    assert_eq!(files_with(&server.path("objects"), "Marker"), 0);
    assert_eq!(counters(&tenant.import(plain_csv("n", 0, 3)).await), (3, 0, 0), "the next is let in");
}

/// E044, with whole uploads.
async fn uploads_at_a_time_harm_nobody_else(database: Database) {
    const UPLOADS: usize = 1000;
    let server = Server::start(database).await;
    let (greedy, other) = (server.tenant().await, server.tenant().await);
    let uploads: Vec<_> = (0..UPLOADS)
        .map(|n| {
            let tenant = greedy.clone();
            let file = plain_csv(&format!("g{n}-"), 0, 3);
            tokio::spawn(async move { tenant.upload(upload_of(tenant.spec(), file.as_bytes(), 50)).await })
        })
        .collect();
    for n in 0..5 {
        let import = other.import(plain_csv("o", n * 100, 100)).await;
        assert_eq!(counters(&import), (100, 0, 0), "the other tenant is served");
    }
    let mut taken = Vec::new();
    for upload in uploads {
        match upload.await.expect("a task") {
            Ok(import) => taken.push(import.uuid),
            Err(status) => {
                let wait = status.get_details_retry_info().expect("RetryInfo").retry_delay;
                assert!(wait.is_some_and(|wait| wait > Duration::ZERO), "{wait:?}");
                assert_refused(Err::<(), _>(status), Code::ResourceExhausted, "ACTIVE_IMPORT_LIMIT");
            }
        }
    }
    assert!(!taken.is_empty() && taken.len() < UPLOADS, "{} were taken", taken.len());
    for id in &taken {
        let import = greedy.wait(id).await;
        assert_eq!((import.status(), counters(&import)), (ImportStatus::Completed, (3, 0, 0)));
    }
    let sessions = greedy.sessions(Default::default()).await;
    assert_eq!(sessions.len(), 3 * taken.len(), "what was refused left nothing");
    let ids: Vec<_> = sessions.iter().map(|session| session.import_id.clone()).collect();
    assert!(ids.iter().all(|id| taken.contains(id)));
}
