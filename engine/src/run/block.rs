//! Blocks of items: prefix-coded, with restarts to search by, and a checksum at the end.

use bytes::Bytes;

use crate::format::{Decoded, Item, Key, Put, Take, malformed};

/// Items between two restarts.
const RESTART_INTERVAL: usize = 16;
const HEADER_LENGTH: usize = 4;
const CHECKSUM_LENGTH: usize = 4;

/// Collects items, in order, into a block.
#[derive(Debug, Default)]
pub(crate) struct BlockBuilder {
    bytes: Vec<u8>,
    restarts: Vec<u16>,
    count: usize,
    previous: Item,
    first: Option<Key>,
}

impl BlockBuilder {
    pub(crate) fn push(&mut self, item: &Item) {
        if self.count == 0 {
            self.bytes.clear();
            self.bytes.resize(HEADER_LENGTH, 0);
            self.restarts.clear();
            self.first = Some(item.key);
        }
        if self.count.is_multiple_of(RESTART_INTERVAL) {
            let offset = u16::try_from(self.bytes.len()).expect("blocks are far below 64 KiB");
            self.restarts.push(offset);
            self.previous = Item::default();
        }
        item.encode(&self.previous, &mut self.bytes);
        self.previous = *item;
        self.count += 1;
    }

    /// Bytes so far.
    pub(crate) fn length(&self) -> usize {
        self.bytes.len() + 2 * self.restarts.len() + CHECKSUM_LENGTH
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Key of the first item, while there is one.
    pub(crate) fn first(&self) -> Option<Key> {
        self.first
    }

    /// Ends the block that will stand at `offset`, and begins the next.
    pub(crate) fn finish(&mut self, seed: u32, offset: u64) -> &[u8] {
        let count = u16::try_from(self.count).expect("blocks are far below 64 Ki items");
        let restarts = u16::try_from(self.restarts.len()).expect("fewer than items");
        self.bytes[..2].copy_from_slice(&count.to_le_bytes());
        self.bytes[2..4].copy_from_slice(&restarts.to_le_bytes());
        for restart in &self.restarts {
            self.bytes.extend_from_slice(&restart.to_le_bytes());
        }
        let crc = checksum(&self.bytes, seed, offset);
        self.bytes.put_u32(crc);
        self.count = 0;
        self.first = None;
        &self.bytes
    }
}

fn checksum(bytes: &[u8], seed: u32, offset: u64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(seed, &offset.to_le_bytes()), bytes)
}

/// A block whose checksum was verified.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    bytes: Bytes,
    items_end: usize,
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
    pub(crate) fn trusted(bytes: Bytes) -> Decoded<Self> {
        let Some(header) = bytes.first_chunk::<HEADER_LENGTH>() else {
            return malformed("an index block");
        };
        let restarts = usize::from(u16::from_le_bytes([header[2], header[3]]));
        let trailer = 2 * restarts + CHECKSUM_LENGTH;
        match bytes.len().checked_sub(trailer) {
            Some(items_end) if items_end >= HEADER_LENGTH && restarts > 0 => {
                Ok(Self { bytes, items_end })
            }
            _ => malformed("the restarts of an index block"),
        }
    }

    /// The bytes, to be kept in a cache.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The last item before `key`, and the first at or after it, within this block.
    pub(crate) fn neighbours(&self, key: &Key) -> Decoded<(Option<Item>, Option<Item>)> {
        let mut at = self.restart_before(key)?;
        let mut before = None;
        while let Some(item) = self.next(&mut at)? {
            if item.key >= *key {
                return Ok((before, Some(item)));
            }
            before = Some(item);
        }
        Ok((before, None))
    }

    /// Where the first item at or after `key` stands, or the end.
    pub(crate) fn position_of(&self, key: &Key) -> Decoded<BlockPosition> {
        let mut at = self.restart_before(key)?;
        loop {
            let here = at;
            match self.next(&mut at)? {
                Some(item) if item.key < *key => {}
                _ => return Ok(here),
            }
        }
    }

    /// Where reading begins at the first item.
    pub(crate) fn start(&self) -> BlockPosition {
        BlockPosition { offset: HEADER_LENGTH, index: 0, previous: Item::default() }
    }

    /// The item at a position, which moves on.
    #[inline]
    pub(crate) fn next(&self, at: &mut BlockPosition) -> Decoded<Option<Item>> {
        if at.offset >= self.items_end {
            return Ok(None);
        }
        if at.index.is_multiple_of(RESTART_INTERVAL) {
            at.previous = Item::default();
        }
        let mut take = Take::new(&self.bytes[at.offset..self.items_end]);
        let item = Item::decode(&at.previous, &mut take)?;
        at.offset = self.items_end - take.remaining();
        at.index += 1;
        at.previous = item;
        Ok(Some(item))
    }

    /// The last restart whose item is before `key`, or the first.
    fn restart_before(&self, key: &Key) -> Decoded<BlockPosition> {
        let offsets = &self.bytes[self.items_end..self.bytes.len() - CHECKSUM_LENGTH];
        let (mut low, mut high) = (0, offsets.len() / 2);
        while high - low > 1 {
            let middle = low.midpoint(high);
            let mut position = self.restart(offsets, middle)?;
            match self.next(&mut position)? {
                Some(item) if item.key < *key => low = middle,
                _ => high = middle,
            }
        }
        self.restart(offsets, low)
    }

    fn restart(&self, offsets: &[u8], restart: usize) -> Decoded<BlockPosition> {
        let offset = u16::from_le_bytes([offsets[2 * restart], offsets[2 * restart + 1]]);
        let offset = usize::from(offset);
        if offset < HEADER_LENGTH || offset >= self.items_end {
            return malformed("a restart within its block");
        }
        let index = restart * RESTART_INTERVAL;
        Ok(BlockPosition { offset, index, previous: Item::default() })
    }
}

/// A place between two items of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockPosition {
    offset: usize,
    index: usize,
    previous: Item,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_of(keys: &[Key]) -> Block {
        let mut builder = BlockBuilder::default();
        for key in keys {
            builder.push(&Item { key: *key, ..Item::default() });
        }
        let bytes = Bytes::copy_from_slice(builder.finish(3, 4096));
        Block::verify(bytes, 3, 4096).expect("just built")
    }

    #[test]
    fn neighbours_of_every_key() {
        for count in [1, 2, 15, 16, 17, 33, 100] {
            let keys: Vec<Key> =
                (0..count).map(|n| Key { a: 1, b: 10 * n + 10, c: 0, seq: 5 }).collect();
            let block = block_of(&keys);
            for probe in 0..=count * 10 + 15 {
                let key = Key { a: 1, b: probe, c: 0, seq: 5 };
                let (before, at) = block.neighbours(&key).expect("sound");
                assert_eq!(before.map(|i| i.key), keys.iter().rfind(|k| **k < key).copied());
                assert_eq!(at.map(|i| i.key), keys.iter().find(|k| **k >= key).copied());
            }
        }
    }

    #[test]
    fn any_flip_is_found() {
        let keys: Vec<Key> = (0..40).map(|n| Key { a: 0, b: n, c: n * n, seq: n }).collect();
        let block = block_of(&keys);
        for at in 0..block.bytes.len() {
            let mut flipped = block.bytes.to_vec();
            flipped[at] ^= 0x80;
            assert!(Block::verify(flipped.into(), 3, 4096).is_err());
        }
        assert!(Block::verify(block.bytes.clone(), 3, 0).is_err(), "another place");
        assert!(Block::verify(block.bytes.clone(), 4, 4096).is_err(), "another file");
    }
}
