//! Time in transaction ids, as ZODB defines it.
//!
//! The upper 32 bits of a tid count minutes since 1900 in a calendar in which every month has 31
//! days: `((((year - 1900) * 12 + month - 1) * 31 + day - 1) * 24 + hour) * 60 + minute`. The lower
//! 32 bits are the second within the minute, in units of 60 / 2^32 s (14 ns). So tids are points in
//! UTC, as long as nobody asks for more than one in 14 ns, and some tids are on days that do
//! not exist, such as February 31.

use std::fmt;
use std::time::Duration;

use crate::ids::Tid;

const NANOSECONDS_A_MINUTE: u64 = 60_000_000_000;
const SECONDS_A_DAY: u64 = 86_400;
/// Days from 0000-03-01, where eras of 400 years begin, to 1970-01-01.
const DAYS_TO_UNIX_EPOCH: u64 = 719_468;
const DAYS_AN_ERA: u64 = 146_097;

/// A point in UTC as a tid can express it, on a day that exists or not.
///
/// Displayed as `2026-01-05 12:33:21.123456 UTC`, to the nearest microsecond of that minute, which
/// can be parsed as a [`Tid`], but tids have a finer resolution. If the day does not exist,
/// ` (no such day)` follows.
///
/// ```
/// use model::{Tid, UtcTime};
///
/// let time = UtcTime::new(2026, 1, 5, 12, 33, 21_500_000_000).unwrap();
/// assert_eq!(Tid::at(time), Tid::new(0x0406_0071_5bbb_bbbb));
/// assert_eq!(Tid::at(time).time().to_string(), "2026-01-05 12:33:21.500000 UTC");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct UtcTime {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    /// Within the minute.
    nanosecond: u64,
}

impl UtcTime {
    /// The first year of tids.
    pub const YEAR_MIN: u64 = 1900;
    /// The last year that fits tids as a whole.
    pub const YEAR_MAX: u64 = 9916;

    /// A point in time; `nanosecond` counts within the minute. `None` unless the year is from
    /// [`Self::YEAR_MIN`] to [`Self::YEAR_MAX`], the day exists and the rest is in its bounds.
    pub fn new(
        year: u64,
        month: u64,
        day: u64,
        hour: u64,
        minute: u64,
        nanosecond: u64,
    ) -> Option<Self> {
        let in_bounds = (Self::YEAR_MIN..=Self::YEAR_MAX).contains(&year)
            && (1..=12).contains(&month)
            && hour < 24
            && minute < 60
            && nanosecond < NANOSECONDS_A_MINUTE;
        let time = Self { year, month, day, hour, minute, nanosecond };
        (in_bounds && time.day_exists()).then_some(time)
    }

    /// A point in time so long after 1970-01-01; `None` after [`Self::YEAR_MAX`].
    pub fn from_unix(since_epoch: Duration) -> Option<Self> {
        let seconds = since_epoch.as_secs();
        let (year, month, day) = date_of_unix_day(seconds / SECONDS_A_DAY);
        let nanosecond = seconds % 60 * 1_000_000_000 + u64::from(since_epoch.subsec_nanos());
        Self::new(year, month, day, seconds / 3600 % 24, seconds / 60 % 60, nanosecond)
    }

    /// How long after 1970-01-01; `None` if before, or if the day does not exist.
    pub fn to_unix(self) -> Option<Duration> {
        if !self.day_exists() {
            return None;
        }
        let days = unix_day_of_date(self.year, self.month, self.day)?;
        let minutes = days * 24 * 60 + self.hour * 60 + self.minute;
        Some(Duration::from_secs(minutes * 60) + Duration::from_nanos(self.nanosecond))
    }

    /// From 1900.
    pub const fn year(self) -> u64 {
        self.year
    }

    /// From 1.
    pub const fn month(self) -> u64 {
        self.month
    }

    /// From 1 to 31.
    pub const fn day(self) -> u64 {
        self.day
    }

    /// From 0 to 23.
    pub const fn hour(self) -> u64 {
        self.hour
    }

    /// From 0 to 59.
    pub const fn minute(self) -> u64 {
        self.minute
    }

    /// Within the minute: from 0 to 59,999,999,999.
    pub const fn nanosecond(self) -> u64 {
        self.nanosecond
    }

    /// Whether the month has that day. Always so unless the time is of a tid that no clock gave.
    pub fn day_exists(self) -> bool {
        let leap = self.year.is_multiple_of(4)
            && (!self.year.is_multiple_of(100) || self.year.is_multiple_of(400));
        let days = match self.month {
            2 => 28 + u64::from(leap),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        (1..=days).contains(&self.day)
    }
}

impl fmt::Display for UtcTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Rounding up may not reach the next minute.
        let microsecond = ((self.nanosecond + 500) / 1000).min(59_999_999);
        write!(
            f,
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:06} UTC",
            self.year,
            self.month,
            self.day,
            self.hour,
            self.minute,
            microsecond / 1_000_000,
            microsecond % 1_000_000
        )?;
        if self.day_exists() { Ok(()) } else { f.write_str(" (no such day)") }
    }
}

impl Tid {
    /// The time that the tid stands for. Every tid has one, if not always on a day that exists.
    pub const fn time(self) -> UtcTime {
        let minutes = self.get() >> 32;
        let days = minutes / (24 * 60);
        let fraction = self.get() & 0xffff_ffff;
        UtcTime {
            year: UtcTime::YEAR_MIN + days / 31 / 12,
            month: days / 31 % 12 + 1,
            day: days % 31 + 1,
            hour: minutes / 60 % 24,
            minute: minutes % 60,
            // Rounded up, so that the way back, which rounds down, gives the same tid.
            nanosecond: (fraction * NANOSECONDS_A_MINUTE_OVER_2_10).div_ceil(1 << 22),
        }
    }

    /// The greatest tid that is not later than a time. The inverse of [`Self::time`].
    pub const fn at(time: UtcTime) -> Self {
        let months = (time.year - UtcTime::YEAR_MIN) * 12 + time.month - 1;
        let minutes = ((months * 31 + time.day - 1) * 24 + time.hour) * 60 + time.minute;
        let fraction = (time.nanosecond << 22) / NANOSECONDS_A_MINUTE_OVER_2_10;
        Self::new((minutes << 32) | fraction)
    }

    /// The tid for a transaction at time `now`, counted from 1970-01-01, that follows `last`: of
    /// the present time, or just one more than `last` where the clock is not later than that.
    /// `None` if there is none up to [`Tid::MAX`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use model::Tid;
    ///
    /// let now = Duration::from_millis(1_767_616_401_500);
    /// let first = Tid::next_after(now, Tid::ZERO).unwrap();
    /// assert_eq!(first, Tid::new(0x0406_0071_5bbb_bbbb));
    /// assert_eq!(Tid::next_after(now, first), Some(Tid::new(first.get() + 1)));
    /// assert_eq!(Tid::next_after(now, Tid::MAX), None);
    /// ```
    pub fn next_after(now: Duration, last: Self) -> Option<Self> {
        let present = Self::at(UtcTime::from_unix(now)?);
        let following = Self::new(last.get().checked_add(1)?);
        Some(present.max(following)).filter(|tid| *tid <= Self::MAX)
    }
}

/// Both factors of a conversion are divided by 2^10, so that products fit 64 bits.
const NANOSECONDS_A_MINUTE_OVER_2_10: u64 = NANOSECONDS_A_MINUTE >> 10;
const _: () = assert!(NANOSECONDS_A_MINUTE_OVER_2_10 << 10 == NANOSECONDS_A_MINUTE);

/// Year, month and day of a day counted from 1970-01-01.
fn date_of_unix_day(unix_day: u64) -> (u64, u64, u64) {
    let days = unix_day + DAYS_TO_UNIX_EPOCH;
    let day_of_era = days % DAYS_AN_ERA;
    let leap_days = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months counted from March: the leap day is the last of its year.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = days / DAYS_AN_ERA * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

/// The inverse of [`date_of_unix_day`]; `None` before 1970.
fn unix_day_of_date(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = year - u64::from(month <= 2);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let year_of_era = year % 400;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (year / 400 * DAYS_AN_ERA + day_of_era).checked_sub(DAYS_TO_UNIX_EPOCH)
}

#[cfg(test)]
mod tests;
