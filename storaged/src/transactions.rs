//! Transactions that clients have begun here and that are not over.

use std::collections::{BTreeMap, BTreeSet};

use model::{Nid, Oid, Tid, Ttid};
use net::LinkId;

/// What a transaction stored or checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Write {
    /// The revision it is based on.
    pub(crate) serial: Tid,
    /// Whether there is something to store: false for a check.
    pub(crate) is_store: bool,
    /// Of an undo: the revision whose data it is.
    pub(crate) data_serial: Option<Tid>,
    /// Taken without a lock, as the cell is not readable: readable ones decide.
    pub(crate) lockless: bool,
}

/// How far a transaction has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// It stores and checks.
    Open,
    /// Its vote is being made durable.
    Voting,
    /// It can be committed.
    Voted,
    /// It has its tid: it only goes forward.
    Locked(Tid),
    /// It is committed, and about to be shown.
    Unlocking(Tid),
}

/// A transaction.
#[derive(Debug)]
pub(crate) struct Transaction {
    /// The connection that it belongs to; `None` once that is lost (R7).
    pub(crate) link: Option<LinkId>,
    /// The client.
    pub(crate) nid: Nid,
    pub(crate) phase: Phase,
    pub(crate) writes: BTreeMap<Oid, Write>,
    /// The last store of each object that the engine has.
    pub(crate) stored: BTreeMap<Oid, u64>,
    /// Whether the engine knows of it.
    pub(crate) in_engine: bool,
    /// Stores and checks that are not answered, by object.
    pub(crate) unanswered: BTreeMap<Oid, usize>,
    /// Objects for which the client was told of a deadlock, and did not relock yet.
    pub(crate) notified: BTreeSet<Oid>,
    /// A pack order rides on it.
    pub(crate) has_pack: bool,
}

impl Transaction {
    fn new(link: LinkId, nid: Nid) -> Self {
        Self {
            link: Some(link),
            nid,
            phase: Phase::Open,
            writes: BTreeMap::new(),
            stored: BTreeMap::new(),
            in_engine: false,
            unanswered: BTreeMap::new(),
            notified: BTreeSet::new(),
            has_pack: false,
        }
    }

    /// The tid, once there is one.
    pub(crate) fn tid(&self) -> Option<Tid> {
        match self.phase {
            Phase::Locked(tid) | Phase::Unlocking(tid) => Some(tid),
            Phase::Open | Phase::Voting | Phase::Voted => None,
        }
    }

    /// Objects that it stored.
    pub(crate) fn stores(&self) -> impl Iterator<Item = Oid> {
        self.writes.iter().filter(|(_, write)| write.is_store).map(|(oid, _)| *oid)
    }

    /// One more request for an object is to be answered.
    pub(crate) fn asked(&mut self, oid: Oid) {
        *self.unanswered.entry(oid).or_default() += 1;
    }

    /// One was answered.
    pub(crate) fn answered(&mut self, oid: Oid) {
        if let Some(count) = self.unanswered.get_mut(&oid) {
            *count -= 1;
            if *count == 0 {
                self.unanswered.remove(&oid);
            }
        }
    }
}

/// Why a transaction cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// It belongs to another connection, or to one that was lost.
    OtherLink,
    /// It is voted already.
    Voted,
}

impl Refusal {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::OtherLink => "the transaction belongs to another connection",
            Self::Voted => "the transaction is voted already",
        }
    }
}

/// Transactions lost with their connection that are remembered, so that they are not begun again
/// in part. Clients do not do that, so few are enough.
const LOST_MAX: usize = 1024;

/// All transactions, by ttid.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    transactions: BTreeMap<Ttid, Transaction>,
    /// Aborted when their connections were lost.
    lost: BTreeSet<Ttid>,
    stores: u64,
}

impl Transactions {
    /// The transaction of a client, new or known, if it can still store.
    pub(crate) fn open(
        &mut self,
        ttid: Ttid,
        link: LinkId,
        nid: Nid,
    ) -> Result<&mut Transaction, Refusal> {
        if self.lost.contains(&ttid) {
            return Err(Refusal::OtherLink);
        }
        let transaction =
            self.transactions.entry(ttid).or_insert_with(|| Transaction::new(link, nid));
        if transaction.link != Some(link) {
            return Err(Refusal::OtherLink);
        }
        match transaction.phase {
            Phase::Open => Ok(transaction),
            _ => Err(Refusal::Voted),
        }
    }

    pub(crate) fn get(&self, ttid: Ttid) -> Option<&Transaction> {
        self.transactions.get(&ttid)
    }

    pub(crate) fn get_mut(&mut self, ttid: Ttid) -> Option<&mut Transaction> {
        self.transactions.get_mut(&ttid)
    }

    pub(crate) fn remove(&mut self, ttid: Ttid) -> Option<Transaction> {
        self.transactions.remove(&ttid)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Ttid, &Transaction)> {
        self.transactions.iter().map(|(ttid, transaction)| (*ttid, transaction))
    }

    /// Those for which something holds.
    pub(crate) fn filter(&self, matches: impl Fn(&Transaction) -> bool) -> Vec<Ttid> {
        self.iter().filter(|(_, found)| matches(found)).map(|(ttid, _)| ttid).collect()
    }

    /// The connection of a transaction was lost: its link is not to come back.
    pub(crate) fn lose(&mut self, ttid: Ttid) {
        self.lost.insert(ttid);
        if self.lost.len() > LOST_MAX {
            self.lost.pop_first();
        }
    }

    /// A number for the next store.
    pub(crate) fn next_store(&mut self) -> u64 {
        self.stores += 1;
        self.stores
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.transactions.clear();
        self.lost.clear();
    }
}
