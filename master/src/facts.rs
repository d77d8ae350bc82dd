//! What a master can be asked for by whoever drives it.

use std::os::fd::RawFd;

use model::{ClusterState, Nid, PartitionTable};

use crate::machine::Master;
use crate::phase::Phase;
use crate::table::LiveTable;

impl Master {
    /// Name of the cluster, which may have been made up.
    pub fn cluster(&self) -> &str {
        &self.cluster.name
    }

    /// The id of this node.
    pub fn nid(&self) -> Nid {
        self.cluster.nid
    }

    /// The state of the cluster, as announced.
    pub fn state(&self) -> ClusterState {
        self.cluster.state
    }

    /// The partition table, once there is one.
    pub fn table(&self) -> Option<&PartitionTable> {
        self.cluster.table.as_ref().map(LiveTable::table)
    }

    /// Why the cluster does not start, for people, if that was found: which nodes it waits for.
    pub fn obstacle(&self) -> Option<String> {
        match &self.phase {
            Phase::Recovering(recovery) => recovery.obstacle(),
            _ => None,
        }
    }

    /// Whether something is not durable yet that was decided.
    pub fn is_writing(&self) -> bool {
        !self.cluster.ledger.is_settled()
    }

    /// What has not come to its end, for people: transactions, requests that wait, writes of the
    /// log. Nothing where nobody commits.
    pub fn unfinished(&self) -> Vec<String> {
        let mut unfinished = match &self.phase {
            Phase::Running(operation) => operation.unfinished(),
            phase => vec![format!("the cluster is {:?}", phase.state())],
        };
        if self.is_writing() {
            unfinished.push("the log is being written".to_owned());
        }
        unfinished
    }

    /// Readable when the log may have been written.
    pub fn descriptor(&self) -> Option<RawFd> {
        self.cluster.ledger.descriptor()
    }

    /// Panics if an invariant does not hold.
    pub fn invariants(&self) {
        if self.exit.is_some() {
            return;
        }
        self.cluster.invariants();
        assert!(self.cluster.state == self.phase.state(), "the state announced is the present one");
        if let Phase::Running(operation) = &self.phase {
            operation.invariants(&self.cluster);
        }
    }
}
