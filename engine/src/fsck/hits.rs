//! Whom the damage hits: which objects and transactions are lost, missing or back again.

use std::collections::BTreeMap;
use std::ops::Range;

use model::{Oid, PartitionId, Tid};

use super::Check;
use super::directory::{Database, segment_path};
use super::fingerprint;
use super::indexes::{Found, Indexes};
use super::log::{LogOutcome, open};
use super::report::{FindingId, Hit};
use super::watch::{Going, Stage};
use crate::disk::Disk;
use crate::format::{Intent, Item, Key, Order, RawRecord, Record};
use crate::log::SegmentBytes;
use crate::version::hidden_by;

/// Bytes of the log that cannot be used.
#[derive(Clone, Debug)]
pub(super) struct Suspect {
    pub(super) segment: u32,
    pub(super) range: Range<u64>,
    pub(super) finding: FindingId,
}

impl Suspect {
    fn holds(&self, item: &Item) -> bool {
        item.location.is_some_and(|location| {
            let end = location.offset + u64::from(location.length);
            location.file == self.segment
                && location.offset < self.range.end
                && end > self.range.start
        })
    }
}

const ALL_SEQS: Range<u64> = 0..u64::MAX;

impl Check<'_, '_> {
    /// Adds to findings who is hit, and finds what is missing or should not be there.
    pub(super) fn hits(
        &mut self,
        disk: &dyn Disk,
        database: &Database,
        indexes: &Indexes,
        outcome: &LogOutcome<'_>,
    ) -> Going {
        self.watch.begin(Stage::Hits)?;
        self.missing(disk, indexes, outcome);
        if !outcome.suspects.is_empty() {
            // What the log tells is not the whole truth any more.
            return self.suspects(disk, database, indexes, outcome);
        }
        for found in &outcome.agreement.unmatched {
            let path = Indexes::path(disk, found.run);
            let expected = "an index item that the log tells";
            let finding = self.findings.damage(&path, Some(found.offset), expected);
            self.findings.hit(finding, hit_of(found.order, &found.item.key));
        }
        self.back_again(disk, database, indexes, outcome)
    }

    /// Records that no index names, though nothing says why.
    fn missing(&mut self, disk: &dyn Disk, indexes: &Indexes, outcome: &LogOutcome<'_>) {
        let mut findings: BTreeMap<Order, FindingId> = BTreeMap::new();
        for one in outcome.agreement.missing.unexplained(&outcome.intents) {
            let hit = hit_of(one.order, &one.key);
            if let Some(finding) = indexes.lost(one.order, &one.key) {
                self.findings.hit(finding, hit);
                continue;
            }
            if !outcome.suspects.is_empty() {
                continue;
            }
            let path = match one.location {
                Some(location) => segment_path(disk, location.file),
                None => disk.path(""),
            };
            let offset = one.location.map(|location| location.offset);
            let expected = match one.order {
                Order::Objects => "a record that the index by oid names",
                Order::ByTid => "objects that the index by tid names",
                Order::Transactions => "a record that the index of transactions names",
            };
            let finding = findings
                .entry(one.order)
                .or_insert_with(|| self.findings.damage(&path, offset, expected));
            self.findings.hit(*finding, hit);
        }
    }

    /// What the indexes name in damaged parts of the log.
    fn suspects(
        &mut self,
        disk: &dyn Disk,
        database: &Database,
        indexes: &Indexes,
        outcome: &LogOutcome<'_>,
    ) -> Going {
        let mut found = Vec::new();
        let mut segments: BTreeMap<u32, Option<SegmentBytes>> = BTreeMap::new();
        let orders = [Order::Objects, Order::Transactions];
        indexes.scan(disk, self.watch, &orders, &ALL_SEQS, &mut |one| {
            let suspect = outcome.suspects.iter().find(|suspect| suspect.holds(&one.item));
            let Some(suspect) = suspect else { return };
            let bytes = segments
                .entry(suspect.segment)
                .or_insert_with(|| open(disk, database, suspect.segment).ok());
            let is_sound = bytes.as_mut().is_some_and(|bytes| is_sound(bytes, one));
            if !is_sound {
                found.push((suspect.finding, hit_of(one.order, &one.item.key)));
            }
        })?;
        found.sort_unstable();
        found.dedup();
        for (finding, hit) in found {
            self.findings.hit(finding, hit);
        }
        Ok(())
    }

    /// Items that were hidden by something that is not there any more to hide them.
    fn back_again(
        &mut self,
        disk: &dyn Disk,
        database: &Database,
        indexes: &Indexes,
        outcome: &LogOutcome<'_>,
    ) -> Going {
        let checkpoint = &database.manifest.state.checkpoint;
        let hides = |intent: &Intent| {
            let seq = intent.seq();
            seq >= checkpoint.next_seq || checkpoint.intents.iter().any(|i| i.seq() == seq)
        };
        let (hiding, retired): (Vec<Intent>, Vec<Intent>) =
            outcome.intents.iter().partition(|intent| hides(intent));
        let tombstones = latest(&outcome.agreement.missing.tombstones);
        if retired.is_empty() && tombstones.is_empty() {
            return Ok(());
        }
        // Of items whose tombstone is gone, the newest by columns.
        let mut newest: BTreeMap<u64, Found> = BTreeMap::new();
        let mut back = Vec::new();
        indexes.scan(disk, self.watch, &Order::ALL, &ALL_SEQS, &mut |found| {
            let (order, item) = (found.order, &found.item);
            if hidden_by(&retired, item, order, u64::MAX) {
                back.push(*found);
            }
            let hash = fingerprint::of_columns(order, &item.key);
            if tombstones.contains_key(&hash) && !hidden_by(&hiding, item, order, u64::MAX) {
                let kept = newest.entry(hash).or_insert(*found);
                if kept.item.key.seq < item.key.seq {
                    *kept = *found;
                }
            }
        })?;
        back.extend(newest.iter().filter_map(|(hash, found)| {
            let is_older = tombstones.get(hash).is_some_and(|seq| found.item.key.seq < *seq);
            is_older.then_some(*found)
        }));
        for found in back {
            let path = Indexes::path(disk, found.run);
            let expected = "nothing that was deleted, dropped or truncated";
            let finding = self.findings.damage(&path, Some(found.offset), expected);
            self.findings.hit(finding, hit_of(found.order, &found.item.key));
        }
        Ok(())
    }
}

/// The greatest sequence number of each hash.
fn latest(tombstones: &[(u64, u64)]) -> BTreeMap<u64, u64> {
    let mut latest = BTreeMap::new();
    for (hash, seq) in tombstones {
        let kept = latest.entry(*hash).or_insert(*seq);
        *kept = (*kept).max(*seq);
    }
    latest
}

/// Whether the record that an item names is there and whole.
fn is_sound(bytes: &mut SegmentBytes, found: &Found) -> bool {
    let Some(location) = found.item.location else { return false };
    let Ok(Some(record)) = bytes.get(location.offset, location.length as usize) else {
        return false;
    };
    let seed = bytes.segment.record_seed(location.offset);
    let record = RawRecord::parse(&record, seed).and_then(|raw| raw.decode());
    let key = &found.item.key;
    match record {
        Ok(Record::Object(head)) => (head.partition.get(), head.oid.get()) == (key.a, key.b),
        Ok(Record::Vote(vote)) => vote.transaction.is_some(),
        Ok(Record::Transaction { tid, .. }) => tid.get() == key.b,
        _ => false,
    }
}

/// What an item is about.
fn hit_of(order: Order, key: &Key) -> Hit {
    let (oid, tid) = match order {
        Order::Objects => (Some(key.b), !key.c),
        Order::ByTid => (Some(key.c), key.b),
        Order::Transactions => (None, key.b),
    };
    Hit { partition: PartitionId::new(key.a), oid: oid.map(Oid::new), tid: Some(Tid::new(tid)) }
}
