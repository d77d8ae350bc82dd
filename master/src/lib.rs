//! Cluster coordination: the master node as a machine without I/O.
//!
//! - [`Master`]: events in, packets out ([`net::Machine`]);
//! - [`MasterOptions`]: what it is told at the start;
//! - [`MasterExit`]: why it ends; [`Error`]: why it cannot start, or go on.
//!
//! Inside there is one machine for each state of the cluster (`recovery`, `verification`,
//! `operation`, `stopping`). They share the `cluster`: nodes, the partition table, ids, and the
//! `log`, which keeps what must not be lost.

mod administration;
mod cluster;
mod early;
mod error;
mod facts;
mod identification;
mod ids;
mod log;
mod machine;
mod naming;
mod nodes;
mod operation;
mod options;
mod phase;
mod recovery;
mod stopping;
mod table;
mod truncation;
mod verification;
mod wire;

pub use error::Error;
pub use machine::Master;
pub use options::{MasterExit, MasterOptions};

#[cfg(test)]
mod tests;
