//! What a file holds, what of it is durable, and what a power cut leaves of it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use bytes::Bytes;
use model::Random;

/// Bytes that are written in one piece or not at all.
const SECTOR_LENGTH: usize = 512;

/// Bytes of a block, in which space is counted.
pub(super) const BLOCK_LENGTH: usize = 4096;

/// Shares of sectors that a power cut takes, one drawn for each file.
const LOSSES_PERMILLE: [u64; 4] = [50, 500, 950, 1000];

/// Content with its unsynced changes, each with what it replaced.
///
/// Undoing all changes, last first, and putting the sectors of `lost` in place gives the durable
/// content: so that a sync has nothing to do but to forget them.
///
/// Invariant: no change since the last sync is in a sector of `lost`.
#[derive(Clone, Default, Debug)]
pub(super) struct Contents {
    bytes: Vec<u8>,
    changes: Vec<Change>,
    /// Durable content of sectors that a failed sync has dropped, by number; zeros stand for what
    /// is behind the durable end.
    lost: BTreeMap<usize, Vec<u8>>,
    /// Which blocks are allocated.
    blocks: Vec<bool>,
    /// The content as it was mapped last, until it changes.
    mapped: Option<Bytes>,
}

/// A write, or a change of length, for which `data` is empty.
#[derive(Clone, Debug)]
struct Change {
    offset: usize,
    data: Bytes,
    /// Of the file, afterwards.
    length: usize,
    /// What was at `offset` before and is not any more.
    old_data: Vec<u8>,
    /// Of the file, before.
    old_length: usize,
}

impl Contents {
    /// Content that is durable.
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        let blocks = vec![true; bytes.len().div_ceil(BLOCK_LENGTH)];
        Self { bytes, blocks, ..Self::default() }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The part of a range that is within the file.
    pub(super) fn read(&self, offset: u64, length: usize) -> &[u8] {
        let begin = usize::try_from(offset).unwrap_or(usize::MAX);
        let begin = begin.min(self.bytes.len());
        let end = begin.saturating_add(length).min(self.bytes.len());
        &self.bytes[begin..end]
    }

    /// The content, shared with whoever asked before.
    pub(super) fn map(&mut self) -> Bytes {
        let bytes = &self.bytes;
        let mapped = self.mapped.get_or_insert_with(|| Bytes::copy_from_slice(bytes));
        mapped.clone()
    }

    pub(super) fn write(&mut self, offset: usize, data: Bytes) {
        if data.is_empty() {
            return;
        }
        let (old_length, end) = (self.bytes.len(), offset + data.len());
        self.dirty_lost(offset / SECTOR_LENGTH..end.div_ceil(SECTOR_LENGTH));
        let old_data = self.bytes[offset.min(old_length)..end.min(old_length)].to_vec();
        if end > old_length {
            self.bytes.resize(end, 0);
        }
        self.bytes[offset..end].copy_from_slice(&data);
        if self.blocks.len() < end.div_ceil(BLOCK_LENGTH) {
            self.blocks.resize(end.div_ceil(BLOCK_LENGTH), false);
        }
        self.blocks[offset / BLOCK_LENGTH..end.div_ceil(BLOCK_LENGTH)].fill(true);
        let length = self.bytes.len();
        self.push(Change { offset, data, length, old_data, old_length });
    }

    pub(super) fn set_length(&mut self, length: usize) {
        let old_length = self.bytes.len();
        if length == old_length {
            return;
        }
        self.dirty_lost(length / SECTOR_LENGTH..usize::MAX);
        let offset = length.min(old_length);
        let old_data = self.bytes[offset..].to_vec();
        self.bytes.resize(length, 0);
        self.blocks.truncate(length.div_ceil(BLOCK_LENGTH));
        self.push(Change { offset, data: Bytes::new(), length, old_data, old_length });
    }

    fn push(&mut self, change: Change) {
        self.mapped = None;
        self.changes.push(change);
    }

    /// Sectors that a failed sync dropped become dirty again as a whole when they are written to.
    fn dirty_lost(&mut self, sectors: Range<usize>) {
        if self.lost.is_empty() {
            return;
        }
        let numbers: Vec<usize> = self.lost.range(sectors).map(|(number, _)| *number).collect();
        for number in numbers {
            let old_data = self.lost.remove(&number).expect("it was listed");
            self.dirty(number, old_data);
        }
    }

    /// Notes that a sector has changed from `old_data` to what it holds now.
    fn dirty(&mut self, number: usize, old_data: Vec<u8>) {
        let (offset, length) = (number * SECTOR_LENGTH, self.bytes.len());
        let data = Bytes::copy_from_slice(&self.bytes[sector(number, length)]);
        self.push(Change { offset, data, length, old_data, old_length: length });
    }

    /// Makes everything durable that can still become so.
    pub(super) fn sync(&mut self) {
        self.changes.clear();
    }

    /// Drops some of what was to become durable.
    pub(super) fn fail_sync(&mut self, random: &mut Random) {
        let durable = self.durable();
        let length = self.bytes.len();
        let changes = std::mem::take(&mut self.changes);
        let mut dirty = BTreeSet::new();
        for change in &changes {
            let end = (change.offset + change.data.len()).min(length);
            dirty.extend(change.offset / SECTOR_LENGTH..end.div_ceil(SECTOR_LENGTH));
        }
        if durable.len() != length {
            // Lengths are the file system's own business: it keeps them until it has stored them.
            let offset = length.min(durable.len());
            let (old_data, old_length) = (durable[offset..].to_vec(), durable.len());
            self.push(Change { offset, data: Bytes::new(), length, old_data, old_length });
        }
        for number in dirty {
            let within = sector(number, length);
            let mut old_data = durable.get(within.start..).unwrap_or_default().to_vec();
            old_data.resize(within.len(), 0);
            if random.chance(1, 2) {
                self.lost.insert(number, old_data);
            } else {
                self.dirty(number, old_data);
            }
        }
    }

    /// What a power cut leaves if it takes all that it can.
    pub(super) fn durable(&self) -> Vec<u8> {
        let mut image = self.bytes.clone();
        for change in self.changes.iter().rev() {
            image.resize(change.old_length, 0);
            let end = change.offset + change.old_data.len();
            image[change.offset.min(change.old_length)..end.min(change.old_length)]
                .copy_from_slice(&change.old_data);
        }
        for (number, data) in &self.lost {
            // The file may be shorter when its changes are undone, or longer since it was dropped.
            let within = sector(*number, image.len());
            let length = within.len().min(data.len());
            image[within.start..within.start + length].copy_from_slice(&data[..length]);
        }
        image
    }

    /// What a power cut leaves.
    pub(super) fn crash(&self, random: &mut Random) -> Vec<u8> {
        let mut image = self.durable();
        if self.changes.is_empty() {
            return image;
        }
        if random.chance(1, 4) {
            let kept = random.index(self.changes.len() + 1);
            for change in &self.changes[..kept] {
                image.resize(change.length, 0);
                let end = change.offset + change.data.len();
                image[change.offset.min(end)..end].copy_from_slice(&change.data);
            }
        } else {
            self.scatter(&mut image, random);
        }
        image
    }

    /// Applies to the durable content what a power cut leaves of the changes when it takes sectors
    /// here and there.
    fn scatter(&self, image: &mut Vec<u8>, random: &mut Random) {
        let loss_permille = LOSSES_PERMILLE[random.index(LOSSES_PERMILLE.len())];
        let resizes = self.changes.iter().filter(|change| change.is_resize());
        let mut resizes_kept = random.index(resizes.count() + 1);
        let mut length = image.len();
        let mut length_is_final = false;
        let mut end_max = usize::MAX;
        let mut stale = BTreeSet::new();
        for change in &self.changes {
            let is_cut = change.length < change.old_length;
            if change.is_resize() && resizes_kept > 0 {
                resizes_kept -= 1;
                length = change.length;
                if is_cut {
                    image.truncate(length);
                }
            } else if change.is_resize() {
                if is_cut {
                    // The sector with the cut in it is as it was, too: what it held afterwards
                    // has zeros in it that came with the cut.
                    end_max = end_max.min(change.length / SECTOR_LENGTH * SECTOR_LENGTH);
                } else if !length_is_final && random.chance(1, 2) {
                    length += random.index(change.length - length + 1);
                }
                length_is_final = true;
            }
            for (within, data) in change.sectors() {
                let number = within.start / SECTOR_LENGTH;
                if stale.contains(&number) {
                    continue;
                }
                if within.end > end_max || random.chance(loss_permille, 1000) {
                    stale.insert(number);
                    continue;
                }
                if image.len() < within.end {
                    image.resize(within.end, 0);
                }
                image[within].copy_from_slice(data);
            }
        }
        image.resize(length, 0);
    }

    pub(super) fn allocated_blocks(&self) -> usize {
        self.blocks.iter().filter(|is_allocated| **is_allocated).count()
    }

    /// The same blocks for an image of the file; what is longer now is allocated.
    pub(super) fn image(&self, bytes: Vec<u8>) -> Self {
        let mut blocks = self.blocks.clone();
        if bytes.len() > self.bytes.len() {
            blocks.resize(bytes.len().div_ceil(BLOCK_LENGTH), true);
        }
        blocks.truncate(bytes.len().div_ceil(BLOCK_LENGTH));
        Self { bytes, blocks, ..Self::default() }
    }

    /// How many bytes of a write fit when so many blocks are free.
    pub(super) fn fitting(&self, offset: usize, length: usize, free_blocks: usize) -> usize {
        let end = offset + length;
        let mut free = free_blocks;
        for block in offset / BLOCK_LENGTH..end.div_ceil(BLOCK_LENGTH) {
            if self.blocks.get(block) == Some(&true) {
                continue;
            }
            if free == 0 {
                return (block * BLOCK_LENGTH).saturating_sub(offset);
            }
            free -= 1;
        }
        length
    }

    pub(super) fn flip(&mut self, offset: usize, mask: u8) {
        self.bytes[offset] ^= mask;
        self.mapped = None;
    }
}

impl Change {
    fn is_resize(&self) -> bool {
        self.length != self.old_length
    }

    /// The data, cut at the boundaries of sectors, and where each piece goes.
    fn sectors(&self) -> impl Iterator<Item = (Range<usize>, &[u8])> {
        let mut begin = self.offset;
        let mut rest: &[u8] = &self.data;
        std::iter::from_fn(move || {
            let room = SECTOR_LENGTH - begin % SECTOR_LENGTH;
            let (piece, others) = rest.split_at(room.min(rest.len()));
            let within = begin..begin + piece.len();
            (begin, rest) = (within.end, others);
            (!piece.is_empty()).then_some((within, piece))
        })
    }
}

/// Where a sector is in a file of some length: shorter at its end, empty behind it.
fn sector(number: usize, file_length: usize) -> Range<usize> {
    let begin = (number * SECTOR_LENGTH).min(file_length);
    begin..(begin + SECTOR_LENGTH).min(file_length)
}
