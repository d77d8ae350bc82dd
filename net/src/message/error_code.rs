//! Codes of errors.

/// Why a request was refused. The number travels as a plain integer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ErrorCode {
    /// No error: the request that is answered by `Error` was carried out.
    Ack,
    /// An operator asked for something that would do harm.
    Denied,
    /// The peer cannot serve. The connection is closed behind it. Nodes of ours let a peer wait
    /// first, and say so where that was in vain.
    NotReady,
    /// The object has no revision in the range that was asked for.
    OidNotFound,
    /// There is no such transaction.
    TidNotFound,
    /// The object has no revision at all.
    OidDoesNotExist,
    /// The request makes no sense, or not now. The connection is closed behind it.
    ProtocolError,
    /// A source of replication cannot serve: another should be tried.
    ReplicationError,
    /// A cell cannot be compared: it is not assigned, or out of date.
    CheckingError,
    /// The storage's database does not support what was asked for.
    BackendNotImplemented,
    /// The cell that was asked is not readable: the client's table is old.
    NonReadableCell,
    /// Nothing can be written: the cluster is a backup, the client only reads, or the disk is full.
    ReadOnlyAccess,
    /// The transaction cannot be committed, as nodes that it needs failed.
    IncompleteTransaction,
    /// The revision whose data an undo wants was packed away.
    UndoPackError,
}

impl ErrorCode {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 14] = [
        Self::Ack,
        Self::Denied,
        Self::NotReady,
        Self::OidNotFound,
        Self::TidNotFound,
        Self::OidDoesNotExist,
        Self::ProtocolError,
        Self::ReplicationError,
        Self::CheckingError,
        Self::BackendNotImplemented,
        Self::NonReadableCell,
        Self::ReadOnlyAccess,
        Self::IncompleteTransaction,
        Self::UndoPackError,
    ];

    /// The number on the wire.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The inverse of [`Self::number`]; `None` for a number that is not in use.
    pub fn from_number(number: u64) -> Option<Self> {
        usize::try_from(number).ok().and_then(|number| Self::ALL.get(number).copied())
    }

    /// Whether who sends it closes the connection behind it.
    pub const fn closes(self) -> bool {
        matches!(self, Self::NotReady | Self::ProtocolError)
    }
}
