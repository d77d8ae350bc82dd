//! Store, vote, lock, unlock, abort, commit.

use bytes::Bytes;
use model::{Oid, PartitionId, Tid, Ttid};

use super::engine::{Completion, Engine, Op};
use super::pending::{ObjectData, Objects, Pending, State};
use crate::disk::Sync;
use crate::error::{Error, Result};
use crate::format::{
    BODY_LENGTH_MAX, EncodedOids, Item, Key, Location, ObjectId, Record, SealedOids, Transaction,
    Vote,
};
use crate::log::Class;
use crate::lookup::StoredLookup;

/// Greatest length of an object's data, in bytes.
pub(super) const OBJECT_LENGTH_MAX: usize = 1 << 30;
/// Bytes of the reserve that a voted transaction counts on: its lock and its unlock, each as a
/// group of its own.
pub(crate) const RESERVE_PER_VOTE: u64 = 2 * (64 + 16 + 24) + 64;

impl Engine {
    /// Appends an object of a transaction that is not voted. If the same object was stored before,
    /// this one counts.
    pub fn store(
        &mut self,
        ttid: Ttid,
        partition: PartitionId,
        oid: Oid,
        object: &ObjectData,
    ) -> Result<()> {
        let data = object.data.clone().unwrap_or_default();
        check_length("bytes of an object", data.len(), OBJECT_LENGTH_MAX)?;
        self.ready_for_ordinary()?;
        if let Some(pending) = self.transactions.get(&ttid)
            && pending.state != State::Open
        {
            return Err(Error::WrongState { ttid, expected: "open" });
        }
        let head = object.head(partition, oid, ObjectId::Pending(ttid));
        match self.log()?.append_object(&head, &data, object.crc) {
            Ok((location, group)) => {
                let pending = self.transactions.entry(ttid).or_default();
                pending.add(&head, location, group);
                self.pump()?;
                Ok(())
            }
            Err(error) => {
                self.transactions.entry(ttid).or_default().broken = true;
                Err(error)
            }
        }
    }

    /// Withdraws an object that an open transaction has stored.
    pub fn unstore(&mut self, ttid: Ttid, partition: PartitionId, oid: Oid) -> Result<()> {
        let pending = self.open_transaction(ttid)?;
        if pending.objects.remove(&(partition, oid)).is_some() {
            pending.cancelled.push((partition, oid));
        }
        Ok(())
    }

    /// Makes a transaction durable: its objects, and its metadata if this node keeps it (in
    /// `partition`, that of the ttid). Completes with the token.
    pub fn vote(
        &mut self,
        token: u64,
        ttid: Ttid,
        partition: PartitionId,
        transaction: Option<Transaction>,
    ) -> Result<()> {
        self.vote_with(token, ttid, partition, transaction, None)
    }

    /// The same with a list of oids that was encoded before; `transaction` has none.
    pub fn vote_encoded(
        &mut self,
        token: u64,
        ttid: Ttid,
        partition: PartitionId,
        transaction: Transaction,
        oids: EncodedOids,
    ) -> Result<()> {
        assert!(transaction.oids.is_empty(), "the oids are in one place");
        self.vote_with(token, ttid, partition, Some(transaction), Some(oids.seal()))
    }

    fn vote_with(
        &mut self,
        token: u64,
        ttid: Ttid,
        partition: PartitionId,
        transaction: Option<Transaction>,
        oids: Option<SealedOids>,
    ) -> Result<()> {
        self.ready_for_ordinary()?;
        let wanted = (self.votes() + 1) * RESERVE_PER_VOTE;
        if self.log()?.reserve() < wanted {
            // Unlocks that are written do not count on it any more.
            self.log()?.write_soon();
            self.pump()?;
            return Err(Error::Full { file: self.disk.path("") });
        }
        let op = |vote| Op::Vote { token, ttid, vote };
        let vote = self.append_vote(ttid, partition, (transaction, oids), None, op)?;
        if let Some(pending) = self.transactions.get_mut(&ttid) {
            pending.state = State::Voting { vote };
        }
        self.pump()?;
        Ok(())
    }

    /// Gives a voted transaction its tid. Completes with the token: at once on a node that
    /// does not keep its metadata, else when it is durable.
    pub fn lock(&mut self, token: u64, ttid: Ttid, tid: Tid) -> Result<()> {
        let Some(pending) = self.transactions.get(&ttid) else {
            return Err(Error::WrongState { ttid, expected: "voted" });
        };
        let vote = match pending.state {
            State::Voted { vote } => vote,
            State::Locked { tid: locked, .. } if locked == tid => {
                self.completions.push_back(Completion { token, result: Ok(()) });
                return Ok(());
            }
            _ => return Err(Error::WrongState { ttid, expected: "voted" }),
        };
        let sync = if pending.has_metadata { Sync::Data } else { Sync::None };
        self.ready_for_phase2()?;
        let op = Op::Lock { token: (sync == Sync::Data).then_some(token), ttid, tid };
        let record = Record::Lock { ttid, tid };
        self.log()?.append(&record, Class::Phase2, sync, Some(op))?;
        if let Some(pending) = self.transactions.get_mut(&ttid) {
            pending.state = State::Locked { vote, tid };
        }
        if sync == Sync::None {
            self.completions.push_back(Completion { token, result: Ok(()) });
        }
        self.pump()?;
        Ok(())
    }

    /// Commits a locked transaction: it becomes visible as soon as everything submitted before
    /// it is. Not synced: after a crash it is locked again.
    pub fn unlock(&mut self, ttid: Ttid) -> Result<()> {
        self.unlock_told(ttid, None)
    }

    /// Like [`Engine::unlock`]; completes with the token when it is visible.
    pub fn unlock_with(&mut self, token: u64, ttid: Ttid) -> Result<()> {
        self.unlock_told(ttid, Some(token))
    }

    fn unlock_told(&mut self, ttid: Ttid, token: Option<u64>) -> Result<()> {
        let Some(Pending { state: State::Locked { vote, tid }, .. }) = self.transactions.get(&ttid)
        else {
            return Err(Error::WrongState { ttid, expected: "locked" });
        };
        let (vote, tid) = (*vote, *tid);
        self.ready_for_phase2()?;
        let seq = self.next_seq;
        let record = Record::Unlock { ttid, tid, seq };
        let op = Op::Unlock { ttid, tid, seq };
        self.log()?.append(&record, Class::Phase2, Sync::None, Some(op))?;
        self.take_seq(true, token);
        if let Some(pending) = self.transactions.get_mut(&ttid) {
            pending.state = State::Unlocked { tid, seq };
            pending.left_out = pending.take_dropped(&self.version.intents);
            let objects = std::mem::take(&mut pending.objects);
            let item = pending
                .has_metadata
                .then(|| transaction_item(pending.partition, tid, seq, ttid, vote));
            self.apply(seq, tid, objects, item);
        }
        self.advance();
        self.pump()?;
        Ok(())
    }

    /// Forgets a transaction that is not locked. What it wrote is garbage.
    pub fn abort(&mut self, ttid: Ttid) -> Result<()> {
        let Some(pending) = self.transactions.get(&ttid) else { return Ok(()) };
        match pending.state {
            State::Open => self.forget(ttid, true),
            State::Voting { .. } | State::Voted { .. } => self.drop_voted(ttid)?,
            State::Locked { .. } | State::Unlocked { .. } | State::Ending => {
                return Err(Error::WrongState { ttid, expected: "unlocked" });
            }
        }
        Ok(())
    }

    /// Forgets a transaction even if it is locked: for one that the cluster decided on without this
    /// node, which gets what was decided by replication.
    pub fn disown(&mut self, ttid: Ttid) -> Result<()> {
        match self.transactions.get(&ttid).map(|pending| &pending.state) {
            Some(State::Locked { .. }) => self.drop_voted(ttid),
            _ => self.abort(ttid),
        }
    }

    fn drop_voted(&mut self, ttid: Ttid) -> Result<()> {
        self.ready_for_phase2()?;
        let op = Op::Abort { ttid };
        let record = Record::Abort { ttid };
        self.log()?.append(&record, Class::Phase2, Sync::None, Some(op))?;
        if let Some(pending) = self.transactions.get_mut(&ttid) {
            self.garbage_bytes += std::mem::take(&mut pending.bytes);
            pending.state = State::Ending;
        }
        self.pump()
    }

    /// Finds an object that an open transaction has stored. What was stored can be read once a
    /// [`Engine::sync`] behind it completed.
    pub fn stored(&self, ttid: Ttid, partition: PartitionId, oid: Oid) -> Option<StoredLookup> {
        let pending = self.transactions.get(&ttid)?;
        let entry = pending.objects.get(&(partition, oid))?;
        Some(StoredLookup::new(self.snapshot(), partition, oid, entry.location))
    }

    /// Commits an open transaction in one step: vote, lock and unlock as one record, one sync.
    /// Completes with the token when it is durable and visible.
    pub fn commit(
        &mut self,
        token: u64,
        ttid: Ttid,
        tid: Tid,
        partition: PartitionId,
        transaction: Option<Transaction>,
    ) -> Result<()> {
        self.ready_for_ordinary()?;
        let seq = self.next_seq;
        let has_metadata = transaction.is_some();
        let op = |_| Op::Commit { ttid, seq };
        let vote = self.append_vote(ttid, partition, (transaction, None), Some((tid, seq)), op)?;
        self.take_seq(false, Some(token));
        let mut objects = Objects::new();
        if let Some(pending) = self.transactions.get_mut(&ttid) {
            pending.state = State::Ending;
            pending.take_dropped(&self.version.intents);
            objects = std::mem::take(&mut pending.objects);
        }
        self.pump()?;
        // While the disk works, the items go into the table: nobody sees them yet.
        let item = has_metadata.then(|| transaction_item(partition, tid, seq, ttid, vote));
        self.apply(seq, tid, objects, item);
        Ok(())
    }

    fn append_vote(
        &mut self,
        ttid: Ttid,
        partition: PartitionId,
        (transaction, oids): (Option<Transaction>, Option<SealedOids>),
        committed: Option<(Tid, u64)>,
        op: impl FnOnce(Location) -> Op,
    ) -> Result<Location> {
        if let Some(transaction) = &transaction {
            check_transaction(transaction)?;
        }
        let length = oids.as_ref().map_or(0, |oids| oids.bytes.len());
        check_length("bytes of a list of oids", length, BODY_LENGTH_MAX / 4)?;
        self.transactions.entry(ttid).or_default();
        let pending = self.open_transaction(ttid)?;
        if pending.broken {
            return Err(Error::Broken { ttid });
        }
        pending.partition = partition;
        pending.has_metadata = transaction.is_some();
        let vote = Vote {
            ttid,
            partition,
            committed,
            transaction,
            oids,
            extents: pending.extents.clone(),
            objects: pending.records,
            cancelled: pending.cancelled(),
        };
        let record = Record::Vote(vote);
        let location = self.log()?.append_vote(&record, op)?;
        let Some(pending) = self.transactions.get_mut(&ttid) else { unreachable!("just found") };
        pending.bytes += u64::from(location.length);
        Ok(location)
    }

    fn open_transaction(&mut self, ttid: Ttid) -> Result<&mut Pending> {
        match self.transactions.get_mut(&ttid) {
            Some(pending) if pending.state == State::Open => Ok(pending),
            _ => Err(Error::WrongState { ttid, expected: "open" }),
        }
    }

    /// Transactions that count on the reserve.
    pub(super) fn votes(&self) -> u64 {
        let counts = |pending: &&Pending| {
            matches!(
                pending.state,
                State::Voting { .. }
                    | State::Voted { .. }
                    | State::Locked { .. }
                    | State::Unlocked { .. }
            )
        };
        self.transactions.values().filter(counts).count() as u64
    }
}

pub(crate) fn transaction_item(
    partition: PartitionId,
    tid: Tid,
    seq: u64,
    ttid: Ttid,
    location: Location,
) -> Item {
    Item {
        key: Key { a: partition.get(), b: tid.get(), c: 0, seq },
        extra: Some(ttid.get()),
        location: Some(location),
        ..Item::default()
    }
}

pub(super) fn check_transaction(transaction: &Transaction) -> Result<()> {
    let superseded: usize =
        transaction.superseded.iter().map(|s| s.data.as_ref().map_or(0, Bytes::len) + 32).sum();
    let order = transaction.pack_order.as_ref();
    let ordered = order.and_then(|order| order.oids.as_ref()).map_or(0, Vec::len);
    let length = transaction.user.len()
        + transaction.description.len()
        + transaction.extension.len()
        + 8 * (transaction.oids.len() + ordered)
        + superseded;
    check_length("bytes of a transaction's metadata", length, BODY_LENGTH_MAX / 2)
}

pub(super) fn check_length(what: &'static str, given: usize, limit: usize) -> Result<()> {
    if given > limit {
        return Err(Error::Limit { what, given: given as u64, limit: limit as u64 });
    }
    Ok(())
}
