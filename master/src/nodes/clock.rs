//! The one clock of id timestamps and of lists of nodes.

use std::time::Duration;

use net::IdTimestamp;

/// Seconds by which a timestamp is later than the last where the clock is not.
const STEP: f64 = 1e-3;

/// Gives timestamps that strictly increase, whatever the clock of the system does.
#[derive(Debug)]
pub(crate) struct IdClock {
    last: f64,
}

impl IdClock {
    pub(crate) fn new() -> Self {
        Self { last: 0.0 }
    }

    /// The next timestamp, of the present time (since 1970) if that is later than the last one.
    pub(crate) fn next(&mut self, unix: Duration) -> IdTimestamp {
        let present = unix.as_secs_f64();
        self.last = if present > self.last { present } else { self.last + STEP };
        IdTimestamp(self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_grow_when_the_clock_goes_back() {
        let mut clock = IdClock::new();
        let first = clock.next(Duration::from_secs(1_700_000_000));
        let second = clock.next(Duration::from_secs(1_600_000_000));
        assert_eq!(first, IdTimestamp(1_700_000_000.0));
        assert!(second > first);
        assert!(clock.next(Duration::from_secs(1_700_000_000)) > second);
    }
}
