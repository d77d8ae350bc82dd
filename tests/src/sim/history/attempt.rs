//! Transactions that programs tried.

use std::collections::BTreeMap;

use bytes::Bytes;
use client::Error;
use model::{Oid, Tid, Ttid};

use super::Moment;

/// Names an attempt within its history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct AttemptId(pub(super) usize);

/// What a program knows of the outcome of an attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// Nobody said yet, or nobody can say.
    Unknown,
    /// It is committed.
    Committed(Tid),
    /// It is not, and never will be.
    Failed(Error),
}

/// What was written to an object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Write {
    /// The revision that it is based on: `Tid::ZERO` for none.
    pub(crate) base: Tid,
    /// The data; `None` if the object is deleted.
    pub(crate) data: Option<Bytes>,
}

/// A transaction that a program tried.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    /// Its name, which no other has: the description of the transaction.
    pub(crate) name: String,
    /// When it was asked to begin.
    pub(crate) begun: Moment,
    /// What it was begun as, and when that was told.
    pub(crate) ttid: Option<(Ttid, Moment)>,
    /// What it wrote last, by object.
    pub(crate) writes: BTreeMap<Oid, Write>,
    /// Revisions that were to be the newest ones.
    pub(crate) checks: BTreeMap<Oid, Tid>,
    /// What it undid, with the objects.
    pub(crate) undone: Vec<(Tid, Vec<Oid>)>,
    /// When it was asked to commit: before, it cannot be committed.
    pub(crate) finishing: Option<Moment>,
    /// What became of it.
    pub(crate) fate: Fate,
    /// When that was told.
    pub(crate) ended: Option<Moment>,
}

impl Attempt {
    pub(crate) fn new(name: String, begun: Moment) -> Self {
        Self {
            name,
            begun,
            ttid: None,
            writes: BTreeMap::new(),
            checks: BTreeMap::new(),
            undone: Vec::new(),
            finishing: None,
            fate: Fate::Unknown,
            ended: None,
        }
    }

    /// Its tid, if it is known to be committed.
    pub(crate) fn tid(&self) -> Option<Tid> {
        match self.fate {
            Fate::Committed(tid) => Some(tid),
            Fate::Unknown | Fate::Failed(_) => None,
        }
    }
}
