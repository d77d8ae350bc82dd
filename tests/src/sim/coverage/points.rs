//! The names of points, and all that there are.

use std::collections::BTreeSet;

use model::{CellState, ClusterState, NodeState, NodeType};
use net::{ErrorCode, PacketInformation};

use super::NODE_TYPES;
use super::triggers::RULES;

/// Kinds of nodes by their letters in directions of packets: those of a simulated cluster.
const KINDS: [char; 3] = ['M', 'S', 'C'];

/// All points that there are, whether they can be reached or not.
pub fn all_points() -> BTreeSet<String> {
    let mut points = BTreeSet::new();
    for information in PacketInformation::ALL {
        for (from, to) in directions(information.direction) {
            points.insert(packet(information.name, from, to));
            if let Some(answer) = information.answer {
                points.insert(packet(answer, to, from));
            }
        }
    }
    points.extend(ErrorCode::ALL.map(error));
    points.extend(RULES.map(rule));
    add_transitions(&mut points);
    points
}

fn add_transitions(points: &mut BTreeSet<String>) {
    for (before, after) in pairs(ClusterState::from_number) {
        if before.can_become(after) {
            points.insert(cluster(before, after));
        }
    }
    for (before, after) in pairs(CellState::from_number) {
        if before.can_become(after) {
            points.insert(cell(before, after));
        }
    }
    for (before, after) in pairs(NodeState::from_number) {
        for node_type in NODE_TYPES {
            if before.can_become(after, node_type) {
                points.insert(node(node_type, before, after));
            }
        }
    }
}

/// All pairs of two states.
fn pairs<S: Copy>(from_number: impl Fn(u8) -> Option<S>) -> Vec<(S, S)> {
    let states: Vec<S> = (0..=u8::MAX).map_while(from_number).collect();
    states.iter().flat_map(|first| states.iter().map(move |second| (*first, *second))).collect()
}

/// From whom to whom a packet goes, of a direction such as `M -> S; C -> M, S`: those between two
/// nodes of a simulated cluster.
fn directions(text: &str) -> BTreeSet<(char, char)> {
    let mut found = BTreeSet::new();
    for way in text.split(';') {
        let stops: Vec<Vec<char>> = way.split("->").map(kinds).collect();
        for hop in stops.windows(2) {
            for from in &hop[0] {
                found.extend(hop[1].iter().map(|to| (*from, *to)));
            }
        }
    }
    found
}

fn kinds(text: &str) -> Vec<char> {
    let mut kinds = Vec::new();
    for name in text.split(',').map(str::trim) {
        match name {
            "*" => kinds.extend(KINDS),
            name => kinds.extend(KINDS.iter().filter(|kind| name == kind.to_string())),
        }
    }
    kinds
}

pub(super) fn packet(name: &str, from: char, to: char) -> String {
    format!("packet {name} {from} > {to}")
}

pub(super) fn error(code: ErrorCode) -> String {
    format!("error {code:?}")
}

pub(super) fn rule(name: &str) -> String {
    format!("rule {name}")
}

pub(super) fn cluster(before: ClusterState, after: ClusterState) -> String {
    format!("cluster {before} > {after}")
}

pub(super) fn cell(before: CellState, after: CellState) -> String {
    format!("cell {before} > {after}")
}

pub(super) fn node(node_type: NodeType, before: NodeState, after: NodeState) -> String {
    format!("node {node_type} {before} > {after}")
}
