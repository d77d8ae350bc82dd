//! Moments of simulated time, which tids and timestamps stand for.
//!
//! A script begins at 2026-01-05 12:00:00 UTC. `@1.5` is 1.5 seconds later, as a tid or as a
//! timestamp, and `@1.5+3` three of the smallest steps later: of a tid 14 ns, of a timestamp 2^-22
//! s, as finely as a number with a fraction has it.

use std::fmt;
use std::time::Duration;

use model::{Tid, UtcTime};

/// When scripts begin, since 1970.
pub(super) const START: Duration = Duration::from_secs(1_767_614_400);
/// Steps of timestamps in a second.
const TIMESTAMP_STEPS: f64 = 4_194_304.0;
/// Moments are written from whole milliseconds.
const MILLISECONDS_MAX: u64 = 24 * 3600 * 1000;
/// More steps than this are no longer near a moment.
const STEPS_MAX: u64 = 100_000;

/// A moment after the beginning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Moment {
    milliseconds: u64,
    steps: u64,
}

impl Moment {
    /// Reads what is behind the `@`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (seconds, steps) = text.split_once('+').unwrap_or((text, "0"));
        let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
        if fraction.len() > 3 {
            return None;
        }
        let fraction: u64 = format!("{fraction:0<3}").parse().ok()?;
        let milliseconds = whole.parse::<u64>().ok()?.checked_mul(1000)? + fraction;
        Some(Self { milliseconds, steps: steps.parse().ok()? })
    }

    /// The moment that a tid stands for, if it is within a day.
    pub(super) fn of_tid(tid: u64) -> Option<Self> {
        let start = tid_at(0);
        if tid < start || tid > tid_at(MILLISECONDS_MAX) {
            return None;
        }
        // 2^32 steps a minute.
        let mut milliseconds = (tid - start).saturating_mul(60_000) >> 32;
        if tid_at(milliseconds + 1) <= tid {
            milliseconds += 1;
        }
        while tid_at(milliseconds) > tid {
            milliseconds -= 1;
        }
        let steps = tid - tid_at(milliseconds);
        (steps <= STEPS_MAX).then_some(Self { milliseconds, steps })
    }

    /// As a tid.
    pub(super) fn to_tid(self) -> u64 {
        tid_at(self.milliseconds) + self.steps
    }

    /// The moment of a timestamp, if it is within a day.
    pub(super) fn of_timestamp(timestamp: f64) -> Option<Self> {
        let milliseconds = ((timestamp - START.as_secs_f64()) * 1000.0).floor();
        let milliseconds = (0..=MILLISECONDS_MAX)
            .contains(&whole(milliseconds)?)
            .then_some(whole(milliseconds)?)?;
        // A moment may be a little later than its own timestamp.
        [milliseconds + 1, milliseconds].into_iter().find_map(|milliseconds| {
            let steps = (timestamp - timestamp_at(milliseconds)) * TIMESTAMP_STEPS;
            let moment = Self { milliseconds, steps: whole(steps)? };
            (moment.to_timestamp() == timestamp).then_some(moment)
        })
    }

    /// As a timestamp.
    pub(super) fn to_timestamp(self) -> f64 {
        let steps = u32::try_from(self.steps).map_or(f64::INFINITY, f64::from);
        timestamp_at(self.milliseconds) + steps / TIMESTAMP_STEPS
    }
}

fn tid_at(milliseconds: u64) -> u64 {
    let time = UtcTime::from_unix(START + Duration::from_millis(milliseconds));
    Tid::at(time.expect("not that late")).get()
}

fn timestamp_at(milliseconds: u64) -> f64 {
    (START + Duration::from_millis(milliseconds)).as_secs_f64()
}

/// A number that is not negative and has no fraction.
fn whole(number: f64) -> Option<u64> {
    format!("{number:.0}").parse().ok().filter(|_| number.fract() == 0.0)
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}", self.milliseconds / 1000)?;
        if !self.milliseconds.is_multiple_of(1000) {
            let fraction = format!("{:03}", self.milliseconds % 1000);
            write!(f, ".{}", fraction.trim_end_matches('0'))?;
        }
        match self.steps {
            0 => Ok(()),
            steps => write!(f, "+{steps}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_they_are_read() {
        for text in ["0", "0+1", "1", "1.5", "0.001+42", "3600.25+7", "61.999+71000"] {
            let moment = Moment::parse(text).unwrap();
            assert_eq!(moment.to_string(), format!("@{text}"));
            let tid = Moment::of_tid(moment.to_tid()).unwrap();
            assert_eq!(tid.to_tid(), moment.to_tid());
            let timestamp = Moment::of_timestamp(moment.to_timestamp()).unwrap();
            assert_eq!(timestamp.to_timestamp(), moment.to_timestamp(), "{text}");
        }
        assert_eq!(
            Moment::parse("1.5").map(Moment::to_tid).and_then(Moment::of_tid),
            Moment::parse("1.5")
        );
    }

    #[test]
    fn what_is_far_off_is_no_moment() {
        assert_eq!(Moment::of_tid(0), None);
        assert_eq!(Moment::of_tid(Tid::MAX.get()), None);
        assert_eq!(Moment::of_timestamp(0.0), None);
        assert_eq!(Moment::of_timestamp(f64::NAN), None);
        assert_eq!(Moment::parse("1.2345"), None);
    }
}
