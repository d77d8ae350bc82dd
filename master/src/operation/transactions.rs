//! The transactions that clients have begun.

use std::collections::{BTreeMap, BTreeSet};

use model::{Nid, Oid, PartitionId, Tid, Ttid};
use net::{LinkId, Oids};

/// A transaction that was asked to be finished: it only goes forward.
#[derive(Debug)]
pub(crate) struct Finish {
    pub(crate) tid: Tid,
    /// What other clients have to be told.
    pub(crate) oids: Oids,
    /// The greatest of them.
    pub(crate) oid_max: Option<Oid>,
    pub(crate) partitions: Vec<PartitionId>,
    /// The storages that take part, and those of them that have not locked it yet.
    pub(crate) involved: BTreeSet<Nid>,
    pub(crate) locking: BTreeSet<Nid>,
    /// The request to answer.
    pub(crate) request: u32,
}

/// One transaction.
#[derive(Debug)]
pub(crate) struct Transaction {
    /// The connection that it belongs to, and nobody else's; `None` once that is lost.
    pub(crate) client: Option<LinkId>,
    /// Storages with a greater number were not ready when it began: they do not have all of it.
    pub(crate) readiness: u64,
    /// Whether the client chose the tid.
    pub(crate) chosen: bool,
    /// Storages that the client could not write to, and that it is agreed to do without.
    pub(crate) failed: BTreeSet<Nid>,
    /// Storages that wait for its end to replicate.
    pub(crate) replicating: BTreeSet<Nid>,
    /// Requests of clients that want to know what becomes of it.
    pub(crate) outcome: Vec<(LinkId, u32)>,
    pub(crate) finish: Option<Finish>,
}

impl Transaction {
    pub(crate) fn new(client: LinkId, readiness: u64, chosen: bool) -> Self {
        Self {
            client: Some(client),
            readiness,
            chosen,
            failed: BTreeSet::new(),
            replicating: BTreeSet::new(),
            outcome: Vec::new(),
            finish: None,
        }
    }
}

/// All transactions by ttid, by connection, and, once they are being finished, by tid.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    by_ttid: BTreeMap<Ttid, Transaction>,
    by_client: BTreeMap<LinkId, BTreeSet<Ttid>>,
    by_tid: BTreeMap<Tid, Ttid>,
    /// Those that are to do without some storages.
    failed: BTreeSet<Ttid>,
    /// Those whose outcome somebody has asked for, by connection.
    asked: BTreeMap<LinkId, BTreeSet<Ttid>>,
}

impl Transactions {
    pub(crate) fn is_empty(&self) -> bool {
        self.by_ttid.is_empty()
    }

    /// Whether some are being finished.
    pub(crate) fn is_finishing(&self) -> bool {
        !self.by_tid.is_empty()
    }

    pub(crate) fn get_mut(&mut self, ttid: Ttid) -> Option<&mut Transaction> {
        self.by_ttid.get_mut(&ttid)
    }

    /// A transaction of this connection.
    pub(crate) fn of_client(&mut self, ttid: Ttid, client: LinkId) -> Option<&mut Transaction> {
        self.get_mut(ttid).filter(|transaction| transaction.client == Some(client))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Ttid, &Transaction)> {
        self.by_ttid.iter().map(|(ttid, transaction)| (*ttid, transaction))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (Ttid, &mut Transaction)> {
        self.by_ttid.iter_mut().map(|(ttid, transaction)| (*ttid, transaction))
    }

    /// The only one, if its client chose its tid and it is not being finished.
    pub(crate) fn has_chosen(&self) -> bool {
        let mut all = self.by_ttid.values();
        all.next().is_some_and(|one| one.chosen && one.finish.is_none()) && self.by_ttid.len() == 1
    }

    pub(crate) fn insert(&mut self, ttid: Ttid, transaction: Transaction) {
        if let Some(client) = transaction.client {
            self.by_client.entry(client).or_default().insert(ttid);
        }
        let before = self.by_ttid.insert(ttid, transaction);
        assert!(before.is_none(), "{ttid:?} is given out once");
    }

    /// How many belong to a connection.
    pub(crate) fn count_of(&self, client: LinkId) -> usize {
        self.by_client.get(&client).map_or(0, BTreeSet::len)
    }

    /// Takes note of storages that a transaction is to do without.
    pub(crate) fn set_failed(&mut self, ttid: Ttid, failed: BTreeSet<Nid>) {
        if let Some(transaction) = self.by_ttid.get_mut(&ttid) {
            transaction.failed = failed;
            self.failed.insert(ttid);
        }
    }

    /// Storages that other transactions are to do without.
    pub(crate) fn failed_of_others(&self, ttid: Ttid) -> impl Iterator<Item = Nid> {
        let others = self.failed.iter().filter(move |other| **other != ttid);
        others.flat_map(|other| self.by_ttid[other].failed.iter().copied())
    }

    /// Has a request wait for the outcome of a transaction; false if it is over.
    pub(crate) fn ask_outcome(&mut self, ttid: Ttid, link: LinkId, request: u32) -> bool {
        let Some(transaction) = self.by_ttid.get_mut(&ttid) else { return false };
        transaction.outcome.push((link, request));
        self.asked.entry(link).or_default().insert(ttid);
        true
    }

    /// Forgets requests of a connection that ended.
    pub(crate) fn outcome_lost(&mut self, link: LinkId) {
        for ttid in self.asked.remove(&link).unwrap_or_default() {
            if let Some(transaction) = self.by_ttid.get_mut(&ttid) {
                transaction.outcome.retain(|(other, _)| *other != link);
            }
        }
    }

    /// From now on it only goes forward.
    pub(crate) fn finish(&mut self, ttid: Ttid, finish: Finish) {
        self.by_tid.insert(finish.tid, ttid);
        let transaction = self.by_ttid.get_mut(&ttid).expect("a transaction that has begun");
        transaction.finish = Some(finish);
    }

    pub(crate) fn remove(&mut self, ttid: Ttid) -> Option<Transaction> {
        let transaction = self.by_ttid.remove(&ttid)?;
        if let Some(client) = transaction.client
            && let Some(ttids) = self.by_client.get_mut(&client)
        {
            ttids.remove(&ttid);
            if ttids.is_empty() {
                self.by_client.remove(&client);
            }
        }
        if let Some(finish) = &transaction.finish {
            self.by_tid.remove(&finish.tid);
        }
        self.failed.remove(&ttid);
        for (link, _) in &transaction.outcome {
            if let Some(asked) = self.asked.get_mut(link) {
                asked.remove(&ttid);
                if asked.is_empty() {
                    self.asked.remove(link);
                }
            }
        }
        Some(transaction)
    }

    /// The next one in the order of tids, if all its storages have locked it.
    pub(crate) fn next_locked(&self) -> Option<Ttid> {
        let (_, ttid) = self.by_tid.first_key_value()?;
        let finish = self.by_ttid[ttid].finish.as_ref()?;
        finish.locking.is_empty().then_some(*ttid)
    }

    /// Takes note that a connection ended: what is being finished belongs to nobody any more.
    /// Returns the others.
    pub(crate) fn client_lost(&mut self, client: LinkId) -> Vec<Ttid> {
        let ttids = self.by_client.remove(&client).unwrap_or_default();
        for ttid in &ttids {
            if let Some(transaction) = self.by_ttid.get_mut(ttid) {
                transaction.client = None;
            }
        }
        let is_open = |ttid: &Ttid| self.by_ttid[ttid].finish.is_none();
        ttids.into_iter().filter(is_open).collect()
    }

    pub(crate) fn invariants(&self) {
        for (client, ttids) in &self.by_client {
            assert!(!ttids.is_empty());
            assert!(ttids.iter().all(|ttid| self.by_ttid[ttid].client == Some(*client)));
        }
        let owned: usize = self.by_client.values().map(BTreeSet::len).sum();
        let with_client = self.by_ttid.values().filter(|one| one.client.is_some()).count();
        assert_eq!(owned, with_client);
        for (ttid, transaction) in &self.by_ttid {
            assert!(transaction.failed.is_empty() || self.failed.contains(ttid), "{ttid:?}");
            let mut asking = transaction.outcome.iter();
            assert!(asking.all(|(link, _)| self.asked[link].contains(ttid)), "{ttid:?}");
        }
        let finishing = self.by_ttid.values().filter(|one| one.finish.is_some()).count();
        assert_eq!(self.by_tid.len(), finishing);
        for (tid, ttid) in &self.by_tid {
            let finish = self.by_ttid[ttid].finish.as_ref().expect("it is being finished");
            assert_eq!(finish.tid, *tid);
            assert!(finish.locking.is_subset(&finish.involved), "{ttid:?}");
        }
    }
}
