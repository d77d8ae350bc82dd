//! Transactions: one, a range of tids, the tid of a ttid, and the bounds of a partition.

use model::{Oid, PartitionId, Tid, Ttid};

use super::{Blocks, Find, Lookup, MergeCursor, Scope, Source, Step, ready};
use crate::error::Result;
use crate::format::{Item, Key, Malformed, Order, Record, Transaction};
use crate::version::Snapshot;

/// The metadata of one transaction, `None` if there is none with this tid.
#[derive(Debug)]
pub struct TransactionLookup {
    snapshot: Snapshot,
    tid: Tid,
    find: Find,
    found: Option<Item>,
}

impl TransactionLookup {
    /// Looks in a snapshot.
    pub fn new(snapshot: Snapshot, partition: PartitionId, tid: Tid) -> Self {
        let key = Key::first(partition.get(), tid.get(), 0);
        let find = Find::at(Order::Transactions, Scope::Column, key);
        Self { snapshot, tid, find, found: None }
    }

    fn go_on(&mut self, source: &mut dyn Source) -> Result<Step<Option<Transaction>>> {
        if self.found.is_none() {
            match ready!(self.find.step(&self.snapshot, source)?).at {
                Some(item) => self.found = Some(item),
                None => return Ok(Step::Done(None)),
            }
        }
        let location = self.found.and_then(|item| item.location);
        let Some(location) = location else { unreachable!("transactions have locations") };
        let segment = self.snapshot.segment(location.file)?;
        let bytes = ready!(source.record(segment, location.offset, location.length)?);
        let raw = segment.record(&bytes, location.offset)?;
        let found = match segment.sound(raw.decode(), location.offset)? {
            Record::Transaction { tid, transaction, .. } if tid == self.tid => Some(transaction),
            Record::Vote(vote) => vote.transaction,
            _ => None,
        };
        match found {
            Some(transaction) => Ok(Step::Done(Some(transaction))),
            None => {
                let expected = "the transaction that the index names";
                Err(segment.damaged(location.offset, Malformed { expected }))
            }
        }
    }
}

impl Lookup for TransactionLookup {
    type Output = Option<Transaction>;

    fn step(&mut self, blocks: &mut Blocks<'_>) -> Result<Step<Self::Output>> {
        let source = &mut *blocks.0;
        self.go_on(source)
    }
}

/// Walks through the transactions of a partition, from a tid on.
#[derive(Debug)]
pub(crate) struct TransactionItems {
    partition: PartitionId,
    cursor: MergeCursor,
}

impl TransactionItems {
    pub(crate) fn new(snapshot: Snapshot, partition: PartitionId, tid_min: Tid) -> Self {
        let key = Key::first(partition.get(), tid_min.get(), 0);
        Self { partition, cursor: MergeCursor::new(snapshot, Order::Transactions, key) }
    }

    pub(crate) fn next(&mut self, source: &mut dyn Source) -> Result<Step<Option<Item>>> {
        let item = ready!(self.cursor.next(source)?);
        Ok(Step::Done(item.filter(|item| item.key.a == self.partition.get())))
    }
}

/// Tids of a partition within bounds (both included), at most so many: the lowest, ascending, or
/// the greatest, descending.
#[derive(Debug)]
pub struct TidsLookup {
    length: usize,
    tids: Vec<Tid>,
    walk: Walk,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one a lookup, and no allocation")]
enum Walk {
    Ascending { items: TransactionItems, tid_max: Tid },
    Descending { snapshot: Snapshot, partition: PartitionId, find: Find, tid_min: Tid },
}

impl TidsLookup {
    /// From `tid_min` upwards.
    pub fn ascending(
        snapshot: Snapshot,
        partition: PartitionId,
        tid_min: Tid,
        tid_max: Tid,
        length: usize,
    ) -> Self {
        let items = TransactionItems::new(snapshot, partition, tid_min);
        Self { length, tids: Vec::new(), walk: Walk::Ascending { items, tid_max } }
    }

    /// From `tid_max` downwards.
    pub fn descending(
        snapshot: Snapshot,
        partition: PartitionId,
        tid_min: Tid,
        tid_max: Tid,
        length: usize,
    ) -> Self {
        let find = find_before(partition, Key { seq: 0, ..key_of(partition, tid_max) });
        let walk = Walk::Descending { snapshot, partition, find, tid_min };
        Self { length, tids: Vec::new(), walk }
    }

    fn go_on(&mut self, source: &mut dyn Source) -> Result<Step<Vec<Tid>>> {
        while self.tids.len() < self.length {
            let tid = match &mut self.walk {
                Walk::Ascending { items, tid_max } => ready!(items.next(source)?)
                    .map(|item| Tid::new(item.key.b))
                    .filter(|tid| tid <= tid_max),
                Walk::Descending { snapshot, partition, find, tid_min } => {
                    let tid = ready!(find.step(snapshot, source)?)
                        .before
                        .map(|item| Tid::new(item.key.b))
                        .filter(|tid| tid >= tid_min);
                    if let Some(tid) = tid {
                        *find = find_before(*partition, key_of(*partition, tid));
                    }
                    tid
                }
            };
            match tid {
                Some(tid) => self.tids.push(tid),
                None => break,
            }
        }
        Ok(Step::Done(std::mem::take(&mut self.tids)))
    }
}

impl Lookup for TidsLookup {
    type Output = Vec<Tid>;

    fn step(&mut self, blocks: &mut Blocks<'_>) -> Result<Step<Self::Output>> {
        let source = &mut *blocks.0;
        self.go_on(source)
    }
}

fn key_of(partition: PartitionId, tid: Tid) -> Key {
    Key::first(partition.get(), tid.get(), 0)
}

fn find_before(partition: PartitionId, key: Key) -> Find {
    assert_eq!(key.a, partition.get(), "walks stay within a partition");
    Find::before(Order::Transactions, Scope::Partition, key)
}

/// The tid of a committed transaction, from its ttid. A tid is never below its ttid, so the search
/// begins there; it is short for recent transactions.
#[derive(Debug)]
pub struct TidOfLookup {
    ttid: Ttid,
    items: TransactionItems,
}

impl TidOfLookup {
    /// Looks in a snapshot; `partition` is that of the ttid.
    pub fn new(snapshot: Snapshot, partition: PartitionId, ttid: Ttid) -> Self {
        let items = TransactionItems::new(snapshot, partition, Tid::new(ttid.get()));
        Self { ttid, items }
    }
}

impl Lookup for TidOfLookup {
    type Output = Option<Tid>;

    fn step(&mut self, blocks: &mut Blocks<'_>) -> Result<Step<Option<Tid>>> {
        let source = &mut *blocks.0;
        while let Some(item) = ready!(self.items.next(source)?) {
            if item.extra == Some(self.ttid.get()) {
                return Ok(Step::Done(Some(Tid::new(item.key.b))));
            }
        }
        Ok(Step::Done(None))
    }
}

/// First and last ids of a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PartitionBounds {
    /// Lowest tid of a transaction.
    pub tid_first: Option<Tid>,
    /// Greatest tid of a transaction.
    pub tid_last: Option<Tid>,
    /// Greatest oid, deleted ones included.
    pub oid_last: Option<Oid>,
    /// Greatest oid up to [`Oid::FOLLOWED_MAX`], likewise.
    pub oid_followed: Option<Oid>,
}

/// Finds the bounds of a partition.
#[derive(Debug)]
pub struct BoundsLookup {
    snapshot: Snapshot,
    finds: [Find; 4],
}

impl BoundsLookup {
    /// Looks in a snapshot.
    pub fn new(snapshot: Snapshot, partition: PartitionId) -> Self {
        let a = partition.get();
        let last = Key { a, b: u64::MAX, c: u64::MAX, seq: 0 };
        let (first, followed) = (Key::first(a, 0, 0), Oid::FOLLOWED_MAX);
        let order = Order::Transactions;
        let finds = [
            Find::at(order, Scope::Partition, first),
            Find::before(order, Scope::Partition, last),
            Find::before(Order::Objects, Scope::Partition, last),
            Find::before(Order::Objects, Scope::Partition, Key { b: followed.get() + 1, ..first }),
        ];
        Self { snapshot, finds }
    }
}

impl Lookup for BoundsLookup {
    type Output = PartitionBounds;

    fn step(&mut self, blocks: &mut Blocks<'_>) -> Result<Step<PartitionBounds>> {
        let source = &mut *blocks.0;
        let [first, last, oid, followed] = &mut self.finds;
        let first = ready!(first.step(&self.snapshot, source)?).at;
        let last = ready!(last.step(&self.snapshot, source)?).before;
        let oid = ready!(oid.step(&self.snapshot, source)?).before;
        let followed = ready!(followed.step(&self.snapshot, source)?).before;
        Ok(Step::Done(PartitionBounds {
            tid_first: first.map(|item| Tid::new(item.key.b)),
            tid_last: last.map(|item| Tid::new(item.key.b)),
            oid_last: oid.map(|item| Oid::new(item.key.b)),
            oid_followed: followed.map(|item| Oid::new(item.key.b)),
        }))
    }
}
