//! Truncation of storages that were not there when the others truncated (R18).
//!
//! The log remembers them, each with its tid, until it says that it has truncated. One that comes
//! back does so before it gets the table: before that nothing of it counts, not even what it says
//! of itself.

use model::{ClusterState, Nid, PartitionTableId, Tid};
use net::{LinkId, Message};

use crate::cluster::Cluster;
use crate::log::Command;
use crate::wire::Asked;

/// Remembers the storages of the table that are not there: they have to truncate when they come.
pub(crate) fn remember_absent(cluster: &mut Cluster, tid: Tid) {
    let absent = cluster.table().nodes().into_iter();
    let absent: Vec<Nid> = absent.filter(|nid| cluster.nodes.link(*nid).is_none()).collect();
    for nid in absent {
        tracing::warn!(%nid, %tid, "a storage has to truncate when it comes back");
        let before = cluster.ledger.remembered().late_truncations.get(&nid).copied();
        let tid = Some(before.unwrap_or(tid).min(tid));
        cluster.commit(Command::LateTruncation { nid, tid });
    }
}

/// Asks a storage for what it has, if it has to truncate before it counts. Whether it has.
pub(crate) fn ask_late(cluster: &mut Cluster, nid: Nid) -> bool {
    let late = &cluster.ledger.remembered().late_truncations;
    let link = cluster.nodes.link(nid).filter(|_| late.contains_key(&nid));
    let Some(link) = link else { return false };
    cluster.nodes.set_truncating(nid, true);
    cluster.wire.ask(link, &Message::AskRecovery {}, Asked::Late);
    true
}

/// Has a storage truncate, if it has to before it counts. Whether it has.
pub(crate) fn truncate_first(
    cluster: &mut Cluster,
    nid: Nid,
    table_id: Option<PartitionTableId>,
) -> bool {
    let late = cluster.ledger.remembered().late_truncations.get(&nid).copied();
    let (Some(tid), Some(link)) = (late, cluster.nodes.link(nid)) else { return false };
    if table_id.is_none() {
        // Its database is empty, and it cannot be asked for last ids before it has a table.
        truncated(cluster, nid, link);
        return false;
    }
    tracing::warn!(%nid, %tid, "a storage truncates, as the others did before");
    cluster.nodes.set_truncating(nid, true);
    cluster.wire.send(link, &Message::Truncate { tid });
    // It truncates before it answers.
    cluster.wire.ask(link, &Message::AskLastIDs {}, Asked::Truncated);
    true
}

/// A storage has truncated: it is like the others, as soon as that is remembered.
pub(crate) fn truncated(cluster: &mut Cluster, nid: Nid, link: LinkId) {
    cluster.nodes.set_truncating(nid, false);
    cluster.commit(Command::LateTruncation { nid, tid: None });
    if cluster.state != ClusterState::Recovering {
        let message = cluster.table_message();
        cluster.wire.send(link, &message);
    }
}
