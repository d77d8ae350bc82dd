//! The end of operation.

use model::{Nid, NodeState, NodeType, Tid};
use net::{LinkId, Message};

use crate::cluster::Cluster;
use crate::recovery::Impulse;

/// The cluster does not operate any more: clients go, storages wait.
pub(crate) fn leave_operation(cluster: &mut Cluster, truncate: Option<Tid>) {
    // It restarts by itself, unless something has to be truncated first.
    let is_truncating = truncate.is_some() || cluster.truncate.is_some();
    cluster.startup = if is_truncating { Impulse::None } else { Impulse::Restart };
    let clients: Vec<(Nid, LinkId)> = cluster.nodes.identified(NodeType::Client).collect();
    for (nid, link) in clients {
        cluster.wire.send(link, &Message::StopOperation {});
        cluster.wire.close(link);
        cluster.remove_node(nid);
    }
    let mut pending = Vec::new();
    let storages: Vec<(Nid, LinkId)> = cluster.nodes.identified(NodeType::Storage).collect();
    for (nid, link) in storages {
        cluster.wire.send(link, &Message::StopOperation {});
        // Others have nothing that counts, and might remember it when it is over (R18).
        let has_cells = cluster.table.as_ref().is_some_and(|table| table.nodes().contains(&nid));
        if let Some(tid) = truncate.filter(|_| has_cells) {
            cluster.wire.send(link, &Message::Truncate { tid });
        }
        if cluster.nodes.get(nid).is_some_and(|node| node.state == NodeState::Running) {
            cluster.set_node_state(nid, NodeState::Pending);
            pending.push(nid);
        }
    }
    cluster.broadcast_nodes(&pending);
}
