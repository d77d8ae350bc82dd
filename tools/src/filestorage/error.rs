//! What can go wrong with a FileStorage file.

use std::fmt;
use std::io;
use std::path::PathBuf;

use model::{Oid, Tid};

use super::damage::Damage;
use super::format::{Length, Position};

/// Every failure of [`super::Reader`] and [`super::Writer`]. Its text is one line that names the
/// file and, where there is one, the offset, what was expected there and what was found.
#[derive(Debug)]
pub enum Error {
    /// The system refused.
    Io {
        /// Of the file.
        path: PathBuf,
        /// What was tried.
        action: Action,
        /// Why not.
        source: io::Error,
    },
    /// A directory, a pipe, a device.
    NotAFile {
        /// Of the thing.
        path: PathBuf,
    },
    /// The file does not begin with `FS21` or `FS30`.
    NotFileStorage {
        /// Of the file.
        path: PathBuf,
        /// The first 4 bytes, or fewer if there are no more.
        found: Vec<u8>,
    },
    /// The file contradicts itself.
    Damaged {
        /// Of the file.
        path: PathBuf,
        /// Where.
        position: Position,
        /// How.
        damage: Damage,
    },
    /// The file became shorter while it was read.
    Shrunk {
        /// Of the file.
        path: PathBuf,
        /// When it was opened.
        expected: Length,
        /// Where it ends now, or before that.
        found: Position,
    },
    /// There is already something where a file was to be written.
    TargetExists {
        /// Of what is there.
        path: PathBuf,
    },
    /// Another process is writing the same file.
    TargetBusy {
        /// Of the half-made file.
        path: PathBuf,
    },
    /// A transaction to be written is not later than the one before it.
    WriteTidOrder {
        /// Of the file.
        path: PathBuf,
        /// The one before.
        last: Tid,
        /// The one to be written.
        tid: Tid,
    },
    /// A field of a transaction to be written is longer than 65,535 bytes, all that FileStorage
    /// has place for.
    MetadataLength {
        /// Of the file.
        path: PathBuf,
        /// The transaction.
        tid: Tid,
        /// Which.
        field: Field,
        /// Its length.
        found: Length,
    },
    /// Data of no bytes is to be written: in a FileStorage a length of 0 means something else.
    EmptyData {
        /// Of the file.
        path: PathBuf,
        /// The object.
        oid: Oid,
        /// The transaction.
        tid: Tid,
    },
}

/// What was being done when the system refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Open for reading.
    Open,
    /// Read at a position.
    Read(Position),
    /// Create for writing.
    Create,
    /// Write at a position.
    Write(Position),
    /// Make durable.
    Sync,
    /// Give the finished file its name.
    Rename,
}

/// A field of a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Field {
    /// Who.
    User,
    /// What.
    Description,
    /// A pickled dictionary.
    Extension,
}

impl Error {
    pub(super) fn io(path: &std::path::Path, action: Action, source: io::Error) -> Self {
        Error::Io { path: path.to_owned(), action, source }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io { path, action, source } => {
                write!(f, "{}: {action}: {source}", path.display())
            }
            Error::NotAFile { path } => {
                write!(f, "{}: expected a file, found something else", path.display())
            }
            Error::NotFileStorage { path, found } => write!(
                f,
                "{}: not a FileStorage: offset 0: expected FS21 or FS30, found {}",
                path.display(),
                Magic(found)
            ),
            Error::Damaged { path, position, damage } => {
                write!(f, "{}: offset {position}: {damage}", path.display())
            }
            Error::Shrunk { path, expected, found } => write!(
                f,
                "{}: offset {found}: expected {expected} bytes as when the file was opened, \
                 found its end",
                path.display()
            ),
            Error::TargetExists { path } => {
                write!(f, "{}: expected no such file, found one", path.display())
            }
            Error::TargetBusy { path } => {
                write!(f, "{}: is being written by another process", path.display())
            }
            Error::WriteTidOrder { path, last, tid } => {
                write!(f, "{}: expected a transaction after {last}, found {tid}", path.display())
            }
            Error::MetadataLength { path, tid, field, found } => write!(
                f,
                "{}: transaction {tid}: expected {field} of at most 65535 bytes, all that \
                 FileStorage has place for, found {found} bytes",
                path.display()
            ),
            Error::EmptyData { path, oid, tid } => write!(
                f,
                "{}: transaction {tid}: oid {oid}: expected data of at least 1 byte, as \
                 FileStorage cannot hold less, found 0 bytes",
                path.display()
            ),
        }
    }
}

/// The first bytes of a file that is something else.
struct Magic<'a>(&'a [u8]);

impl fmt::Display for Magic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str("an empty file"),
            bytes => write!(f, "\"{}\"", bytes.escape_ascii()),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Open => f.write_str("cannot open"),
            Action::Read(position) => write!(f, "offset {position}: cannot read"),
            Action::Create => f.write_str("cannot create"),
            Action::Write(position) => write!(f, "offset {position}: cannot write"),
            Action::Sync => f.write_str("cannot sync"),
            Action::Rename => f.write_str("cannot rename the finished file to this name"),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Field::User => "a user",
            Field::Description => "a description",
            Field::Extension => "an extension",
        })
    }
}
