//! What a master is told at the start, and how it ends.

use std::time::Duration;

use model::{Nid, PartitionCount};
use net::Address;

use crate::error::Error;

/// What a master is told at the start.
#[derive(Clone, Debug)]
pub struct MasterOptions {
    /// Name of the cluster. Without one, that of the log; without that, a new one.
    pub cluster: Option<String>,
    /// Where it listens.
    pub address: Address,
    /// The masters of the cluster: none, or this one.
    pub masters: Vec<Address>,
    /// Partitions of a new database; one that exists keeps its number.
    pub partitions: PartitionCount,
    /// Replicas of a new database.
    pub replicas: u32,
    /// How many storage nodes make a new database without being told to.
    pub autostart: Option<u32>,
    /// The id of this node, if it is not to be M1.
    pub nid: Option<Nid>,
    /// How long to wait before connecting to an address again.
    pub reconnect_delay: Duration,
    /// Of what is random: the name of a new cluster, and ids of the log.
    pub seed: u64,
}

impl MasterOptions {
    /// Whether an address given for a master means this one.
    pub(crate) fn is_own(&self, address: &Address) -> bool {
        let any = matches!(self.address.host.as_str(), "0.0.0.0" | "::");
        *address == self.address || any && address.port == self.address.port
    }
}

/// Why a master ended.
#[derive(Debug)]
pub enum MasterExit {
    /// The cluster was stopped.
    Stopped,
    /// It was told to end, and commits that were on their way are done.
    Terminated,
    /// It cannot go on.
    Failed(Error),
}
