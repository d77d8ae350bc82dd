//! Blocks of items: rows or columns, and a checksum at the end.

use bytes::Bytes;

use super::columns::{Columns, ColumnsBuilder};
use super::rows::{RowPosition, Rows, RowsBuilder};
use crate::format::{Decoded, Item, Key, Put, malformed};

const CHECKSUM_LENGTH: usize = 4;

/// How the items of a block are laid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Layout {
    /// Compact: for what is walked through.
    Rows,
    /// Quick to search: for what is looked up.
    Columns,
}

/// Collects items, in order, into a block.
#[derive(Debug)]
pub(crate) struct BlockBuilder {
    body: BodyBuilder,
    first: Option<Key>,
}

#[derive(Debug)]
enum BodyBuilder {
    Rows(RowsBuilder),
    Columns(ColumnsBuilder),
}

impl BlockBuilder {
    pub(crate) fn new(layout: Layout) -> Self {
        let body = match layout {
            Layout::Rows => BodyBuilder::Rows(RowsBuilder::default()),
            Layout::Columns => BodyBuilder::Columns(ColumnsBuilder::default()),
        };
        Self { body, first: None }
    }

    /// Whether the item may be in the same block as those before it.
    pub(crate) fn accepts(&self, item: &Item) -> bool {
        match &self.body {
            BodyBuilder::Rows(_) => true,
            BodyBuilder::Columns(columns) => columns.accepts(item),
        }
    }

    pub(crate) fn push(&mut self, item: &Item) {
        self.first.get_or_insert(item.key);
        match &mut self.body {
            BodyBuilder::Rows(rows) => rows.push(item),
            BodyBuilder::Columns(columns) => columns.push(item),
        }
    }

    /// Bytes so far.
    pub(crate) fn length(&self) -> usize {
        let body = match &self.body {
            BodyBuilder::Rows(rows) => rows.length(),
            BodyBuilder::Columns(columns) => columns.length(),
        };
        body + CHECKSUM_LENGTH
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Key of the first item, while there is one.
    pub(crate) fn first(&self) -> Option<Key> {
        self.first
    }

    /// Ends the block that will stand at `offset`, and begins the next.
    pub(crate) fn finish(&mut self, seed: u32, offset: u64) -> &[u8] {
        let bytes = match &mut self.body {
            BodyBuilder::Rows(rows) => rows.finish(),
            BodyBuilder::Columns(columns) => columns.finish(),
        };
        let crc = checksum(bytes, seed, offset);
        bytes.put_u32(crc);
        self.first = None;
        bytes
    }
}

fn checksum(bytes: &[u8], seed: u32, offset: u64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(seed, &offset.to_le_bytes()), bytes)
}

/// A block whose checksum was verified.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    bytes: Bytes,
    body: Body,
}

#[derive(Clone, Copy, Debug)]
enum Body {
    Rows(Rows),
    Columns(Columns),
}

/// A place between two items of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) enum BlockPosition {
    Row(RowPosition),
    Index(usize),
}

impl Block {
    /// Verifies the block that stands at `offset` of a file with this seed.
    pub(crate) fn verify(bytes: Bytes, seed: u32, offset: u64) -> Decoded<Self> {
        let Some((covered, crc)) = bytes.split_last_chunk::<CHECKSUM_LENGTH>() else {
            return malformed("an index block");
        };
        if checksum(covered, seed, offset) != u32::from_le_bytes(*crc) {
            return malformed("the checksum of an index block");
        }
        Self::trusted(bytes)
    }

    /// A block that was verified before.
    #[inline]
    pub(crate) fn trusted(bytes: Bytes) -> Decoded<Self> {
        let Some(end) = bytes.len().checked_sub(CHECKSUM_LENGTH) else {
            return malformed("an index block");
        };
        let body = match bytes.get(2..4) {
            Some([0, 0]) => Body::Columns(Columns::of(&bytes, end)?),
            _ => Body::Rows(Rows::of(&bytes, end)?),
        };
        Ok(Self { bytes, body })
    }

    /// The bytes, to be kept in a cache.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The last item before `key`, and the first at or after it, within this block.
    #[inline]
    pub(crate) fn neighbours(&self, key: &Key) -> Decoded<(Option<Item>, Option<Item>)> {
        match &self.body {
            Body::Rows(rows) => rows.neighbours(&self.bytes, key),
            Body::Columns(columns) => {
                let at = columns.search(&self.bytes, key);
                let before = at.checked_sub(1);
                let before = before.map(|index| columns.item(&self.bytes, index)).transpose()?;
                let found = (at < columns.count()).then(|| columns.item(&self.bytes, at));
                Ok((before, found.transpose()?))
            }
        }
    }

    /// Where the first item at or after `key` stands, or the end.
    pub(crate) fn position_of(&self, key: &Key) -> Decoded<BlockPosition> {
        Ok(match &self.body {
            Body::Rows(rows) => BlockPosition::Row(rows.position_of(&self.bytes, key)?),
            Body::Columns(columns) => BlockPosition::Index(columns.search(&self.bytes, key)),
        })
    }

    /// Where reading begins at the first item.
    pub(crate) fn start(&self) -> BlockPosition {
        match &self.body {
            Body::Rows(_) => BlockPosition::Row(Rows::start()),
            Body::Columns(_) => BlockPosition::Index(0),
        }
    }

    /// The item at a position, which moves on.
    #[inline]
    pub(crate) fn next(&self, at: &mut BlockPosition) -> Decoded<Option<Item>> {
        match (&self.body, at) {
            (Body::Rows(rows), BlockPosition::Row(at)) => rows.next(&self.bytes, at),
            (Body::Columns(columns), BlockPosition::Index(at)) if *at < columns.count() => {
                *at += 1;
                columns.item(&self.bytes, *at - 1).map(Some)
            }
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{ItemFlags, Location};

    const LAYOUTS: [Layout; 2] = [Layout::Rows, Layout::Columns];

    fn block_of(layout: Layout, items: &[Item]) -> Block {
        let mut builder = BlockBuilder::new(layout);
        for item in items {
            assert!(builder.accepts(item));
            builder.push(item);
        }
        let length = builder.length();
        let bytes = Bytes::copy_from_slice(builder.finish(3, 4096));
        assert_eq!(bytes.len(), length);
        Block::verify(bytes, 3, 4096).expect("just built")
    }

    fn item(key: Key) -> Item {
        Item { key, ..Item::default() }
    }

    #[test]
    fn neighbours_of_every_key() {
        for layout in LAYOUTS {
            for count in [1, 2, 15, 16, 17, 33, 100] {
                let keys: Vec<Key> =
                    (0..count).map(|n| Key { a: 1, b: 10 * n + 10, c: 0, seq: 5 }).collect();
                let items: Vec<Item> = keys.iter().map(|key| item(*key)).collect();
                let block = block_of(layout, &items);
                for probe in 0..=count * 10 + 15 {
                    for (a, seq) in [(1, 5), (1, 4), (1, 6), (0, 5), (2, 5)] {
                        let key = Key { a, b: probe, c: 0, seq };
                        let (before, at) = block.neighbours(&key).expect("sound");
                        let expected = keys.iter().rfind(|k| **k < key).copied();
                        assert_eq!(before.map(|i| i.key), expected);
                        let expected = keys.iter().find(|k| **k >= key).copied();
                        assert_eq!(at.map(|i| i.key), expected);
                    }
                }
            }
        }
    }

    #[test]
    fn items_come_back() {
        let mut random = model::Random::from_seed(5);
        for layout in LAYOUTS {
            for round in 0..200 {
                let wide = |random: &mut model::Random| random.next_u64() >> random.below(64);
                let mut items: Vec<Item> = (0..1 + round % 90)
                    .map(|_| Item {
                        key: Key {
                            a: 7,
                            b: wide(&mut random),
                            c: wide(&mut random),
                            seq: wide(&mut random),
                        },
                        extra: random.chance(1, 3).then(|| wide(&mut random)),
                        flags: match random.below(3) {
                            0 => ItemFlags::NONE,
                            1 => ItemFlags::TOMBSTONE,
                            _ => ItemFlags::NO_DATA,
                        },
                        location: random.chance(2, 3).then(|| Location {
                            file: u32::try_from(random.below(1 << 32)).expect("32 bits"),
                            offset: wide(&mut random),
                            length: u32::try_from(random.below(1 << 30)).expect("32 bits"),
                        }),
                    })
                    .collect();
                items.sort_by_key(|item| item.key);
                let block = block_of(layout, &items);
                let mut at = block.start();
                let mut found = Vec::new();
                while let Some(item) = block.next(&mut at).expect("sound") {
                    found.push(item);
                }
                assert_eq!(found, items);
                for item in &items {
                    let (_, at) = block.neighbours(&item.key).expect("sound");
                    assert_eq!(at.as_ref(), Some(item));
                }
            }
        }
    }

    #[test]
    fn any_flip_is_found() {
        for layout in LAYOUTS {
            let items: Vec<Item> =
                (0..40).map(|n| item(Key { a: 0, b: n, c: n * n, seq: n })).collect();
            let block = block_of(layout, &items);
            for at in 0..block.bytes.len() {
                let mut flipped = block.bytes.to_vec();
                flipped[at] ^= 0x80;
                assert!(Block::verify(flipped.into(), 3, 4096).is_err());
            }
            assert!(Block::verify(block.bytes.clone(), 3, 0).is_err(), "another place");
            assert!(Block::verify(block.bytes.clone(), 4, 4096).is_err(), "another file");
        }
    }

    #[test]
    fn damage_behind_a_checksum_never_panics() {
        let mut random = model::Random::from_seed(6);
        let items: Vec<Item> = (0..40).map(|n| item(Key { a: 0, b: n, c: n, seq: n })).collect();
        for layout in LAYOUTS {
            let block = block_of(layout, &items);
            for _ in 0..20_000 {
                let mut bytes = block.bytes.to_vec();
                for _ in 0..=random.below(4) {
                    let at = random.index(bytes.len());
                    bytes[at] = random.bytes(1)[0];
                }
                let Ok(block) = Block::trusted(bytes.into()) else { continue };
                let mut at = block.start();
                while let Ok(Some(_)) = block.next(&mut at) {}
                let _ = block.neighbours(&Key { a: 0, b: 20, c: 20, seq: 20 });
            }
        }
    }
}
