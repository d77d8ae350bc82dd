use super::*;
use CellState::{Corrupted, Discarded, Feeding, OutOfDate, UpToDate};

fn storage(number: u32) -> Nid {
    Nid::of(NodeType::Storage, number)
}

fn cell(number: u32, state: CellState) -> Cell {
    Cell { nid: storage(number), state }
}

fn change(partition: u32, number: u32, state: CellState) -> CellChange {
    CellChange { partition: PartitionId::new(partition), nid: storage(number), state }
}

fn table(rows: Vec<Vec<Cell>>) -> PartitionTable {
    PartitionTable::new(PartitionTableId::new(7), 1, rows).unwrap()
}

fn example() -> PartitionTable {
    table(vec![
        vec![cell(3, Feeding), cell(1, UpToDate), cell(2, OutOfDate)],
        vec![cell(2, UpToDate), cell(3, Corrupted)],
    ])
}

#[test]
fn lookups() {
    let table = example();
    table.invariants();
    assert_eq!(table.partitions(), PartitionCount::new(2).unwrap());
    assert_eq!(table.partition_of_oid(Oid::MAX), PartitionId::new(1));
    assert_eq!(table.partition_of_tid(Tid::new(8)), PartitionId::new(0));
    let (even, odd) = (PartitionId::new(0), PartitionId::new(1));
    let numbers = |nids: &mut dyn Iterator<Item = Nid>| nids.map(Nid::number).collect::<Vec<_>>();
    assert_eq!(numbers(&mut table.readable(even)), [1, 3]);
    assert_eq!(numbers(&mut table.writable(even)), [1, 2, 3]);
    assert_eq!(numbers(&mut table.readable(odd)), [2]);
    assert_eq!(numbers(&mut table.writable(odd)), [2, 3]);
    assert_eq!(table.cell_state(even, storage(2)), Some(OutOfDate));
    assert_eq!(table.cell_state(odd, storage(1)), None);
    assert_eq!(table.cells(PartitionId::new(2)), []);
}

#[test]
fn first_table() {
    let partitions = PartitionCount::new(100).unwrap();
    let table = PartitionTable::of_one_storage(partitions, storage(1));
    assert_eq!((table.id(), table.replicas()), (PartitionTableId::FIRST, 0));
    assert_eq!(table.partitions(), partitions);
    assert_eq!(table.cells(PartitionId::new(99)), [cell(1, UpToDate)]);
}

#[test]
#[should_panic(expected = "NotAStorage")]
fn first_table_on_a_client() {
    let partitions = PartitionCount::new(1).unwrap();
    PartitionTable::of_one_storage(partitions, Nid::of(NodeType::Client, 1));
}

#[test]
fn operational_needs_a_readable_cell_of_every_partition() {
    let table = example();
    assert!(table.is_operational(|_| true));
    assert!(table.is_operational(|nid| nid != storage(1)), "a feeding cell serves");
    assert!(!table.is_operational(|nid| nid != storage(2)), "a corrupted cell does not");
    assert!(!self::table(vec![vec![]]).is_operational(|_| true));
}

#[test]
fn changes_add_alter_and_remove_cells() {
    let mut table = example();
    let changes = [
        change(0, 2, UpToDate),
        change(0, 3, Discarded),
        change(1, 3, Discarded),
        change(1, 1, OutOfDate),
        change(1, 9, Discarded),
        change(1, 4, OutOfDate),
        change(1, 4, Discarded),
    ];
    table.apply(PartitionTableId::new(8), 2, &changes).unwrap();
    assert_eq!((table.id(), table.replicas()), (PartitionTableId::new(8), 2));
    assert_eq!(table.cells(PartitionId::new(0)), [cell(1, UpToDate), cell(2, UpToDate)]);
    assert_eq!(table.cells(PartitionId::new(1)), [cell(1, OutOfDate), cell(2, UpToDate)]);
}

#[test]
fn refused_changes_leave_the_table_as_it_was() {
    let (expected, partition) = (PartitionTableId::new(8), PartitionId::new(2));
    let client = Nid::of(NodeType::Client, 1);
    let on_client = CellChange { partition: PartitionId::new(0), nid: client, state: OutOfDate };
    let id_error = |found| TableError::Id { expected, found };
    let cases = [
        (6, vec![], id_error(PartitionTableId::new(6))),
        (7, vec![], id_error(PartitionTableId::new(7))),
        (9, vec![], id_error(PartitionTableId::new(9))),
        (
            8,
            vec![change(0, 1, OutOfDate), change(2, 1, OutOfDate)],
            TableError::Partition { partition, count: PartitionCount::new(2).unwrap() },
        ),
        (
            8,
            vec![change(0, 1, OutOfDate), on_client],
            TableError::NotAStorage { partition: PartitionId::new(0), nid: client },
        ),
    ];
    let mut table = example();
    for (id, changes, error) in cases {
        assert_eq!(table.apply(PartitionTableId::new(id), 3, &changes), Err(error));
        assert_eq!(table, example());
    }
}

#[test]
fn rows_that_no_table_has() {
    let refused = |rows| PartitionTable::new(PartitionTableId::FIRST, 0, rows).unwrap_err();
    let nid = storage(1);
    let partition = PartitionId::new(1);
    assert_eq!(refused(vec![]), TableError::PartitionCount { found: 0 });
    assert_eq!(
        refused(vec![vec![]; 65_537]).to_string(),
        "a partition table has 1 to 65536 partitions, not 65537"
    );
    assert_eq!(
        refused(vec![vec![], vec![cell(1, Discarded)]]),
        TableError::Discarded { partition, nid }
    );
    assert_eq!(
        refused(vec![vec![], vec![cell(1, UpToDate), cell(2, UpToDate), cell(1, OutOfDate)]]),
        TableError::TwoCells { partition, nid }
    );
    let master = Nid::of(NodeType::Master, 1);
    assert_eq!(
        refused(vec![vec![Cell { nid: master, state: UpToDate }]]).to_string(),
        "partition 0 has a cell on M1, which is no storage node"
    );
}
