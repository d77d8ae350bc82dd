//! The partition table as the master last sent it.

use std::fmt;

use model::{Cell, CellChange, CellState, PartitionTableId};

/// The rows of the partition table, which are all empty while there is no table yet. Cells stay in
/// the order in which the master sent them.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Table {
    pub(super) id: Option<PartitionTableId>,
    pub(super) replicas: u32,
    pub(super) rows: Vec<Vec<Cell>>,
}

/// A change that does not fit the table.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum TableMismatch {
    /// There was no table, or a later one.
    Id { known: Option<PartitionTableId>, told: PartitionTableId },
    /// There is no such partition.
    Partition { told: u32, count: usize },
}

impl Table {
    /// Applies a change, or says why it cannot be one of this table, which is then as it was.
    pub(super) fn apply(
        &mut self,
        id: PartitionTableId,
        replicas: u32,
        changes: &[CellChange],
    ) -> Result<(), TableMismatch> {
        if self.id.is_none_or(|known| known >= id) {
            return Err(TableMismatch::Id { known: self.id, told: id });
        }
        let mut rows = self.rows.clone();
        for &CellChange { partition, nid, state } in changes {
            let count = rows.len();
            let told = partition.get();
            let row = usize::try_from(told).ok().and_then(|index| rows.get_mut(index));
            let row = row.ok_or(TableMismatch::Partition { told, count })?;
            match (row.iter().position(|cell| cell.nid == nid), state) {
                (Some(place), CellState::Discarded) => {
                    row.remove(place);
                }
                (Some(place), _) => row[place].state = state,
                (None, CellState::Discarded) => {}
                (None, _) => row.push(Cell { nid, state }),
            }
        }
        *self = Self { id: Some(id), replicas, rows };
        Ok(())
    }

    /// Rows from `first` to `last` (excluded; 0: the end), or `None` if there are not so many.
    pub(super) fn rows(&self, first: u32, last: u32) -> Option<&[Vec<Cell>]> {
        let first = usize::try_from(first).ok()?;
        let last = match last {
            0 => self.rows.len(),
            last => usize::try_from(last).ok()?,
        };
        match first < last {
            true => self.rows.get(first..last),
            false => Some(&[]),
        }
    }

    /// All cells.
    pub(super) fn cells(&self) -> impl Iterator<Item = &Cell> {
        self.rows.iter().flatten()
    }
}

impl fmt::Display for TableMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id { known: None, told } => write!(f, "change {told} of no table"),
            Self::Id { known: Some(known), told } => write!(f, "change {told} of table {known}"),
            Self::Partition { told, count } => {
                write!(f, "a change of partition {told} in a table of {count} partitions")
            }
        }
    }
}
