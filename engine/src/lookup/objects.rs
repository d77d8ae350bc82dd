//! Many objects: in order of (tid, oid), and those that are alive at a tid.

use model::{Oid, PartitionId, Tid};

use super::{Blocks, Lookup, MergeCursor, Source, Step, ready};
use crate::error::Result;
use crate::format::{Key, Order};
use crate::version::Snapshot;

/// A page of objects in order of (tid, oid).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ObjectPage {
    /// The revisions.
    pub objects: Vec<(Tid, Oid)>,
    /// The first that did not fit.
    pub next: Option<(Tid, Oid)>,
}

/// Revisions of a partition from (tid, oid) on, up to a tid (included), at most so many.
#[derive(Debug)]
pub struct ObjectsLookup {
    partition: PartitionId,
    cursor: MergeCursor,
    tid_max: Tid,
    length: usize,
    page: ObjectPage,
}

impl ObjectsLookup {
    /// Looks in a snapshot.
    pub fn new(
        snapshot: Snapshot,
        partition: PartitionId,
        from: (Tid, Oid),
        tid_max: Tid,
        length: usize,
    ) -> Self {
        let key = Key::first(partition.get(), from.0.get(), from.1.get());
        let cursor = MergeCursor::new(snapshot, Order::ByTid, key);
        Self { partition, cursor, tid_max, length, page: ObjectPage::default() }
    }

    fn go_on(&mut self, source: &mut dyn Source) -> Result<Step<ObjectPage>> {
        while let Some(item) = ready!(self.cursor.next(source)?) {
            let (tid, oid) = (Tid::new(item.key.b), Oid::new(item.key.c));
            if item.key.a != self.partition.get() || tid > self.tid_max {
                break;
            }
            if self.page.objects.len() == self.length {
                self.page.next = Some((tid, oid));
                break;
            }
            self.page.objects.push((tid, oid));
        }
        Ok(Step::Done(std::mem::take(&mut self.page)))
    }
}

impl Lookup for ObjectsLookup {
    type Output = ObjectPage;

    fn step(&mut self, blocks: &mut Blocks<'_>) -> Result<Step<ObjectPage>> {
        let source = &mut *blocks.0;
        self.go_on(source)
    }
}

/// A page of oids.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LiveOids {
    /// Those that have data.
    pub oids: Vec<Oid>,
    /// How many were examined, deleted ones included.
    pub examined: usize,
    /// The last that was examined.
    pub last: Option<Oid>,
}

/// Oids of a partition from one on that have data at a tid (included). At most `length` that have a
/// revision at or below the tid are examined.
#[derive(Debug)]
pub struct LiveOidsLookup {
    partition: PartitionId,
    cursor: MergeCursor,
    tid: Tid,
    length: usize,
    found: LiveOids,
}

impl LiveOidsLookup {
    /// Looks in a snapshot.
    pub fn new(
        snapshot: Snapshot,
        partition: PartitionId,
        oid_min: Oid,
        tid: Tid,
        length: usize,
    ) -> Self {
        let key = Key::first(partition.get(), oid_min.get(), !tid.get());
        let cursor = MergeCursor::new(snapshot, Order::Objects, key);
        Self { partition, cursor, tid, length, found: LiveOids::default() }
    }

    fn go_on(&mut self, source: &mut dyn Source) -> Result<Step<LiveOids>> {
        while self.found.examined < self.length {
            let item = ready!(self.cursor.next(source)?);
            let Some(item) = item.filter(|item| item.key.a == self.partition.get()) else {
                break;
            };
            let oid = Oid::new(item.key.b);
            if !item.key.c > self.tid.get() {
                self.cursor.seek(Key::first(item.key.a, item.key.b, !self.tid.get()));
                continue;
            }
            self.found.examined += 1;
            self.found.last = Some(oid);
            if !item.flags.has_no_data() {
                self.found.oids.push(oid);
            }
            let Some(next) = item.key.b.checked_add(1) else { break };
            self.cursor.seek(Key::first(item.key.a, next, !self.tid.get()));
        }
        Ok(Step::Done(std::mem::take(&mut self.found)))
    }
}

impl Lookup for LiveOidsLookup {
    type Output = LiveOids;

    fn step(&mut self, blocks: &mut Blocks<'_>) -> Result<Step<LiveOids>> {
        let source = &mut *blocks.0;
        self.go_on(source)
    }
}
