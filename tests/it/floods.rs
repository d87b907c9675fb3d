//! Floods of HTTP/2 frames: the connection ends or is served, others never notice, and memory stays as it was.

use std::{net::SocketAddr, time::Duration};

use carryover::grpc::{client::Client, pb};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
};
use tokio_util::sync::CancellationToken;
use tonic::Code;

use crate::{
    h2::{
        ACK, CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Frame, GoAway, HEADERS,
        PING, PREFACE, PRIORITY, Peer, RST_STREAM, SETTINGS, WINDOW_UPDATE, call, field, frame, numbered,
    },
    harness::{Database, Server, Tenant, counters, gzip, plain_csv},
    processes::World,
    web::{exchange, has_status, packed, web_request},
};

/// The bytes that open, or are, the n-th stream of a flood.
type Frames<'k> = Box<dyn Fn(u32) -> Vec<u8> + 'k>;

const LIST: &str = "/carryover.v1.ImportService/ListImports";

/// The client's streams have odd numbers.
fn stream(n: u32) -> u32 {
    2 * n + 1
}

/// Another connection than the flooded one is served, from the call to the database and back.
async fn assert_unharmed(tenant: &Tenant, name: &str) {
    tenant.client.imports().list_imports(pb::ListImportsRequest::default()).await.expect(name);
}

/// A flood that no honest client makes, and with what reason it ends the connection.
struct Flood<'k> {
    name: &'static str,
    frames: Box<dyn Fn(u32) -> Vec<u8> + 'k>,
    code: u32,
    text: &'static str,
}

/// Floods that break a rule.
fn wrong_floods(key: &str) -> Vec<Flood<'_>> {
    const PROTOCOL_ERROR: u32 = 1;
    let open = move |n: u32| call(stream(n), 0, LIST, key);
    let closed = move |n: u32| call(stream(n), END_STREAM, LIST, key);
    let still = move |n: u32| [open(n), numbered(WINDOW_UPDATE, stream(n), 0)].concat();
    let late = move |n: u32| [closed(n), frame(DATA, 0, stream(n), b"late")].concat();
    let short = move |n: u32| [open(n), numbered(PRIORITY, stream(n), 1)].concat();
    let upper = |n: u32| frame(HEADERS, END_HEADERS, stream(n), &field("Upper", "case"));
    let floods: [(_, Frames<'_>); 5] = [
        ("E004 WINDOW_UPDATE of 0 on a stream", Box::new(still)),
        ("E004 WINDOW_UPDATE of 0 on the connection", Box::new(|_| numbered(WINDOW_UPDATE, 0, 0))),
        ("E005 DATA behind END_STREAM", Box::new(late)),
        ("E005 PRIORITY of four bytes", Box::new(short)),
        ("headers of upper case", Box::new(upper)),
    ];
    floods.into_iter().map(|(name, frames)| Flood { name, frames, code: PROTOCOL_ERROR, text: "" }).collect()
}

/// Floods of what is allowed, but not so often.
fn endless_floods(key: &str) -> Vec<Flood<'_>> {
    let open = move |n: u32| call(stream(n), 0, LIST, key);
    let closed = move |n: u32| call(stream(n), END_STREAM, LIST, key);
    let unending = |n: u32| match n {
        0 => frame(HEADERS, 0, 1, &field("a", "b")),
        _ => frame(CONTINUATION, 0, 1, &field("a", "b")),
    };
    let reset = move |n: u32| [closed(n), numbered(RST_STREAM, stream(n), CANCEL)].concat();
    let reset_open = move |n: u32| [open(n), numbered(RST_STREAM, stream(n), CANCEL)].concat();
    let itself = move |n: u32| {
        let itself = [&stream(n).to_be_bytes()[..], &[0]].concat();
        [open(n), frame(PRIORITY, 0, stream(n), &itself)].concat()
    };
    let wide = move |n: u32| [open(n), numbered(WINDOW_UPDATE, stream(n), 0x7fff_ffff)].concat();
    let empty = move |n: u32| if n == 0 { open(0) } else { frame(DATA, 0, 1, b"") };
    let floods: [(_, Frames<'_>, _); 6] = [
        ("E001 rapid reset", Box::new(reset), "too_many_resets"),
        ("E001 rapid reset of calls that are still open", Box::new(reset_open), "too_many_resets"),
        ("E002 CONTINUATION without end", Box::new(unending), "too_many_continuations"),
        ("E005 a stream that depends on itself", Box::new(itself), "too_many_internal_resets"),
        ("E005 a window beyond 2 GiB", Box::new(wide), "too_many_internal_resets"),
        ("empty DATA", Box::new(empty), "too_many_data_frames"),
    ];
    let code = ENHANCE_YOUR_CALM;
    floods.into_iter().map(|(name, frames, text)| Flood { name, frames, code, text }).collect()
}

fn floods(key: &str) -> impl Iterator<Item = Flood<'_>> {
    wrong_floods(key).into_iter().chain(endless_floods(key))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_without_sense_end_the_connection() {
    let server = Server::start(Database::Sqlite).await;
    let tenant = server.tenant().await;
    for Flood { name, frames, code, text } in floods(&tenant.key) {
        let mut peer = Peer::connect(server.app.address).await;
        peer.flood(20_000, frames).await;
        assert_eq!(peer.end().await, Some(GoAway { code, text: text.to_owned() }), "{name}");
        assert_unharmed(&tenant, name).await;
    }
}

/// h2 answers any number of PINGs and SETTINGS; that holds up nobody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pings_and_settings_are_answered_beside_the_calls_of_others() {
    const TIMES: u32 = 50_000;
    let server = Server::start(Database::Sqlite).await;
    let tenant = server.tenant().await;
    for (name, kind, payload) in [("E006 PING", PING, &[7; 8][..]), ("E007 SETTINGS", SETTINGS, &[])] {
        let mut peer = Peer::connect(server.app.address).await;
        let flood = async {
            peer.flood(TIMES, |_| frame(kind, 0, 0, payload)).await;
            let answer = |frame: &Frame| (frame.kind, frame.flags) == (kind, ACK);
            let mut answers = 0;
            // SETTINGS at the start of the connection are answered, too.
            let wanted = TIMES + u32::from(kind == SETTINGS);
            while answers < wanted && peer.find(answer).await.is_some() {
                answers += 1;
            }
            assert_eq!(answers, wanted, "{name}");
        };
        let csv = plain_csv(name, 0, 100);
        let ((), import) = tokio::join!(flood, tenant.import(&csv));
        assert_eq!(counters(&import), (100, 0, 0), "{name}");
    }
}

/// E008: sends PINGs, reads no answer, and is ended for it.
async fn ping_and_read_nothing(address: SocketAddr) {
    const BYTES: usize = 256 << 20;
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(8 << 10).expect("set");
    let mut deaf = socket.connect(address).await.expect("connects");
    deaf.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await.expect("sent");
    let pings = frame(PING, 0, 0, &[7; 8]).repeat(4096);
    let mut sent = 0;
    let ended = async {
        while let Ok(written) = deaf.write(&pings).await {
            sent += written;
            assert!(sent < BYTES, "E008: all was read, and the answers are kept");
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ended).await.expect("E008: the server ends it");
}

/// Answers that nobody reads are not kept without bound: the server reads no further, and then ends it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pings_whose_answers_are_not_read_wait_in_the_network() {
    let server = Server::start_with(Database::Sqlite, &["--stall-seconds", "2"]).await;
    let tenant = server.tenant().await;
    ping_and_read_nothing(server.app.address).await;
    assert_unharmed(&tenant, "E008").await;
}

/// The most KiB of memory that a process has had.
pub fn memory(child: &tokio::process::Child) -> u64 {
    let path = format!("/proc/{}/status", child.id().expect("it runs"));
    let status = std::fs::read_to_string(path).expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a figure");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Once everything that is held against a server at once: every flood, PINGs, peers that say nothing, that begin and
/// say no more, or that read nothing.
async fn assault(address: SocketAddr, key: &str) {
    let begun = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    let mut silent = Vec::new();
    for n in 0..200 {
        let mut socket = TcpStream::connect(address).await.expect("connects");
        let said = [&b""[..], &PREFACE[..12], PREFACE, &begun][n % 4];
        socket.write_all(said).await.expect("sent");
        silent.push(socket);
    }
    for Flood { frames, .. } in floods(key) {
        let mut peer = Peer::connect(address).await;
        peer.flood(5000, frames).await;
        peer.end().await;
    }
    let mut peer = Peer::connect(address).await;
    peer.flood(20_000, |_| frame(PING, 0, 0, &[7; 8])).await;
    assert!(peer.is_served().await);
    ping_and_read_nothing(address).await;
}

/// Calls without pause until it is told to stop; gives how many, each of which was answered.
async fn call_on(client: Client, stop: CancellationToken) -> u64 {
    let mut calls = 0;
    while !stop.is_cancelled() {
        let request = pb::ListImportsRequest::default();
        client.imports().list_imports(request).await.expect("a call beside floods");
        calls += 1;
    }
    calls
}

/// E001 to E009 and E022 against the program itself, whose memory is its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_against_a_server_costs_no_memory() {
    const MARGIN: u64 = 16 << 10;
    let flags =
        ["--log", "off", "--reads-per-minute", "0", "--failed-keys-per-minute", "0", "--stall-seconds", "1"];
    let world = World::new(Database::Sqlite, &flags).await;
    let (child, address) = world.start(&[], &[]).await.expect("it starts");
    let client = world.client(&address).await.expect("connects");
    let host: SocketAddr = address.trim_start_matches("http://").parse().expect("an address");
    let stop = CancellationToken::new();
    let calling = tokio::spawn(call_on(client, stop.clone()));
    // What it needs once it has from then on.
    assault(host, &world.key).await;
    let before = memory(&child);
    // A message that inflates to 64 MiB; the first time is measured, too.
    let bomb =
        web_request(&world.key, &LIST[1..], "grpc-encoding: gzip\r\n", &packed(&gzip(&vec![0; 64 << 20])));
    for _ in 0..4 {
        assault(host, &world.key).await;
        let answer = exchange(host, &bomb).await;
        assert!(has_status(&answer, Code::ResourceExhausted), "{answer}");
    }
    let after = memory(&child);
    stop.cancel();
    assert!(calling.await.expect("a task") > 0, "another client is served all the while");
    assert!(after < before + MARGIN, "{before} KiB, and after four times as much {after} KiB");
}
