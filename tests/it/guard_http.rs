//! Responses: what is taken, and how far a server gets with what is not.

use std::{process::Command, time::Duration};

use carryover::guard::{Ask, FetchError, Guard, Policy};
use futures_util::TryStreamExt;

use crate::{
    fake_origin::Step,
    outside::{Fetched, Outside, fetch, head, ok, path, plain_ask},
};

/// Fetches from a server that does this with every connection.
async fn from(steps: Vec<Step>) -> Result<Fetched, FetchError> {
    Outside::answering(move |_| steps.clone()).await.fetch_usual().await
}

/// The same, with these bytes sent at once.
async fn from_bytes(bytes: &[u8]) -> Result<Fetched, FetchError> {
    from(vec![Step::Send(bytes.to_vec())]).await
}

async fn code(bytes: &[u8]) -> &'static str {
    from_bytes(bytes).await.map_or_else(|error| error.code(), |_| "accepted")
}

fn send(text: &str) -> Step {
    Step::Send(text.as_bytes().to_vec())
}

#[tokio::test]
async fn a_good_answer_says_all_that_is_known() {
    let outside = Outside::answering(|_| {
        vec![
            head(&[
                "HTTP/1.1 200 OK",
                "Content-Type: image/jpeg",
                "ETag: \"v1\"",
                "Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT",
                "Accept-Ranges: bytes",
                "Content-Length: 5",
            ]),
            send("hello"),
        ]
    })
    .await;
    let Fetched { answer, bytes } = outside.fetch(&outside.url("/a?token=secret")).await.expect("served");
    assert_eq!(bytes, b"hello");
    assert_eq!((answer.status, answer.content_length, answer.total_length), (200, Some(5), Some(5)));
    assert_eq!(answer.etag.as_deref(), Some("\"v1\""));
    assert_eq!(answer.last_modified.as_deref(), Some("Wed, 21 Oct 2015 07:28:00 GMT"));
    assert_eq!(answer.content_type.as_deref(), Some("image/jpeg"));
    let shown = format!("{answer:?}");
    assert!(!shown.contains("secret"), "{shown}");
    assert_eq!((answer.accepts_ranges, answer.host.as_str()), (true, "media.example.com"));
    let request = outside.origin.requests().concat().to_lowercase();
    assert!(request.starts_with("get /a?token=secret http/1.1\r\n"), "{request}");
    assert!(request.contains("accept-encoding: identity\r\n"), "{request}");
}

#[tokio::test]
async fn c018_c036_no_connection_serves_twice() {
    let outside = Outside::answering(|_| {
        vec![Step::Send([&b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"[..]; 2].concat())]
    })
    .await;
    let guard = Guard::new(outside.policy()).expect("a guard");
    for served in 1..=3 {
        let answer = guard.get(&outside.url("/"), plain_ask()).await.expect("served");
        let chunks: Vec<_> = answer.body.into_stream().try_collect().await.expect("all of it");
        assert_eq!(chunks.concat(), b"hello");
        assert_eq!(outside.origin.connections(), served);
    }
}

#[tokio::test]
async fn a057_a_path_goes_out_as_it_is() {
    let outside = Outside::answering(|_| ok("hello")).await;
    for sent in ["/..;/", "/a%0d%0aHost:%20x", "/%2e%2e;/x", "/a;b=c@d"] {
        outside.fetch(&outside.url(sent)).await.expect("served");
        let requests = outside.origin.requests();
        let request = requests.last().expect("a request");
        assert_eq!(path(request), sent);
        assert_eq!(request.to_lowercase().matches("\r\nhost:").count(), 1, "{request}");
    }
}

#[tokio::test]
async fn c014_slow_headers_are_waited_for_within_the_whole_budget() {
    let slow = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".to_vec();
    let outside =
        Outside::answering(move |_| vec![Step::Trickle(slow.clone(), Duration::from_secs(1))]).await;
    let policy = Policy { total_time: Duration::from_millis(1_500), ..outside.policy() };
    let error = fetch(policy, &outside.url("/"), plain_ask()).await.expect_err("too slow");
    assert_eq!(error, FetchError::Timeout);
    let endless =
        Outside::answering(|_| vec![Step::Endless(b"HTTP/1.1 103 Early Hints\r\n\r\n".to_vec())]).await;
    let policy = Policy { total_time: Duration::from_millis(500), ..endless.policy() };
    let error = fetch(policy, &endless.url("/"), plain_ask()).await.expect_err("never an answer");
    assert_eq!(error, FetchError::Timeout, "hints without end");
}

#[tokio::test]
async fn c015_a_slow_body_ends_by_its_rate_or_by_the_whole_budget() {
    let outside = Outside::answering(|_| {
        vec![
            head(&["HTTP/1.1 200 OK", "Content-Length: 1000"]),
            Step::Trickle(vec![b'x'; 1_000], Duration::from_millis(100)),
        ]
    })
    .await;
    let slow = Policy { rate_window: Duration::from_millis(500), ..outside.policy() };
    let error = fetch(slow, &outside.url("/"), plain_ask()).await.expect_err("too slow");
    assert_eq!(error, FetchError::TooSlow);
    assert_eq!((error.code(), error.is_transient()), ("TIMEOUT", true));
    let brief = Policy {
        min_bytes_per_second: 0,
        rate_window: Duration::from_millis(100),
        total_time: Duration::from_millis(1_500),
        ..outside.policy()
    };
    let error = fetch(brief, &outside.url("/"), plain_ask()).await.expect_err("too long");
    assert_eq!(error, FetchError::Timeout);
}

#[tokio::test]
async fn c015_a_reader_may_give_up_waiting_and_time_still_passes() {
    let outside = Outside::answering(|_| {
        vec![head(&["HTTP/1.1 200 OK", "Content-Length: 1000"]), send("x"), Step::Hang]
    })
    .await;
    let policy = Policy { rate_window: Duration::from_millis(500), ..outside.policy() };
    let guard = Guard::new(policy).expect("a guard");
    let mut answer = guard.get(&outside.url("/"), plain_ask()).await.expect("a head");
    let ended = loop {
        let waited = tokio::time::timeout(Duration::from_millis(20), answer.body.chunk()).await;
        if let Ok(Err(error)) = waited {
            break error;
        }
    };
    assert_eq!(ended, FetchError::TooSlow);
    assert_eq!(answer.body.chunk().await, Ok(None), "it is over after an error");
}

#[tokio::test]
async fn a_body_is_a_stream_for_any_task() {
    let outside = Outside::answering(|_| ok("x".repeat(100_000))).await;
    let guard = Guard::new(outside.policy()).expect("a guard");
    let url = outside.url("/");
    let fetching = tokio::spawn(async move {
        let answer = guard.get(&url, plain_ask()).await?;
        answer.body.into_stream().try_collect::<Vec<_>>().await
    });
    let chunks = fetching.await.expect("ends").expect("all of it");
    assert_eq!(chunks.iter().map(bytes::Bytes::len).sum::<usize>(), 100_000);
}

#[tokio::test]
async fn c016_headers_without_measure() {
    let one = format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: {}\r\n\r\nhello", "x".repeat(100_000));
    assert_eq!(code(one.as_bytes()).await, "HTTP_PROTOCOL", "100 KB in one");
    let many = |count: usize| {
        let headers = "X: y\r\n".repeat(count);
        format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n{headers}\r\nhello").into_bytes()
    };
    assert_eq!(code(&many(10_000)).await, "HTTP_PROTOCOL", "10,000");
    assert_eq!(code(&many(50)).await, "accepted", "50");
    let endless =
        from(vec![send("HTTP/1.1 200 OK\r\n"), Step::Endless(b"X: yyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".to_vec())]);
    assert_eq!(endless.await.expect_err("without end").code(), "HTTP_PROTOCOL");
}

#[tokio::test]
async fn c018_c019_lengths_that_lie() {
    let more = from_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234567890123456789").await;
    assert_eq!(more.expect("served").bytes, b"0123456789");
    let less = from_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234").await.expect_err("less");
    assert_eq!((less.code(), less.is_transient()), ("CONNECTION_LOST", true));
    for lengths in ["-1", "5x", "99999999999999999999", "5\r\nContent-Length: 6", "5, 6", ""] {
        let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {lengths}\r\n\r\nhello");
        assert_eq!(code(response.as_bytes()).await, "HTTP_PROTOCOL", "{lengths:?}");
    }
    let both =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    assert_eq!(code(both).await, "HTTP_PROTOCOL", "C023");
}

#[tokio::test]
async fn c020_c021_no_more_than_is_asked_for() {
    let declared = from_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 5368709120\r\n\r\nx").await;
    assert_eq!(declared.expect_err("5 GiB"), FetchError::TooLarge { limit: 1024 * 1024 });
    let outside = Outside::answering(|_| {
        vec![head(&["HTTP/1.1 200 OK", "Connection: close"]), Step::Endless(vec![b'x'; 10_000])]
    })
    .await;
    let guard = Guard::new(outside.policy()).expect("a guard");
    let mut answer = guard.get(&outside.url("/"), plain_ask()).await.expect("a head");
    let mut received = 0;
    let error = loop {
        match answer.body.chunk().await {
            Ok(chunk) => received += chunk.expect("it has no end").len(),
            Err(error) => break error,
        }
    };
    assert!(received <= 1024 * 1024, "{received}");
    assert_eq!((error.code(), error.is_transient()), ("TOO_LARGE", false));
    let exact = Ask { max_bytes: 5, ..Ask::default() };
    let outside = Outside::answering(|_| ok("hello")).await;
    assert_eq!(fetch(outside.policy(), &outside.url("/"), exact).await.expect("fits").bytes, b"hello");
    let short = Ask { max_bytes: 4, ..Ask::default() };
    let error = fetch(outside.policy(), &outside.url("/"), short).await.expect_err("one too many");
    assert_eq!(error, FetchError::TooLarge { limit: 4 });
}

#[tokio::test]
async fn c022_chunks() {
    let chunked = |body: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    let good = from_bytes(chunked("5\r\nhello\r\n1;x=y\r\n!\r\n0\r\nX: y\r\n\r\n").as_bytes()).await;
    let good = good.expect("served");
    assert_eq!((good.bytes.as_slice(), good.answer.content_length), (&b"hello!"[..], None));
    let extension = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(100_000));
    let trailers = format!("5\r\nhello\r\n0\r\n{}\r\n", "X: y\r\n".repeat(100_000));
    for body in ["g\r\nhello\r\n", "-5\r\nhello\r\n", "fffffffffffffffff\r\nhello", &extension, &trailers] {
        let body = chunked(body);
        assert_eq!(code(body.as_bytes()).await, "HTTP_PROTOCOL", "{}", &body[..60]);
    }
    for body in ["5\r\nhello\r\n", "5\r\nhel"] {
        assert_eq!(code(chunked(body).as_bytes()).await, "CONNECTION_LOST", "{body}");
    }
}

#[tokio::test]
async fn c025_what_is_packed_stays_packed() {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut packer, &vec![0; 10 * 1024 * 1024]).expect("packed");
    let packed = packer.finish().expect("packed");
    let length = format!("Content-Length: {}", packed.len());
    let bomb =
        vec![head(&["HTTP/1.1 200 OK", "Content-Encoding: gzip", &length]), Step::Send(packed.clone())];
    assert_eq!(from(bomb).await.expect("served").bytes, packed);
}

#[tokio::test]
async fn c026_statuses_without_what_was_asked_for() {
    for status in [204, 205, 206] {
        let response = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
        let error = from_bytes(response.as_bytes()).await.expect_err("no answer");
        assert_eq!(error, FetchError::Status { code: status, retry_after: None });
    }
    assert_eq!(code(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await, "EMPTY_BODY");
    assert_eq!(code(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").await, "EMPTY_BODY");
    assert_eq!(code(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n").await, "HTTP_STATUS");
}

#[tokio::test]
async fn c027_c028_c029_statuses_and_whether_to_ask_again() {
    for (status, transient) in [
        (400, false),
        (401, false),
        (403, false),
        (404, false),
        (408, true),
        (410, false),
        (416, false),
        (429, true),
        (500, true),
        (503, true),
        (599, true),
    ] {
        let response = format!("HTTP/1.1 {status} X\r\nContent-Length: 4\r\n\r\noops");
        let error = from_bytes(response.as_bytes()).await.expect_err("a status");
        assert_eq!(error, FetchError::Status { code: status, retry_after: None });
        assert_eq!((error.code(), error.is_transient()), ("HTTP_STATUS", transient), "{status}");
    }
    let cap = Some(Duration::from_mins(10));
    for (value, wait) in [
        ("5", Some(Duration::from_secs(5))),
        ("1000000000", cap),
        ("99999999999999999999999", cap),
        ("Tue, 31 Dec 2199 23:59:59 GMT", cap),
        ("Wed, 21 Oct 2015 07:28:00 GMT", Some(Duration::ZERO)),
        ("-5", None),
        ("soon", None),
        ("", None),
    ] {
        let response = format!("HTTP/1.1 503 X\r\nRetry-After: {value}\r\nContent-Length: 0\r\n\r\n");
        let error = from_bytes(response.as_bytes()).await.expect_err("a status");
        assert_eq!(error.retry_after(), wait, "{value:?}");
    }
}

#[tokio::test]
async fn c030_a_connection_that_is_cut() {
    for steps in [
        vec![head(&["HTTP/1.1 200 OK", "Content-Length: 10"]), send("hello"), Step::Cut],
        vec![head(&["HTTP/1.1 200 OK"]), send("hello"), Step::Cut],
        vec![send("HTTP/1.1 200"), Step::Cut],
        vec![Step::Cut],
        vec![],
    ] {
        assert_eq!(from(steps).await.expect_err("cut"), FetchError::Lost);
    }
    assert!(FetchError::Lost.is_transient());
}

#[tokio::test]
async fn c033_proxies_of_the_environment_are_ignored() {
    let run = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "guard_http::a_good_answer_says_all_that_is_known"])
        .envs(
            ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "https_proxy", "all_proxy"]
                .map(|name| (name, "http://127.0.0.1:9")),
        )
        .env_remove("NO_PROXY")
        .output();
    let output = run.expect("runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test]
async fn c037_oddities_of_old_servers() {
    let old = from_bytes(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello").await.expect("HTTP/1.0");
    assert_eq!(old.bytes, b"hello");
    let open = from_bytes(b"HTTP/1.0 200 OK\r\n\r\nhello").await.expect("it ends in good order");
    assert_eq!(open.bytes, b"hello");
    for response in [
        &b"HTTP/1.1 200 OK\r\nX: y\r\n z\r\nContent-Length: 5\r\n\r\nhello"[..],
        b"HTTP/1.1 200 OK\r\nN\xc3\xa4me: y\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nX : y\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/2.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 2000 OK\r\n\r\nhello",
        b"hello",
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ] {
        let code = code(response).await;
        assert!(matches!(code, "HTTP_PROTOCOL" | "CONNECTION_LOST"), "{code}: {response:?}");
    }
}

#[tokio::test]
async fn the_rest_of_a_file_and_how_it_may_have_changed() {
    let ask =
        || Ask { range_from: Some(5), if_match: Some("\"v1\"".to_owned()), max_bytes: 100, total_time: None };
    let get = async |lines: &'static [&'static str]| {
        let outside = Outside::answering(move |_| vec![head(lines), send("hello")]).await;
        let fetched = fetch(outside.policy(), &outside.url("/"), ask()).await;
        (fetched, outside.origin.requests().concat().to_lowercase())
    };
    let (fetched, request) =
        get(&["HTTP/1.1 206 X", "Content-Length: 5", "Content-Range: bytes 5-9/10", "ETag: \"v1\""]).await;
    let fetched = fetched.expect("the rest");
    assert_eq!((fetched.answer.status, fetched.answer.total_length), (206, Some(10)));
    assert!(fetched.answer.accepts_ranges && fetched.bytes == b"hello", "{fetched:?}");
    assert!(request.contains("range: bytes=5-\r\n") && request.contains("if-match: \"v1\"\r\n"), "{request}");

    let (fetched, _) = get(&["HTTP/1.1 200 OK", "Content-Length: 5", "ETag: \"v1\""]).await;
    assert_eq!(fetched.expect("all of it, for who does not know parts").answer.status, 200);

    let changed: [&'static [&'static str]; 4] = [
        &["HTTP/1.1 412 X", "Content-Length: 5"],
        &["HTTP/1.1 200 OK", "Content-Length: 5", "ETag: \"v2\""],
        &["HTTP/1.1 206 X", "Content-Length: 5", "Content-Range: bytes 5-9/10", "ETag: \"v2\""],
        &["HTTP/1.1 206 X", "Content-Length: 5", "Content-Range: bytes 4-8/10"],
    ];
    for lines in changed {
        assert_eq!(get(lines).await.0.map(|f| f.bytes), Err(FetchError::Changed), "{lines:?}");
    }
    let nonsense: [&'static [&'static str]; 3] = [
        &["HTTP/1.1 206 X", "Content-Length: 5"],
        &["HTTP/1.1 206 X", "Content-Length: 5", "Content-Range: pages 5-9/10"],
        &["HTTP/1.1 206 X", "Content-Length: 5", "Content-Range: bytes 5-7/10"],
    ];
    for lines in nonsense {
        assert_eq!(get(lines).await.0.expect_err("nonsense").code(), "HTTP_PROTOCOL", "{lines:?}");
    }
}

#[tokio::test]
async fn no_error_repeats_a_query() {
    let cases: [Vec<Step>; 4] = [
        vec![Step::Cut],
        vec![send("nonsense?token=secret\r\n\r\n")],
        vec![head(&[
            "HTTP/1.1 302 X",
            "Location: http://secret.example.com/?token=secret",
            "Content-Length: 0",
        ])],
        vec![head(&["HTTP/1.1 404 secret", "Content-Length: 0"])],
    ];
    for steps in cases {
        let outside = Outside::answering(move |_| steps.clone()).await;
        let error = outside.fetch(&outside.url("/?token=secret")).await.expect_err("an error");
        let said = format!("{error} {error:?}");
        assert!(!said.contains("secret"), "{said}");
    }
}
