//! Whether a thread asks the system again and again before it lets it sleep.

use std::time::Duration;

/// Waits in a row that have to end in time to make good for one that did not: to stay awake in
/// vain costs several times what a sleep less gains.
const PRICE: u32 = 4;
/// Waits in time that are remembered.
const CREDIT_MAX: u32 = 4 * PRICE;
/// Where it does not pay, it is tried once in so many waits.
const TRIAL_INTERVAL: u32 = 64;

/// When to stay awake, and for how long: before any wait, as long as most of them end in time.
pub(crate) struct BusyPoll {
    time: Duration,
    credit: u32,
    skipped: u32,
}

impl BusyPoll {
    /// For so long before a wait, where that pays.
    pub(crate) const fn new(time: Duration) -> Self {
        Self { time, credit: CREDIT_MAX, skipped: 0 }
    }

    /// For how long to stay awake in a wait that ends after `wait` at the latest.
    pub(crate) fn begin(&mut self, wait: Option<Duration>) -> Duration {
        // If it ends before, nothing would be learned.
        if wait.is_some_and(|wait| wait < self.time) {
            return Duration::ZERO;
        }
        if self.credit == 0 {
            self.skipped = (self.skipped + 1) % TRIAL_INTERVAL;
            if self.skipped > 0 {
                return Duration::ZERO;
            }
        }
        self.time
    }

    /// Learns whether something was there in time, or the thread could as well have slept.
    pub(crate) fn end(&mut self, came: bool) {
        self.credit = match came {
            true => CREDIT_MAX.min(self.credit + 1),
            false => self.credit.saturating_sub(PRICE),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_micros(50);

    /// In how many of so many waits it stays awake, if something comes in time or not.
    fn awake(busy_poll: &mut BusyPoll, waits: u32, mut comes: impl FnMut(u32) -> bool) -> u32 {
        let mut count = 0;
        for wait in 0..waits {
            if !busy_poll.begin(None).is_zero() {
                busy_poll.end(comes(wait));
                count += 1;
            }
        }
        count
    }

    #[test]
    fn without_a_time_it_always_sleeps() {
        let mut busy_poll = BusyPoll::new(Duration::ZERO);
        assert_eq!(busy_poll.begin(None), Duration::ZERO);
        assert_eq!(busy_poll.begin(Some(TIME)), Duration::ZERO);
    }

    #[test]
    fn what_ends_soon_anyway_takes_no_trial() {
        let mut busy_poll = BusyPoll::new(TIME);
        assert_eq!(awake(&mut busy_poll, 4, |_| false), 4);
        for _ in 0..10 * TRIAL_INTERVAL {
            assert_eq!(busy_poll.begin(Some(TIME / 2)), Duration::ZERO);
        }
        assert_eq!(awake(&mut busy_poll, TRIAL_INTERVAL, |_| false), 1);
    }

    #[test]
    fn who_waits_in_vain_sleeps_and_tries_now_and_then() {
        let mut busy_poll = BusyPoll::new(TIME);
        assert_eq!(awake(&mut busy_poll, 1_000, |_| true), 1_000);
        assert_eq!(awake(&mut busy_poll, 4 + 10 * TRIAL_INTERVAL, |_| false), 4 + 10);
        // It pays again: that is found out with the next trial.
        let missed = 1_000 - awake(&mut busy_poll, 1_000, |_| true);
        assert_eq!(missed, TRIAL_INTERVAL - 1);
    }

    #[test]
    fn it_does_not_pay_if_every_third_wait_is_long_but_if_every_tenth_is() {
        let mut busy_poll = BusyPoll::new(TIME);
        assert!(awake(&mut busy_poll, 3_000, |wait| wait % 3 > 0) < 300);
        let mut busy_poll = BusyPoll::new(TIME);
        assert_eq!(awake(&mut busy_poll, 3_000, |wait| wait % 10 > 0), 3_000);
    }
}
