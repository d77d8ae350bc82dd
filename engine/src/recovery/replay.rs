//! Does again what the log says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{Tid, Ttid};

use super::SegmentMap;
use super::extents::objects_of;
use crate::database::{Pending, State, entry, insert_deleted, transaction_item};
use crate::error::{Error, Result};
use crate::format::{
    Checkpoint, Decoded, InDoubt, Intent, Location, Metadata, ObjectHead, ObjectId, Position,
    Record, Vote, malformed,
};
use crate::log::GroupRef;
use crate::memtable::ObjectEntry;
use crate::run::read_exact;
use crate::version::Version;

/// The state that the log leads to.
pub(crate) struct Replay<'a> {
    pub(crate) version: Version,
    /// Those that are voted.
    pub(crate) transactions: BTreeMap<Ttid, Pending>,
    /// Objects of those that are not, in the order of the log.
    open: BTreeMap<Ttid, Vec<ObjectEntry>>,
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
            open: BTreeMap::new(),
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
                record => self.record(record, location),
            }
        });
        if let Some(error) = votes.pop() {
            return Err(error);
        }
        done.map_err(|m| self.damaged(group.start.segment, at, m.expected))
    }

    fn record(&mut self, record: Record, location: Location) -> Decoded<()> {
        match record {
            Record::Object(head) => self.object(&head, location),
            Record::Vote(_) => unreachable!("votes are done by themselves"),
            Record::Lock { ttid, tid } => {
                let Some(pending) = self.transactions.get_mut(&ttid) else {
                    return malformed("the vote of what is locked");
                };
                let (State::Voted { vote } | State::Locked { vote, .. }) = pending.state else {
                    return malformed("the vote of what is locked");
                };
                pending.state = State::Locked { vote, tid };
                pending.written = Some((vote, Some(tid)));
            }
            Record::Unlock { ttid, tid, seq } => {
                let Some(mut pending) = self.transactions.remove(&ttid) else {
                    return malformed("the vote of what is unlocked");
                };
                let (State::Voted { vote } | State::Locked { vote, .. }) = pending.state else {
                    return malformed("the vote of what is unlocked");
                };
                self.commit(&mut pending, ttid, tid, seq, vote);
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
            }
            Record::Delete { seq, deleted } => {
                insert_deleted(&self.version.active, &deleted, seq);
                self.seen(seq);
            }
            Record::Metadata(edits) => self.metadata.apply(&edits),
        }
        Ok(())
    }

    fn object(&mut self, head: &ObjectHead, location: Location) {
        let object = entry(head, location);
        match head.id {
            ObjectId::Pending(ttid) => {
                if !self.transactions.contains_key(&ttid) {
                    self.open.entry(ttid).or_default().push(object);
                }
            }
            ObjectId::Committed { tid, seq } => {
                self.version.active.insert_objects(tid, seq, &[object]);
                self.seen(seq);
            }
        }
    }

    fn vote(&mut self, vote: Vote, location: Location) -> Result<()> {
        let ttid = vote.ttid;
        if self.transactions.contains_key(&ttid) {
            return Err(self.damaged(location.file, location.offset, "one vote of a transaction"));
        }
        let collected = self.open.remove(&ttid).unwrap_or_default();
        let mut objects = objects_of(self.segments, &vote, ttid, Some(self.start))?;
        objects.extend(collected);
        let mut pending = self.voted(&vote, location, objects)?;
        pending.state = State::Voted { vote: location };
        match vote.committed {
            Some((tid, seq)) => {
                self.commit(&mut pending, ttid, tid, seq, location);
            }
            None => {
                self.transactions.insert(ttid, pending);
            }
        }
        Ok(())
    }

    /// A voted transaction, of objects in the order of the log. Only the last ones are its own: the
    /// first may be of an earlier one with the same ttid, which was aborted or lost in a crash.
    fn voted(
        &self,
        vote: &Vote,
        location: Location,
        mut objects: Vec<ObjectEntry>,
    ) -> Result<Pending> {
        let count = usize::try_from(vote.objects).unwrap_or(usize::MAX);
        let Some(others) = objects.len().checked_sub(count) else {
            let expected = "all objects of a voted transaction";
            return Err(self.damaged(location.file, location.offset, expected));
        };
        objects.drain(..others);
        let bytes = length_of(&objects);
        let cancelled: BTreeSet<_> = vote.cancelled.iter().copied().collect();
        let objects = objects.into_iter().map(|object| ((object.partition, object.oid), object));
        Ok(Pending {
            written: Some((location, None)),
            partition: vote.partition,
            has_metadata: vote.transaction.is_some(),
            bytes,
            objects: objects.filter(|(key, _)| !cancelled.contains(key)).collect(),
            extents: vote.extents.clone(),
            records: vote.objects,
            ..Pending::default()
        })
    }

    fn commit(&mut self, pending: &mut Pending, ttid: Ttid, tid: Tid, seq: u64, vote: Location) {
        pending.take_dropped(&self.version.intents);
        let table = &self.version.active;
        let objects: Vec<_> = pending.objects.values().copied().collect();
        table.insert_objects(tid, seq, &objects);
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
        let objects = objects_of(self.segments, &vote, in_doubt.ttid, None)?;
        let mut pending = self.voted(&vote, location, objects)?;
        pending.written = Some((location, in_doubt.tid));
        pending.state = match in_doubt.tid {
            None => State::Voted { vote: location },
            Some(tid) => State::Locked { vote: location, tid },
        };
        self.transactions.insert(in_doubt.ttid, pending);
        Ok(())
    }

    /// Transactions that were not voted are gone with their process.
    pub(crate) fn forget_open(&mut self) {
        let open = std::mem::take(&mut self.open);
        self.garbage_bytes += open.values().map(|objects| length_of(objects)).sum::<u64>();
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

/// Bytes of the log that records take.
fn length_of(objects: &[ObjectEntry]) -> u64 {
    let locations = objects.iter().filter_map(|object| object.location);
    locations.map(|location| u64::from(location.length)).sum()
}
