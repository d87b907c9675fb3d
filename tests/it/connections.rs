//! Connections: who does not speak, who opens too many, and a server without file descriptors.

use std::{net::SocketAddr, process::Stdio, time::Duration};

use carryover::grpc::{client::Client, pb};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpSocket, TcpStream},
    process::{Child, Command},
    sync::mpsc,
};

use crate::{
    h2::{PREFACE, Peer},
    harness::{Database, Server, Tenant},
    waits::eventually,
    web::exchange,
};

/// Waits for the end of a connection on which nothing may have been said.
async fn closed(socket: &mut TcpStream, name: &str) {
    let mut said = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(60), socket.read_to_end(&mut said)).await;
    // A reset is an end as well.
    let _ = read.unwrap_or_else(|_| panic!("{name}: the connection is still open"));
    assert!(!said.starts_with(b"HTTP/1.1 2"), "{name}: {}", String::from_utf8_lossy(&said));
}

async fn assert_unharmed(tenant: &Tenant, name: &str) {
    tenant.client.imports().list_imports(pb::ListImportsRequest::default()).await.expect(name);
}

/// A peer at an address of its own on the loopback network.
async fn connect_from(address: [u8; 4], server: &Server) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind((address, 0).into()).expect("a loopback address");
    socket.connect(server.app.address).await.expect("the system accepts")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_begin_in_time_is_closed() {
    let server = Server::start_with(Database::Sqlite, &["--handshake-seconds", "1"]).await;
    let tenant = server.tenant().await;
    let mut patient = Peer::connect(server.app.address).await;
    assert!(patient.is_served().await);
    for (name, beginning) in [
        ("E009 nothing", &b""[..]),
        ("E009 half a preface", &PREFACE[..12]),
        ("E009 a preface less one byte", &PREFACE[..23]),
        ("E009 a request's first letter", b"P"),
        ("E009 something else", b"\x16\x03\x01"),
    ] {
        let mut socket = TcpStream::connect(server.app.address).await.expect("connects");
        socket.write_all(beginning).await.expect("sent");
        closed(&mut socket, name).await;
    }
    for (name, text) in
        [("E009 a preface", PREFACE), ("E009 a request", b"GET / HTTP/1.1\r\nhost: localhost\r\n")]
    {
        let mut socket = TcpStream::connect(server.app.address).await.expect("connects");
        // A byte every now and then, the last one far behind the deadline.
        let (mut read, mut write) = socket.split();
        let dribble = async {
            for byte in &text[..23] {
                tokio::time::sleep(Duration::from_millis(200)).await;
                if write.write_all(&[*byte]).await.is_err() {
                    return;
                }
            }
            tokio::time::sleep(Duration::from_secs(60)).await;
            panic!("{name} by the byte: the connection is still open");
        };
        let mut said = Vec::new();
        tokio::select! {
            _ = read.read_to_end(&mut said) => {}
            () = dribble => {}
        }
        assert!(!said.starts_with(b"HTTP/1.1 2"), "{name}");
    }
    assert!(patient.is_served().await, "who has begun may be silent");
    assert_unharmed(&tenant, "E009").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn surplus_connections_are_closed_at_once() {
    let flags = ["--max-connections", "450", "--max-connections-per-peer", "300"];
    let server = Server::start_with(Database::Sqlite, &flags).await;
    let tenant = server.tenant().await;
    // The tenant's own connection is the first of 127.0.0.1.
    let mut served = Vec::new();
    for (peer, connections, room) in [(1, 3000, 299), (2, 1000, 150), (3, 200, 0)] {
        let mut of_peer = 0;
        for _ in 0..connections {
            let mut connection = Peer::over(connect_from([127, 0, 0, peer], &server).await).await;
            if connection.is_served().await {
                of_peer += 1;
                served.push(connection);
            }
        }
        assert_eq!(of_peer, room, "E012: connections of peer {peer}");
        assert_unharmed(&tenant, "E012").await;
    }
    served.drain(..100);
    // The server sees their end a moment later.
    for _ in 0..10 {
        let next = eventually("a place that was given back", async || {
            let mut connection = Peer::over(connect_from([127, 0, 0, 3], &server).await).await;
            connection.is_served().await.then_some(connection)
        });
        served.push(next.await);
    }
    assert_unharmed(&tenant, "E012").await;
}

/// Who is closed for saying nothing gives its place back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_connections_cannot_keep_others_out() {
    let flags = ["--max-connections-per-peer", "5", "--handshake-seconds", "3"];
    let server = Server::start_with(Database::Sqlite, &flags).await;
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(TcpStream::connect(server.app.address).await.expect("connects"));
    }
    let mut surplus = Peer::connect(server.app.address).await;
    assert!(!surplus.is_served().await, "all places are taken");
    for socket in &mut silent {
        closed(socket, "E009").await;
    }
    eventually("a place that was given back", async || {
        Peer::connect(server.app.address).await.is_served().await.then_some(())
    })
    .await;
}

/// The program as a process of its own, whose log is read.
struct Program {
    child: Child,
    log: mpsc::Receiver<String>,
    address: SocketAddr,
    key: String,
    _folder: tempfile::TempDir,
}

impl Program {
    /// Starts it with so many file descriptors.
    async fn start(descriptors: u32) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let run =
            format!("ulimit -n {descriptors} && exec \"$0\" serve --listen 127.0.0.1:0 --data-dir \"$1\"");
        let mut child = Command::new("bash")
            .args(["-c", &run])
            .args([env!("CARGO_BIN_EXE_carryover").as_ref(), folder.path()])
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("it starts");
        let (sender, log) = mpsc::channel(10_000);
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let _ = sender.send(line).await;
            }
        });
        let address = SocketAddr::from(([0; 4], 0));
        let mut program = Self { child, log, address, key: String::new(), _folder: folder };
        let served_on = program.line_with("serves gRPC on ").await;
        program.address = served_on.split(' ').next().expect("a word").parse().expect("an address");
        let key = std::fs::read_to_string(program._folder.path().join("admin.key")).expect("the first key");
        key.trim().clone_into(&mut program.key);
        program
    }

    /// What follows `text` in the next line that has it.
    async fn line_with(&mut self, text: &str) -> String {
        loop {
            let line = tokio::time::timeout(Duration::from_secs(60), self.log.recv()).await;
            if let Some((_, rest)) = line.expect(text).expect(text).split_once(text) {
                break rest.to_owned();
            }
        }
    }

    async fn connect(&self) -> Client {
        Client::connect(&self.address.to_string(), &self.key).await.expect("connects")
    }

    /// Ends it; gives the lines of the log that nobody has read.
    async fn end(mut self) -> Vec<String> {
        assert!(self.child.try_wait().expect("known").is_none(), "it runs to the end");
        self.child.kill().await.expect("ends");
        let mut rest = Vec::new();
        while let Some(line) = self.log.recv().await {
            rest.push(line);
        }
        rest
    }
}

/// E013.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_file_descriptors_recovers() {
    let mut program = Program::start(80).await;
    let admin = program.connect().await;
    let list = pb::ListApplicationsRequest::default;
    admin.admin().list_applications(list()).await.expect("an answer");

    let mut crowd = Vec::new();
    for _ in 0..100 {
        crowd.push(TcpStream::connect(program.address).await.expect("the system accepts"));
    }
    program.line_with("a connection cannot be accepted").await;
    drop(crowd);
    let late = program.connect().await;
    late.admin().list_applications(list()).await.expect("a new connection is served");
    admin.admin().list_applications(list()).await.expect("the old one, too");
    program.end().await;
}

/// E046.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_are_refused_without_a_word_in_the_log() {
    const STRANGERS: usize = 1000;
    let program = Program::start(1000).await;
    let admin = program.connect().await;
    let get = b"GET /index.html HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let post = b"POST /carryover.v1.ImportService/GetImport HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
        content-length: 2\r\nconnection: close\r\n\r\n{}";
    let garbage = &[0xff; 100];
    for (name, request, refusals) in [
        ("a GET", &get[..], &["HTTP/1.1 4", "grpc-status: 12", "grpc-status:12"][..]),
        ("JSON", &post[..], &["HTTP/1.1 4"]),
        ("garbage", &garbage[..], &[""]),
    ] {
        for _ in 0..STRANGERS {
            let answer = exchange(program.address, request).await;
            assert!(refusals.iter().any(|refusal| answer.contains(refusal)), "E046 {name}: {answer}");
            assert!(!answer.contains("grpc-status: 0") && !answer.contains("grpc-status:0"), "E046 {name}");
        }
    }
    let list = pb::ListApplicationsRequest::default();
    admin.admin().list_applications(list).await.expect("who speaks gRPC is served");
    let log = program.end().await;
    assert!(log.len() < 10, "E046: {} lines, such as {:?}", log.len(), log.last());
}
