//! What can go wrong, told apart by what the caller can do about it.

use std::fmt;

use bytes::Bytes;
use model::{Nid, Oid, PartitionId, Tid, Ttid};
use net::{Address, ErrorCode};

use crate::embedded::Unfit;
use crate::request::Revision;

/// Why a request failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Error {
    /// The client was closed.
    Closed,
    /// A master refuses the client, such as for another name of the cluster.
    Refused {
        /// Which master.
        master: Address,
        /// What it says.
        text: String,
    },
    /// No primary master was found for as long as the client waits for one.
    NoMaster {
        /// Those that were asked.
        masters: Vec<Address>,
        /// How long it waits, in seconds.
        waited_s: u64,
        /// What one of them said instead, or why there is no connection.
        reason: Option<String>,
    },
    /// The system gives the client no event loop or thread.
    System {
        /// What it says.
        kind: std::io::ErrorKind,
    },
    /// The client, or the cluster, takes no writes.
    ReadOnly,
    /// No storage that has a partition could be read from, or written to.
    NoStorage {
        /// The partition.
        partition: PartitionId,
        /// What the last one that was tried said.
        reason: String,
    },
    /// The primary master was lost before the transaction was finished: it is aborted.
    MasterLost {
        /// The transaction.
        ttid: Ttid,
    },
    /// Storages that failed cannot be done without: the transaction is aborted.
    Incomplete {
        /// The transaction.
        ttid: Ttid,
    },
    /// The primary master was lost while the transaction was finished, and the cluster says that
    /// it did not commit it.
    NotCommitted {
        /// The transaction.
        ttid: Ttid,
    },
    /// The same, but nobody who could know was reached: it may be committed.
    OutcomeUnknown {
        /// The transaction.
        ttid: Ttid,
    },
    /// A peer refuses a request.
    Peer {
        /// The peer; `None` for the primary master.
        nid: Option<Nid>,
        /// Why.
        code: ErrorCode,
        /// What it says.
        text: String,
    },
    /// All copies of a revision that could be read have another checksum than they say: storages
    /// cannot read what was stored.
    WrongChecksum {
        /// The object.
        oid: Oid,
        /// The revision; 0 if the storage cannot even tell that.
        serial: Tid,
        /// The storage that was asked last.
        nid: Nid,
    },
    /// Data that says that it is compressed does not decompress.
    Damaged {
        /// The compression.
        compression: u8,
    },
    /// The object has no revision at all.
    NoSuchObject {
        /// The object.
        oid: Oid,
    },
    /// The object has revisions, but none where it was looked for.
    NoSuchRevision {
        /// The object.
        oid: Oid,
        /// Where.
        revision: Revision,
    },
    /// There is no such transaction.
    NoSuchTransaction {
        /// Its id.
        tid: Tid,
    },
    /// There is no such transaction in progress.
    NotBegun {
        /// Its id.
        ttid: Ttid,
    },
    /// The transaction is not where such a request is possible: it is voted already, or not yet.
    OutOfTurn {
        /// The transaction.
        ttid: Ttid,
    },
    /// Another transaction changed an object since, and the conflict was not resolved.
    Conflict {
        /// The object.
        oid: Oid,
        /// The revision that was written to.
        serial: Tid,
        /// The newer one.
        conflict_serial: Tid,
    },
    /// Another transaction changed an object that was only checked.
    ReadConflict {
        /// The object.
        oid: Oid,
        /// The revision that was read.
        serial: Tid,
        /// The newer one.
        conflict_serial: Tid,
    },
    /// An object cannot be stored in the transaction that checks it.
    AlreadyChecked {
        /// The object.
        oid: Oid,
    },
    /// A transaction changes more objects than messages can tell.
    TooLarge {
        /// The transaction.
        ttid: Ttid,
    },
    /// An object was locked by no storage that has it whole, so that conflicts may be overlooked.
    NotLocked {
        /// The object.
        oid: Oid,
    },
    /// A transaction cannot be undone.
    Undo {
        /// The transaction to be undone.
        tid: Tid,
        /// The object that stands in the way, if it is one.
        oid: Option<Oid>,
        /// Why.
        reason: UndoFailure,
    },
    /// A directory cannot be used without a cluster.
    Unfit {
        /// The directory.
        path: String,
        /// Why.
        reason: Unfit,
    },
    /// The disk, or what the system allows, is in the way: there is no space, or a write or sync
    /// failed. Nothing was committed.
    Storage {
        /// What happened, with the path.
        text: String,
    },
    /// What is in a database's files cannot be read, or is not what was written.
    Unreadable {
        /// The object, if it is about one.
        oid: Option<Oid>,
        /// What is wrong, with the file and the place in it.
        text: String,
    },
    /// The disk failed while a transaction was committed: whether it is committed is seen when the
    /// database is opened again.
    Undecided {
        /// The transaction.
        ttid: Ttid,
        /// What happened, with the path.
        text: String,
    },
    /// No transaction can be begun, or not with that tid.
    CannotBegin {
        /// The tid that it was to have, if one was asked for.
        tid: Option<Tid>,
        /// Why.
        reason: &'static str,
    },
    /// Something is longer or more than is possible.
    Limit {
        /// What.
        what: &'static str,
        /// How much it would be.
        given: u64,
        /// The greatest value allowed.
        limit: u64,
    },
    /// There is no such thing in a database without a cluster.
    Unsupported {
        /// What.
        what: &'static str,
    },
}

/// Why a transaction cannot be undone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UndoFailure {
    /// There is no such transaction.
    NoSuchTransaction,
    /// The data that is to come back was packed away.
    Packed,
    /// The object was changed since.
    Changed,
}

/// What kind of trouble an [`Error`] is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// Nodes or the network: the same may work later.
    Network,
    /// What was asked for is not there.
    Missing,
    /// Another transaction was first: the same may work if begun anew.
    Conflict,
    /// The request cannot be right, or is not allowed.
    Refused,
    /// Data is damaged.
    Damage,
    /// The disk: the same fails until somebody has seen to it.
    Storage,
}

impl Error {
    /// What kind of trouble it is.
    pub fn trouble(&self) -> Trouble {
        match self {
            Self::Closed
            | Self::NoMaster { .. }
            | Self::NoStorage { .. }
            | Self::MasterLost { .. }
            | Self::Incomplete { .. }
            | Self::NotCommitted { .. }
            | Self::OutcomeUnknown { .. }
            | Self::System { .. }
            | Self::NotLocked { .. } => Trouble::Network,
            Self::NoSuchObject { .. }
            | Self::NoSuchRevision { .. }
            | Self::NoSuchTransaction { .. } => Trouble::Missing,
            Self::Conflict { .. } | Self::ReadConflict { .. } => Trouble::Conflict,
            Self::Refused { .. }
            | Self::ReadOnly
            | Self::Peer { .. }
            | Self::NotBegun { .. }
            | Self::OutOfTurn { .. }
            | Self::AlreadyChecked { .. }
            | Self::TooLarge { .. }
            | Self::Undo { .. }
            | Self::Unfit { .. }
            | Self::CannotBegin { .. }
            | Self::Limit { .. }
            | Self::Unsupported { .. } => Trouble::Refused,
            Self::WrongChecksum { .. } | Self::Damaged { .. } | Self::Unreadable { .. } => {
                Trouble::Damage
            }
            Self::Storage { .. } | Self::Undecided { .. } => Trouble::Storage,
        }
    }

    pub(crate) fn of_peer(nid: Option<Nid>, code: ErrorCode, text: &Bytes) -> Self {
        if code == ErrorCode::ReadOnlyAccess {
            return Self::ReadOnly;
        }
        Self::Peer { nid, code, text: String::from_utf8_lossy(text).into_owned() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the client is closed"),
            Self::Refused { master, text } => write!(f, "master {master} refuses: {text}"),
            Self::NoMaster { masters, waited_s, reason } => {
                let masters: Vec<_> = masters.iter().map(Address::to_string).collect();
                write!(f, "no primary master found for {waited_s} s at {}", masters.join(", "))?;
                reason.as_ref().map_or(Ok(()), |reason| write!(f, ": {reason}"))
            }
            Self::System { kind } => write!(f, "the system refuses resources: {kind}"),
            Self::ReadOnly => f.write_str("only reading is allowed"),
            Self::NoStorage { partition, reason } => {
                write!(f, "no storage for partition {partition}: {reason}")
            }
            Self::MasterLost { ttid } => {
                write!(f, "transaction {ttid} is aborted: the primary master was lost")
            }
            Self::Incomplete { ttid } => write!(
                f,
                "transaction {ttid} is aborted: storages that failed cannot be done without"
            ),
            Self::NotCommitted { ttid } => {
                write!(f, "transaction {ttid} was not committed: the primary master was lost")
            }
            Self::OutcomeUnknown { ttid } => {
                write!(f, "nobody who knows whether {ttid} is committed can be reached")
            }
            Self::Peer { nid: Some(nid), code, text } => write!(f, "{nid}: {code:?}: {text}"),
            Self::Peer { nid: None, code, text } => write!(f, "primary master: {code:?}: {text}"),
            Self::WrongChecksum { oid, serial, nid } => {
                write!(f, "object {oid} at {serial}: wrong checksum: it is damaged on {nid}")
            }
            Self::Damaged { compression } => {
                write!(f, "data does not decompress (compression {compression})")
            }
            Self::NoSuchObject { oid } => write!(f, "no such object: {oid}"),
            Self::NoSuchRevision { oid, revision } => {
                write!(f, "object {oid} has no revision {revision}")
            }
            Self::NoSuchTransaction { tid } => write!(f, "no such transaction: {tid}"),
            Self::NotBegun { ttid } => write!(f, "no transaction {ttid} is in progress"),
            Self::OutOfTurn { ttid } => {
                write!(f, "transaction {ttid}: not possible before or after the vote")
            }
            Self::Conflict { oid, serial, conflict_serial } => {
                write!(f, "object {oid} at {serial} was changed by {conflict_serial}")
            }
            Self::ReadConflict { oid, serial, conflict_serial } => {
                write!(f, "object {oid}, read at {serial}, was changed by {conflict_serial}")
            }
            Self::AlreadyChecked { oid } => write!(f, "object {oid} is checked and stored at once"),
            Self::TooLarge { ttid } => write!(f, "transaction {ttid} changes too many objects"),
            Self::NotLocked { oid } => write!(f, "object {oid} is locked by no sound storage"),
            Self::Undo { tid, oid, reason } => fmt_undo(f, *tid, *oid, *reason),
            Self::Unfit { path, reason } => write!(f, "{path}: {reason}"),
            Self::Storage { text } | Self::Unreadable { oid: None, text } => f.write_str(text),
            Self::Unreadable { oid: Some(oid), text } => write!(f, "object {oid}: {text}"),
            Self::Undecided { ttid, text } => fmt_undecided(f, *ttid, text),
            Self::CannotBegin { tid, reason } => fmt_begin(f, *tid, reason),
            Self::Limit { what, given, limit } => {
                write!(f, "{what}: {given} is over the limit of {limit}")
            }
            Self::Unsupported { what } => {
                write!(f, "{what} is not possible in a database without a cluster")
            }
        }
    }
}

fn fmt_undecided(f: &mut fmt::Formatter<'_>, ttid: Ttid, text: &str) -> fmt::Result {
    write!(f, "{text}: whether {ttid} is committed is seen when the database is opened again")
}

fn fmt_undo(
    f: &mut fmt::Formatter<'_>,
    tid: Tid,
    oid: Option<Oid>,
    reason: UndoFailure,
) -> fmt::Result {
    write!(f, "transaction {tid} cannot be undone: ")?;
    match oid {
        Some(oid) => write!(f, "object {oid}: {reason}"),
        None => write!(f, "{reason}"),
    }
}

fn fmt_begin(f: &mut fmt::Formatter<'_>, tid: Option<Tid>, reason: &str) -> fmt::Result {
    match tid {
        Some(tid) => write!(f, "cannot begin a transaction with tid {tid}: {reason}"),
        None => write!(f, "cannot begin a transaction: {reason}"),
    }
}

impl std::error::Error for Error {}

impl fmt::Display for UndoFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSuchTransaction => "no such transaction",
            Self::Packed => "the data that is to come back was packed away",
            Self::Changed => "it was changed since",
        })
    }
}
