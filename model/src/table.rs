//! The partition table: which storage nodes have which partitions, as a value.

mod bytes;
mod error;

use crate::ids::{Oid, PartitionCount, PartitionId, PartitionTableId, Tid};
use crate::nid::{Nid, NodeType};
use crate::states::CellState;

pub use error::TableError;

/// The copy of a partition that a storage node has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Cell {
    /// The storage node.
    pub nid: Nid,
    /// How complete the copy is.
    pub state: CellState,
}

/// A change of one cell: it appears, has another state, or disappears (`Discarded`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CellChange {
    /// The partition.
    pub partition: PartitionId,
    /// The storage node.
    pub nid: Nid,
    /// Its new state.
    pub state: CellState,
}

/// Which storage nodes have which partitions.
///
/// There is one row a partition, which holds the cells of that partition, in order of node id. The
/// number of rows never changes. A partition should have `replicas + 1` cells; it has more while
/// cells move, and fewer where nodes are missing.
///
/// Invariants: at least one row and at most [`PartitionCount::MAX`]; every cell is on a storage
/// node; no node has two cells in one row; no cell is `Discarded`.
///
/// It does not decide how cells are spread, nor which change of state is wise: it takes what the
/// primary master decided (see [`CellState::can_become`]).
///
/// ```
/// use model::*;
///
/// let partitions = PartitionCount::new(2).unwrap();
/// let (first, second) = (Nid::of(NodeType::Storage, 1), Nid::of(NodeType::Storage, 2));
/// let mut table = PartitionTable::of_one_storage(partitions, first);
///
/// let state = CellState::OutOfDate;
/// let change = CellChange { partition: PartitionId::new(1), nid: second, state };
/// table.apply(table.id().next(), 1, &[change])?;
/// assert_eq!(table.readable(PartitionId::new(1)).collect::<Vec<_>>(), [first]);
/// assert_eq!(table.writable(PartitionId::new(1)).collect::<Vec<_>>(), [first, second]);
/// # Ok::<(), TableError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionTable {
    id: PartitionTableId,
    replicas: u32,
    rows: Vec<Vec<Cell>>,
}

impl PartitionTable {
    /// A table as a peer or the disk gives it: one list of cells a partition, in any order.
    ///
    /// # Errors
    /// If an invariant would not hold.
    pub fn new(
        id: PartitionTableId,
        replicas: u32,
        mut rows: Vec<Vec<Cell>>,
    ) -> Result<Self, TableError> {
        let count = u32::try_from(rows.len()).ok().and_then(PartitionCount::new);
        let partitions = count.ok_or(TableError::PartitionCount { found: rows.len() })?;
        for (partition, row) in partitions.iter().zip(&mut rows) {
            row.sort_unstable();
            check_row(partition, row)?;
        }
        Ok(Self { id, replicas, rows })
    }

    /// The first table of a database on a single storage node, without replicas.
    ///
    /// # Panics
    /// If `nid` is not of a storage node.
    pub fn of_one_storage(partitions: PartitionCount, nid: Nid) -> Self {
        let row = vec![Cell { nid, state: CellState::UpToDate }];
        let rows = partitions.iter().map(|_| row.clone()).collect();
        let table = Self { id: PartitionTableId::FIRST, replicas: 0, rows };
        table.invariants();
        table
    }

    /// Applies the one change that may follow, and sets the number of replicas. Changes of one cell
    /// take effect in their order; one that discards a cell that does not exist has none.
    ///
    /// # Errors
    /// If `id` is not the next one, or a change is of no cell that can be. The table is then as it
    /// was.
    pub fn apply(
        &mut self,
        id: PartitionTableId,
        replicas: u32,
        changes: &[CellChange],
    ) -> Result<(), TableError> {
        if id != self.id.next() {
            return Err(TableError::Id { expected: self.id.next(), found: id });
        }
        for &CellChange { partition, nid, .. } in changes {
            if partition.get() >= self.partitions().get() {
                return Err(TableError::Partition { partition, count: self.partitions() });
            }
            if nid.node_type() != Some(NodeType::Storage) {
                return Err(TableError::NotAStorage { partition, nid });
            }
        }
        for change in changes {
            self.set_cell(change);
        }
        self.id = id;
        self.replicas = replicas;
        self.invariants();
        Ok(())
    }

    /// The version.
    pub const fn id(&self) -> PartitionTableId {
        self.id
    }

    /// How many cells a partition should have besides the first.
    pub const fn replicas(&self) -> u32 {
        self.replicas
    }

    /// How many partitions there are.
    pub fn partitions(&self) -> PartitionCount {
        let count = u32::try_from(self.rows.len()).ok().and_then(PartitionCount::new);
        count.expect("invariant: the number of rows is a number of partitions")
    }

    /// The partition of an object.
    pub fn partition_of_oid(&self, oid: Oid) -> PartitionId {
        self.partitions().of_oid(oid)
    }

    /// The partition of a transaction's metadata.
    pub fn partition_of_tid(&self, tid: Tid) -> PartitionId {
        self.partitions().of_tid(tid)
    }

    /// The cells of a partition, in order of node id; none for a partition that does not exist.
    pub fn cells(&self, partition: PartitionId) -> &[Cell] {
        let row = usize::try_from(partition.get()).ok().and_then(|index| self.rows.get(index));
        row.map_or(&[], Vec::as_slice)
    }

    /// The state of a node's cell of a partition, if it has one.
    pub fn cell_state(&self, partition: PartitionId, nid: Nid) -> Option<CellState> {
        let row = self.cells(partition);
        row.binary_search_by_key(&nid, |cell| cell.nid).ok().map(|index| row[index].state)
    }

    /// The nodes that loads of a partition can be sent to.
    pub fn readable(&self, partition: PartitionId) -> impl Iterator<Item = Nid> {
        let cells = self.cells(partition).iter();
        cells.filter(|cell| cell.state.is_readable()).map(|cell| cell.nid)
    }

    /// The nodes that stores into a partition must be sent to.
    pub fn writable(&self, partition: PartitionId) -> impl Iterator<Item = Nid> {
        let cells = self.cells(partition).iter();
        cells.filter(|cell| cell.state.is_writable()).map(|cell| cell.nid)
    }

    /// Whether every partition can be read on some node that `is_running`.
    pub fn is_operational(&self, is_running: impl Fn(Nid) -> bool) -> bool {
        self.partitions().iter().all(|partition| self.readable(partition).any(&is_running))
    }

    /// Panics if an invariant does not hold.
    pub fn invariants(&self) {
        for (partition, row) in self.partitions().iter().zip(&self.rows) {
            assert_eq!(check_row(partition, row), Ok(()));
            assert!(row.is_sorted(), "partition {partition}: cells are in order of node id");
        }
    }

    fn set_cell(&mut self, change: &CellChange) {
        let index = usize::try_from(change.partition.get()).expect("checked against the rows");
        let row = &mut self.rows[index];
        let cell = Cell { nid: change.nid, state: change.state };
        match (row.binary_search_by_key(&cell.nid, |cell| cell.nid), cell.state) {
            (Ok(place), CellState::Discarded) => {
                row.remove(place);
            }
            (Err(_), CellState::Discarded) => {}
            (Ok(place), _) => row[place] = cell,
            (Err(place), _) => row.insert(place, cell),
        }
    }
}

fn check_row(partition: PartitionId, row: &[Cell]) -> Result<(), TableError> {
    for (index, &Cell { nid, state }) in row.iter().enumerate() {
        if nid.node_type() != Some(NodeType::Storage) {
            return Err(TableError::NotAStorage { partition, nid });
        }
        if state == CellState::Discarded {
            return Err(TableError::Discarded { partition, nid });
        }
        if index > 0 && row[index - 1].nid == nid {
            return Err(TableError::TwoCells { partition, nid });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
