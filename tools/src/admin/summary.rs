//! How a cluster is, in one line.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use model::{CellState, Nid, Tid};

use super::cluster::Cluster;
use crate::time_text::time_of_tid;

/// What is said when there is no primary master.
pub(super) const NOT_CONNECTED: &str = "Not connected to a primary master.";

/// How much attention a cluster needs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Severity {
    /// None.
    Fine,
    /// It serves, but not every cell is complete.
    Warning,
    /// It does not serve, or storages with cells are missing.
    Problem,
}

/// State, cells by state, storages with cells that are not at work, and the last transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Summary {
    pub(super) severity: Severity,
    pub(super) text: String,
}

impl Summary {
    /// Without a primary master.
    pub(super) fn of_nothing() -> Self {
        Self { severity: Severity::Problem, text: String::from(NOT_CONNECTED) }
    }

    /// Of a cluster whose last transaction is this one, as far as known.
    pub(super) fn of(cluster: &Cluster, last_tid: Option<Tid>) -> Self {
        let mut cells = BTreeMap::<CellState, usize>::new();
        let mut down = BTreeSet::<Nid>::new();
        for cell in cluster.table.cells() {
            *cells.entry(cell.state).or_default() += 1;
            if !cluster.nodes.is_running(cell.nid) {
                down.insert(cell.nid);
            }
        }
        let severity = if !down.is_empty() || !cluster.is_operational() {
            Severity::Problem
        } else if cells.keys().ne([&CellState::UpToDate]) {
            Severity::Warning
        } else {
            Severity::Fine
        };
        let state = cluster.state.map_or_else(|| String::from("None"), |state| state.to_string());
        let mut text = state;
        for (index, (state, count)) in cells.iter().enumerate() {
            let separator = if index == 0 { "; " } else { ", " };
            // Writing to a string cannot fail.
            let _ = write!(text, "{separator}{state}={count}");
        }
        if !down.is_empty() {
            let _ = write!(text, "; DOWN={}", down.len());
        }
        if let Some(tid) = last_tid.filter(|_| cluster.is_operational()) {
            let _ = write!(text, "; ltid={tid} ({})", time_of_tid(tid));
        }
        Self { severity, text }
    }
}
