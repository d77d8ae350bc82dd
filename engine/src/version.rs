//! What exists at one moment: tables, runs, segments, and what is hidden.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::disk::File;
use crate::error::{Error, Result};
use crate::format::{Decoded, Intent, Item, Malformed, Order, RawRecord};
use crate::memtable::Memtable;
use crate::run::RunFile;

/// A segment of the log, open.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) number: u32,
    pub(crate) seed: u32,
    pub(crate) epoch: u32,
    pub(crate) path: String,
    pub(crate) file: Arc<dyn File>,
    /// Its length, once nothing is appended any more.
    pub(crate) sealed_length: OnceLock<u64>,
    /// The whole sealed file, mapped when a thread first reads it so.
    pub(crate) mapping: OnceLock<Bytes>,
}

impl Segment {
    /// Verifies the record that should be at `offset`.
    pub(crate) fn record<'a>(&self, bytes: &'a [u8], offset: u64) -> Result<RawRecord<'a>> {
        self.sound(RawRecord::parse(bytes, self.record_seed(offset)), offset)
    }

    /// What the checksums of the record at `offset` start from.
    pub(crate) fn record_seed(&self, offset: u64) -> u32 {
        crc32c::crc32c_append(self.seed, &offset.to_le_bytes())
    }

    /// Turns a failure to decode into an error that says where.
    pub(crate) fn sound<T>(&self, decoded: Decoded<T>, offset: u64) -> Result<T> {
        decoded.map_err(|malformed| self.damaged(offset, malformed))
    }

    pub(crate) fn damaged(&self, offset: u64, malformed: Malformed) -> Error {
        Error::Damaged { file: self.path.clone(), offset, expected: malformed.expected }
    }
}

/// A state of the database. Versions never change, but their active table gets new items, which
/// older snapshots ignore.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(crate) active: Arc<Memtable>,
    /// Newest first.
    pub(crate) frozen: Vec<Arc<Memtable>>,
    /// By order, greatest tid first.
    pub(crate) runs: [Vec<Arc<RunFile>>; 3],
    pub(crate) segments: Arc<BTreeMap<u32, Arc<Segment>>>,
    pub(crate) intents: Arc<Vec<Intent>>,
    /// Sequence numbers of writes that failed.
    pub(crate) voided: Arc<BTreeSet<u64>>,
    /// Snapshots of this version see at least this: merges left out what is hidden there.
    pub(crate) seq_floor: u64,
}

impl Version {
    pub(crate) fn runs(&self, order: Order) -> &[Arc<RunFile>] {
        &self.runs[order as usize - 1]
    }

    pub(crate) fn runs_mut(&mut self, order: Order) -> &mut Vec<Arc<RunFile>> {
        &mut self.runs[order as usize - 1]
    }

    pub(crate) fn tables(&self) -> impl Iterator<Item = &Arc<Memtable>> {
        std::iter::once(&self.active).chain(&self.frozen)
    }

    /// Puts runs in the order that lookups rely on.
    pub(crate) fn sort_runs(&mut self) {
        for runs in &mut self.runs {
            runs.sort_by_key(|run| {
                (std::cmp::Reverse(run.summary.tid_max), std::cmp::Reverse(run.summary.number))
            });
        }
    }
}

/// How an item counts for a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Visibility {
    /// It does.
    Shown,
    /// It was deleted, truncated or dropped, as were all older items of the same columns.
    Hidden,
    /// It is later than the snapshot; older items of the same columns may count.
    Later,
}

/// The database at one moment, which later writes do not change.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(crate) version: Arc<Version>,
    pub(crate) seq: u64,
}

impl Snapshot {
    /// The engine sequence number of this moment.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    pub(crate) fn visibility(&self, item: &Item, order: Order) -> Visibility {
        let seq = item.key.seq;
        if seq > self.seq || self.version.voided.contains(&seq) {
            return Visibility::Later;
        }
        if item.flags.is_tombstone() || hidden_by(&self.version.intents, item, order, self.seq) {
            return Visibility::Hidden;
        }
        Visibility::Shown
    }

    /// Whether an item may be hidden that was found: without it, finding is enough.
    pub(crate) fn may_hide(&self, order: Order) -> bool {
        !self.version.intents.is_empty()
            || self.version.tables().any(|table| table.has_tombstones())
            || self.version.runs(order).iter().any(|run| run.summary.tombstones > 0)
    }

    /// The segment of a location that an index gave.
    pub(crate) fn segment(&self, number: u32) -> Result<&Arc<Segment>> {
        self.version
            .segments
            .get(&number)
            .ok_or_else(|| Error::MissingFile { file: format!("log-{number:08x}") })
    }
}

/// Whether an intent hides an item from a snapshot.
pub(crate) fn hidden_by(intents: &[Intent], item: &Item, order: Order, seq: u64) -> bool {
    intents.iter().any(|intent| match intent {
        Intent::Truncate { tid, seq: at } => {
            let item_tid = match order {
                Order::Objects => !item.key.c,
                Order::ByTid | Order::Transactions => item.key.b,
            };
            item.key.seq < *at && *at <= seq && item_tid > tid.get()
        }
        Intent::Drop { partition, seq: at, .. } => {
            item.key.seq < *at && *at <= seq && item.key.a == partition.get()
        }
    })
}
