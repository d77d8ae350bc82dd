//! How long an event loop is away from its sockets.

use std::fmt;
use std::time::Duration;

/// Parts of each power of two: values are known to 1/8.
const PARTS: usize = 8;
const PARTS_BITS: u32 = PARTS.trailing_zeros();
/// Up to 2^40 ns, which is 18 minutes; what is longer counts as that.
const BUCKETS: usize = PARTS * (40 - PARTS_BITS as usize + 1);

/// Durations, counted in logarithmic buckets of an eighth: fixed size, a few ns to record.
#[derive(Clone)]
pub struct Histogram {
    counts: Box<[u64; BUCKETS]>,
    count: u64,
    total: Duration,
    max: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: Box::new([0; BUCKETS]),
            count: 0,
            total: Duration::ZERO,
            max: Duration::ZERO,
        }
    }
}

impl Histogram {
    /// Counts one duration.
    pub fn record(&mut self, duration: Duration) {
        self.counts[bucket(duration)] += 1;
        self.count += 1;
        self.total += duration;
        self.max = self.max.max(duration);
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their sum.
    pub fn total(&self) -> Duration {
        self.total
    }

    /// The longest, exactly.
    pub fn max(&self) -> Duration {
        self.max
    }

    /// The duration that this part of all did not exceed, rounded up to the end of its bucket:
    /// 0.5 gives the median. Zero if nothing was counted.
    pub fn quantile(&self, part: f64) -> Duration {
        let mut below = 0;
        for (index, count) in self.counts.iter().enumerate() {
            below += count;
            if *count > 0 && below as f64 >= part * self.count as f64 {
                return bucket_end(index).min(self.max);
            }
        }
        self.max
    }
}

impl fmt::Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [median, tail] = [0.5, 0.99].map(|part| self.quantile(part));
        let (count, max) = (self.count, self.max);
        write!(f, "{count} times, p50 {median:.1?}, p99 {tail:.1?}, max {max:.1?}")
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

fn bucket(duration: Duration) -> usize {
    let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    if nanoseconds < PARTS as u64 {
        return usize::try_from(nanoseconds).expect("below 8");
    }
    // The highest bits, of which the first is always set, and how far they are shifted.
    let shift = nanoseconds.ilog2() - PARTS_BITS;
    let part = usize::try_from(nanoseconds >> shift).expect("below 16") - PARTS;
    let octave = usize::try_from(shift).expect("below 64") + 1;
    (octave * PARTS + part).min(BUCKETS - 1)
}

/// The longest duration of a bucket.
fn bucket_end(index: usize) -> Duration {
    let (octave, part) = (index / PARTS, index % PARTS);
    let nanoseconds = match octave.checked_sub(1) {
        None => part as u64,
        Some(shift) => (((PARTS + part + 1) as u64) << shift) - 1,
    };
    Duration::from_nanos(nanoseconds)
}

/// What keeps an event loop from looking at its sockets.
#[derive(Clone, Default, Debug)]
pub struct Stalls {
    /// From when the system told of events to when the next ones were asked for: how long
    /// something that happens meanwhile has to wait, at most.
    pub turns: Histogram,
    /// What the machine took to handle one event.
    pub events: Histogram,
}

impl fmt::Display for Stalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "turns: {}; events: {}", self.turns, self.events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_an_eighth_wide_and_in_order() {
        for nanoseconds in (0..2000).chain((11..40).flat_map(|bits| {
            let power = 1_u64 << bits;
            [power - 1, power, power + 1, power + power / 3]
        })) {
            let duration = Duration::from_nanos(nanoseconds);
            let end = bucket_end(bucket(duration));
            assert!(end >= duration, "{duration:?} in a bucket to {end:?}");
            assert!(end.as_nanos() <= duration.as_nanos() * 9 / 8, "{duration:?}: to {end:?}");
            assert_eq!(bucket(end), bucket(duration));
            assert_eq!(bucket(end + Duration::from_nanos(1)), bucket(end) + 1, "{end:?}");
        }
    }

    #[test]
    fn quantiles_and_the_longest() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.99), Duration::ZERO);
        for microseconds in 1..=1000 {
            histogram.record(Duration::from_micros(microseconds));
        }
        let near = |part, expected: u64| {
            let found = histogram.quantile(part).as_micros();
            assert!(found >= u128::from(expected), "{part}: {found}");
            assert!(found <= u128::from(expected * 9 / 8), "{part}: {found}");
        };
        near(0.5, 500);
        near(0.99, 990);
        assert_eq!(histogram.quantile(1.0), Duration::from_millis(1));
        assert_eq!(histogram.max(), Duration::from_millis(1));
        assert_eq!(histogram.count(), 1000);
        histogram.record(Duration::from_secs(100_000));
        assert_eq!(histogram.quantile(1.0).as_secs(), 1099, "the last bucket has no end");
        assert_eq!(histogram.max(), Duration::from_secs(100_000));
    }
}
