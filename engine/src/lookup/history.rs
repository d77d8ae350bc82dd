//! The revisions of one object: history, and what undo needs to know.

use model::{Oid, PartitionId, Tid};

use super::{Blocks, Lookup, MergeCursor, Source, Step, ready};
use crate::error::Result;
use crate::format::{Item, Key, Order, RECORD_HEADER_LENGTH, RawRecord};
use crate::version::Snapshot;

/// Longest head of an object record, with what begins each record.
const HEAD_LENGTH_MAX: u32 = 16 + 56;
const _: () = assert!(RECORD_HEADER_LENGTH == 16, "records begin with a header of 16 bytes");

/// One revision in a history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HistoryEntry {
    /// The transaction that wrote it.
    pub tid: Tid,
    /// Bytes of data as stored, 0 without data.
    pub size: u32,
    /// Whether it has data.
    pub has_data: bool,
    /// NEO's label of an undo.
    pub data_tid: Option<Tid>,
}

/// Revisions `first` (counted from the newest, 0) to `last` (excluded) of an object, newest first.
#[derive(Debug)]
pub struct HistoryLookup {
    partition: PartitionId,
    oid: Oid,
    cursor: MergeCursor,
    skip: usize,
    count: usize,
    pending: Option<Item>,
    entries: Vec<HistoryEntry>,
}

impl HistoryLookup {
    /// Looks in a snapshot.
    pub fn new(
        snapshot: Snapshot,
        partition: PartitionId,
        oid: Oid,
        first: usize,
        last: usize,
    ) -> Self {
        let key = Key::first(partition.get(), oid.get(), 0);
        Self {
            partition,
            oid,
            cursor: MergeCursor::new(snapshot, Order::Objects, key),
            skip: first,
            count: last.saturating_sub(first),
            pending: None,
            entries: Vec::new(),
        }
    }

    fn go_on(&mut self, source: &mut dyn Source) -> Result<Step<Vec<HistoryEntry>>> {
        while self.entries.len() < self.count {
            if self.pending.is_none() {
                let item = ready!(self.cursor.next(source)?);
                match item {
                    Some(item) if is_of(&item, self.partition, self.oid) => {
                        if self.skip > 0 {
                            self.skip -= 1;
                            continue;
                        }
                        self.pending = Some(item);
                    }
                    _ => break,
                }
            }
            let Some(item) = self.pending else { unreachable!("just set") };
            let size = ready!(self.size_of(&item, source)?);
            self.pending = None;
            self.entries.push(HistoryEntry {
                tid: Tid::new(!item.key.c),
                size,
                has_data: !item.flags.has_no_data(),
                data_tid: item.extra.map(Tid::new),
            });
        }
        Ok(Step::Done(std::mem::take(&mut self.entries)))
    }

    /// Only the head of the record is read.
    fn size_of(&self, item: &Item, source: &mut dyn Source) -> Result<Step<u32>> {
        if item.flags.has_no_data() {
            return Ok(Step::Done(0));
        }
        let Some(location) = item.location else { unreachable!("objects have locations") };
        let segment = self.cursor.snapshot().segment(location.file)?;
        let length = location.length.min(HEAD_LENGTH_MAX);
        let bytes = ready!(source.record(segment, location.offset, length)?);
        let seed = segment.record_seed(location.offset);
        let head = RawRecord::parse_head(&bytes, seed);
        let (raw, _) = segment.sound(head, location.offset)?;
        let size = u32::try_from(raw.body_length()).expect("bodies are limited");
        Ok(Step::Done(size))
    }
}

impl Lookup for HistoryLookup {
    type Output = Vec<HistoryEntry>;

    fn step(&mut self, blocks: &mut Blocks<'_>) -> Result<Step<Self::Output>> {
        let source = &mut *blocks.0;
        self.go_on(source)
    }
}

/// What undoing a transaction means for one object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UndoResult {
    /// The revision that the undoing transaction sees, `None` if it sees none (the request has to
    /// be refused).
    pub current_tid: Option<Tid>,
    /// The revision with the data of before, `None` if the object did not exist.
    pub undo_tid: Option<Tid>,
    /// Whether what is undone is what is current.
    pub is_current: bool,
}

/// Finds what undoing `undone_tid` means for an object, as NEO defines it: revisions with the same
/// data form a list by their `data_tid`, and the greatest is answered. `None` if the transaction
/// did not change the object.
#[derive(Debug)]
pub struct UndoLookup {
    partition: PartitionId,
    oid: Oid,
    cursor: MergeCursor,
    limit: Option<Tid>,
    undone_tid: Tid,
    current: Option<Tid>,
    /// Later revisions, newest first: tid and data_tid.
    later: Vec<(Tid, Option<Tid>)>,
    found: bool,
}

impl UndoLookup {
    /// `limit`: what is at or above it is not seen by the undoing transaction. `current`: the
    /// revision (its `data_tid`, or the ttid) that the same transaction has already stored.
    pub fn new(
        snapshot: Snapshot,
        partition: PartitionId,
        oid: Oid,
        limit: Option<Tid>,
        undone_tid: Tid,
        current: Option<Tid>,
    ) -> Self {
        let key = Key::first(partition.get(), oid.get(), 0);
        Self {
            partition,
            oid,
            cursor: MergeCursor::new(snapshot, Order::Objects, key),
            limit,
            undone_tid,
            current,
            later: Vec::new(),
            found: false,
        }
    }

    fn go_on(&mut self, source: &mut dyn Source) -> Result<Step<Option<UndoResult>>> {
        loop {
            let item = ready!(self.cursor.next(source)?)
                .filter(|item| is_of(item, self.partition, self.oid));
            let tid = item.map(|item| Tid::new(!item.key.c));
            match (tid, item) {
                (Some(tid), Some(item)) if tid > self.undone_tid => {
                    self.later.push((tid, item.extra.map(Tid::new)));
                }
                (Some(tid), _) if tid == self.undone_tid && !self.found => self.found = true,
                (before, _) if self.found => return Ok(Step::Done(Some(self.judge(before)))),
                _ => return Ok(Step::Done(None)),
            }
        }
    }

    fn judge(&self, before: Option<Tid>) -> UndoResult {
        let mut undone = self.undone_tid;
        let mut undo_tid = before;
        let seen = |tid: Tid| self.limit.is_none_or(|limit| tid < limit);
        let newest_seen = || self.later.iter().map(|(tid, _)| *tid).find(|tid| seen(*tid));
        let current = match self.current.or_else(newest_seen) {
            Some(current) => current,
            None if seen(undone) => undone,
            None => {
                return UndoResult { current_tid: None, undo_tid: None, is_current: false };
            }
        };
        let mut is_current = current == undone;
        for (tid, data_tid) in self.later.iter().rev() {
            if data_tid.is_none() {
                continue;
            }
            if *data_tid == undo_tid {
                undo_tid = Some(*tid);
            } else if *data_tid == Some(undone) {
                if current == *tid {
                    is_current = true;
                } else {
                    undone = *tid;
                }
            }
        }
        UndoResult { current_tid: Some(current), undo_tid, is_current }
    }
}

impl Lookup for UndoLookup {
    type Output = Option<UndoResult>;

    fn step(&mut self, blocks: &mut Blocks<'_>) -> Result<Step<Self::Output>> {
        let source = &mut *blocks.0;
        self.go_on(source)
    }
}

fn is_of(item: &Item, partition: PartitionId, oid: Oid) -> bool {
    item.key.a == partition.get() && item.key.b == oid.get()
}
