//! Transactions that clients have begun here and that are not over.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use model::{Nid, Oid, Tid, Ttid};
use net::LinkId;

use crate::operation::WriteRequest;

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
pub(crate) struct Transaction {
    /// The connection that it belongs to; `None` once that is lost (R7).
    pub(crate) link: Option<LinkId>,
    /// The client.
    pub(crate) nid: Nid,
    pub(crate) phase: Phase,
    /// The request that asked to vote.
    pub(crate) ballot: Option<u32>,
    pub(crate) writes: BTreeMap<Oid, Write>,
    /// Whether any of them is without a lock.
    pub(crate) has_lockless: bool,
    /// Objects of which the engine has a store.
    pub(crate) stored: BTreeSet<Oid>,
    /// Whether the engine knows of it.
    pub(crate) in_engine: bool,
    /// Objects of which a request is under way, with those that came later and wait for it:
    /// requests of one object are answered in the order in which they came.
    pub(crate) active: BTreeMap<Oid, VecDeque<WriteRequest>>,
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
            ballot: None,
            writes: BTreeMap::new(),
            has_lockless: false,
            stored: BTreeSet::new(),
            in_engine: false,
            active: BTreeMap::new(),
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

    /// Whether its vote is being made durable, as that request asked for.
    pub(crate) fn votes_for(&self, link: LinkId, id: u32) -> bool {
        self.phase == Phase::Voting && self.link == Some(link) && self.ballot == Some(id)
    }

    /// Whether it has stored an object.
    pub(crate) fn stores(&self, oid: Oid) -> bool {
        self.writes.get(&oid).is_some_and(|write| write.is_store)
    }

    /// Takes a request in: it comes back if it can go on at once.
    pub(crate) fn begin(&mut self, oid: Oid, request: WriteRequest) -> Option<WriteRequest> {
        match self.active.entry(oid) {
            Entry::Vacant(entry) => {
                entry.insert(VecDeque::new());
                Some(request)
            }
            Entry::Occupied(mut entry) => {
                entry.get_mut().push_back(request);
                None
            }
        }
    }

    /// Requests of an object that wait for an earlier one.
    pub(crate) fn deferred(&self, oid: Oid) -> usize {
        self.active.get(&oid).map_or(0, VecDeque::len)
    }

    /// A request of an object was answered. The next one, if one waited.
    pub(crate) fn finish(&mut self, oid: Oid) -> Option<WriteRequest> {
        let next = self.active.get_mut(&oid).and_then(VecDeque::pop_front);
        if next.is_none() {
            self.active.remove(&oid);
        }
        next
    }
}

/// Why a transaction cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// It belongs to another connection, or to one that was lost.
    OtherLink,
    /// It is voted already.
    Voted,
    /// The client has too many others.
    TooMany,
}

impl Refusal {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::OtherLink => "the transaction belongs to another connection",
            Self::Voted => "the transaction is voted already",
            Self::TooMany => "a client has at most 65536 transactions at a time",
        }
    }
}

/// Transactions of one client: as many as a master lets it have.
const CLIENT_TRANSACTIONS_MAX: usize = 1 << 16;
/// Transactions lost with their connection that are remembered, so that they are not begun again
/// in part. Clients do not do that, so few are enough.
const LOST_MAX: usize = 1024;
/// Transactions that the master aborted and that are remembered: a connection of which only one
/// side knows that it is broken lasts some minutes at most.
const ABORTED_MAX: usize = 1 << 16;

/// All transactions, by ttid.
#[derive(Default)]
pub(crate) struct Transactions {
    transactions: BTreeMap<Ttid, Transaction>,
    /// Aborted when their connections were lost.
    lost: BTreeSet<Ttid>,
    /// Aborted by the master, and not by their clients yet; with the newest connection then.
    aborted: BTreeMap<Ttid, LinkId>,
    /// Aborted by their clients, and not by the master yet.
    given_up: BTreeSet<Ttid>,
    /// How many each client has.
    counts: BTreeMap<Nid, usize>,
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
        let transaction = match self.transactions.entry(ttid) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let count = self.counts.entry(nid).or_default();
                if *count >= CLIENT_TRANSACTIONS_MAX {
                    return Err(Refusal::TooMany);
                }
                *count += 1;
                entry.insert(Transaction::new(link, nid))
            }
        };
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
        let removed = self.transactions.remove(&ttid)?;
        if let Some(count) = self.counts.get_mut(&removed.nid) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&removed.nid);
            }
        }
        Some(removed)
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

    /// The master says that a transaction is aborted. What the client had sent before may still
    /// come on connections up to `newest`, and begins it again, until the client has said the same.
    pub(crate) fn note_aborted(&mut self, ttid: Ttid, newest: LinkId) {
        if self.given_up.remove(&ttid) {
            return;
        }
        self.aborted.insert(ttid, newest);
        if self.aborted.len() > ABORTED_MAX {
            self.aborted.pop_first();
        }
    }

    /// The client says so, behind all that it had sent: whatever comes with this ttid afterwards
    /// was begun again, as is possible with one that the client chose.
    pub(crate) fn note_given_up(&mut self, ttid: Ttid) {
        if self.aborted.remove(&ttid).is_some() {
            return;
        }
        self.given_up.insert(ttid);
        if self.given_up.len() > ABORTED_MAX {
            self.given_up.pop_first();
        }
    }

    /// Whether the master has said that a transaction is aborted, which a client has on this
    /// connection. On a later one it was begun again.
    pub(crate) fn is_aborted(&self, ttid: Ttid, link: LinkId) -> bool {
        self.aborted.get(&ttid).is_some_and(|newest| link <= *newest)
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.transactions.clear();
        self.lost.clear();
        self.aborted.clear();
        self.given_up.clear();
        self.counts.clear();
    }
}

#[cfg(test)]
mod tests {
    use model::NodeType;

    use super::*;

    #[test]
    fn r25_a_client_has_only_so_many_transactions() {
        let mut all = Transactions::default();
        let client =
            |number| (LinkId::accepted(u64::from(number)), Nid::of(NodeType::Client, number));
        let max = CLIENT_TRANSACTIONS_MAX as u64;
        let open = |all: &mut Transactions, number: u32, ttid: u64| {
            let (link, nid) = client(number);
            all.open(Ttid::new(ttid), link, nid).map(|_| ()).err()
        };
        for ttid in 1..=max {
            assert_eq!(open(&mut all, 1, ttid), None);
        }
        assert_eq!(open(&mut all, 1, max + 1), Some(Refusal::TooMany));
        assert_eq!(open(&mut all, 1, max), None, "one that it has");
        assert_eq!(open(&mut all, 2, max + 1), None, "another client");
        all.remove(Ttid::new(1));
        assert_eq!(open(&mut all, 1, max + 2), None, "one is over");
        assert_eq!(open(&mut all, 1, max + 3), Some(Refusal::TooMany));
    }
}
