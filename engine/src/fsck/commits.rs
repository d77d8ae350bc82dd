//! What the log commits: its records, turned into the items that the indexes should have.

use std::collections::{BTreeMap, BTreeSet};

use model::{Oid, PartitionId, Tid, Ttid};

use super::report::Totals;
use crate::database::transaction_item;
use crate::format::{
    Checkpoint, Decoded, Deleted, InDoubt, Intent, Item, ItemFlags, Key, Location, Metadata,
    MetadataEdit, MetadataKey, ObjectHead, ObjectId, Order, Position, Record, Transaction, Vote,
    malformed,
};
use crate::memtable::ObjectEntry;

/// Objects that are remembered with the place of a vote that does not list them.
const UNLISTED_MAX: usize = 100;

/// Who gets the items.
pub(super) type Sink<'a> = &'a mut dyn FnMut(Order, &Item);

/// Follows the log, record by record, as a replay from its very beginning would.
#[derive(Debug, Default)]
pub(super) struct Commits {
    transactions: BTreeMap<Ttid, Pending>,
    /// Everything that was ever truncated or dropped.
    pub(super) intents: Vec<Intent>,
    metadata: Metadata,
    edited: BTreeSet<MetadataKey>,
    epoch: u32,
    /// Objects that are not in the list of their transaction, by the place of its vote.
    pub(super) unlisted: Vec<(Location, Stored)>,
    pub(super) unlisted_count: u64,
    pub(super) totals: Totals,
}

/// A transaction that is not committed yet.
#[derive(Debug, Default)]
struct Pending {
    objects: Vec<Stored>,
    vote: Option<Voted>,
}

#[derive(Clone, Copy, Debug)]
struct Voted {
    location: Location,
    partition: PartitionId,
    has_metadata: bool,
    tid: Option<Tid>,
}

/// An object of it, in 40 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stored {
    pub(super) oid: Oid,
    offset: u64,
    data_tid: Tid,
    pub(super) partition: PartitionId,
    segment: u32,
    length: u32,
    has_data_tid: bool,
    no_data: bool,
}

impl Stored {
    fn new(head: &ObjectHead, location: Location) -> Self {
        Self {
            oid: head.oid,
            offset: location.offset,
            data_tid: head.data_tid.unwrap_or_default(),
            partition: head.partition,
            segment: location.file,
            length: location.length,
            has_data_tid: head.data_tid.is_some(),
            no_data: head.no_data,
        }
    }

    fn item(&self, tid: Tid, seq: u64) -> Item {
        let location = Location { file: self.segment, length: self.length, offset: self.offset };
        let entry = ObjectEntry {
            partition: self.partition,
            oid: self.oid,
            flags: if self.no_data { ItemFlags::NO_DATA } else { ItemFlags::NONE },
            data_tid: self.has_data_tid.then_some(self.data_tid),
            location: Some(location),
        };
        entry.item(tid, seq)
    }

    fn key(&self) -> (PartitionId, Oid) {
        (self.partition, self.oid)
    }

    fn position(&self) -> Position {
        Position { segment: self.segment, offset: self.offset }
    }
}

impl Commits {
    /// A segment begins. A process that ends takes its transactions with it, if they are not voted.
    pub(super) fn segment(&mut self, epoch: u32) {
        if epoch > self.epoch {
            self.epoch = epoch;
            self.transactions.retain(|_, pending| pending.vote.is_some());
        }
    }

    /// Follows one record. Fails if it does not fit what came before.
    pub(super) fn record(
        &mut self,
        location: Location,
        record: Record,
        sink: Sink<'_>,
    ) -> Decoded<()> {
        match record {
            Record::Object(head) => self.object(&head, location, sink),
            Record::Vote(vote) => return self.vote(&vote, location, sink),
            Record::Lock { ttid, tid } => return self.lock(ttid, tid),
            Record::Unlock { ttid, tid, seq } => return self.unlock(ttid, tid, seq, sink),
            Record::Abort { ttid } => {
                self.transactions.remove(&ttid);
            }
            Record::Transaction { partition, tid, seq, transaction } => {
                let ttid = transaction.ttid;
                sink(Order::Transactions, &transaction_item(partition, tid, seq, ttid, location));
            }
            Record::Truncate { tid, seq } => self.intents.push(Intent::Truncate { tid, seq }),
            Record::Drop { partition, seq } => {
                let position = Position { segment: location.file, offset: location.offset };
                self.intents.push(Intent::Drop { partition, seq, position });
            }
            Record::Delete { seq, deleted } => {
                for one in deleted {
                    delete(&one, seq, sink);
                }
            }
            Record::Metadata(edits) => self.edit(&edits),
        }
        Ok(())
    }

    /// Compares what the log has led to so far with what a checkpoint at this place says.
    pub(super) fn check(&self, checkpoint: &Checkpoint) -> Decoded<()> {
        let voted = self.transactions.iter().filter_map(|(ttid, pending)| {
            let vote = pending.vote?;
            Some((*ttid, InDoubt { ttid: *ttid, vote: vote.location, tid: vote.tid }))
        });
        let said: BTreeMap<Ttid, InDoubt> =
            checkpoint.in_doubt.iter().map(|in_doubt| (in_doubt.ttid, *in_doubt)).collect();
        if voted.collect::<BTreeMap<_, _>>() != said {
            return malformed("a checkpoint with the log's transactions in doubt");
        }
        let mut metadata = Metadata::default();
        metadata.apply(&checkpoint.metadata);
        let agrees = |key: &MetadataKey| metadata.get(*key) == self.metadata.get(*key);
        if !self.edited.iter().all(agrees) {
            return malformed("a checkpoint with the log's node metadata");
        }
        let is_of_the_log = |intent: &Intent| self.intents.iter().any(|i| same(i, intent));
        match checkpoint.intents.iter().all(is_of_the_log) {
            true => Ok(()),
            false => malformed("a checkpoint with intents of the log"),
        }
    }

    fn object(&mut self, head: &ObjectHead, location: Location, sink: Sink<'_>) {
        let stored = Stored::new(head, location);
        match head.id {
            ObjectId::Pending(ttid) => {
                let pending = self.transactions.entry(ttid).or_default();
                if pending.vote.is_none() {
                    pending.objects.push(stored);
                }
            }
            ObjectId::Committed { tid, seq } => give(&stored, tid, seq, sink),
        }
    }

    fn vote(&mut self, vote: &Vote, location: Location, sink: Sink<'_>) -> Decoded<()> {
        let pending = self.transactions.entry(vote.ttid).or_default();
        if pending.vote.is_some() {
            return malformed("one vote of a transaction");
        }
        // The first may be of one with the same ttid that was aborted before its vote.
        let count = usize::try_from(vote.objects).unwrap_or(usize::MAX);
        let Some(others) = pending.objects.len().checked_sub(count) else {
            return malformed("all objects of a voted transaction");
        };
        pending.objects.drain(..others);
        let is_within = |object: &Stored| {
            let (start, end) = (object.offset, object.offset + u64::from(object.length));
            vote.extents.iter().any(|extent| {
                extent.segment == object.segment && extent.start <= start && end <= extent.end
            })
        };
        let are_within = pending.objects.iter().all(is_within);
        // Of several records of an object the last counts.
        pending.objects.sort_by_key(|object| (object.key(), std::cmp::Reverse(object.position())));
        pending.objects.dedup_by_key(|object| object.key());
        pending.objects.retain(|object| !vote.cancelled.contains(&object.key()));
        pending.vote = Some(Voted {
            location,
            partition: vote.partition,
            has_metadata: vote.transaction.is_some(),
            tid: None,
        });
        if let Some(transaction) = &vote.transaction {
            self.compare_lists(transaction, vote.ttid, location);
        }
        if let Some((tid, seq)) = vote.committed {
            self.commit(vote.ttid, tid, seq, sink);
        }
        match are_within {
            true => Ok(()),
            false => malformed("extents that hold all objects of a voted transaction"),
        }
    }

    /// How the oids that a transaction lists and its objects agree.
    fn compare_lists(&mut self, transaction: &Transaction, ttid: Ttid, location: Location) {
        let Some(pending) = self.transactions.get(&ttid) else { return };
        let mut listed = transaction.oids.clone();
        listed.sort_unstable();
        listed.dedup();
        let is_listed = |object: &&Stored| listed.binary_search(&object.oid).is_ok();
        let mut here: Vec<Oid> = pending.objects.iter().filter(is_listed).map(|o| o.oid).collect();
        here.sort_unstable();
        here.dedup();
        self.totals.listed_oids += listed.len() as u64;
        self.totals.listed_oids_elsewhere += (listed.len() - here.len()) as u64;
        for object in pending.objects.iter().filter(|object| !is_listed(object)) {
            self.unlisted_count += 1;
            if self.unlisted.len() < UNLISTED_MAX {
                self.unlisted.push((location, *object));
            }
        }
    }

    fn lock(&mut self, ttid: Ttid, tid: Tid) -> Decoded<()> {
        match self.transactions.get_mut(&ttid).and_then(|pending| pending.vote.as_mut()) {
            Some(vote) => {
                vote.tid = Some(tid);
                Ok(())
            }
            None => malformed("the vote of what is locked"),
        }
    }

    fn unlock(&mut self, ttid: Ttid, tid: Tid, seq: u64, sink: Sink<'_>) -> Decoded<()> {
        let vote = self.transactions.get(&ttid).and_then(|pending| pending.vote);
        match vote.map(|vote| vote.tid) {
            Some(Some(locked)) if locked == tid => {
                self.commit(ttid, tid, seq, sink);
                Ok(())
            }
            _ => malformed("the lock of what is unlocked"),
        }
    }

    fn commit(&mut self, ttid: Ttid, tid: Tid, seq: u64, sink: Sink<'_>) {
        let Some(pending) = self.transactions.remove(&ttid) else { return };
        for object in &pending.objects {
            if !self.is_dropped(object) {
                give(object, tid, seq, sink);
            }
        }
        if let Some(vote) = pending.vote
            && vote.has_metadata
        {
            let item = transaction_item(vote.partition, tid, seq, ttid, vote.location);
            sink(Order::Transactions, &item);
        }
    }

    /// Whether an object was stored before its partition was dropped.
    fn is_dropped(&self, object: &Stored) -> bool {
        self.intents.iter().any(|intent| {
            matches!(intent, Intent::Drop { partition, position, .. }
                if *partition == object.partition && object.position() < *position)
        })
    }

    fn edit(&mut self, edits: &[MetadataEdit]) {
        self.metadata.apply(edits);
        self.edited.extend(edits.iter().map(|edit| edit.key));
    }
}

/// Whether two intents say the same, wherever they stand.
fn same(left: &Intent, right: &Intent) -> bool {
    match (left, right) {
        (Intent::Drop { partition: a, seq: b, .. }, Intent::Drop { partition: c, seq: d, .. }) => {
            (a, b) == (c, d)
        }
        _ => left == right,
    }
}

fn give(object: &Stored, tid: Tid, seq: u64, sink: Sink<'_>) {
    let item = object.item(tid, seq);
    sink(Order::Objects, &item);
    sink(Order::ByTid, &by_tid(&item));
}

/// The same object in the order of tids.
fn by_tid(item: &Item) -> Item {
    let key = Key { a: item.key.a, b: !item.key.c, c: item.key.b, seq: item.key.seq };
    Item { key, flags: item.flags, ..Item::default() }
}

fn delete(deleted: &Deleted, seq: u64, sink: Sink<'_>) {
    let flags = ItemFlags::TOMBSTONE;
    match *deleted {
        Deleted::Revision { partition, oid, tid } => {
            let key = Key { a: partition.get(), b: oid.get(), c: !tid.get(), seq };
            let item = Item { key, flags, ..Item::default() };
            sink(Order::Objects, &item);
            sink(Order::ByTid, &by_tid(&item));
        }
        Deleted::Transaction { partition, tid } => {
            let key = Key { a: partition.get(), b: tid.get(), c: 0, seq };
            sink(Order::Transactions, &Item { key, flags, ..Item::default() });
        }
    }
}
