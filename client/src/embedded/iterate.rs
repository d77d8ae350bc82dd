//! Iteration, in the order of tids or oids over all partitions. Nothing is seen that is later than
//! the last tid was when it began.

use std::cmp::Reverse;
use std::collections::VecDeque;

use engine::{LiveOidsLookup, TidsLookup};
use model::{Oid, Tid};

use super::open::Embedded;
use crate::error::{Error, Trouble};
use crate::load::following;
use crate::request::{Object, TransactionInformation};
use crate::walk::Merge;

/// Tids or oids that are looked up at once in a partition.
const PAGE: usize = 512;
/// Of the newest transactions, which are few as a rule.
const UNDO_LOG_PAGE: u64 = 64;

impl Embedded {
    /// Transactions from the `first`-th newest one on, up to the `last`-th, excluded.
    ///
    /// # Errors
    /// Of the disk.
    pub fn undo_log(&self, first: u64, last: u64) -> Result<Vec<TransactionInformation>, Error> {
        self.undo_log_before(None, first, last)
    }

    /// The same, of transactions below a tid: for who sees the database as it was.
    ///
    /// # Errors
    /// Of the disk.
    pub fn undo_log_before(
        &self,
        before: Option<Tid>,
        first: u64,
        last: u64,
    ) -> Result<Vec<TransactionInformation>, Error> {
        let (snapshot, last_tid) = self.view()?;
        let preceding = |tid: Tid| tid.get().checked_sub(1).map(Tid::new);
        let tid_max = before.map_or(Some(last_tid), |before| {
            preceding(before).map(|preceding| preceding.min(last_tid))
        });
        let (Some(tid_max), true) = (tid_max, first < last) else { return Ok(Vec::new()) };
        let length = usize::try_from(last.min(UNDO_LOG_PAGE)).unwrap_or(usize::MAX);
        let mut merge = Merge::default();
        merge.begin(self.partitions(), Reverse(tid_max));
        let mut found = Vec::new();
        let mut skipped = 0;
        while !merge.is_at_end() && found.len() as u64 + first < last {
            for (partition, Reverse(tid_max)) in merge.missing().collect::<Vec<_>>() {
                let lookup =
                    TidsLookup::descending(snapshot.clone(), partition, Tid::ZERO, tid_max, length);
                let tids = self.look_up(None, lookup)?;
                let last = tids.last().copied().filter(|_| tids.len() == length);
                let next = last.and_then(preceding).map(Reverse);
                merge.fetched(partition, tids.into_iter().map(Reverse).collect(), next);
            }
            for Reverse(tid) in merge.take(1) {
                match skipped < first {
                    true => skipped += 1,
                    false => found.extend(self.information(snapshot.clone(), tid)?),
                }
            }
        }
        Ok(found)
    }

    /// Transactions from a tid on, up to another one or to the last one, in order.
    pub fn transactions(&self, tid_min: Tid, tid_max: Option<Tid>) -> EmbeddedTransactions {
        let last_tid = self.last_tid();
        let tid_max = tid_max.map_or(last_tid, |tid_max| tid_max.min(last_tid));
        let mut merge = Merge::default();
        merge.begin(self.partitions(), tid_min);
        EmbeddedTransactions { embedded: self.clone(), tid_max, merge, is_ended: false }
    }

    /// What a transaction stored, in the order in which it did. What was packed away since is left
    /// out.
    pub fn objects_of(&self, transaction: &TransactionInformation) -> EmbeddedObjects {
        let oids = transaction.oids.clone().into();
        EmbeddedObjects { embedded: self.clone(), tid: transaction.tid, oids }
    }

    /// Objects from an oid on that have data at a tid, or at the last one, in order.
    pub fn oids(&self, oid_min: Oid, tid: Option<Tid>) -> EmbeddedOids {
        let last_tid = self.last_tid();
        let tid = tid.map_or(last_tid, |tid| tid.min(last_tid));
        let mut merge = Merge::default();
        merge.begin(self.partitions(), oid_min);
        EmbeddedOids { embedded: self.clone(), tid, merge, is_ended: false }
    }
}

/// Transactions, in order. Ends with the first error.
pub struct EmbeddedTransactions {
    embedded: Embedded,
    tid_max: Tid,
    merge: Merge<Tid>,
    is_ended: bool,
}

impl EmbeddedTransactions {
    fn find_next(&mut self) -> Result<Option<TransactionInformation>, Error> {
        loop {
            let (snapshot, _) = self.embedded.view()?;
            for (partition, tid_min) in self.merge.missing().collect::<Vec<_>>() {
                let snapshot = snapshot.clone();
                let lookup =
                    TidsLookup::ascending(snapshot, partition, tid_min, self.tid_max, PAGE);
                let tids = self.embedded.look_up(None, lookup)?;
                let last = tids.last().copied().filter(|_| tids.len() == PAGE);
                self.merge.fetched(partition, tids, last.map(following));
            }
            let Some(tid) = self.merge.take(1).pop() else { return Ok(None) };
            let found = self.embedded.information(snapshot, tid)?;
            if found.is_some() {
                return Ok(found);
            }
        }
    }
}

impl Iterator for EmbeddedTransactions {
    type Item = Result<TransactionInformation, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = if self.is_ended { None } else { self.find_next().transpose() };
        self.is_ended = !matches!(found, Some(Ok(_)));
        found
    }
}

/// Oids, in order. Ends with the first error.
pub struct EmbeddedOids {
    embedded: Embedded,
    tid: Tid,
    merge: Merge<Oid>,
    is_ended: bool,
}

impl EmbeddedOids {
    fn find_next(&mut self) -> Result<Option<Oid>, Error> {
        let partitions = u64::from(self.embedded.partitions().get());
        // A page may have none that has data.
        loop {
            let missing: Vec<_> = self.merge.missing().collect();
            if missing.is_empty() {
                return Ok(self.merge.take(1).pop());
            }
            let (snapshot, _) = self.embedded.view()?;
            for (partition, oid_min) in missing {
                let snapshot = snapshot.clone();
                let lookup = LiveOidsLookup::new(snapshot, partition, oid_min, self.tid, PAGE);
                let page = self.embedded.look_up(None, lookup)?;
                let last = page.last.filter(|_| page.examined == PAGE);
                let next = last.and_then(|last| last.get().checked_add(partitions));
                self.merge.fetched(partition, page.oids, next.map(Oid::new));
            }
        }
    }
}

impl Iterator for EmbeddedOids {
    type Item = Result<Oid, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = if self.is_ended { None } else { self.find_next().transpose() };
        self.is_ended = !matches!(found, Some(Ok(_)));
        found
    }
}

/// Objects of a transaction.
pub struct EmbeddedObjects {
    embedded: Embedded,
    tid: Tid,
    oids: VecDeque<Oid>,
}

impl Iterator for EmbeddedObjects {
    type Item = Result<Object, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let oid = self.oids.pop_front()?;
            let view = self.embedded.view();
            let found = view
                .and_then(|(snapshot, _)| self.embedded.load_in_passing(snapshot, oid, self.tid));
            match found {
                Err(error) if error.trouble() == Trouble::Missing => {}
                found => return Some(found),
            }
        }
    }
}
