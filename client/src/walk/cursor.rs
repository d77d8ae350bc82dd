//! Where an iteration is.

use std::collections::VecDeque;

use model::{Oid, PartitionCount, PartitionId, Tid};

/// Items of one partition that were fetched ahead.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Ahead<T> {
    pub(crate) items: VecDeque<T>,
    /// From where on to fetch more; `None` at the end.
    pub(crate) next: Option<T>,
}

/// Items of all partitions, in order. The next one is known while every partition that has not
/// ended has items fetched.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Merge<T> {
    partitions: Vec<Ahead<T>>,
}

impl<T: Copy + Ord> Merge<T> {
    /// Whether it has not begun before.
    pub(crate) fn begin(&mut self, partitions: PartitionCount, first: T) -> bool {
        let is_new = self.partitions.is_empty();
        if is_new {
            let ahead = || Ahead { items: VecDeque::new(), next: Some(first) };
            self.partitions = partitions.iter().map(|_| ahead()).collect();
        }
        is_new
    }

    /// Partitions that have to be fetched from before the next item is known, and from where on.
    pub(crate) fn missing(&self) -> impl Iterator<Item = (PartitionId, T)> {
        let partitions = (0..).map(PartitionId::new).zip(&self.partitions);
        partitions
            .filter(|(_, ahead)| ahead.items.is_empty())
            .filter_map(|(partition, ahead)| ahead.next.map(|next| (partition, next)))
    }

    pub(crate) fn fetched(&mut self, partition: PartitionId, items: Vec<T>, next: Option<T>) {
        let index = usize::try_from(partition.get()).expect("32 bits fit");
        if let Some(ahead) = self.partitions.get_mut(index) {
            ahead.items.extend(items);
            ahead.next = next;
        }
    }

    /// The next items, as far as they are known, at most so many.
    pub(crate) fn take(&mut self, count_max: usize) -> Vec<T> {
        let mut taken = Vec::new();
        while taken.len() < count_max && self.missing().next().is_none() {
            let with_items = self.partitions.iter_mut().filter(|ahead| !ahead.items.is_empty());
            let Some(ahead) = with_items.min_by_key(|ahead| ahead.items[0]) else { break };
            taken.extend(ahead.items.pop_front());
        }
        taken
    }

    /// Whether everything was taken.
    pub(crate) fn is_at_end(&self) -> bool {
        let is_done = |ahead: &Ahead<T>| ahead.items.is_empty() && ahead.next.is_none();
        !self.partitions.is_empty() && self.partitions.iter().all(is_done)
    }
}

/// Where an iteration over transactions is. It holds what was fetched ahead, so it can be continued
/// once; a clone starts again from the same place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransactionCursor {
    pub(crate) tid_min: Tid,
    /// Where it ends: the last one at most, when it has begun.
    pub(crate) tid_max: Option<Tid>,
    pub(crate) merge: Merge<Tid>,
}

impl TransactionCursor {
    /// From a tid on, up to another one or to the last one.
    pub fn new(tid_min: Tid, tid_max: Option<Tid>) -> Self {
        Self { tid_min, tid_max, merge: Merge { partitions: Vec::new() } }
    }

    /// Begins, if it has not. The tid where it ends: nothing is seen that was not told yet (R22).
    pub(super) fn begin(&mut self, partitions: PartitionCount, last_tid: Tid) -> Tid {
        let wanted = self.tid_max.unwrap_or(last_tid);
        let is_new = self.merge.begin(partitions, self.tid_min);
        let tid_max = if is_new { wanted.min(last_tid) } else { wanted };
        self.tid_max = Some(tid_max);
        tid_max
    }
}

/// Where an iteration over oids is, likewise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OidCursor {
    pub(crate) oid_min: Oid,
    pub(crate) tid: Option<Tid>,
    pub(crate) merge: Merge<Oid>,
}

impl OidCursor {
    /// From an oid on, of objects that have data at a tid, or at the last one.
    pub fn new(oid_min: Oid, tid: Option<Tid>) -> Self {
        Self { oid_min, tid, merge: Merge { partitions: Vec::new() } }
    }

    /// Begins, if it has not. The tid at which objects are seen, like that of transactions.
    pub(super) fn begin(&mut self, partitions: PartitionCount, last_tid: Tid) -> Tid {
        let wanted = self.tid.unwrap_or(last_tid);
        let is_new = self.merge.begin(partitions, self.oid_min);
        let tid = if is_new { wanted.min(last_tid) } else { wanted };
        self.tid = Some(tid);
        tid
    }
}
