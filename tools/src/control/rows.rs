//! The partition table, as NEO's tool prints it.

use std::collections::BTreeMap;
use std::fmt::Write;

use model::{Cell, CellState, Nid, NodeState, NodeType};
use net::NodeInformation;

/// Partitions from one mark of the ruler to the next.
const RULER_STEP: usize = 10;

/// One line a storage: id, letter of its state, and a letter for each partition. Storages that are
/// at work are there also without cells. More than ten partitions get a ruler above.
pub(crate) fn matrix_lines(rows: &[Vec<Cell>], nodes: &[NodeInformation]) -> Vec<String> {
    let mut storages: BTreeMap<Nid, (NodeState, Vec<u8>)> = BTreeMap::new();
    let empty = vec![b'.'; rows.len()];
    let state_of = |nid: Nid| {
        let found = nodes.iter().find(|node| node.nid == Some(nid));
        found.map_or(NodeState::Unknown, |node| node.state)
    };
    let is_at_work = |node: &&NodeInformation| {
        node.node_type == NodeType::Storage && node.state == NodeState::Running
    };
    for nid in nodes.iter().filter(is_at_work).filter_map(|node| node.nid) {
        storages.insert(nid, (NodeState::Running, empty.clone()));
    }
    for (partition, row) in rows.iter().enumerate() {
        for cell in row {
            let entry = storages.entry(cell.nid);
            let (_, cells) = entry.or_insert_with(|| (state_of(cell.nid), empty.clone()));
            cells[partition] = cell_letter(cell.state);
        }
    }
    let Some((last, _)) = storages.last_key_value() else { return Vec::new() };
    let width = last.to_string().len();
    let mut lines = Vec::new();
    if rows.len() > RULER_STEP {
        lines.push(ruler(rows.len(), width));
    }
    lines.extend(storages.iter().map(|(nid, (state, cells))| {
        let cells = String::from_utf8_lossy(cells);
        format!("{:width$} {} {cells}", nid.to_string(), node_letter(*state))
    }));
    lines
}

/// One line a partition: its cells, from the partition `first` on.
pub(crate) fn row_lines(rows: &[Vec<Cell>], first: u32) -> Vec<String> {
    let lines = rows.iter().zip(u64::from(first)..).map(|(row, partition)| {
        let mut line = format!("{partition:03} |");
        for cell in row {
            // Writing to a string cannot fail.
            let _ = write!(line, " {} - {} |", cell.nid, cell.state);
        }
        line
    });
    lines.collect()
}

/// A `v` points to every tenth partition.
fn ruler(count: usize, width: usize) -> String {
    let mut line = " ".repeat(width + 4);
    for mark in (RULER_STEP..count).step_by(RULER_STEP) {
        // Writing to a string cannot fail.
        let _ = write!(line, "{mark:>9}v");
    }
    line
}

fn cell_letter(state: CellState) -> u8 {
    match state {
        CellState::OutOfDate => b'O',
        CellState::UpToDate => b'U',
        CellState::Feeding => b'F',
        CellState::Corrupted => b'C',
        CellState::Discarded => b'D',
    }
}

fn node_letter(state: NodeState) -> char {
    match state {
        NodeState::Unknown => 'U',
        NodeState::Down => 'D',
        NodeState::Running => 'R',
        NodeState::Pending => 'P',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn storage(number: u32, state: NodeState) -> NodeInformation {
        NodeInformation {
            node_type: NodeType::Storage,
            address: None,
            nid: Some(Nid::of(NodeType::Storage, number)),
            state,
            id_timestamp: None,
        }
    }

    fn row(cells: &[(u32, CellState)]) -> Vec<Cell> {
        let cell = |&(number, state)| Cell { nid: Nid::of(NodeType::Storage, number), state };
        cells.iter().map(cell).collect()
    }

    #[test]
    fn a_small_table() {
        use CellState::{Feeding, OutOfDate, UpToDate};
        let rows =
            [row(&[(1, UpToDate)]), row(&[(2, UpToDate)]), row(&[(1, Feeding), (3, OutOfDate)])];
        let nodes = [
            storage(1, NodeState::Running),
            storage(3, NodeState::Running),
            storage(4, NodeState::Running),
            storage(5, NodeState::Down),
        ];
        let expected = ["S1 R U.F", "S2 U .U.", "S3 R ..O", "S4 R ..."];
        assert_eq!(matrix_lines(&rows, &nodes), expected);
        assert_eq!(
            row_lines(&rows[1..], 1),
            ["001 | S2 - UP_TO_DATE |", "002 | S1 - FEEDING | S3 - OUT_OF_DATE |"]
        );
        assert_eq!(matrix_lines(&[Vec::new()], &[]), Vec::<String>::new());
    }

    #[test]
    fn a_wide_table_has_a_ruler() {
        let rows = vec![row(&[(1, CellState::UpToDate)]); 21];
        let expected = ["             10v       20v", "S1 R UUUUUUUUUUUUUUUUUUUUU"];
        let lines = matrix_lines(&rows, &[storage(1, NodeState::Running)]);
        assert_eq!(lines, expected);
        // The mark is above the cell of partition 20.
        assert_eq!(lines[0].rfind('v').map(|place| place - "S1 R ".len()), Some(20));
    }
}
