//! Why a directory is not opened.

use std::fmt;

use model::{CellState, Nid, PartitionCount, PartitionId, Tid, Ttid};

/// Why a directory cannot be used without a cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unfit {
    /// Somebody has it open.
    InUse,
    /// There is no database in it.
    NoDatabase,
    /// A database is to be made where other files are.
    NotEmpty {
        /// One of them.
        file: String,
    },
    /// A later version has written it.
    NewerFormat {
        /// The file.
        file: String,
        /// Its version.
        found: u32,
        /// The latest version that is known here.
        known: u32,
    },
    /// An import into it is not finished.
    Import,
    /// It is of a backup cluster.
    Backup {
        /// Up to where it follows.
        tid: Tid,
    },
    /// The database is to be truncated, and is not yet.
    Truncation {
        /// What is later goes.
        tid: Tid,
    },
    /// It was made for a storage that never joined its cluster.
    NoTable,
    /// What it says of itself cannot be.
    Metadata {
        /// What does not fit.
        what: &'static str,
    },
    /// It is of another cluster than was asked for.
    OtherName {
        /// Its cluster.
        database: String,
        /// The one that was asked for.
        wanted: String,
    },
    /// It has another number of partitions than was asked for.
    OtherPartitions {
        /// What it has.
        database: PartitionCount,
        /// What was asked for.
        wanted: PartitionCount,
    },
    /// A partition is not in it: it is a part of a database.
    NoCell {
        /// The partition.
        partition: PartitionId,
    },
    /// Its cell of a partition is not whole.
    NotUpToDate {
        /// The partition.
        partition: PartitionId,
        /// The state of the cell.
        state: CellState,
    },
    /// Another storage has a copy of a partition, and would not be told of what is written.
    Replicated {
        /// The partition.
        partition: PartitionId,
        /// The other storage.
        nid: Nid,
    },
    /// Transactions of a cluster are voted and not finished.
    InDoubt {
        /// How many.
        count: usize,
        /// The first.
        first: Ttid,
    },
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse => f.write_str("it is open elsewhere, in this process or another one"),
            Self::NoDatabase => f.write_str("no Neolith database here"),
            Self::NotEmpty { file } => {
                write!(f, "not empty, it holds {file:?}; give a new directory")
            }
            Self::NewerFormat { file, found, known } => write!(
                f,
                "{file} was written in format {found} by a newer version; this one knows up to \
                 {known}"
            ),
            Self::Import => f.write_str("an import into it is not finished: run it again"),
            Self::Backup { tid } => write!(
                f,
                "it is of a backup cluster, which follows another one up to {tid}: end the backup \
                 there first"
            ),
            Self::Truncation { tid } => write!(
                f,
                "it is being truncated to {tid}: start its cluster once, so that this is done"
            ),
            Self::NoTable => f.write_str("it was made for a storage that never joined a cluster"),
            Self::Metadata { what } => write!(f, "its metadata has no sound {what}"),
            Self::OtherName { database, wanted } => {
                write!(f, "it is of cluster {database:?}, not {wanted:?}")
            }
            Self::OtherPartitions { database, wanted } => {
                write!(f, "it has {database} partitions, not {wanted}")
            }
            Self::NoCell { partition } => write!(
                f,
                "partition {partition} is not in it: it is only a part of a database, which its \
                 cluster has to serve"
            ),
            Self::NotUpToDate { partition, state } => write!(
                f,
                "its cell of partition {partition} is {state}: only its cluster can make it whole"
            ),
            Self::Replicated { partition, nid } => write!(
                f,
                "partition {partition} is on {nid} as well, which would not be told of changes: \
                 drop that storage from its cluster first"
            ),
            Self::InDoubt { count, first } => write!(
                f,
                "{count} transactions are voted and not finished, {first} first: start its cluster \
                 once, which decides on them, or have them settled when it is opened"
            ),
        }
    }
}
