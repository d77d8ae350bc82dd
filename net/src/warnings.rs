//! Warnings that a peer can cause, kept from filling logs.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::address::Address;
use crate::connection::CloseReason;

/// How often it is warned about one host.
const INTERVAL: Duration = Duration::from_secs(60);
/// Hosts that are told apart. Beyond, all are forgotten, and warned about again.
const HOSTS_MAX: usize = 256;

/// Warnings about peers that do not speak as they should.
#[derive(Default, Debug)]
pub(crate) struct Complaints {
    hosts: BTreeMap<String, WarningLimit>,
}

impl Complaints {
    /// Warns about a peer, unless that was done for its host a short time ago.
    pub(crate) fn warn(&mut self, now: Duration, address: &Address, reason: &CloseReason) {
        if self.hosts.len() >= HOSTS_MAX && !self.hosts.contains_key(&address.host) {
            self.hosts.clear();
        }
        let limit = self.hosts.entry(address.host.clone());
        match limit.or_insert(WarningLimit::new(INTERVAL)).pass(now) {
            Some(0) => tracing::warn!(peer = %address, "connection closed: {reason}"),
            Some(more) => {
                tracing::warn!(peer = %address, more, "connection closed: {reason}");
            }
            None => tracing::debug!(peer = %address, "connection closed: {reason}"),
        }
    }
}

/// Lets one warning of a kind pass every so often, and counts the others.
#[derive(Debug)]
pub(crate) struct WarningLimit {
    interval: Duration,
    next: Duration,
    suppressed: u64,
}

impl WarningLimit {
    pub(crate) const fn new(interval: Duration) -> Self {
        Self { interval, next: Duration::ZERO, suppressed: 0 }
    }

    /// Whether one may be logged now: how many were not since the last one that was.
    pub(crate) fn pass(&mut self, now: Duration) -> Option<u64> {
        if now < self.next {
            self.suppressed += 1;
            return None;
        }
        self.next = now + self.interval;
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_passes_and_the_others_are_counted() {
        let mut limit = WarningLimit::new(Duration::from_secs(10));
        let seconds = [0, 1, 9, 10, 11, 30, 31];
        let passed = seconds.map(|now| limit.pass(Duration::from_secs(now)));
        assert_eq!(passed, [Some(0), None, None, Some(2), None, Some(1), None]);
    }
}
