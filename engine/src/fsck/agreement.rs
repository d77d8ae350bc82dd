//! Compares the indexes with what the log commits, item by item, in windows of sequence numbers.
//!
//! The items of a window are read from all runs and kept as sorted hashes. The log, whose sequence
//! numbers grow, then ticks them off. What is left over at the end of a window is in an index and
//! not in the log. What the log has and the indexes lack goes to [`Missing`].

use std::collections::BTreeSet;
use std::ops::Range;

use super::fingerprint;
use super::indexes::{Found, Indexes};
use super::missing::Missing;
use super::watch::{Going, Watch};
use crate::disk::Disk;
use crate::format::{Intent, Item, ItemFlags, Order};

/// Items of one index that the log does not tell, that are remembered.
const UNMATCHED_MAX: usize = 64 << 10;

/// The comparison.
pub(super) struct Agreement<'a> {
    disk: &'a dyn Disk,
    indexes: &'a Indexes,
    windows: Vec<Range<u64>>,
    /// The window that is kept; none before the first item.
    window: Option<usize>,
    hashes: Hashes,
    /// Items from here on need not be in an index: they come from the log when it is opened.
    next_seq: u64,
    /// The last sequence number that the log told.
    last_seq: u64,
    pub(super) missing: Missing,
    /// Items of indexes that the log does not tell.
    pub(super) unmatched: Vec<Found>,
    pub(super) unmatched_count: u64,
}

impl<'a> Agreement<'a> {
    pub(super) fn new(
        disk: &'a dyn Disk,
        indexes: &'a Indexes,
        next_seq: u64,
        items_max: u64,
    ) -> Self {
        Self {
            disk,
            indexes,
            windows: indexes.histogram.windows(items_max),
            window: None,
            hashes: Hashes::default(),
            next_seq,
            last_seq: 0,
            missing: Missing::default(),
            unmatched: Vec::new(),
            unmatched_count: 0,
        }
    }

    /// How often the indexes are read.
    pub(super) fn windows(&self) -> u64 {
        self.windows.len() as u64
    }

    /// An item that the log commits. `intents` tells those that come later in the log, and is asked
    /// only if so much is missing that it could not be remembered.
    pub(super) fn item(
        &mut self,
        order: Order,
        item: &Item,
        watch: &mut Watch<'_>,
        intents: &dyn Fn() -> Vec<Intent>,
    ) -> Going {
        let seq = item.key.seq;
        self.last_seq = self.last_seq.max(seq);
        while self.window.is_none_or(|window| self.windows[window].end <= seq) {
            self.next_window(watch)?;
        }
        self.missing.replaced_by(order, item);
        let is_named = match self.window.map(|window| self.windows[window].contains(&seq)) {
            Some(true) => self.hashes.tick_off(fingerprint::of_item(order, item)),
            // It belongs to a window that is done: the log went back.
            _ => false,
        };
        if !is_named && seq < self.next_seq && !self.has_twin(order, item) {
            self.missing.add(order, item, intents);
        }
        Ok(())
    }

    /// Whether an object that was added twice at once is named with what it said the other time:
    /// the order of tids keeps either.
    fn has_twin(&self, order: Order, item: &Item) -> bool {
        let flags = match item.flags.has_no_data() {
            true => ItemFlags::NONE,
            false => ItemFlags::NO_DATA,
        };
        let twin = Item { flags, ..*item };
        order == Order::ByTid
            && !item.flags.is_tombstone()
            && self.hashes.find(fingerprint::of_item(order, &twin)).is_some()
    }

    /// The log has no more items.
    pub(super) fn end(&mut self, watch: &mut Watch<'_>) -> Going {
        while self.window.is_none_or(|window| window + 1 < self.windows.len()) {
            self.next_window(watch)?;
        }
        self.end_window(watch)
    }

    fn next_window(&mut self, watch: &mut Watch<'_>) -> Going {
        self.end_window(watch)?;
        let window = self.window.map_or(0, |window| window + 1);
        let mut hashes = std::mem::take(&mut self.hashes).into_empty();
        let range = &self.windows[window];
        self.indexes.scan(self.disk, watch, &Order::ALL, range, &mut |found| {
            hashes.push(fingerprint::of_item(found.order, &found.item));
        })?;
        self.hashes = Hashes::new(hashes);
        self.window = Some(window);
        Ok(())
    }

    fn end_window(&mut self, watch: &mut Watch<'_>) -> Going {
        let Some(window) = self.window else { return Ok(()) };
        let left = self.hashes.left();
        if left.is_empty() {
            return Ok(());
        }
        let range = &self.windows[window];
        let (unmatched, count) = (&mut self.unmatched, &mut self.unmatched_count);
        self.indexes.scan(self.disk, watch, &Order::ALL, range, &mut |found| {
            if left.contains(&fingerprint::of_item(found.order, &found.item)) {
                *count += 1;
                if unmatched.len() < UNMATCHED_MAX {
                    unmatched.push(*found);
                }
            }
        })
    }
}

/// Hashes that are ticked off one by one.
#[derive(Debug, Default)]
struct Hashes {
    /// Sorted, each once: a replay may have written an item into a second run.
    hashes: Vec<u64>,
    /// By the upper bits of a hash, where those begin.
    starts: Vec<usize>,
    shift: u32,
    seen: Vec<u64>,
}

/// Hashes that share an entry of `starts`, on average.
const BUCKET_LENGTH: usize = 16;

impl Hashes {
    fn new(mut hashes: Vec<u64>) -> Self {
        hashes.sort_unstable();
        hashes.dedup();
        let buckets = (hashes.len() / BUCKET_LENGTH).next_power_of_two().max(2);
        let shift = u64::BITS - buckets.trailing_zeros();
        let mut starts = Vec::with_capacity(buckets + 1);
        for (at, hash) in hashes.iter().enumerate() {
            let bucket = bucket_of(*hash, shift);
            while starts.len() <= bucket {
                starts.push(at);
            }
        }
        starts.resize(buckets + 1, hashes.len());
        let seen = vec![0; hashes.len().div_ceil(64)];
        Self { hashes, starts, shift, seen }
    }

    /// The memory, to be used again.
    fn into_empty(mut self) -> Vec<u64> {
        self.hashes.clear();
        self.hashes
    }

    /// Whether it is one of them.
    fn tick_off(&mut self, hash: u64) -> bool {
        let Some(at) = self.find(hash) else { return false };
        self.seen[at / 64] |= 1 << (at % 64);
        true
    }

    fn find(&self, hash: u64) -> Option<usize> {
        if self.hashes.is_empty() {
            return None;
        }
        let bucket = bucket_of(hash, self.shift);
        let (start, end) = (self.starts[bucket], self.starts[bucket + 1]);
        let at = self.hashes[start..end].binary_search(&hash).ok()?;
        Some(start + at)
    }

    /// Some of those that were not ticked off: as many as it is worth to look for.
    fn left(&self) -> BTreeSet<u64> {
        let is_left = |at: &usize| self.seen[at / 64] & (1 << (at % 64)) == 0;
        let left = (0..self.hashes.len()).filter(is_left);
        left.take(UNMATCHED_MAX).map(|at| self.hashes[at]).collect()
    }
}

fn bucket_of(hash: u64, shift: u32) -> usize {
    usize::try_from(hash >> shift).expect("fewer buckets than hashes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hash_is_ticked_off_once_and_no_other() {
        let mut random = model::Random::from_seed(3);
        for count in [0, 1, 2, 15, 16, 33, 1000] {
            let all: Vec<u64> = (0..count).map(|_| random.next_u64()).collect();
            let mut twice = all.clone();
            twice.extend(&all);
            let mut hashes = Hashes::new(twice);
            assert_eq!(hashes.left().len(), all.len());
            for (done, hash) in all.iter().enumerate() {
                assert!(hashes.tick_off(*hash));
                assert!(!hashes.tick_off(hash ^ 1));
                assert_eq!(hashes.left().len(), all.len() - done - 1);
            }
        }
    }
}
