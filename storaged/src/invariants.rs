//! What always holds, and what is left to do.

use crate::machine::Storage;
use crate::transactions::Phase;

impl Storage {
    /// What has not come to its end, for people: transactions, their locks, and what waits. Nothing
    /// where nobody commits.
    pub fn unfinished(&self) -> Vec<String> {
        let transactions = self.transactions.iter();
        let transactions = transactions.map(|(ttid, found)| format!("{ttid} is {:?}", found.phase));
        let holders = self.write_locks.holders();
        let holders = holders.map(|(oid, ttid)| format!("{oid} is locked by {ttid}"));
        let waiting = self.write_locks.waiting().map(|request| format!("{request:?} waits"));
        let locked = self.read_locks.iter().map(|(tid, ttid)| format!("{ttid} is locked as {tid}"));
        let reads = self.reads.waited_for().map(|ttid| format!("reads wait for {ttid}"));
        let deferred = self.deferred.iter().map(|(ttid, oid, _)| format!("{oid} of {ttid} waits"));
        let retries = self.retries.iter().map(|retry| format!("{retry:?} found no space"));
        let writes = self.completions.values();
        let writes = writes.map(|after| format!("{after:?} is to follow a write"));
        let transactions = transactions.chain(holders).chain(waiting).chain(locked);
        transactions.chain(reads).chain(deferred).chain(retries).chain(writes).collect()
    }

    /// Panics if an invariant does not hold.
    pub fn invariants(&self) {
        if self.exit.is_some() {
            return;
        }
        // R10: no lock outlives its transaction, and nothing waits for one that is over.
        for (oid, holder) in self.write_locks.holders() {
            let is_there = self.transactions.get(holder).is_some() || self.endings.contains(holder);
            assert!(is_there, "{oid} is locked by {holder}, which is over");
        }
        let tid_of = |ttid| self.transactions.get(ttid).and_then(|found| found.tid());
        for request in self.write_locks.waiting() {
            let transaction = self.transactions.get(request.ttid);
            assert!(transaction.is_some(), "{request:?} waits, but its transaction is over");
        }
        for (tid, ttid) in self.read_locks.iter() {
            assert_eq!(tid_of(ttid), Some(tid), "{ttid} is locked");
        }
        for ttid in self.reads.waited_for() {
            assert!(tid_of(ttid).is_some(), "reads wait for {ttid}, which is not locked");
        }
        for (ttid, transaction) in self.transactions.iter() {
            if let Some(link) = transaction.link {
                assert!(self.peers.contains_key(&link), "{ttid} is of a connection that is gone");
            }
            let is_over = matches!(transaction.phase, Phase::Open | Phase::Voting);
            assert!(transaction.link.is_some() || !is_over, "{ttid} is of nobody, and not voted");
            for (oid, write) in &transaction.writes {
                let is_busy = transaction.active.contains_key(oid);
                let is_held = self.write_locks.is_held(*oid, ttid);
                assert!(write.lockless || is_busy || is_held, "{ttid} wrote {oid} without lock");
            }
        }
        let serves = self.is_operating();
        assert!(serves || self.transactions.iter().next().is_none(), "serves without a cluster");
    }
}
