//! Does again what the log says.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Tid, Ttid};

use super::SegmentMap;
use super::extents::objects_of;
use crate::database::{Pending, State, insert_deleted, transaction_item};
use crate::error::{Error, Result};
use crate::format::{
    Checkpoint, Decoded, InDoubt, Intent, ItemFlags, Location, Metadata, ObjectHead, ObjectId,
    Position, Record, Vote, malformed,
};
use crate::log::GroupRef;
use crate::memtable::ObjectEntry;
use crate::run::read_exact;
use crate::version::Version;

/// The state that the log leads to.
pub(crate) struct Replay<'a> {
    pub(crate) version: Version,
    pub(crate) transactions: BTreeMap<Ttid, Pending>,
    pub(crate) metadata: Metadata,
    pub(crate) next_seq: u64,
    pub(crate) garbage_bytes: u64,
    start: Position,
    segments: &'a SegmentMap,
}

impl<'a> Replay<'a> {
    /// What the checkpoint says.
    pub(crate) fn new(
        checkpoint: &Checkpoint,
        segments: &'a SegmentMap,
        version: Version,
    ) -> Result<Self> {
        let mut metadata = Metadata::default();
        metadata.apply(&checkpoint.metadata);
        let mut replay = Self {
            version,
            transactions: BTreeMap::new(),
            metadata,
            next_seq: checkpoint.next_seq,
            garbage_bytes: checkpoint.garbage_bytes,
            start: checkpoint.replay,
            segments,
        };
        for in_doubt in &checkpoint.in_doubt {
            replay.load_in_doubt(in_doubt)?;
        }
        Ok(replay)
    }

    /// Does one group.
    pub(crate) fn group(&mut self, group: &GroupRef) -> Result<()> {
        let mut votes = Vec::new();
        let mut at = 0;
        let done = group.each(|location, raw| {
            at = location.offset;
            match raw.decode()? {
                // Votes may need to read elsewhere, which can fail in other ways.
                Record::Vote(vote) => {
                    let done = self.vote(vote, location);
                    votes.extend(done.err());
                    if votes.is_empty() { Ok(()) } else { malformed("a vote") }
                }
                record => self.record(record, location, group.start),
            }
        });
        if let Some(error) = votes.pop() {
            return Err(error);
        }
        done.map_err(|m| self.damaged(group.start.segment, at, m.expected))
    }

    fn record(&mut self, record: Record, location: Location, group: Position) -> Decoded<()> {
        match record {
            Record::Object(head) => self.object(&head, location, group),
            Record::Vote(_) => unreachable!("votes are done by themselves"),
            Record::Lock { ttid, tid } => {
                let Some(pending) = self.transactions.get_mut(&ttid) else {
                    return malformed("the vote of what is locked");
                };
                pending.state = match pending.state {
                    State::Voted { vote } | State::Locked { vote, .. } => {
                        State::Locked { vote, tid }
                    }
                    _ => return malformed("the vote of what is locked"),
                };
            }
            Record::Unlock { ttid, tid, seq } => {
                let Some(mut pending) = self.transactions.remove(&ttid) else {
                    return malformed("the vote of what is unlocked");
                };
                let (State::Voted { vote } | State::Locked { vote, .. }) = pending.state else {
                    return malformed("the vote of what is unlocked");
                };
                pending.settle();
                self.commit(&pending, ttid, tid, seq, vote);
            }
            Record::Abort { ttid } => {
                if let Some(pending) = self.transactions.remove(&ttid) {
                    self.garbage_bytes += pending.bytes;
                }
            }
            Record::Transaction { partition, tid, seq, transaction } => {
                let item = transaction_item(partition, tid, seq, transaction.ttid, location);
                self.version.active.insert_transaction(&item);
                self.seen(seq);
            }
            Record::Truncate { tid, seq } => {
                self.intend(Intent::Truncate { tid, seq });
            }
            Record::Drop { partition, seq } => {
                let position = Position { segment: location.file, offset: location.offset };
                self.intend(Intent::Drop { partition, seq, position });
                for pending in self.transactions.values_mut() {
                    pending.objects.retain(|object| object.partition != partition);
                }
            }
            Record::Delete { seq, deleted } => {
                insert_deleted(&self.version.active, &deleted, seq);
                self.seen(seq);
            }
            Record::Metadata(edits) => self.metadata.apply(&edits),
        }
        Ok(())
    }

    fn object(&mut self, head: &ObjectHead, location: Location, group: Position) {
        match head.id {
            ObjectId::Pending(ttid) => {
                let pending = self.transactions.entry(ttid).or_default();
                if pending.state == State::Open {
                    pending.add(head, location, group);
                }
            }
            ObjectId::Committed { tid, seq } => {
                let entry = ObjectEntry {
                    partition: head.partition,
                    oid: head.oid,
                    flags: if head.no_data { ItemFlags::NO_DATA } else { ItemFlags::NONE },
                    data_tid: head.data_tid,
                    location: Some(location),
                };
                self.version.active.insert_objects(tid, seq, &[entry]);
                self.seen(seq);
            }
        }
    }

    fn vote(&mut self, vote: Vote, location: Location) -> Result<()> {
        let ttid = vote.ttid;
        let pending = self.transactions.entry(ttid).or_default();
        if pending.state != State::Open {
            return Err(self.damaged(location.file, location.offset, "one vote of a transaction"));
        }
        let collected = std::mem::take(&mut pending.objects);
        let mut objects = objects_of(self.segments, &vote, ttid, Some(self.start))?;
        self.leave_out_dropped(&mut objects);
        objects.extend(collected);
        let Some(pending) = self.transactions.get_mut(&ttid) else { unreachable!("just there") };
        pending.objects = objects;
        pending.settle();
        pending
            .objects
            .retain(|object| !vote.cancelled.contains(&(object.partition, object.oid)));
        if pending.objects.len() as u64 != vote.objects {
            let expected = "all objects of a voted transaction";
            return Err(self.damaged(location.file, location.offset, expected));
        }
        pending.extents = vote.extents;
        pending.partition = vote.partition;
        pending.has_metadata = vote.transaction.is_some();
        pending.state = State::Voted { vote: location };
        if let Some((tid, seq)) = vote.committed
            && let Some(pending) = self.transactions.remove(&ttid)
        {
            self.commit(&pending, ttid, tid, seq, location);
        }
        Ok(())
    }

    fn commit(&mut self, pending: &Pending, ttid: Ttid, tid: Tid, seq: u64, vote: Location) {
        let table = &self.version.active;
        table.insert_objects(tid, seq, &pending.objects);
        if pending.has_metadata {
            let item = transaction_item(pending.partition, tid, seq, ttid, vote);
            table.insert_transaction(&item);
        }
        self.seen(seq);
    }

    /// A transaction that was voted before the checkpoint, by the place of its vote.
    fn load_in_doubt(&mut self, in_doubt: &InDoubt) -> Result<()> {
        let location = in_doubt.vote;
        let Some(segment) = self.segments.get(&location.file) else {
            let file = crate::log::segment_name(location.file);
            return Err(Error::MissingFile { file });
        };
        let length = location.length as usize;
        let bytes = read_exact(&*segment.file, &segment.path, location.offset, length)?;
        let raw = segment.record(&bytes, location.offset)?;
        let record = segment.sound(raw.decode(), location.offset)?;
        let Record::Vote(vote) = record else {
            return Err(self.damaged(location.file, location.offset, "a vote"));
        };
        let mut objects = objects_of(self.segments, &vote, in_doubt.ttid, None)?;
        objects.retain(|object| !vote.cancelled.contains(&(object.partition, object.oid)));
        self.leave_out_dropped(&mut objects);
        let mut pending = Pending {
            state: match in_doubt.tid {
                None => State::Voted { vote: location },
                Some(tid) => State::Locked { vote: location, tid },
            },
            partition: vote.partition,
            has_metadata: vote.transaction.is_some(),
            objects,
            extents: vote.extents,
            ..Pending::default()
        };
        pending.settle();
        self.transactions.insert(in_doubt.ttid, pending);
        Ok(())
    }

    fn leave_out_dropped(&self, objects: &mut Vec<ObjectEntry>) {
        for intent in self.version.intents.iter() {
            if let Intent::Drop { partition, position, .. } = intent {
                objects.retain(|object| {
                    let at = object.location.unwrap_or_default();
                    let at = Position { segment: at.file, offset: at.offset };
                    object.partition != *partition || at > *position
                });
            }
        }
    }

    fn intend(&mut self, intent: Intent) {
        Arc::make_mut(&mut self.version.intents).push(intent);
        self.seen(intent.seq());
    }

    fn seen(&mut self, seq: u64) {
        self.next_seq = self.next_seq.max(seq + 1);
    }

    fn damaged(&self, segment: u32, offset: u64, expected: &'static str) -> Error {
        let name = crate::log::segment_name(segment);
        let file = self.segments.get(&segment).map_or(name, |segment| segment.path.clone());
        Error::Damaged { file, offset, expected }
    }
}
