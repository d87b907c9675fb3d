//! How long media are kept: those who are erased, those that nothing names, and where they were fetched.

use std::path::PathBuf;

use carryover::grpc::{
    client::Client,
    pb::{self, Role},
};
use tonic::Code;

use crate::{
    harness::{Database, Server, Tenant, assert_refused},
    limits::set_limits,
    media::{objects, sha256},
    on_both_databases, stored,
    stored_media::{self, ORIGIN, get, put, put_unfetched, row},
    waits::eventually,
};

on_both_databases!(
    an_erased_user_leaves_no_media,
    a_deleted_session_takes_its_media_along,
    a_version_that_was_about_somebody_is_erased,
    media_that_cannot_be_deleted_are_tried_again,
    media_that_nothing_names_are_found,
    where_media_were_is_forgotten_with_the_source,
);

async fn operator(server: &Server, tenant: &Tenant) -> Client {
    server.admin.with_key(&server.key(&tenant.application, Role::Operator).await).expect("a client")
}

async fn erase_user(client: &Client, vendor_data: &str) -> Result<pb::EraseUserResponse, tonic::Status> {
    let request = pb::EraseUserRequest { vendor_data: vendor_data.to_owned() };
    client.entities().erase_user(request).await.map(tonic::Response::into_inner)
}

/// Sessions in the order of their rows.
async fn sessions(tenant: &Tenant) -> Vec<pb::Session> {
    let mut sessions = tenant.sessions(Default::default()).await;
    sessions.reverse();
    sessions
}

/// What is stored for an application.
fn kept(server: &Server, tenant: &Tenant) -> Vec<String> {
    objects(server).remove(&tenant.application).unwrap_or_default()
}

fn sorted(media: &[&[u8]]) -> Vec<String> {
    let mut hashes: Vec<_> = media.iter().map(|bytes| sha256(bytes)).collect();
    hashes.sort();
    hashes
}

fn object(server: &Server, tenant: &Tenant, bytes: &[u8]) -> PathBuf {
    server.path("objects/media").join(&tenant.application).join(sha256(bytes))
}

/// M022 for media.
async fn an_erased_user_leaves_no_media(database: Database) {
    let server = Server::start(database).await;
    let (tenant, other) = (server.tenant().await, server.tenant().await);
    for tenant in [&tenant, &other] {
        tenant.import(row("p-1", "anna") + &row("p-2", "anna") + &row("p-3", "ben")).await;
        let [first, second, of_ben] = sessions(tenant).await.try_into().expect("three sessions");
        put(&server, tenant, &first, "portrait_image", "image/jpeg", b"face").await;
        put(&server, tenant, &first, "liveness_video", "video/mp4", b"video").await;
        put(&server, tenant, &second, "portrait_image", "image/jpeg", b"face").await;
        put(&server, tenant, &second, "front_image", "image/jpeg", b"shared").await;
        put_unfetched(&server, tenant, &second, "back_image", "FAILED", &second.import_id).await;
        put(&server, tenant, &of_ben, "front_image", "image/jpeg", b"shared").await;
    }
    let link = sessions(&tenant).await[0].portrait_image.clone().expect("a link");
    assert_eq!(get(&link).await.text(), "face");
    assert_eq!(kept(&server, &tenant), sorted(&[b"face", b"video", b"shared"]));

    let report = erase_user(&operator(&server, &tenant).await, "anna").await.expect("erased");
    assert_eq!((report.session_count, report.media_count), (2, 2), "what is also of ben stays");
    assert_eq!(kept(&server, &tenant), sorted(&[b"shared"]));
    assert_eq!(get(&link).await.status, 404, "whoever has a link still, has nothing");
    let [of_ben] = sessions(&tenant).await.try_into().expect("one session");
    let decision = tenant.decision(&of_ben.session_id).await;
    let front = decision.id_verifications[0].front_image.as_deref().expect("a link");
    assert_eq!(get(front).await.text(), "shared");

    assert_eq!(kept(&server, &other), sorted(&[b"face", b"video", b"shared"]), "of another application");
    let others = sessions(&other).await;
    assert_eq!(get(others[0].portrait_image.as_deref().expect("a link")).await.text(), "face");
    let named =
        format!("SELECT slot FROM media WHERE application_id = {}", stored::id(&server, &tenant.application));
    assert_eq!(stored::texts(&server, &named).await, ["front_image"]);
}

async fn a_deleted_session_takes_its_media_along(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    tenant.import(row("p-1", "anna") + &row("p-2", "anna")).await;
    let [first, second] = sessions(&tenant).await.try_into().expect("two sessions");
    put(&server, &tenant, &first, "portrait_image", "image/jpeg", b"first").await;
    put(&server, &tenant, &second, "portrait_image", "image/jpeg", b"second").await;
    let client = operator(&server, &tenant).await;
    let request = pb::DeleteSessionRequest { session_id: first.session_id };
    let report = client.sessions().delete_session(request).await.expect("deleted").into_inner();
    assert_eq!(report.media_count, 1);
    assert_eq!(kept(&server, &tenant), sorted(&[b"second"]));
    assert!(sessions(&tenant).await[0].portrait_image.is_some());
}

async fn a_version_that_was_about_somebody_is_erased(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    tenant.import(row("p-1", "anna")).await;
    put(&server, &tenant, &sessions(&tenant).await[0], "portrait_image", "image/jpeg", b"anna").await;
    let spec = pb::ImportSpec { on_existing: pb::OnExisting::Update as i32, ..tenant.spec() };
    tenant.import_as(spec, row("p-1", "ben")).await.expect("an import");
    put(&server, &tenant, &sessions(&tenant).await[0], "portrait_image", "image/jpeg", b"ben").await;
    let report = erase_user(&operator(&server, &tenant).await, "anna").await.expect("erased");
    assert_eq!((report.session_count, report.media_count), (0, 1));
    assert_eq!(kept(&server, &tenant), sorted(&[b"ben"]));
    let link = sessions(&tenant).await[0].portrait_image.clone().expect("a link");
    assert_eq!(get(&link).await.text(), "ben");
}

async fn media_that_cannot_be_deleted_are_tried_again(database: Database) {
    let server = Server::start_with(database, &["--sweep-seconds", "1"]).await;
    let tenant = server.tenant().await;
    tenant.import(row("p-1", "anna")).await;
    let session = sessions(&tenant).await.remove(0);
    put(&server, &tenant, &session, "portrait_image", "image/jpeg", b"face").await;
    put(&server, &tenant, &session, "front_image", "image/jpeg", b"front").await;
    // A store that does not delete.
    let stuck = object(&server, &tenant, b"face");
    std::fs::remove_file(&stuck).expect("removed");
    std::fs::create_dir(&stuck).expect("made");
    let broken = erase_user(&operator(&server, &tenant).await, "anna").await;
    assert_eq!(broken.expect_err("one stays").code(), Code::Unavailable);
    assert!(!object(&server, &tenant, b"front").exists(), "the others go all the same");
    assert!(sessions(&tenant).await.is_empty(), "and so do the records");

    std::fs::remove_dir(&stuck).expect("removed");
    std::fs::write(&stuck, b"face").expect("written");
    eventually("it is deleted", async || (!stuck.exists()).then_some(())).await;
    let erasures = async || stored::rows(&server, "SELECT id FROM erasures").await.is_empty().then_some(());
    eventually("the erasure is finished", erasures).await;
}

async fn media_that_nothing_names_are_found(database: Database) {
    let server = Server::start_with(database, &["--sweep-seconds", "1"]).await;
    let tenant = server.tenant().await;
    tenant.import(row("p-1", "anna")).await;
    let session = sessions(&tenant).await.remove(0);
    put(&server, &tenant, &session, "portrait_image", "image/jpeg", b"named").await;
    put_unfetched(&server, &tenant, &session, "front_image", "PENDING", &session.import_id).await;
    let coming = stored_media::bytea(&server, &sha256(b"coming"));
    server.sql(&format!("UPDATE media SET coming_sha256 = {coming} WHERE state = 'PENDING'")).await;
    let [named, coming, stray, young] =
        [&b"named"[..], b"coming", b"stray", b"young"].map(|bytes| object(&server, &tenant, bytes));
    for file in [&coming, &stray, &young] {
        std::fs::write(file, "x").expect("written");
    }
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(25 * 3_600);
    for file in [&named, &coming, &stray] {
        let opened = std::fs::File::options().write(true).open(file).expect("opens");
        opened.set_modified(long_ago).expect("set");
    }
    // It is gone over once a day, and that was when the application was made.
    server.sql("UPDATE applications SET media_swept_at = NULL").await;
    eventually("it is deleted", async || (!stray.exists()).then_some(())).await;
    assert!(named.exists() && young.exists(), "somebody may be about to name the young one");
    assert!(coming.exists(), "somebody is about to name this one");
    let count = "SELECT COUNT(*) FROM applications WHERE media_swept_at IS NULL";
    assert_eq!(stored::texts(&server, count).await, ["0"]);
}

async fn where_media_were_is_forgotten_with_the_source(database: Database) {
    let server = Server::start_with(database, &["--sweep-seconds", "1"]).await;
    let (brief, long) = (server.tenant().await, server.tenant().await);
    let mut imports = Vec::new();
    for tenant in [&brief, &long] {
        imports.push(tenant.import(row("p-1", "anna")).await.uuid);
        let session = sessions(tenant).await.remove(0);
        put_unfetched(&server, tenant, &session, "front_image", "FAILED", &session.import_id).await;
        put_unfetched(&server, tenant, &session, "back_image", "PENDING", &session.import_id).await;
    }
    let limits = pb::ApplicationLimits { source_retention_days: Some(0), ..Default::default() };
    set_limits(&server, &brief, limits).await;
    let id = stored::id(&server, &brief.application);
    let known = format!("SELECT COUNT(url) FROM media WHERE application_id = {id}");
    let forgotten = async || (stored::texts(&server, &known).await == ["0"]).then_some(());
    eventually("they are forgotten", forgotten).await;
    let all = format!(
        "{:?}",
        stored::rows(&server, &format!("SELECT url FROM media WHERE application_id <> {id}")).await
    );
    assert_eq!(all.matches(ORIGIN).count(), 2, "those of another application are not: {all}");
    let import_id = imports.remove(0);
    let gone = async || brief.get(&import_id).await.source_deleted_at;
    eventually("the source is gone, too", gone).await;
    let request = pb::RetryImportRequest { import_id, failed_media: true, ..Default::default() };
    let refused = brief.client.imports().retry_import(request).await;
    assert_refused(refused, Code::FailedPrecondition, "SOURCE_GONE");
}
