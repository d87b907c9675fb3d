//! What TLS is served with, as files hold it, and whom it takes for a client.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{
        CertificateDer, CertificateRevocationListDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
};
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;

use super::expiry::expiry;
use crate::clock;

/// Protocols that are spoken, the better one first: gRPC, and gRPC-web of old browsers.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Where a certificate and its key are, all as PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate, followed by those that vouch for it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// By what clients are judged; without it they show no certificate.
    pub clients: Option<ClientFiles>,
}

/// Where is told which clients' certificates are good, all as PEM.
#[derive(Debug, Clone)]
pub struct ClientFiles {
    /// Certificates of those who vouch for clients.
    pub authorities: PathBuf,
    /// Lists of what they revoked, one of each of them.
    pub revoked: Option<PathBuf>,
    /// Whether a client may show none.
    pub may_be_unknown: bool,
}

/// Why files cannot be used.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// A file cannot be read, or is no PEM of the right kind.
    #[error("read {}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// The two do not belong together, or are of a kind that is not supported.
    #[error("use {} with {}", certificate.display(), key.display())]
    Unusable {
        /// File of the certificate.
        certificate: PathBuf,
        /// File of the key.
        key: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// Clients cannot be judged by them.
    #[error("judge clients by {}", path.display())]
    Clients {
        /// File of those who vouch for them, or of what they revoked.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It has expired, in place of one that has not.
    #[error("{} has expired", certificate.display())]
    Expired {
        /// File of the certificate.
        certificate: PathBuf,
    },
}

/// What files hold.
pub(super) struct Contents<'a> {
    files: &'a TlsFiles,
    certificate: Vec<u8>,
    key: Vec<u8>,
    authorities: Vec<u8>,
    revoked: Option<Vec<u8>>,
}

/// What was made of them.
pub(super) struct Served {
    /// Takes handshakes.
    pub(super) acceptor: TlsAcceptor,
    /// When the certificate expires; none where that cannot be read.
    pub(super) expires_at: Option<DateTime<Utc>>,
    /// Tells these contents from others.
    pub(super) digest: [u8; 32],
}

impl Served {
    /// Whether clients turn away from it by now.
    pub(super) fn has_expired(&self) -> bool {
        self.expires_at.is_some_and(|at| at <= clock::now())
    }
}

fn failed(path: &Path) -> impl FnOnce(pem::Error) -> CertificateError {
    move |source| CertificateError::File { path: path.to_owned(), source }
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    fs::read(path).map_err(|error| failed(path)(pem::Error::Io(error)))
}

/// All items of a kind, at least one.
fn items<T: PemObject>(path: &Path, pem: &[u8]) -> Result<Vec<T>, CertificateError> {
    match T::pem_slice_iter(pem).collect::<Result<Vec<T>, _>>() {
        Ok(none) if none.is_empty() => Err(failed(path)(pem::Error::NoItemsFound)),
        items => items.map_err(failed(path)),
    }
}

impl<'a> Contents<'a> {
    pub(super) fn read(files: &'a TlsFiles) -> Result<Self, CertificateError> {
        let clients = files.clients.as_ref();
        let revoked = clients.and_then(|clients| clients.revoked.as_deref());
        Ok(Self {
            files,
            certificate: read(&files.certificate)?,
            key: read(&files.key)?,
            authorities: clients.map_or(Ok(Vec::new()), |clients| read(&clients.authorities))?,
            revoked: revoked.map(read).transpose()?,
        })
    }

    pub(super) fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        let revoked = self.revoked.as_deref().unwrap_or_default();
        for part in [&self.certificate[..], &self.key, &self.authorities, revoked] {
            digest.update(part.len().to_be_bytes());
            digest.update(part);
        }
        digest.finalize().into()
    }

    pub(super) fn serve(&self) -> Result<Served, CertificateError> {
        let files = self.files;
        let chain = items::<CertificateDer<'static>>(&files.certificate, &self.certificate)?;
        let secret = PrivateKeyDer::from_pem_slice(&self.key).map_err(failed(&files.key))?;
        let expires_at = chain.first().and_then(|leaf| expiry(leaf));
        let unusable = |source| CertificateError::Unusable {
            certificate: files.certificate.clone(),
            key: files.key.clone(),
            source,
        };
        let verifier = match &files.clients {
            Some(clients) => self.verifier(clients)?,
            None => WebPkiClientVerifier::no_client_auth(),
        };
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, secret)
            .map_err(unusable)?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
        if files.clients.is_some() {
            // A session that is resumed shows no certificate, and so would outlive the one it began with.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Ok(Served { acceptor, expires_at, digest: self.digest() })
    }

    fn verifier(&self, clients: &ClientFiles) -> Result<Arc<dyn ClientCertVerifier>, CertificateError> {
        let path = &clients.authorities;
        let mut authorities = RootCertStore::empty();
        for authority in items(path, &self.authorities)? {
            let added = authorities.add(authority);
            added.map_err(|error| CertificateError::Clients { path: path.clone(), source: error.into() })?;
        }
        let mut lists = Vec::new();
        if let Some((path, pem)) = clients.revoked.as_ref().zip(self.revoked.as_deref()) {
            lists = items::<CertificateRevocationListDer<'static>>(path, pem)?;
        }
        let provider = Arc::new(ring::default_provider());
        let mut builder =
            WebPkiClientVerifier::builder_with_provider(authorities.into(), provider).with_crls(lists);
        if clients.may_be_unknown {
            builder = builder.allow_unauthenticated();
        }
        let path = clients.revoked.as_ref().unwrap_or(path);
        builder
            .build()
            .map_err(|error| CertificateError::Clients { path: path.clone(), source: error.into() })
    }
}
