//! What a client is asked, and what comes of it.

use std::fmt;

use bytes::Bytes;
use model::{Oid, Tid, Ttid};
use net::{Address, PackOrder, PackRequest};

use crate::error::Error;
use crate::payload::Payload;
use crate::walk::{OidCursor, TransactionCursor};

/// Names a request until it is answered. Never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Token(pub(crate) u64);

/// Which revision of an object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Revision {
    /// The newest that the client was told of: not later than its last tid.
    Newest,
    /// Exactly that one.
    At(Tid),
    /// The newest below.
    Before(Tid),
}

/// Something that a client is to do.
#[derive(Clone, PartialEq, Debug)]
pub enum Request {
    /// Load a revision: [`Answer::Object`].
    Load {
        /// The object.
        oid: Oid,
        /// Which one.
        revision: Revision,
    },
    /// Revisions of an object, newest first: [`Answer::History`].
    History {
        /// The object.
        oid: Oid,
        /// What is at or above it is not seen; what is later than the last tid never is.
        before: Option<Tid>,
        /// How many to leave out.
        first: u64,
        /// Where to end, excluded.
        last: u64,
    },
    /// Metadata of a transaction: [`Answer::Transaction`].
    TransactionInformation {
        /// Its id.
        tid: Tid,
    },
    /// Transactions, newest first: [`Answer::UndoLog`].
    UndoLog {
        /// What is at or above it is not seen; what is later than the last tid never is.
        before: Option<Tid>,
        /// How many to leave out.
        first: u64,
        /// Where to end, excluded.
        last: u64,
    },
    /// The next transactions of an iteration: [`Answer::Transactions`].
    Transactions {
        /// Where the iteration is.
        cursor: TransactionCursor,
        /// How many at most.
        count_max: usize,
    },
    /// The next oids of an iteration: [`Answer::Oids`].
    Oids {
        /// Where the iteration is.
        cursor: OidCursor,
        /// How many at most.
        count_max: usize,
    },
    /// The last committed transaction, of which the client is told before: [`Answer::LastTid`].
    LastTid,
    /// Answered when the client was told of everything that the primary master knew:
    /// [`Answer::Synchronized`].
    Synchronize,
    /// New oids: [`Answer::NewOids`].
    NewOids {
        /// How many.
        count: u32,
    },
    /// Pack orders: [`Answer::PackOrders`].
    PackOrders {
        /// The first.
        first_id: Tid,
    },
    /// Answered when a pack is completed: [`Answer::PackCompleted`].
    WaitForPack {
        /// Its id.
        pack_id: Tid,
    },
    /// Begin a transaction: [`Answer::Begun`].
    Begin {
        /// The tid that it is to have, if not what the primary master chooses.
        tid: Option<Tid>,
    },
    /// Store an object, or delete it: [`Answer::Accepted`] as soon as the next may be stored.
    /// Whether it conflicts is told later, at the vote at the latest.
    Store {
        /// The transaction.
        ttid: Ttid,
        /// The object.
        oid: Oid,
        /// The revision that it is based on; `Tid::ZERO` for a new object.
        serial: Tid,
        /// Its data; `None` to delete it.
        data: Option<Payload>,
    },
    /// Check that a revision is the newest, and will be when the transaction commits:
    /// [`Answer::Accepted`] like a store.
    Check {
        /// The transaction.
        ttid: Ttid,
        /// The object.
        oid: Oid,
        /// The revision.
        serial: Tid,
    },
    /// Go on after a [`Conflict`], with data based on the newer revision: [`Answer::Accepted`].
    Resolve {
        /// The transaction.
        ttid: Ttid,
        /// The object.
        oid: Oid,
        /// Its data; `None` to delete it.
        data: Option<Payload>,
    },
    /// Undo an earlier transaction: [`Answer::Undone`].
    Undo {
        /// The transaction that undoes.
        ttid: Ttid,
        /// The one that is undone.
        tid: Tid,
    },
    /// Make everything durable, and find out whether it can be committed: [`Answer::Voted`].
    Vote {
        /// The transaction.
        ttid: Ttid,
        /// What is kept with it.
        metadata: Metadata,
        /// A pack order, of which its tid becomes the id.
        pack: Option<PackRequest>,
    },
    /// Commit what was voted: [`Answer::Finished`].
    Finish {
        /// The transaction.
        ttid: Ttid,
    },
    /// Drop a transaction, also one that failed: [`Answer::Aborted`].
    Abort {
        /// The transaction.
        ttid: Ttid,
    },
}

/// What users say about a transaction.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Metadata {
    /// Who.
    pub user: Bytes,
    /// Why.
    pub description: Bytes,
    /// Anything, as ZODB codes it.
    pub extension: Bytes,
}

/// What a request that was carried out gives.
#[derive(Clone, PartialEq, Debug)]
pub enum Answer {
    /// A revision.
    Object(Object),
    /// Revisions and the lengths of their data as kept, newest first.
    History(Vec<(Tid, u64)>),
    /// Metadata of a transaction.
    Transaction(TransactionInformation),
    /// Transactions, newest first.
    UndoLog(Vec<TransactionInformation>),
    /// Transactions, oldest first, and where to go on; `None` at the end.
    Transactions(Vec<TransactionInformation>, Option<TransactionCursor>),
    /// Oids, in order, and where to go on; `None` at the end.
    Oids(Vec<Oid>, Option<OidCursor>),
    /// The last committed transaction.
    LastTid(Tid),
    /// The client knows what the primary master knew.
    Synchronized,
    /// New oids.
    NewOids(Vec<Oid>),
    /// Pack orders.
    PackOrders(Vec<PackOrder>),
    /// The pack is completed.
    PackCompleted,
    /// A transaction has begun.
    Begun(Ttid),
    /// The request was taken.
    Accepted,
    /// Objects that were undone.
    Undone(Vec<Oid>),
    /// The transaction can be committed; conflicts of these objects were resolved.
    Voted(Vec<Oid>),
    /// The transaction is committed.
    Finished(Tid),
    /// The transaction is dropped.
    Aborted,
}

/// A revision of an object.
#[derive(Clone, PartialEq, Debug)]
pub struct Object {
    /// The object.
    pub oid: Oid,
    /// The revision.
    pub serial: Tid,
    /// The one that followed, if the storage knew one.
    pub next_serial: Option<Tid>,
    /// The data; `None` if the object was deleted, or its creation undone.
    pub data: Option<Payload>,
    /// The revision whose data it is, of an undo.
    pub data_serial: Option<Tid>,
}

/// A transaction that was committed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransactionInformation {
    /// Its id.
    pub tid: Tid,
    /// What its user said.
    pub metadata: Metadata,
    /// Whether it was packed: some of its objects may be gone.
    pub packed: bool,
    /// The objects that it changed, in the order in which they were stored.
    pub oids: Vec<Oid>,
}

/// Another transaction changed an object first. The caller answers with [`Request::Resolve`] or
/// [`Request::Abort`].
#[derive(Clone, PartialEq, Debug)]
pub struct Conflict {
    /// The transaction that has the conflict.
    pub ttid: Ttid,
    /// The object.
    pub oid: Oid,
    /// The revision that the stored data is based on; of an undo, the one that is undone.
    pub serial: Tid,
    /// The revision that stands in the way.
    pub conflict_serial: Tid,
    /// Data of that revision, if it cannot be loaded since it is the transaction's own.
    pub conflict_data: Option<Payload>,
    /// What the transaction stores; `None` to delete the object, or if `data_serial` tells.
    pub data: Option<Payload>,
    /// The revision whose data the transaction stores, if it undoes.
    pub data_serial: Option<Tid>,
}

/// Something that came of requests, or that a caller should know. The order means something: what a
/// commit of another client invalidates is told before anything later than it is loaded.
#[derive(Clone, PartialEq, Debug)]
pub enum Completion {
    /// A request was carried out, or failed.
    Done {
        /// Which.
        token: Token,
        /// What came of it.
        result: Result<Answer, Error>,
    },
    /// A transaction needs a decision.
    Conflict(Conflict),
    /// A transaction was committed.
    Invalidated {
        /// Its id: the client's last tid from now on.
        tid: Tid,
        /// What it changed.
        oids: Vec<Oid>,
        /// What it was begun as, if by this client.
        ttid: Option<Ttid>,
    },
    /// The primary master was found. Anything may have changed up to the last tid, which may also
    /// be lower than before, if the database was truncated.
    Connected {
        /// The last committed transaction.
        last_tid: Tid,
    },
    /// The primary master was lost. It is being looked for.
    Disconnected,
    /// No primary master was found for [`crate::ClientOptions::master_timeout`]: what waited for
    /// one failed, and so does what is asked before one is found. The client goes on looking.
    Unreachable(Error),
    /// A master refuses the client. It goes on trying.
    Refused {
        /// Which.
        master: Address,
        /// What it says.
        text: String,
    },
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newest => f.write_str("yet"),
            Self::At(tid) => write!(f, "at {tid}"),
            Self::Before(tid) => write!(f, "before {tid}"),
        }
    }
}
