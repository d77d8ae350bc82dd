//! Times of many operations: quantiles, and a histogram as text.

use std::fmt::Write;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::report::{grouped, ratio};

/// Times are kept to three digits, up to this; longer ones count as this long.
const NANOSECONDS_MAX: u64 = 3_600_000_000_000;
/// Columns of the longest bar.
const BAR_WIDTH: usize = 40;
/// Where the rows of a histogram begin, in each power of ten.
const STEPS: [u64; 6] = [10, 15, 20, 30, 50, 70];

/// Collects times.
#[derive(Clone, Debug)]
pub(super) struct Latencies(Histogram<u64>);

impl Latencies {
    pub(super) fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, NANOSECONDS_MAX, 3);
        Self(histogram.expect("bounds and digits are constants that are allowed"))
    }

    pub(super) fn record(&mut self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.0.saturating_record(nanoseconds.max(1));
    }

    /// Takes in the times of others.
    pub(super) fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all have the same bounds");
    }

    pub(super) fn count(&self) -> u64 {
        self.0.len()
    }

    /// The least time that this share of all does not exceed, in nanoseconds.
    pub(super) fn quantile(&self, share: f64) -> u64 {
        self.0.value_at_quantile(share)
    }

    pub(super) fn summary(&self) -> Summary {
        Summary {
            count: self.count(),
            mean_ns: self.0.mean(),
            p50_ns: self.quantile(0.5),
            p90_ns: self.quantile(0.9),
            p99_ns: self.quantile(0.99),
            p99_9_ns: self.quantile(0.999),
            max_ns: self.0.max(),
            histogram: self.rows(),
        }
    }

    /// The rows that have something in them, and those between.
    fn rows(&self) -> Vec<Row> {
        let bounds: Vec<u64> = bounds().collect();
        let mut rows: Vec<Row> = bounds
            .windows(2)
            .map(|pair| Row { from_ns: pair[0], to_ns: pair[1], count: 0 })
            .collect();
        for recorded in self.0.iter_recorded() {
            let value = recorded.value_iterated_to();
            let row = rows.iter_mut().rfind(|row| row.from_ns <= value);
            if let Some(row) = row {
                row.count += recorded.count_since_last_iteration();
            }
        }
        let is_used = |row: &Row| row.count > 0;
        let first = rows.iter().position(is_used).unwrap_or(0);
        let end = rows.iter().rposition(is_used).map_or(first, |last| last + 1);
        rows[first..end].to_vec()
    }
}

/// Bounds of rows in nanoseconds, from 1 ns to above all that is recorded.
fn bounds() -> impl Iterator<Item = u64> {
    let steps = (0..12).flat_map(|power| STEPS.map(|step| step * 10_u64.pow(power)));
    std::iter::once(1).chain(steps)
}

/// What is told of the times of many operations.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Summary {
    pub(super) count: u64,
    pub(super) mean_ns: f64,
    pub(super) p50_ns: u64,
    pub(super) p90_ns: u64,
    pub(super) p99_ns: u64,
    pub(super) p99_9_ns: u64,
    pub(super) max_ns: u64,
    pub(super) histogram: Vec<Row>,
}

/// Times from one bound to below the next.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Row {
    from_ns: u64,
    to_ns: u64,
    count: u64,
}

impl Summary {
    /// One line: quantiles in microseconds.
    pub(super) fn line(&self) -> String {
        format!(
            "p50 {}  p90 {}  p99 {}  p99.9 {}  max {} us",
            micros(self.p50_ns),
            micros(self.p90_ns),
            micros(self.p99_ns),
            micros(self.p99_9_ns),
            micros(self.max_ns),
        )
    }

    /// One row of text a range of times. Bars grow with the logarithm of the count, so that a
    /// single slow operation among millions is seen.
    pub(super) fn bars(&self) -> String {
        let count_max = self.histogram.iter().map(|row| row.count).max().unwrap_or(0);
        let mut text = String::new();
        for row in &self.histogram {
            let bar = bar(row.count, count_max);
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "  {:>9} us  {:>12} {:>7.3} %{}{bar}",
                micros(row.from_ns),
                grouped(row.count),
                100.0 * ratio(row.count as f64, self.count as f64),
                if bar.is_empty() { "" } else { "  " },
            );
        }
        text
    }
}

fn bar(count: u64, count_max: u64) -> String {
    if count == 0 {
        return String::new();
    }
    let logarithm = |count: u64| (count as f64 + 1.0).ln();
    let share = logarithm(count) / logarithm(count_max);
    let length = (1..=BAR_WIDTH).rfind(|length| *length as f64 <= share * BAR_WIDTH as f64);
    "#".repeat(length.unwrap_or(1))
}

/// Nanoseconds as microseconds, to about three digits.
pub(super) fn micros(nanoseconds: u64) -> String {
    let micros = nanoseconds as f64 / 1e3;
    match nanoseconds {
        0..10_000 => format!("{micros:.2}"),
        10_000..100_000 => format!("{micros:.1}"),
        _ => format!("{micros:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_in_one_row() {
        let mut latencies = Latencies::new();
        let times = [12, 14, 15, 999, 1_000, 7_654_321, 7_000_000_000];
        for nanoseconds in times {
            latencies.record(Duration::from_nanos(nanoseconds));
        }
        let summary = latencies.summary();
        assert_eq!(summary.count, 7);
        assert_eq!(summary.histogram.iter().map(|row| row.count).sum::<u64>(), 7);
        assert_eq!(summary.histogram[0], Row { from_ns: 10, to_ns: 15, count: 2 });
        assert!(summary.histogram.windows(2).all(|rows| rows[0].to_ns == rows[1].from_ns));
        assert_eq!(summary.histogram.last().map(|row| row.count), Some(1));
    }

    #[test]
    fn one_among_millions_has_a_bar() {
        assert_eq!(bar(0, 1_000_000), "");
        assert_eq!(bar(1, 1_000_000), "##");
        assert_eq!(bar(1_000_000, 1_000_000).len(), BAR_WIDTH);
        assert_eq!(bar(1, 1).len(), BAR_WIDTH);
    }

    #[test]
    fn quantiles_are_of_all_threads() {
        let (mut fast, mut slow) = (Latencies::new(), Latencies::new());
        for _ in 0..99 {
            fast.record(Duration::from_micros(1));
        }
        slow.record(Duration::from_micros(100));
        fast.add(&slow);
        let summary = fast.summary();
        assert_eq!((summary.count, summary.p50_ns), (100, 1_000));
        assert!((100_000..100_200).contains(&summary.max_ns));
        assert!(summary.line().starts_with("p50 1.00  p90 1.00"), "{}", summary.line());
    }
}
