//! What an operator may set about fetching.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use super::{
    address,
    cidr::Cidr,
    url::{self, Refused},
};

/// What may be fetched, and how long it may take. HTTPS alone is spoken, whatever is set here.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Ports that may be asked.
    pub ports: Vec<u16>,
    /// Addresses that are refused though they are public.
    pub deny: Vec<Cidr>,
    /// Addresses that may be asked though they are not public; what is denied stays denied.
    pub allow: Vec<Cidr>,
    /// Addresses of this server, which it never asks, even if they are allowed.
    pub own_addresses: Vec<IpAddr>,
    /// Names that are refused, and all names below them.
    pub denied_hosts: Vec<String>,
    /// How long lookup, connection and TLS handshake of one hop may take together.
    pub connect_timeout: Duration,
    /// How long the other side may keep the client waiting in all, redirects among it. Time that the
    /// reader of a body takes for itself is not counted.
    pub total_time: Duration,
    /// The least that must come within `rate_window`, as bytes a second; zero asks for nothing.
    pub min_bytes_per_second: u64,
    /// How much waiting the rate is measured over.
    pub rate_window: Duration,
    /// How many redirects are followed.
    pub max_redirects: usize,
    /// How many bytes names and values of a response's headers may have together.
    pub max_header_bytes: usize,
    /// How many headers a response may have.
    pub max_headers: usize,
    /// Who is asked for addresses; the system's name servers if none are given.
    pub name_servers: Option<Vec<SocketAddr>>,
    /// Certificates that are trusted, as PEM; the system's if none are given.
    pub root_certificates: Option<Vec<u8>>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            ports: vec![443],
            deny: Vec::new(),
            allow: Vec::new(),
            own_addresses: Vec::new(),
            denied_hosts: Vec::new(),
            connect_timeout: Duration::from_secs(10),
            total_time: Duration::from_mins(5),
            min_bytes_per_second: 1024,
            rate_window: Duration::from_secs(20),
            max_redirects: 3,
            max_header_bytes: 32 * 1024,
            max_headers: 100,
            name_servers: None,
            root_certificates: None,
        }
    }
}

impl Policy {
    /// Judges an address, written out or looked up.
    pub(super) fn judge_address(&self, address: IpAddr) -> Result<(), Refused> {
        let address = address.to_canonical();
        let is_in = |ranges: &[Cidr]| ranges.iter().any(|range| range.contains(address));
        if self.own_addresses.iter().any(|own| own.to_canonical() == address) {
            Err(Refused::Own)
        } else if !is_in(&self.deny) && (is_in(&self.allow) || address::is_public(address)) {
            Ok(())
        } else {
            Err(Refused::Address)
        }
    }

    /// Judges a name by its text, be it asked for or what another name stands for.
    pub(super) fn judge_name(&self, name: &str) -> Result<(), Refused> {
        let denied = self.denied_hosts.iter().map(|denied| denied.trim_matches('.').to_ascii_lowercase());
        let mut denied = denied.filter(|denied| !denied.is_empty());
        if url::is_private_name(name) || denied.any(|denied| url::is_below(name, &denied)) {
            return Err(Refused::Host);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_before_denied_before_allowed_before_public() {
        let policy = Policy {
            deny: vec!["8.8.8.0/24".parse().expect("range"), "127.0.0.9".parse().expect("range")],
            allow: vec!["127.0.0.0/8".parse().expect("range")],
            own_addresses: vec!["127.0.0.8".parse().expect("address"), "9.9.9.9".parse().expect("address")],
            ..Policy::default()
        };
        for (address, verdict) in [
            ("127.0.0.1", Ok(())),
            ("::ffff:127.0.0.1", Ok(())),
            ("127.0.0.8", Err(Refused::Own)),
            ("::ffff:127.0.0.8", Err(Refused::Own)),
            ("9.9.9.9", Err(Refused::Own)),
            ("127.0.0.9", Err(Refused::Address)),
            ("8.8.8.8", Err(Refused::Address)),
            ("::ffff:8.8.8.8", Err(Refused::Address)),
            ("8.8.4.4", Ok(())),
            ("10.0.0.1", Err(Refused::Address)),
        ] {
            assert_eq!(policy.judge_address(address.parse().expect("address")), verdict, "{address}");
        }
    }

    #[test]
    fn b023_b024_a_denied_name_covers_those_below_it_alone() {
        let policy =
            Policy { denied_hosts: vec!["Evil.com.".to_owned(), ".".to_owned()], ..Policy::default() };
        for (name, denied) in
            [("evil.com", true), ("sub.evil.com", true), ("notevil.com", false), ("evil.com.net", false)]
        {
            assert_eq!(policy.judge_name(name).is_err(), denied, "{name}");
        }
    }
}
