//! Health and reflection: what a caller without a key may ask, how often, and until when.

use std::time::Duration;

use tokio_stream::StreamExt;
use tonic::{Code, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::{
    v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    },
    v1alpha,
};

use crate::{
    h2::{CANCEL, DATA, END_STREAM, Frame, HEADERS, Peer, REFUSED_STREAM, RST_STREAM, call, frame, numbered},
    harness::{Database, Server},
};

const SERVICES: [&str; 7] = [
    "",
    "carryover.v1.ImportService",
    "carryover.v1.SessionService",
    "carryover.v1.EntityService",
    "carryover.v1.TransactionService",
    "carryover.v1.WorkflowService",
    "carryover.v1.AdminService",
];

async fn channel(server: &Server) -> Channel {
    Channel::from_shared(server.address()).expect("an address").connect().await.expect("connects")
}

fn about(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_service_is_healthy_until_the_stop() {
    let server = Server::start(Database::Sqlite).await;
    let mut health = HealthClient::new(channel(&server).await);
    let mut watches = Vec::new();
    for service in SERVICES {
        let checked = health.check(about(service)).await.expect(service).into_inner();
        assert_eq!(checked.status(), ServingStatus::Serving, "{service}");
        let mut watch = health.watch(about(service)).await.expect(service).into_inner();
        let first = watch.message().await.expect(service).expect(service);
        assert_eq!(first.status(), ServingStatus::Serving, "{service}");
        watches.push((service, watch));
    }
    assert_eq!(health.check(about("x.Y")).await.expect_err("unknown").code(), Code::NotFound);
    let mut unknown = health.watch(about("x.Y")).await.expect("a watch").into_inner();
    let first = unknown.message().await.expect("a message").expect("one");
    assert_eq!(first.status(), ServingStatus::ServiceUnknown);

    let stopped = server.app.lifecycle.stop_within(Duration::from_secs(60));
    let ends = async {
        for (service, mut watch) in watches {
            let last = watch.message().await.expect(service).expect(service);
            assert_eq!(last.status(), ServingStatus::NotServing, "{service}");
            assert!(watch.message().await.expect(service).is_none(), "{service}: it would hold up the stop");
        }
        assert!(unknown.message().await.expect("an end").is_none());
    };
    let (stopped, ()) = tokio::join!(stopped, ends);
    assert!(stopped);
}

/// Calls that nobody ends, and a peer that says nothing more, hold up the stop for a while only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_without_end_do_not_hold_up_the_stop() {
    let server = Server::start(Database::Sqlite).await;
    let mut reflection = ServerReflectionClient::new(channel(&server).await);
    let open = reflection.server_reflection_info(tokio_stream::pending()).await.expect("a stream");
    let mut silent = Peer::connect(server.app.address).await;
    assert!(silent.is_served().await);
    assert!(server.app.lifecycle.stop_within(Duration::from_secs(60)).await);
    drop(open);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_checks_is_answered() {
    let server = Server::start_with(Database::Sqlite, &["--max-streams", "20"]).await;
    let tenant = server.tenant().await;
    let channel = channel(&server).await;
    // Once the client knows how many calls it may have at a time, the others wait for their turn.
    HealthClient::new(channel.clone()).check(about("")).await.expect("an answer");
    let checks: Vec<_> = (0..3000)
        .map(|n| {
            let mut health = HealthClient::new(channel.clone());
            tokio::spawn(async move { health.check(about(SERVICES[n % SERVICES.len()])).await })
        })
        .collect();
    tenant.create().await;
    for check in checks {
        let answer = check.await.expect("a task").expect("E050").into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving);
    }
}

/// A peer that forgets its watches has as many as it may have calls, and then no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forgotten_watches_are_bounded() {
    let server = Server::start_with(Database::Sqlite, &["--max-streams", "20"]).await;
    let tenant = server.tenant().await;
    let mut peer = Peer::connect(server.app.address).await;
    let watch = |stream: u32| {
        let head = call(stream, 0, "/grpc.health.v1.Health/Watch", "");
        [head, frame(DATA, END_STREAM, stream, &[0; 5])].concat()
    };
    let answer = |stream: u32| {
        move |frame: &Frame| frame.stream == stream && [HEADERS, RST_STREAM].contains(&frame.kind)
    };
    for n in 0..20 {
        peer.send(&watch(2 * n + 1)).await;
        let opened = peer.find(answer(2 * n + 1)).await.expect("an answer");
        assert_eq!(opened.kind, HEADERS, "E050: watch {n}");
    }
    for stream in [41, 43, 45] {
        peer.send(&watch(stream)).await;
        let refused = peer.find(answer(stream)).await.expect("an answer");
        assert_eq!((refused.kind, refused.number(0)), (RST_STREAM, REFUSED_STREAM), "E050: one more");
    }
    peer.send(&numbered(RST_STREAM, 1, CANCEL)).await;
    peer.send(&watch(47)).await;
    assert_eq!(peer.find(answer(47)).await.expect("an answer").kind, HEADERS, "the place is free again");
    tenant.create().await;
}

fn symbol(name: &str) -> ServerReflectionRequest {
    let message_request = Some(MessageRequest::FileContainingSymbol(name.to_owned()));
    ServerReflectionRequest { host: String::new(), message_request }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reflection_answers_any_number_of_questions() {
    const QUESTIONS: usize = 100_000;
    let server = Server::start(Database::Sqlite).await;
    let tenant = server.tenant().await;
    let mut reflection = ServerReflectionClient::new(channel(&server).await);
    let questions =
        tokio_stream::iter((0..QUESTIONS).map(|_| symbol("carryover.v1.ImportService.UploadImport")));
    let mut answers = reflection.server_reflection_info(questions).await.expect("a stream").into_inner();
    let mut files = 0;
    while let Some(answer) = answers.next().await {
        let answer = answer.expect("E049").message_response;
        assert!(matches!(answer, Some(MessageResponse::FileDescriptorResponse(_))), "{answer:?}");
        files += 1;
        if files == QUESTIONS / 2 {
            tenant.create().await;
        }
    }
    assert_eq!(files, QUESTIONS, "E049");
    let mut last = async |name: &str| {
        let question = tokio_stream::iter([symbol(name)]);
        let mut answers = reflection.server_reflection_info(question).await.expect("a stream").into_inner();
        answers.message().await.map(|answer| answer.is_some()).map_err(|status| status.code())
    };
    for name in ["", ".", "a.b.c", &"deep.".repeat(500)] {
        assert_eq!(last(name).await, Err(Code::NotFound), "E049: there is no such symbol");
    }
    // An error names what was asked for, so nothing large may be asked for.
    for name in ["deep.".repeat(100_000), "x".repeat(1 << 20)] {
        assert_eq!(last(&name).await, Ok(false), "E049: the stream has ended");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reflection_can_be_switched_off() {
    let server = Server::start_with(Database::Sqlite, &["--no-reflection"]).await;
    let channel = channel(&server).await;
    let list = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(
            v1alpha::server_reflection_request::MessageRequest::ListServices(String::new()),
        ),
    };
    let mut older = v1alpha::server_reflection_client::ServerReflectionClient::new(channel.clone());
    let refused = older.server_reflection_info(tokio_stream::iter([list])).await.expect_err("E049: off");
    assert_eq!(refused.code(), Code::Unimplemented);
    let mut newer = ServerReflectionClient::new(channel.clone());
    let refused = newer.server_reflection_info(tokio_stream::iter([symbol("a")])).await.expect_err("off");
    assert_eq!(refused.code(), Code::Unimplemented);
    let checked = HealthClient::new(channel).check(about("")).await.expect("health is there all the same");
    assert_eq!(checked.into_inner().status(), ServingStatus::Serving);
}
