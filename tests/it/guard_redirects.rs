//! Redirects: each is judged as if a caller had asked for it.

use carryover::guard::{FetchError, Policy, Refused};

use crate::{
    fake_dns::{A, Reply},
    fake_origin::Step,
    outside::{HOME, Outside, PRIVATE, fetch, head, ok, path, plain_ask, redirect},
};

/// Fetches `/`, which answers with these lines under a status of 302.
async fn led(lines: &'static [&'static str]) -> (Result<Vec<u8>, FetchError>, Outside) {
    let outside = Outside::answering(move |request| match path(request) {
        "/a/first" => {
            vec![head(&[&["HTTP/1.1 302 Found", "Content-Length: 0"], lines].concat())]
        }
        other => ok(other),
    })
    .await;
    (outside.fetch(&outside.url("/a/first")).await.map(|fetched| fetched.bytes), outside)
}

#[tokio::test]
async fn c001_redirects_are_followed_over_connections_of_their_own() {
    for status in [301, 302, 303, 307, 308] {
        let outside = Outside::answering(move |request| match path(request) {
            "/1" => redirect(status, "/2"),
            "/2" => redirect(status, "/3"),
            "/3" => redirect(status, "/4"),
            _ => ok("there"),
        })
        .await;
        assert_eq!(outside.fetch(&outside.url("/1")).await.expect("served").bytes, b"there", "{status}");
        assert_eq!(outside.origin.connections(), 4, "{status}");
        assert_eq!(outside.dns.lookups("media.example.com"), 4, "{status}: judged at each hop");
        assert!(outside.origin.requests().iter().all(|request| request.starts_with("GET ")), "{status}");
    }
}

#[tokio::test]
async fn c001_another_host_is_the_one_that_answers() {
    let outside = Outside::answering(|request| {
        let port = request.rsplit_once("example.com:").map_or("", |(_, rest)| rest);
        let port = port.split("\r\n").next().unwrap_or_default();
        match path(request) {
            "/1?token=secret" => redirect(302, &format!("//cdn.example.com:{port}/2?sig=secret#part")),
            _ => ok("there"),
        }
    })
    .await;
    let fetched = outside.fetch(&outside.url("/1?token=secret")).await.expect("served");
    assert_eq!(fetched.answer.host, "cdn.example.com");
    let requests = outside.origin.requests();
    assert!(requests[1].starts_with("GET /2?sig=secret HTTP/1.1\r\n"), "{requests:?}");
    assert!(!requests[1].to_lowercase().contains("referer"), "{requests:?}");
}

#[tokio::test]
async fn c006_relative_locations_are_joined() {
    let cases: [(&'static [&'static str], &str); 4] = [
        (&["Location: /x"], "/x"),
        (&["Location: x"], "/a/x"),
        (&["Location: ?q"], "/a/first?q"),
        (&["Location: ../../x/./y"], "/x/y"),
    ];
    for (lines, reached) in cases {
        let (served, _) = led(lines).await;
        assert_eq!(served.expect("served"), reached.as_bytes(), "{lines:?}");
    }
}

#[tokio::test]
async fn c006_locations_that_lead_nowhere() {
    let cases: [&'static [&'static str]; 8] = [
        &[],
        &["Location:"],
        &["Location: /x", "Location: /y"],
        &["Location: /\u{e4}"],
        &["Location: /a b"],
        &["Location: \\\\evil.com/"],
        &["Location: https://"],
        &["Location: https://exa%00mple.com/"],
    ];
    for lines in cases {
        let (led, outside) = led(lines).await;
        assert_eq!(led, Err(FetchError::BadRedirect), "{lines:?}");
        assert_eq!(outside.origin.connections(), 1, "{lines:?}");
    }
    let outside = Outside::answering(|_| redirect(302, &"/a".repeat(50 * 1024))).await;
    let code = outside.fetch_usual().await.expect_err("100 KB").code();
    assert_eq!(code, "HTTP_PROTOCOL", "C006: no header may be as long");
    let outside = Outside::answering(|_| redirect(302, &"/a".repeat(5 * 1024))).await;
    assert_eq!(outside.fetch_usual().await.expect_err("10 KB").code(), "URL_TOO_LONG");
}

#[tokio::test]
async fn c002_c004_c007_redirects_are_refused_as_urls_are() {
    for (location, expected) in [
        ("http://media.example.com/", Refused::Scheme),
        ("ftp://media.example.com/", Refused::Scheme),
        ("file:///etc/passwd", Refused::Scheme),
        ("data:text/plain,x", Refused::Scheme),
        ("https://[::ffff:127.0.0.2]/", Refused::Address),
        ("https://user@media.example.com/", Refused::UserInfo),
        ("//user:pass@media.example.com/", Refused::UserInfo),
        ("https://media.example.com/", Refused::Port),
        ("https://media.example.com:22/", Refused::Port),
        ("https:evil.com", Refused::Syntax),
    ] {
        let outside = Outside::answering(move |_| redirect(307, location)).await;
        let error = outside.fetch_usual().await.expect_err(location);
        assert_eq!(error, FetchError::Refused(expected), "{location}");
        assert_eq!(outside.origin.connections(), 1, "{location}");
    }
}

#[tokio::test]
async fn c004_redirects_to_private_places() {
    for (place, expected) in [
        ("https://[::ffff:127.0.0.2]", Refused::Address),
        ("https://127.0.0.2", Refused::Address),
        ("https://169.254.169.254", Refused::Address),
        ("https://0x7f000002", Refused::Address),
        ("https://localhost", Refused::Host),
        ("https://private.example.com", Refused::Address),
        // Odd spellings count as they were sent, not as they are understood.
        ("https:media.example.com", Refused::Syntax),
        ("https:///media.example.com", Refused::Syntax),
        ("https://@media.example.com", Refused::UserInfo),
    ] {
        let outside = Outside::start(
            |q| match (q.kind, q.name.as_str()) {
                (A, "private.example.com") => Reply::a(&[PRIVATE]),
                (A, _) => Reply::a(&[HOME]),
                _ => Reply::none(),
            },
            move |request| {
                let host_line = request.lines().find(|line| line.to_lowercase().starts_with("host:"));
                let port = host_line.and_then(|line| line.rsplit_once(':')).expect("a port").1;
                redirect(302, &format!("{place}:{}/", port.trim()))
            },
        )
        .await;
        let error = outside.fetch_usual().await.expect_err(place);
        assert_eq!(error, FetchError::Refused(expected), "{place}");
        assert_eq!(outside.origin.connections(), 1, "{place}: no second socket");
    }
}

#[tokio::test]
async fn b011_a_host_is_judged_again_when_it_redirects_to_itself() {
    let outside = Outside::start(
        |q| match (q.kind, q.before) {
            (A, 0) => Reply::a(&[HOME]),
            (A, _) => Reply::a(&[PRIVATE]),
            _ => Reply::none(),
        },
        |_| redirect(302, "/again"),
    )
    .await;
    assert_eq!(outside.fetch_usual().await.expect_err("refused"), FetchError::Refused(Refused::Address));
    assert_eq!(outside.origin.connections(), 1);
}

#[tokio::test]
async fn c005_too_many_redirects() {
    let itself = Outside::answering(|_| redirect(302, "")).await;
    assert_eq!(itself.fetch_usual().await.expect_err("empty"), FetchError::BadRedirect);
    let itself = Outside::answering(|request| redirect(302, path(request))).await;
    assert_eq!(itself.fetch_usual().await.expect_err("itself"), FetchError::TooManyRedirects);
    assert_eq!(itself.origin.connections(), 4, "three are followed");
    let ring =
        Outside::answering(|request| redirect(302, if path(request) == "/a" { "/b" } else { "/a" })).await;
    assert_eq!(ring.fetch_usual().await.expect_err("a ring"), FetchError::TooManyRedirects);
    let none = Policy { max_redirects: 0, ..ring.policy() };
    let error = fetch(none, &ring.url("/a"), plain_ask()).await.expect_err("none");
    assert_eq!((error.code(), error.is_transient()), ("TOO_MANY_REDIRECTS", false));
}

#[tokio::test]
async fn c008_other_statuses_of_three_hundred_are_not_followed() {
    for status in [300, 304, 305, 306, 309] {
        let outside = Outside::answering(move |_| redirect(status, "/2")).await;
        let error = outside.fetch_usual().await.expect_err("not followed");
        assert_eq!(error, FetchError::Status { code: status, retry_after: None });
        assert_eq!(outside.origin.connections(), 1, "{status}");
    }
}

#[tokio::test]
async fn c009_c034_nothing_a_server_sets_goes_along() {
    let outside = Outside::answering(|request| match path(request) {
        "/1" => vec![head(&[
            "HTTP/1.1 302 Found",
            "Location: /2",
            "Set-Cookie: session=1; Path=/",
            "Authentication-Info: x",
            "Content-Length: 0",
        ])],
        _ => ok("there"),
    })
    .await;
    outside.fetch(&outside.url("/1")).await.expect("served");
    for request in outside.origin.requests() {
        let request = request.to_lowercase();
        for header in ["cookie", "authorization", "referer", "origin:"] {
            assert!(!request.contains(header), "{header}: {request}");
        }
    }
}

#[tokio::test]
async fn the_body_of_a_redirect_is_not_read() {
    let outside = Outside::answering(|request| match path(request) {
        "/1" => vec![
            head(&["HTTP/1.1 302 Found", "Location: /2", "Content-Length: 9999999999"]),
            Step::Endless(vec![b'x'; 4096]),
        ],
        _ => ok("there"),
    })
    .await;
    assert_eq!(outside.fetch(&outside.url("/1")).await.expect("served").bytes, b"there");
}
