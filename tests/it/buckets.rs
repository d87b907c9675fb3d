//! Sources and media in an object store of the S3 kind.

use std::{io::Write, time::Duration};

use carryover::{
    domain::ids::ApplicationId,
    grpc::pb,
    links::{Links, Medium},
    objects::{Objects, Resealed},
};
use futures_util::StreamExt;
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use crate::{
    gateway::Gateway,
    harness::Database,
    media::{JPEG, media, sha256},
    on_both_databases,
    outside::{Outside, ok},
    processes::{World, carry_on, create, get as get_import},
    sealed_objects::{NEW, OLD, key_file, keys},
    stored,
    stored_media::{ask, get},
    waits::eventually,
};

on_both_databases!(
    sources_live_in_a_bucket,
    sealed_sources_live_in_a_bucket,
    a_medium_that_is_being_deleted_is_stored_again,
    a_long_walk_over_media_holds_nothing_up,
);

/// A server with a bucket, gone with this.
struct Bucket {
    _server: Child,
    asks: ChildStdin,
    says: Lines<BufReader<ChildStdout>>,
    endpoint: String,
}

impl Bucket {
    async fn start() -> Self {
        let python = std::env::var("CARRYOVER_TEST_PYTHON")
            .expect("CARRYOVER_TEST_PYTHON must name a Python with tests/foreign_client/requirements.txt; scripts/test makes one");
        let mut server = Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/foreign_client/bucket.py"))
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("Python runs");
        let asks = server.stdin.take().expect("piped");
        let mut says = BufReader::new(server.stdout.take().expect("piped")).lines();
        let port = says.next_line().await.expect("text").expect("its port");
        Self { _server: server, asks, says, endpoint: format!("http://127.0.0.1:{port}") }
    }

    fn environment(&self) -> Vec<(&str, &str)> {
        Self::environment_at(&self.endpoint)
    }

    fn environment_at(endpoint: &str) -> Vec<(&str, &str)> {
        vec![
            ("AWS_ENDPOINT", endpoint),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
        ]
    }

    fn objects(&self) -> Objects {
        let settings = self.environment();
        let settings = settings.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Objects::open_bucket("s3://carryover/kept", settings).expect("a bucket")
    }

    async fn keys(&mut self) -> Vec<String> {
        self.asks.write_all(b"\n").await.expect("it listens");
        let line = self.says.next_line().await.expect("text").expect("keys");
        line.split_whitespace().map(str::to_owned).collect()
    }
}

async fn sources_live_in_a_bucket(database: Database) {
    live_in_a_bucket(database, &[]).await;
}

async fn sealed_sources_live_in_a_bucket(database: Database) {
    let file = key_file(&[OLD]);
    live_in_a_bucket(database, &["--encryption-keys", file.path().to_str().expect("a path")]).await;
}

async fn live_in_a_bucket(database: Database, flags: &[&str]) {
    let mut bucket = Bucket::start().await;
    let environment = bucket.environment();
    let flags = [&["--object-store", "s3://carryover/kept", "--segment-rows", "2"], flags].concat();
    let world = World::new_in(database, &flags, &environment).await;
    let (mut child, address) = world.start(&[], &environment).await.expect("it starts");
    let client = world.client(&address).await.expect("it answers");
    let file = b"external_id,vendor_data,status\na,ann,Approved\nb,bob,Declined\nc,cat,wrong\n";
    let id = create(&client, world.spec()).await;
    let import = carry_on(&client, &id, file).await.expect("carried on");
    assert_eq!((import.created_count, import.failed_count), (2, 1));
    drop(environment);
    let is_segment = |key: &String| key.starts_with("kept/imports/");
    let (before, others): (Vec<_>, Vec<_>) = bucket.keys().await.into_iter().partition(is_segment);
    assert_eq!(before.len(), 2, "a segment each: {before:?}");
    assert!(others.iter().all(|key| key.starts_with("kept/carryover.keys/")), "{others:?}");

    // Another process reads what this one stored.
    child.kill().await.expect("ends");
    let (_child, address) = world.start(&[], &bucket.environment()).await.expect("it starts");
    let client = world.client(&address).await.expect("it answers");
    let request = pb::ListRowErrorsRequest { import_id: id, ..Default::default() };
    let errors = client.imports().list_row_errors(request).await.expect("errors").into_inner().row_errors;
    let raw = errors[0].raw_row.as_ref().expect("the row");
    assert_eq!(raw.fields["vendor_data"], "cat".to_owned().into());

    let request = pb::EraseUserRequest { vendor_data: "ann".to_owned() };
    let erased = client.entities().erase_user(request).await.expect("erased").into_inner();
    assert_eq!(erased.source_row_count, 1);
    let after: Vec<_> = bucket.keys().await.into_iter().filter(is_segment).collect();
    assert_eq!(after.len(), 2, "the old object is gone: {after:?}");
    assert_eq!(after.iter().filter(|key| before.contains(key)).count(), 1, "{after:?}");
}

/// Whoever deletes has looked, and nothing names the medium any more; then somebody comes to store the same.
async fn a_medium_that_is_being_deleted_is_stored_again(database: Database) {
    let mut bucket = Bucket::start().await;
    let gateway =
        Gateway::before(&bucket.endpoint, |line| line.starts_with("POST") && line.contains("delete")).await;
    let environment = Bucket::environment_at(&gateway.endpoint);
    let outside = Outside::answering(|_| ok(JPEG)).await;
    let (owned, _roots) = outside.flags();
    let mut flags: Vec<&str> = owned.iter().map(String::as_str).collect();
    flags.extend(["--object-store", "s3://carryover/kept", "--media-default", "fetch"]);
    let world = World::new_in(database, &flags, &environment).await;
    let (_child, address) = world.start(&[], &environment).await.expect("it starts");
    let client = world.client(&address).await.expect("it answers");
    let file = |key: &str| {
        let url = outside.url(&format!("/{key}.jpg"));
        format!("external_id,vendor_data,front_image_url\n{key},{key},{url}\n").into_bytes()
    };
    let id = create(&client, world.spec()).await;
    let import = carry_on(&client, &id, &file("ann")).await.expect("carried on");
    assert_eq!(media(&import), (0, 1, 0));

    gateway.close();
    let erasing = client.clone();
    let erasing = tokio::spawn(async move {
        let request = pb::EraseUserRequest { vendor_data: "ann".to_owned() };
        erasing.entities().erase_user(request).await
    });
    eventually("it is about to be deleted", async || (gateway.held() > 0).then_some(())).await;
    let id = create(&client, world.spec()).await;
    let importing = {
        let (client, id, file) = (client.clone(), id.clone(), file("ben"));
        tokio::spawn(async move { carry_on(&client, &id, &file).await })
    };
    eventually("it is fetched again", async || (outside.origin.requests().len() == 2).then_some(())).await;
    // As long as nobody takes who heeds no deletion.
    for _ in 0..40 {
        if get_import(&client, &id).await.expect("an import").status() == pb::ImportStatus::Completed {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    gateway.open();
    assert_eq!(erasing.await.expect("it ends").expect("erased").into_inner().media_count, 1);
    let import = importing.await.expect("it ends").expect("carried on");
    assert_eq!(media(&import), (0, 1, 0));
    let keys = bucket.keys().await;
    let is_there = keys.iter().any(|key| key.ends_with(&sha256(JPEG)));
    assert!(is_there, "a row names it, and it is not in {keys:?}");
    let left = "SELECT sha256 FROM media_deletions UNION ALL SELECT coming_sha256 FROM media WHERE coming_sha256 IS NOT NULL";
    let path = world.folder.path().join("carryover.db");
    assert_eq!(
        stored::rows_in(world.database_url.as_deref(), &path, left).await.len(),
        0,
        "nothing waits any more"
    );
}

async fn a_long_walk_over_media_holds_nothing_up(database: Database) {
    let bucket = Bucket::start().await;
    let gateway =
        Gateway::before(&bucket.endpoint, |line| line.starts_with("GET") && line.contains("media%2F")).await;
    let environment = Bucket::environment_at(&gateway.endpoint);
    let flags =
        ["--object-store", "s3://carryover/kept", "--sweep-seconds", "1", "--source-retention-days", "0"];
    let world = World::new_in(database, &flags, &environment).await;
    gateway.close();
    let due = "UPDATE applications SET media_swept_at = NULL";
    stored::execute_in(world.database_url.as_deref(), &world.folder.path().join("carryover.db"), due).await;
    let (_child, address) = world.start(&[], &environment).await.expect("it starts");
    let client = world.client(&address).await.expect("it answers");
    eventually("the walk has begun", async || (gateway.held() > 0).then_some(())).await;
    let id = create(&client, world.spec()).await;
    carry_on(&client, &id, b"external_id\na\n").await.expect("carried on");
    eventually("its source is deleted", async || {
        get_import(&client, &id).await.expect("an import").source_deleted_at
    })
    .await;
    gateway.open();
}

#[tokio::test]
async fn a_bucket_serves_media_itself() {
    // As the program does when it begins.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut bucket = Bucket::start().await;
    let objects = bucket.objects();
    let application = ApplicationId(uuid::Uuid::from_u128(7));
    // One that fits into a part, and one of several parts.
    let contents = [b"small".to_vec(), (0..12_000_000_u32).map(|n| (n % 251) as u8).collect()];
    let mut media = Vec::new();
    for (bytes, media_type) in contents.iter().zip(["image/jpeg", "video/mp4"]) {
        let sha256 = Sha256::digest(bytes).into();
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(bytes).expect("written");
        objects.put_medium(application, &sha256, media_type, &file).await.expect("stored");
        media.push(Medium { application, sha256, media_type: media_type.to_owned() });
    }
    let keys = bucket.keys().await;
    assert!(keys.iter().all(|key| key.starts_with(&format!("kept/media/{application}/"))), "{keys:?}");

    let links = Links::new(objects.clone(), b"secret", "http://server.example", Duration::from_secs(300));
    let made = links.make(&media).await;
    for ((link, medium), bytes) in made.iter().zip(&media).zip(&contents) {
        assert!(link.starts_with(&bucket.endpoint), "{link}");
        assert!(link.contains("X-Amz-Expires=300") && link.contains("X-Amz-Signature="), "{link}");
        assert!(!link.contains("secret"), "{link}");
        let answer = get(link).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, medium.media_type.as_str()));
        assert_eq!(answer.header("cache-control"), "private, no-store");
        assert_eq!(answer.header("content-disposition"), "inline");
        assert!(answer.body == *bytes);
        let part = ask("GET", link, "range: bytes=1-3\r\n").await;
        assert_eq!((part.status, part.body.as_slice()), (206, &bytes[1..4]));

        // A store that could not sign would be read by the server.
        let stored = links.find(medium).await.expect("it answers").expect("it is there");
        assert_eq!(stored.size(), bytes.len() as u64);
        let read = links.read(stored, 1..4).await.expect("it answers").expect("it is there");
        let read: Vec<_> = read.map(|part| part.expect("bytes")).collect().await;
        assert_eq!(read.concat(), bytes[1..4]);
    }
    for medium in &media {
        objects.delete_medium(application, &medium.sha256).await.expect("deleted");
        assert!(links.find(medium).await.expect("it answers").is_none());
    }
    assert_eq!(bucket.keys().await, [""; 0]);
}

/// What is sealed is of no use to whoever has a link to it, and keys change by conditional writes.
#[tokio::test]
async fn a_bucket_of_sealed_media_serves_none() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut bucket = Bucket::start().await;
    let application = ApplicationId(uuid::Uuid::from_u128(7));
    let (plain, old) = (bucket.objects(), bucket.objects().with_keys(keys(&[OLD])));
    old.take_up_keys().await.expect("noted");
    let contents = [b"small".to_vec(), (0..12_000_000_u32).map(|n| (n % 251) as u8).collect()];
    let mut media = Vec::new();
    for (objects, bytes) in [&plain, &old].into_iter().zip(&contents) {
        let sha256 = Sha256::digest(bytes).into();
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(bytes).expect("written");
        objects.put_medium(application, &sha256, "image/jpeg", &file).await.expect("stored");
        media.push(Medium { application, sha256, media_type: "image/jpeg".to_owned() });
    }
    let both = bucket.objects().with_keys(keys(&[NEW, OLD]));
    let opens = async |objects: &Objects| {
        let links = Links::new(objects.clone(), b"secret", "http://server.example", Duration::from_secs(300));
        let made = links.make(&media).await;
        assert!(made.iter().all(|link| link.starts_with("http://server.example/media/")), "{made:?}");
        for (medium, bytes) in media.iter().zip(&contents) {
            let stored = links.find(medium).await.expect("it answers").expect("it is there");
            assert_eq!(stored.size(), bytes.len() as u64);
            let read = links.read(stored, 1..bytes.len() as u64).await.expect("it answers");
            let read: Vec<_> = read.expect("it is there").map(|part| part.expect("bytes")).collect().await;
            assert!(read.concat() == bytes[1..]);
        }
    };
    opens(&both).await;
    plain.find_medium(application, &media[1].sha256).await.map(drop).expect_err("sealed");
    plain.check_keys().await.expect_err("a key is missing");

    let done = both.reseal().await.expect("resealed");
    let retired = vec!["2023".to_owned()];
    assert_eq!(done, Resealed { resealed: 2, retired, ..Resealed::default() });
    opens(&bucket.objects().with_keys(keys(&[NEW]))).await;
    let stored = bucket.keys().await;
    assert_eq!(stored.len(), 3, "two media and a word, and nothing of trials: {stored:?}");
}
