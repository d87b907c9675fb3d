//! Flags of TLS.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum, builder::BoolishValueParser};

use crate::grpc::{ClientFiles, TlsFiles};

/// What is encrypted, and with what.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "TLS")]
pub struct TlsArgs {
    /// Certificate to serve TLS with, as PEM, followed by those that vouch for it; plain text without it
    #[arg(long = "tls-cert", env = "CARRYOVER_TLS_CERT", requires = "key", value_name = "FILE")]
    pub certificate: Option<PathBuf>,

    /// Private key of the certificate, as PEM
    #[arg(long = "tls-key", env = "CARRYOVER_TLS_KEY", requires = "certificate", value_name = "FILE")]
    pub key: Option<PathBuf>,

    /// Certificates of those who vouch for clients, as PEM: clients then show a certificate of their own (mTLS)
    #[arg(
        long = "tls-client-ca",
        env = "CARRYOVER_TLS_CLIENT_CA",
        requires = "certificate",
        value_name = "FILE"
    )]
    pub client_ca: Option<PathBuf>,

    /// Whether a client without a certificate is turned away in the handshake, where clients show any
    #[arg(
        long = "tls-client-auth",
        env = "CARRYOVER_TLS_CLIENT_AUTH",
        default_value = "required",
        value_enum,
        value_name = "WHEN"
    )]
    pub client_auth: ClientAuth,

    /// Lists of clients' certificates that were revoked, as PEM: one of each who vouches for clients
    #[arg(
        long = "tls-client-crl",
        env = "CARRYOVER_TLS_CLIENT_CRL",
        requires = "client_ca",
        value_name = "FILE"
    )]
    pub client_crl: Option<PathBuf>,

    /// Seconds between two looks whether these files have changed; SIGHUP looks at once
    #[arg(long = "tls-reload-seconds", env = "CARRYOVER_TLS_RELOAD_SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    pub reload_seconds: u64,

    /// Listen without TLS where other machines can connect: whatever is in between reads keys and personal data
    #[arg(long, env = "CARRYOVER_INSECURE_LISTEN", value_parser = BoolishValueParser::new())]
    pub insecure_listen: bool,
}

/// When a client must show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ClientAuth {
    /// Always
    Required,
    /// Where it has one; others send an API key
    Optional,
}

impl TlsArgs {
    /// The files to serve TLS with, where it is to be served.
    pub fn files(&self) -> Option<TlsFiles> {
        let (certificate, key) = self.certificate.clone().zip(self.key.clone())?;
        let clients = self.client_ca.clone().map(|authorities| ClientFiles {
            authorities,
            revoked: self.client_crl.clone(),
            may_be_unknown: self.client_auth == ClientAuth::Optional,
        });
        Some(TlsFiles { certificate, key, clients })
    }

    /// Time between two looks at the files.
    pub fn reload_every(&self) -> Duration {
        Duration::from_secs(self.reload_seconds)
    }
}
