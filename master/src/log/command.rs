//! Changes, as entries of the log.

use model::{CellChange, ClusterState, Nid, Oid, PartitionTable, PartitionTableId, Tid};
use net::Address;

/// One change of what is remembered.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Command {
    /// The cluster's name, and an id that no other cluster has.
    Cluster { name: String, id: [u8; 16] },
    /// A whole table: the first one, or one that the storages had and the log did not.
    Table(PartitionTable),
    /// The next version of the table.
    TableChange { id: PartitionTableId, replicas: u32, changes: Vec<CellChange> },
    /// A storage has this id, and listens here.
    Storage { nid: Nid, address: Option<Address> },
    /// A storage told of a database of which this log does not know: what it says of ids that were
    /// given out is not all.
    Foreign,
    /// Ids of storages up to this one are kept by somebody, or were: they are given to nobody else.
    KeptNid(Nid),
    /// A storage is no more.
    Forget { nid: Nid },
    /// Oids up to this one may be given out.
    Oids(Oid),
    /// Tids and ttids up to this one may be given out.
    Tids(Tid),
    /// No more oids and tids than up to these were given out.
    Released { oid: Oid, tid: Tid },
    /// A pack order was signed.
    PackSigned { id: Tid, approved: bool },
    /// All storages have carried out the pack orders up to this one.
    PackCompleted { id: Tid },
    /// The storages are to truncate; `None`: all did it.
    Truncate(Option<Tid>),
    /// A storage that was not there has to truncate before it counts; `None`: it did.
    LateTruncation { nid: Nid, tid: Option<Tid> },
    /// The state of the cluster.
    State(ClusterState),
}
