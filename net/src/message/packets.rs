//! All packets: code, direction and fields.
//!
//! M is a master, S a storage, C a client, A an admin, ctl the control tool. Tids called `serial`
//! are those of revisions. Ranges are inclusive unless said otherwise.

use bytes::Bytes;
use model::{
    Cell, CellChange, ClusterState, Nid, NodeState, NodeType, Oid, PartitionId, PartitionTableId,
    Tid, Ttid,
};

use super::declare::{answer_name, count, packets};
use super::error_code::ErrorCode;
use super::fields::{
    CheckSource, Checksum, Data, Extra, IdTimestamp, NodeInformation, OrderedMap, PackOrder,
    PackRequest, PackState, RelockConflict, UndoSerials,
};
use super::oids::Oids;
#[cfg(test)]
use super::sample::Sample;
use crate::address::Address;
use crate::codec::{Decoder, Encoder, Field, Malformed};

/// Set in codes of answers.
pub(crate) const ANSWER: u16 = 0x8000;

packets! {
    /// Who the connecting side is: what kind of node, its id if it has one, where it listens, the
    /// name of the cluster, since when it is known, and what depends on the kind of node.
    0x0001 RequestIdentification "* -> *" {
        node_type: NodeType,
        nid: Option<Nid>,
        address: Option<Address>,
        cluster: String,
        id_timestamp: Option<IdTimestamp>,
        extra: Extra,
    } => AcceptIdentification {
        node_type: NodeType,
        nid: Option<Nid>,
        your_nid: Option<Nid>,
    };
    /// Asks for a sign of life; behind the answer everything that was queued before it is sent.
    /// Answered in any state.
    0x0002 Ping "* -> *" {} => Pong {};
    /// The sender needs nothing more of the peer: the peer closes, unless it needs the sender.
    0x0003 CloseClient "* -> *" {};
    /// Which node is the primary master.
    0x0004 AskPrimary "ctl -> A" {} => AnswerPrimary { nid: Nid };
    /// The sender is not the primary; it is perhaps the one with this index among the masters.
    0x0005 NotPrimaryMaster "M -> *" { primary: Option<u32>, masters: Vec<Address> };
    /// What became of nodes. The first one on a connection replaces what was known.
    0x0006 NotifyNodeInformation "M -> *" { timestamp: IdTimestamp, nodes: Vec<NodeInformation> };
    /// What a storage knows that matters for starting.
    0x0007 AskRecovery "M -> S; ctl -> A -> M" {} => AnswerRecovery {
        table_id: Option<PartitionTableId>,
        backup_tid: Option<Tid>,
        truncate_tid: Option<Tid>,
    };
    /// The greatest tid and oid, and the lowest tid (`Tid::MAX` without any).
    0x0008 AskLastIDs "M -> S; ctl -> A -> M" {} => AnswerLastIDs {
        last_tid: Option<Tid>,
        last_oid: Option<Oid>,
        first_tid: Tid,
    };
    /// The whole table as a storage remembers it.
    0x0009 AskPartitionTable "M -> S" {} => AnswerPartitionTable {
        table_id: PartitionTableId,
        replicas: u32,
        rows: Vec<Vec<Cell>>,
    };
    /// The whole table, or none yet.
    0x000a SendPartitionTable "M -> A, C, S" {
        table_id: Option<PartitionTableId>,
        replicas: u32,
        rows: Vec<Vec<Cell>>,
    };
    /// The next version of the table, by what changed.
    0x000b NotifyPartitionChanges "M -> A, C, S" {
        table_id: PartitionTableId,
        replicas: u32,
        changes: Vec<CellChange>,
    };
    /// A storage may serve.
    0x000c StartOperation "M -> S" { backup: bool };
    /// The cluster is no longer operational.
    0x000d StopOperation "M -> S, C" {};
    /// What a storage must wait for before the partitions can be called complete.
    0x000e AskUnfinishedTransactions "S -> M" { partitions: Vec<PartitionId> }
        => AnswerUnfinishedTransactions { last_tid: Tid, ttids: Vec<Ttid> };
    /// Voted transactions, with their tids if they are locked.
    0x000f AskLockedTransactions "M -> S" {}
        => AnswerLockedTransactions { transactions: OrderedMap<Ttid, Option<Tid>> };
    /// What became of a transaction: nil for one that is not committed, `Tid::MAX` if the storages
    /// have to be asked, else its tid.
    0x0010 AskFinalTID "M -> S; C -> M, S" { ttid: Ttid } => AnswerFinalTID { tid: Option<Tid> };
    /// A transaction in doubt is committed.
    0x0011 ValidateTransaction "M -> S" { ttid: Ttid, tid: Tid };
    /// Asks for a new transaction, of a given tid if one is wanted.
    0x0012 AskBeginTransaction "C -> M" { tid: Option<Tid> }
        => AnswerBeginTransaction { ttid: Ttid };
    /// Storages that failed to store or vote: may the transaction go on without them?
    0x0013 FailedVote "C -> M" { ttid: Ttid, nids: Vec<Nid> } => Error;
    /// Commits a voted transaction: oids that were changed and not deleted, partitions of deleted
    /// ones and of those that were only checked, and the pack order that rides on it.
    0x0014 AskFinishTransaction "C -> M" {
        ttid: Ttid,
        oids: Oids,
        deleted: Vec<PartitionId>,
        checked: Vec<PartitionId>,
        pack: Option<PackRequest>,
    } => AnswerTransactionFinished { ttid: Ttid, tid: Tid };
    /// Gives a voted transaction its tid. What it wrote is not shown until it is unlocked.
    0x0015 AskLockInformation "M -> S" { ttid: Ttid, tid: Tid, pack_approved: bool }
        => AnswerInformationLocked { ttid: Ttid };
    /// What a commit of another client changed.
    0x0016 InvalidateObjects "M -> C" { tid: Tid, oids: Oids };
    /// The same for backup clusters.
    0x0017 InvalidatePartitions "M -> C" { tid: Tid, partitions: Vec<PartitionId> };
    /// A locked transaction is committed everywhere: it can be shown.
    0x0018 NotifyUnlockInformation "M -> S" { ttid: Ttid };
    /// Asks for new oids.
    0x0019 AskNewOIDs "C -> M" { count: u32 } => AnswerNewOIDs { oids: Oids };
    /// An older transaction waits for a lock: it is to be taken again.
    0x001a NotifyDeadlock "S -> C" { ttid: Ttid, oid: Oid };
    /// Takes a lock again.
    0x001b AskRelockObject "C -> S" { ttid: Ttid, oid: Oid }
        => AnswerRelockObject { conflict: Option<RelockConflict> };
    /// Stores one object: based on which revision, and, of an undo, the revision whose data it is.
    /// Without data: compression 0, [`Checksum::ZERO`], and no bytes. Answered by nil if it is
    /// stored and locked, `Tid::ZERO` if stored without a lock, else by the newer revision.
    0x001c AskStoreObject "C -> S" {
        oid: Oid,
        serial: Tid,
        compression: u8,
        checksum: Checksum,
        data: Data,
        data_serial: Option<Tid>,
        ttid: Ttid,
    } => AnswerStoreObject { conflict: Option<Tid> };
    /// Drops a transaction. The list is for the master, which passes it on to these nodes.
    0x001d AbortTransaction "C -> S; C -> M -> S" { ttid: Ttid, nids: Vec<Nid> };
    /// Stores metadata of a transaction, and votes.
    0x001e AskStoreTransaction "C -> S" {
        ttid: Ttid,
        user: Bytes,
        description: Bytes,
        extension: Bytes,
        oids: Oids,
        pack: Option<PackRequest>,
    } => AnswerStoreTransaction {};
    /// Makes what was stored durable.
    0x001f AskVoteTransaction "C -> S" { ttid: Ttid } => AnswerVoteTransaction {};
    /// Loads a revision: exactly `at`, or the greatest below `before`, or the newest. One without
    /// data has no compression, [`Checksum::ZERO`] and no bytes.
    0x0020 AskObject "C -> S" { oid: Oid, at: Option<Tid>, before: Option<Tid> }
        => AnswerObject {
            oid: Oid,
            serial: Tid,
            next_serial: Option<Tid>,
            compression: Option<u8>,
            checksum: Checksum,
            data: Data,
            data_serial: Option<Tid>,
        };
    /// The tids of a partition from the newest, without the first `first`, up to `last`
    /// (excluded); 2^32-1 means all partitions.
    0x0021 AskTIDs "C -> S" { first: u64, last: u64, partition: PartitionId }
        => AnswerTIDs { tids: Vec<Tid> };
    /// Metadata of a transaction.
    0x0022 AskTransactionInformation "C -> S" { tid: Tid } => AnswerTransactionInformation {
        tid: Tid,
        user: Bytes,
        description: Bytes,
        extension: Bytes,
        packed: bool,
        oids: Oids,
    };
    /// Revisions `first` to `last` (excluded) of an object, newest first, with the lengths of their
    /// data as sent.
    0x0023 AskObjectHistory "C -> S" { oid: Oid, first: u64, last: u64 }
        => AnswerObjectHistory { oid: Oid, revisions: Vec<(Tid, u64)> };
    /// Rows of the table from `first` to `last` (excluded; 0: the end). The node is ignored.
    0x0024 AskPartitionList "ctl -> A" { first: u32, last: u32, nid: Option<Nid> }
        => AnswerPartitionList {
            table_id: Option<PartitionTableId>,
            replicas: u32,
            rows: Vec<Vec<Cell>>,
        };
    /// Nodes of one type, or all.
    0x0025 AskNodeList "ctl -> A" { node_type: Option<NodeType> }
        => AnswerNodeList { nodes: Vec<NodeInformation> };
    /// Kills (DOWN) or drops (UNKNOWN) a node.
    0x0026 SetNodeState "ctl -> A -> M" { nid: Nid, state: NodeState } => Error;
    /// Takes pending storages into the cluster.
    0x0027 AddPendingNodes "ctl -> A -> M" { nids: Vec<Nid> } => Error;
    /// Spreads cells evenly, leaving out some nodes; a dry run only tells.
    0x0028 TweakPartitionTable "ctl -> A -> M" { dry_run: bool, excluded: Vec<Nid> }
        => AnswerTweakPartitionTable { changed: bool, rows: Vec<Vec<Cell>> };
    /// Sets the number of replicas.
    0x0029 SetNumReplicas "ctl -> A -> M" { replicas: u32 } => Error;
    /// Asks for another state of the cluster.
    0x002a SetClusterState "ctl -> A -> M" { state: ClusterState } => Error;
    /// Has storages remove what nothing refers to.
    0x002b Repair "ctl -> A -> M" { nids: Vec<Nid>, dry_run: bool } => Error;
    /// The same, to one of them.
    0x002c NotifyRepair "M -> S" { dry_run: bool };
    /// The state of the cluster changed.
    0x002d NotifyClusterInformation "M -> *" { state: ClusterState };
    /// The state of the cluster.
    0x002e AskClusterState "ctl -> A; A -> M" {}
        => AnswerClusterState { state: Option<ClusterState> };
    /// What undoing a transaction means for objects, as seen below `limit` (excluded).
    0x002f AskObjectUndoSerial "C -> S" { ttid: Ttid, limit: Tid, undone: Tid, oids: Oids }
        => AnswerObjectUndoSerial { objects: OrderedMap<Oid, UndoSerials> };
    /// Tids of a partition within bounds, ascending, at most so many.
    0x0030 AskTIDsFrom "C -> S" {
        tid_min: Tid,
        tid_max: Tid,
        length: u32,
        partition: PartitionId,
    } => AnswerTIDsFrom { tids: Vec<Tid> };
    /// Oids of a partition from one on that have data at a tid.
    0x0031 AskOIDsFrom "C -> S" { partition: PartitionId, length: u32, oid_min: Oid, tid: Tid }
        => AnswerOIDsFrom { next: Option<Oid>, oids: Oids };
    /// Answered when a pack is completed.
    0x0032 WaitForPack "C -> M" { pack_id: Tid } => WaitedForPack {};
    /// Pack orders from an id on: all for clients, the first approved one for storages.
    0x0033 AskPackOrders "M -> S; C, S -> M" { first_id: Tid }
        => AnswerPackOrders { orders: Vec<PackOrder> };
    /// Which pack orders were approved and which rejected.
    0x0034 NotifyPackSigned "M -> S, C" { approved: Vec<Tid>, rejected: Vec<Tid> };
    /// A storage has carried out all orders up to one.
    0x0035 NotifyPackCompleted "S -> M" { pack_id: Tid };
    /// Compares replicas of partitions, each with a reference node or with one another.
    0x0036 CheckReplicas "ctl -> A -> M" {
        partitions: OrderedMap<PartitionId, Option<Nid>>,
        tid_min: Tid,
        tid_max: Option<Tid>,
    } => Error;
    /// The same, to the storage that is to do it.
    0x0037 CheckPartition "M -> S" {
        partition: PartitionId,
        source: CheckSource,
        tid_min: Tid,
        tid_max: Tid,
    };
    /// Digest of the tids of a partition, at most so many.
    0x0038 AskCheckTIDRange "S -> S" {
        partition: PartitionId,
        length: u32,
        tid_min: Tid,
        tid_max: Tid,
    } => AnswerCheckTIDRange { count: u32, checksum: Checksum, last_tid: Tid };
    /// Digests of the revisions of a partition in order of (serial, oid), at most so many.
    0x0039 AskCheckSerialRange "S -> S" {
        partition: PartitionId,
        length: u32,
        tid_min: Tid,
        tid_max: Tid,
        oid_min: Oid,
    } => AnswerCheckSerialRange {
        count: u32,
        serials_checksum: Checksum,
        last_serial: Tid,
        oids_checksum: Checksum,
        last_oid: Oid,
    };
    /// Replicas of a partition differ.
    0x003a NotifyPartitionCorrupted "S -> M" { partition: PartitionId, nids: Vec<Nid> };
    /// A storage serves.
    0x003b NotifyReady "S -> M" {};
    /// The last committed tid.
    0x003c AskLastTransaction "C -> M; ctl -> A -> M" {} => AnswerLastTransaction { tid: Tid };
    /// Checks that a revision is still the newest, and locks the object. Answered like a store.
    0x003d AskCheckCurrentSerial "C -> S" { ttid: Ttid, oid: Oid, serial: Tid }
        => AnswerCheckCurrentSerial { conflict: Option<Tid> };
    /// A transaction that a replication waits for has ended.
    0x003e NotifyTransactionFinished "M -> S" { ttid: Ttid, tid: Tid };
    /// Replicates partitions up to a tid, from an upstream cluster if one is named. Without an
    /// address there is nothing new.
    0x003f Replicate "M -> S" {
        tid: Tid,
        upstream: String,
        sources: OrderedMap<PartitionId, Option<Address>>,
    };
    /// A partition is replicated up to a tid.
    0x0040 NotifyReplicationDone "S -> M" { partition: PartitionId, tid: Tid };
    /// Transactions of a partition, which the source sends before it answers; `tids` are there.
    0x0041 AskFetchTransactions "S -> S" {
        partition: PartitionId,
        length: u32,
        tid_min: Tid,
        tid_max: Tid,
        tids: Vec<Tid>,
        want_pack_id: bool,
    } => AnswerFetchTransactions {
        next_tid: Option<Tid>,
        deleted: Vec<Tid>,
        pack_id: Option<Tid>,
    };
    /// Revisions of a partition, in order of (serial, oid), likewise; `oid_min` is for `tid_min`.
    0x0042 AskFetchObjects "S -> S" {
        partition: PartitionId,
        length: u32,
        tid_min: Tid,
        tid_max: Tid,
        oid_min: Oid,
        objects: OrderedMap<Tid, Vec<Oid>>,
    } => AnswerFetchObjects {
        next_tid: Option<Tid>,
        next_oid: Option<Oid>,
        deleted: OrderedMap<Tid, Vec<Oid>>,
    };
    /// One transaction; carries the id of the request that it serves.
    0x0043 AddTransaction "S -> S" {
        tid: Tid,
        user: Bytes,
        description: Bytes,
        extension: Bytes,
        packed: bool,
        ttid: Ttid,
        oids: Oids,
        pack: Option<PackState>,
    };
    /// One revision; carries the id of the request that it serves.
    0x0044 AddObject "S -> S" {
        oid: Oid,
        serial: Tid,
        compression: u8,
        checksum: Checksum,
        data: Data,
        data_serial: Option<Tid>,
    };
    /// Truncates the database to a tid. To a storage it is a notification, never answered.
    0x0045 Truncate "ctl -> A -> M; M -> S" { tid: Tid } => Error;
    /// Writes logs out.
    0x0046 FlushLog "ctl -> A -> M -> *" {};
    /// How clusters are: names of those that need attention, of those that have a problem (nil for
    /// the cluster of the admin), and a text.
    0x0047 AskMonitorInformation "ctl -> A" {} => AnswerMonitorInformation {
        warnings: Vec<Option<Bytes>>,
        problems: Vec<Option<Bytes>>,
        text: Bytes,
    };
    /// How a backup cluster is.
    0x0048 NotifyMonitorInformation "A -> A" { information: Extra };
    /// Where the upstream admin is.
    0x0049 NotifyUpstreamAdmin "M -> A" { address: Address };
}

/// What a packet is, for documentation and tests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PacketInformation {
    /// Code on the wire.
    pub code: u16,
    /// Name in NEO.
    pub name: &'static str,
    /// Who sends it to whom.
    pub direction: &'static str,
    /// Names and types of its fields.
    pub fields: &'static [(&'static str, &'static str)],
    /// Name of the packet that answers it, if it is a request.
    pub answer: Option<&'static str>,
    /// Names and types of the answer's fields; none for `Error`, which many share.
    pub answer_fields: &'static [(&'static str, &'static str)],
}

impl PacketInformation {
    /// All packets that are no answers.
    pub const ALL: &'static [Self] = INFORMATION;
}

impl Message {
    /// Whether it is an answer, or `Error`.
    pub const fn is_answer(&self) -> bool {
        self.code() & ANSWER != 0
    }

    /// An error of some code.
    pub fn error(code: ErrorCode, text: impl Into<String>) -> Self {
        Self::Error { code, text: Bytes::from(text.into()) }
    }

    /// What confirms a request that has no other answer.
    pub fn ack(text: &'static str) -> Self {
        Self::Error { code: ErrorCode::Ack, text: Bytes::from_static(text.as_bytes()) }
    }
}
