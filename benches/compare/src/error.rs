//! What can go wrong, by who can mend it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use crate::workload::Answers;

pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Every error of this program. None is retried: the first ends it.
#[derive(Debug)]
pub(crate) enum Error {
    /// The operating system refused something on `path`.
    File {
        path: PathBuf,
        source: io::Error,
    },
    /// `--dir` holds something already.
    NotEmpty {
        path: PathBuf,
    },
    /// Fewer records than one batch.
    NoWholeBatch {
        records: u64,
        batch: u64,
    },
    /// A batch has distinct oids.
    TooFewOids {
        oids: u64,
        batch: u64,
    },
    /// A file of the kernel's reads differently than documented.
    Unreadable {
        path: PathBuf,
        field: &'static str,
    },
    /// The process that measured an engine failed; it has said why.
    Child {
        engine: &'static str,
        status: ExitStatus,
    },
    /// The process that measured an engine printed something else than a measure.
    Measure {
        engine: &'static str,
        source: serde_json::Error,
    },
    /// An engine answered wrongly.
    Differs {
        engine: &'static str,
        expected: Answers,
        found: Answers,
    },
    Fjall(Box<fjall::Error>),
    Lmdb(heed::Error),
    Neolith(engine::Error),
    Redb(Box<redb::Error>),
    #[cfg(feature = "rocksdb")]
    Rocksdb(rocksdb::Error),
    Sqlite(rusqlite::Error),
}

impl Error {
    /// For `map_err` of what the operating system says about `path`.
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { path: path.to_owned(), source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, source } => write!(f, "{}: {source}", path.display()),
            Self::NotEmpty { path } => write!(
                f,
                "{}: expected none or an empty directory; delete what an interrupted run left",
                path.display()
            ),
            Self::NoWholeBatch { records, batch } => {
                write!(f, "--records {records} has no whole batch of {batch}")
            }
            Self::TooFewOids { oids, batch } => {
                write!(f, "--oids {oids}: a batch of {batch} wants as many distinct ones")
            }
            Self::Unreadable { path, field } => {
                write!(f, "{}: expected a number as {field}", path.display())
            }
            Self::Child { engine, status } => write!(f, "{engine}: {status}"),
            Self::Measure { engine, source } => write!(f, "{engine}: no measure: {source}"),
            Self::Differs { engine, expected, found } => {
                write!(f, "{engine}: wrong answers: expected {expected:?}, found {found:?}")
            }
            Self::Fjall(source) => write!(f, "fjall: {source}"),
            Self::Neolith(source) => write!(f, "neolith: {source}"),
            Self::Lmdb(source) => write!(f, "lmdb: {source}"),
            Self::Redb(source) => write!(f, "redb: {source}"),
            #[cfg(feature = "rocksdb")]
            Self::Rocksdb(source) => write!(f, "rocksdb: {source}"),
            Self::Sqlite(source) => write!(f, "sqlite: {source}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<fjall::Error> for Error {
    fn from(source: fjall::Error) -> Self {
        Self::Fjall(Box::new(source))
    }
}

impl From<engine::Error> for Error {
    fn from(source: engine::Error) -> Self {
        Self::Neolith(source)
    }
}

impl From<heed::Error> for Error {
    fn from(source: heed::Error) -> Self {
        Self::Lmdb(source)
    }
}

#[cfg(feature = "rocksdb")]
impl From<rocksdb::Error> for Error {
    fn from(source: rocksdb::Error) -> Self {
        Self::Rocksdb(source)
    }
}

impl From<rusqlite::Error> for Error {
    fn from(source: rusqlite::Error) -> Self {
        Self::Sqlite(source)
    }
}
