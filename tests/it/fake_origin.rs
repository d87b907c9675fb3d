//! A web server on loopback that says what a test wants, byte by byte, behind TLS.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ServerConfig, SupportedProtocolVersion,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// What is done to a connection, in turn. It is closed in good order at the end.
#[derive(Clone)]
pub enum Step {
    Send(Vec<u8>),
    /// Sends one byte after another, with a pause behind each.
    Trickle(Vec<u8>, Duration),
    /// Sends the same for ever.
    Endless(Vec<u8>),
    /// Waits for a gate to be opened.
    Gate(watch::Receiver<bool>),
    /// Says nothing more.
    Hang,
    /// Closes the connection as a crash does.
    Cut,
}

/// What is shown of itself.
pub struct Identity {
    pub config: ServerConfig,
    /// Who vouches for it, as PEM.
    pub roots: Vec<u8>,
}

/// What to make of a certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flaw {
    None,
    Expired,
    NotYet,
    OtherName,
    SelfSigned,
    Stranger,
}

impl Identity {
    pub fn good() -> Self {
        Self::new(Flaw::None, rustls::ALL_VERSIONS)
    }

    pub fn new(flaw: Flaw, versions: &[&'static SupportedProtocolVersion]) -> Self {
        let authority = authority();
        let names: &[&str] = match flaw {
            Flaw::OtherName => &["other.example.org"],
            _ => &["*.example.com", "example.com", "example.net", "127.0.0.1"],
        };
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        match flaw {
            Flaw::Expired => params.not_after = rcgen::date_time_ymd(2020, 1, 1),
            Flaw::NotYet => params.not_before = rcgen::date_time_ymd(2090, 1, 1),
            _ => {}
        }
        let key = KeyPair::generate().expect("a key");
        let signed = match flaw {
            Flaw::SelfSigned => params.self_signed(&key),
            Flaw::Stranger => params.signed_by(&key, &self::authority()),
            _ => params.signed_by(&key, &authority),
        };
        let chain = vec![CertificateDer::from(signed.expect("a certificate").der().to_vec())];
        let secret = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain, secret)
            .expect("a certificate and its key");
        Self { config, roots: authority.pem().into_bytes() }
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate")
}

type Script = dyn Fn(&str) -> Vec<Step> + Send + Sync;

pub struct Origin {
    pub port: u16,
    pub roots: Vec<u8>,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Origin {
    /// Listens at home and at the address that may not be asked, so that no connection to either goes unseen.
    pub async fn start(
        identity: Identity,
        script: impl Fn(&str) -> Vec<Step> + Send + Sync + 'static,
    ) -> Self {
        let (home, private) = loop {
            let home = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
            let port = home.local_addr().expect("an address").port();
            if let Ok(private) = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), port)).await {
                break (home, private);
            }
        };
        let port = home.local_addr().expect("an address").port();
        let connections = Arc::<AtomicUsize>::default();
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let server = Server {
            acceptor: TlsAcceptor::from(Arc::new(identity.config)),
            script: Arc::new(script),
            connections: connections.clone(),
            requests: requests.clone(),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(server.clone().run(home));
        tasks.spawn(server.run(private));
        Self { port, roots: identity.roots, connections, requests, _tasks: tasks }
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Heads of all requests, in order.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("requests").clone()
    }
}

#[derive(Clone)]
struct Server {
    acceptor: TlsAcceptor,
    script: Arc<Script>,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn run(self, listener: TcpListener) {
        // They end with the listener.
        let mut open = JoinSet::new();
        while let Ok((socket, _)) = listener.accept().await {
            self.connections.fetch_add(1, Ordering::SeqCst);
            open.spawn(self.clone().serve(socket));
        }
    }

    async fn serve(self, socket: TcpStream) {
        let Ok(mut stream) = self.acceptor.accept(socket).await else { return };
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        self.requests.lock().expect("requests").push(head.clone());
        for step in (self.script)(&head) {
            if act(&mut stream, step).await.is_none() {
                return;
            }
        }
        let _ = stream.shutdown().await;
    }
}

/// Nothing when the connection is done with.
async fn act(stream: &mut TlsStream<TcpStream>, step: Step) -> Option<()> {
    match step {
        Step::Send(bytes) => stream.write_all(&bytes).await.ok()?,
        Step::Trickle(bytes, pause) => {
            for byte in bytes {
                stream.write_all(&[byte]).await.ok()?;
                stream.flush().await.ok()?;
                tokio::time::sleep(pause).await;
            }
        }
        Step::Endless(bytes) => loop {
            stream.write_all(&bytes).await.ok()?;
        },
        Step::Gate(mut gate) => drop(gate.wait_for(|is_open| *is_open).await.ok()?),
        Step::Hang => std::future::pending().await,
        Step::Cut => return None,
    }
    stream.flush().await.ok()
}
