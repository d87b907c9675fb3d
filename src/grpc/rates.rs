//! How many calls a key may make in a minute, and how many wrong keys a peer may try.
//!
//! Buckets are in memory: each process has its own, and a restart fills them. They are our own because a key that
//! turns out to be good is given back what its trial took, which the libraries there are (governor) do not do, and
//! because what is remembered has a bound.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::{BuildHasher, Hash},
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::methods::Use;
use crate::domain::refusal::Refusal;

/// Calls in a minute; 0 is no bound.
#[derive(Debug, Clone, Copy)]
pub struct CallRates {
    /// Reads of one key.
    pub reads: u32,
    /// Writes of one key.
    pub writes: u32,
    /// Wrong keys of one peer.
    pub failed_keys: u32,
}

/// Time in which an empty bucket is full again.
const MINUTE: Duration = Duration::from_secs(60);

/// Keys or peers that are remembered at least, once there are that many in a minute.
const MANY: usize = 1 << 16;

/// Calls that may be made at once; they come back evenly over a minute.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    fn full(per_minute: u32, now: Instant) -> Self {
        Self { left: f64::from(per_minute), at: now }
    }

    /// How long it takes until there is one to take, after what came back by now.
    fn wait(&mut self, per_minute: u32, now: Instant) -> Option<Duration> {
        let whole = f64::from(per_minute);
        let back = whole * now.duration_since(self.at).as_secs_f64() / MINUTE.as_secs_f64();
        (self.left, self.at) = ((self.left + back).min(whole), self.at.max(now));
        (per_minute > 0 && self.left < 1.0).then(|| MINUTE.mul_f64((1.0 - self.left) / whole))
    }

    fn take(&mut self) {
        self.left = (self.left - 1.0).max(0.0);
    }

    fn give_back(&mut self, per_minute: u32) {
        self.left = (self.left + 1.0).min(f64::from(per_minute));
    }
}

/// Values of those who were heard of within the last minute, at least. A bucket that is forgotten has been
/// left alone for a minute, and so is full: nobody gains by it. More than so many are forgotten early, which
/// only somebody who calls from that many networks gains by.
struct Recent<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    turned: Instant,
}

impl<K: Eq + Hash, V> Recent<K, V> {
    fn new() -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), turned: Instant::now() }
    }

    fn of(&mut self, key: K, now: Instant, new: impl FnOnce() -> V) -> &mut V {
        if now.duration_since(self.turned) >= MINUTE || self.young.len() >= MANY {
            self.old = std::mem::take(&mut self.young);
            self.turned = now;
        }
        let known = self.old.remove(&key);
        self.young.entry(key).or_insert_with(|| known.unwrap_or_else(new))
    }

    fn knows(&self, key: &K) -> bool {
        self.young.contains_key(key) || self.old.contains_key(key)
    }

    fn forget(&mut self, key: &K) {
        self.young.remove(key);
        self.old.remove(key);
    }
}

/// What a good key has left.
struct OfKey {
    reads: Bucket,
    writes: Bucket,
}

/// A key that is tried. It is taken for a wrong one until it is known to be good, so that no more are tried at a time
/// than may be wrong.
#[must_use]
pub(super) struct Trial {
    /// Who pays for it; nobody for a key that was good a moment ago.
    payer: Option<IpAddr>,
}

/// The buckets of a server.
pub(super) struct Rates {
    rates: CallRates,
    /// Keys are remembered by a hash that nobody outside can find another key for.
    hasher: RandomState,
    keys: Mutex<Recent<u64, OfKey>>,
    peers: Mutex<Recent<IpAddr, Bucket>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Rates {
    pub(super) fn new(rates: CallRates) -> Self {
        let (keys, peers) = (Mutex::new(Recent::new()), Mutex::new(Recent::new()));
        Self { rates, hasher: RandomState::new(), keys, peers }
    }

    /// Whether a key was good a moment ago.
    pub(super) fn knows(&self, key: Option<&str>) -> bool {
        key.is_some_and(|key| lock(&self.keys).knows(&self.hasher.hash_one(key)))
    }

    /// Whether a peer may try a key, which takes nothing yet.
    pub(super) fn check_trials(
        &self,
        peer: Option<IpAddr>,
        key: Option<&str>,
        now: Instant,
    ) -> Result<(), Refusal> {
        match peer.filter(|_| !self.knows(key)) {
            Some(peer) => self.with_peer(peer, now, |_| ()),
            None => Ok(()),
        }
    }

    /// Lets a peer try a key, unless it has tried too many wrong ones. One that was good a moment ago may be tried by
    /// anybody, so that who guesses keys shuts nobody out that calls from the same address.
    pub(super) fn try_key(
        &self,
        peer: Option<IpAddr>,
        key: Option<&str>,
        now: Instant,
    ) -> Result<Trial, Refusal> {
        let payer = peer.filter(|_| !self.knows(key));
        if let Some(peer) = payer {
            self.with_peer(peer, now, Bucket::take)?;
        }
        Ok(Trial { payer })
    }

    /// Does something with the bucket of a peer, unless it is empty.
    fn with_peer(&self, peer: IpAddr, now: Instant, use_it: impl FnOnce(&mut Bucket)) -> Result<(), Refusal> {
        let (limit, what) = (self.rates.failed_keys, "wrong keys from this address");
        let mut peers = lock(&self.peers);
        let bucket = peers.of(peer, now, || Bucket::full(limit, now));
        if let Some(wait) = bucket.wait(limit, now) {
            return Err(Refusal::TooManyCalls { subject: "peer", what, limit, wait });
        }
        use_it(bucket);
        Ok(())
    }

    /// The key was not wrong.
    pub(super) fn was_not_wrong(&self, trial: &Trial, now: Instant) {
        if let Some(peer) = trial.payer {
            let limit = self.rates.failed_keys;
            lock(&self.peers).of(peer, now, || Bucket::full(limit, now)).give_back(limit);
        }
    }

    /// The key was wrong, and is no longer known where it was good before.
    pub(super) fn was_wrong(&self, key: Option<&str>) {
        if let Some(key) = key {
            lock(&self.keys).forget(&self.hasher.hash_one(key));
        }
    }

    /// Counts a call under a good key, unless it has made too many.
    pub(super) fn count_call(&self, key: &str, using: Use, now: Instant) -> Result<(), Refusal> {
        let CallRates { reads, writes, .. } = self.rates;
        let mut keys = lock(&self.keys);
        let full = || OfKey { reads: Bucket::full(reads, now), writes: Bucket::full(writes, now) };
        let of_key = keys.of(self.hasher.hash_one(key), now, full);
        let (bucket, limit, what) = match using {
            Use::Read => (&mut of_key.reads, reads, "reads of one key"),
            Use::Write => (&mut of_key.writes, writes, "writes of one key"),
        };
        if let Some(wait) = bucket.wait(limit, now) {
            return Err(Refusal::TooManyCalls { subject: "api_key", what, limit, wait });
        }
        bucket.take();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(reads: u32, failed_keys: u32) -> Rates {
        Rates::new(CallRates { reads, writes: 1, failed_keys })
    }

    #[test]
    fn calls_come_back_evenly_and_no_more_than_there_were() {
        let rates = rates(60, 0);
        let mut now = Instant::now();
        let read = |key, now| rates.count_call(key, Use::Read, now).is_ok();
        let reads = |now| (0..70).filter(|_| read("k", now)).count();
        assert_eq!(reads(now), 60);
        assert!(read("other", now), "another key has its own");
        assert!(rates.count_call("k", Use::Write, now).is_ok(), "and so have writes");
        let refused = rates.count_call("k", Use::Read, now);
        let second = Duration::from_secs(1);
        assert!(matches!(refused, Err(Refusal::TooManyCalls { limit: 60, wait, .. }) if wait == second));
        now += 5 * second;
        assert_eq!(reads(now), 5);
        for minutes in [1, 2, 10] {
            now += MINUTE * minutes;
            assert_eq!(reads(now), 60, "after {minutes} minutes");
        }
    }

    #[test]
    fn who_guesses_is_stopped_and_who_knows_is_not() {
        let rates = rates(0, 3);
        let now = Instant::now();
        let (guesser, other) = (Some(IpAddr::from([192, 0, 2, 1])), Some(IpAddr::from([192, 0, 2, 2])));
        let try_key = |peer, key, now| rates.try_key(peer, Some(key), now);
        rates.count_call("good", Use::Read, now).expect("no bound");
        for wrong in ["a", "b", "c"] {
            let _trial = try_key(guesser, wrong, now).expect("one of three");
            rates.was_wrong(Some(wrong));
        }
        assert!(try_key(guesser, "wrong", now).is_err());
        assert!(rates.try_key(guesser, None, now).is_err());
        assert!(rates.knows(Some("good")) && !rates.knows(Some("wrong")) && !rates.knows(None));
        assert!(try_key(guesser, "good", now).is_ok(), "of a neighbour");
        for n in 0..10 {
            let trial = try_key(other, "new", now).unwrap_or_else(|_| panic!("{n}: those before were good"));
            rates.was_not_wrong(&trial, now);
        }
        rates.was_wrong(Some("good"));
        assert!(try_key(guesser, "good", now).is_err(), "it was revoked");
        let at_a_time: Vec<_> = (0..5).map_while(|_| try_key(other, "new", now).ok()).collect();
        assert_eq!(at_a_time.len(), 3, "nobody knows yet that they are good");
        assert!(try_key(guesser, "wrong", now + Duration::from_secs(21)).is_ok(), "one came back");
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let mut recent = Recent::new();
        for key in 0..10 * MANY {
            recent.of(key, Instant::now(), || ());
        }
        assert!(recent.young.len() + recent.old.len() <= 2 * MANY);
        assert!(recent.knows(&(10 * MANY - 1)) && !recent.knows(&0));
    }
}
