//! Connections that end when all is sent, and peers that do not take it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::links::LinkId;

/// How long a peer may take nothing of what is still to be sent. One that never reads would keep
/// its connection, and what is queued, for ever.
const STUCK_TIME_MAX: Duration = Duration::from_secs(10);

/// Connections that are being closed, by when they are looked at next.
#[derive(Debug, Default)]
pub(crate) struct Closing {
    queue: VecDeque<Closed>,
}

#[derive(Debug)]
struct Closed {
    until: Duration,
    link: LinkId,
    /// Bytes that were to be sent when it was looked at last.
    queued: usize,
}

impl Closing {
    pub(crate) fn add(&mut self, now: Duration, link: LinkId, queued: usize) {
        self.queue.push_back(Closed { until: now + STUCK_TIME_MAX, link, queued });
    }

    /// When the first one is to be looked at. `queued` tells what is to be sent on a connection, if
    /// it is still there.
    pub(crate) fn deadline(
        &mut self,
        queued: impl Fn(LinkId) -> Option<usize>,
    ) -> Option<Duration> {
        while self.queue.front().is_some_and(|first| queued(first.link).is_none()) {
            self.queue.pop_front();
        }
        self.queue.front().map(|first| first.until)
    }

    /// Connections whose peers took nothing for too long.
    pub(crate) fn stuck(
        &mut self,
        now: Duration,
        queued: impl Fn(LinkId) -> Option<usize>,
    ) -> Vec<LinkId> {
        let mut stuck = Vec::new();
        while let Some(first) = self.queue.pop_front_if(|first| first.until <= now) {
            match queued(first.link) {
                None => {}
                Some(left) if left < first.queued => self.add(now, first.link, left),
                Some(_) => stuck.push(first.link),
            }
        }
        stuck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_something_goes_on() {
        let (mut closing, link) = (Closing::default(), LinkId::accepted(1));
        let at = Duration::from_secs;
        closing.add(at(5), link, 100);
        closing.add(at(6), LinkId::accepted(2), 100);
        assert_eq!(closing.deadline(|_| Some(100)), Some(at(15)));
        assert_eq!(closing.stuck(at(14), |_| Some(100)), []);
        let left = |other| (other == link).then_some(99);
        assert_eq!(closing.stuck(at(16), left), [], "one took something, one is gone");
        assert_eq!(closing.deadline(left), Some(at(26)));
        assert_eq!(closing.stuck(at(26), left), [link]);
        assert_eq!(closing.deadline(left), None);
    }
}
