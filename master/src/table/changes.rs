//! How the table changes when nodes are lost, removed, or have replicated.

use std::fmt;

use model::{CellChange, CellState, Nid, PartitionId};

use super::live::LiveTable;

/// What nodes that are not running have missed, or are about to miss: UP_TO_DATE cells become
/// OUT_OF_DATE, and FEEDING ones go.
///
/// Not so for cells of `lost` where it was the last node with a readable one: so the cluster can
/// start again when it comes back.
pub(crate) fn outdated(table: &LiveTable, lost: Option<Nid>) -> Vec<CellChange> {
    let mut changes = Vec::new();
    for partition in table.partitions().iter() {
        let served = table.table().readable(partition).any(|nid| table.is_running(nid));
        let kept = lost.filter(|_| !served);
        for cell in table.table().cells(partition) {
            if !table.is_running(cell.nid) && cell.state.is_readable() && kept != Some(cell.nid) {
                let state = match cell.state {
                    CellState::Feeding => CellState::Discarded,
                    _ => CellState::OutOfDate,
                };
                changes.push(CellChange { partition, nid: cell.nid, state });
            }
        }
    }
    changes
}

/// A node cannot be dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Undroppable {
    /// A partition that it has the only readable cell of.
    pub(crate) partition: PartitionId,
}

impl fmt::Display for Undroppable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it has the only readable copy of partition {}", self.partition)
    }
}

/// Drops all cells of a node. Where it had one, a FEEDING cell of another node stays after all.
///
/// # Errors
/// If the node has the only readable cell of a partition.
pub(crate) fn dropped(table: &LiveTable, nid: Nid) -> Result<Vec<CellChange>, Undroppable> {
    let mut changes = Vec::new();
    for partition in table.partitions().iter() {
        let Some(state) = table.table().cell_state(partition, nid) else { continue };
        changes.push(CellChange { partition, nid, state: CellState::Discarded });
        let others = || table.table().cells(partition).iter().filter(|cell| cell.nid != nid);
        if let Some(feeding) = others().find(|cell| cell.state == CellState::Feeding) {
            let state = CellState::UpToDate;
            changes.push(CellChange { partition, nid: feeding.nid, state });
        } else if state.is_readable() && !others().any(|cell| cell.state.is_readable()) {
            return Err(Undroppable { partition });
        }
    }
    Ok(changes)
}

/// A node's cell of a partition is complete: it becomes UP_TO_DATE, and FEEDING cells go.
///
/// All of them if every cell of the partition is readable then, else as many as there are readable
/// cells above the number of replicas; first those of nodes that have nothing but FEEDING cells.
pub(crate) fn replicated(table: &LiveTable, nid: Nid, partition: PartitionId) -> Vec<CellChange> {
    let mut changes = vec![CellChange { partition, nid, state: CellState::UpToDate }];
    let cells = table.table().cells(partition);
    let is_readable = |cell: &&model::Cell| cell.nid == nid || cell.state.is_readable();
    let readable = cells.iter().filter(is_readable).count();
    let feeding = cells.iter().filter(|cell| cell.state == CellState::Feeding);
    let mut feeding: Vec<Nid> = feeding.map(|cell| cell.nid).collect();
    if readable < cells.len() && !feeding.is_empty() {
        feeding.sort_by_key(|nid| !table.is_leaving(*nid));
        let replicas = usize::try_from(table.table().replicas()).unwrap_or(usize::MAX);
        feeding.truncate(readable.saturating_sub(replicas));
    }
    let discarded = feeding.into_iter();
    let state = CellState::Discarded;
    changes.extend(discarded.map(|nid| CellChange { partition, nid, state }));
    changes
}
