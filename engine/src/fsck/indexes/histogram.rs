//! How many items there are by sequence number, to cut them into windows of bounded size.

use std::ops::Range;

use crate::format::RunSummary;

const BUCKETS: u64 = 4096;

/// Counts of items in ranges of sequence numbers of equal width.
#[derive(Debug)]
pub(in crate::fsck) struct Histogram {
    start: u64,
    width: u64,
    counts: Vec<u64>,
}

impl Histogram {
    pub(super) fn new(runs: &[RunSummary]) -> Self {
        let start = runs.iter().map(|run| run.seq_min).min().unwrap_or(0);
        let last = runs.iter().map(|run| run.seq_max).max().unwrap_or(0);
        let width = last.saturating_sub(start) / BUCKETS + 1;
        let buckets = usize::try_from(BUCKETS).expect("a small number");
        Self { start, width, counts: vec![0; buckets] }
    }

    pub(super) fn count(&mut self, seq: u64) {
        let bucket = seq.saturating_sub(self.start) / self.width;
        let last = self.counts.len() - 1;
        let bucket = usize::try_from(bucket).unwrap_or(last).min(last);
        self.counts[bucket] += 1;
    }

    /// Ranges that follow each other, from 0 to the end, with at most so many items each unless
    /// one bucket has more.
    pub(in crate::fsck) fn windows(&self, items_max: u64) -> Vec<Range<u64>> {
        let mut windows = Vec::new();
        let (mut from, mut items) = (0, 0);
        for (bucket, count) in (0u64..).zip(&self.counts) {
            if items > 0 && items + count > items_max {
                let until = self.start + bucket * self.width;
                windows.push(from..until);
                (from, items) = (until, 0);
            }
            items += count;
        }
        windows.push(from..u64::MAX);
        windows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Order;

    #[test]
    fn windows_hold_all_items_and_not_too_many() {
        let run = RunSummary {
            number: 1,
            order: Order::Objects,
            level: 0,
            items: 0,
            tombstones: 0,
            length: 0,
            tid_min: 0,
            tid_max: 0,
            seq_min: 1000,
            seq_max: 100_000,
        };
        let mut random = model::Random::from_seed(1);
        let seqs: Vec<u64> = (0..5000).map(|_| 1000 + random.below(99_001)).collect();
        let mut histogram = Histogram::new(&[run]);
        for seq in &seqs {
            histogram.count(*seq);
        }
        for items_max in [50, 1000, 10_000] {
            let windows = histogram.windows(items_max);
            assert_eq!(windows[0].start, 0);
            assert_eq!(windows.last().map(|window| window.end), Some(u64::MAX));
            assert!(windows.is_sorted_by(|a, b| a.end == b.start), "no gaps");
            for window in &windows {
                let items = seqs.iter().filter(|seq| window.contains(seq)).count();
                assert!(items as u64 <= items_max, "{items} in {window:?}");
            }
        }
    }
}
