//! What can go wrong, by who is to blame: the disk, the files, the operator, the caller.

use std::fmt;
use std::io;

use model::{Tid, Ttid};

/// Everything that the engine refuses or fails at.
#[derive(Debug)]
pub enum Error {
    /// The system refused an operation on a file.
    Io {
        /// What was tried, such as "read".
        action: &'static str,
        /// On which file.
        file: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The system could not read bytes that are there: a bad sector, perhaps.
    Unreadable {
        /// In which file.
        file: String,
        /// Where in it, in bytes.
        offset: u64,
        /// The system's answer.
        source: io::Error,
    },
    /// There is no space for a write. Reads, locks, unlocks and aborts go on.
    Full {
        /// The file that could not grow.
        file: String,
    },
    /// Bytes that were durable are not what was written.
    Damaged {
        /// In which file.
        file: String,
        /// Where in it, in bytes.
        offset: u64,
        /// What was expected there.
        expected: &'static str,
    },
    /// The file is of a later format than this program knows.
    NewerFormat {
        /// Which file.
        file: String,
        /// Its version.
        found: u32,
        /// The latest version known here.
        known: u32,
    },
    /// The file belongs to another database.
    ForeignFile {
        /// Which file.
        file: String,
    },
    /// A file that the manifest names is not there.
    MissingFile {
        /// Which file.
        file: String,
    },
    /// The directory holds no database.
    NoDatabase {
        /// The directory.
        path: String,
    },
    /// The directory already holds files.
    NotEmpty {
        /// The directory.
        path: String,
        /// One of the files.
        file: String,
    },
    /// The database was opened to be read only.
    ReadOnly,
    /// The transaction is not known, or not in a state that allows this.
    WrongState {
        /// Which transaction.
        ttid: Ttid,
        /// What it would have to be.
        expected: &'static str,
    },
    /// Part of the transaction could not be written before; it can only be aborted.
    Broken {
        /// Which transaction.
        ttid: Ttid,
    },
    /// A tid was given that is already that of another transaction.
    TidInUse {
        /// Which.
        tid: Tid,
    },
    /// A value is over its limit.
    Limit {
        /// What is limited.
        what: &'static str,
        /// The value given.
        given: u64,
        /// The greatest value allowed.
        limit: u64,
    },
}

impl Error {
    /// Wraps an error of the system; one that means "no space" becomes [`Error::Full`].
    pub(crate) fn io(action: &'static str, file: String, source: io::Error) -> Self {
        if is_full(&source) {
            return Error::Full { file };
        }
        Error::Io { action, file, source }
    }

    /// Wraps a failed sync: whatever the system says, data may be gone.
    pub(crate) fn sync(file: String, source: io::Error) -> Self {
        Error::Io { action: "sync", file, source }
    }

    /// Wraps a failed read.
    pub(crate) fn read(file: String, offset: u64, source: io::Error) -> Self {
        Error::Unreadable { file, offset, source }
    }

    /// The file, and where in it, if a read failed for reasons of that place: what is elsewhere
    /// can be read.
    pub fn place(&self) -> Option<(&str, Option<u64>)> {
        match self {
            Error::Unreadable { file, offset, .. } | Error::Damaged { file, offset, .. } => {
                Some((file, Some(*offset)))
            }
            Error::ForeignFile { file } | Error::MissingFile { file } => Some((file, None)),
            _ => None,
        }
    }

    /// Whether files are damaged, as opposed to something that may pass or be retried.
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            Error::Damaged { .. } | Error::ForeignFile { .. } | Error::MissingFile { .. }
        )
    }
}

/// Whether the system says that a file cannot grow.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io { action, file, source } => write!(f, "{file}: cannot {action}: {source}"),
            Error::Unreadable { file, offset, source } => {
                write!(f, "{file}: cannot read at offset {offset}: {source}")
            }
            Error::Full { file } => write!(f, "{file}: no space left to write"),
            Error::Damaged { file, offset, expected } => {
                write!(f, "{file}: damaged at offset {offset}: expected {expected}")
            }
            Error::NewerFormat { file, found, known } => write!(
                f,
                "{file}: written in format {found} by a newer version; this one knows up to {known}"
            ),
            Error::ForeignFile { file } => write!(f, "{file}: belongs to another database"),
            Error::MissingFile { file } => write!(f, "{file}: missing, but named by the manifest"),
            Error::NoDatabase { path } => write!(f, "{path}: no Neolith database here"),
            Error::NotEmpty { path, file } => {
                write!(f, "{path}: not empty, it holds {file:?}; give a new directory")
            }
            Error::ReadOnly => write!(f, "the database was opened to be read only"),
            Error::WrongState { ttid, expected } => {
                write!(f, "transaction {ttid}: not {expected}")
            }
            Error::Broken { ttid } => {
                write!(f, "transaction {ttid}: an earlier write of it failed, it can only abort")
            }
            Error::TidInUse { tid } => write!(f, "tid {tid} belongs to another transaction"),
            Error::Limit { what, given, limit } => {
                write!(f, "{what}: {given} is over the limit of {limit}")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } | Error::Unreadable { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// A result of the engine.
pub type Result<T> = std::result::Result<T, Error>;
