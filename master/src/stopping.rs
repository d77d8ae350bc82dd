//! STOPPING: pending transactions end, then all nodes.

use std::time::Duration;

use model::{ClusterState, NodeState, NodeType};
use net::{LinkId, Message, NodeInformation};

use crate::cluster::Cluster;
use crate::operation::Operation;
use crate::options::MasterExit;
use crate::phase::Next;

/// How long clients may take to end what they have begun. Who takes longer is not committing any
/// more; without a limit, one that hangs would keep the cluster from ever stopping.
const PENDING_MAX: Duration = Duration::from_secs(60);

/// The machine of this state.
#[derive(Debug)]
pub(crate) struct Stopping {
    /// What still ends, if the cluster was operating.
    pub(crate) operation: Option<Operation>,
    until: Duration,
}

impl Stopping {
    /// Announces the state. Nothing begins any more.
    pub(crate) fn begin(cluster: &mut Cluster, mut operation: Option<Operation>) -> Self {
        cluster.announce_state(ClusterState::Stopping);
        if let Some(operation) = &mut operation {
            operation.stop();
        }
        let mut stopping = Self { operation, until: cluster.now.monotonic + PENDING_MAX };
        stopping.try_end(cluster);
        stopping
    }

    /// When to give up waiting.
    pub(crate) fn deadline(&self) -> Duration {
        self.until
    }

    /// Ends if nothing is pending any more.
    pub(crate) fn try_end(&mut self, cluster: &mut Cluster) {
        let is_idle = match &self.operation {
            Some(operation) if cluster.now.monotonic < self.until => operation.is_idle(),
            Some(operation) => !operation.is_finishing(),
            None => true,
        };
        if is_idle {
            end(cluster);
        }
    }
}

/// Tells all storages that they are down, and closes all connections.
pub(crate) fn end(cluster: &mut Cluster) {
    let timestamp = cluster.id_clock.next(cluster.now.unix);
    for (nid, node) in cluster.nodes.of_type(NodeType::Storage) {
        let Some(link) = node.link else { continue };
        let node = NodeInformation {
            node_type: NodeType::Storage,
            address: node.address.clone(),
            nid: Some(nid),
            state: NodeState::Down,
            id_timestamp: None,
        };
        let nodes = vec![node];
        cluster.wire.send(link, &Message::NotifyNodeInformation { timestamp, nodes });
    }
    let links: Vec<LinkId> = cluster.wire.links.ids().collect();
    for link in links {
        cluster.wire.close(link);
    }
    cluster.release_ids();
    cluster.next = Some(Next::End(MasterExit::Stopped));
}
