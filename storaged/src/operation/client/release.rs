//! Locks of transactions that are over are given back: in slices, where there are many, so that
//! nobody waits for all of them (R9).

use std::collections::{VecDeque, btree_map, btree_set};

use model::{Oid, Ttid};

use crate::machine::Storage;
use crate::transactions::{Transaction, Write};

/// Objects that are forgotten before others get their turn.
const SLICE: usize = 64;

/// Transactions that are over and still have locks.
#[derive(Default)]
pub(crate) struct Endings {
    queue: VecDeque<Ending>,
}

struct Ending {
    ttid: Ttid,
    /// What it wrote, as far as it is locked.
    writes: btree_map::IntoIter<Oid, Write>,
    /// What else is known of its objects.
    stored: btree_set::IntoIter<Oid>,
}

impl Ending {
    fn is_done(&self) -> bool {
        self.writes.len() == 0 && self.stored.len() == 0
    }
}

impl Endings {
    /// Whether there are any.
    pub(crate) fn is_ready(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Whether a transaction still has locks.
    pub(crate) fn contains(&self, ttid: Ttid) -> bool {
        self.queue.iter().any(|ending| ending.ttid == ttid)
    }

    pub(crate) fn clear(&mut self) {
        self.queue.clear();
    }
}

impl Storage {
    /// A transaction is over: nobody keeps a lock for it (R10), and reads that waited go on.
    pub(super) fn release_locks(&mut self, ttid: Ttid, transaction: Transaction) {
        if let Some(tid) = transaction.tid() {
            self.read_locks.unlock(tid);
            self.reads.resume(ttid);
        }
        let Transaction { writes, stored, active, .. } = transaction;
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
        let (writes, stored) = (writes.into_iter(), stored.into_iter());
        let mut ending = Ending { ttid, writes, stored };
        self.release_some(&mut ending);
        if !ending.is_done() {
            self.endings.queue.push_back(ending);
        }
    }

    /// Gives back some locks of transactions that are over.
    pub(crate) fn run_endings(&mut self) {
        let Some(mut ending) = self.endings.queue.pop_front() else { return };
        self.release_some(&mut ending);
        if !ending.is_done() {
            self.endings.queue.push_front(ending);
        }
    }

    fn release_some(&mut self, ending: &mut Ending) {
        for (oid, _) in ending.writes.by_ref().take(SLICE) {
            self.release_lock(ending.ttid, oid);
        }
        ending.stored.by_ref().take(SLICE).for_each(drop);
    }

    fn release_lock(&mut self, ttid: Ttid, oid: Oid) {
        self.write_locks.release(oid, ttid);
        self.released.push(oid);
    }
}
