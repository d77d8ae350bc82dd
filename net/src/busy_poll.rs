//! Whether a thread asks the system again and again before it lets it sleep.

use std::time::Duration;

/// Waits in a row that have to end in time to make good for one that did not: to stay awake in
/// vain costs several times what a sleep less gains.
const PRICE: u32 = 4;
/// Waits in time that are remembered.
const CREDIT_MAX: u32 = 4 * PRICE;
/// Where it does not pay, it is tried once in so many waits.
const TRIAL_INTERVAL: u32 = 64;

/// When to stay awake, and for how long.
pub(crate) struct BusyPoll {
    time: Duration,
    habit: Habit,
}

enum Habit {
    /// After there was something.
    Fixed,
    /// Before any wait, as long as most of them end in time.
    Adaptive { credit: u32, skipped: u32 },
}

impl BusyPoll {
    /// For so long after there was something; not at all if that is zero.
    pub(crate) const fn fixed(time: Duration) -> Self {
        Self { time, habit: Habit::Fixed }
    }

    /// For so long before any wait, where that pays.
    pub(crate) const fn adaptive(time: Duration) -> Self {
        Self { time, habit: Habit::Adaptive { credit: CREDIT_MAX, skipped: 0 } }
    }

    /// For how long to stay awake in a wait that ends after `wait` at the latest; `was_idle` if the
    /// last one ended with nothing.
    pub(crate) fn begin(&mut self, was_idle: bool, wait: Option<Duration>) -> Duration {
        let is_short = wait.is_some_and(|wait| wait < self.time);
        let stays_awake = match &mut self.habit {
            Habit::Fixed => !was_idle,
            // Nothing would be learned.
            Habit::Adaptive { .. } if is_short => false,
            Habit::Adaptive { credit: 0, skipped } => {
                *skipped = (*skipped + 1) % TRIAL_INTERVAL;
                *skipped == 0
            }
            Habit::Adaptive { .. } => true,
        };
        if stays_awake { self.time.min(wait.unwrap_or(self.time)) } else { Duration::ZERO }
    }

    /// Between two looks.
    pub(crate) fn pause(&self) {
        match self.habit {
            Habit::Fixed => std::hint::spin_loop(),
            // Whoever else has something to do on this processor goes first.
            Habit::Adaptive { .. } => std::thread::yield_now(),
        }
    }

    /// Learns whether something was there in time, or the thread could as well have slept.
    pub(crate) fn end(&mut self, came: bool) {
        if let Habit::Adaptive { credit, .. } = &mut self.habit {
            *credit = match came {
                true => CREDIT_MAX.min(*credit + 1),
                false => credit.saturating_sub(PRICE),
            };
        }
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
            if !busy_poll.begin(true, None).is_zero() {
                busy_poll.end(comes(wait));
                count += 1;
            }
        }
        count
    }

    #[test]
    fn what_is_fixed_depends_on_the_last_wait_only() {
        let mut busy_poll = BusyPoll::fixed(TIME);
        for came in [true, false, false, false, false, false] {
            assert_eq!(busy_poll.begin(false, None), TIME);
            assert_eq!(busy_poll.begin(false, Some(TIME / 2)), TIME / 2);
            assert_eq!(busy_poll.begin(true, None), Duration::ZERO);
            busy_poll.end(came);
        }
        assert_eq!(BusyPoll::fixed(Duration::ZERO).begin(false, None), Duration::ZERO);
    }

    #[test]
    fn what_ends_soon_anyway_takes_no_trial() {
        let mut busy_poll = BusyPoll::adaptive(TIME);
        assert_eq!(awake(&mut busy_poll, 4, |_| false), 4);
        for _ in 0..10 * TRIAL_INTERVAL {
            assert_eq!(busy_poll.begin(true, Some(TIME / 2)), Duration::ZERO);
        }
        assert_eq!(awake(&mut busy_poll, TRIAL_INTERVAL, |_| false), 1);
    }

    #[test]
    fn who_waits_in_vain_sleeps_and_tries_now_and_then() {
        let mut busy_poll = BusyPoll::adaptive(TIME);
        assert_eq!(awake(&mut busy_poll, 1_000, |_| true), 1_000);
        assert_eq!(awake(&mut busy_poll, 4 + 10 * TRIAL_INTERVAL, |_| false), 4 + 10);
        // It pays again: that is found out with the next trial.
        let missed = 1_000 - awake(&mut busy_poll, 1_000, |_| true);
        assert_eq!(missed, TRIAL_INTERVAL - 1);
    }

    #[test]
    fn it_does_not_pay_if_every_third_wait_is_long_but_if_every_tenth_is() {
        let mut busy_poll = BusyPoll::adaptive(TIME);
        assert!(awake(&mut busy_poll, 3_000, |wait| wait % 3 > 0) < 300);
        let mut busy_poll = BusyPoll::adaptive(TIME);
        assert_eq!(awake(&mut busy_poll, 3_000, |wait| wait % 10 > 0), 3_000);
    }
}
