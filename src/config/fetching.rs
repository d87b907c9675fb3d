//! Flags of fetching.

use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

use clap::Args;

use crate::guard::{Cidr, Policy};

/// What may be fetched for callers, and how.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Fetching")]
pub struct FetchArgs {
    /// Port that URLs may name; may be repeated
    #[arg(
        long = "fetch-port",
        env = "CARRYOVER_FETCH_PORTS",
        value_delimiter = ',',
        default_value = "443",
        value_name = "PORT"
    )]
    pub ports: Vec<u16>,

    /// Network whose addresses are never asked, such as 203.0.113.0/24; may be repeated
    #[arg(long = "fetch-deny", env = "CARRYOVER_FETCH_DENY", value_delimiter = ',', value_name = "CIDR")]
    pub deny: Vec<Cidr>,

    /// Private network whose addresses may be asked all the same, such as that of an own file server
    #[arg(long = "fetch-allow", env = "CARRYOVER_FETCH_ALLOW", value_delimiter = ',', value_name = "CIDR")]
    pub allow: Vec<Cidr>,

    /// Name that is never asked, nor any name below it; may be repeated
    #[arg(
        long = "fetch-deny-host",
        env = "CARRYOVER_FETCH_DENY_HOSTS",
        value_delimiter = ',',
        value_name = "NAME"
    )]
    pub deny_hosts: Vec<String>,

    /// Name server to ask instead of the system's; may be repeated
    #[arg(long = "fetch-dns", env = "CARRYOVER_FETCH_DNS", value_delimiter = ',', value_name = "ADDR")]
    pub name_servers: Vec<SocketAddr>,

    /// Certificates to trust instead of the system's, as PEM
    #[arg(long = "fetch-roots", env = "CARRYOVER_FETCH_ROOTS", value_name = "FILE")]
    pub roots: Option<PathBuf>,

    /// Seconds for lookup, connection and TLS of one hop
    #[arg(long = "fetch-connect-seconds", env = "CARRYOVER_FETCH_CONNECT_SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    pub connect_seconds: u64,

    /// Seconds that a server may keep the fetching of one source waiting in all
    #[arg(long = "fetch-seconds", env = "CARRYOVER_FETCH_SECONDS", default_value_t = 6 * 3600, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    pub total_seconds: u64,
}

impl FetchArgs {
    /// What the guard is to let out.
    pub fn policy(&self) -> io::Result<Policy> {
        Ok(Policy {
            ports: self.ports.clone(),
            deny: self.deny.clone(),
            allow: self.allow.clone(),
            denied_hosts: self.deny_hosts.clone(),
            connect_timeout: Duration::from_secs(self.connect_seconds),
            total_time: Duration::from_secs(self.total_seconds),
            name_servers: Some(self.name_servers.clone()).filter(|servers| !servers.is_empty()),
            root_certificates: self.roots.as_deref().map(std::fs::read).transpose()?,
            ..Policy::default()
        })
    }
}
