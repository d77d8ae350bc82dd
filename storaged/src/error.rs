//! What a storage cannot go on with.

use std::fmt;

use model::{PartitionCount, TableError};

/// Why a storage does not start, or ends.
#[derive(Debug)]
pub enum Error {
    /// The database failed.
    Engine(engine::Error),
    /// The database belongs to another cluster.
    OtherCluster {
        /// Name in the database.
        database: String,
        /// Name that was asked for.
        wanted: String,
    },
    /// The cluster has another number of partitions than the database.
    OtherPartitions {
        /// Of the database.
        database: PartitionCount,
        /// Of the cluster.
        cluster: usize,
    },
    /// The database is being imported into, or that was interrupted.
    UnfinishedImport,
    /// The database holds a partition table that is none.
    Table(TableError),
    /// The database holds something else that makes no sense.
    Metadata {
        /// What.
        what: &'static str,
    },
    /// A new id was asked for a database that has no cells.
    NothingToClone,
    /// No master is known.
    NoMaster,
    /// Background work could not be started.
    Background(std::io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine(error) => error.fmt(f),
            Self::OtherCluster { database, wanted } => write!(
                f,
                "the database belongs to cluster {database:?}, not to {wanted:?}: check the name \
                 and the directory"
            ),
            Self::OtherPartitions { database, cluster } => write!(
                f,
                "the database has {database} partitions, the cluster {cluster}: it is the \
                 database of another cluster"
            ),
            Self::UnfinishedImport => {
                f.write_str("an import into the database is not finished: finish it first")
            }
            Self::Table(error) => write!(f, "the partition table of the database: {error}"),
            Self::Metadata { what } => write!(f, "the database has no sensible {what}"),
            Self::NothingToClone => {
                f.write_str("the database has no cells: a new id is for copies of a database")
            }
            Self::NoMaster => f.write_str("no master is known: name at least one"),
            Self::Background(error) => write!(f, "cannot start background work: {error}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Engine(error) => Some(error),
            Self::Table(error) => Some(error),
            Self::Background(error) => Some(error),
            _ => None,
        }
    }
}

impl From<engine::Error> for Error {
    fn from(error: engine::Error) -> Self {
        Self::Engine(error)
    }
}
