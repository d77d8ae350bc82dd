//! What messages are made of, besides ids and states.

use std::fmt;

use bytes::Bytes;
use model::{Nid, NodeState, NodeType, Tid};
use sha1::{Digest, Sha1};

use super::oids::Oids;
use crate::address::Address;

/// SHA-1 of an object's data as sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Checksum(pub [u8; 20]);

impl Checksum {
    /// All zeros: of what has no data.
    pub const ZERO: Self = Self([0; 20]);

    /// Of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha1::digest(bytes).into())
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// An object's data as it travels, perhaps compressed. Decoded, it is a slice of what was received.
///
/// The checksum of large data is computed while the bytes arrive, so that nobody has to wait for
/// it at the end; [`Data::checksum`] is then free.
#[derive(Clone, Default)]
pub struct Data {
    /// The bytes.
    pub bytes: Bytes,
    sums: Option<Sums>,
}

/// What is computed of a long string while it comes in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sums {
    pub(crate) checksum: Checksum,
    pub(crate) crc: u32,
}

impl Data {
    /// Wraps bytes.
    pub fn new(bytes: Bytes) -> Self {
        Self { bytes, sums: None }
    }

    pub(crate) fn with_sums(bytes: Bytes, sums: Option<Sums>) -> Self {
        Self { bytes, sums }
    }

    /// SHA-1 of the bytes.
    pub fn checksum(&self) -> Checksum {
        self.sums.map_or_else(|| Checksum::of(&self.bytes), |sums| sums.checksum)
    }

    /// CRC-32C of the bytes, if it was computed while they arrived.
    pub fn crc(&self) -> Option<u32> {
        self.sums.map(|sums| sums.crc)
    }
}

impl PartialEq for Data {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.bytes.len())
    }
}

/// When a node was identified, in seconds since 1970: with its id, what makes it that node. All
/// are given by the primary master, from one clock that strictly increases.
#[derive(Clone, Copy, PartialEq, PartialOrd, Debug)]
pub struct IdTimestamp(pub f64);

/// What is told about a node.
#[derive(Clone, PartialEq, Debug)]
pub struct NodeInformation {
    /// What it does.
    pub node_type: NodeType,
    /// Where it listens, if it does.
    pub address: Option<Address>,
    /// Its id; masters that never connected have none.
    pub nid: Option<Nid>,
    /// What the primary master thinks of it.
    pub state: NodeState,
    /// Since when it is connected.
    pub id_timestamp: Option<IdTimestamp>,
}

/// What a client asks to be packed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PackRequest {
    /// The only objects to pack, or all.
    pub oids: Option<Oids>,
    /// Up to which transaction.
    pub tid: Tid,
}

/// A pack order as it is kept with its transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PackState {
    /// Whether it was approved; `None` while nobody signed it.
    pub approved: Option<bool>,
    /// Whether only `oids` are packed. A partial order may come without the list.
    pub partial: bool,
    /// The oids of a partial order.
    pub oids: Option<Oids>,
    /// Up to which transaction.
    pub tid: Tid,
}

/// A pack order with its id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PackOrder {
    /// The transaction that it rides on.
    pub id: Tid,
    /// What it says.
    pub state: PackState,
}

/// What stands in the way of a write whose lock was lost.
#[derive(Clone, PartialEq, Debug)]
pub struct RelockConflict {
    /// The revision that the write was based on.
    pub serial: Tid,
    /// The newer one.
    pub conflict_serial: Tid,
    /// What was written, handed back; nothing for a check or an undo.
    pub data: Option<RelockData>,
}

/// Data of a write that is handed back.
#[derive(Clone, PartialEq, Debug)]
pub struct RelockData {
    /// How the data is coded: 0 plain, 1 zlib.
    pub compression: u8,
    /// Of the data.
    pub checksum: Checksum,
    /// The data.
    pub data: Data,
}

/// What undoing a transaction means for one object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UndoSerials {
    /// The newest revision that the undoing transaction sees.
    pub current_serial: Tid,
    /// The revision whose data is to come back; `None` if the object did not exist.
    pub undo_serial: Option<Tid>,
    /// Whether the data that is undone is the current one.
    pub is_current: bool,
}

/// Where a partition is to be compared with.
#[derive(Clone, PartialEq, Debug)]
pub struct CheckSource {
    /// Name of the upstream cluster; empty for the node's own.
    pub cluster: String,
    /// The reference; none: all are compared.
    pub address: Option<Address>,
}

/// A map that keeps the order in which it came. Keys may repeat; the last counts.
#[derive(Clone, PartialEq, Debug)]
pub struct OrderedMap<K, V>(pub Vec<(K, V)>);

impl<K, V> Default for OrderedMap<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: PartialEq, V> OrderedMap<K, V> {
    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.0.iter().rev().find(|(other, _)| other == key).map(|(_, value)| value)
    }
}

/// What is sent besides: keys that a peer does not know are kept and ignored.
pub type Extra = OrderedMap<Bytes, Value>;

/// Any value, where a message leaves open what is sent.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// Nothing.
    Nil,
    /// True or false.
    Bool(bool),
    /// Zero or positive.
    Unsigned(u64),
    /// Negative.
    Negative(i64),
    /// A number with a fraction.
    Float(f64),
    /// Bytes.
    Bytes(Bytes),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// A map.
    Map(Vec<(Value, Value)>),
    /// An item of an enum: the number of its type, and the encoded number of the item.
    Extension(i8, Bytes),
}
