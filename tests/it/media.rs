//! Media that rows link to: fetched once, stored by content, counted, waited for.

use std::collections::BTreeMap;

use carryover::grpc::pb::{self, ImportStatus};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::{
    control::{cancel, pause, resume_import},
    fake_origin::Step,
    harness::{Database, Server, Tenant, counters, upload_of},
    on_both_databases,
    outside::{Outside, head, ok, path},
    stored,
    waits::eventually,
};

on_both_databases!(
    media_of_every_slot_are_stored,
    one_url_is_one_download,
    the_same_bytes_are_each_applications_own,
    what_is_skipped_is_not_asked_for,
    an_import_ends_with_its_media,
    media_of_a_paused_import_wait,
    media_of_a_cancelled_import_are_left,
    a_byte_budget_is_kept_to_the_byte,
    an_update_has_media_of_its_own,
);

/// A file of the fixtures.
macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/media/", $name)).as_slice()
    };
}
pub(crate) use fixture;

pub const JPEG: &[u8] = fixture!("plain.jpg");

/// Columns of all media, and a file of each.
const SLOTS: [(&str, &str, &[u8], &str); 7] = [
    ("front_image_url", "plain.jpg", fixture!("plain.jpg"), "image/jpeg"),
    ("back_image_url", "plain.png", fixture!("plain.png"), "image/png"),
    ("portrait_image_url", "lossy.webp", fixture!("lossy.webp"), "image/webp"),
    ("selfie_image_url", "plain.heic", fixture!("plain.heic"), "image/heic"),
    ("front_video_url", "plain.mp4", fixture!("plain.mp4"), "video/mp4"),
    ("back_video_url", "plain.mov", fixture!("plain.mov"), "video/quicktime"),
    ("liveness_video_url", "plain.webm", fixture!("plain.webm"), "video/webm"),
];

/// A server that fetches media of a test's internet.
pub async fn server(
    database: Database,
    outside: &Outside,
    flags: &[&str],
) -> (Server, tempfile::NamedTempFile) {
    let (owned, roots) = outside.flags();
    let mut all: Vec<&str> = owned.iter().map(String::as_str).collect();
    all.extend(["--media-default", "fetch"]);
    all.extend(flags);
    (Server::start_with(database, &all).await, roots)
}

/// One row for each URL, as that of its front.
pub fn rows_of(urls: impl IntoIterator<Item = String>) -> String {
    let rows = urls.into_iter().enumerate().map(|(n, url)| format!("k{n},{url}\n"));
    std::iter::once("external_id,front_image_url\n".to_owned()).chain(rows).collect()
}

/// A small image that differs from those of other numbers, and has as many bytes as they do.
pub fn image(number: usize) -> Vec<u8> {
    [JPEG, format!("{number:08}").as_bytes()].concat()
}

/// Pending, stored, failed.
pub fn media(import: &pb::Import) -> (i64, i64, i64) {
    (import.media_pending_count, import.media_stored_count, import.media_failed_count)
}

/// The names of all media that are stored, by their application.
pub fn objects(server: &Server) -> BTreeMap<String, Vec<String>> {
    let folders = std::fs::read_dir(server.path("objects/media")).into_iter().flatten();
    let names = |folder: &std::path::Path| -> Vec<String> {
        let files = std::fs::read_dir(folder).expect("a folder");
        let mut names: Vec<_> =
            files.map(|file| file.expect("one").file_name().into_string().expect("text")).collect();
        names.sort();
        names
    };
    folders
        .map(|folder| folder.expect("one"))
        .map(|folder| (folder.file_name().into_string().expect("text"), names(&folder.path())))
        .collect()
}

pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// A gate that is closed, and how to wait for it.
pub fn gate() -> (watch::Sender<bool>, impl Fn() -> Step + Send + Sync + 'static) {
    let (open, closed) = watch::channel(false);
    (open, move || Step::Gate(closed.clone()))
}

/// Begins an import of these rows.
pub async fn begin(tenant: &Tenant, csv: &str) -> String {
    tenant.upload(upload_of(tenant.spec(), csv.as_bytes(), 64 << 10)).await.expect("an import").uuid
}

/// D002: whatever a server says that they are.
async fn media_of_every_slot_are_stored(database: Database) {
    let outside = Outside::answering(|request| {
        let file = SLOTS.iter().find(|slot| path(request).ends_with(slot.1)).expect("one of them").2;
        let length = format!("Content-Length: {}", file.len());
        vec![head(&["HTTP/1.1 200 OK", "Content-Type: image/svg+xml", &length]), Step::Send(file.to_vec())]
    });
    let outside = outside.await;
    let (server, _roots) = server(database, &outside, &[]).await;
    let tenant = server.tenant().await;
    let row: serde_json::Map<_, _> = SLOTS
        .iter()
        .map(|(field, name, ..)| ((*field).to_owned(), outside.url(&format!("/{name}")).into()))
        .chain([("external_id".to_owned(), "a".into())])
        .collect();
    let import = tenant.import(serde_json::to_string(&row).expect("JSON")).await;
    assert_eq!((import.status(), counters(&import)), (ImportStatus::Completed, (1, 0, 0)));
    assert_eq!((media(&import), import.warning_count), ((0, 7, 0), 0));
    let bytes: usize = SLOTS.iter().map(|slot| slot.2.len()).sum();
    assert_eq!(import.total_media_bytes, bytes as i64);

    let rows = stored::rows(&server, "SELECT slot, media_type, size, width, height, url FROM media").await;
    for (field, name, file, media_type) in SLOTS {
        let slot = field.trim_end_matches("_url");
        let row = rows.iter().find(|row| row["slot"] == slot).expect(name);
        assert_eq!((&row["media_type"], &row["size"]), (&media_type.into(), &file.len().into()), "{name}");
        assert_eq!(row["width"].is_null(), media_type.starts_with("video"), "{name}");
        assert!(row["url"].is_null(), "a URL is forgotten when it has done its work");
    }
    let mut hashes: Vec<_> = SLOTS.iter().map(|slot| sha256(slot.2)).collect();
    hashes.sort();
    assert_eq!(objects(&server), BTreeMap::from([(tenant.application.clone(), hashes)]));
    let kept = server.path(&format!("objects/media/{}/{}", tenant.application, sha256(JPEG)));
    assert_eq!(std::fs::read(kept).expect("readable"), JPEG);
    assert_eq!(std::fs::read_dir(server.path("spool")).expect("a folder").count(), 0);
}

/// C040.
async fn one_url_is_one_download(database: Database) {
    let outside = Outside::answering(|_| ok(JPEG)).await;
    let (server, _roots) = server(database, &outside, &["--segment-rows", "300"]).await;
    let tenant = server.tenant().await;
    let import = tenant.import(rows_of((0..1_000).map(|_| outside.url("/same.jpg")))).await;
    assert_eq!(media(&import), (0, 1_000, 0));
    assert_eq!(import.total_media_bytes, JPEG.len() as i64, "once, as it was fetched");
    assert_eq!(outside.origin.requests().len(), 1);
    let without = "SELECT count(*) FROM media WHERE sha256 IS NULL";
    assert_eq!(stored::texts(&server, without).await, ["0"]);
}

/// D013.
async fn the_same_bytes_are_each_applications_own(database: Database) {
    let outside = Outside::answering(|_| ok(JPEG)).await;
    let (server, _roots) = server(database, &outside, &[]).await;
    let (one, other) = (server.tenant().await, server.tenant().await);
    for tenant in [&one, &other] {
        // Two URLs of the same content are one object.
        let import = tenant.import(rows_of([outside.url("/a.jpg"), outside.url("/b.jpg")])).await;
        assert_eq!((media(&import), import.total_media_bytes), ((0, 2, 0), 2 * JPEG.len() as i64));
    }
    let kept = objects(&server);
    assert_eq!(kept[&one.application], [sha256(JPEG)]);
    assert_eq!(kept[&other.application], [sha256(JPEG)]);
}

async fn what_is_skipped_is_not_asked_for(database: Database) {
    let outside = Outside::answering(|_| ok(JPEG)).await;
    let (server, _roots) = server(database, &outside, &[]).await;
    let tenant = server.tenant().await;
    let csv = rows_of([outside.url("/a.jpg")]);
    let skip = pb::ImportSpec { media: pb::MediaPolicy::Skip as i32, ..tenant.spec() };
    let dry_run = pb::ImportSpec { dry_run: true, ..tenant.spec() };
    for spec in [dry_run, skip] {
        let import = tenant.import_as(spec, &csv).await.expect("an import");
        assert_eq!((counters(&import), media(&import)), ((1, 0, 0), (0, 0, 0)));
    }
    // Rows that are skipped or fail have none.
    let import = tenant.import(format!("{csv}k0,{0}\nk1,ftp://{0}\n", outside.url("/b.jpg"))).await;
    assert_eq!((counters(&import), media(&import)), ((0, 2, 1), (0, 0, 0)));
    assert_eq!(outside.origin.connections(), 0);
}

async fn an_import_ends_with_its_media(database: Database) {
    let (open, closed) = gate();
    let outside = Outside::answering(move |_| [vec![closed()], ok(JPEG)].concat()).await;
    let (server, _roots) = server(database, &outside, &[]).await;
    let tenant = server.tenant().await;
    let id = begin(&tenant, &rows_of((0..3).map(|n| outside.url(&format!("/{n}.jpg"))))).await;
    eventually("all are asked for", async || (outside.origin.requests().len() == 3).then_some(())).await;
    let import = tenant.get(&id).await;
    assert_eq!((import.status(), import.processed_rows), (ImportStatus::Processing, 3));
    assert_eq!((media(&import), import.completed_at), ((3, 0, 0), None));
    open.send(true).expect("it waits");
    let seen = tenant.watch(&id).await;
    let last = seen.last().expect("a snapshot");
    assert_eq!((last.status(), media(last)), (ImportStatus::Completed, (0, 3, 0)));
    for import in &seen {
        let (pending, stored, failed) = media(import);
        assert_eq!(pending + stored + failed, 3, "{import:?}");
    }
}

async fn media_of_a_paused_import_wait(database: Database) {
    let (open, closed) = gate();
    let outside = Outside::answering(move |_| [vec![closed()], ok(JPEG)].concat()).await;
    let (server, _roots) = server(database, &outside, &["--media-per-host", "1"]).await;
    let tenant = server.tenant().await;
    let id = begin(&tenant, &rows_of((0..3).map(|n| outside.url(&format!("/{n}.jpg"))))).await;
    eventually("one is asked for", async || (outside.origin.requests().len() == 1).then_some(())).await;
    pause(&tenant.client, &id).await.expect("paused");
    open.send(true).expect("it waits");
    eventually("it is stored", async || (media(&tenant.get(&id).await) == (2, 1, 0)).then_some(())).await;
    // Another import's media show that turns go on.
    let other = server.tenant().await;
    let import = other.import(rows_of((0..3).map(|n| outside.url(&format!("/other-{n}.jpg"))))).await;
    assert_eq!(media(&import), (0, 3, 0));
    let import = tenant.get(&id).await;
    assert_eq!((import.status(), media(&import)), (ImportStatus::Paused, (2, 1, 0)));
    assert_eq!(outside.origin.requests().len(), 4);
    resume_import(&tenant.client, &id).await.expect("resumed");
    let import = tenant.wait(&id).await;
    assert_eq!((import.status(), media(&import)), (ImportStatus::Completed, (0, 3, 0)));
}

async fn media_of_a_cancelled_import_are_left(database: Database) {
    let (open, closed) = gate();
    let outside = Outside::answering(move |_| [vec![closed()], ok(JPEG)].concat()).await;
    let (server, _roots) = server(database, &outside, &["--media-per-host", "1"]).await;
    let tenant = server.tenant().await;
    let id = begin(&tenant, &rows_of((0..3).map(|n| outside.url(&format!("/{n}.jpg"))))).await;
    eventually("one is asked for", async || (outside.origin.requests().len() == 1).then_some(())).await;
    cancel(&tenant.client, &id).await.expect("cancelled");
    open.send(true).expect("it waits");
    let other = server.tenant().await;
    let import = other.import(rows_of((0..3).map(|n| outside.url(&format!("/other-{n}.jpg"))))).await;
    assert_eq!(media(&import), (0, 3, 0));
    assert_eq!(outside.origin.requests().len(), 4, "nothing more of what is cancelled");
    let import = tenant.get(&id).await;
    let (pending, stored, failed) = media(&import);
    assert_eq!((import.status(), pending + stored, failed), (ImportStatus::Cancelled, 3, 0));
    assert!(pending >= 2, "{import:?}");
}

/// M029, for media.
async fn a_byte_budget_is_kept_to_the_byte(database: Database) {
    let outside = Outside::answering(|request| {
        let name = path(request).rsplit('/').next().expect("a name");
        ok(image(name.trim_end_matches(".jpg").parse().expect("a number")))
    });
    let outside = outside.await;
    let (server, _roots) = server(database, &outside, &["--max-media-bytes", "10KiB"]).await;
    let tenant = server.tenant().await;
    let size = image(0).len() as i64;
    for (budget, stored) in [(3 * size, 3), (4 * size - 1, 3), (size - 1, 0), (1 << 40, 10 * 1024 / size)] {
        let spec = pb::ImportSpec {
            media_byte_budget: Some(budget),
            on_existing: pb::OnExisting::Update as i32,
            ..tenant.spec()
        };
        let count = stored + 4;
        let csv = rows_of((0..count).map(|n| outside.url(&format!("/{budget}/{n}.jpg"))));
        let import = tenant.import_as(spec, csv).await.expect("one");
        assert_eq!(import.status(), ImportStatus::Completed);
        assert_eq!(media(&import), (0, stored, 4), "{budget}");
        assert_eq!(import.total_media_bytes, stored * size, "{budget}");
    }
    let reasons = "SELECT DISTINCT reason FROM media WHERE state = 'FAILED'";
    assert_eq!(stored::texts(&server, reasons).await, ["MEDIA_BUDGET"]);
}

async fn an_update_has_media_of_its_own(database: Database) {
    let outside = Outside::answering(|request| ok(image(path(request).len()))).await;
    let (server, _roots) = server(database, &outside, &[]).await;
    let tenant = server.tenant().await;
    assert_eq!(media(&tenant.import(rows_of([outside.url("/a.jpg")])).await), (0, 1, 0));
    let spec = pb::ImportSpec { on_existing: pb::OnExisting::Update as i32, ..tenant.spec() };
    let import = tenant.import_as(spec, rows_of([outside.url("/ab.jpg")])).await.expect("an import");
    assert_eq!((import.updated_count, media(&import)), (1, (0, 1, 0)));
    let mut hashes = vec![sha256(&image(6)), sha256(&image(7))];
    hashes.sort();
    assert_eq!(objects(&server)[&tenant.application], hashes);
    assert_eq!(stored::texts(&server, "SELECT count(DISTINCT import_id) FROM media").await, ["2"]);
}
