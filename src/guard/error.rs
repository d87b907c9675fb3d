//! Why nothing was fetched. None of it repeats a URL, whose query may hold a token.

use std::{error::Error, io, iter, time::Duration};

use rustls::CertificateError;
use thiserror::Error;

use super::url::Refused;

/// However long a server asks to be left alone, it is asked again after this.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(10);

/// Why nothing was fetched, or not all of it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FetchError {
    /// The URL, a redirect's or an address behind it is not one to ask.
    #[error("the URL {0}")]
    Refused(#[from] Refused),
    /// The name does not exist, or has no address.
    #[error("the host name has no address")]
    DnsNotFound,
    /// Name servers cannot say.
    #[error("the host name cannot be looked up")]
    DnsFailed,
    /// No address takes a connection.
    #[error("no connection to the host: {0}")]
    Connect(io::ErrorKind),
    /// The other side is not who it should be, or speaks no TLS that is accepted.
    #[error("no secure connection to the host: {0}")]
    Tls(&'static str),
    /// Time is up, for the connection or in all.
    #[error("the host takes too long")]
    Timeout,
    /// Less than the least rate.
    #[error("the host sends too slowly")]
    TooSlow,
    /// The connection ended before the response did.
    #[error("the host broke off the connection")]
    Lost,
    /// More redirects than are followed.
    #[error("the host redirects too often")]
    TooManyRedirects,
    /// A redirect that leads nowhere.
    #[error("the host redirects to what is not a URL")]
    BadRedirect,
    /// Another status than what is asked for.
    #[error("the host answers with status {code}")]
    Status {
        /// Which.
        code: u16,
        /// How long the server wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// Not HTTP, or not as it should be.
    #[error("the host's response {0}")]
    Protocol(&'static str),
    /// More bytes than were asked for.
    #[error("has more than {limit} bytes")]
    TooLarge {
        /// How many were.
        limit: u64,
    },
    /// No bytes at all.
    #[error("is empty")]
    Empty,
    /// What is there now is not what an earlier answer began.
    #[error("has changed since a part of it was fetched")]
    Changed,
}

impl FetchError {
    /// A word for it that does not change.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Refused(refused) => refused.code(),
            Self::DnsNotFound => "DNS_NOT_FOUND",
            Self::DnsFailed => "DNS_FAILED",
            Self::Connect(_) => "CONNECT_FAILED",
            Self::Tls(_) => "TLS",
            Self::Timeout | Self::TooSlow => "TIMEOUT",
            Self::Lost => "CONNECTION_LOST",
            Self::TooManyRedirects => "TOO_MANY_REDIRECTS",
            Self::BadRedirect => "BAD_REDIRECT",
            Self::Status { .. } => "HTTP_STATUS",
            Self::Protocol(_) => "HTTP_PROTOCOL",
            Self::TooLarge { .. } => "TOO_LARGE",
            Self::Empty => "EMPTY_BODY",
            Self::Changed => "CHANGED",
        }
    }

    /// Whether the same question may well have another answer in a while.
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::DnsFailed | Self::Connect(_) | Self::Timeout | Self::TooSlow | Self::Lost => true,
            Self::Status { code, .. } => matches!(code, 408 | 429 | 500..=599),
            _ => false,
        }
    }

    /// How long the server wants to be left alone, within reason.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => retry_after.map(|asked| asked.min(MAX_RETRY_AFTER)),
            _ => None,
        }
    }

    /// Reads what the client says. Its own words are not kept: they hold the URL.
    pub(super) fn of_client(error: &reqwest::Error) -> Self {
        let causes = || iter::successors(Some(error as &(dyn Error + 'static)), |cause| cause_of(*cause));
        if let Some(tls) = causes().find_map(|cause| cause.downcast_ref()) {
            return Self::Tls(tls_reason(tls));
        }
        if error.is_timeout() {
            return Self::Timeout;
        }
        let io = causes().filter_map(|cause| cause.downcast_ref::<io::Error>()).last();
        let kind = io.map_or(io::ErrorKind::Other, io::Error::kind);
        if error.is_connect() {
            return Self::Connect(kind);
        }
        let http = || causes().filter_map(|cause| cause.downcast_ref::<hyper::Error>());
        if http().any(hyper::Error::is_parse_too_large) {
            return Self::Protocol("has too many headers");
        }
        if http().any(|error| error.is_incomplete_message() || error.is_closed() || error.is_canceled()) {
            return Self::Lost;
        }
        match kind {
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof => Self::Lost,
            _ => Self::Protocol("is not valid HTTP"),
        }
    }
}

/// An `io::Error` names the cause of what it wraps, and leaves out the wrapped itself.
fn cause_of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

fn tls_reason(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has expired"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid yet"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "its certificate is for another name"
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "its certificate is not trusted"
            }
            CertificateError::Revoked => "its certificate is revoked",
            _ => "its certificate is not accepted",
        },
        rustls::Error::AlertReceived(_) | rustls::Error::PeerIncompatible(_) => {
            "it speaks no version or cipher that is accepted"
        }
        _ => "it does not speak TLS as it should",
    }
}
