//! Retries whose source does not come on: because it cannot be read, is gone, or was about somebody erased.

use carryover::grpc::pb::{self, ImportStatus, IssueCode, Role};
use tonic::Code;

use crate::{
    harness::{Database, Server, Tenant, assert_refused, counters},
    limits::set_limits,
    on_both_databases,
    waits::{age_uploads, eventually},
};

on_both_databases!(
    a_retry_waits_for_a_source_that_cannot_be_read,
    a_retry_whose_source_never_comes_fails,
    a_retry_fails_when_its_parents_source_is_swept,
    rows_of_the_erased_are_left_out,
);

fn all(id: &str) -> pb::RetryImportRequest {
    pb::RetryImportRequest { import_id: id.to_owned(), ..Default::default() }
}

async fn begin(tenant: &Tenant, request: pb::RetryImportRequest) -> Result<pb::Import, tonic::Status> {
    Ok(tenant.client.imports().retry_import(request).await?.into_inner().import.expect("an import"))
}

/// A retry of forty rows that has come to a segment of its parent which cannot be read.
struct Standing {
    server: Server,
    tenant: Tenant,
    id: String,
    segment: std::path::PathBuf,
    whole: Vec<u8>,
}

impl Standing {
    async fn new(database: Database) -> Self {
        let server = Server::start_with(database, &["--segment-rows", "10", "--sweep-seconds", "1"]).await;
        let tenant = server.tenant().await;
        let rows: String =
            (0..40).map(|n| format!("{{\"external_id\":\"s{n}\",\"status\":\"?\"}}\n")).collect();
        let parent = tenant.import(rows).await;
        assert_eq!(counters(&parent), (0, 0, 40));
        let folder = server.path("objects").join("imports").join(&tenant.application).join(&parent.uuid);
        let segment = folder.join("00000002");
        let whole = std::fs::read(&segment).expect("a segment");
        std::fs::write(&segment, "damaged").expect("written");
        // By their codes: that is told by row errors, which go with the source.
        let request =
            pb::RetryImportRequest { codes: vec![IssueCode::InvalidValue as i32], ..all(&parent.uuid) };
        let id = begin(&tenant, request).await.expect("it begins").uuid;
        let this = Self { server, tenant, id, segment, whole };
        eventually("it waits", async || {
            // A segment that is settled meanwhile makes it say nothing until it is fed again.
            age_uploads(&this.server).await;
            let reason = this.tenant.get(&this.id).await.waiting_reason;
            (reason.as_deref() == Some("OBJECT_STORE_UNAVAILABLE")).then_some(())
        })
        .await;
        this
    }

    /// Lets it be fed again and again, until it has ended.
    async fn end(&self) -> pb::Import {
        eventually("it ends", async || {
            age_uploads(&self.server).await;
            let import = self.tenant.get(&self.id).await;
            let is_active = matches!(import.status(), ImportStatus::Pending | ImportStatus::Processing);
            (!is_active).then_some(import)
        })
        .await
    }
}

async fn a_retry_waits_for_a_source_that_cannot_be_read(database: Database) {
    let standing = Standing::new(database).await;
    std::fs::write(&standing.segment, &standing.whole).expect("written");
    let ended = standing.end().await;
    assert_eq!((ended.status(), counters(&ended)), (ImportStatus::Completed, (0, 0, 40)));
    assert_eq!(ended.waiting_reason, None);
}

async fn a_retry_whose_source_never_comes_fails(database: Database) {
    let standing = Standing::new(database).await;
    let ended = standing.end().await;
    assert_eq!(
        (ended.status(), ended.last_error_reason()),
        (ImportStatus::Failed, "RETRY_NOT_FED"),
        "{ended:?}"
    );
    assert_eq!(ended.waiting_reason, None);
    assert!(standing.tenant.create().await.started_at.is_none(), "it is active no longer");
}

async fn a_retry_fails_when_its_parents_source_is_swept(database: Database) {
    let standing = Standing::new(database).await;
    let limits = pb::ApplicationLimits { source_retention_days: Some(0), ..Default::default() };
    set_limits(&standing.server, &standing.tenant, limits).await;
    let parent = standing.tenant.get(&standing.id).await.parent_import_id().to_owned();
    eventually("the source is swept", async || {
        standing.tenant.get(&parent).await.source_deleted_at.map(drop)
    })
    .await;
    let ended = standing.end().await;
    assert_eq!(
        (ended.status(), ended.last_error_reason()),
        (ImportStatus::Failed, "SOURCE_GONE"),
        "{ended:?}"
    );
}

/// What was erased is not taken up again, and is nothing that could be.
async fn rows_of_the_erased_are_left_out(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "2"]).await;
    let tenant = server.tenant().await;
    let operator =
        server.admin.with_key(&server.key(&tenant.application, Role::Operator).await).expect("one");
    let csv = "external_id,vendor_data,status\na,anna,?\nb,ben,?\nc,anna,Approved\nd,anna,?\n";
    let ndjson = "{\"external_id\":\"e\",\"vendor_data\":\"ben\",\"status\":\"?\"}\n";
    let (both, only) = (tenant.import(csv).await, tenant.import(ndjson).await);
    let erase = async |who: &str| {
        let request = pb::EraseUserRequest { vendor_data: who.to_owned() };
        operator.entities().erase_user(request).await.expect("erased");
    };
    erase("anna").await;
    let child = tenant.wait(&begin(&tenant, all(&both.uuid)).await.expect("it begins").uuid).await;
    assert_eq!((child.status(), child.total_rows, counters(&child)), (ImportStatus::Completed, 1, (0, 0, 1)));
    assert_eq!(tenant.row_errors(&child.uuid).await[0].external_id(), "b");
    erase("ben").await;
    for parent in [&both, &only, &child] {
        let refused = begin(&tenant, all(&parent.uuid)).await;
        assert_refused(refused, Code::FailedPrecondition, "NOTHING_TO_RETRY");
    }
}
