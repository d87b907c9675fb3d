//! Permits of what is open at a time, such as connections and calls: so many in all, so many of one holder; each is given
//! back when it is dropped.

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Permits of one kind.
pub(crate) struct Permits<H> {
    total: usize,
    per_holder: usize,
    given: Mutex<Given<H>>,
}

struct Given<H> {
    total: usize,
    holders: HashMap<H, usize>,
}

/// Allows one more.
pub(crate) struct Permit<H: Eq + Hash> {
    permits: Arc<Permits<H>>,
    holder: H,
}

/// Why there is no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// The holder has as many as one may have.
    Own,
    /// All together have as many as there are.
    All,
}

impl<H: Eq + Hash + Copy> Permits<H> {
    /// `total` permits, and `per_holder` of them for one holder.
    pub(crate) fn new(total: usize, per_holder: usize) -> Arc<Self> {
        let given = Given { total: 0, holders: HashMap::new() };
        Arc::new(Self { total, per_holder, given: Mutex::new(given) })
    }

    /// A permit for `holder`.
    pub(crate) fn take(self: &Arc<Self>, holder: H) -> Result<Permit<H>, Full> {
        let mut given = self.given();
        let own = given.holders.get(&holder).copied().unwrap_or(0);
        if own >= self.per_holder {
            return Err(Full::Own);
        }
        if given.total >= self.total {
            return Err(Full::All);
        }
        given.total += 1;
        given.holders.insert(holder, own + 1);
        Ok(Permit { permits: Arc::clone(self), holder })
    }
}

impl<H> Permits<H> {
    fn given(&self) -> MutexGuard<'_, Given<H>> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<H: Eq + Hash> Drop for Permit<H> {
    fn drop(&mut self) {
        let mut given = self.permits.given();
        given.total -= 1;
        // The map holds no more holders than there are permits.
        if given.holders.get(&self.holder).is_some_and(|own| *own <= 1) {
            given.holders.remove(&self.holder);
        } else if let Some(own) = given.holders.get_mut(&self.holder) {
            *own -= 1;
        }
    }
}

/// Whose an address is: an IPv4 host has one, an IPv6 host a network of 64 bits to choose from.
pub(crate) fn peer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_holder_and_all_together_have_a_bound() {
        let permits = Permits::new(3, 2);
        let take = |address: &str| permits.take(peer(address.parse().expect("an address")));
        let first = take("192.0.2.1").expect("the first");
        let _second = take("::ffff:192.0.2.1").expect("the second of the same peer, in its other spelling");
        assert_eq!(take("192.0.2.1").err(), Some(Full::Own), "a third of one peer");
        let third = take("2001:db8::1").expect("another peer");
        assert_eq!(take("192.0.2.2").err(), Some(Full::All), "a fourth in all");
        drop(third);
        let _fourth = take("2001:db8::1").expect("it was given back");
        drop(first);
        let _fifth = take("192.0.2.1").expect("this one, too");
        assert!(permits.given().holders.len() == 2, "who has no permit is forgotten");
    }

    #[test]
    fn an_ipv6_host_is_one_peer_whatever_its_address() {
        let permits = Permits::new(9, 1);
        let take = |address: &str| permits.take(peer(address.parse().expect("an address")));
        let _held = take("2001:db8::1").expect("the first");
        assert!(take("2001:db8::ffff:1").is_err());
        assert!(take("2001:db8:0:1::1").is_ok(), "another network");
    }
}
