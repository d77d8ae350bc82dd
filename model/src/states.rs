//! States of nodes, cells and clusters, and which may follow which.
//!
//! The functions `can_become` tell what a primary master may announce. They are for the side that
//! decides; who is told of a change follows it, as the peer may be of another version.

use crate::nid::NodeType;

/// An enum whose variants have a number on the wire and a name in NEO.
macro_rules! wire_numbers {
    ($(#[$doc:meta])* $name:ident {
        $($(#[$variant_doc:meta])* $variant:ident = $number:literal $text:literal,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum $name {
            $($(#[$variant_doc])* $variant = $number,)*
        }

        impl $name {
            /// The number on the wire.
            pub const fn number(self) -> u8 {
                self as u8
            }

            /// The inverse of [`Self::number`]; `None` for a number that is not in use.
            pub const fn from_number(number: u8) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }

        impl std::fmt::Display for $name {
            /// NEO's name, in capitals.
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(match self {
                    $(Self::$variant => $text,)*
                })
            }
        }
    };
}
pub(crate) use wire_numbers;

wire_numbers! {
    /// State of a node, as the primary master sees it.
    NodeState {
        /// Not in the cluster: never seen, or to be forgotten.
        Unknown = 0 "UNKNOWN",
        /// Belongs to the cluster but is not connected.
        Down = 1 "DOWN",
        /// Connected and at work.
        Running = 2 "RUNNING",
        /// A storage that is connected but not at work: new, or the cluster does not operate.
        Pending = 3 "PENDING",
    }
}

impl NodeState {
    /// Whether a node of the given type may change to another state.
    ///
    /// Clients and admins are forgotten when they are lost, masters and storages become DOWN; only
    /// storages wait as PENDING.
    ///
    /// ```
    /// use model::{NodeState, NodeType};
    ///
    /// assert!(NodeState::Running.can_become(NodeState::Down, NodeType::Storage));
    /// assert!(!NodeState::Running.can_become(NodeState::Down, NodeType::Client));
    /// ```
    pub fn can_become(self, next: Self, node_type: NodeType) -> bool {
        let has = |state| match state {
            Self::Unknown | Self::Running => true,
            Self::Down => matches!(node_type, NodeType::Master | NodeType::Storage),
            Self::Pending => node_type == NodeType::Storage,
        };
        self != next && has(self) && has(next)
    }
}

wire_numbers! {
    /// State of a cell, the copy of a partition that a storage node has.
    CellState {
        /// Takes writes; lacks older transactions, which are being replicated.
        OutOfDate = 0 "OUT_OF_DATE",
        /// Has everything.
        UpToDate = 1 "UP_TO_DATE",
        /// Has everything, and goes as soon as other cells do.
        Feeding = 2 "FEEDING",
        /// A check found that it differs from other replicas.
        Corrupted = 3 "CORRUPTED",
        /// Only in messages: the node no longer has the cell. Never in a table.
        Discarded = 4 "DISCARDED",
    }
}

impl CellState {
    /// Whether loads may be sent to it.
    pub const fn is_readable(self) -> bool {
        matches!(self, Self::UpToDate | Self::Feeding)
    }

    /// Whether stores must be sent to it: to every cell of a table, as the master has the
    /// transaction locked by all of them, CORRUPTED ones included.
    pub const fn is_writable(self) -> bool {
        !matches!(self, Self::Discarded)
    }

    /// Whether a cell may change to another state. A cell that does not exist yet is `Discarded`.
    ///
    /// Data are only complete by replication, hence nothing but OUT_OF_DATE becomes UP_TO_DATE,
    /// except a FEEDING cell that is to be kept after all and the cells of a first table.
    /// A FEEDING cell that misses a transaction is discarded, never outdated.
    ///
    /// ```
    /// use model::CellState;
    ///
    /// assert!(CellState::OutOfDate.can_become(CellState::UpToDate));
    /// assert!(!CellState::Corrupted.can_become(CellState::UpToDate));
    /// ```
    pub const fn can_become(self, next: Self) -> bool {
        use CellState::{Corrupted, Discarded, Feeding, OutOfDate, UpToDate};
        match self {
            Discarded => matches!(next, OutOfDate | UpToDate),
            OutOfDate => matches!(next, UpToDate | Discarded),
            UpToDate => matches!(next, OutOfDate | Feeding | Corrupted | Discarded),
            Feeding => matches!(next, UpToDate | Corrupted | Discarded),
            Corrupted => matches!(next, OutOfDate | Discarded),
        }
    }
}

wire_numbers! {
    /// State of a cluster.
    ClusterState {
        /// Waits for the storage nodes that make it operational.
        Recovering = 0 "RECOVERING",
        /// Decides on transactions that were being committed when it stopped.
        Verifying = 1 "VERIFYING",
        /// Serves clients.
        Running = 2 "RUNNING",
        /// Ends transactions, then all nodes.
        Stopping = 3 "STOPPING",
        /// Backup: connects to the cluster that it follows.
        StartingBackup = 4 "STARTING_BACKUP",
        /// Backup: follows, and serves clients that only read.
        BackingUp = 5 "BACKINGUP",
        /// Backup: makes its partitions equally old, to become a cluster of its own.
        StoppingBackup = 6 "STOPPING_BACKUP",
    }
}

impl ClusterState {
    /// Whether a cluster may change to another state.
    ///
    /// It may stop at any time, and goes back to RECOVERING when it is no longer operational or is
    /// to be truncated. Nothing follows STOPPING.
    ///
    /// ```
    /// use model::ClusterState;
    ///
    /// assert!(ClusterState::Running.can_become(ClusterState::Recovering));
    /// assert!(!ClusterState::Recovering.can_become(ClusterState::Running));
    /// ```
    pub const fn can_become(self, next: Self) -> bool {
        use ClusterState::{
            BackingUp, Recovering, Running, StartingBackup, Stopping, StoppingBackup, Verifying,
        };
        match self {
            Recovering => matches!(next, Verifying | Stopping),
            Verifying => matches!(next, Running | StartingBackup | Recovering | Stopping),
            Running => matches!(next, StartingBackup | Recovering | Stopping),
            StartingBackup => {
                matches!(next, BackingUp | StoppingBackup | Recovering | Stopping)
            }
            BackingUp => {
                matches!(next, StartingBackup | StoppingBackup | Recovering | Stopping)
            }
            StoppingBackup => matches!(next, StartingBackup | Recovering | Stopping),
            Stopping => false,
        }
    }
}

#[cfg(test)]
mod tests;
