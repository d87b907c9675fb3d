//! Looks up the addresses of a name, and refuses the name if one of them is not to be asked.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig},
    lookup::Lookup,
    net::{DnsError, NetError, runtime::TokioRuntimeProvider},
    proto::{
        op::ResponseCode,
        rr::{Name, RData, RecordType},
    },
    system_conf,
};
use tokio::join;

use super::{error::FetchError, policy::Policy};

/// How many addresses of each family are tried; all are judged.
const KEPT_OF_FAMILY: usize = 8;

/// Asks name servers, each time anew.
pub(super) struct Names(TokioResolver);

impl Names {
    pub(super) fn new(policy: &Policy) -> Result<Self, NetError> {
        let servers = match &policy.name_servers {
            Some(addresses) => addresses.iter().map(name_server).collect(),
            None => system_conf::read_system_conf()?.0.name_servers,
        };
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        let options = builder.options_mut();
        // The hosts file names the operator's machines, and a cache would make a name's many answers
        // outlive it. The name server next door has a cache.
        options.use_hosts_file = ResolveHosts::Never;
        options.cache_size = 0;
        // So that a server which loses a question is asked once more within the budget.
        options.timeout = (policy.connect_timeout / 4).max(Duration::from_millis(1));
        options.attempts = 1;
        options.max_active_requests = 1_024;
        Ok(Self(builder.build()?))
    }

    /// Addresses of a name, not many of them and all of them fit to be asked.
    pub(super) async fn look_up(&self, host: &str, policy: &Policy) -> Result<Vec<IpAddr>, FetchError> {
        // The dot at the end keeps search domains out.
        let name = Name::from_ascii(format!("{host}.")).map_err(|_| FetchError::DnsNotFound)?;
        let (v4, v6) =
            join!(self.0.lookup(name.clone(), RecordType::A), self.0.lookup(name, RecordType::AAAA));
        let v4 = v4.map_or_else(|error| Err(reason(&error)), |lookup| judged(&lookup, policy));
        let v6 = v6.map_or_else(|error| Err(reason(&error)), |lookup| judged(&lookup, policy));
        match (v4, v6) {
            (Err(refused @ FetchError::Refused(_)), _) | (_, Err(refused @ FetchError::Refused(_))) => {
                Err(refused)
            }
            (Ok(mut addresses), v6) => {
                addresses.extend(v6.unwrap_or_default());
                if addresses.is_empty() { Err(FetchError::DnsNotFound) } else { Ok(addresses) }
            }
            (Err(_), Ok(addresses)) if !addresses.is_empty() => Ok(addresses),
            (Err(FetchError::DnsNotFound), Ok(_) | Err(FetchError::DnsNotFound)) => {
                Err(FetchError::DnsNotFound)
            }
            (Err(_), _) => Err(FetchError::DnsFailed),
        }
    }
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}

/// Judges every record of an answer, also names on the way to the addresses.
fn judged(lookup: &Lookup, policy: &Policy) -> Result<Vec<IpAddr>, FetchError> {
    let mut addresses = Vec::new();
    for record in lookup.answers() {
        let address = match &record.data {
            RData::A(a) => IpAddr::V4(a.0),
            RData::AAAA(aaaa) => IpAddr::V6(aaaa.0),
            RData::CNAME(name) => {
                policy.judge_name(name.0.to_ascii().to_ascii_lowercase().trim_end_matches('.'))?;
                continue;
            }
            _ => continue,
        };
        policy.judge_address(address)?;
        if addresses.len() < KEPT_OF_FAMILY {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

fn reason(error: &NetError) -> FetchError {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none))
            if matches!(none.response_code, ResponseCode::NXDomain | ResponseCode::NoError) =>
        {
            FetchError::DnsNotFound
        }
        _ => FetchError::DnsFailed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// B020: whether a test can show it otherwise depends on the hosts file of the machine.
    #[tokio::test]
    async fn neither_the_hosts_file_nor_a_cache_answers() {
        let name_servers = Some(vec![([127, 0, 0, 1], 53).into()]);
        let names = Names::new(&Policy { name_servers, ..Policy::default() }).expect("a resolver");
        let options = names.0.options();
        assert_eq!((options.use_hosts_file, options.cache_size), (ResolveHosts::Never, 0));
    }
}
