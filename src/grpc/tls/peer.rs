//! Who is at the other end of a connection.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use chrono::{DateTime, Utc};
use rustls::pki_types::CertificateDer;
use tokio_util::sync::CancellationToken;
use tonic::codegen::http::Extensions;
use webpki::EndEntityCert;

use super::expiry::expiry;
use crate::{clock, domain::certificate_name::CertificateName, grpc::idle::OpenCalls};

/// Most names of a certificate that are looked at.
const NAMES: usize = 32;

/// The peer of a connection, as its requests carry it.
#[derive(Clone)]
pub(in crate::grpc) struct Peer {
    /// Its address, or its network (see [`crate::permits::peer`]).
    pub(in crate::grpc) address: Option<IpAddr>,
    /// What it showed in the handshake.
    pub(in crate::grpc) shown: Shown,
    /// Ends the connection, with all that goes on over it.
    pub(in crate::grpc) hang_up: CancellationToken,
    /// What is open on it.
    pub(in crate::grpc) calls: OpenCalls,
}

impl Peer {
    /// The peer that a request came from.
    pub(in crate::grpc) fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }
}

/// The certificate that a client showed, which is known once the handshake is over; requests come later.
#[derive(Clone, Default)]
pub(in crate::grpc) struct Shown(Arc<OnceLock<ClientCertificate>>);

/// A client's certificate, which was found to be good.
struct ClientCertificate {
    names: Vec<CertificateName>,
    /// Connections may live longer than it.
    expires_at: DateTime<Utc>,
}

impl Shown {
    /// Takes down what was shown.
    pub(super) fn set(&self, certificate: &CertificateDer<'_>) {
        if let Some(certificate) = ClientCertificate::read(certificate) {
            // There is one handshake.
            let _ = self.0.set(certificate);
        }
    }

    /// The names the client is known by; none when it showed nothing, or what has expired since.
    pub(in crate::grpc) fn names(&self) -> &[CertificateName] {
        match self.0.get() {
            Some(certificate) if clock::now() < certificate.expires_at => &certificate.names,
            _ => &[],
        }
    }
}

impl ClientCertificate {
    fn read(certificate: &CertificateDer<'_>) -> Option<Self> {
        let expires_at = expiry(certificate)?;
        let certificate = EndEntityCert::try_from(certificate).ok()?;
        let dns = certificate.valid_dns_names().filter_map(CertificateName::of_dns);
        let uris = certificate.valid_uri_names().filter_map(CertificateName::of_uri);
        Some(Self { names: dns.chain(uris).take(NAMES).collect(), expires_at })
    }
}
