//! How hosts do: one that does not answer is asked by one at a time, then more and more seldom, and in the end
//! what else it has fails without it, so that a provider that is gone ends no import in years.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use crate::guard::FetchError;

/// Rest of a host after its first failure; each later one in a row doubles it.
const FIRST_REST: Duration = Duration::from_secs(1);

/// Longest rest.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// Failures in a row behind which a host is taken for gone. It has then rested for seven minutes.
const HOPELESS: u32 = 12;

/// Hosts that are remembered, beside those in use.
const REMEMBERED: usize = 1_000;

/// All hosts of which there is something to say.
pub(super) struct Hosts {
    per_host: usize,
    hosts: HashMap<String, Host>,
}

#[derive(Default)]
struct Host {
    in_flight: usize,
    /// How often in a row it did not answer, and how the last time.
    failures: u32,
    last: Option<FetchError>,
    /// When it may be asked again.
    rests_until: Option<Instant>,
}

impl Hosts {
    pub(super) fn new(per_host: usize) -> Self {
        Self { per_host, hosts: HashMap::new() }
    }

    pub(super) fn begin(&mut self, name: &str) {
        self.host(name).in_flight += 1;
    }

    pub(super) fn end(&mut self, name: &str) {
        let Some(host) = self.hosts.get_mut(name) else { return };
        host.in_flight = host.in_flight.saturating_sub(1);
        if host.in_flight == 0 && host.failures == 0 && host.rests_until.is_none() {
            self.hosts.remove(name);
        } else if self.hosts.len() > REMEMBERED {
            self.hosts.retain(|_, host| host.in_flight > 0);
        }
    }

    pub(super) fn answered(&mut self, name: &str) {
        let host = self.host(name);
        (host.failures, host.last, host.rests_until) = (0, None, None);
    }

    /// Remembers a failure, if it is the host's and not that of one URL.
    pub(super) fn failed(&mut self, name: &str, error: &FetchError, now: Instant) {
        let is_silent = !matches!(error, FetchError::Status { .. });
        if is_silent && error.is_transient() {
            let host = self.host(name);
            let rest = FIRST_REST.saturating_mul(2_u32.saturating_pow(host.failures)).min(LONGEST_REST);
            host.failures = host.failures.saturating_add(1);
            host.last = Some(error.clone());
            host.rests_until = Some(now + rest);
        } else {
            self.answered(name);
            self.host(name).rests_until = error.retry_after().map(|wait| now + wait.min(LONGEST_REST));
        }
    }

    /// Hosts that are not to be asked now.
    pub(super) fn busy(&self, now: Instant) -> Vec<String> {
        let busy = self.hosts.iter().filter(|(_, host)| host.is_busy(self.per_host, now));
        busy.map(|(name, _)| name.clone()).collect()
    }

    /// How a host failed that is taken for gone, but from time to time, when it is asked all the same.
    pub(super) fn is_hopeless(&self, name: &str, now: Instant) -> Option<FetchError> {
        let host = self.hosts.get(name).filter(|host| host.failures >= HOPELESS && host.rests(now))?;
        host.last.clone()
    }

    fn host(&mut self, name: &str) -> &mut Host {
        self.hosts.entry(name.to_owned()).or_default()
    }
}

impl Host {
    fn rests(&self, now: Instant) -> bool {
        self.rests_until.is_some_and(|until| now < until)
    }

    fn is_busy(&self, per_host: usize, now: Instant) -> bool {
        match self.failures {
            0 => self.rests(now) || self.in_flight >= per_host,
            HOPELESS.. if self.rests(now) => self.in_flight >= per_host,
            _ => self.rests(now) || self.in_flight > 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUSY: FetchError = FetchError::Status { code: 503, retry_after: Some(Duration::from_secs(5)) };

    #[test]
    fn c035_a_host_has_its_share_and_no_more() {
        let (mut hosts, now) = (Hosts::new(2), Instant::now());
        hosts.begin("a");
        hosts.begin("b");
        assert!(hosts.busy(now).is_empty());
        hosts.begin("a");
        assert_eq!(hosts.busy(now), ["a"]);
        hosts.end("a");
        assert!(hosts.busy(now).is_empty());
        hosts.end("a");
        hosts.end("b");
        assert!(hosts.hosts.is_empty(), "nothing is kept of a host that does well");
    }

    #[test]
    fn a_host_that_is_silent_rests_longer_and_longer_until_it_is_hopeless() {
        let (mut hosts, mut now) = (Hosts::new(4), Instant::now());
        for rest in [1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60] {
            hosts.begin("a");
            assert_eq!(hosts.is_hopeless("a", now), None);
            hosts.failed("a", &FetchError::Timeout, now);
            hosts.end("a");
            let until = now + Duration::from_secs(rest);
            assert_eq!(hosts.busy(until - Duration::from_millis(1)), ["a"], "{rest}");
            assert!(hosts.busy(until).is_empty(), "{rest}");
            hosts.begin("a");
            assert_eq!(hosts.busy(until), ["a"], "one at a time");
            hosts.end("a");
            now = until;
        }
        hosts.failed("a", &FetchError::Lost, now);
        assert_eq!(hosts.is_hopeless("a", now), Some(FetchError::Lost));
        assert!(hosts.busy(now).is_empty(), "what it has is taken and fails");
        now += LONGEST_REST;
        assert_eq!(hosts.is_hopeless("a", now), None, "but one is asked for");
        hosts.begin("a");
        assert_eq!(hosts.busy(now), ["a"]);
        hosts.answered("a");
        hosts.end("a");
        assert!(hosts.hosts.is_empty(), "it is back");
    }

    #[test]
    fn a_host_is_left_alone_when_it_asks_for_it() {
        let (mut hosts, now) = (Hosts::new(4), Instant::now());
        hosts.failed("a", &BUSY, now);
        assert_eq!(hosts.busy(now), ["a"]);
        assert!(hosts.busy(now + Duration::from_secs(5)).is_empty());
        // A URL that is not there says nothing against its host.
        hosts.failed("b", &FetchError::Status { code: 404, retry_after: None }, now);
        assert_eq!(hosts.busy(now), ["a"]);
    }

    #[test]
    fn no_more_hosts_are_remembered_than_there_is_room_for() {
        let (mut hosts, now) = (Hosts::new(4), Instant::now());
        for n in 0..3 * REMEMBERED {
            let name = n.to_string();
            hosts.begin(&name);
            hosts.failed(&name, &FetchError::Timeout, now);
            hosts.end(&name);
            assert!(hosts.hosts.len() <= REMEMBERED + 1);
        }
    }
}
