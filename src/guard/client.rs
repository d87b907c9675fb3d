//! The guarded client: a connection of its own for every question, to addresses that were judged.

use std::{
    future::Future,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use hickory_resolver::net::NetError;
use reqwest::{
    Client, Response,
    dns::{Addrs, Name, Resolve, Resolving},
    header::{ACCEPT_ENCODING, IF_MATCH, RANGE},
};
use rustls::{
    ClientConfig, RootCertStore, crypto,
    pki_types::{CertificateDer, pem, pem::PemObject},
};
use thiserror::Error;
use tokio::time::{self, Instant};
use url::{Host, Url};

use super::{
    answer::Answer,
    error::FetchError,
    names::Names,
    policy::Policy,
    redirect,
    url::{self as urls, Refused},
};

const USER_AGENT: &str = concat!("carryover/", env!("CARGO_PKG_VERSION"));

/// What is asked of a URL.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// Where to begin, if not at the beginning.
    pub range_from: Option<u64>,
    /// The strong ETag that an earlier answer had.
    pub if_match: Option<String>,
    /// How many bytes the answer may have, at most.
    pub max_bytes: u64,
    /// How long the other side may keep the client waiting in all, if not as long as the policy says.
    pub total_time: Option<Duration>,
}

/// The only way out. Clones are one guard.
#[derive(Clone)]
pub struct Guard(Arc<Inner>);

struct Inner {
    policy: Policy,
    names: Names,
    tls: ClientConfig,
}

/// Why there can be no guard.
#[derive(Debug, Error)]
pub enum GuardError {
    /// The system does not say who its name servers are.
    #[error("read the system's name servers")]
    NameServers(#[source] NetError),
    /// Certificates that are no PEM.
    #[error("read the certificates of --fetch-roots")]
    Pem(#[source] pem::Error),
    /// Certificates that cannot be trusted, or TLS itself.
    #[error("set up TLS")]
    Tls(#[source] rustls::Error),
    /// Nobody could be trusted.
    #[error("find certificates to trust, in the file of --fetch-roots or else the system's")]
    NoRoots,
}

impl Guard {
    /// A guard that follows a policy.
    pub fn new(policy: Policy) -> Result<Self, GuardError> {
        let names = Names::new(&policy).map_err(GuardError::NameServers)?;
        let tls = tls(policy.root_certificates.as_deref())?;
        Ok(Self(Arc::new(Inner { policy, names, tls })))
    }

    /// Checks a URL without asking anybody.
    pub fn check(&self, url: &str) -> Result<(), Refused> {
        urls::parse(url, &self.0.policy).map(drop)
    }

    /// Whether the name servers answer, whatever they say of a name that everybody's know.
    pub async fn has_name_servers(&self) -> bool {
        !matches!(self.0.names.look_up("example.com", &self.0.policy).await, Err(FetchError::DnsFailed))
    }

    /// Asks for a URL, and for where it redirects to.
    pub async fn get(&self, url: &str, ask: Ask) -> Result<Answer, FetchError> {
        let policy = &self.0.policy;
        let mut patience = Patience(ask.total_time.unwrap_or(policy.total_time));
        let mut url = urls::parse(url, policy)?;
        for followed in 0.. {
            let response = self.hop(&url, &ask, &mut patience).await?;
            match redirect::next(&url, &response, policy)? {
                None => return Answer::of(response, &ask, patience, policy),
                Some(_) if followed == policy.max_redirects => break,
                Some(next) => url = next,
            }
        }
        Err(FetchError::TooManyRedirects)
    }

    /// One question, to the addresses the host has at this moment.
    async fn hop(&self, url: &Url, ask: &Ask, patience: &mut Patience) -> Result<Response, FetchError> {
        let policy = &self.0.policy;
        let budget = policy.connect_timeout.min(patience.left());
        let mut connecting = Patience(budget);
        let addresses = connecting.wait(self.addresses(url)).await;
        patience.spend(budget - connecting.left());
        let addresses = addresses??;
        let mut request = self.client(&addresses, connecting.left())?.get(url.clone());
        request = request.header(ACCEPT_ENCODING, "identity");
        if let Some(first) = ask.range_from {
            request = request.header(RANGE, format!("bytes={first}-"));
        }
        if let Some(etag) = &ask.if_match {
            request = request.header(IF_MATCH, etag);
        }
        let response = patience.wait(request.send()).await?.map_err(|e| FetchError::of_client(&e))?;
        // The connection cannot have gone elsewhere; if it has, what came back is nobody's to see.
        if !response.remote_addr().is_some_and(|remote| addresses.contains(&remote)) {
            return Err(Refused::Address.into());
        }
        let headers = response.headers().iter();
        let bytes: usize = headers.map(|(name, value)| name.as_str().len() + value.len()).sum();
        if bytes > policy.max_header_bytes {
            return Err(FetchError::Protocol("has too many headers"));
        }
        Ok(response)
    }

    async fn addresses(&self, url: &Url) -> Result<Vec<SocketAddr>, FetchError> {
        let policy = &self.0.policy;
        let addresses: Vec<IpAddr> = match url.host().ok_or(Refused::Syntax)? {
            Host::Domain(name) => self.0.names.look_up(name, policy).await?,
            // The client does not look these up, so that only what is judged here holds for them.
            Host::Ipv4(v4) => vec![v4.into()],
            Host::Ipv6(v6) => vec![v6.into()],
        };
        let port = url.port_or_known_default().ok_or(Refused::Port)?;
        addresses
            .into_iter()
            .map(|address| policy.judge_address(address).map(|()| SocketAddr::new(address, port)))
            .collect::<Result<_, _>>()
            .map_err(FetchError::Refused)
    }

    /// A client for one question, which can connect to these addresses and no others. It speaks
    /// HTTP/1.1 alone: with one question a connection, HTTP/2 would add ways to be attacked only.
    fn client(&self, addresses: &[SocketAddr], connect_timeout: Duration) -> Result<Client, FetchError> {
        let policy = &self.0.policy;
        Client::builder()
            .tls_backend_preconfigured(self.0.tls.clone())
            .dns_resolver(Pinned(addresses.to_vec()))
            .https_only(true)
            .http1_only()
            .http1_max_headers(policy.max_headers)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .pool_max_idle_per_host(0)
            .connect_timeout(connect_timeout.max(Duration::from_millis(1)))
            .user_agent(USER_AGENT)
            .build()
            .map_err(|error| FetchError::of_client(&error))
    }
}

/// Says the same addresses whatever it is asked.
struct Pinned(Vec<SocketAddr>);

impl Resolve for Pinned {
    fn resolve(&self, _: Name) -> Resolving {
        let addresses: Addrs = Box::new(self.0.clone().into_iter());
        Box::pin(async { Ok(addresses) })
    }
}

fn tls(roots: Option<&[u8]>) -> Result<ClientConfig, GuardError> {
    let mut trusted = RootCertStore::empty();
    match roots {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                trusted.add(certificate.map_err(GuardError::Pem)?).map_err(GuardError::Tls)?;
            }
        }
        // Systems carry certificates that cannot be read, and go without them.
        None => drop(trusted.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    if trusted.is_empty() {
        return Err(GuardError::NoRoots);
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(GuardError::Tls)?
        .with_root_certificates(trusted)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// How long the other side may still be waited for.
pub(super) struct Patience(Duration);

impl Patience {
    pub(super) const fn left(&self) -> Duration {
        self.0
    }

    pub(super) const fn spend(&mut self, waited: Duration) {
        self.0 = self.0.saturating_sub(waited);
    }

    /// Waits for what has no work of its own to lose.
    async fn wait<T>(&mut self, what: impl Future<Output = T>) -> Result<T, FetchError> {
        let began = Instant::now();
        let outcome = Self::until(began + self.0, what).await;
        self.spend(began.elapsed());
        outcome.ok_or(FetchError::Timeout)
    }

    /// Drops what it waits for when time is up: lookups and responses, which hold no transaction.
    pub(super) async fn until<T>(deadline: Instant, what: impl Future<Output = T>) -> Option<T> {
        time::timeout_at(deadline, what).await.ok()
    }
}
