//! Blocks of rows: items one after the other, each as differences to the one before, with
//! restarts to search by. Compact, and made to be walked through.

use crate::format::{Decoded, Item, Key, Take, malformed};

/// Items between two restarts.
const RESTART_INTERVAL: usize = 16;
const HEADER_LENGTH: usize = 4;

/// Collects items, in order, into a block.
#[derive(Debug, Default)]
pub(super) struct RowsBuilder {
    bytes: Vec<u8>,
    restarts: Vec<u16>,
    count: usize,
    previous: Item,
}

impl RowsBuilder {
    pub(super) fn push(&mut self, item: &Item) {
        if self.count == 0 {
            self.bytes.clear();
            self.bytes.resize(HEADER_LENGTH, 0);
            self.restarts.clear();
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
    pub(super) fn length(&self) -> usize {
        self.bytes.len() + 2 * self.restarts.len()
    }

    /// The block without its checksum. The next begins.
    pub(super) fn finish(&mut self) -> &mut Vec<u8> {
        let count = u16::try_from(self.count).expect("blocks are far below 64 Ki items");
        let restarts = u16::try_from(self.restarts.len()).expect("fewer than items");
        self.bytes[..2].copy_from_slice(&count.to_le_bytes());
        self.bytes[2..4].copy_from_slice(&restarts.to_le_bytes());
        for restart in &self.restarts {
            self.bytes.extend_from_slice(&restart.to_le_bytes());
        }
        self.count = 0;
        &mut self.bytes
    }
}

/// The rows of a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows {
    items_end: usize,
    restarts_end: usize,
}

impl Rows {
    /// Of a block whose content ends at `end`.
    pub(super) fn of(bytes: &[u8], end: usize) -> Decoded<Self> {
        let restarts = match bytes.first_chunk::<HEADER_LENGTH>() {
            Some(header) => usize::from(u16::from_le_bytes([header[2], header[3]])),
            None => return malformed("an index block"),
        };
        match end.checked_sub(2 * restarts) {
            Some(items_end) if items_end >= HEADER_LENGTH && restarts > 0 => {
                Ok(Self { items_end, restarts_end: end })
            }
            _ => malformed("the restarts of an index block"),
        }
    }

    /// The last item before `key`, and the first at or after it, within this block.
    pub(super) fn neighbours(
        &self,
        bytes: &[u8],
        key: &Key,
    ) -> Decoded<(Option<Item>, Option<Item>)> {
        let mut at = self.restart_before(bytes, key)?;
        let mut before = None;
        while let Some(item) = self.next(bytes, &mut at)? {
            if item.key >= *key {
                return Ok((before, Some(item)));
            }
            before = Some(item);
        }
        Ok((before, None))
    }

    /// Where the first item at or after `key` stands, or the end.
    pub(super) fn position_of(&self, bytes: &[u8], key: &Key) -> Decoded<RowPosition> {
        let mut at = self.restart_before(bytes, key)?;
        loop {
            let here = at;
            match self.next(bytes, &mut at)? {
                Some(item) if item.key < *key => {}
                _ => return Ok(here),
            }
        }
    }

    /// Where reading begins at the first item.
    pub(super) fn start() -> RowPosition {
        RowPosition { offset: HEADER_LENGTH, index: 0, previous: Item::default() }
    }

    /// The item at a position, which moves on.
    #[inline]
    pub(super) fn next(&self, bytes: &[u8], at: &mut RowPosition) -> Decoded<Option<Item>> {
        if at.offset >= self.items_end {
            return Ok(None);
        }
        if at.index.is_multiple_of(RESTART_INTERVAL) {
            at.previous = Item::default();
        }
        let mut take = Take::new(&bytes[at.offset..self.items_end]);
        let item = Item::decode(&at.previous, &mut take)?;
        at.offset = self.items_end - take.remaining();
        at.index += 1;
        at.previous = item;
        Ok(Some(item))
    }

    /// The last restart whose item is before `key`, or the first.
    fn restart_before(&self, bytes: &[u8], key: &Key) -> Decoded<RowPosition> {
        let offsets = &bytes[self.items_end..self.restarts_end];
        let (mut low, mut high) = (0, offsets.len() / 2);
        while high - low > 1 {
            let middle = low.midpoint(high);
            let mut position = self.restart(offsets, middle)?;
            match self.next(bytes, &mut position)? {
                Some(item) if item.key < *key => low = middle,
                _ => high = middle,
            }
        }
        self.restart(offsets, low)
    }

    fn restart(&self, offsets: &[u8], restart: usize) -> Decoded<RowPosition> {
        let offset = u16::from_le_bytes([offsets[2 * restart], offsets[2 * restart + 1]]);
        let offset = usize::from(offset);
        if offset < HEADER_LENGTH || offset >= self.items_end {
            return malformed("a restart within its block");
        }
        let index = restart * RESTART_INTERVAL;
        Ok(RowPosition { offset, index, previous: Item::default() })
    }
}

/// A place between two items of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowPosition {
    offset: usize,
    index: usize,
    previous: Item,
}
