//! What the admin knows of its cluster.

use model::{ClusterState, Nid, NodeState, NodeType};
use net::{NodeInformation, NodeTable};

use super::table::Table;

/// The cluster as the primary master describes it, while there is a connection to it.
#[derive(Clone, Debug)]
pub(super) struct Cluster {
    /// The primary master.
    pub(super) primary: Nid,
    pub(super) nodes: NodeTable,
    /// Whether the first list of nodes came.
    pub(super) has_nodes: bool,
    pub(super) table: Table,
    /// `None` until the master answered.
    pub(super) state: Option<ClusterState>,
}

impl Cluster {
    pub(super) fn new(primary: Nid) -> Self {
        Self {
            primary,
            nodes: NodeTable::default(),
            has_nodes: false,
            table: Table::default(),
            state: None,
        }
    }

    /// Nodes of one type, or all: those with an id, then masters that were never connected.
    pub(super) fn nodes(&self, node_type: Option<NodeType>) -> Vec<NodeInformation> {
        let mut nodes: Vec<_> = self.nodes.information().collect();
        for address in self.nodes.masters() {
            let is_master_at = |node: &NodeInformation| {
                node.node_type == NodeType::Master && node.address.as_ref() == Some(address)
            };
            if !nodes.iter().any(is_master_at) {
                nodes.push(NodeInformation {
                    node_type: NodeType::Master,
                    address: Some(address.clone()),
                    nid: None,
                    state: NodeState::Down,
                    id_timestamp: None,
                });
            }
        }
        nodes.retain(|node| node_type.is_none_or(|wanted| wanted == node.node_type));
        nodes
    }

    /// Whether clients are served.
    pub(super) fn is_operational(&self) -> bool {
        matches!(self.state, Some(ClusterState::Running | ClusterState::BackingUp))
    }
}
