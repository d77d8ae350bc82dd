//! Errors of partition tables.

use std::error::Error;
use std::fmt;

use crate::ids::{PartitionCount, PartitionId, PartitionTableId};
use crate::nid::Nid;

/// Why a table or a change of one was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TableError {
    /// A table needs from 1 to [`PartitionCount::MAX`] rows.
    PartitionCount {
        /// Rows given.
        found: usize,
    },
    /// A change is not the one that follows.
    Id {
        /// The id that follows.
        expected: PartitionTableId,
        /// The id given.
        found: PartitionTableId,
    },
    /// A change is of a partition that does not exist.
    Partition {
        /// The partition given.
        partition: PartitionId,
        /// How many there are.
        count: PartitionCount,
    },
    /// A cell is on a node that is no storage.
    NotAStorage {
        /// The partition.
        partition: PartitionId,
        /// The node.
        nid: Nid,
    },
    /// A cell of a table is `Discarded`.
    Discarded {
        /// The partition.
        partition: PartitionId,
        /// The node.
        nid: Nid,
    },
    /// A node has two cells of one partition.
    TwoCells {
        /// The partition.
        partition: PartitionId,
        /// The node.
        nid: Nid,
    },
    /// Bytes are no table.
    Bytes {
        /// Where.
        offset: usize,
        /// What should be there.
        expected: &'static str,
    },
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PartitionCount { found } => {
                let max = PartitionCount::MAX;
                write!(f, "a partition table has 1 to {max} partitions, not {found}")
            }
            Self::Id { expected, found } => {
                write!(f, "expected partition table {expected}, got {found}")
            }
            Self::Partition { partition, count } => {
                write!(f, "no partition {partition}: there are {count}")
            }
            Self::NotAStorage { partition, nid } => {
                write!(f, "partition {partition} has a cell on {nid}, which is no storage node")
            }
            Self::Discarded { partition, nid } => {
                write!(f, "partition {partition} has a discarded cell on {nid}")
            }
            Self::TwoCells { partition, nid } => {
                write!(f, "partition {partition} has two cells on {nid}")
            }
            Self::Bytes { offset, expected } => {
                write!(f, "a partition table in bytes: expected {expected} at byte {offset}")
            }
        }
    }
}

impl Error for TableError {}
