//! Any values of fields, for tests: lists are short, numbers often at the ends of their ranges.

use bytes::Bytes;
use model::{
    Cell, CellChange, CellState, ClusterState, Nid, NodeState, NodeType, Oid, PartitionId,
    PartitionTableId, Random, Tid, Ttid,
};

use super::error_code::ErrorCode;
use super::fields::{
    CheckSource, Checksum, Data, IdTimestamp, NodeInformation, OrderedMap, PackOrder, PackRequest,
    PackState, RelockConflict, RelockData, UndoSerials, Value,
};
use super::oids::Oids;
use crate::address::Address;

/// Items of a list, at most.
const LIST_LENGTH: u64 = 3;
/// Lists in lists of what is left open.
const DEPTH: u64 = 3;

/// Something that tests can have any number of.
pub(crate) trait Sample: Sized {
    fn sample(random: &mut Random) -> Self;
}

/// A number of at most so many bits, of any length that the wire knows.
fn number(random: &mut Random, bits_max: u32) -> u64 {
    let number = random.next_u64();
    let bits = [0, 5, 7, 8, 16, 32, 64][random.index(7)].min(bits_max);
    match (bits, random.below(4)) {
        (0, _) => 0,
        (bits, 0) => u64::MAX >> (64 - bits),
        (bits, _) => number >> (64 - bits),
    }
}

macro_rules! numbers {
    ($($name:ty: $bits:literal)*) => {$(
        impl Sample for $name {
            fn sample(random: &mut Random) -> Self {
                number(random, $bits).try_into().expect("so many bits")
            }
        }
    )*};
}

numbers!(u8: 8 u16: 16 u32: 32 u64: 64);

macro_rules! ids {
    ($($name:ident)*) => {$(
        impl Sample for $name {
            fn sample(random: &mut Random) -> Self {
                Self::new(Sample::sample(random))
            }
        }
    )*};
}

ids!(Oid Tid Ttid PartitionId PartitionTableId);

macro_rules! items {
    ($($name:ident)*) => {$(
        impl Sample for $name {
            fn sample(random: &mut Random) -> Self {
                loop {
                    let number = u8::try_from(random.below(16)).expect("below 16");
                    if let Some(item) = Self::from_number(number.into()) {
                        return item;
                    }
                }
            }
        }
    )*};
}

items!(CellState ClusterState NodeState NodeType ErrorCode);

macro_rules! structures {
    ($($name:ident { $($field:ident),* })*) => {$(
        impl Sample for $name {
            fn sample(random: &mut Random) -> Self {
                Self { $($field: Sample::sample(random),)* }
            }
        }
    )*};
}

structures! {
    Address { host, port }
    Cell { nid, state }
    CellChange { partition, nid, state }
    NodeInformation { node_type, address, nid, state, id_timestamp }
    PackRequest { oids, tid }
    PackState { approved, partial, oids, tid }
    PackOrder { id, state }
    RelockConflict { serial, conflict_serial, data }
    RelockData { compression, checksum, data }
    UndoSerials { current_serial, undo_serial, is_current }
    CheckSource { cluster, address }
}

impl Sample for bool {
    fn sample(random: &mut Random) -> Self {
        random.chance(1, 2)
    }
}

impl Sample for Nid {
    fn sample(random: &mut Random) -> Self {
        let number: u32 = Sample::sample(random);
        let number = i32::from_be_bytes(number.to_be_bytes());
        Self::new(if random.chance(1, 2) { number } else { number % 300 })
    }
}

impl Sample for IdTimestamp {
    fn sample(random: &mut Random) -> Self {
        Self(f64::from(u32::sample(random)) / 7.0)
    }
}

impl Sample for Checksum {
    fn sample(random: &mut Random) -> Self {
        let mut bytes = [0; 20];
        random.fill(&mut bytes);
        Self(bytes)
    }
}

impl Sample for Bytes {
    fn sample(random: &mut Random) -> Self {
        // The lengths at which its head becomes longer, or it is no longer copied.
        let length = match random.below(40) {
            0 => 255,
            1 => 256,
            2 => 65_535,
            3 => 65_536,
            4 => 2048,
            _ => random.index(12),
        };
        random.bytes(length).into()
    }
}

impl Sample for Data {
    fn sample(random: &mut Random) -> Self {
        Self::new(Sample::sample(random))
    }
}

impl Sample for String {
    fn sample(random: &mut Random) -> Self {
        let words =
            ["", "::1", "127.0.0.1", "grün", "a cluster", "0123456789012345678901234567890123"];
        (*random.choose(&words).expect("there are some")).to_owned()
    }
}

impl<T: Sample> Sample for Option<T> {
    fn sample(random: &mut Random) -> Self {
        random.chance(2, 3).then(|| T::sample(random))
    }
}

impl<T: Sample> Sample for Vec<T> {
    fn sample(random: &mut Random) -> Self {
        let length = if random.chance(1, 30) { 17 } else { random.below(LIST_LENGTH + 1) };
        (0..length).map(|_| T::sample(random)).collect()
    }
}

impl Sample for Oids {
    fn sample(random: &mut Random) -> Self {
        Vec::sample(random).into()
    }
}

impl<A: Sample, B: Sample> Sample for (A, B) {
    fn sample(random: &mut Random) -> Self {
        (A::sample(random), B::sample(random))
    }
}

impl<K: Sample, V: Sample> Sample for OrderedMap<K, V> {
    fn sample(random: &mut Random) -> Self {
        Self(Sample::sample(random))
    }
}

impl Sample for Value {
    fn sample(random: &mut Random) -> Self {
        value(random, DEPTH)
    }
}

fn value(random: &mut Random, depth: u64) -> Value {
    let items = if depth == 0 { 0 } else { random.below(LIST_LENGTH) };
    match random.below(10) {
        0 => Value::Nil,
        1 => Value::Bool(Sample::sample(random)),
        2 => Value::Unsigned(Sample::sample(random)),
        3 => {
            let number = i64::try_from(number(random, 63)).expect("63 bits");
            Value::Negative(-1 - number)
        }
        4 => Value::Float(IdTimestamp::sample(random).0),
        5 => Value::Bytes(Sample::sample(random)),
        6 => Value::Text(Sample::sample(random)),
        7 => Value::List((0..items).map(|_| value(random, depth - 1)).collect()),
        8 => {
            let item = |_| (value(random, depth - 1), value(random, depth - 1));
            Value::Map((0..items).map(item).collect())
        }
        _ => Value::Extension(4, Bytes::from_static(&[3])),
    }
}
