//! Clocks that go too fast or too slow, and jump.

use std::time::Duration;

use model::Now;

/// When the world begins, since 1970: 2026-01-05 12:00:00 UTC.
const START: Duration = Duration::from_secs(1_767_614_400);
/// The first moment of monotonic clocks.
const MONOTONIC_START: Duration = Duration::from_secs(1000);
/// Parts in a million.
const MILLION: i64 = 1_000_000;

/// Both clocks of one process. They go on when it is started again.
#[derive(Debug)]
pub(super) struct Clock {
    /// Since when it goes as it does now, and what it said then.
    since: Duration,
    monotonic: Duration,
    /// How much too fast it goes, in parts in a million.
    drift: i64,
    /// What the time of day was put forward and back by, together.
    forward: Duration,
    back: Duration,
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            since: Duration::ZERO,
            monotonic: MONOTONIC_START,
            drift: 0,
            forward: Duration::ZERO,
            back: Duration::ZERO,
        }
    }
}

impl Clock {
    /// What it says at a moment of the world.
    pub(super) fn now(&self, elapsed: Duration) -> Now {
        let monotonic = self.monotonic + Self::scaled(elapsed - self.since, MILLION + self.drift);
        let unix = START + (monotonic - MONOTONIC_START) + self.forward;
        Now { monotonic, unix: unix.saturating_sub(self.back) }
    }

    /// When the monotonic clock will have come to a moment, by the time of the world.
    pub(super) fn when(&self, monotonic: Duration) -> Duration {
        let left = nanoseconds(monotonic.saturating_sub(self.monotonic));
        let rate = u128::try_from(MILLION + self.drift).expect("clocks go forward");
        let million = u128::from(MILLION.unsigned_abs());
        self.since + from_nanoseconds((left * million).div_ceil(rate))
    }

    /// From now on it goes so much too fast, in parts in a million.
    pub(super) fn set_drift(&mut self, elapsed: Duration, drift: i64) {
        assert!(drift > -MILLION, "clocks go forward");
        self.monotonic = self.now(elapsed).monotonic;
        self.since = elapsed;
        self.drift = drift;
    }

    /// The time of day jumps forward.
    pub(super) fn put_forward(&mut self, by: Duration) {
        self.forward += by;
    }

    /// The time of day jumps back.
    pub(super) fn put_back(&mut self, by: Duration) {
        self.back += by;
    }

    fn scaled(duration: Duration, rate: i64) -> Duration {
        let rate = u128::try_from(rate).expect("clocks go forward");
        from_nanoseconds(nanoseconds(duration) * rate / u128::from(MILLION.unsigned_abs()))
    }
}

fn nanoseconds(duration: Duration) -> u128 {
    duration.as_nanos()
}

fn from_nanoseconds(count: u128) -> Duration {
    Duration::from_nanos(u64::try_from(count).expect("some hundred years"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_comes_to_each_moment_when_it_says() {
        let mut clock = Clock::default();
        clock.set_drift(Duration::from_millis(17), -333_333);
        clock.set_drift(Duration::from_secs(3), 123_457);
        for milliseconds in [1_003_000, 1_003_001, 1_060_000] {
            let moment = Duration::from_millis(milliseconds);
            let elapsed = clock.when(moment);
            assert!(clock.now(elapsed).monotonic >= moment);
            assert!(clock.now(elapsed - Duration::from_nanos(2)).monotonic < moment);
        }
        assert_eq!(clock.when(Duration::ZERO), Duration::from_secs(3), "it was there before");
    }

    #[test]
    fn the_time_of_day_jumps_and_nothing_else_does() {
        let mut clock = Clock::default();
        let before = clock.now(Duration::from_secs(5));
        clock.put_forward(Duration::from_secs(60));
        clock.put_back(Duration::from_secs(3600));
        let after = clock.now(Duration::from_secs(5));
        assert_eq!(after.monotonic, before.monotonic);
        assert_eq!(after.unix + Duration::from_secs(3540), before.unix);
    }
}
