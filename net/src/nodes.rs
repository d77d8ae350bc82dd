//! What a node knows of the others, as the primary master told it.

use std::collections::BTreeMap;

use model::{Nid, NodeState, NodeType};

use crate::address::Address;
use crate::message::{IdTimestamp, NodeInformation};

/// A node that has an id.
#[derive(Clone, PartialEq, Debug)]
pub struct Node {
    /// What it does.
    pub node_type: NodeType,
    /// Where it listens.
    pub address: Option<Address>,
    /// What the primary master thinks of it.
    pub state: NodeState,
    /// Since when it is connected to the primary master.
    pub id_timestamp: Option<IdTimestamp>,
}

/// The nodes that a node was told of, by id.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct NodeTable {
    nodes: BTreeMap<Nid, Node>,
    /// Addresses of masters that have no id.
    masters: Vec<Address>,
    timestamp: Option<IdTimestamp>,
}

impl NodeTable {
    /// Replaces everything by the first list of a connection.
    pub fn replace(&mut self, timestamp: IdTimestamp, nodes: &[NodeInformation]) {
        *self = Self::default();
        self.update(timestamp, nodes);
    }

    /// Takes note of changes. Nodes that became UNKNOWN are forgotten.
    pub fn update(&mut self, timestamp: IdTimestamp, nodes: &[NodeInformation]) {
        self.timestamp = Some(timestamp);
        for information in nodes {
            self.update_one(information);
        }
    }

    fn update_one(&mut self, information: &NodeInformation) {
        let NodeInformation { node_type, address, nid, state, id_timestamp } = information.clone();
        if node_type == NodeType::Master
            && let Some(address) = &address
            && !self.masters.contains(address)
        {
            self.masters.push(address.clone());
        }
        let Some(nid) = nid else { return };
        match state {
            NodeState::Unknown => {
                self.nodes.remove(&nid);
            }
            _ => {
                self.nodes.insert(nid, Node { node_type, address, state, id_timestamp });
            }
        }
    }

    /// When the last list was made.
    pub fn timestamp(&self) -> Option<IdTimestamp> {
        self.timestamp
    }

    /// A node.
    pub fn get(&self, nid: Nid) -> Option<&Node> {
        self.nodes.get(&nid)
    }

    /// All nodes, in order of id.
    pub fn iter(&self) -> impl Iterator<Item = (Nid, &Node)> {
        self.nodes.iter().map(|(nid, node)| (*nid, node))
    }

    /// Whether a node is at work.
    pub fn is_running(&self, nid: Nid) -> bool {
        self.get(nid).is_some_and(|node| node.state == NodeState::Running)
    }

    /// Addresses of all masters that were told of, in the order in which they were.
    pub fn masters(&self) -> &[Address] {
        &self.masters
    }

    /// All nodes as they are told to others.
    pub fn information(&self) -> impl Iterator<Item = NodeInformation> {
        self.iter().map(|(nid, node)| NodeInformation {
            node_type: node.node_type,
            address: node.address.clone(),
            nid: Some(nid),
            state: node.state,
            id_timestamp: node.id_timestamp,
        })
    }
}
