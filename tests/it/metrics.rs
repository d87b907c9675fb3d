//! What Prometheus is told.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use carryover::grpc::pb;
use regex::Regex;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use crate::{
    harness::{ADMIN_KEY, Database, Server, counters, plain_csv},
    media::{self, JPEG},
    on_both_databases,
    outside::{Outside, no, ok, path},
};

on_both_databases!(what_happens_is_counted, media_are_counted, labels_are_words_of_ours);

const LISTEN: [&str; 2] = ["--metrics-listen", "127.0.0.1:0"];

/// Asks the port of metrics for something.
pub async fn ask(server: &Server, method: &str, path: &str) -> String {
    let address = server.app.metrics_address.expect("metrics are told");
    let mut socket = TcpStream::connect(address).await.expect("connects");
    let request = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.expect("an answer");
    answer
}

/// The metrics of a server as text.
pub async fn scrape(server: &Server) -> String {
    let answer = ask(server, "GET", "/metrics").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    assert!(body.ends_with("# EOF\n"), "{body}");
    body.to_owned()
}

/// The value of one line.
pub fn value(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} is not in\n{text}")).parse().expect("a number")
}

/// Scrapes until a line has a value.
pub async fn until(server: &Server, name: &str, wanted: f64) -> String {
    let mut text = String::new();
    for _ in 0..1000 {
        text = scrape(server).await;
        if text.lines().any(|line| line == format!("{name} {wanted}")) {
            return text;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{name} is not {wanted} in\n{text}");
}

async fn what_happens_is_counted(database: Database) {
    let server = Server::start_with(database, &LISTEN).await;
    let before = scrape(&server).await;
    let rows =
        |outcome| format!("carryover_rows_total{{import_type=\"user_verification\",outcome=\"{outcome}\"}}");
    assert_eq!(value(&before, &rows("created")), 0.0, "it begins at zero");
    let tenant = server.tenant().await;
    let csv = plain_csv("m", 0, 20) + "m0,Approved,,,\nbad,Nonsense,,,\n";
    let import = tenant.import(&csv).await;
    assert_eq!(counters(&import), (20, 1, 1));
    tenant.import(plain_csv("m", 0, 5)).await;
    let dry = pb::ImportSpec { dry_run: true, ..tenant.spec() };
    tenant.import_as(dry, plain_csv("dry", 0, 7)).await.expect("a dry run");

    let upload = "method=\"carryover.v1.ImportService/UploadImport\"";
    until(&server, &format!("carryover_calls_total{{{upload},code=\"OK\"}}"), 3.0).await;
    let text = until(&server, "carryover_segment_attempts_total{result=\"settled\"}", 3.0).await;
    for (outcome, count) in [("created", 20.0), ("skipped", 6.0), ("failed", 1.0), ("updated", 0.0)] {
        assert_eq!(value(&text, &rows(outcome)), count, "{outcome}");
    }
    let sent = csv.len() + plain_csv("m", 0, 5).len() + plain_csv("dry", 0, 7).len();
    assert_eq!(value(&text, "carryover_received_bytes_total{way=\"upload\"}"), sent as f64);
    for stage in ["read", "parse", "transform", "persist"] {
        assert_eq!(
            value(&text, &format!("carryover_stage_seconds_count{{stage=\"{stage}\"}}")),
            3.0,
            "{stage}"
        );
    }
    assert_eq!(value(&text, &format!("carryover_call_seconds_count{{{upload}}}")), 3.0);
    assert_eq!(value(&text, &format!("carryover_calls_open{{{upload}}}")), 0.0);
    assert_eq!(value(&text, "carryover_segments_waiting"), 0.0);
    assert_eq!(value(&text, "carryover_up{dependency=\"database\"}"), 1.0);
    assert_eq!(value(&text, "carryover_up{dependency=\"object_store\"}"), 1.0);
    assert!(value(&text, "carryover_database_wait_seconds_count{pool=\"general\"}") > 0.0);

    let get = pb::GetImportRequest { import_id: "0".to_owned() };
    tenant.client.imports().get_import(get).await.expect_err("no id");
    let get = "carryover_calls_total{method=\"carryover.v1.ImportService/GetImport\",code=\"NOT_FOUND\"}";
    until(&server, get, 1.0).await;
}

async fn media_are_counted(database: Database) {
    let busy = AtomicBool::new(true);
    let outside = Outside::answering(move |request| match path(request) {
        "/missing.jpg" => no("404 Not Found", "Connection: close"),
        "/busy.jpg" if busy.swap(false, Ordering::Relaxed) => no("503 Service Unavailable", "Retry-After: 0"),
        _ => ok(JPEG),
    });
    let outside = outside.await;
    let (server, _roots) = media::server(database, &outside, &LISTEN).await;
    let ended = |result| format!("carryover_media_total{{result=\"{result}\"}}");
    let before = scrape(&server).await;
    for result in ["stored", "failed", "put_off", "given_back"] {
        assert_eq!(value(&before, &ended(result)), 0.0, "{result} begins at zero");
    }
    let urls = ["/a.jpg", "/busy.jpg", "/missing.jpg"].map(|path| outside.url(path));
    let import = server.tenant().await.import(media::rows_of(urls)).await;
    assert_eq!(media::media(&import), (0, 2, 1));
    let text = until(&server, &ended("stored"), 2.0).await;
    for (result, count) in [("failed", 1.0), ("put_off", 1.0), ("given_back", 0.0)] {
        assert_eq!(value(&text, &ended(result)), count, "{result}");
    }
    assert_eq!(value(&text, "carryover_media_bytes_total"), (2 * JPEG.len()) as f64);
}

/// Segments that nobody may claim wait, and a stream is open for as long as somebody reads it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_and_what_is_open_is_told() {
    let server = Server::start_with(Database::Postgres, &[&LISTEN[..], &["--role", "api"]].concat()).await;
    let tenant = server.tenant().await;
    let import = {
        let messages = crate::harness::upload_of(tenant.spec(), plain_csv("w", 0, 3).as_bytes(), 1 << 16);
        tenant.upload(messages).await.expect("an upload")
    };
    let request = pb::WatchImportRequest { import_id: import.uuid, resume_token: String::new() };
    let watch = tenant.client.imports().watch_import(request).await.expect("a watch");
    let open = "carryover_calls_open{method=\"carryover.v1.ImportService/WatchImport\"}";
    until(&server, open, 1.0).await;
    let text = until(&server, "carryover_segments_waiting", 1.0).await;
    assert!(!text.contains("carryover_last_sweep_timestamp_seconds{"), "no sweeper is here to be missed");
    server.sql("UPDATE imports SET created_at = now() - interval '1 hour'").await;
    loop {
        let waits = value(&scrape(&server).await, "carryover_oldest_wait_seconds");
        if (3600.0..4600.0).contains(&waits) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(watch);
    until(&server, open, 0.0).await;
    let ended = "carryover_calls_total{method=\"carryover.v1.ImportService/WatchImport\",code=\"CANCELLED\"}";
    until(&server, ended, 1.0).await;
}

/// A caller chooses neither a label nor its value.
async fn labels_are_words_of_ours(database: Database) {
    let server = Server::start_with(database, &LISTEN).await;
    let tenant = server.tenant().await;
    let import = tenant.import(plain_csv("k", 0, 3)).await;
    let mut client = tonic::client::Grpc::new(
        tonic::transport::Endpoint::from_shared(server.address()).expect("an address").connect_lazy(),
    );
    for path in ["/carryover.v1.ImportService/Nothing", "/x.Y/Z", "/carryover.v1.ImportService/GetImport/a"] {
        client.ready().await.expect("connects");
        let codec = tonic_prost::ProstCodec::<pb::GetImportRequest, pb::GetImportResponse>::default();
        let path = path.parse().expect("a path");
        let request = tonic::Request::new(pb::GetImportRequest::default());
        client.unary(request, path, codec).await.expect_err("no such method");
    }
    let other = "carryover_calls_total{method=\"other\",code=\"UNIMPLEMENTED\"}";
    let text = until(&server, other, 3.0).await;
    for value in [&tenant.application, &tenant.workflow, &import.uuid, &tenant.key, ADMIN_KEY, "127.0.0.1"] {
        assert!(!text.contains(value), "{value} is in\n{text}");
    }
    let label = Regex::new(r#"([a-z_]+)="([^"]*)""#).expect("a pattern");
    let word = Regex::new("^[A-Za-z0-9_.+/-]+$").expect("a pattern");
    let known = [
        "import_type",
        "outcome",
        "way",
        "stage",
        "result",
        "dependency",
        "pool",
        "state",
        "sweep",
        "method",
        "code",
        "le",
    ];
    for found in label.captures_iter(&text) {
        assert!(known.contains(&&found[1]) && word.is_match(&found[2]), "{}", &found[0]);
    }
}

/// Names of metrics in a text, without what a kind of metric puts behind them.
fn names(text: &str) -> BTreeSet<String> {
    let name = Regex::new("carryover_[a-z_]+").expect("a pattern");
    let bare = |name: &str| {
        let bare =
            ["_total", "_bucket", "_count", "_sum"].iter().find_map(|ending| name.strip_suffix(ending));
        bare.unwrap_or(name).to_owned()
    };
    name.find_iter(text).map(|found| bare(found.as_str())).collect()
}

/// The dashboard and the rules name what there is, and the dashboard all of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dashboard_and_rules_name_what_is_told() {
    let server = Server::start_with(Database::Sqlite, &LISTEN).await;
    server.tenant().await.create().await;
    until(
        &server,
        "carryover_calls_total{method=\"carryover.v1.ImportService/CreateImport\",code=\"OK\"}",
        1.0,
    )
    .await;
    let told = names(&scrape(&server).await);
    let file = |name: &str| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("helm/files").join(name);
        std::fs::read_to_string(path).expect(name)
    };
    let dashboard = file("dashboard.json");
    assert_eq!(names(&dashboard), told, "dashboard.json");
    let rules = file("alerts.yaml");
    let named = names(&rules);
    assert!(!named.is_empty() && named.is_subset(&told), "alerts.yaml: {:?}", named.difference(&told));
    let dashboard: Value = serde_json::from_str(&dashboard).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let parts = |expression: &str| ['(', ')', '{', '}', '[', ']'].map(|c| expression.matches(c).count());
    for panel in panels {
        for target in panel["targets"].as_array().expect("targets") {
            let counts = parts(target["expr"].as_str().expect("an expression"));
            assert!(counts.chunks(2).all(|two| two[0] == two[1]), "{target}");
        }
    }
    for rule in rules.split("- alert: ").skip(1) {
        let complete = ["expr: ", "severity: ", "summary: ", "description: "];
        assert!(complete.iter().all(|part| rule.contains(part)), "{rule}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_is_nothing_else_on_that_port() {
    let server = Server::start_with(Database::Sqlite, &LISTEN).await;
    for (method, path, status) in [
        ("GET", "/", 404),
        ("GET", "/metrics/x", 404),
        ("POST", "/metrics", 405),
        ("GET", "/debug/pprof", 404),
    ] {
        let answer = ask(&server, method, path).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{method} {path}: {answer}");
    }
    // M015: who may reach the service does not reach the metrics.
    let mut socket = TcpStream::connect(server.app.address).await.expect("connects");
    socket.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.expect("sent");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.expect("an answer");
    assert!(!answer.contains("carryover_"), "{answer}");
    let silent = Server::start(Database::Sqlite).await;
    assert_eq!(silent.app.metrics_address, None, "off unless it is asked for");
}

/// Who says nothing takes few places, none of them from another peer, and nobody waits in line.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_peers_keep_no_probe_waiting() {
    let server = Server::start_with(Database::Sqlite, &LISTEN).await;
    let address = server.app.metrics_address.expect("metrics are told");
    let mut silent = Vec::new();
    for _ in 0..200 {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(([127, 0, 0, 2], 0).into()).expect("a loopback address");
        silent.push(socket.connect(address).await.expect("the system accepts"));
    }
    let probe = tokio::time::timeout(Duration::from_secs(60), ask(&server, "GET", "/livez")).await;
    assert!(probe.expect("an answer beside silent peers").starts_with("HTTP/1.1 200 "));
    for mut socket in silent {
        let ended = tokio::time::timeout(Duration::from_secs(60), socket.read_to_end(&mut Vec::new())).await;
        // A reset is an end as well.
        let _ = ended.expect("the end of a silent peer");
    }
}
