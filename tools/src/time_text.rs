//! Moments as NEO's tools print them, which scripts read: `2026-11-22 19:50:13.596874`, in UTC,
//! without the fraction if that is zero.

use std::time::Duration;

use model::{Tid, UtcTime};

/// The time that a tid stands for, to the microsecond before it.
pub(crate) fn time_of_tid(tid: Tid) -> String {
    // In units of 60 / 2^64 microseconds: exact.
    let fraction = u128::from(tid.get() & 0xffff_ffff);
    let microseconds = (fraction * 60_000_000) >> 32;
    text(tid.time(), u64::try_from(microseconds).expect("less than a minute"))
}

/// Seconds since 1970, to the nearest microsecond. `None` if there is no such time of tids.
pub(crate) fn time_of_unix(seconds: f64) -> Option<String> {
    // The whole seconds apart, as Python does: their product would be rounded before.
    let whole = seconds.trunc();
    let microseconds = whole * 1e6 + ((seconds - whole) * 1e6).round_ties_even();
    // Beyond 2^53 not every number of microseconds is one.
    if !(0.0..9e15).contains(&microseconds) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "a whole number within bounds")]
    let microseconds = microseconds as u64;
    let time = UtcTime::from_unix(Duration::from_micros(microseconds))?;
    Some(text(time, microseconds % 60_000_000))
}

fn text(time: UtcTime, microseconds: u64) -> String {
    let (second, microsecond) = (microseconds / 1_000_000, microseconds % 1_000_000);
    let fraction = match microsecond {
        0 => String::new(),
        _ => format!(".{microsecond:06}"),
    };
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{second:02}{fraction}",
        time.year(),
        time.month(),
        time.day(),
        time.hour(),
        time.minute(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_printed_as_python_does() {
        assert_eq!(time_of_tid(Tid::ZERO), "1900-01-01 00:00:00");
        let tids = [
            (0x040d_3187_4f8c_a0ba, "2026-11-22 19:51:18.644373"),
            (0x040d_318e_8489_2c01, "2026-11-22 19:58:31.063084"),
            (0x040d_3187_03c9_b696, "2026-11-22 19:51:00.887798"),
        ];
        for (tid, text) in tids {
            assert_eq!(time_of_tid(Tid::new(tid)), text);
        }
        let timestamp = 1_795_377_013.596_874_5;
        assert_eq!(time_of_unix(timestamp).as_deref(), Some("2026-11-22 19:50:13.596874"));
        let timestamp = 1_795_377_013.788_723_5;
        assert_eq!(time_of_unix(timestamp).as_deref(), Some("2026-11-22 19:50:13.788723"));
        assert_eq!(time_of_unix(60.0).as_deref(), Some("1970-01-01 00:01:00"));
        for impossible in [-1.0, f64::NAN, f64::INFINITY, 1e300] {
            assert_eq!(time_of_unix(impossible), None);
        }
    }
}
