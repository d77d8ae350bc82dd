//! Ids of nodes, which tell their type.

use std::fmt;

use crate::states::wire_numbers;

wire_numbers! {
    /// What a node does in a cluster. The numbers are those of the wire.
    NodeType {
        /// Coordinates: one primary, the others stand by.
        Master = 0 "MASTER",
        /// Keeps data.
        Storage = 1 "STORAGE",
        /// Reads and commits.
        Client = 2 "CLIENT",
        /// Relays commands of operators to the primary master.
        Admin = 3 "ADMIN",
    }
}

impl NodeType {
    /// All types.
    pub const ALL: [Self; 4] = [Self::Master, Self::Storage, Self::Client, Self::Admin];

    /// The letter that ids of such nodes are shown with.
    const fn letter(self) -> char {
        match self {
            Self::Master => 'M',
            Self::Storage => 'S',
            Self::Client => 'C',
            Self::Admin => 'A',
        }
    }

    /// The top byte of ids of such nodes.
    const fn top_byte(self) -> i32 {
        match self {
            Self::Storage => 0x00,
            Self::Master => -0x10,
            Self::Client => -0x20,
            Self::Admin => -0x30,
        }
    }
}

/// Id of a node, given by the primary master.
///
/// The top byte is the type of the node, the other 24 bits its number, from 1. Only ids of storage
/// nodes are kept for ever; the others, which are negative, last as long as the node is connected.
///
/// Any number of 32 bits can be wrapped, as peers may send any: [`Nid::node_type`] says whether it
/// is one that a master gives.
///
/// ```
/// use model::{Nid, NodeType};
///
/// let nid = Nid::of(NodeType::Master, 1);
/// assert_eq!(nid.get(), -268_435_455);
/// assert_eq!(nid.to_string(), "M1");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nid(i32);

impl Nid {
    /// The greatest number of a node of one type.
    pub const NUMBER_MAX: u32 = (1 << 24) - 1;

    /// Wraps a number as it is on the wire.
    pub const fn new(value: i32) -> Self {
        Self(value)
    }

    /// The id of the `number`-th node of a type.
    ///
    /// # Panics
    /// If the number is 0 or above [`Self::NUMBER_MAX`].
    pub fn of(node_type: NodeType, number: u32) -> Self {
        assert!((1..=Self::NUMBER_MAX).contains(&number), "{number} is no number of a node");
        let number = i32::try_from(number).expect("24 bits");
        Self((node_type.top_byte() << 24) | number)
    }

    /// The number as it is on the wire.
    pub const fn get(self) -> i32 {
        self.0
    }

    /// The type, or `None` if no master gives such an id.
    pub fn node_type(self) -> Option<NodeType> {
        if self.number() == 0 {
            return None;
        }
        NodeType::ALL.into_iter().find(|node_type| node_type.top_byte() == self.0 >> 24)
    }

    /// The lower 24 bits.
    pub const fn number(self) -> u32 {
        self.0.cast_unsigned() & Self::NUMBER_MAX
    }
}

impl fmt::Display for Nid {
    /// `S1`, `M1`, `C1`, `A1`; the plain number if it is no id of a node.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.node_type() {
            Some(node_type) => write!(f, "{}{}", node_type.letter(), self.number()),
            None => write!(f, "{}", self.0),
        }
    }
}

impl fmt::Debug for Nid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nid({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_show_their_type() {
        let shown = [
            (1, "S1"),
            (0x00ff_ffff, "S16777215"),
            (-268_435_455, "M1"),
            (-536_870_911, "C1"),
            (-805_306_367, "A1"),
        ];
        for (number, text) in shown {
            let nid = Nid::new(number);
            assert_eq!(nid.to_string(), text);
            assert_eq!(Nid::of(nid.node_type().unwrap(), nid.number()), nid);
        }
    }

    #[test]
    fn numbers_of_no_node_are_shown_plainly() {
        for number in [0, -1, i32::MIN, i32::MAX, -268_435_456, 0x0100_0001] {
            assert_eq!(Nid::new(number).node_type(), None);
            assert_eq!(Nid::new(number).to_string(), number.to_string());
        }
    }

    #[test]
    fn types_have_the_numbers_of_the_wire() {
        let names = NodeType::ALL.map(|node_type| (node_type.number(), node_type.to_string()));
        let expected = ["MASTER", "STORAGE", "CLIENT", "ADMIN"];
        for (index, (number, name)) in names.iter().enumerate() {
            assert_eq!(usize::from(*number), index);
            assert_eq!(name, expected[index]);
            assert_eq!(NodeType::from_number(*number), Some(NodeType::ALL[index]));
        }
        assert_eq!(NodeType::from_number(4), None);
    }
}
