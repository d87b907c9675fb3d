//! Which server, under which key.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use crate::grpc::client::Client;

/// Flags of every command that calls a server.
#[derive(Debug, Clone, Args)]
pub(super) struct Connection {
    /// Server to call
    #[arg(long, env = "CARRYOVER_SERVER", default_value = "http://127.0.0.1:50051", value_name = "URL")]
    server: String,

    /// File of certificates (PEM) to trust behind https://, in place of the system's
    #[arg(long, env = "CARRYOVER_TLS_CA", value_name = "FILE")]
    tls_ca: Option<PathBuf>,

    /// API key to call with
    #[arg(long, env = "CARRYOVER_API_KEY", hide_env_values = true, value_name = "KEY")]
    api_key: Option<String>,
}

impl Connection {
    pub(super) async fn open(&self) -> Result<Client, Failure> {
        let missing = "no API key: give --api-key, or set CARRYOVER_API_KEY";
        let key = self.api_key.as_deref().ok_or_else(|| Failure::Usage(missing.to_owned()))?;
        Ok(Client::connect_trusting(&self.server, key, self.tls_ca.as_deref()).await?)
    }
}
