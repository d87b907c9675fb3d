//! Single calls at their bounds: streams, metadata, message sizes, deadlines, content types, quotas.

use std::time::Duration;

use carryover::grpc::{
    client::Client,
    pb::{self, ImportStatus, upload_import_request::Message},
};
use prost::Message as _;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use crate::{
    h2::{
        CANCEL, DATA, END_STREAM, Frame, HEADERS, Peer, REFUSED_STREAM, RST_STREAM, SETTINGS, call, frame,
        numbered,
    },
    harness::{
        Database, Server, Tenant, assert_refused, chunk, counters, fact, finish, message, plain_csv, reason,
        resume,
    },
    on_both_databases,
    web::{framed, has_status, raw, web_call},
};

on_both_databases!(creating_at_a_time_gives_one_import_and_harms_nobody_else);

const LIST: &str = "carryover.v1.ImportService/ListImports";
const UPLOAD: &str = "carryover.v1.ImportService/UploadImport";

async fn assert_unharmed(tenant: &Tenant, name: &str) {
    tenant.client.imports().list_imports(pb::ListImportsRequest::default()).await.expect(name);
}

/// E044.
async fn creating_at_a_time_gives_one_import_and_harms_nobody_else(database: Database) {
    let server = Server::start(database).await;
    let (greedy, other) = (server.tenant().await, server.tenant().await);
    let calls: Vec<_> = (0..1000)
        .map(|_| {
            let (mut imports, spec) = (greedy.client.imports(), Some(greedy.spec()));
            let request = pb::CreateImportRequest { spec, request_id: String::new() };
            tokio::spawn(async move { imports.create_import(request).await })
        })
        .collect();
    assert_eq!(counters(&other.import(plain_csv("o", 0, 100)).await), (100, 0, 0));
    let mut made = 0;
    for call in calls {
        match call.await.expect("a task") {
            Ok(_) => made += 1,
            Err(status) => {
                let wait = status.get_details_retry_info().expect("RetryInfo").retry_delay;
                assert!(wait.is_some_and(|wait| wait > Duration::ZERO), "{wait:?}");
                let status =
                    assert_refused(Err::<(), _>(status), Code::ResourceExhausted, "ACTIVE_IMPORT_LIMIT");
                assert_eq!(fact(&status, "limit"), "1");
                assert!(status.get_details_quota_failure().is_some());
            }
        }
    }
    assert_eq!(made, 1);
}

/// E014, as a peer sees it that does not wait for its turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_stream_too_many_is_refused() {
    let server = Server::start_with(Database::Sqlite, &["--max-streams", "200"]).await;
    let tenant = server.tenant().await;
    let mut peer = Peer::connect(server.app.address).await;
    let settings = peer.find(|frame| frame.kind == SETTINGS).await.expect("settings");
    let streams =
        settings.payload.chunks(6).find(|setting| setting[..2] == [0, 3]).expect("the limit is told");
    assert_eq!(streams[2..], 200_u32.to_be_bytes());
    let upload = |stream: u32| call(stream, 0, &format!("/{UPLOAD}"), &tenant.key);
    for n in 0..200 {
        peer.send(&upload(2 * n + 1)).await;
    }
    assert!(peer.is_served().await, "200 wait for their first message");
    peer.send(&upload(401)).await;
    let refused = peer.find(|frame| frame.kind == RST_STREAM).await.expect("an answer");
    assert_eq!((refused.stream, refused.number(0)), (401, REFUSED_STREAM));
    peer.send(&numbered(RST_STREAM, 1, CANCEL)).await;
    let list = [call(403, 0, &format!("/{LIST}"), &tenant.key), frame(DATA, END_STREAM, 403, &[0; 5])];
    peer.send(&list.concat()).await;
    let answer = |frame: &Frame| frame.stream == 403 && [HEADERS, RST_STREAM].contains(&frame.kind);
    assert_eq!(peer.find(answer).await.expect("an answer").kind, HEADERS, "one ended, one may begin");
    assert_unharmed(&tenant, "E014").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_have_a_largest_size() {
    let server = Server::start(Database::Sqlite).await;
    let tenant = server.tenant().await;
    let list = async |client: &Client, bytes: usize| {
        let mut request = Request::new(pb::ListImportsRequest::default());
        request.metadata_mut().insert("x-large", "m".repeat(bytes).parse().expect("a value"));
        client.imports().list_imports(request).await
    };
    // The connection ends, and its client hears why unless it is still writing.
    let ended = &[Code::ResourceExhausted, Code::Unavailable, Code::Unknown][..];
    for (name, bytes, codes, word) in [
        ("8 kB", 8_000, &[Code::Ok][..], ""),
        ("E015 20 kB", 20_000, &[Code::Unknown], "431"),
        ("E016 200 kB", 200_000, ended, ""),
        ("E016 2 MB", 2_000_000, ended, ""),
    ] {
        // On a connection of its own, which the server may close.
        let address = server.address();
        let own =
            Client::connect(address.trim_start_matches("http://"), &tenant.key).await.expect("a client");
        let status = list(&own, bytes).await.map_or_else(|status| status, |_| Status::ok(""));
        assert!(codes.contains(&status.code()) && status.message().contains(word), "{name}: {status:?}");
        // Until the client knows that its connection has ended, calls are lost with it.
        let goes_on = async {
            while list(&own, 0).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), goes_on).await.expect("the client goes on");
        assert_unharmed(&tenant, name).await;
    }
}

/// E019: 4 MiB to the byte, and one more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_may_be_as_large_as_the_limit() {
    const LIMIT: usize = 4 << 20;
    let server = Server::start(Database::Sqlite).await;
    let tenant = server.tenant().await;
    let id = tenant.create().await.uuid;
    let line = format!("m,{}\n", "x".repeat(3000));
    let csv = format!("external_id,address\n{}", line.repeat(1500)).into_bytes();
    let chunk_of = |message_bytes: usize| {
        let mut size = message_bytes;
        let of = |size: usize| chunk(0, &csv[..size]);
        while of(size).encoded_len() > message_bytes {
            size -= 1;
        }
        assert_eq!(of(size).encoded_len(), message_bytes);
        (of(size), size)
    };
    let (large, _) = chunk_of(LIMIT + 1);
    let answer = tenant.upload(vec![resume(&id, 0), large]).await;
    let status = assert_refused(answer, Code::OutOfRange, "MESSAGE_TOO_LARGE");
    assert!(status.message().contains(&LIMIT.to_string()), "the limit is named: {status:?}");
    let (whole, size) = chunk_of(LIMIT);
    tenant.upload(vec![resume(&id, 0), whole, chunk(size, b"\n"), finish(size + 1)]).await.expect("it fits");
    let import = tenant.wait(&id).await;
    assert_eq!((import.status(), import.source_bytes), (ImportStatus::Completed, size as i64 + 1));
}

/// E039: a deadline is kept; what is none is no deadline.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deadlines_of_callers() {
    let server = Server::start(Database::Sqlite).await;
    let tenant = server.tenant().await;
    for timeout in ["1H", "99999999H", "99999999n", "999999999S", "-1S", "1", "1x", "S", "", "garbage"] {
        let header = format!("grpc-timeout: {timeout}\r\n");
        let answer = web_call(&server, &tenant.key, LIST, &header, &framed(b"")).await;
        assert!(has_status(&answer, Code::Ok), "{timeout}: {answer}");
    }
    for timeout in ["1n", "1u", "1m"] {
        // An upload whose first message never comes; without the deadline it would be waited for.
        let head = format!(
            "POST /{UPLOAD} HTTP/1.1\r\nhost: x\r\ncontent-type: application/grpc-web+proto\r\n\
             x-api-key: {}\r\ngrpc-timeout: {timeout}\r\nconnection: close\r\ncontent-length: 100\r\n\r\n",
            tenant.key
        );
        let answer = raw(&server, head.as_bytes()).await;
        assert!(has_status(&answer, Code::DeadlineExceeded), "{timeout}: {answer}");
    }
}

/// E047: gRPC-web in both forms, and what is neither.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn content_types() {
    // "rpc-status:0" in base64: the trailers of the text form are in its body.
    const STATUS_0: &str = "cnBjLXN0YXR1czow";
    let server = Server::start(Database::Sqlite).await;
    let tenant = server.tenant().await;
    let post = async |content_type: &str, body: &[u8]| {
        let header = if content_type.is_empty() { "" } else { "content-type: " };
        let head = format!(
            "POST /{LIST} HTTP/1.1\r\nhost: x\r\naccept: {content_type}\r\n{header}{content_type}\r\n\
             x-api-key: {}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            tenant.key,
            body.len()
        );
        raw(&server, &[head.replace("\r\n\r\nx-api", "\r\nx-api").as_bytes(), body].concat()).await
    };
    for (content_type, body) in [
        ("application/grpc-web", &framed(b"")[..]),
        ("application/grpc-web+proto", &framed(b"")),
        ("application/grpc-web-text", b"AAAAAAA="),
        ("application/grpc-web-text+proto", b"AAAAAAA="),
    ] {
        let answer = post(content_type, body).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{content_type}: {answer}");
        assert!(answer.contains(&format!("content-type: {content_type}")), "{content_type}: {answer}");
        let text = content_type.contains("text");
        assert!(text || has_status(&answer, Code::Ok), "{content_type}: {answer}");
        assert!(!text || answer.contains(STATUS_0), "{content_type}: {answer}");
    }
    for content_type in
        ["application/grpc-web+json", "application/grpc-web-thing", "application/grpc", "text/plain", ""]
    {
        let answer = post(content_type, &framed(b"")).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{content_type}: {answer}");
        assert_unharmed(&tenant, content_type).await;
    }
    let answer = post("application/grpc-web-text", b"no base64!").await;
    assert!(!answer.contains(STATUS_0), "{answer}");
    assert_unharmed(&tenant, "broken base64").await;
}

/// E048: no page of another origin may call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn preflights_allow_nothing() {
    let server = Server::start(Database::Sqlite).await;
    let tenant = server.tenant().await;
    for path in [LIST, "grpc.health.v1.Health/Check", "", "x.Y/Z"] {
        let request = format!(
            "OPTIONS /{path} HTTP/1.1\r\nhost: x\r\norigin: https://evil.example\r\n\
             access-control-request-method: POST\r\naccess-control-request-private-network: true\r\n\
             access-control-request-headers: x-api-key,x-grpc-web\r\nconnection: close\r\n\r\n"
        );
        let answer = raw(&server, request.as_bytes()).await.to_lowercase();
        assert!(answer.starts_with("http/1.1 "), "{path}: {answer}");
        assert!(!answer.contains("access-control-allow"), "{path}: {answer}");
        assert_unharmed(&tenant, path).await;
    }
}

/// Refusals that no service of ours makes say why as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_transport_tells_its_reasons() {
    let server = Server::start(Database::Sqlite).await;
    let tenant = server.tenant().await;
    let channel = tonic::transport::Endpoint::from_shared(server.address()).expect("an address");
    let channel = channel.connect().await.expect("connects");
    let mut grpc = tonic::client::Grpc::new(channel);
    let get = "/carryover.v1.ImportService/GetImport";
    for (name, path, encoding, body, code, word) in [
        (
            "an unknown method",
            "/carryover.v1.ImportService/No",
            None,
            vec![],
            Code::Unimplemented,
            "UNKNOWN_METHOD",
        ),
        ("an unknown service", "/x.Y/Z", None, vec![], Code::Unimplemented, "UNKNOWN_METHOD"),
        (
            "E021 an unknown encoding",
            get,
            Some("deflate"),
            vec![],
            Code::Unimplemented,
            "UNSUPPORTED_ENCODING",
        ),
        ("a torn message", get, None, vec![0xff, 0xff], Code::Internal, "MALFORMED_MESSAGE"),
        (
            "E026 a text that is not UTF-8",
            get,
            None,
            b"\x0a\x02\xff\xfe".to_vec(),
            Code::Internal,
            "MALFORMED_MESSAGE",
        ),
        (
            "a large message",
            "/carryover.v1.AdminService/CreateApplication",
            None,
            vec![0; (4 << 20) + 1],
            Code::OutOfRange,
            "MESSAGE_TOO_LARGE",
        ),
    ] {
        grpc.ready().await.expect("connects");
        let path = path.parse().expect("a path");
        let mut request = Request::new(body);
        if let Some(encoding) = encoding {
            request.metadata_mut().insert("grpc-encoding", encoding.parse().expect("a value"));
        }
        // A text field is written as bytes are.
        request.metadata_mut().insert("x-api-key", tenant.key.parse().expect("a key"));
        let answer = grpc.unary(request, path, Bytes).await;
        let status = answer.expect_err(name);
        assert_eq!((status.code(), reason(&status).as_str()), (code, word), "{name}: {status:?}");
        assert!(!status.message().is_empty(), "{name}");
        assert_unharmed(&tenant, name).await;
    }
    let nothing = message(Message::Chunk(pb::UploadChunk::default()));
    let status = assert_refused(tenant.upload(vec![nothing]).await, Code::InvalidArgument, "INVALID_FIELDS");
    assert!(status.get_details_bad_request().is_some(), "what has a reason keeps it");
}

/// Sends bytes as they are, and expects none.
#[derive(Clone, Copy)]
struct Bytes;

impl tonic::codec::Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl tonic::codec::Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = tonic::Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut tonic::codec::EncodeBuf<'_>) -> Result<(), Self::Error> {
        bytes::BufMut::put_slice(buffer, &item);
        Ok(())
    }
}

impl tonic::codec::Decoder for Bytes {
    type Item = ();
    type Error = tonic::Status;

    fn decode(&mut self, _: &mut tonic::codec::DecodeBuf<'_>) -> Result<Option<()>, Self::Error> {
        Ok(None)
    }
}
