//! What no run can reach today, and why.

/// Why a point cannot be reached, if so.
pub fn reason_not_to_reach(point: &str) -> Option<&'static str> {
    let entries = UNREACHABLE.iter().filter(|(entry, _)| matches(entry, point));
    entries.map(|(_, reason)| *reason).next()
}

/// Whether a point need not be reached by many runs, as what leads there is rare.
pub(super) fn is_rare(point: &str) -> bool {
    RARE.iter().any(|(entry, _)| matches(entry, point))
}

/// An entry is a point, or all that begin like it if it ends in `*`.
pub(super) fn matches(entry: &str, point: &str) -> bool {
    match entry.strip_suffix('*') {
        Some(start) => point.starts_with(start),
        None => entry == point,
    }
}

const REPLICATION: &str = "no storage replicates from another yet: cells never become complete";
const BACKUP: &str = "there are no backup clusters yet";
const OPERATOR: &str = "a simulated operator truncates, starts, and does nothing else";
const PACK: &str = "packs are ordered by no program, and carried out by no storage, yet";
const IDENTITY: &str = "only who connects says who it is";
const ONE_MASTER: &str = "there is one master";
const CLOSES: &str = "who needs nothing more of a peer closes the connection";
const PING: &str =
    "only clients ask for a sign of life, of the master, to be sure of what they know";
const CLIENTS: &str = "clients are disconnected when the cluster does not run any more";
const DROPPED: &str = "nobody drops a storage, and all are pending first";

/// Points that are reached now and then, with what leads there.
pub(super) const RARE: &[(&str, &str)] = &[(
    "node STORAGE UNKNOWN > DOWN",
    "a master that lost its log has forgotten an empty storage that it gave an id, and learns then \
     that the table has another one with it, which is away",
)];

/// Points, or the beginnings of some, that cannot be reached, with the reason.
pub(super) const UNREACHABLE: &[(&str, &str)] = &[
    ("packet RequestIdentification M*", IDENTITY),
    ("packet RequestIdentification C > C", IDENTITY),
    ("packet RequestIdentification S > C", IDENTITY),
    ("packet RequestIdentification S > S", REPLICATION),
    ("packet AcceptIdentification S > M", IDENTITY),
    ("packet AcceptIdentification C*", IDENTITY),
    ("packet AcceptIdentification S > S", REPLICATION),
    ("packet AcceptIdentification M > M", ONE_MASTER),
    ("packet Ping C > C", PING),
    ("packet Ping C > S", PING),
    ("packet Ping M*", PING),
    ("packet Ping S*", PING),
    ("packet Pong C*", PING),
    ("packet Pong M > M", PING),
    ("packet Pong M > S", PING),
    ("packet Pong S*", PING),
    ("packet CloseClient*", CLOSES),
    ("packet NotPrimaryMaster*", ONE_MASTER),
    ("packet NotifyNodeInformation M > M", ONE_MASTER),
    ("packet NotifyClusterInformation M > M", ONE_MASTER),
    ("packet AskUnfinishedTransactions*", REPLICATION),
    ("packet AnswerUnfinishedTransactions*", REPLICATION),
    ("packet NotifyTransactionFinished*", REPLICATION),
    ("packet Replicate*", REPLICATION),
    ("packet NotifyReplicationDone*", REPLICATION),
    ("packet AskFetchTransactions*", REPLICATION),
    ("packet AnswerFetchTransactions*", REPLICATION),
    ("packet AskFetchObjects*", REPLICATION),
    ("packet AnswerFetchObjects*", REPLICATION),
    ("packet AddTransaction*", REPLICATION),
    ("packet AddObject*", REPLICATION),
    ("packet InvalidatePartitions*", BACKUP),
    ("packet NotifyClusterInformation M > C", CLIENTS),
    ("packet Error S > M", "a storage refuses nothing that a master of ours asks"),
    ("packet NotifyRepair*", OPERATOR),
    ("packet FlushLog*", OPERATOR),
    ("packet CheckPartition*", OPERATOR),
    ("packet AskCheckTIDRange*", OPERATOR),
    ("packet AnswerCheckTIDRange*", OPERATOR),
    ("packet AskCheckSerialRange*", OPERATOR),
    ("packet AnswerCheckSerialRange*", OPERATOR),
    ("packet NotifyPartitionCorrupted*", OPERATOR),
    ("packet WaitForPack*", PACK),
    ("packet WaitedForPack*", PACK),
    ("packet AskPackOrders C > M", PACK),
    ("packet AskPackOrders S > M", PACK),
    ("packet AnswerPackOrders M*", PACK),
    ("packet NotifyPackSigned*", PACK),
    ("packet NotifyPackCompleted*", PACK),
    ("cluster STARTING_BACKUP > *", BACKUP),
    ("cluster BACKINGUP > *", BACKUP),
    ("cluster STOPPING_BACKUP > *", BACKUP),
    ("cluster VERIFYING > STARTING_BACKUP", BACKUP),
    ("cluster RUNNING > STARTING_BACKUP", BACKUP),
    ("cluster RECOVERING > STOPPING", OPERATOR),
    ("cluster VERIFYING > STOPPING", OPERATOR),
    ("cluster RUNNING > STOPPING", OPERATOR),
    ("cell OUT_OF_DATE > UP_TO_DATE", REPLICATION),
    ("cell OUT_OF_DATE > DISCARDED", OPERATOR),
    ("cell UP_TO_DATE > FEEDING", OPERATOR),
    ("cell UP_TO_DATE > CORRUPTED", OPERATOR),
    ("cell UP_TO_DATE > DISCARDED", OPERATOR),
    ("cell FEEDING > *", OPERATOR),
    ("cell CORRUPTED > *", OPERATOR),
    ("cell DISCARDED > OUT_OF_DATE", OPERATOR),
    ("node MASTER DOWN > *", ONE_MASTER),
    ("node MASTER RUNNING > *", ONE_MASTER),
    ("node MASTER UNKNOWN > DOWN", ONE_MASTER),
    ("node STORAGE DOWN > UNKNOWN", DROPPED),
    ("node STORAGE RUNNING > UNKNOWN", DROPPED),
    ("node STORAGE UNKNOWN > RUNNING", DROPPED),
    ("error ReplicationError", REPLICATION),
    ("error CheckingError", OPERATOR),
    ("error BackendNotImplemented", "ours is there for everything that is asked"),
    ("error UndoPackError", PACK),
];
