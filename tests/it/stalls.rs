//! Peers that stop reading behind TLS, which has buffers of its own.

use std::{path::Path, sync::Arc, time::Duration};

use carryover::grpc::client::Client;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    certificates::Authority,
    h2::{PING, PREFACE, SETTINGS, frame},
    harness::{ADMIN_KEY, Database, Server},
    waits::eventually,
};

/// A connection with TLS, over which frames may be sent that no client sends.
async fn secure(socket: TcpStream, ca: &Path) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).expect("PEM")).expect("a certificate");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("127.0.0.1").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, socket).await.expect("a handshake")
}

/// E008: what a peer does not take waits in the buffers of TLS, where a write is over before it is sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_does_not_read_behind_tls_gives_its_place_back() {
    const BYTES: usize = 256 << 20;
    let authority = Authority::new();
    let (ca, pair) = (authority.file(), authority.server("server"));
    let bounds = ["--stall-seconds", "1", "--max-connections-per-peer", "2"];
    let flags = [&pair.flags()[..], &bounds].concat();
    // The server's own client has the first place.
    let server = Server::start_secure(Database::Sqlite, &flags, authority.trust(&ca)).await;
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(8 << 10).expect("set");
    let socket = socket.connect(server.app.address).await.expect("connects");
    let mut deaf = secure(socket, &ca).await;
    deaf.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await.expect("sent");
    let another =
        async || Client::connect_with(&server.address(), Some(ADMIN_KEY), authority.trust(&ca)).await;
    assert!(another().await.is_err(), "all places of the peer are taken");

    let pings = frame(PING, 0, 0, &[7; 8]).repeat(512);
    let mut sent = 0;
    let ended = async {
        while let Ok(written) = deaf.write(&pings).await {
            sent += written;
            assert!(sent < BYTES, "E008: all was read, and the answers are kept");
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ended).await.expect("E008: the server ends it");
    eventually("the place that it had", async || another().await.ok()).await;
}
