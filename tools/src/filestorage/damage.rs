//! How a FileStorage file can contradict itself.

use std::fmt;

use model::{Oid, Tid};

use super::format::{DATA_LENGTH_MAX, Length, Position, STATUS_UNFINISHED};

/// How a file contradicts itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Damage {
    /// Tids have to grow.
    TidOrder {
        /// Of the transaction before.
        last: Tid,
        /// Of this one.
        found: Tid,
    },
    /// Nothing that ZODB knows.
    Status {
        /// The byte.
        found: u8,
    },
    /// Status `c` is for a last transaction, but whole ones follow.
    UnfinishedInTheMiddle {
        /// The last transaction of the file.
        whole: Position,
    },
    /// A transaction goes beyond the end of the file, but whole ones follow.
    LengthInTheMiddle {
        /// The most it can be.
        length_max: Length,
        /// The length.
        found: Length,
        /// The last transaction of the file.
        whole: Position,
    },
    /// A transaction is shorter than its own header.
    TransactionLength {
        /// The least it can be.
        length_min: Length,
        /// The length.
        found: Length,
    },
    /// The length before and the length behind a transaction differ.
    RedundantLength {
        /// Before.
        expected: Length,
        /// Behind.
        found: Length,
    },
    /// Not even the shortest record fits in what is left of the transaction.
    RecordSpace {
        /// The least it can be.
        length_min: Length,
        /// What is left.
        found: Length,
    },
    /// A record goes beyond the end of its transaction, or of the record that points to it.
    RecordLength {
        /// The most its data can be.
        length_max: Length,
        /// Length of the data.
        found: Length,
    },
    /// Data is longer than [`DATA_LENGTH_MAX`].
    DataLength {
        /// Length of the data.
        found: Length,
    },
    /// A record of a version, which ZODB gave up long ago.
    VersionLength {
        /// Length of the version's name.
        found: u16,
    },
    /// A record says that it is in another transaction.
    RecordTransaction {
        /// Of the transaction that it is in.
        expected: Position,
        /// What it says.
        found: Position,
    },
    /// A record has another tid than its transaction.
    RecordTid {
        /// Of the transaction.
        expected: Tid,
        /// Of the record.
        found: Tid,
    },
    /// The previous record is not before the record.
    Previous {
        /// Where it is said to be.
        found: Position,
    },
    /// A back pointer leads nowhere.
    BackPointer(BackPointerDamage),
}

/// How a back pointer leads nowhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BackPointerDamage {
    /// A back pointer does not point to before its record.
    Forward {
        /// Where it points to.
        found: Position,
    },
    /// A back pointer leads to something that is no record of the object.
    Oid {
        /// Where it points to.
        target: Position,
        /// The object.
        expected: Oid,
        /// What would be the oid there.
        found: Oid,
    },
    /// A back pointer leads to something that is in no transaction.
    Transaction {
        /// Where it points to.
        target: Position,
        /// Where the transaction would be.
        found: Position,
    },
    /// Too many back pointers, one after the other.
    Endless {
        /// The most that are followed.
        length_max: usize,
    },
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::TidOrder { last, found } => {
                write!(f, "expected a transaction after {last}, found {found}")
            }
            Damage::Status { found } => {
                let found = found.escape_ascii();
                write!(f, "expected a transaction status ' ', 'p', 'u' or 'c', found '{found}'")
            }
            Damage::UnfinishedInTheMiddle { whole } => write!(
                f,
                "expected a committed transaction, as whole ones follow (the last at offset \
                 {whole}), found status '{}'",
                char::from(STATUS_UNFINISHED)
            ),
            Damage::LengthInTheMiddle { length_max, found, whole } => write!(
                f,
                "expected a transaction length of at most {length_max}, as whole transactions \
                 follow (the last at offset {whole}), found {found}"
            ),
            Damage::TransactionLength { length_min, found } => write!(
                f,
                "expected a transaction length of at least {length_min} (its header), found {found}"
            ),
            Damage::RedundantLength { expected, found } => {
                write!(f, "expected the transaction length {expected} once more, found {found}")
            }
            Damage::RecordSpace { length_min, found } => write!(
                f,
                "expected a data record of at least {length_min} bytes, found {found} bytes left \
                 in the transaction"
            ),
            Damage::RecordLength { length_max, found } => {
                write!(f, "expected a data length of at most {length_max}, found {found}")
            }
            Damage::DataLength { found } => write!(
                f,
                "expected a data length of at most {DATA_LENGTH_MAX} (1 GiB), found {found}"
            ),
            Damage::VersionLength { found } => {
                write!(f, "expected a version length of 0, found {found}")
            }
            Damage::RecordTransaction { expected, found } => write!(
                f,
                "expected a data record of the transaction at offset {expected}, found {found}"
            ),
            Damage::RecordTid { expected, found } => {
                write!(f, "expected a data record of tid {expected}, found {found}")
            }
            Damage::Previous { found } => write!(
                f,
                "expected the previous record at an offset before this one, found {found}"
            ),
            Damage::BackPointer(damage) => damage.fmt(f),
        }
    }
}

impl fmt::Display for BackPointerDamage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BackPointerDamage::Forward { found } => {
                write!(f, "expected a back pointer to an offset before this one, found {found}")
            }
            BackPointerDamage::Oid { target, expected, found } => write!(
                f,
                "expected a back pointer to a record of oid {expected}, found {found} at offset \
                 {target}"
            ),
            BackPointerDamage::Transaction { target, found } => write!(
                f,
                "expected a back pointer to a record in a transaction, found none at offset \
                 {found}, where the record at offset {target} has it"
            ),
            BackPointerDamage::Endless { length_max } => write!(
                f,
                "expected at most {length_max} back pointers one after the other, found more"
            ),
        }
    }
}
