//! Transactions that are not committed yet.

use bytes::Bytes;
use model::{Oid, PartitionId, Tid, Ttid};

use crate::format::{Compression, Extent, InDoubt, Location, ObjectHead, ObjectId, Position};
use crate::memtable::ObjectEntry;
use crate::format::ItemFlags;

/// An object to be stored.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ObjectData {
    /// How `data` is coded.
    pub compression: Compression,
    /// SHA-1 of `data` as it came, if it did: it is then answered again without computing it.
    pub checksum: Option<[u8; 20]>,
    /// The data, `None` for a deletion or a creation undone.
    pub data: Option<Bytes>,
    /// NEO's label of an undo, kept for ever.
    pub data_tid: Option<Tid>,
}

impl ObjectData {
    pub(crate) fn head(&self, partition: PartitionId, oid: Oid, id: ObjectId) -> ObjectHead {
        ObjectHead {
            partition,
            oid,
            id,
            data_tid: self.data_tid,
            checksum: self.checksum,
            compression: self.compression,
            no_data: self.data.is_none(),
        }
    }
}

/// How far a transaction that is not committed has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TransactionState {
    /// Objects are being stored. It is gone after a crash.
    Open,
    /// Voted, durably.
    Voted,
    /// Locked: it has a tid and only goes forward.
    Locked(Tid),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    Open,
    /// The vote is being written.
    Voting { vote: Location },
    Voted { vote: Location },
    Locked { vote: Location, tid: Tid },
    /// Applied; kept until the record of it is written.
    Unlocked { vote: Location, tid: Tid },
    /// Committed in one step, or aborted; kept until the record of it is written.
    Ending,
}

/// A transaction that is not committed.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) state: State,
    /// Partition of its metadata.
    pub(crate) partition: PartitionId,
    pub(crate) has_metadata: bool,
    /// In the order of the log; of several of an object the last counts.
    pub(crate) objects: Vec<ObjectEntry>,
    pub(crate) extents: Vec<Extent>,
    pub(crate) cancelled: Vec<(PartitionId, Oid)>,
    /// Something of it was not written.
    pub(crate) broken: bool,
    /// Bytes of the log that it takes.
    pub(crate) bytes: u64,
}

impl Default for Pending {
    fn default() -> Self {
        Self {
            state: State::Open,
            partition: PartitionId::default(),
            has_metadata: false,
            objects: Vec::new(),
            extents: Vec::new(),
            cancelled: Vec::new(),
            broken: false,
            bytes: 0,
        }
    }
}

impl Pending {
    /// Takes note of an object in a group that begins at `group`.
    pub(crate) fn add(&mut self, head: &ObjectHead, location: Location, group: Position) {
        self.objects.push(ObjectEntry {
            partition: head.partition,
            oid: head.oid,
            flags: if head.no_data { ItemFlags::NO_DATA } else { ItemFlags::NONE },
            data_tid: head.data_tid,
            location: Some(location),
        });
        self.bytes += u64::from(location.length);
        let end = location.offset + u64::from(location.length);
        match self.extents.last_mut() {
            Some(extent) if extent.segment == group.segment => extent.end = end,
            _ => {
                self.extents.push(Extent { segment: group.segment, start: group.offset, end });
            }
        }
    }

    /// Leaves out objects that were stored again later, and sorts by (partition, oid).
    pub(crate) fn settle(&mut self) {
        self.objects.sort_by_key(|object| (object.partition, object.oid));
        let mut kept: Vec<ObjectEntry> = Vec::with_capacity(self.objects.len());
        for object in self.objects.drain(..) {
            match kept.last_mut() {
                Some(last) if (last.partition, last.oid) == (object.partition, object.oid) => {
                    *last = object;
                }
                _ => kept.push(object),
            }
        }
        self.objects = kept;
    }

    pub(crate) fn in_doubt(&self, ttid: Ttid) -> Option<InDoubt> {
        match self.state {
            State::Voted { vote } => Some(InDoubt { ttid, vote, tid: None }),
            State::Locked { vote, tid } | State::Unlocked { vote, tid } => {
                Some(InDoubt { ttid, vote, tid: Some(tid) })
            }
            State::Open | State::Voting { .. } | State::Ending => None,
        }
    }

    pub(crate) fn public_state(&self) -> Option<TransactionState> {
        match self.state {
            State::Open | State::Voting { .. } => Some(TransactionState::Open),
            State::Voted { .. } => Some(TransactionState::Voted),
            State::Locked { tid, .. } => Some(TransactionState::Locked(tid)),
            State::Unlocked { .. } | State::Ending => None,
        }
    }
}
