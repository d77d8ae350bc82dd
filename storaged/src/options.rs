//! What can be set.

use std::time::Duration;

use model::Nid;
use net::Address;

/// What a storage is told when it starts.
#[derive(Clone, Debug)]
pub struct StorageOptions {
    /// Name of the cluster.
    pub cluster: String,
    /// Where it listens, as others are to connect to it.
    pub address: Address,
    /// Masters that are known to begin with; at least one.
    pub masters: Vec<Address>,
    /// The id to ask for, where the database has none.
    pub nid: Option<Nid>,
    /// What it is on, from the outside in: host and device. Masters keep replicas apart by it.
    pub device_path: Vec<String>,
    /// Ask for an id of its own for a copy of another node's database, keep it, and end.
    pub new_nid: bool,
    /// Carry out no pack orders. They are not carried out yet in any case.
    pub disable_pack: bool,
    /// Keep the data of cells that the node no longer has.
    pub disable_drop_partitions: bool,
    /// How long to wait before a master is tried again.
    pub reconnect_delay: Duration,
}
