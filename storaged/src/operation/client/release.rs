//! Locks of transactions that are over are given back: in slices, where there are many, so that
//! nobody waits for all of them (R9).

use std::collections::{VecDeque, btree_map};

use model::{Oid, Tid, Ttid};

use crate::machine::Storage;
use crate::transactions::{Transaction, Write};

/// Objects whose locks are given back before others get their turn.
const SLICE: usize = 256;

/// Transactions that are over and still have locks.
#[derive(Default)]
pub(crate) struct Endings {
    queue: VecDeque<Ending>,
}

struct Ending {
    ttid: Ttid,
    /// If it was committed.
    tid: Option<Tid>,
    /// What it wrote, as far as it is locked.
    writes: btree_map::IntoIter<Oid, Write>,
}

impl Endings {
    /// Whether there are any.
    pub(crate) fn is_ready(&self) -> bool {
        !self.queue.is_empty()
    }

    /// The tid of a transaction that still has locks, if it has one.
    pub(crate) fn tid(&self, ttid: Ttid) -> Option<Option<Tid>> {
        self.queue.iter().find(|ending| ending.ttid == ttid).map(|ending| ending.tid)
    }

    pub(crate) fn clear(&mut self) {
        self.queue.clear();
    }
}

impl Storage {
    /// A transaction is over: nobody keeps a lock for it (R10), and reads that waited go on.
    pub(super) fn release_locks(&mut self, ttid: Ttid, transaction: Transaction) {
        let tid = transaction.tid();
        let Transaction { writes, active, .. } = transaction;
        for (oid, requests) in active {
            for request in self.write_locks.withdraw(oid, ttid) {
                self.forget_request(&request);
            }
            self.release_lock(ttid, oid);
            for request in requests {
                self.forget_write(&request);
            }
        }
        if writes.len() > SLICE {
            // Its locks must not be taken for those of another one.
            self.transactions.lose(ttid);
        }
        let mut ending = Ending { ttid, tid, writes: writes.into_iter() };
        if !self.release_some(&mut ending) {
            self.endings.queue.push_back(ending);
        }
    }

    /// Gives back some locks of transactions that are over.
    pub(crate) fn run_endings(&mut self) {
        let Some(mut ending) = self.endings.queue.pop_front() else { return };
        if !self.release_some(&mut ending) {
            self.endings.queue.push_front(ending);
        }
    }

    /// Whether that were all.
    fn release_some(&mut self, ending: &mut Ending) -> bool {
        let ttid = ending.ttid;
        for (oid, write) in ending.writes.by_ref().take(SLICE) {
            self.release_lock(ttid, oid);
            if write.is_store {
                self.read_locks.forget(ttid, &[oid]);
            }
        }
        let is_all = ending.writes.len() == 0;
        if is_all {
            if let Some(tid) = ending.tid {
                self.read_locks.unlock(tid);
            }
            self.reads.resume(ttid);
        }
        is_all
    }

    fn release_lock(&mut self, ttid: Ttid, oid: Oid) {
        self.write_locks.release(oid, ttid);
        self.released.push(oid);
    }
}
