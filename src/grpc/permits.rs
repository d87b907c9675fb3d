//! Permits of connections: so many in all, so many of one peer; each is given back when it is dropped.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Permits of one port.
pub(super) struct Permits {
    total: usize,
    per_peer: usize,
    given: Mutex<Given>,
}

#[derive(Default)]
struct Given {
    total: usize,
    peers: HashMap<IpAddr, usize>,
}

/// Allows one connection.
pub(super) struct Permit {
    permits: Arc<Permits>,
    peer: IpAddr,
}

impl Permits {
    /// `total` permits, and `per_peer` of them for one peer.
    pub(super) fn new(total: usize, per_peer: usize) -> Arc<Self> {
        Arc::new(Self { total, per_peer, given: Mutex::default() })
    }

    /// A permit for a connection from `address`; none when all are given.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Permit> {
        let peer = peer(address);
        let mut given = self.given();
        let of_peer = given.peers.get(&peer).copied().unwrap_or(0);
        if given.total >= self.total || of_peer >= self.per_peer {
            return None;
        }
        given.total += 1;
        given.peers.insert(peer, of_peer + 1);
        Some(Permit { permits: Arc::clone(self), peer })
    }

    fn given(&self) -> MutexGuard<'_, Given> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut given = self.permits.given();
        given.total -= 1;
        if let Entry::Occupied(mut of_peer) = given.peers.entry(self.peer) {
            *of_peer.get_mut() -= 1;
            // The map holds no more peers than there are connections.
            if *of_peer.get() == 0 {
                of_peer.remove();
            }
        }
    }
}

/// Whose an address is: an IPv4 host has one, an IPv6 host a network of 64 bits to choose from.
pub(super) fn peer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_peer_and_all_together_have_a_bound() {
        let permits = Permits::new(3, 2);
        let take = |address: &str| permits.take(address.parse().expect("an address"));
        let first = take("192.0.2.1").expect("the first");
        let _second = take("::ffff:192.0.2.1").expect("the second of the same peer, in its other spelling");
        assert!(take("192.0.2.1").is_none(), "a third of one peer");
        let third = take("2001:db8::1").expect("another peer");
        assert!(take("192.0.2.2").is_none(), "a fourth in all");
        drop(third);
        let _fourth = take("2001:db8::1").expect("it was given back");
        drop(first);
        let _fifth = take("192.0.2.1").expect("this one, too");
        assert!(permits.given().peers.len() == 2, "who has no permit is forgotten");
    }

    #[test]
    fn an_ipv6_host_is_one_peer_whatever_its_address() {
        let permits = Permits::new(9, 1);
        let take = |address: &str| permits.take(address.parse().expect("an address"));
        let _held = take("2001:db8::1").expect("the first");
        assert!(take("2001:db8::ffff:1").is_none());
        assert!(take("2001:db8:0:1::1").is_some(), "another network");
    }
}
