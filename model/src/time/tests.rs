use super::*;
use crate::Random;

/// What `persistent.TimeStamp` makes of times, and how it shows what it made.
const OF_ZODB: &[(&str, u64, &str)] = &[
    ("1900-01-01 00:00:00", 0x0000_0000_0000_0000, "1900-01-01 00:00:00.000000"),
    ("1970-01-01 00:00:00", 0x023c_2b00_0000_0000, "1970-01-01 00:00:00.000000"),
    ("1999-12-31 23:59:59.999999", 0x0331_61ff_ffff_ffb8, "1999-12-31 23:59:59.999999"),
    ("2000-02-29 12:00:30", 0x0332_b0b0_8000_0000, "2000-02-29 12:00:30.000000"),
    ("2024-02-29 23:59:59.5", 0x03f6_df7f_fddd_dddd, "2024-02-29 23:59:59.500000"),
    ("2026-01-05 12:33:21.5", 0x0406_0071_5bbb_bbbb, "2026-01-05 12:33:21.500000"),
    ("2026-01-05 12:33:21.123456", 0x0406_0071_5a20_7266, "2026-01-05 12:33:21.123456"),
    ("2026-11-23 04:17:17.000001", 0x040d_3381_4888_88d0, "2026-11-23 04:17:17.000001"),
    ("2100-03-01 00:00:01", 0x0664_20c0_0444_4444, "2100-03-01 00:00:01.000000"),
    ("5908-12-31 23:59:59", 0x8000_e07f_fbbb_bbbb, "5908-12-31 23:59:59.000000"),
];

/// `persistent.TimeStamp(tid).timeTime()`, rounded to microseconds.
const UNIX_OF_ZODB: &[(u64, u64)] = &[
    (0x023c_2b00_0000_0000, 0),
    (0x0332_b0b0_8000_0000, 951_825_630_000_000),
    (0x0406_0071_5bbb_bbbb, 1_767_616_401_500_000),
    (0x03fa_5dd4_c1b2_a390, 1_722_642_525_397_924),
    (0x040d_3381_4888_88d0, 1_795_407_437_000_001),
    (0x8000_e07f_fbbb_bbbb, 124_302_815_999_000_000),
];

#[test]
fn times_are_those_of_zodb() {
    for (text, tid, shown) in OF_ZODB {
        assert_eq!(text.parse(), Ok(Tid::new(*tid)));
        assert_eq!(Tid::new(*tid).time().to_string(), format!("{shown} UTC"));
    }
}

#[test]
fn unix_times_are_those_of_zodb() {
    for &(tid, microseconds) in UNIX_OF_ZODB {
        let unix = Tid::new(tid).time().to_unix().unwrap();
        let rounded = (unix + Duration::from_nanos(500)).as_micros();
        assert_eq!(rounded, u128::from(microseconds), "{tid:016x}");
        assert_eq!(UtcTime::from_unix(unix).map(Tid::at), Some(Tid::new(tid)), "{tid:016x}");
    }
}

#[test]
fn every_tid_has_a_time_and_every_time_its_tid() {
    let mut random = Random::from_seed(1);
    let edges = [0, 1, 0xffff_ffff, 0x7fff_ffff_ffff_ffff, u64::MAX];
    for number in edges.into_iter().chain((0..20_000).map(|_| random.next_u64())) {
        let tid = Tid::new(number);
        let time = tid.time();
        assert_eq!(Tid::at(time), tid);
        assert_eq!(time.day_exists(), !time.to_string().ends_with("(no such day)"));
        if let Some(unix) = time.to_unix().filter(|_| time.year() <= UtcTime::YEAR_MAX) {
            assert_eq!(UtcTime::from_unix(unix), Some(time));
        }
    }
}

#[test]
fn tids_off_the_calendar_are_shown_as_such() {
    let february_31 = Tid::new(0x0407_3f52_8000_0000);
    assert_eq!(february_31.time().to_string(), "2026-02-31 05:06:30.000000 UTC (no such day)");
    assert_eq!(february_31.time().to_unix(), None);
    assert_eq!(Tid::MAX.time().to_string(), "5908-11-23 02:07:59.999999 UTC");
    assert_eq!(Tid::new(u64::MAX).time().to_string(), "9917-10-14 04:15:59.999999 UTC");
    assert_eq!(Tid::new(1).time().to_string(), "1900-01-01 00:00:00.000000 UTC");
    assert_eq!(Tid::new(1).time().to_unix(), None);
}

#[test]
fn each_day_of_the_calendar_once() {
    let mut previous = None;
    let days_to_5909 = 1_438_690;
    for day in 0..days_to_5909 {
        let time = UtcTime::from_unix(Duration::from_secs(day * 86_400)).unwrap();
        assert_eq!(time.to_unix(), Some(Duration::from_secs(day * 86_400)));
        assert!(previous < Some(time), "{time}");
        previous = Some(time);
    }
    assert_eq!(previous.map(|time| time.to_string()).unwrap(), "5908-12-31 00:00:00.000000 UTC");
}

#[test]
fn clocks_beyond_the_calendar() {
    assert_eq!(UtcTime::from_unix(Duration::MAX), None);
    assert_eq!(UtcTime::from_unix(Duration::from_secs(u64::MAX)), None);
    assert_eq!(Tid::next_after(Duration::MAX, Tid::ZERO), None);
}

#[test]
fn the_next_tid_is_greater_whatever_the_clock_says() {
    let noon = Duration::from_secs(1_767_614_400);
    let at_noon = Tid::next_after(noon, Tid::ZERO).unwrap();
    assert_eq!(at_noon.time().to_string(), "2026-01-05 12:00:00.000000 UTC");
    let mut last = at_noon;
    for _ in 0..10 {
        let next = Tid::next_after(noon - Duration::from_secs(3600), last).unwrap();
        assert_eq!(next.get(), last.get() + 1, "the clock went back");
        last = next;
    }
    let later = Tid::next_after(noon + Duration::from_millis(1), last).unwrap();
    assert_eq!(later.time().to_string(), "2026-01-05 12:00:00.001000 UTC");
    let before_last = Tid::new(Tid::MAX.get() - 1);
    assert_eq!(Tid::next_after(noon, before_last), Some(Tid::MAX));
    assert_eq!(Tid::next_after(noon, Tid::MAX), None);
    assert_eq!(Tid::next_after(noon, Tid::new(u64::MAX)), None);
}
