//! Spreading cells over nodes.
//!
//! Cells are dealt like cards: partition after partition takes the next `replicas + 1` seats of a
//! round table, so that all seats get equally many, off by one, and objects that are created one
//! after the other go to as many nodes as possible. What is chosen is which node takes which seat:
//! as few complete cells as possible have to move, and replicas are far from each other, as the
//! topology has it. A table that was made so has a seating that moves nothing: a second tweak
//! changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bytes::Bytes;
use model::{
    Cell, CellChange, CellState, Nid, PartitionCount, PartitionId, PartitionTable, PartitionTableId,
};

use super::devpath::Topology;
use super::live::LiveTable;

/// A node that takes part.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Member {
    pub(crate) nid: Nid,
    pub(crate) devpath: Vec<Bytes>,
}

/// Why there is no way to spread cells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TweakError {
    /// No node is left to have cells.
    NoNode,
}

impl fmt::Display for TweakError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no running node is left to have cells")
    }
}

/// The first table of a database. Members are in order of id.
pub(crate) fn first(
    partitions: PartitionCount,
    replicas: u32,
    members: &[Member],
) -> Result<PartitionTable, TweakError> {
    let seats = seats(partitions, replicas, members, &BTreeMap::new())?;
    let mut rows: Vec<Vec<Cell>> = partitions.iter().map(|_| Vec::new()).collect();
    for (member, offsets) in members.iter().zip(&seats) {
        for partition in offsets {
            rows[index(*partition)].push(Cell { nid: member.nid, state: CellState::UpToDate });
        }
    }
    let table = PartitionTable::new(PartitionTableId::FIRST, replicas, rows);
    Ok(table.expect("one cell a node and partition, on storages"))
}

/// What has to change so that the members have equally many cells. Cells of other nodes stay.
pub(crate) fn tweaked(
    table: &LiveTable,
    members: &[Member],
) -> Result<Vec<CellChange>, TweakError> {
    let mut present: BTreeMap<Nid, BTreeMap<PartitionId, CellState>> = BTreeMap::new();
    for (partition, cell) in table.cells() {
        present.entry(cell.nid).or_default().insert(partition, cell.state);
    }
    let seats = seats(table.partitions(), table.table().replicas(), members, &present)?;
    let wanted: BTreeSet<(PartitionId, Nid)> = members
        .iter()
        .zip(&seats)
        .flat_map(|(member, seat)| seat.iter().map(|partition| (*partition, member.nid)))
        .collect();
    let nids: BTreeSet<Nid> = members.iter().map(|member| member.nid).collect();
    let mut changes = Vec::new();
    for partition in table.partitions().iter() {
        let row = table.table().cells(partition);
        changes_of_row(partition, row, &nids, &wanted, &mut changes);
    }
    Ok(changes)
}

fn changes_of_row(
    partition: PartitionId,
    row: &[Cell],
    members: &BTreeSet<Nid>,
    wanted: &BTreeSet<(PartitionId, Nid)>,
    changes: &mut Vec<CellChange>,
) {
    // How many wanted cells cannot be read: so many others are still needed.
    let mut missing = 0_usize;
    for &nid in members.iter().filter(|nid| wanted.contains(&(partition, **nid))) {
        match row.iter().find(|cell| cell.nid == nid).map(|cell| cell.state) {
            None => {
                missing += 1;
                changes.push(CellChange { partition, nid, state: CellState::OutOfDate });
            }
            Some(CellState::Feeding) => {
                changes.push(CellChange { partition, nid, state: CellState::UpToDate });
            }
            Some(state) => missing += usize::from(!state.is_readable()),
        }
    }
    for &Cell { nid, state } in row {
        if !members.contains(&nid) || wanted.contains(&(partition, nid)) {
            continue;
        }
        let needed = missing > 0 && state.is_readable();
        missing -= usize::from(needed);
        match (needed, state) {
            (true, CellState::Feeding) => {}
            (true, _) => changes.push(CellChange { partition, nid, state: CellState::Feeding }),
            (false, _) => changes.push(CellChange { partition, nid, state: CellState::Discarded }),
        }
    }
}

/// The partitions of each member.
fn seats(
    partitions: PartitionCount,
    replicas: u32,
    members: &[Member],
    present: &BTreeMap<Nid, BTreeMap<PartitionId, CellState>>,
) -> Result<Vec<Vec<PartitionId>>, TweakError> {
    let count = members.len();
    if count == 0 {
        return Err(TweakError::NoNode);
    }
    let wanted = usize::try_from(replicas).unwrap_or(usize::MAX).saturating_add(1);
    let repeats = wanted.min(count);
    let mut dealt = vec![Vec::new(); count];
    for partition in partitions.iter() {
        for card in 0..repeats {
            dealt[(index(partition) * repeats + card) % count].push(partition);
        }
    }
    let costs: Vec<Vec<u64>> = members
        .iter()
        .map(|member| match present.get(&member.nid) {
            Some(cells) => dealt.iter().map(|seat| cost(cells, seat)).collect(),
            None => vec![0; count],
        })
        .collect();
    let devpaths: Vec<&[Bytes]> = members.iter().map(|member| &*member.devpath).collect();
    let seating = Topology::seating(&devpaths, repeats, partitions.iter().len(), &costs);
    Ok(seating.into_iter().map(|seat| std::mem::take(&mut dealt[seat])).collect())
}

/// What a node loses on a seat: complete cells above all, then others, then FEEDING ones.
fn cost(cells: &BTreeMap<PartitionId, CellState>, seat: &[PartitionId]) -> u64 {
    let seat: BTreeSet<PartitionId> = seat.iter().copied().collect();
    let lost = cells.iter().filter(|(partition, _)| !seat.contains(partition));
    lost.map(|(_, state)| match state {
        CellState::UpToDate => 1 << 40,
        CellState::Feeding => 1,
        _ => 1 << 20,
    })
    .sum()
}

fn index(partition: PartitionId) -> usize {
    usize::try_from(partition.get()).expect("numbers of 32 bits are indexes")
}
