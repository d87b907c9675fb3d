//! Media that failed, or that nobody came to, taken up again by an import of their own.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use carryover::grpc::pb::{self, ImportStatus};
use tonic::{Code, Status};

use crate::{
    control::cancel,
    harness::{Database, Server, Tenant, assert_refused, counters},
    media::{JPEG, begin, gate, image, media, rows_of, server},
    on_both_databases,
    outside::{Outside, no, ok, path},
    shell::Shell,
    stored,
    stored_media::get,
    waits::eventually,
};

on_both_databases!(
    what_failed_is_fetched_by_a_retry,
    what_fails_again_can_be_retried_again,
    what_a_cancelled_import_left_is_fetched,
    many_media_are_taken_over_step_by_step,
    a_retry_of_media_is_asked_for_alone,
    a_retry_of_media_is_one_applications,
    the_program_retries_media,
);

async fn retry(tenant: &Tenant, id: &str, request_id: &str) -> Result<pb::Import, Status> {
    let request = pb::RetryImportRequest {
        import_id: id.to_owned(),
        request_id: request_id.to_owned(),
        failed_media: true,
        ..Default::default()
    };
    let answer = tenant.client.imports().retry_import(request).await?;
    Ok(answer.into_inner().import.expect("an import"))
}

/// An outside world in which `/bad…` is not there until it is mended.
async fn outside() -> (Outside, Arc<AtomicBool>) {
    let mended = Arc::new(AtomicBool::new(false));
    let is_mended = mended.clone();
    let outside = Outside::answering(move |request| match path(request).starts_with("/bad") {
        true if !is_mended.load(Ordering::Relaxed) => no("404 Not Found", "X-A: b"),
        _ => ok(image(path(request).len())),
    });
    (outside.await, mended)
}

async fn sessions(tenant: &Tenant) -> Vec<pb::Session> {
    let mut sessions = tenant.sessions(Default::default()).await;
    sessions.reverse();
    sessions
}

async fn front(tenant: &Tenant, session: &pb::Session) -> Option<String> {
    tenant.decision(&session.session_id).await.id_verifications[0].front_image.clone()
}

async fn what_failed_is_fetched_by_a_retry(database: Database) {
    let (outside, mended) = outside().await;
    let (server, _roots) = server(database, &outside, &[]).await;
    let tenant = server.tenant().await;
    let urls = ["/good.jpg", "/bad.jpg", "/bad.jpg", "/bad-too.jpg"].map(|path| outside.url(path));
    let parent = tenant.import(rows_of(urls)).await;
    assert_eq!((parent.status(), media(&parent)), (ImportStatus::Completed, (0, 1, 3)));
    mended.store(true, Ordering::Relaxed);
    let asked = outside.origin.requests().len();

    let child = retry(&tenant, &parent.uuid, "once").await.expect("a retry");
    assert_eq!(child.parent_import_id(), parent.uuid);
    assert_eq!(retry(&tenant, &parent.uuid, "once").await.expect("the same").uuid, child.uuid);
    let child = tenant.wait(&child.uuid).await;
    assert_eq!((child.status(), media(&child)), (ImportStatus::Completed, (0, 3, 0)));
    assert_eq!((child.total_rows, counters(&child)), (0, (0, 0, 0)));
    assert_eq!(child.total_media_bytes, 2 * image(0).len() as i64);
    assert_eq!(outside.origin.requests().len(), asked + 2, "each URL once, and what was stored not again");
    assert_eq!(media(&tenant.get(&parent.uuid).await), (0, 1, 3), "what became of it then");
    for (session, path) in
        sessions(&tenant).await.iter().zip(["/good.jpg", "/bad.jpg", "/bad.jpg", "/bad-too.jpg"])
    {
        let link = front(&tenant, session).await.expect("a link");
        assert_eq!(get(&link).await.body, image(path.len()), "{path}");
    }
    let again = retry(&tenant, &parent.uuid, "").await;
    assert_refused(again, Code::FailedPrecondition, "NOTHING_TO_RETRY");
}

async fn what_fails_again_can_be_retried_again(database: Database) {
    let (outside, mended) = outside().await;
    let (server, _roots) = server(database, &outside, &[]).await;
    let tenant = server.tenant().await;
    let parent = tenant.import(rows_of([outside.url("/bad.jpg")])).await;
    let child = retry(&tenant, &parent.uuid, "").await.expect("a retry");
    let child = tenant.wait(&child.uuid).await;
    assert_eq!((child.status(), media(&child)), (ImportStatus::Completed, (0, 0, 1)));
    mended.store(true, Ordering::Relaxed);
    let grandchild = retry(&tenant, &child.uuid, "").await.expect("a retry");
    assert_eq!(media(&tenant.wait(&grandchild.uuid).await), (0, 1, 0));

    // The record is its import's as before, and so are its media.
    let operator = server.key(&tenant.application, pb::Role::Operator).await;
    let operator = Tenant { client: server.admin.with_key(&operator).expect("a client"), ..tenant.clone() };
    let request = pb::RevertImportRequest { import_id: parent.uuid.clone() };
    operator.client.imports().revert_import(request).await.expect("reverted");
    assert_eq!(tenant.wait(&parent.uuid).await.status(), ImportStatus::Reverted);
    assert_eq!(stored::texts(&server, "SELECT slot FROM media").await, [""; 0]);
}

async fn what_a_cancelled_import_left_is_fetched(database: Database) {
    let (open, closed) = gate();
    let outside = Outside::answering(move |_| [vec![closed()], ok(JPEG)].concat()).await;
    let (server, _roots) = server(database, &outside, &["--media-per-host", "1"]).await;
    let tenant = server.tenant().await;
    let id = begin(&tenant, &rows_of((0..3).map(|n| outside.url(&format!("/{n}.jpg"))))).await;
    eventually("one is asked for", async || (outside.origin.requests().len() == 1).then_some(())).await;
    assert_refused(retry(&tenant, &id, "").await, Code::FailedPrecondition, "WRONG_IMPORT_STATUS");
    cancel(&tenant.client, &id).await.expect("cancelled");
    let child = retry(&tenant, &id, "").await.expect("a retry");
    assert_eq!(media(&child).0, 3);
    open.send(true).expect("it waits");
    let child = tenant.wait(&child.uuid).await;
    assert_eq!((child.status(), media(&child)), (ImportStatus::Completed, (0, 3, 0)));
    for session in sessions(&tenant).await {
        assert!(front(&tenant, &session).await.is_some());
    }
}

async fn many_media_are_taken_over_step_by_step(database: Database) {
    let (outside, mended) = outside().await;
    let (server, _roots) = server(database, &outside, &[]).await;
    let tenant = server.tenant().await;
    // Two URLs, so that a step ends amid one; and what is stored is gone past.
    let paths = (0..3_300).map(|row| ["/bad.jpg", "/bad-too.jpg", "/good.jpg"][row % 3]);
    let parent = tenant.import(rows_of(paths.map(|path| outside.url(path)))).await;
    assert_eq!(media(&parent), (0, 1_100, 2_200));
    mended.store(true, Ordering::Relaxed);
    let asked = outside.origin.requests().len();
    let child = retry(&tenant, &parent.uuid, "").await.expect("a retry");
    assert_eq!(
        (media(&child), child.upload_finished),
        ((1_000, 0, 0), false),
        "the call takes a step of them"
    );
    let child = tenant.wait(&child.uuid).await;
    assert_eq!((child.status(), media(&child)), (ImportStatus::Completed, (0, 2_200, 0)));
    assert!(child.upload_finished);
    assert_eq!(outside.origin.requests().len(), asked + 2, "each URL once");
    let again = retry(&tenant, &parent.uuid, "").await;
    assert_refused(again, Code::FailedPrecondition, "NOTHING_TO_RETRY");
}

async fn a_retry_of_media_is_asked_for_alone(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let import = tenant.import("external_id,status\na,Approved\nb,wrong\n").await;
    let asked =
        pb::RetryImportRequest { import_id: import.uuid.clone(), failed_media: true, ..Default::default() };
    let correction = pb::RowCorrection { row_number: 2, row: "{}".to_owned() };
    for request in [
        pb::RetryImportRequest { codes: vec![pb::IssueCode::InvalidValue as i32], ..asked.clone() },
        pb::RetryImportRequest { first_row: 1, ..asked.clone() },
        pb::RetryImportRequest { last_row: 2, ..asked.clone() },
        pb::RetryImportRequest { corrections: vec![correction], ..asked.clone() },
    ] {
        let refused = tenant.client.imports().retry_import(request).await;
        let status = assert_refused(refused, Code::InvalidArgument, "INVALID_FIELDS");
        assert!(status.message().contains("failed_media"), "{status:?}");
    }
    let nothing = tenant.client.imports().retry_import(asked).await;
    assert_refused(nothing, Code::FailedPrecondition, "NOTHING_TO_RETRY");
    assert_eq!(
        tenant
            .client
            .imports()
            .list_imports(pb::ListImportsRequest::default())
            .await
            .expect("a list")
            .into_inner()
            .imports
            .len(),
        1
    );
}

async fn a_retry_of_media_is_one_applications(database: Database) {
    let (outside, _mended) = outside().await;
    let (server, _roots) = server(database, &outside, &[]).await;
    let (tenant, other) = (server.tenant().await, server.tenant().await);
    let import = tenant.import(rows_of([outside.url("/bad.jpg")])).await;
    let others = other.import(rows_of([outside.url("/bad.jpg")])).await;
    assert_refused(retry(&other, &import.uuid, "").await, Code::NotFound, "NOT_FOUND");
    let child = retry(&tenant, &import.uuid, "").await.expect("a retry");
    assert_eq!(media(&tenant.wait(&child.uuid).await), (0, 0, 1));
    let id = stored::id(&server, &others.uuid);
    let left = format!("SELECT state FROM media WHERE job_id = {id}");
    assert_eq!(stored::texts(&server, &left).await, ["FAILED"]);
}

async fn the_program_retries_media(database: Database) {
    let (outside, mended) = outside().await;
    let (server, _roots) = server(database, &outside, &[]).await;
    let tenant = server.tenant().await;
    let import = tenant.import(rows_of([outside.url("/bad.jpg")])).await;
    mended.store(true, Ordering::Relaxed);
    let shell = Shell::new(&server, &tenant.key);
    let child = shell.json(&["retry", &import.uuid, "--failed-media", "--json"], 0).await;
    assert_eq!(child["media_stored_count"], 1);
    shell.out(&["retry", &import.uuid, "--failed-media", "--rows", "1-2"], 2).await;
}
