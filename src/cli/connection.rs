//! Which server, under which key.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use crate::grpc::client::{Client, Trust};

/// Flags of every command that calls a server.
#[derive(Debug, Clone, Args)]
pub(super) struct Connection {
    /// Server to call
    #[arg(long, env = "CARRYOVER_SERVER", default_value = "http://127.0.0.1:50051", value_name = "URL")]
    server: String,

    /// File of certificates (PEM) to trust behind https://, in place of the system's
    #[arg(long, env = "CARRYOVER_TLS_CA", value_name = "FILE")]
    tls_ca: Option<PathBuf>,

    /// Certificate of one's own (PEM) to show behind https://, followed by those that vouch for it
    #[arg(long, env = "CARRYOVER_TLS_CLIENT_CERT", requires = "tls_client_key", value_name = "FILE")]
    tls_client_cert: Option<PathBuf>,

    /// Private key of that certificate (PEM)
    #[arg(long, env = "CARRYOVER_TLS_CLIENT_KEY", requires = "tls_client_cert", value_name = "FILE")]
    tls_client_key: Option<PathBuf>,

    /// API key to call with; not needed where a certificate stands for one
    #[arg(long, env = "CARRYOVER_API_KEY", hide_env_values = true, value_name = "KEY")]
    api_key: Option<String>,
}

impl Connection {
    pub(super) async fn open(&self) -> Result<Client, Failure> {
        let identity = self.tls_client_cert.as_deref().zip(self.tls_client_key.as_deref());
        let key = self.api_key.as_deref().filter(|key| !key.is_empty());
        if key.is_none() && identity.is_none() {
            let missing = "no API key: give --api-key, or set CARRYOVER_API_KEY";
            return Err(Failure::Usage(missing.to_owned()));
        }
        let trust = Trust { authority: self.tls_ca.as_deref(), identity };
        Ok(Client::connect_with(&self.server, key, trust).await?)
    }
}
