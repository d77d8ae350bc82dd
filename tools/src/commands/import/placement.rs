//! Which storage a database is for.

use model::{
    Cell, CellState, Nid, NodeType, PartitionCount, PartitionId, PartitionTable, PartitionTableId,
};

/// A storage, and the partition table of its cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Placement {
    pub(crate) nid: Nid,
    pub(crate) table: PartitionTable,
}

impl Placement {
    /// The only storage of a cluster.
    pub(crate) fn alone(partitions: PartitionCount) -> Self {
        let nid = Nid::of(NodeType::Storage, 1);
        Self { nid, table: PartitionTable::of_one_storage(partitions, nid) }
    }

    /// Each of several storages, with cells spread evenly over them; `None` if there are not
    /// enough storages for so many replicas.
    pub(crate) fn spread(
        partitions: PartitionCount,
        storages: u32,
        replicas: u32,
    ) -> Option<Vec<Self>> {
        if replicas >= storages {
            return None;
        }
        let nids: Vec<Nid> =
            (1..=storages).map(|number| Nid::of(NodeType::Storage, number)).collect();
        let copies = usize::try_from(replicas).ok()?.checked_add(1)?;
        let mut turn = nids.iter().cycle();
        let row = |_| {
            let cells = turn.by_ref().take(copies);
            cells.map(|nid| Cell { nid: *nid, state: CellState::UpToDate }).collect()
        };
        let rows = partitions.iter().map(row).collect();
        let table = PartitionTable::new(PartitionTableId::FIRST, replicas, rows).ok()?;
        Some(nids.into_iter().map(|nid| Self { nid, table: table.clone() }).collect())
    }

    /// Whether the storage has a cell of a partition.
    pub(super) fn holds(&self, partition: PartitionId) -> bool {
        self.table.cell_state(partition, self.nid).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_spread_evenly() {
        let partitions = PartitionCount::new(7).unwrap();
        for (storages, replicas) in [(1, 0), (2, 0), (2, 1), (3, 1), (5, 2)] {
            let placements = Placement::spread(partitions, storages, replicas).unwrap();
            let counts = placements.iter().map(|placement| {
                partitions.iter().filter(|partition| placement.holds(*partition)).count()
            });
            let counts: Vec<usize> = counts.collect();
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            assert!(most - least <= 1, "{storages} storages, {replicas} replicas: {counts:?}");
            assert_eq!(counts.iter().sum::<usize>(), 7 * (replicas as usize + 1));
        }
        assert_eq!(Placement::spread(partitions, 2, 2), None);
        assert_eq!(Placement::spread(partitions, 1, 0), Some(vec![Placement::alone(partitions)]));
    }
}
