//! Transactions that are not committed yet.

use std::collections::BTreeMap;

use bytes::Bytes;
use model::{Oid, PartitionId, Tid, Ttid};

use crate::format::ItemFlags;
use crate::format::{
    Compression, Extent, InDoubt, Intent, Location, ObjectHead, ObjectId, Position,
};
use crate::memtable::ObjectEntry;

/// An object to be stored.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ObjectData {
    /// How `data` is coded.
    pub compression: Compression,
    /// SHA-1 of `data` as it came, if it did: it is then answered again without computing it.
    pub checksum: Option<[u8; 20]>,
    /// CRC-32C of `data`, if it is known already: then long data is not read again to write it.
    pub crc: Option<u32>,
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
    Voting {
        vote: Location,
    },
    Voted {
        vote: Location,
    },
    Locked {
        vote: Location,
        tid: Tid,
    },
    /// Applied; kept until the record of it is written.
    Unlocked {
        tid: Tid,
        seq: u64,
    },
    /// Committed in one step, or aborted; kept until the record of it is written.
    Ending,
}

/// Objects of a transaction; of several stores of one, the last.
pub(crate) type Objects = BTreeMap<(PartitionId, Oid), ObjectEntry>;

/// A transaction that is not committed.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) state: State,
    /// What the log says of it so far as it is written: the vote, and the tid if it is locked.
    pub(crate) written: Option<(Location, Option<Tid>)>,
    /// Partition of its metadata.
    pub(crate) partition: PartitionId,
    pub(crate) has_metadata: bool,
    pub(crate) objects: Objects,
    pub(crate) extents: Vec<Extent>,
    /// Objects that were appended for it, those stored again or withdrawn included.
    pub(crate) records: u64,
    /// What was left out when it was unlocked, since its partition had been dropped.
    pub(crate) left_out: Objects,
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
            written: None,
            partition: PartitionId::default(),
            has_metadata: false,
            objects: Objects::new(),
            extents: Vec::new(),
            records: 0,
            left_out: Objects::new(),
            cancelled: Vec::new(),
            broken: false,
            bytes: 0,
        }
    }
}

impl Pending {
    /// Takes note of an object in a group that begins at `group`.
    pub(crate) fn add(&mut self, head: &ObjectHead, location: Location, group: Position) {
        self.objects.insert((head.partition, head.oid), entry(head, location));
        self.records += 1;
        self.bytes += u64::from(location.length);
        let end = location.offset + u64::from(location.length);
        match self.extents.last_mut() {
            Some(extent) if extent.segment == group.segment => extent.end = end,
            _ => {
                self.extents.push(Extent { segment: group.segment, start: group.offset, end });
            }
        }
    }

    /// Objects that were withdrawn and not stored again since.
    pub(crate) fn cancelled(&self) -> Vec<(PartitionId, Oid)> {
        self.cancelled.iter().filter(|key| !self.objects.contains_key(key)).copied().collect()
    }

    /// Takes out the objects that went with their partition.
    pub(crate) fn take_dropped(&mut self, intents: &[Intent]) -> Objects {
        let drops = intents.iter().any(|intent| matches!(intent, Intent::Drop { .. }));
        match drops {
            true => self.objects.extract_if(.., |_, object| is_dropped(intents, object)).collect(),
            false => Objects::new(),
        }
    }

    /// What a checkpoint has to say of it.
    pub(crate) fn in_doubt(&self, ttid: Ttid) -> Option<InDoubt> {
        self.written.map(|(vote, tid)| InDoubt { ttid, vote, tid })
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

/// What is indexed of a record.
pub(crate) fn entry(head: &ObjectHead, location: Location) -> ObjectEntry {
    ObjectEntry {
        partition: head.partition,
        oid: head.oid,
        flags: if head.no_data { ItemFlags::NO_DATA } else { ItemFlags::NONE },
        data_tid: head.data_tid,
        location: Some(location),
    }
}

/// Whether an object was stored before its partition was dropped.
pub(crate) fn is_dropped(intents: &[Intent], object: &ObjectEntry) -> bool {
    let place = object.location.unwrap_or_default();
    let place = Position { segment: place.file, offset: place.offset };
    intents.iter().any(|intent| {
        matches!(intent, Intent::Drop { partition, position, .. }
            if *partition == object.partition && place < *position)
    })
}
