//! Messages that are sent by halves: nothing of a stranger's is read, and little is kept of anybody's.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use carryover::grpc::pb;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use crate::{
    floods::memory,
    h2::{END_STREAM, HEADERS, Peer, call},
    harness::{Database, Server},
    on_both_databases,
    processes::World,
    waits::eventually,
    web::{framed, web_call},
};

on_both_databases!(nothing_of_a_stranger_is_read);

const PREVIEW: &str = "carryover.v1.ImportService/PreviewImport";

/// Size of the largest message there may be.
const MESSAGE: usize = 4 << 20;

/// A head of gRPC-web that announces the largest message.
fn head(key: &str) -> Vec<u8> {
    let head = format!(
        "POST /{PREVIEW} HTTP/1.1\r\nhost: x\r\ncontent-type: application/grpc-web+proto\r\nx-grpc-web: 1\r\n\
         x-api-key: {key}\r\ncontent-length: {}\r\n\r\n",
        5 + MESSAGE
    );
    [head.as_bytes(), &[0], &(MESSAGE as u32).to_be_bytes()].concat()
}

async fn nothing_of_a_stranger_is_read(database: Database) {
    let server = Server::start(database).await;
    let mut socket = TcpStream::connect(server.app.address).await.expect("connects");
    socket.write_all(&head("none")).await.expect("sent");
    let mut answer = Vec::new();
    while !String::from_utf8_lossy(&answer).contains("grpc-status: 16") {
        assert!(socket.read_buf(&mut answer).await.expect("an answer") > 0, "{answer:?}");
    }
    let mut peer = Peer::connect(server.app.address).await;
    peer.send(&call(1, 0, &format!("/{PREVIEW}"), "none")).await;
    let answer = peer.find(|frame| frame.stream == 1 && frame.kind == HEADERS).await.expect("an answer");
    assert!(answer.flags & END_STREAM != 0, "it is all there is to it");
    // Whoever asks for what there is not is told so, and needs no key for that.
    let answer =
        web_call(&server, "none", "carryover.v1.ImportService/GetEverything", "", &framed(&[])).await;
    assert!(answer.contains("grpc-status: 12"), "{answer}");
}

/// Connects with little room for what was not yet read at the other end.
async fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_send_buffer_size(16 << 10).expect("set");
    socket.connect(address).await.expect("connects")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_received_messages_have_a_bound() {
    const SENDERS: usize = 60;
    const AT_A_TIME: usize = 8;
    let world = World::new(Database::Sqlite, &["--log", "off"]).await;
    let (child, address) = world.start(&[], &[]).await.expect("it starts");
    let client = world.client(&address).await.expect("connects");
    let request = pb::ListImportsRequest::default;
    client.imports().list_imports(request()).await.expect("answered");
    let before = memory(&child);
    let (address, sent) = (address.parse().expect("an address"), Arc::new(AtomicUsize::new(0)));
    let begin = head(&world.key);
    let mut senders = Vec::new();
    for _ in 0..SENDERS {
        let (sent, mut socket, begin) = (sent.clone(), connect(address).await, begin.clone());
        senders.push(tokio::spawn(async move {
            socket.write_all(&begin).await.expect("sent");
            socket.write_all(&vec![7; MESSAGE - 1]).await.expect("sent");
            sent.fetch_add(1, Ordering::Relaxed);
            socket
        }));
    }
    eventually("all but the end of some", async || (sent.load(Ordering::Relaxed) >= AT_A_TIME).then_some(()))
        .await;
    for _ in 0..200 {
        client.imports().list_imports(request()).await.expect("a small message has room");
    }
    assert_eq!(sent.load(Ordering::Relaxed), AT_A_TIME, "the others wait");
    // Each of those that wait has a buffer of hyper's and windows of TCP.
    let more = memory(&child) - before;
    assert!(more < (2 * AT_A_TIME as u64 * MESSAGE as u64) >> 10, "{more} KiB more");

    let (done, waiting): (Vec<_>, Vec<_>) = senders.into_iter().partition(|sender| sender.is_finished());
    drop(done);
    eventually("the next ones", async || (sent.load(Ordering::Relaxed) >= 2 * AT_A_TIME).then_some(())).await;
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
}
