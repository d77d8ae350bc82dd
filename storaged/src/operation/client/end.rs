//! How transactions end, and that nothing is left of them then (R10).

use model::{Nid, PartitionId, Tid, Ttid};
use net::{LinkId, Message};

use crate::completions::End;
use crate::machine::Storage;
use crate::peers::Peer;
use crate::transactions::Phase;

impl Storage {
    pub(crate) fn abort_by_client(&mut self, link: LinkId, ttid: Ttid) {
        self.transactions.note_given_up(ttid);
        let is_its_own = self.transactions.get(ttid).is_some_and(|found| found.link == Some(link));
        match is_its_own {
            true => self.abort_unless_locked(ttid),
            false => tracing::debug!(%ttid, "told to abort what is not there"),
        }
    }

    /// Aborts a transaction, unless the master asked to lock it: then it only goes forward (R2).
    pub(crate) fn abort_unless_locked(&mut self, ttid: Ttid) {
        if self.transactions.get(ttid).is_none_or(|found| found.tid().is_some()) {
            return;
        }
        let Some(transaction) = self.transactions.remove(ttid) else { return };
        tracing::debug!(%ttid, "aborted");
        if transaction.in_engine {
            self.end(End::Disown { ttid });
        }
        if transaction.has_pack && self.packs.retain(|id| id != Tid::new(ttid.get())) {
            self.keep_packs();
        }
        self.release_locks(ttid, transaction);
    }

    /// A connection is lost: what is not voted on it is aborted, the rest goes on without it. What
    /// was voted after the master had it aborted, as the vote was late, is nobody's any more (R7).
    pub(crate) fn connection_lost(&mut self, link: LinkId) {
        for ttid in self.transactions.filter(|found| found.link == Some(link)) {
            let is_aborted = self.transactions.is_aborted(ttid, link);
            let Some(transaction) = self.transactions.get_mut(ttid) else { continue };
            match transaction.phase {
                Phase::Open | Phase::Voting => {
                    self.abort_unless_locked(ttid);
                    self.transactions.lose(ttid);
                }
                Phase::Voted if is_aborted => self.abort_unless_locked(ttid),
                Phase::Voted | Phase::Locked(_) | Phase::Unlocking(_) => transaction.link = None,
            }
        }
    }

    /// The master says that a client is gone: nobody will ask to commit what is not locked.
    pub(crate) fn client_gone(&mut self, nid: Nid) {
        let is_it = |peer: &Peer| peer.node().is_some_and(|(other, _)| other == nid);
        let links = self.peers.iter().filter(|(_, peer)| is_it(peer)).map(|(link, _)| *link);
        for link in links.collect::<Vec<_>>() {
            self.close_peer(link, "the master says that the client is gone");
        }
        for ttid in self.transactions.filter(|found| found.nid == nid) {
            self.abort_unless_locked(ttid);
        }
    }

    /// What a transaction wrote is shown: reads that waited go on.
    pub(crate) fn shown(&mut self, ttid: Ttid) {
        let Some(transaction) = self.transactions.remove(ttid) else { return };
        if let Some(tid) = transaction.tid() {
            tracing::debug!(%ttid, %tid, "committed");
        }
        self.release_locks(ttid, transaction);
    }

    /// Cells are no longer here: nothing is written to them, and nothing waits to be.
    pub(crate) fn drop_locks(&mut self, partitions: &[PartitionId]) {
        let Some(table) = &self.table else { return };
        let count = table.partitions();
        let is_dropped = |oid| partitions.contains(&count.of_oid(oid));
        let mut withdrawn = Vec::new();
        for oid in self.write_locks.oids().filter(|oid| is_dropped(*oid)).collect::<Vec<_>>() {
            withdrawn.extend(self.write_locks.withdraw_all(oid));
            if let Some(holder) = self.write_locks.holder(oid) {
                self.write_locks.release(oid, holder);
            }
        }
        for request in withdrawn {
            self.settle(&request, Some(Tid::ZERO));
        }
        for ttid in self.transactions.filter(|_| true) {
            let Some(transaction) = self.transactions.get_mut(ttid) else { continue };
            transaction.writes.retain(|oid, _| !is_dropped(*oid));
            let stored = transaction.stored.extract_if(.., |oid| is_dropped(*oid));
            let stored = stored.collect::<Vec<_>>();
            for oid in stored {
                self.unstore(ttid, oid);
            }
        }
    }

    /// The tid of a transaction, if it is committed, or locked.
    pub(crate) fn tid_in_memory(&self, ttid: Ttid) -> Option<Option<Tid>> {
        if let Some(found) = self.transactions.get(ttid) {
            return Some(found.tid());
        }
        match self.engine.transaction(ttid)? {
            engine::TransactionState::Locked(tid) => Some(Some(tid)),
            engine::TransactionState::Open | engine::TransactionState::Voted => Some(None),
        }
    }

    pub(crate) fn answer_final_tid(&mut self, link: LinkId, id: u32, tid: Option<Tid>) {
        self.links.answer(link, id, &Message::AnswerFinalTID { tid });
    }
}
