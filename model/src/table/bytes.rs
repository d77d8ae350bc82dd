//! A partition table as bytes, to be kept in the metadata of a node.
//!
//! ```text
//! id u64, replicas u32, rows u32; for each row: cells u32; for each cell: nid i32, state u8
//! ```
//!
//! Integers are little-endian; nothing follows. States have the numbers of the wire.

use super::{Cell, PartitionTable, TableError};
use crate::ids::PartitionTableId;
use crate::nid::Nid;
use crate::states::CellState;

const ROW_LENGTH_MIN: usize = 4;
const CELL_LENGTH: usize = 5;

impl PartitionTable {
    /// The table as bytes.
    ///
    /// # Panics
    /// If a row has 2^32 cells, for which there are not enough node ids.
    pub fn to_bytes(&self) -> Vec<u8> {
        let count = |length| u32::try_from(length).expect("there are fewer node ids than 2^32");
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&self.id.get().to_le_bytes());
        bytes.extend_from_slice(&self.replicas.to_le_bytes());
        bytes.extend_from_slice(&count(self.rows.len()).to_le_bytes());
        for row in &self.rows {
            bytes.extend_from_slice(&count(row.len()).to_le_bytes());
            for cell in row {
                bytes.extend_from_slice(&cell.nid.get().to_le_bytes());
                bytes.push(cell.state.number());
            }
        }
        bytes
    }

    /// The inverse of [`Self::to_bytes`]. Takes memory in proportion to the bytes, whatever they
    /// are.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TableError> {
        let mut input = Input { bytes, offset: 0 };
        let id = PartitionTableId::new(u64::from_le_bytes(input.take("an id of 8 bytes")?));
        let replicas = u32::from_le_bytes(input.take("a number of replicas")?);
        let row_count = input.count("a number of rows", ROW_LENGTH_MIN)?;
        let mut rows = Vec::with_capacity(row_count);
        for _ in 0..row_count {
            let cell_count = input.count("a number of cells", CELL_LENGTH)?;
            let cells = (0..cell_count).map(|_| input.cell());
            rows.push(cells.collect::<Result<Vec<_>, _>>()?);
        }
        match input.bytes {
            [] => Self::new(id, replicas, rows),
            _ => Err(input.malformed("the end")),
        }
    }
}

/// The bytes that are left.
struct Input<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl Input<'_> {
    fn take<const N: usize>(&mut self, expected: &'static str) -> Result<[u8; N], TableError> {
        let Some((taken, rest)) = self.bytes.split_first_chunk::<N>() else {
            return Err(self.malformed(expected));
        };
        self.bytes = rest;
        self.offset += N;
        Ok(*taken)
    }

    /// A number of things for which there are enough bytes left.
    fn count(&mut self, expected: &'static str, length_min: usize) -> Result<usize, TableError> {
        let error = self.malformed(expected);
        let count = u32::from_le_bytes(self.take(expected)?);
        match usize::try_from(count) {
            Ok(count) if count <= self.bytes.len() / length_min => Ok(count),
            _ => Err(error),
        }
    }

    fn cell(&mut self) -> Result<Cell, TableError> {
        let nid = Nid::new(i32::from_le_bytes(self.take("a node id")?));
        let error = self.malformed("the state of a cell");
        let [number] = self.take("the state of a cell")?;
        let state = CellState::from_number(number).ok_or(error)?;
        Ok(Cell { nid, state })
    }

    fn malformed(&self, expected: &'static str) -> TableError {
        TableError::Bytes { offset: self.offset, expected }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::PartitionCount;
    use crate::nid::NodeType;
    use crate::random::Random;

    fn random_table(random: &mut Random) -> PartitionTable {
        let states =
            [CellState::OutOfDate, CellState::UpToDate, CellState::Feeding, CellState::Corrupted];
        let rows = (0..=random.below(20)).map(|_| {
            let numbers = (1..6).filter(|_| random.chance(1, 3)).collect::<Vec<_>>();
            let cell = |number| Cell {
                nid: Nid::of(NodeType::Storage, number),
                state: *random.choose(&states).unwrap(),
            };
            numbers.into_iter().map(cell).collect()
        });
        let rows = rows.collect();
        let replicas = u32::try_from(random.below(4)).unwrap();
        PartitionTable::new(PartitionTableId::new(random.next_u64()), replicas, rows).unwrap()
    }

    #[test]
    fn tables_come_back() {
        let mut random = Random::from_seed(1);
        for _ in 0..500 {
            let table = random_table(&mut random);
            assert_eq!(PartitionTable::from_bytes(&table.to_bytes()), Ok(table));
        }
        let many = PartitionCount::MAX;
        let table = PartitionTable::of_one_storage(many, Nid::of(NodeType::Storage, 1));
        assert_eq!(PartitionTable::from_bytes(&table.to_bytes()), Ok(table));
    }

    #[test]
    fn the_bytes_of_a_table() {
        let partitions = PartitionCount::new(2).unwrap();
        let table = PartitionTable::of_one_storage(partitions, Nid::of(NodeType::Storage, 1));
        let row = [1, 0, 0, 0, 1, 0, 0, 0, 1];
        let head = [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0];
        assert_eq!(table.to_bytes(), [&head[..], &row, &row].concat());
    }

    #[test]
    fn any_bytes_are_a_table_or_an_error() {
        let mut random = Random::from_seed(2);
        for _ in 0..2_000 {
            let mut bytes = random_table(&mut random).to_bytes();
            let cut = random.index(bytes.len());
            let error = PartitionTable::from_bytes(&bytes[..cut]);
            assert!(matches!(error, Err(TableError::Bytes { .. })), "{error:?}");
            bytes[cut] ^= u8::try_from(1 + random.below(255)).unwrap();
            if let Ok(table) = PartitionTable::from_bytes(&bytes) {
                table.invariants();
                assert_eq!(PartitionTable::from_bytes(&table.to_bytes()), Ok(table));
            }
            let length = random.index(40);
            if let Ok(table) = PartitionTable::from_bytes(&random.bytes(length)) {
                table.invariants();
            }
            bytes.push(0);
            assert!(PartitionTable::from_bytes(&bytes).is_err());
        }
    }

    #[test]
    fn errors_say_where() {
        let error = PartitionTable::from_bytes(&[0; 11]).unwrap_err();
        let text = "a partition table in bytes: expected a number of replicas at byte 8";
        assert_eq!(error.to_string(), text);
    }
}
