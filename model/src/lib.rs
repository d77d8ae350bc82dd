//! The vocabulary of Neolith: what every other crate talks about, and nothing that does I/O.
//!
//! - ids of objects, transactions, partitions and nodes, printed and typed as operators do:
//!   [`Oid`], [`Tid`], [`Ttid`], [`PartitionId`], [`Nid`];
//! - calendar time in tids: [`UtcTime`];
//! - states of nodes, cells and clusters, with their numbers on the wire;
//! - the partition table as a value: [`PartitionTable`];
//! - randomness as a value: [`Random`];
//! - what is added and mostly taken out in order: [`InOrder`].

mod clock;
mod ids;
mod in_order;
mod nid;
mod parse;
mod random;
mod states;
mod table;
pub mod time;

pub use clock::Now;
pub use ids::{Oid, PartitionCount, PartitionId, PartitionTableId, Tid, Ttid};
pub use in_order::InOrder;
pub use nid::{Nid, NodeType};
pub use parse::ParseIdError;
pub use random::Random;
pub use states::{CellState, ClusterState, NodeState};
pub use table::{Cell, CellChange, PartitionTable, TableError};
pub use time::UtcTime;
