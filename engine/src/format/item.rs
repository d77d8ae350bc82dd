//! Items of index runs and memory tables.

use std::cmp::Ordering;

use super::codec::{Decoded, Put, Take, malformed};

/// Where a record is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct Location {
    /// Number of the log segment.
    pub file: u32,
    /// Length of the whole record in bytes.
    pub length: u32,
    /// Offset of its first byte.
    pub offset: u64,
}

/// What items are sorted by: `a`, `b`, `c`, and the newest (greatest `seq`) first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub(crate) struct Key {
    pub(crate) a: u32,
    pub(crate) b: u64,
    pub(crate) c: u64,
    pub(crate) seq: u64,
}

impl Key {
    /// The first possible key of these columns.
    pub(crate) const fn first(a: u32, b: u64, c: u64) -> Self {
        Self { a, b, c, seq: u64::MAX }
    }

    /// The columns without the sequence number.
    pub(crate) const fn columns(&self) -> (u32, u64, u64) {
        (self.a, self.b, self.c)
    }
}

impl Ord for Key {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        self.a
            .cmp(&other.a)
            .then(self.b.cmp(&other.b))
            .then(self.c.cmp(&other.c))
            .then(other.seq.cmp(&self.seq))
    }
}

impl PartialOrd for Key {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Properties of an item.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub(crate) struct ItemFlags(u8);

const SAME_A: u8 = 1;
const SAME_B: u8 = 2;
const SAME_SEQ: u8 = 4;
const LOCATION: u8 = 8;
const EXTRA: u8 = 16;
const KEPT: u8 = 32 | 64;

impl ItemFlags {
    pub(crate) const NONE: Self = Self(0);
    /// What has this key was deleted.
    pub(crate) const TOMBSTONE: Self = Self(32);
    /// The revision has no data: a deletion, or a creation undone.
    pub(crate) const NO_DATA: Self = Self(64);

    /// Of the byte in a block of columns; also whether there is a location, and an extra.
    pub(crate) fn of_stored(stored: u8) -> Decoded<(Self, bool, bool)> {
        if stored & !(LOCATION | EXTRA | KEPT) != 0 {
            return malformed("known flags of an index item");
        }
        Ok((Self(stored & KEPT), stored & LOCATION != 0, stored & EXTRA != 0))
    }

    pub(crate) fn is_tombstone(self) -> bool {
        self.0 & Self::TOMBSTONE.0 != 0
    }

    pub(crate) fn has_no_data(self) -> bool {
        self.0 & Self::NO_DATA.0 != 0
    }
}

/// An entry of an index.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Item {
    pub(crate) key: Key,
    /// `data_tid` of an object, `ttid` of a transaction.
    pub(crate) extra: Option<u64>,
    pub(crate) flags: ItemFlags,
    pub(crate) location: Option<Location>,
}

impl Item {
    /// The byte of flags in a block of columns.
    pub(crate) fn stored_flags(&self) -> u8 {
        let location = if self.location.is_some() { LOCATION } else { 0 };
        let extra = if self.extra.is_some() { EXTRA } else { 0 };
        self.flags.0 | location | extra
    }

    /// Appends the item, coded as differences to `base`.
    pub(crate) fn encode(&self, base: &Item, out: &mut Vec<u8>) {
        let (key, before) = (&self.key, &base.key);
        let mut flags = self.flags.0;
        if key.a == before.a {
            flags |= SAME_A;
        }
        if key.b == before.b {
            flags |= SAME_B;
        }
        if key.seq == before.seq {
            flags |= SAME_SEQ;
        }
        if self.location.is_some() {
            flags |= LOCATION;
        }
        if self.extra.is_some() {
            flags |= EXTRA;
        }
        out.put_u8(flags);
        if flags & SAME_A == 0 {
            out.put_varint(u64::from(key.a));
        }
        if flags & SAME_B == 0 {
            out.put_difference(key.b, before.b);
        }
        out.put_difference(key.c, before.c);
        if flags & SAME_SEQ == 0 {
            out.put_difference(key.seq, before.seq);
        }
        if let Some(location) = self.location {
            let before = base.location.unwrap_or_default();
            out.put_difference(u64::from(location.file), u64::from(before.file));
            out.put_difference(location.offset, before.offset);
            out.put_varint(u64::from(location.length));
        }
        if let Some(extra) = self.extra {
            out.put_difference(extra, base.extra.unwrap_or_default());
        }
    }

    /// The inverse of [`Item::encode`].
    #[inline]
    pub(crate) fn decode(base: &Item, take: &mut Take<'_>) -> Decoded<Item> {
        let before = &base.key;
        let flags = take.u8()?;
        if flags & !(SAME_A | SAME_B | SAME_SEQ | LOCATION | EXTRA | KEPT) != 0 {
            return malformed("known flags of an index item");
        }
        let a = if flags & SAME_A == 0 { narrow(take.varint()?)? } else { before.a };
        let b = if flags & SAME_B == 0 { take.difference(before.b)? } else { before.b };
        let c = take.difference(before.c)?;
        let seq = if flags & SAME_SEQ == 0 { take.difference(before.seq)? } else { before.seq };
        let location = if flags & LOCATION != 0 {
            let before = base.location.unwrap_or_default();
            Some(Location {
                file: narrow(take.difference(u64::from(before.file))?)?,
                offset: take.difference(before.offset)?,
                length: narrow(take.varint()?)?,
            })
        } else {
            None
        };
        let extra = match flags & EXTRA {
            0 => None,
            _ => Some(take.difference(base.extra.unwrap_or_default())?),
        };
        Ok(Item { key: Key { a, b, c, seq }, extra, flags: ItemFlags(flags & KEPT), location })
    }
}

fn narrow(value: u64) -> Decoded<u32> {
    u32::try_from(value).or(malformed("a number of 32 bits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_sequence_numbers_come_first() {
        let old = Key { a: 1, b: 2, c: 3, seq: 4 };
        let new = Key { seq: 5, ..old };
        assert!(new < old);
        assert!(Key::first(1, 2, 3) < new);
        assert!(old < Key::first(1, 2, 4));
    }

    #[test]
    fn items_come_back() {
        let location = Location { file: 3, offset: 1 << 40, length: 77 };
        let items = [
            Item::default(),
            Item {
                key: Key { a: 5, b: u64::MAX, c: 1, seq: 9 },
                extra: Some(7),
                flags: ItemFlags::NO_DATA,
                location: Some(location),
            },
            Item {
                key: Key { a: 5, b: u64::MAX, c: 2, seq: 9 },
                extra: None,
                flags: ItemFlags::TOMBSTONE,
                location: None,
            },
        ];
        for base in items {
            for item in items {
                let mut bytes = Vec::new();
                item.encode(&base, &mut bytes);
                let mut take = Take::new(&bytes);
                assert_eq!(Item::decode(&base, &mut take), Ok(item));
                assert_eq!(take.end(), Ok(()));
            }
        }
    }
}
