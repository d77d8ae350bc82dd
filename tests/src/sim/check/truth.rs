//! What was committed, as the databases have it.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use model::{Oid, PartitionCount, Tid, Ttid};

/// A transaction that is in the database.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Committed {
    /// What it was begun as.
    pub(crate) ttid: Ttid,
    /// Who, as its user said.
    pub(crate) user: Bytes,
    /// Why: here its name.
    pub(crate) description: Bytes,
    /// Anything else.
    pub(crate) extension: Bytes,
    /// What it changed.
    pub(crate) oids: Vec<Oid>,
}

impl Committed {
    /// Its name.
    pub(crate) fn name(&self) -> String {
        String::from_utf8_lossy(&self.description).into_owned()
    }
}

/// A revision that is in the database.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Stored {
    /// The data, as the program gave it; `None` if the object is deleted.
    pub(crate) data: Option<Bytes>,
    /// The revision whose data it repeats.
    pub(crate) data_tid: Option<Tid>,
    /// Bytes of data, as they are kept.
    pub(crate) length: u64,
}

/// Everything that is committed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Truth {
    /// How many partitions there are.
    pub(crate) partitions: PartitionCount,
    /// All transactions.
    pub(crate) transactions: BTreeMap<Tid, Committed>,
    /// All revisions of all objects.
    pub(crate) objects: BTreeMap<Oid, BTreeMap<Tid, Stored>>,
}

impl Truth {
    /// An empty database.
    pub(crate) fn new(partitions: PartitionCount) -> Self {
        Self { partitions, transactions: BTreeMap::new(), objects: BTreeMap::new() }
    }

    /// A revision.
    pub(crate) fn revision(&self, oid: Oid, tid: Tid) -> Option<&Stored> {
        self.objects.get(&oid)?.get(&tid)
    }

    /// The newest revision of an object strictly below a tid.
    pub(crate) fn before(&self, oid: Oid, tid: Tid) -> Option<(Tid, &Stored)> {
        let (tid, stored) = self.objects.get(&oid)?.range(..tid).next_back()?;
        Some((*tid, stored))
    }

    /// The newest revision of an object, as of a tid.
    pub(crate) fn as_of(&self, oid: Oid, tid: Tid) -> Option<(Tid, &Stored)> {
        let (tid, stored) = self.objects.get(&oid)?.range(..=tid).next_back()?;
        Some((*tid, stored))
    }

    /// The tid of the first revision of an object strictly above a tid.
    pub(crate) fn after(&self, oid: Oid, tid: Tid) -> Option<Tid> {
        let above = (Bound::Excluded(tid), Bound::Unbounded);
        self.objects.get(&oid)?.range(above).next().map(|(tid, _)| *tid)
    }

    /// What it was up to a transaction.
    pub(crate) fn until(&self, last: Tid) -> Self {
        let objects = self.objects.iter().map(|(oid, revisions)| {
            let revisions = revisions.range(..=last);
            (*oid, revisions.map(|(tid, stored)| (*tid, stored.clone())).collect())
        });
        let objects: BTreeMap<Oid, BTreeMap<Tid, Stored>> = objects.collect();
        let transactions = self.transactions.range(..=last);
        Self {
            partitions: self.partitions,
            transactions: transactions.map(|(tid, one)| (*tid, one.clone())).collect(),
            objects: objects.into_iter().filter(|(_, revisions)| !revisions.is_empty()).collect(),
        }
    }

    /// All revisions of an object, oldest first.
    pub(crate) fn revisions(&self, oid: Oid) -> impl Iterator<Item = (Tid, &Stored)> {
        let revisions = self.objects.get(&oid).into_iter().flatten();
        revisions.map(|(tid, stored)| (*tid, stored))
    }
}
