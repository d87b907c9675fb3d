//! Floods of HTTP/2 frames: the connection ends or is served, and others never notice.

use std::time::Duration;

use carryover::grpc::pb;
use tokio::{io::AsyncWriteExt, net::TcpSocket};

use crate::{
    h2::{
        ACK, CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Frame, GoAway, HEADERS,
        PING, PREFACE, PRIORITY, Peer, RST_STREAM, SETTINGS, WINDOW_UPDATE, call, field, frame, numbered,
    },
    harness::{Database, Server, Tenant, counters, plain_csv},
};

const LIST: &str = "/carryover.v1.ImportService/ListImports";

/// The client's streams have odd numbers.
fn stream(n: u32) -> u32 {
    2 * n + 1
}

/// Another connection than the flooded one is served, from the call to the database and back.
async fn assert_unharmed(tenant: &Tenant, name: &str) {
    tenant.client.imports().list_imports(pb::ListImportsRequest::default()).await.expect(name);
}

/// Floods that no honest client makes end the connection, with the reason.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_without_sense_end_the_connection() {
    const PROTOCOL_ERROR: u32 = 1;
    let server = Server::start(Database::Sqlite).await;
    let tenant = server.tenant().await;
    let open = |n: u32| call(stream(n), 0, LIST, &tenant.key);
    let closed = |n: u32| call(stream(n), END_STREAM, LIST, &tenant.key);
    let unending = |n: u32| match n {
        0 => frame(HEADERS, 0, 1, &field("a", "b")),
        _ => frame(CONTINUATION, 0, 1, &field("a", "b")),
    };
    type Flood<'a> = Box<dyn Fn(u32) -> Vec<u8> + 'a>;
    let floods: Vec<(&str, Flood<'_>, u32, &str)> = vec![
        (
            "E001 rapid reset",
            Box::new(|n| [closed(n), numbered(RST_STREAM, stream(n), CANCEL)].concat()),
            ENHANCE_YOUR_CALM,
            "too_many_resets",
        ),
        (
            "E001 rapid reset of calls that are still open",
            Box::new(|n| [open(n), numbered(RST_STREAM, stream(n), CANCEL)].concat()),
            ENHANCE_YOUR_CALM,
            "too_many_resets",
        ),
        ("E002 CONTINUATION without end", Box::new(unending), ENHANCE_YOUR_CALM, "too_many_continuations"),
        (
            "E004 WINDOW_UPDATE of 0 on a stream",
            Box::new(|n| [open(n), numbered(WINDOW_UPDATE, stream(n), 0)].concat()),
            PROTOCOL_ERROR,
            "",
        ),
        (
            "E004 WINDOW_UPDATE of 0 on the connection",
            Box::new(|_| numbered(WINDOW_UPDATE, 0, 0)),
            PROTOCOL_ERROR,
            "",
        ),
        (
            "E005 DATA behind END_STREAM",
            Box::new(|n| [closed(n), frame(DATA, 0, stream(n), b"late")].concat()),
            PROTOCOL_ERROR,
            "",
        ),
        (
            "E005 PRIORITY of four bytes",
            Box::new(|n| [open(n), numbered(PRIORITY, stream(n), 1)].concat()),
            PROTOCOL_ERROR,
            "",
        ),
        (
            "E005 a stream that depends on itself",
            Box::new(|n| {
                let itself = [&stream(n).to_be_bytes()[..], &[0]].concat();
                [open(n), frame(PRIORITY, 0, stream(n), &itself)].concat()
            }),
            ENHANCE_YOUR_CALM,
            "too_many_internal_resets",
        ),
        (
            "E005 a window beyond 2 GiB",
            Box::new(|n| [open(n), numbered(WINDOW_UPDATE, stream(n), 0x7fff_ffff)].concat()),
            ENHANCE_YOUR_CALM,
            "too_many_internal_resets",
        ),
        (
            "empty DATA",
            Box::new(|n| if n == 0 { open(0) } else { frame(DATA, 0, 1, b"") }),
            ENHANCE_YOUR_CALM,
            "too_many_data_frames",
        ),
        (
            "headers of upper case",
            Box::new(|n| frame(HEADERS, END_HEADERS, stream(n), &field("Upper", "case"))),
            PROTOCOL_ERROR,
            "",
        ),
    ];
    for (name, flood, code, text) in floods {
        let mut peer = Peer::connect(server.app.address).await;
        peer.flood(20_000, flood).await;
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

/// Answers that nobody reads are not kept without bound: the server reads no further, and then ends it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pings_whose_answers_are_not_read_wait_in_the_network() {
    const BYTES: usize = 256 << 20;
    let server = Server::start_with(Database::Sqlite, &["--stall-seconds", "2"]).await;
    let tenant = server.tenant().await;
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(8 << 10).expect("set");
    let mut deaf = socket.connect(server.app.address).await.expect("connects");
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
    assert_unharmed(&tenant, "E008").await;
}
