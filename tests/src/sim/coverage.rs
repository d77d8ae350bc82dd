//! What a batch of runs has shown: a simulator that never does a thing never finds what is wrong
//! with it.
//!
//! Everything is told by the packets that pass: [`Coverage::packet`] is given each of them. A
//! *point* is a packet in a direction, a change of state, a code of an error, or what a rule of
//! docs/rules.md is about. All points are known beforehand ([`all_points`]): from the declarations
//! of packets, and from what states may follow which. A batch has to reach all of them but those
//! that cannot be reached today, or seldom, which are listed with the reason
//! ([`reason_not_to_reach`]).

mod points;
mod reach;
mod triggers;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use model::{CellState, ClusterState, Nid, NodeState, NodeType, PartitionId, PartitionTableId};
use net::{Message, NodeInformation};

use crate::world::Witness;

pub use points::all_points;
pub use reach::reason_not_to_reach;
use triggers::Triggers;

/// How often each point was reached, in one run or in many.
#[derive(Debug, Default)]
pub struct Coverage {
    counts: BTreeMap<String, u64>,
    watch: Watch,
}

/// What is known of the run that goes on.
#[derive(Debug, Default)]
struct Watch {
    cluster: Option<ClusterState>,
    nodes: BTreeMap<Nid, NodeState>,
    /// The last table that was told of, and its cells.
    table: Option<PartitionTableId>,
    cells: BTreeMap<(PartitionId, Nid), CellState>,
    triggers: Triggers,
}

/// Counts every packet of a world.
pub(super) struct Watcher(pub(super) Rc<RefCell<Coverage>>);

impl Witness for Watcher {
    fn packet(&mut self, from: &str, to: &str, message: &Message) {
        self.0.borrow_mut().packet(from, to, message);
    }
}

impl Coverage {
    /// A packet was sent by one process to another. The first letter of a process's name says what
    /// kind of node it is: M, S or C.
    pub fn packet(&mut self, from: &str, to: &str, message: &Message) {
        self.count(points::packet(message.name(), kind(from), kind(to)));
        match message {
            Message::Error { code, .. } => self.count(points::error(*code)),
            Message::NotifyClusterInformation { state } => self.cluster_state(*state),
            Message::NotifyNodeInformation { nodes, .. } => self.node_states(nodes),
            Message::SendPartitionTable { table_id, rows, .. } => {
                let is_older = *table_id < self.watch.table;
                self.watch.table = *table_id;
                for (partition, row) in (0..).map(PartitionId::new).zip(rows) {
                    for cell in row {
                        // The later one was nowhere but in the log that a master has lost, nor was
                        // anything committed with it: nothing of it has happened.
                        if is_older {
                            self.watch.cells.insert((partition, cell.nid), cell.state);
                        }
                        self.cell_state(partition, cell.nid, cell.state);
                    }
                }
            }
            Message::NotifyPartitionChanges { table_id, changes, .. } => {
                self.watch.table = Some(*table_id);
                for change in changes {
                    self.cell_state(change.partition, change.nid, change.state);
                }
            }
            _ => {}
        }
        for rule in self.watch.triggers.packet(from, to, message) {
            self.count(points::rule(rule));
        }
    }

    /// A pair that nobody checks was skewed.
    pub fn skewed(&mut self) {
        self.count(points::rule(triggers::SKEW));
    }

    /// A storage is lost for good.
    pub fn lost(&mut self) {
        self.count(points::rule(triggers::LOST));
    }

    /// Takes in what another run has reached.
    pub fn add(&mut self, other: Self) {
        for (point, count) in other.counts {
            *self.counts.entry(point).or_default() += count;
        }
    }

    /// How often each point was reached.
    pub fn counts(&self) -> impl Iterator<Item = (&str, u64)> {
        self.counts.iter().map(|(point, count)| (point.as_str(), *count))
    }

    /// Points that were not reached, and can be.
    pub fn missing(&self) -> Vec<String> {
        let mut points = all_points();
        points.retain(|point| {
            let is_wanted = reason_not_to_reach(point).is_none() && !reach::is_rare(point);
            is_wanted && !self.counts.contains_key(point)
        });
        points.into_iter().collect()
    }

    /// Points that were reached, although it is said that they cannot be.
    pub fn unexpected(&self) -> Vec<String> {
        let reached = self.counts.keys();
        reached.filter(|point| reason_not_to_reach(point).is_some()).cloned().collect()
    }

    fn count(&mut self, point: String) {
        *self.counts.entry(point).or_default() += 1;
    }

    fn cluster_state(&mut self, state: ClusterState) {
        let before = self.watch.cluster.replace(state);
        // A master that was started again begins anew.
        if let Some(before) = before.filter(|before| before.can_become(state)) {
            self.count(points::cluster(before, state));
        }
    }

    fn node_states(&mut self, nodes: &[NodeInformation]) {
        for node in nodes {
            let Some(nid) = node.nid else { continue };
            let before = self.watch.nodes.insert(nid, node.state).unwrap_or(NodeState::Unknown);
            if before.can_become(node.state, node.node_type) {
                self.count(points::node(node.node_type, before, node.state));
            }
        }
    }

    fn cell_state(&mut self, partition: PartitionId, nid: Nid, state: CellState) {
        let before = self.watch.cells.insert((partition, nid), state);
        let before = before.unwrap_or(CellState::Discarded);
        if before.can_become(state) {
            self.count(points::cell(before, state));
        }
    }
}

fn kind(name: &str) -> char {
    name.chars().next().unwrap_or('?')
}

/// Kinds of nodes that there are in a simulated cluster.
const NODE_TYPES: [NodeType; 3] = [NodeType::Master, NodeType::Storage, NodeType::Client];

#[cfg(test)]
mod tests;
