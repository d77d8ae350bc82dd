//! What programs read, and what clients were told.

use bytes::Bytes;
use client::{Error, Revision};
use model::{Oid, Tid};

/// A revision that was loaded.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    /// Who.
    pub(crate) reader: String,
    /// The object.
    pub(crate) oid: Oid,
    /// Which revision was asked for.
    pub(crate) revision: Revision,
    /// The last transaction that the client knew when it was asked, and when it was answered.
    pub(crate) last_tids: (Tid, Tid),
    /// What came.
    pub(crate) found: Found,
}

/// What a load gives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Found {
    /// A revision.
    Revision {
        /// The transaction that wrote it.
        serial: Tid,
        /// The one that wrote the next one, if the storage knew one.
        next_serial: Option<Tid>,
        /// The data; `None` if the object was deleted.
        data: Option<Bytes>,
        /// The revision whose data it repeats.
        data_serial: Option<Tid>,
    },
    /// None that was asked for.
    Nothing,
}

/// A list that was read.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    /// Who.
    pub(crate) reader: String,
    /// The last transaction that the client knew when it was begun, and when it was at its end.
    pub(crate) last_tids: (Tid, Tid),
    /// What came.
    pub(crate) walked: Walked,
}

/// Lists of each kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Walked {
    /// Transactions from a tid on, with their names and objects.
    Transactions {
        /// Where it began.
        tid_min: Tid,
        /// What was found.
        found: Vec<(Tid, String, Vec<Oid>)>,
    },
    /// Objects that have data at a tid.
    Oids {
        /// The tid.
        tid: Tid,
        /// What was found.
        found: Vec<Oid>,
    },
    /// The newest transactions, newest first.
    UndoLog {
        /// How many were asked for.
        count: usize,
        /// What was found.
        found: Vec<(Tid, String)>,
    },
    /// The newest revisions of an object, newest first, with the lengths of their data.
    Revisions {
        /// The object.
        oid: Oid,
        /// How many were asked for.
        count: usize,
        /// What was found.
        found: Vec<(Tid, u64)>,
    },
}

/// What the client of one process was told, from its start to its end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connection {
    /// Whose it is.
    pub(crate) reader: String,
    /// Last tids when it was connected, with what had been acknowledged when it began to look.
    pub(crate) connected: Vec<(Tid, Option<Tid>)>,
    /// Last tids as they were told, each time that it was connected: first the one as of then, and
    /// one with each commit of another.
    pub(crate) told: Vec<Vec<Tid>>,
    /// Whether it was connected to the end.
    pub(crate) is_connected: bool,
    /// Commits of which it was told what they changed.
    pub(crate) invalidated: Vec<(Tid, Vec<Oid>)>,
}

/// Something that was asked for outside of transactions, and failed.
#[derive(Clone, Debug)]
pub(crate) struct Failed {
    /// Who asked.
    pub(crate) reader: String,
    /// For what.
    pub(crate) what: String,
    /// What came of it.
    pub(crate) error: Error,
}

/// A client made sure that it knows what the master knows.
#[derive(Clone, Debug)]
pub(crate) struct Synchronized {
    /// Who.
    pub(crate) reader: String,
    /// What was acknowledged to any program when it asked.
    pub(crate) acknowledged: Option<Tid>,
    /// The last transaction that it knew afterwards.
    pub(crate) last_tid: Tid,
}
