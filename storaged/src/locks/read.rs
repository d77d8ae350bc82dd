//! Read locks: what is locked and not unlocked yet, so that reads have to wait for it.

use std::collections::BTreeMap;

use model::{Tid, Ttid};

/// Transactions that have a tid and are not shown yet. What they wrote is known by its write locks.
#[derive(Debug, Default)]
pub(crate) struct ReadLocks {
    tids: BTreeMap<Tid, Ttid>,
    /// Those of them that wrote something without a lock.
    lockless: BTreeMap<Tid, Ttid>,
}

/// Up to which tid a read of a range waits, once it has begun.
#[derive(Debug, Default)]
pub(crate) struct RangeWait {
    bound: Option<Option<Tid>>,
}

impl ReadLocks {
    /// A transaction got its tid. It may have written something without a lock.
    pub(crate) fn lock(&mut self, ttid: Ttid, tid: Tid, has_lockless: bool) {
        self.tids.insert(tid, ttid);
        if has_lockless {
            self.lockless.insert(tid, ttid);
        }
    }

    /// What a transaction wrote is shown.
    pub(crate) fn unlock(&mut self, tid: Tid) {
        self.tids.remove(&tid);
        self.lockless.remove(&tid);
    }

    /// Transactions that wrote something without a lock: rarely any.
    pub(crate) fn lockless(&self) -> impl Iterator<Item = Ttid> {
        self.lockless.values().copied()
    }

    /// Whether nobody has to wait.
    pub(crate) fn is_empty(&self) -> bool {
        self.tids.is_empty()
    }

    /// What a read of a range of tids (both included) has to wait for. They are unlocked in the
    /// order of tids, so the last one is waited for.
    pub(crate) fn within(&self, tid_min: Tid, tid_max: Tid) -> Option<Ttid> {
        if tid_min > tid_max {
            return None;
        }
        self.tids.range(tid_min..=tid_max).next_back().map(|(_, ttid)| *ttid)
    }

    /// The same for a read that looks several times: it waits for what was locked when it was
    /// asked. What is locked later is later than what it has to tell, and there may always be some.
    pub(crate) fn within_then(
        &self,
        wait: &mut RangeWait,
        tid_min: Tid,
        tid_max: Tid,
    ) -> Option<Ttid> {
        let greatest = || self.tids.range(..=tid_max).next_back().map(|(tid, _)| *tid);
        let bound = (*wait.bound.get_or_insert_with(greatest))?;
        self.within(tid_min, tid_max.min(bound))
    }

    /// Transactions that are locked, with their tids.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Tid, Ttid)> {
        self.tids.iter().map(|(tid, ttid)| (*tid, *ttid))
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}
