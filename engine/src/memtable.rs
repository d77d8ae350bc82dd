//! Recent items in memory, in the three orders of index runs.
//!
//! One thread inserts, any number read at the same time without locks. An item counts only for
//! snapshots whose sequence number reaches its own, so that half a transaction is never seen.

mod chains;

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_skiplist::SkipMap;
use model::{Oid, PartitionId, Tid};

use crate::format::{Item, ItemFlags, Key, Location, Order};
use crate::run::{Neighbours, filter_hash};
use chains::Chains;

/// An object to be indexed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ObjectEntry {
    pub(crate) partition: PartitionId,
    pub(crate) oid: Oid,
    pub(crate) flags: ItemFlags,
    pub(crate) data_tid: Option<Tid>,
    pub(crate) location: Option<Location>,
}

impl ObjectEntry {
    pub(crate) fn item(&self, tid: Tid, seq: u64) -> Item {
        Item {
            key: Key { a: self.partition.get(), b: self.oid.get(), c: !tid.get(), seq },
            extra: self.data_tid.map(Tid::get),
            flags: self.flags,
            location: self.location,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Value {
    extra: Option<u64>,
    flags: ItemFlags,
    location: Option<Location>,
}

impl Value {
    fn of(item: &Item) -> Self {
        Self { extra: item.extra, flags: item.flags, location: item.location }
    }

    fn item(&self, key: Key) -> Item {
        Item { key, extra: self.extra, flags: self.flags, location: self.location }
    }
}

/// Objects of one tid that came together, in order of (partition, oid).
#[derive(Debug)]
struct Batch {
    entries: Box<[(u32, u64, ItemFlags)]>,
}

/// The key of a batch: tid, newest sequence number first, and a counter to keep keys apart.
type BatchKey = (u64, std::cmp::Reverse<u64>, u64);

/// A memory table.
#[derive(Debug)]
pub(crate) struct Memtable {
    objects: SkipMap<Key, Value>,
    /// The same, to find the revisions of one object.
    chains: Chains,
    by_tid: SkipMap<BatchKey, Batch>,
    transactions: SkipMap<Key, Value>,
    items: AtomicU64,
    tombstones: AtomicU64,
    tid_max: AtomicU64,
    tid_min: AtomicU64,
    batches: AtomicU64,
}

impl Default for Memtable {
    fn default() -> Self {
        Self {
            objects: SkipMap::new(),
            chains: Chains::default(),
            by_tid: SkipMap::new(),
            transactions: SkipMap::new(),
            items: AtomicU64::new(0),
            tombstones: AtomicU64::new(0),
            tid_max: AtomicU64::new(0),
            tid_min: AtomicU64::new(u64::MAX),
            batches: AtomicU64::new(0),
        }
    }
}

impl Memtable {
    /// Adds objects of one tid.
    pub(crate) fn insert_objects(&self, tid: Tid, seq: u64, objects: &[ObjectEntry]) {
        if objects.is_empty() {
            return;
        }
        // Readers skip a table by these bounds: they must hold before the items can be found.
        self.count(tid, objects.len() as u64);
        let tombstones = objects.iter().filter(|o| o.flags.is_tombstone()).count();
        self.tombstones.fetch_add(tombstones as u64, Ordering::Release);
        let mut entries: Vec<_> =
            objects.iter().map(|o| (o.partition.get(), o.oid.get(), o.flags)).collect();
        let key = |entry: &(u32, u64, ItemFlags)| (entry.0, entry.1);
        if !entries.is_sorted_by_key(key) {
            entries.sort_unstable_by_key(key);
        }
        let batch = self.batches.fetch_add(1, Ordering::Relaxed);
        let key = (tid.get(), std::cmp::Reverse(seq), batch);
        self.by_tid.insert(key, Batch { entries: entries.into() });
        for object in objects {
            let item = object.item(tid, seq);
            self.objects.insert(item.key, Value::of(&item));
            self.chains.insert(filter_hash(item.key.a, item.key.b), item);
        }
    }

    /// Adds an item of the order of transactions.
    pub(crate) fn insert_transaction(&self, item: &Item) {
        self.count(Tid::new(item.key.b), 1);
        self.tombstones.fetch_add(u64::from(item.flags.is_tombstone()), Ordering::Release);
        self.transactions.insert(item.key, Value::of(item));
    }

    /// Items of all orders.
    pub(crate) fn items(&self) -> u64 {
        self.items.load(Ordering::Acquire)
    }

    pub(crate) fn has_tombstones(&self) -> bool {
        self.tombstones.load(Ordering::Acquire) > 0
    }

    /// No item has a greater tid.
    pub(crate) fn tid_max(&self) -> u64 {
        self.tid_max.load(Ordering::Acquire)
    }

    /// No item has a lower tid.
    pub(crate) fn tid_min(&self) -> u64 {
        self.tid_min.load(Ordering::Acquire)
    }

    /// Finds a key; the item before it only if asked for.
    pub(crate) fn neighbours(&self, order: Order, key: &Key, before: bool) -> Neighbours {
        let map = match order {
            Order::Objects => &self.objects,
            Order::Transactions => &self.transactions,
            Order::ByTid => unreachable!("objects by tid are only walked through"),
        };
        let at = map.lower_bound(Bound::Included(key));
        let before = match before {
            true => map.upper_bound(Bound::Excluded(key)),
            false => None,
        };
        Neighbours {
            before: before.map(|entry| entry.value().item(*entry.key())),
            at: at.map(|entry| entry.value().item(*entry.key())),
        }
    }

    /// Finds revisions of the object of a key, with its [`filter_hash`].
    pub(crate) fn revisions(&self, key: &Key, hash: u64, before: bool) -> Neighbours {
        match self.chains.neighbours(hash, key) {
            Some(found) => found,
            None => self.neighbours(Order::Objects, key, before),
        }
    }

    fn count(&self, tid: Tid, items: u64) {
        self.tid_max.fetch_max(tid.get(), Ordering::Release);
        self.tid_min.fetch_min(tid.get(), Ordering::Release);
        self.items.fetch_add(items, Ordering::Release);
    }
}

/// Walks through one order of a memory table.
#[derive(Debug)]
pub(crate) struct MemtableCursor {
    table: Arc<Memtable>,
    order: Order,
    /// What comes next is at or after this key, or behind it.
    from: Bound<Key>,
}

impl MemtableCursor {
    /// At the first item at or after `key`.
    pub(crate) fn new(table: Arc<Memtable>, order: Order, key: Key) -> Self {
        Self { table, order, from: Bound::Included(key) }
    }

    /// Moves to the first item at or after `key`.
    pub(crate) fn seek(&mut self, key: Key) {
        self.from = Bound::Included(key);
    }

    /// The next item, `None` at the end.
    pub(crate) fn next(&mut self) -> Option<Item> {
        let item = match self.order {
            Order::Objects => self.next_of(&self.table.objects),
            Order::Transactions => self.next_of(&self.table.transactions),
            Order::ByTid => self.next_by_tid(),
        }?;
        self.from = Bound::Excluded(item.key);
        Some(item)
    }

    fn next_of(&self, map: &SkipMap<Key, Value>) -> Option<Item> {
        let entry = map.lower_bound(self.from.as_ref())?;
        Some(entry.value().item(*entry.key()))
    }

    /// The least item over all batches of the least tid that has one in this partition.
    fn next_by_tid(&self) -> Option<Item> {
        let from = match self.from {
            Bound::Included(key) | Bound::Excluded(key) => key,
            Bound::Unbounded => Key::default(),
        };
        let mut partition = from.a;
        let mut tid = from.b;
        loop {
            let mut best: Option<Key> = None;
            let mut flags = ItemFlags::NONE;
            let mut later_partition: Option<u32> = None;
            let start = (tid, std::cmp::Reverse(u64::MAX), 0);
            for entry in self.table.by_tid.range(start..) {
                let (batch_tid, seq, _) = *entry.key();
                if best.is_some_and(|best| best.b < batch_tid) {
                    break;
                }
                let entries = &entry.value().entries;
                let here = self.first_in(entries, partition, batch_tid, seq.0);
                if let Some((key, found_flags)) = here
                    && best.is_none_or(|best| key < best)
                {
                    (best, flags) = (Some(key), found_flags);
                }
            }
            if let Some(key) = best {
                return Some(Item { key, flags, ..Item::default() });
            }
            for entry in &self.table.by_tid {
                let entries = &entry.value().entries;
                let at = entries.partition_point(|e| e.0 <= partition);
                if let Some(entry) = entries.get(at) {
                    let later = later_partition.get_or_insert(entry.0);
                    *later = (*later).min(entry.0);
                }
            }
            partition = later_partition?;
            tid = 0;
        }
    }

    /// The first entry of a batch in this partition that is not before `from`.
    fn first_in(
        &self,
        entries: &[(u32, u64, ItemFlags)],
        partition: u32,
        tid: u64,
        seq: u64,
    ) -> Option<(Key, ItemFlags)> {
        let key = |entry: &(u32, u64, ItemFlags)| Key { a: entry.0, b: tid, c: entry.1, seq };
        let at = entries.partition_point(|entry| match self.from {
            Bound::Included(from) => entry.0 < partition || key(entry) < from,
            Bound::Excluded(from) => entry.0 < partition || key(entry) <= from,
            Bound::Unbounded => entry.0 < partition,
        });
        let entry = entries.get(at)?;
        (entry.0 == partition).then(|| (key(entry), entry.2))
    }
}

/// All items of an order, page by page, to be written as a run.
#[derive(Debug)]
pub(crate) struct TableItems {
    table: Arc<Memtable>,
    order: Order,
    from: Bound<Key>,
    /// Objects by tid, sorted when they are first asked for.
    by_tid: Option<std::vec::IntoIter<Item>>,
}

impl TableItems {
    pub(crate) fn new(table: Arc<Memtable>, order: Order) -> Self {
        Self { table, order, from: Bound::Unbounded, by_tid: None }
    }

    /// The next items, at most `length`; none at the end.
    pub(crate) fn next_page(&mut self, length: usize) -> Vec<Item> {
        let map = match self.order {
            Order::Objects => &self.table.objects,
            Order::Transactions => &self.table.transactions,
            Order::ByTid => {
                let table = &self.table;
                let items = self.by_tid.get_or_insert_with(|| sorted_by_tid(table).into_iter());
                return items.take(length).collect();
            }
        };
        let range = map.range((self.from, Bound::Unbounded));
        let page: Vec<Item> =
            range.take(length).map(|entry| entry.value().item(*entry.key())).collect();
        if let Some(last) = page.last() {
            self.from = Bound::Excluded(last.key);
        }
        page
    }
}

fn sorted_by_tid(table: &Memtable) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::with_capacity(table.objects.len());
    for entry in &table.by_tid {
        let (tid, seq, _) = *entry.key();
        items.extend(entry.value().entries.iter().map(|&(a, c, flags)| Item {
            key: Key { a, b: tid, c, seq: seq.0 },
            flags,
            ..Item::default()
        }));
    }
    items.sort_unstable_by_key(|item| item.key);
    // A revision may come twice in one batch.
    items.dedup_by_key(|item| item.key);
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(partition: u32, oid: u64) -> ObjectEntry {
        ObjectEntry {
            partition: PartitionId::new(partition),
            oid: Oid::new(oid),
            flags: ItemFlags::NONE,
            data_tid: None,
            location: None,
        }
    }

    /// Objects with few revisions and with many, in any order of tids, some of them twice.
    #[test]
    fn chains_find_what_a_search_finds() {
        let table = Memtable::default();
        let mut random = model::Random::from_seed(8);
        for seq in 1..4000 {
            let oid_max = if random.chance(1, 8) { 4 } else { 3000 };
            let oid = random.below(oid_max);
            let location = Some(Location { file: 1, length: 1, offset: seq });
            let object =
                ObjectEntry { location, ..object(1 + u32::from(oid.is_multiple_of(3)), oid) };
            let tid = Tid::new(random.below(60));
            let twice = random.chance(1, 10);
            table.insert_objects(tid, seq / 2, &[object]);
            if twice {
                let location = Some(Location { file: 2, length: 1, offset: seq });
                table.insert_objects(tid, seq / 2, &[ObjectEntry { location, ..object }]);
            }
        }
        let (mut searched, mut chained) = (0, 0);
        for oid in 0..3000 {
            for partition in 0..3 {
                for c in [0, !70, !60, !59, !30, !29, !1, !0] {
                    let seq = random.below(2000);
                    let key = Key { a: partition, b: oid, c, seq };
                    let hash = filter_hash(partition, oid);
                    let same = |item: &Item| (item.key.a, item.key.b) == (partition, oid);
                    let expected = table.neighbours(Order::Objects, &key, true);
                    let found = table.revisions(&key, hash, true);
                    assert_eq!(found.at.filter(same), expected.at.filter(same), "{key:?}");
                    assert_eq!(found.before.filter(same), expected.before.filter(same), "{key:?}");
                    match table.chains.neighbours(hash, &key) {
                        None => searched += 1,
                        Some(_) => chained += 1,
                    }
                }
            }
        }
        assert!(searched >= 32 && chained > 10_000, "{searched} searched, {chained} chained");
    }

    /// One that cannot be written for long takes no chains without end.
    #[test]
    fn a_table_that_outgrows_its_chains_is_searched() {
        let table = Memtable::default();
        let objects: Vec<_> = (0..140_000).map(|oid| object(0, oid)).collect();
        let mut chained = 0;
        for (part, seq) in objects.chunks(2_000).zip(1..) {
            table.insert_objects(Tid::new(5), seq, part);
            let oid = part[0].oid.get();
            for oid in [0, oid] {
                let key = Key { a: 0, b: oid, c: 0, seq: 0 };
                let found = table.revisions(&key, filter_hash(0, oid), false);
                assert_eq!(found.at.map(|item| item.key.b), Some(oid));
                chained +=
                    usize::from(table.chains.neighbours(filter_hash(0, oid), &key).is_some());
            }
        }
        assert_eq!(chained, 2 * 65, "of 70 times 2,000 objects, 65 find a place");
    }

    #[test]
    fn walking_by_tid_equals_sorting() {
        let table = Arc::new(Memtable::default());
        let mut random = model::Random::from_seed(7);
        for seq in 1..60 {
            let tid = Tid::new(random.below(12));
            let objects: Vec<_> = (0..random.below(4))
                .map(|_| object(u32::try_from(random.below(3)).unwrap(), random.below(5)))
                .collect();
            let mut unique = objects.clone();
            unique.sort_by_key(|o| (o.partition, o.oid));
            unique.dedup();
            table.insert_objects(tid, seq, &unique);
        }
        for order in [Order::Objects, Order::ByTid] {
            let mut items = TableItems::new(Arc::clone(&table), order);
            let mut sorted = items.next_page(7);
            sorted.extend(items.next_page(usize::MAX));
            for start in 0..=sorted.len() {
                let from = match start.checked_sub(1) {
                    None => Key::first(0, 0, 0),
                    Some(at) => sorted[at].key,
                };
                let mut cursor = MemtableCursor::new(Arc::clone(&table), order, from);
                let mut walked = Vec::new();
                while let Some(item) = cursor.next() {
                    walked.push(item);
                }
                assert_eq!(walked, sorted[start.saturating_sub(1)..]);
            }
        }
    }
}
