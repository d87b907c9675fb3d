//! URLs that are refused by their text alone, without asking anybody.

use carryover::guard::{Guard, Policy};

use crate::{
    fake_dns::Dns,
    fake_origin::Identity,
    outside::{Outside, at_home},
};

/// A guard with the usual policy, but for who it could ask.
async fn guard() -> (Guard, Dns) {
    let dns = Dns::start(at_home).await;
    let policy = Policy {
        name_servers: Some(vec![dns.address]),
        root_certificates: Some(Identity::good().roots),
        ..Policy::default()
    };
    (Guard::new(policy).expect("a guard"), dns)
}

/// Asserts that each URL has this code, or is accepted, and that nobody is asked about those refused.
async fn judge(id: &str, expected: &str, urls: &[&str]) {
    let (guard, dns) = guard().await;
    for url in urls {
        let code = guard.check(url).err().map_or("accepted", |refused| refused.code());
        assert_eq!(code, expected, "{id}: {url:?}");
        let by_row = carryover::guard::check_url(url).err().map_or("accepted", |refused| refused.code());
        // Which ports may be asked is the operator's to say, when it comes to that.
        let of_row = if expected == "URL_PORT" { "accepted" } else { expected };
        assert_eq!(by_row, of_row, "{id} as a row's: {url:?}");
        if expected != "accepted" {
            let error = guard.get(url, crate::outside::plain_ask()).await.expect_err(id);
            assert_eq!(error.code(), expected, "{id}: {url:?}");
            assert!(!error.is_transient(), "{id}: {url:?}");
        }
    }
    assert_eq!(dns.asked(), [], "{id}");
}

#[tokio::test]
async fn schemes_and_shapes() {
    judge("A001", "URL_SCHEME", &["http://example.com/a.jpg", "HTTP://example.com"]).await;
    judge(
        "A002",
        "URL_SCHEME",
        &[
            "ftp://example.com/",
            "ws://example.com/",
            "data:text/plain,x",
            "javascript:alert(1)",
            "jar:https://example.com!/",
            "blob:https://example.com/1",
            "file:///etc/passwd",
        ],
    )
    .await;
    judge("A003", "URL_SCHEME", &["gopher://127.0.0.1:70/"]).await;
    judge("A004", "URL_SYNTAX", &["//example.com/x", "example.com/x", "", "  "]).await;
    judge("A005", "URL_SYNTAX", &["https://", "https:///"]).await;
    judge("A006", "accepted", &["HTTPS://EXAMPLE.COM/A.JPG"]).await;
    judge("A008", "URL_CONTROL_CHAR", &["https://exam\tple.com/", "https://example.com/\u{7f}"]).await;
    judge("A009", "URL_CONTROL_CHAR", &["https://example.com/a\r\nHost: x", "\nhttps://example.com/"]).await;
    let long = |bytes: usize| format!("https://example.com/{}", "a".repeat(bytes - 20));
    judge("A055", "accepted", &[&long(2_048), &long(8_192)]).await;
    judge("A055", "URL_TOO_LONG", &[&long(8_193), &long(1 << 20)]).await;
}

#[tokio::test]
async fn addresses_in_every_spelling() {
    judge("A010", "URL_ADDRESS", &["https:127.0.0.1/", "https:///127.0.0.1/"]).await;
    judge("A010", "URL_SYNTAX", &["https:\\\\127.0.0.1/", "https:example.com/", "https:///example.com/"])
        .await;
    judge(
        "A011 to A020",
        "URL_ADDRESS",
        &[
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://0x7f.0x0.0x0.0x1/",
            "https://0177.0.0.1/",
            "https://127.1/",
            "https://127.0.1/",
            "https://0/",
            "https://0.0.0.0/",
            "https://127.0.0.1./",
            "https://１２７.０.０.１/",
            "https://①②⑦.⓪.⓪.①/",
            "https://127。0。0。1/",
        ],
    )
    .await;
    judge("A018", "URL_HOST", &["https://127.0.0.1../"]).await;
    judge(
        "A019",
        "URL_SYNTAX",
        &[
            "https://256.256.256.256/",
            "https://1.2.3.4.5/",
            "https://4294967296/",
            "https://0x100000000/",
            "https://08.8.8.8/",
        ],
    )
    .await;
    judge(
        "A058 to A060",
        "URL_ADDRESS",
        &[
            "https://2852039166/",
            "https://0xa9fea9fe/",
            "https://0251.0376.0251.0376/",
            "https://169.254.43518/",
            "https://169.16689662/",
            "https://168.63.129.16/",
            "https://100.100.100.200/",
            "https://192.0.0.192/",
            "https://169.254.170.2/",
            "https://169.254.170.23/",
            "https://224.0.0.1/",
            "https://239.255.255.255/",
            "https://240.0.0.1/",
            "https://255.255.255.255/",
            "https://198.18.0.1/",
            "https://192.88.99.1/",
        ],
    )
    .await;
    judge("A061", "accepted", &["https://8.8.8.8/", "https://11.0.0.0/", "https://[2606:4700::1111]/"]).await;
}

#[tokio::test]
async fn ipv6_and_what_it_hides() {
    judge(
        "A029 to A037",
        "URL_ADDRESS",
        &[
            "https://[::1]/",
            "https://[::]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::ffff:7f00:1]/",
            "https://[0:0:0:0:0:ffff:a00:1]/",
            "https://[::127.0.0.1]/",
            "https://[64:ff9b::7f00:1]/",
            "https://[64:ff9b::808:808]/",
            "https://[64:ff9b:1::a00:1]/",
            "https://[2002:7f00:1::1]/",
            "https://[2002:808:808::1]/",
            "https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
            "https://[2001:470::5efe:10.0.0.1]/",
            "https://[fe80::1]/",
            "https://[fec0::1]/",
            "https://[fc00::1]/",
            "https://[fd00:ec2::254]/",
            "https://[ff02::1]/",
            "https://[2001:db8::1]/",
            "https://[3fff::1]/",
            "https://[5f00::1]/",
            "https://[100::1]/",
            "https://[4000::1]/",
        ],
    )
    .await;
    let wrong =
        ["https://::1/", "https://[127.0.0.1]/", "https://[example.com]/", "https://[fe80::1%25eth0]/"];
    judge("A038", "URL_SYNTAX", &wrong).await;
}

#[tokio::test]
async fn names_that_are_nobody_s() {
    judge(
        "A022 to A027",
        "URL_HOST",
        &[
            "https://loc%61lhost/",
            "https://LOCALHOST/",
            "https://localhost./",
            "https://localhost。/",
            "https://x.localhost/",
            "https://localhost.localdomain/",
            "https://ip6-localhost/",
            "https://ip6-loopback/",
            "https://intranet/",
            "https://a.local/",
            "https://a.internal/",
            "https://a.lan/",
            "https://a.corp/",
            "https://a.home.arpa/",
            "https://a.intranet/",
            "https://a.test/",
            "https://a.invalid/",
            "https://a.example/",
            "https://a.onion/",
            "https://kubernetes.default.svc/",
            "https://db.ns.svc.cluster.local/",
            "https://metadata.google.internal/",
            "https://instance-data.ec2.internal/",
        ],
    )
    .await;
    let label = "a".repeat(64);
    let long = format!("https://{}example.com/", "a234567890.".repeat(36));
    judge(
        "A052, A053",
        "URL_HOST",
        &[
            "https://-example.com/",
            "https://example-.com/",
            "https://.example.com/",
            "https://example..com/",
            "https://*.example.com/",
            "https://exa_mple.com/",
            &format!("https://{label}.com/"),
            &long,
        ],
    )
    .await;
    judge("A050", "accepted", &["https://аpple.com/", "https://münchen.de/", "https://xn--mnchen-3ya.de/"])
        .await;
    let wrong = ["https://xn--/", "https://xn--a.com/", "https://exa%00mple.com/", "https://exa%2fmple.com/"];
    judge("A051, A054", "URL_SYNTAX", &[&wrong[..], &["https://exa mple.com/"]].concat()).await;
}

#[tokio::test]
async fn who_and_where() {
    judge(
        "A039 to A041",
        "URL_USERINFO",
        &[
            "https://user:pass@example.com/",
            "https://user@example.com/",
            "https://:pass@example.com/",
            "https://@example.com/",
            "https://example.com@127.0.0.1/",
            "https://127.0.0.1@example.com/",
        ],
    )
    .await;
    judge(
        "A043, A044",
        "URL_SYNTAX",
        &["https://example.com\\@127.0.0.1/", "https://127.0.0.1\\.example.com/"],
    )
    .await;
    judge("A045", "accepted", &["https://example.com#@127.0.0.1/", "https://example.com?@127.0.0.1"]).await;
    let ports = [0, 22, 25, 53, 80, 6_379, 8_080, 9_200].map(|port| format!("https://example.com:{port}/"));
    judge("A046", "URL_PORT", &ports.each_ref().map(String::as_str)).await;
    judge("A047", "URL_SYNTAX", &["https://example.com:65536/", "https://example.com:abc/"]).await;
    let usual = ["https://example.com:443/", "https://example.com:00443/", "https://example.com:/"];
    judge("A048", "accepted", &usual).await;
}

#[tokio::test]
async fn a065_this_server_is_never_asked() {
    let outside = Outside::named(at_home).await;
    let policy = Policy {
        own_addresses: vec!["127.0.0.1".parse().expect("address"), "203.0.113.7".parse().expect("address")],
        ..outside.policy()
    };
    let guard = Guard::new(policy).expect("a guard");
    let port = outside.origin.port;
    for host in ["media.example.com", "127.0.0.1", "203.0.113.7", "[::ffff:127.0.0.1]"] {
        let url = format!("https://{host}:{port}/");
        let error = guard.get(&url, crate::outside::plain_ask()).await.expect_err(host);
        assert_eq!(error.code(), "URL_SELF", "{host}");
    }
    assert_eq!(outside.origin.connections(), 0);
}

#[tokio::test]
async fn a_literal_that_is_allowed_is_asked_as_it_stands() {
    let outside = Outside::named(at_home).await;
    let fetched =
        outside.fetch(&format!("https://127.0.0.1:{}/", outside.origin.port)).await.expect("served");
    assert_eq!((fetched.answer.host.as_str(), fetched.bytes), ("127.0.0.1", b"hello".to_vec()));
    let error =
        outside.fetch(&format!("https://127.0.0.2:{}/", outside.origin.port)).await.expect_err("private");
    assert_eq!(error.code(), "URL_ADDRESS");
    assert_eq!(outside.origin.connections(), 1);
    assert_eq!(outside.dns.asked(), []);
}
