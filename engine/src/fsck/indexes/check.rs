//! One run, from its first byte to its last.

use std::sync::Arc;

use super::{Indexes, Lost, leaves, read_block};
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::format::{HEADER_LENGTH, Item, Key, Malformed, Order, RunSummary};
use crate::fsck::hash::hash_file;
use crate::fsck::report::{FindingId, Findings};
use crate::fsck::watch::{Going, Watch};
use crate::run::{FOOTER_LENGTH, IndexEntry, PinBudget, RunFile, filter_hash};

/// The greatest filter there is, and its checksum; more is not kept in memory.
const PINNED_BYTES_MAX: u64 = (64 << 20) + 4;

/// Checks a run.
pub(super) fn run(
    disk: &dyn Disk,
    summary: &RunSummary,
    indexes: &mut Indexes,
    findings: &mut Findings,
    watch: &mut Watch<'_>,
) -> Going {
    let budget = Arc::new(PinBudget::new(PINNED_BYTES_MAX));
    let run = match RunFile::open(disk, indexes.database, *summary, &budget) {
        Ok(run) => run,
        Err(error) => {
            let finding = findings.error(&error);
            let from = Key { seq: u64::MAX, ..Key::default() };
            indexes.lost.push(Lost { run: *summary, from, until: None, finding });
            return watch.advance(2 * summary.length);
        }
    };
    let mut check = RunCheck {
        run: &run,
        indexes,
        findings,
        watch,
        at: HEADER_LENGTH as u64,
        last: None,
        keys: 0,
        found: empty(summary),
        is_whole: true,
    };
    check.blocks()?;
    check.parts();
    let is_whole = check.is_whole;
    check_hash(&run, is_whole, findings, watch)
}

/// A summary of nothing.
fn empty(summary: &RunSummary) -> RunSummary {
    RunSummary {
        items: 0,
        tombstones: 0,
        tid_min: u64::MAX,
        tid_max: 0,
        seq_min: u64::MAX,
        seq_max: 0,
        ..*summary
    }
}

struct RunCheck<'a, 'b> {
    run: &'a RunFile,
    indexes: &'a mut Indexes,
    findings: &'a mut Findings,
    watch: &'a mut Watch<'b>,
    /// Where the next part has to begin.
    at: u64,
    last: Option<Key>,
    keys: u64,
    found: RunSummary,
    /// Every block could be read.
    is_whole: bool,
}

impl RunCheck<'_, '_> {
    fn blocks(&mut self) -> Going {
        let run = self.run;
        let root = run.root();
        for (number, entry) in root.iter().enumerate() {
            let until = root.get(number + 1).map(|next| next.first);
            self.watch.advance(u64::from(entry.length))?;
            match leaves(run, entry) {
                Ok(leaves) => {
                    if leaves.first().is_some_and(|leaf| leaf.first != entry.first) {
                        self.damage(entry.offset, "the first key that the root names");
                    }
                    for (number, leaf) in leaves.iter().enumerate() {
                        let next = leaves.get(number + 1).map(|next| next.first).or(until);
                        self.follows(leaf);
                        self.leaf(leaf, next)?;
                    }
                    self.follows(entry);
                }
                Err(error) => {
                    self.lost(&error, entry, until);
                    self.at = entry.offset + u64::from(entry.length);
                }
            }
        }
        Ok(())
    }

    /// The block begins where the one before ended.
    fn follows(&mut self, entry: &IndexEntry) {
        if entry.offset != self.at {
            self.damage(entry.offset, "a block right behind the one before");
        }
        self.at = entry.offset + u64::from(entry.length);
    }

    fn leaf(&mut self, leaf: &IndexEntry, until: Option<Key>) -> Going {
        self.watch.advance(u64::from(leaf.length))?;
        if let Err(error) = self.items(leaf) {
            self.lost(&error, leaf, until);
        }
        Ok(())
    }

    fn items(&mut self, leaf: &IndexEntry) -> Result<()> {
        let run = self.run;
        let block = read_block(run, leaf)?;
        let sound = |m| run.damaged(leaf.offset, m);
        let wrong = |expected| Err(run.damaged(leaf.offset, Malformed { expected }));
        let mut at = block.start();
        let mut is_first = true;
        while let Some(item) = block.next(&mut at).map_err(sound)? {
            if std::mem::take(&mut is_first) && item.key != leaf.first {
                return wrong("the first key that the index names");
            }
            if self.last.is_some_and(|last| last >= item.key) {
                return wrong("items in order");
            }
            if let Some(expected) = self.shape(&item) {
                return wrong(expected);
            }
            let (_, found) = block.neighbours(&item.key).map_err(sound)?;
            if found != Some(item) {
                return wrong("an item where lookups look for it");
            }
            self.count(&item);
        }
        match is_first {
            true => wrong("a block with items"),
            false => Ok(()),
        }
    }

    /// What is wrong with an item by itself.
    fn shape(&self, item: &Item) -> Option<&'static str> {
        let is_tombstone = item.flags.is_tombstone();
        let (key, order) = (&item.key, self.run.summary.order);
        let has_place = item.location.is_some();
        match order {
            Order::ByTid if has_place || item.extra.is_some() => Some("no more than a key"),
            Order::Objects | Order::Transactions if has_place == is_tombstone => {
                Some("the place of what was not deleted")
            }
            Order::Transactions if key.c != 0 => Some("a transaction without an oid"),
            Order::Transactions if item.extra.is_some() == is_tombstone => {
                Some("the ttid of a transaction that was not deleted")
            }
            Order::Objects if !self.run.may_contain(filter_hash(key.a, key.b)) => {
                Some("an oid that the filter lets through")
            }
            _ => None,
        }
    }

    fn count(&mut self, item: &Item) {
        let key = item.key;
        let tid = match self.run.summary.order {
            Order::Objects => !key.c,
            Order::ByTid | Order::Transactions => key.b,
        };
        self.keys += u64::from(self.last.is_none_or(|last| (last.a, last.b) != (key.a, key.b)));
        self.last = Some(key);
        let found = &mut self.found;
        found.items += 1;
        found.tombstones += u64::from(item.flags.is_tombstone());
        found.tid_min = found.tid_min.min(tid);
        found.tid_max = found.tid_max.max(tid);
        found.seq_min = found.seq_min.min(key.seq);
        found.seq_max = found.seq_max.max(key.seq);
        self.indexes.histogram.count(key.seq);
    }

    /// What comes behind the blocks, and what the footer says of them.
    fn parts(&mut self) {
        let Some(footer) = self.run.footer().copied() else { return };
        for part in [footer.root, footer.filter] {
            if part.length > 0 && part.offset != self.at {
                self.damage(part.offset, "the root and the filter right behind the blocks");
            }
            if part.length > 0 {
                self.at = part.offset + u64::from(part.length);
            }
        }
        let end = footer.summary.length - FOOTER_LENGTH as u64;
        if self.at != end {
            self.damage(self.at, "the footer right behind the filter");
        }
        let counts_keys = footer.filter.length > 0;
        if counts_keys != (footer.summary.order == Order::Objects) {
            self.damage(end, "a filter of objects, and of nothing else");
        }
        let keys = if counts_keys { self.keys } else { 0 };
        if self.is_whole && (self.found != footer.summary || keys != footer.keys) {
            self.damage(end, "the counts and bounds of the items that are there");
        }
    }

    fn damage(&mut self, offset: u64, expected: &'static str) -> FindingId {
        self.findings.damage(&self.run.path, Some(offset), expected)
    }

    fn lost(&mut self, error: &Error, entry: &IndexEntry, until: Option<Key>) {
        self.is_whole = false;
        // Keys of the rest are compared with none of these.
        self.last = None;
        let finding = self.findings.error(error);
        let (run, from) = (self.run.summary, entry.first);
        self.indexes.lost.push(Lost { run, from, until, finding });
    }
}

/// The hash of the whole file.
fn check_hash(
    run: &RunFile,
    is_whole: bool,
    findings: &mut Findings,
    watch: &mut Watch<'_>,
) -> Going {
    let Some(footer) = run.footer() else { return Ok(()) };
    let end = run.summary.length - FOOTER_LENGTH as u64;
    match hash_file(&**run.file(), &run.path, end, watch)? {
        // If blocks are damaged, this is no news.
        Ok(hash) if hash != footer.hash && is_whole => {
            findings.damage(&run.path, Some(end), "the hash of all bytes of the file");
        }
        Ok(_) => {}
        Err(error) => {
            findings.error(&error);
        }
    }
    Ok(())
}
