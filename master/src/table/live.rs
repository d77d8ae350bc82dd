//! The table with what is counted about it.

use std::collections::{BTreeMap, BTreeSet};

use model::{CellChange, CellState, Nid, PartitionCount, PartitionId, PartitionTable};

/// The partition table, and which of its nodes are running.
///
/// Whether the cluster is operational, which is asked at every turn, is known from counters: of
/// the readable cells on running nodes, one a partition, and of the partitions without any.
#[derive(Debug)]
pub(crate) struct LiveTable {
    table: PartitionTable,
    running: BTreeSet<Nid>,
    /// Readable cells on running nodes, by partition.
    readable: Vec<u32>,
    /// How many partitions have none.
    unreadable: usize,
    /// Nodes that have cells, and how many of each kind.
    counts: BTreeMap<Nid, Counts>,
    /// Cells whose nodes asked for unfinished transactions since they became OUT_OF_DATE: only
    /// these may become UP_TO_DATE by a report of theirs.
    replicating: BTreeSet<(Nid, PartitionId)>,
}

/// How many cells a node has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Counts {
    all: u32,
    readable: u32,
    feeding: u32,
}

impl Counts {
    fn of(state: CellState) -> Self {
        let is_feeding = state == CellState::Feeding;
        Self { all: 1, readable: u32::from(state.is_readable()), feeding: u32::from(is_feeding) }
    }

    fn add(&mut self, other: Self) {
        self.all += other.all;
        self.readable += other.readable;
        self.feeding += other.feeding;
    }

    fn remove(&mut self, other: Self) {
        self.all -= other.all;
        self.readable -= other.readable;
        self.feeding -= other.feeding;
    }
}

impl LiveTable {
    pub(crate) fn new(table: PartitionTable, running: BTreeSet<Nid>) -> Self {
        let readable = vec![0; table.partitions().iter().len()];
        let mut live = Self {
            table,
            running,
            readable,
            unreadable: 0,
            counts: BTreeMap::new(),
            replicating: BTreeSet::new(),
        };
        live.counts = live.scan_nodes();
        let partitions = live.partitions();
        live.unreadable = partitions.iter().len();
        for partition in partitions.iter() {
            live.count(partition);
        }
        live
    }

    /// The table itself.
    pub(crate) fn table(&self) -> &PartitionTable {
        &self.table
    }

    pub(crate) fn partitions(&self) -> PartitionCount {
        self.table.partitions()
    }

    pub(crate) fn is_running(&self, nid: Nid) -> bool {
        self.running.contains(&nid)
    }

    pub(crate) fn running(&self) -> &BTreeSet<Nid> {
        &self.running
    }

    /// Whether every partition can be read on a running node.
    pub(crate) fn is_operational(&self) -> bool {
        self.unreadable == 0
    }

    /// The same without some nodes.
    pub(crate) fn is_operational_without(&self, nodes: &BTreeSet<Nid>) -> bool {
        self.table.is_operational(|nid| self.is_running(nid) && !nodes.contains(&nid))
    }

    /// Whether every cell is readable.
    pub(crate) fn is_complete(&self) -> bool {
        self.counts.values().all(|counts| counts.readable == counts.all)
    }

    /// Takes note of whether a node is running.
    pub(crate) fn set_running(&mut self, nid: Nid, running: bool) {
        let changed = if running { self.running.insert(nid) } else { self.running.remove(&nid) };
        if !changed {
            return;
        }
        if !running {
            self.replicating.retain(|(other, _)| *other != nid);
        }
        if !self.counts.contains_key(&nid) {
            return;
        }
        for partition in self.partitions().iter() {
            if self.table.cell_state(partition, nid).is_some_and(CellState::is_readable) {
                self.count(partition);
            }
        }
    }

    /// Makes the next version of the table.
    pub(crate) fn apply(&mut self, replicas: u32, changes: &[CellChange]) {
        for change in changes {
            let before = self.table.cell_state(change.partition, change.nid);
            let before = before.unwrap_or(CellState::Discarded);
            debug_assert!(before.can_become(change.state), "{before} becomes {change:?}");
            if change.state != CellState::OutOfDate || before != CellState::OutOfDate {
                self.replicating.remove(&(change.nid, change.partition));
            }
            self.count_node(change.partition, change.nid, Counts::remove);
        }
        let applied = self.table.apply(self.table.id().next(), replicas, changes);
        applied.expect("changes that the master decides fit its table");
        for change in changes {
            self.count_node(change.partition, change.nid, Counts::add);
            self.count(change.partition);
        }
    }

    /// Nodes that have cells.
    pub(crate) fn nodes(&self) -> BTreeSet<Nid> {
        self.counts.keys().copied().collect()
    }

    /// Nodes that have readable cells.
    pub(crate) fn readable_nodes(&self) -> BTreeSet<Nid> {
        let readable = self.counts.iter().filter(|(_, counts)| counts.readable > 0);
        readable.map(|(nid, _)| *nid).collect()
    }

    /// Whether a node has nothing but FEEDING cells: it is about to leave.
    pub(crate) fn is_leaving(&self, nid: Nid) -> bool {
        self.counts.get(&nid).is_some_and(|counts| counts.feeding == counts.all)
    }

    /// All cells, by partition.
    pub(crate) fn cells(&self) -> impl Iterator<Item = (PartitionId, model::Cell)> {
        let partitions = self.partitions().iter();
        partitions.flat_map(|partition| {
            self.table.cells(partition).iter().map(move |cell| (partition, *cell))
        })
    }

    /// The rows as messages have them.
    pub(crate) fn rows(&self) -> Vec<Vec<model::Cell>> {
        self.partitions().iter().map(|partition| self.table.cells(partition).to_vec()).collect()
    }

    /// Takes note that a node wants to know what its OUT_OF_DATE cell has to wait for.
    pub(crate) fn set_replicating(&mut self, nid: Nid, partition: PartitionId) {
        if self.table.cell_state(partition, nid) == Some(CellState::OutOfDate) {
            self.replicating.insert((nid, partition));
        }
    }

    pub(crate) fn is_replicating(&self, nid: Nid, partition: PartitionId) -> bool {
        self.replicating.contains(&(nid, partition))
    }

    /// Compares the counters with what a scan finds.
    pub(crate) fn invariants(&self) {
        self.table.invariants();
        for (partition, count) in self.partitions().iter().zip(&self.readable) {
            assert_eq!(*count, self.scan(partition), "readable cells of partition {partition}");
        }
        let unreadable = self.readable.iter().filter(|count| **count == 0).count();
        assert_eq!(self.unreadable, unreadable);
        assert_eq!(self.counts, self.scan_nodes());
        for (nid, partition) in &self.replicating {
            let state = self.table.cell_state(*partition, *nid);
            assert_eq!(state, Some(CellState::OutOfDate), "{nid} replicates {partition}");
        }
    }

    fn count(&mut self, partition: PartitionId) {
        let index = usize::try_from(partition.get()).expect("a partition of the table");
        let count = self.scan(partition);
        let before = std::mem::replace(&mut self.readable[index], count);
        match (before, count) {
            (0, 1..) => self.unreadable -= 1,
            (1.., 0) => self.unreadable += 1,
            _ => {}
        }
    }

    /// Counts or discounts a node's cell of a partition, if it has one.
    fn count_node(&mut self, partition: PartitionId, nid: Nid, count: fn(&mut Counts, Counts)) {
        let Some(state) = self.table.cell_state(partition, nid) else { return };
        let counts = self.counts.entry(nid).or_default();
        count(counts, Counts::of(state));
        if counts.all == 0 {
            self.counts.remove(&nid);
        }
    }

    fn scan_nodes(&self) -> BTreeMap<Nid, Counts> {
        let mut nodes: BTreeMap<Nid, Counts> = BTreeMap::new();
        for (_, cell) in self.cells() {
            nodes.entry(cell.nid).or_default().add(Counts::of(cell.state));
        }
        nodes
    }

    fn scan(&self, partition: PartitionId) -> u32 {
        let running = self.table.readable(partition).filter(|nid| self.is_running(*nid));
        u32::try_from(running.count()).expect("cells of a partition are on different nodes")
    }
}
