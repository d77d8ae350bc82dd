//! Ids as operators type them.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

use crate::ids::{Oid, Tid};
use crate::time::UtcTime;

impl FromStr for Oid {
    type Err = ParseIdError;

    /// Takes 16 hexadecimal digits, `0x` and hexadecimal digits, or a decimal number. Exactly 16
    /// digits are always hexadecimal, as that is how ids are printed.
    ///
    /// ```
    /// use model::Oid;
    ///
    /// assert_eq!("0000000000000010".parse(), Ok(Oid::new(16)));
    /// assert_eq!("0x10".parse(), Ok(Oid::new(16)));
    /// assert_eq!("16".parse(), Ok(Oid::new(16)));
    /// assert!("ten".parse::<Oid>().is_err());
    /// ```
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        parse_number(text).map(Self::new).ok_or_else(|| ParseIdError::Oid(text.to_owned()))
    }
}

impl FromStr for Tid {
    type Err = ParseIdError;

    /// Takes what [`Oid`] takes, or a time in UTC: `YYYY-MM-DD[ HH:MM[:SS[.FRACTION]]]`, with a
    /// space or `T` between date and time, and `Z` or ` UTC` at the end or not. A time is the
    /// greatest tid that is not later; a date without time is its beginning.
    ///
    /// ```
    /// use model::Tid;
    ///
    /// let tid = Ok(Tid::new(0x0406_0071_5bbb_bbbb));
    /// assert_eq!("2026-01-05 12:33:21.5".parse(), tid);
    /// assert_eq!("2026-01-05T12:33:21.5Z".parse(), tid);
    /// assert_eq!("040600715bbbbbbb".parse(), tid);
    /// ```
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        if text.contains('-') {
            let time = parse_time(text);
            return time.map(Self::at).ok_or_else(|| ParseIdError::Time(text.to_owned()));
        }
        parse_number(text).map(Self::new).ok_or_else(|| ParseIdError::Tid(text.to_owned()))
    }
}

/// A text that is no id. Holds the text; displayed, it says what was expected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ParseIdError {
    /// Expected an [`Oid`].
    Oid(String),
    /// Expected a [`Tid`].
    Tid(String),
    /// Expected the time of a [`Tid`], as there is a dash in it.
    Time(String),
}

impl fmt::Display for ParseIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Oid(text) => write!(
                f,
                "{text:?} is no oid: expected 16 hexadecimal digits, 0x and hexadecimal digits, \
                 or a decimal number below 2^64"
            ),
            Self::Tid(text) => write!(
                f,
                "{text:?} is no tid: expected 16 hexadecimal digits, 0x and hexadecimal digits, \
                 a decimal number below 2^64, or a UTC time such as 2026-01-05 12:33:21.5"
            ),
            Self::Time(text) => write!(
                f,
                "{text:?} is no UTC time: expected YYYY-MM-DD[ HH:MM[:SS[.FRACTION]]], a day that \
                 exists, from the year {} to {}, and at most 9 digits after the point",
                UtcTime::YEAR_MIN,
                UtcTime::YEAR_MAX
            ),
        }
    }
}

impl Error for ParseIdError {}

fn parse_number(text: &str) -> Option<u64> {
    // The standard library would also take a sign.
    let digits_only = |digits: &str, radix| digits.chars().all(|digit| digit.is_digit(radix));
    let parse = |digits: &str, radix| {
        digits_only(digits, radix).then(|| u64::from_str_radix(digits, radix).ok())?
    };
    if text.len() == 16 && digits_only(text, 16) {
        return parse(text, 16);
    }
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => parse(digits, 16),
        None => parse(text, 10),
    }
}

fn parse_time(text: &str) -> Option<UtcTime> {
    let (date, time) = match text.split_once(['T', ' ']) {
        Some((date, time)) => (date, time),
        None => (text, "00:00"),
    };
    let [year, month, day] = split_exactly(date, '-')?;
    let time = time.strip_suffix('Z').or_else(|| time.strip_suffix(" UTC")).unwrap_or(time);
    let (hour, rest) = time.split_once(':')?;
    let (minute, second) = rest.split_once(':').unwrap_or((rest, "00"));
    let (second, fraction) = match second.split_once('.') {
        Some((second, fraction)) => (second, parse_fraction(fraction)?),
        None => (second, 0),
    };
    let second = fixed_digits(second, 2).filter(|second| *second < 60)?;
    UtcTime::new(
        fixed_digits(year, 4)?,
        fixed_digits(month, 2)?,
        fixed_digits(day, 2)?,
        fixed_digits(hour, 2)?,
        fixed_digits(minute, 2)?,
        second * 1_000_000_000 + fraction,
    )
}

fn split_exactly<const N: usize>(text: &str, separator: char) -> Option<[&str; N]> {
    text.split(separator).collect::<Vec<_>>().try_into().ok()
}

/// Nanoseconds of the digits after the point.
fn parse_fraction(digits: &str) -> Option<u64> {
    if !(1..=9).contains(&digits.len()) {
        return None;
    }
    fixed_digits(&format!("{digits:0<9}"), 9)
}

fn fixed_digits(digits: &str, length: usize) -> Option<u64> {
    let valid = digits.len() == length && digits.bytes().all(|digit| digit.is_ascii_digit());
    valid.then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oids_as_typed() {
        let cases = [
            ("0", Some(0)),
            ("0000000000000010", Some(0x10)),
            ("1234567890123456", Some(0x1234_5678_9012_3456)),
            ("123456789012345", Some(123_456_789_012_345)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("ffffffffffffffff", Some(u64::MAX)),
            ("FFFFFFFFFFFFFFFF", Some(u64::MAX)),
            ("0xff", Some(255)),
            ("0XFF", Some(255)),
            ("0x00000000000000000ff", Some(255)),
            ("0x10000000000000000", None),
            ("0x12345678901234", Some(0x12_3456_7890_1234)),
            ("0x", None),
            ("", None),
            ("ff", None),
            ("+1", None),
            ("-1", None),
            ("0x+1", None),
            (" 1", None),
            ("+000000000000001", None),
            ("\u{661}", None),
            ("2026-01-05", None),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Oid>().ok(), expected.map(Oid::new), "{text:?}");
        }
    }

    #[test]
    fn tids_as_typed() {
        let cases = [
            ("040600715bbbbbbb", 0x0406_0071_5bbb_bbbb),
            ("0x40600715bbbbbbb", 0x0406_0071_5bbb_bbbb),
            ("289919712882310075", 0x0406_0071_5bbb_bbbb),
            ("2026-01-05 12:33:21.5", 0x0406_0071_5bbb_bbbb),
            ("2026-01-05T12:33:21.5", 0x0406_0071_5bbb_bbbb),
            ("2026-01-05T12:33:21.500000000Z", 0x0406_0071_5bbb_bbbb),
            ("2026-01-05 12:33:21.500000 UTC", 0x0406_0071_5bbb_bbbb),
            ("2026-01-05 12:33", 0x0406_0071_0000_0000),
            ("2026-01-05 12:33:00", 0x0406_0071_0000_0000),
            ("2026-01-05", 0x0405_fd80_0000_0000),
            ("1900-01-01", 0),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse(), Ok(Tid::new(expected)), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_time_says_what_was_expected() {
        let refused = [
            "2026-02-29",
            "2026-04-31",
            "2026-00-01",
            "2026-13-01",
            "2026-01-00",
            "1899-12-31",
            "9917-01-01",
            "26-01-05",
            "2026-1-5",
            "2026-01-05 24:00",
            "2026-01-05 12:60",
            "2026-01-05 12:33:60",
            "2026-01-05 12:33:21.",
            "2026-01-05 12:33:21.1234567890",
            "2026-01-05 12:33:21.-1",
            "2026-01-05 12",
            "2026-01-05 ",
            "2026-01-05 12:33:21+01:00",
            "2026-01-05 12:33:21 CET",
            "-1",
            "2026-01-05-06",
        ];
        for text in refused {
            assert_eq!(text.parse::<Tid>(), Err(ParseIdError::Time(text.to_owned())));
        }
        assert_eq!(
            "2026-02-29".parse::<Tid>().unwrap_err().to_string(),
            "\"2026-02-29\" is no UTC time: expected YYYY-MM-DD[ HH:MM[:SS[.FRACTION]]], a day \
             that exists, from the year 1900 to 9916, and at most 9 digits after the point"
        );
        assert_eq!(
            "soon".parse::<Tid>().unwrap_err().to_string(),
            "\"soon\" is no tid: expected 16 hexadecimal digits, 0x and hexadecimal digits, a \
             decimal number below 2^64, or a UTC time such as 2026-01-05 12:33:21.5"
        );
        assert_eq!(
            "ff".parse::<Oid>().unwrap_err().to_string(),
            "\"ff\" is no oid: expected 16 hexadecimal digits, 0x and hexadecimal digits, or a \
             decimal number below 2^64"
        );
    }
}
