//! Sources in an object store of the S3 kind.

use carryover::grpc::pb;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use crate::{
    harness::Database,
    on_both_databases,
    processes::{World, carry_on, create},
};

on_both_databases!(sources_live_in_a_bucket);

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
        vec![
            ("AWS_ENDPOINT", &self.endpoint),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
        ]
    }

    async fn keys(&mut self) -> Vec<String> {
        self.asks.write_all(b"\n").await.expect("it listens");
        let line = self.says.next_line().await.expect("text").expect("keys");
        line.split_whitespace().map(str::to_owned).collect()
    }
}

async fn sources_live_in_a_bucket(database: Database) {
    let mut bucket = Bucket::start().await;
    let world = World::new(database, &["--object-store", "s3://carryover/kept", "--segment-rows", "2"]).await;
    let environment = bucket.environment();
    let (mut child, address) = world.start(&[], &environment).await.expect("it starts");
    let client = world.client(&address).await.expect("it answers");
    let file = b"external_id,vendor_data,status\na,ann,Approved\nb,bob,Declined\nc,cat,wrong\n";
    let id = create(&client, world.spec()).await;
    let import = carry_on(&client, &id, file).await.expect("carried on");
    assert_eq!((import.created_count, import.failed_count), (2, 1));
    drop(environment);
    let before = bucket.keys().await;
    assert_eq!(before.len(), 2, "a segment each: {before:?}");
    assert!(before.iter().all(|key| key.starts_with("kept/imports/")), "{before:?}");

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
    let after = bucket.keys().await;
    assert_eq!(after.len(), 2, "the old object is gone: {after:?}");
    assert_eq!(after.iter().filter(|key| before.contains(key)).count(), 1, "{after:?}");
}
