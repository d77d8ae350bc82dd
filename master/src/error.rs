//! Why a master cannot start, or go on.

use std::fmt;
use std::io;

use model::Nid;
use net::Address;

/// Why a master cannot start, or go on.
#[derive(Debug)]
pub enum Error {
    /// Other masters are named, and a cluster has only one so far.
    SeveralMasters {
        /// One of them.
        other: Address,
    },
    /// The id it is told to use is not one of a master.
    Nid {
        /// That id.
        nid: Nid,
    },
    /// The log belongs to another cluster.
    OtherCluster {
        /// Its file.
        file: String,
        /// Whose it is.
        found: String,
        /// Whose it should be.
        expected: String,
    },
    /// Something of the log that was durable is damaged.
    Damaged {
        /// The file.
        file: String,
        /// Of the first byte that is not understood.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// The log was written by a later version.
    Newer {
        /// The file.
        file: String,
        /// Its version.
        version: u32,
    },
    /// The system refuses something.
    Disk {
        /// The file.
        file: String,
        /// What was being done.
        doing: &'static str,
        /// What it says.
        source: io::Error,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SeveralMasters { other } => write!(
                f,
                "{other} is another master: a cluster has only one so far, several masters come \
                 with a later version"
            ),
            Self::Nid { nid } => write!(f, "{nid} is no id of a master"),
            Self::OtherCluster { file, found, expected } => {
                write!(f, "{file} belongs to cluster {found:?}, not to {expected:?}")
            }
            Self::Damaged { file, offset, what } => {
                write!(f, "{file} is damaged at offset {offset}: {what}")
            }
            Self::Newer { file, version } => {
                write!(f, "{file} was written by a newer version (format {version})")
            }
            Self::Disk { file, doing, source } => write!(f, "{doing} {file}: {source}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Disk { source, .. } => Some(source),
            _ => None,
        }
    }
}
