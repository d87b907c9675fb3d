//! Who is on the other side: certificates, versions, and those that never say.

use std::{sync::Arc, time::Duration};

use carryover::guard::{FetchError, Guard, GuardError, Policy};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{
    fake_dns::Dns,
    fake_origin::{Flaw, Identity, Origin},
    outside::{Outside, at_home, fetch, ok, plain_ask},
};

async fn showing(identity: Identity) -> Outside {
    Outside { origin: Origin::start(identity, |_| ok("hello")).await, dns: Dns::start(at_home).await }
}

#[tokio::test]
async fn c011_certificates_that_prove_nothing() {
    for (flaw, words) in [
        (Flaw::Expired, "expired"),
        (Flaw::NotYet, "not valid yet"),
        (Flaw::OtherName, "another name"),
        (Flaw::SelfSigned, "not trusted"),
        (Flaw::Stranger, "not trusted"),
    ] {
        let outside = showing(Identity::new(flaw, rustls::ALL_VERSIONS)).await;
        let error = outside.fetch_usual().await.expect_err("no proof");
        assert!(matches!(error, FetchError::Tls(_)), "{flaw:?}: {error:?}");
        assert!(error.to_string().contains(words), "{flaw:?}: {error}");
        assert_eq!((error.code(), error.is_transient()), ("TLS", false), "{flaw:?}");
        assert!(outside.origin.requests().is_empty(), "{flaw:?}: nothing is asked");
    }
}

/// Two certificates of one authority and one key: only how they are signed tells them apart.
#[tokio::test]
async fn c011_a_signature_with_sha_1_proves_nothing() {
    /// A file of the fixtures.
    macro_rules! fixture {
        ($name:literal) => {
            include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls/", $name)).as_slice()
        };
    }
    let identity = |certificate: &'static [u8]| {
        let chain = vec![CertificateDer::from_pem_slice(certificate).expect("a certificate")];
        let key = PrivateKeyDer::from_pem_slice(fixture!("leaf.key")).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(rustls::ALL_VERSIONS)
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("a certificate and its key");
        Identity { config, roots: fixture!("root.pem").to_vec() }
    };
    assert_eq!(
        showing(identity(fixture!("sha256.pem"))).await.fetch_usual().await.expect("served").bytes,
        b"hello"
    );
    let outside = showing(identity(fixture!("sha1.pem"))).await;
    let error = outside.fetch_usual().await.expect_err("no proof");
    assert_eq!((error.code(), error.is_transient()), ("TLS", false), "{error:?}");
    assert!(outside.origin.requests().is_empty(), "nothing is asked");
}

#[tokio::test]
async fn c011_a_name_is_proven_not_the_address_it_is_at() {
    let outside = showing(Identity::good()).await;
    let url = format!("https://stranger.example.org:{}/", outside.origin.port);
    assert!(matches!(outside.fetch(&url).await.expect_err("another name"), FetchError::Tls(_)));
}

#[tokio::test]
async fn c012_versions_that_are_accepted() {
    for version in [&TLS12, &TLS13] {
        let outside = showing(Identity::new(Flaw::None, &[version])).await;
        assert_eq!(outside.fetch_usual().await.expect("served").bytes, b"hello", "{version:?}");
    }
}

/// Who takes a connection, says this once it is greeted, and then nothing.
async fn saying(bytes: &'static [u8], then_closes: bool) -> (Outside, u16) {
    let outside = Outside::named(at_home).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut greeting = [0; 1024];
                let _ = socket.read(&mut greeting).await;
                let _ = socket.write_all(bytes).await;
                if !then_closes {
                    std::future::pending::<()>().await;
                }
            });
        }
    });
    (outside, port)
}

async fn fetch_at(outside: &Outside, port: u16, connect_timeout: Duration) -> FetchError {
    let policy = Policy { ports: vec![port], connect_timeout, ..outside.policy() };
    let url = format!("https://media.example.com:{port}/?token=secret");
    fetch(policy, &url, plain_ask()).await.expect_err("no TLS")
}

#[tokio::test]
async fn c012_a_server_that_knows_old_versions_alone() {
    // An alert: fatal, protocol_version.
    let (outside, port) = saying(&[0x15, 3, 1, 0, 2, 2, 70], true).await;
    assert!(matches!(fetch_at(&outside, port, Duration::from_secs(40)).await, FetchError::Tls(_)));
}

#[tokio::test]
async fn c012_a_server_that_speaks_in_plain_text() {
    let (outside, port) = saying(b"HTTP/1.1 400 Bad Request\r\n\r\n", true).await;
    assert!(matches!(fetch_at(&outside, port, Duration::from_secs(40)).await, FetchError::Tls(_)));
}

#[tokio::test]
async fn c013_a_server_that_never_greets() {
    let (outside, port) = saying(b"", false).await;
    assert_eq!(fetch_at(&outside, port, Duration::from_millis(500)).await, FetchError::Timeout);
}

#[tokio::test]
async fn c013_a_server_that_hangs_up_on_a_greeting() {
    let (outside, port) = saying(b"", true).await;
    let error = fetch_at(&outside, port, Duration::from_secs(40)).await;
    assert!(matches!(error, FetchError::Connect(_)), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
}

#[tokio::test]
async fn c032_a_server_that_offers_something_else() {
    let mut identity = Identity::good();
    identity.config.alpn_protocols = vec![b"http/1.0".to_vec()];
    let outside = showing(identity).await;
    assert!(matches!(outside.fetch_usual().await.expect_err("no protocol"), FetchError::Tls(_)));
    let mut identity = Identity::good();
    identity.config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    assert_eq!(showing(identity).await.fetch_usual().await.expect("served").bytes, b"hello");
}

#[tokio::test]
async fn a_guard_that_could_trust_nobody_is_not_made() {
    for (roots, pem) in
        [(&b""[..], false), (b"-----BEGIN CERTIFICATE-----\n%\n-----END CERTIFICATE-----\n", true)]
    {
        let policy = Policy { root_certificates: Some(roots.to_vec()), ..Policy::default() };
        match Guard::new(Policy { name_servers: Some(Vec::new()), ..policy }).err().expect("no guard") {
            GuardError::NoRoots => assert!(!pem),
            GuardError::Pem(_) => assert!(pem),
            other => panic!("{other:?}"),
        }
    }
}
