//! A packed upload that decodes much takes nobody's turn.

use carryover::grpc::pb;

use crate::{
    harness::{Database, Server, chunks, counters, finish, gzip, plain_csv, resume},
    on_both_databases,
};

on_both_databases!(decoding_much_does_not_hold_up_a_watch);

/// F020.
async fn decoding_much_does_not_hold_up_a_watch(database: Database) {
    const MEMBERS: usize = 100;
    const ROWS: usize = 20_000;
    let server = Server::start(database).await;
    let (busy, other) = (server.tenant().await, server.tenant().await);
    let mut random = fastrand::Rng::with_seed(20);
    let row = |n| format!("f{n},{:016x},\"{}\"\n", random.u64(..), "Silva, ".repeat(30));
    let rows = (0..ROWS).map(row).collect::<String>();
    let packed = [gzip(b"external_id,first_name,address\n"), gzip(rows.as_bytes()).repeat(MEMBERS)].concat();
    assert!(MEMBERS * rows.len() > 10 * packed.len(), "it decodes much: {}", packed.len());

    // Its rows are held back, so that decoding is all the work there is.
    let spec = pb::ImportSpec { start: pb::StartMode::AfterUpload as i32, ..busy.spec() };
    let request = pb::CreateImportRequest { spec: Some(spec), request_id: String::new() };
    let made = busy.client.imports().create_import(request).await.expect("an import").into_inner();
    let id = made.import.expect("an import").uuid;
    let mut messages = vec![resume(&id, 0)];
    messages.extend(chunks(&packed, 0, 64 << 10));
    messages.push(finish(packed.len()));

    let upload = async {
        let uploaded = busy.upload(messages).await.expect("an upload");
        let request = pb::CancelImportRequest { import_id: id.clone() };
        busy.client.imports().cancel_import(request).await.expect("cancelled");
        uploaded
    };
    let others = async {
        let mut beside = 0;
        loop {
            // Each of its snapshots comes through a watch.
            let import = other.import(plain_csv(&format!("{beside}-"), 0, 5)).await;
            assert_eq!(counters(&import), (5, 0, 0));
            if busy.get(&id).await.upload_finished {
                return beside;
            }
            beside += 1;
        }
    };
    let (uploaded, beside, seen) = tokio::join!(upload, others, busy.watch(&id));
    assert_eq!(uploaded.total_rows, (MEMBERS * ROWS) as i64);
    assert!(beside > 0, "no other import was seen through while the upload was decoded");
    assert!(seen.iter().any(|import| !import.upload_finished && import.total_rows > 0), "its own watch");
}
