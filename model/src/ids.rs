//! Identifiers. All of them are unsigned and compare as the numbers that they are on the wire.

use std::fmt;
use std::num::NonZeroU32;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(u64);

        impl $name {
            /// The lowest value, all bits zero.
            pub const ZERO: Self = Self(0);

            /// Wraps a number.
            pub const fn new(value: u64) -> Self {
                Self(value)
            }

            /// The number.
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The 8 bytes used on the wire and in files of ZODB, big-endian.
            pub const fn to_be_bytes(self) -> [u8; 8] {
                self.0.to_be_bytes()
            }

            /// The inverse of [`Self::to_be_bytes`].
            pub const fn from_be_bytes(bytes: [u8; 8]) -> Self {
                Self(u64::from_be_bytes(bytes))
            }
        }

        impl fmt::Display for $name {
            /// 16 hexadecimal digits.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:016x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:016x})", stringify!($name), self.0)
            }
        }
    };
}

id! {
    /// Object id. All 2^64 values are legal.
    Oid
}
id! {
    /// Transaction id: a point in time (see [`crate::time`]), unique and growing.
    Tid
}
id! {
    /// Id of a transaction that is not committed yet, given when it begins.
    Ttid
}

impl Oid {
    /// The greatest oid.
    pub const MAX: Self = Self(u64::MAX);
    /// The greatest oid that new ones follow. Greater ones may be stored, and are never given out:
    /// what follows them would be used up at once.
    pub const FOLLOWED_MAX: Self = Self(u64::MAX - (1 << 32));
}

impl Tid {
    /// The greatest tid that NEO gives a meaning to, `7fffffffffffffff`.
    pub const MAX: Self = Self(i64::MAX as u64);
}

/// Number of a partition: an oid belongs to partition `oid mod partitions`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct PartitionId(u32);

impl PartitionId {
    /// Wraps a number.
    pub const fn new(value: u32) -> Self {
        Self(value)
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// How many partitions a database has. It never changes in the life of a database.
///
/// Objects belong to partition `oid mod partitions`, metadata of transactions to
/// `tid mod partitions`, so that a tid always has its ttid's partition.
///
/// ```
/// use model::{Oid, PartitionCount, PartitionId};
///
/// let partitions = PartitionCount::new(12).unwrap();
/// assert_eq!(partitions.of_oid(Oid::new(27)), PartitionId::new(3));
/// assert_eq!(PartitionCount::new(0), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PartitionCount(NonZeroU32);

impl PartitionCount {
    /// The greatest count, 65,536: a table of it with a few replicas still takes few megabytes
    /// of memory, and it is an order of magnitude above what is in use.
    pub const MAX: Self = Self(NonZeroU32::new(1 << 16).unwrap());

    /// Wraps a number from 1 to [`Self::MAX`]; `None` for all others.
    pub fn new(value: u32) -> Option<Self> {
        NonZeroU32::new(value).map(Self).filter(|count| *count <= Self::MAX)
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// The partition that holds the object.
    pub fn of_oid(self, oid: Oid) -> PartitionId {
        self.of(oid.0)
    }

    /// The partition that holds the metadata of the transaction.
    pub fn of_tid(self, tid: Tid) -> PartitionId {
        self.of(tid.0)
    }

    /// The partition that holds the metadata of the transaction, before and after its commit.
    pub fn of_ttid(self, ttid: Ttid) -> PartitionId {
        self.of(ttid.0)
    }

    /// All partitions, in order.
    pub fn iter(self) -> impl ExactSizeIterator<Item = PartitionId> {
        (0..self.get()).map(PartitionId)
    }

    fn of(self, id: u64) -> PartitionId {
        let remainder = id % u64::from(self.get());
        PartitionId(u32::try_from(remainder).expect("less than a number of 32 bits"))
    }
}

impl fmt::Display for PartitionCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Version of a partition table: a counter, exactly one more with each change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PartitionTableId(u64);

impl PartitionTableId {
    /// Of the first table of a database.
    pub const FIRST: Self = Self(1);

    /// Wraps a number.
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The only id that may follow.
    ///
    /// # Panics
    /// If the counter is exhausted, which takes longer than there is hardware.
    pub const fn next(self) -> Self {
        Self(self.0.checked_add(1).expect("changes of a table never reach 2^64"))
    }
}

impl fmt::Display for PartitionTableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_print_as_16_digits_and_keep_their_bytes() {
        let oid = Oid::new(0x8000_0000_0000_0a01);
        assert_eq!(oid.to_string(), "8000000000000a01");
        assert_eq!(format!("{oid:?}"), "Oid(8000000000000a01)");
        assert_eq!(oid.to_be_bytes(), [0x80, 0, 0, 0, 0, 0, 0x0a, 1]);
        assert_eq!(Oid::from_be_bytes(oid.to_be_bytes()), oid);
        assert!(Oid::new(1) < oid, "oids compare as unsigned numbers");
    }

    #[test]
    fn partitions_are_remainders() {
        let partitions = PartitionCount::new(12).unwrap();
        assert_eq!(partitions.of_oid(Oid::MAX), PartitionId::new(3));
        assert_eq!(partitions.of_tid(Tid::new(25)), PartitionId::new(1));
        assert_eq!(partitions.of_ttid(Ttid::new(25)), PartitionId::new(1));
        assert_eq!(partitions.iter().last(), Some(PartitionId::new(11)));
    }

    #[test]
    fn partition_count_has_bounds() {
        assert_eq!(PartitionCount::new(0), None);
        assert_eq!(PartitionCount::new(65_536), Some(PartitionCount::MAX));
        assert_eq!(PartitionCount::new(65_537), None);
    }
}
