//! Blocks of columns: each column of the items by itself, in as few bytes as its greatest
//! difference to its least value takes. Made to be searched: a probe reads one number.

use crate::format::{Decoded, Item, ItemFlags, Key, Location, Put, Take, malformed};

/// Length of what comes before the columns.
const HEADER_LENGTH: usize = 64;
/// Numbers are read eight bytes at a time, also the last one.
const PADDING: usize = 8;
/// Columns besides the flags.
const COLUMNS: usize = 7;

const B: usize = 0;
const C: usize = 1;
const SEQ: usize = 2;
const FILE: usize = 3;
const OFFSET: usize = 4;
const LENGTH: usize = 5;
const EXTRA: usize = 6;

/// Collects items of one `a`.
#[derive(Debug, Default)]
pub(super) struct ColumnsBuilder {
    items: Vec<Item>,
    least: [u64; COLUMNS],
    greatest: [u64; COLUMNS],
    bytes: Vec<u8>,
}

impl ColumnsBuilder {
    /// Whether the item may be in the same block.
    pub(super) fn accepts(&self, item: &Item) -> bool {
        self.items.first().is_none_or(|first| first.key.a == item.key.a)
    }

    pub(super) fn push(&mut self, item: &Item) {
        let values = values_of(item);
        if self.items.is_empty() {
            (self.least, self.greatest) = (values, values);
        }
        for (column, value) in values.into_iter().enumerate() {
            self.least[column] = self.least[column].min(value);
            self.greatest[column] = self.greatest[column].max(value);
        }
        self.items.push(*item);
    }

    /// Bytes so far.
    pub(super) fn length(&self) -> usize {
        let row: usize = 1 + self.widths().into_iter().map(usize::from).sum::<usize>();
        HEADER_LENGTH + row * self.items.len() + PADDING
    }

    /// The block without its checksum. The next begins.
    pub(super) fn finish(&mut self) -> &mut Vec<u8> {
        let widths = self.widths();
        let count = u16::try_from(self.items.len()).expect("blocks are far below 64 Ki items");
        let out = &mut self.bytes;
        out.clear();
        out.put_u16(count);
        // Rows have at least one restart: this tells the two apart.
        out.put_u16(0);
        out.extend_from_slice(&widths);
        out.put_u8(0);
        out.put_u32(self.items.first().map_or(0, |first| first.key.a));
        for column in [B, C, SEQ, OFFSET, EXTRA] {
            out.put_u64(self.least[column]);
        }
        for column in [FILE, LENGTH] {
            out.put_u32(u32::try_from(self.least[column]).expect("columns of 32 bits"));
        }
        assert_eq!(out.len(), HEADER_LENGTH, "the header is as long as it says");
        out.extend(self.items.iter().map(|item| item.stored_flags()));
        for (column, width) in widths.into_iter().map(usize::from).enumerate() {
            for item in &self.items {
                let difference = values_of(item)[column] - self.least[column];
                out.extend_from_slice(&difference.to_le_bytes()[..width]);
            }
        }
        out.extend_from_slice(&[0; PADDING]);
        self.items.clear();
        &mut self.bytes
    }

    fn widths(&self) -> [u8; COLUMNS] {
        std::array::from_fn(|column| {
            let bits = u64::BITS - (self.greatest[column] - self.least[column]).leading_zeros();
            u8::try_from(bits.div_ceil(8)).expect("at most 8")
        })
    }
}

fn values_of(item: &Item) -> [u64; COLUMNS] {
    let location = item.location.unwrap_or_default();
    [
        item.key.b,
        item.key.c,
        item.key.seq,
        u64::from(location.file),
        location.offset,
        u64::from(location.length),
        item.extra.unwrap_or_default(),
    ]
}

/// The columns of a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Columns {
    count: usize,
    a: u32,
    least: [u64; COLUMNS],
    masks: [u64; COLUMNS],
    widths: [u8; COLUMNS],
    starts: [u32; COLUMNS],
}

impl Columns {
    /// Of a block whose content ends at `end`.
    #[inline]
    pub(super) fn of(bytes: &[u8], end: usize) -> Decoded<Self> {
        let Some(header) = bytes.first_chunk::<HEADER_LENGTH>() else {
            return malformed("an index block");
        };
        let mut take = Take::new(header);
        let count = usize::from(take.u16()?);
        take.u16()?;
        let widths = take.array::<COLUMNS>()?;
        take.u8()?;
        let a = take.u32()?;
        let mut least = [0; COLUMNS];
        for column in [B, C, SEQ, OFFSET, EXTRA] {
            least[column] = take.u64()?;
        }
        for column in [FILE, LENGTH] {
            least[column] = u64::from(take.u32()?);
        }
        let mut at = HEADER_LENGTH + count;
        let mut starts = [0; COLUMNS];
        let mut masks = [0; COLUMNS];
        for column in 0..COLUMNS {
            let width = widths[column];
            if width > 8 {
                return malformed("columns of at most 8 bytes");
            }
            starts[column] = u32::try_from(at).or(malformed("columns within a block"))?;
            masks[column] = u64::MAX.checked_shr(64 - 8 * u32::from(width)).unwrap_or(0);
            at += count * usize::from(width);
        }
        if at + PADDING != end || count == 0 {
            return malformed("columns of the length of their block");
        }
        Ok(Self { count, a, least, masks, widths, starts })
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Index of the first item at or after `key`, or the number of items.
    #[inline]
    pub(super) fn search(&self, bytes: &[u8], key: &Key) -> usize {
        if key.a != self.a {
            return if key.a < self.a { 0 } else { self.count };
        }
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low.midpoint(high);
            let b = self.value(bytes, B, middle);
            let is_before = if b != key.b {
                b < key.b
            } else {
                let c = self.value(bytes, C, middle);
                c < key.c || (c == key.c && self.value(bytes, SEQ, middle) > key.seq)
            };
            if is_before {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    pub(super) fn item(&self, bytes: &[u8], index: usize) -> Decoded<Item> {
        let flags = bytes[HEADER_LENGTH + index];
        let value = |column| self.value(bytes, column, index);
        let narrow = |column| u32::try_from(value(column)).or(malformed("a number of 32 bits"));
        let key = Key { a: self.a, b: value(B), c: value(C), seq: value(SEQ) };
        let (flags, has_location, has_extra) = ItemFlags::of_stored(flags)?;
        let location = match has_location {
            true => Some(Location {
                file: narrow(FILE)?,
                offset: value(OFFSET),
                length: narrow(LENGTH)?,
            }),
            false => None,
        };
        Ok(Item { key, extra: has_extra.then(|| value(EXTRA)), flags, location })
    }

    #[inline]
    fn value(&self, bytes: &[u8], column: usize, index: usize) -> u64 {
        let start = self.starts[column] as usize + index * usize::from(self.widths[column]);
        // The padding at the end makes the last read stay within the block.
        let word = bytes[start..].first_chunk::<8>().map_or(0, |word| u64::from_le_bytes(*word));
        self.least[column].wrapping_add(word & self.masks[column])
    }
}
