//! Opens a run and searches it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::block::Block;
use super::filter::Filter;
use super::footer::{FOOTER_LENGTH, Footer};
use super::writer::RunSettings;
use crate::disk::{Access, Disk, File};
use crate::error::{Error, Result};
use crate::format::{
    DatabaseId, Decoded, FileHeader, FileKind, HEADER_LENGTH, Item, Key, Location, Malformed,
    RunSummary, malformed,
};
use crate::lookup::{Source, Step, ready};

/// Memory that may still be used to pin filters and index levels.
#[derive(Debug)]
pub(crate) struct PinBudget {
    rest: AtomicU64,
}

impl PinBudget {
    pub(crate) fn new(bytes: u64) -> Self {
        Self { rest: AtomicU64::new(bytes) }
    }

    fn take(&self, bytes: u64) -> bool {
        self.rest
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |rest| rest.checked_sub(bytes))
            .is_ok()
    }

    fn give_back(&self, bytes: u64) {
        self.rest.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// A block that an index names: its first key and its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IndexEntry {
    pub(crate) first: Key,
    pub(crate) offset: u64,
    pub(crate) length: u32,
}

/// A data block, by its place in the index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockRef {
    root: usize,
    leaf: usize,
    pub(crate) entry: IndexEntry,
}

/// The last item before a key, and the first at or after it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Neighbours {
    pub(crate) before: Option<Item>,
    pub(crate) at: Option<Item>,
}

/// The whole lower level of an index, in columns: a search touches few cache lines.
#[derive(Debug)]
struct Leaves {
    /// Each `a`, and where its entries begin.
    partitions: Vec<(u32, usize)>,
    /// `b` of the first keys.
    columns: Vec<u64>,
    entries: Vec<IndexEntry>,
    /// A bit for each data block of the mapped file that was verified.
    checked: Vec<AtomicU64>,
}

impl Leaves {
    fn new(entries: Vec<IndexEntry>) -> Self {
        let mut partitions: Vec<(u32, usize)> = Vec::new();
        for (at, entry) in entries.iter().enumerate() {
            if partitions.last().is_none_or(|(a, _)| *a != entry.first.a) {
                partitions.push((entry.first.a, at));
            }
        }
        let columns = entries.iter().map(|entry| entry.first.b).collect();
        let words = entries.len().div_ceil(64);
        let checked = std::iter::repeat_with(AtomicU64::default).take(words).collect();
        Self { partitions, columns, entries, checked }
    }

    fn last_at_or_before(&self, key: &Key) -> Option<usize> {
        let partition = self.partitions.partition_point(|(a, _)| *a <= key.a).checked_sub(1)?;
        let end = self.partitions.get(partition + 1).map_or(self.columns.len(), |next| next.1);
        let (a, start) = self.partitions[partition];
        if a < key.a {
            return end.checked_sub(1);
        }
        let columns = &self.columns[start..end];
        let after = columns.partition_point(|b| *b <= key.b);
        // Blocks that begin with this very `b` are told apart by the rest of the key.
        let same = columns[..after].iter().rev().take(2).take_while(|b| **b == key.b).count();
        let after = match same {
            0 => after,
            1 if self.entries[start + after - 1].first <= *key => after,
            1 => after - 1,
            _ => {
                let first = columns[..after].partition_point(|b| *b < key.b);
                let entries = &self.entries[start + first..start + after];
                first + entries.partition_point(|entry| entry.first <= *key)
            }
        };
        (start + after).checked_sub(1)
    }
}

/// An open run. The root of its index is in memory; the level below and the filter too, where
/// the budget allows, else they are read like data blocks.
#[derive(Debug)]
pub(crate) struct RunFile {
    pub(crate) summary: RunSummary,
    pub(crate) keys: u64,
    pub(crate) path: String,
    /// The whole file, mapped when a thread first reads it so.
    pub(crate) mapping: OnceLock<Bytes>,
    file: Arc<dyn File>,
    seed: u32,
    footer: Option<Footer>,
    root: Vec<IndexEntry>,
    leaves: Option<Leaves>,
    filter: Option<Filter>,
    budget: Arc<PinBudget>,
    pinned_bytes: u64,
}

impl Drop for RunFile {
    fn drop(&mut self) {
        self.budget.give_back(self.pinned_bytes);
    }
}

impl RunFile {
    /// Opens and checks a run that the manifest names.
    pub(crate) fn open(
        disk: &dyn Disk,
        database: DatabaseId,
        summary: RunSummary,
        budget: &Arc<PinBudget>,
    ) -> Result<Self> {
        let name = RunSettings::name(summary.number);
        let path = disk.path(&name);
        let file = disk.open(&name, Access::Read).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::MissingFile { file: path.clone() },
            _ => Error::io("open", path.clone(), error),
        })?;
        let header = read_exact(&*file, &path, 0, HEADER_LENGTH)?;
        let header = FileHeader::decode(&header, FileKind::Run, &path)?;
        if header.database != database || header.number != summary.number {
            return Err(Error::ForeignFile { file: path });
        }
        let mut run = Self {
            summary,
            keys: 0,
            path,
            mapping: OnceLock::new(),
            file,
            seed: header.seed(),
            footer: None,
            root: Vec::new(),
            leaves: None,
            filter: None,
            budget: Arc::clone(budget),
            pinned_bytes: 0,
        };
        run.load()?;
        Ok(run)
    }

    /// The end of the file, once it is open.
    pub(crate) fn footer(&self) -> Option<&Footer> {
        self.footer.as_ref()
    }

    /// The index blocks, by their first keys.
    pub(crate) fn root(&self) -> &[IndexEntry] {
        &self.root
    }

    pub(crate) fn file(&self) -> &Arc<dyn File> {
        &self.file
    }

    /// Whether the run may hold revisions of an oid.
    #[inline]
    pub(crate) fn may_contain(&self, hash: u64) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.may_contain(hash))
    }

    /// Finds a key. Items of other oids (or, with `whole_partition`, of other partitions) are not
    /// sought in the next block.
    pub(crate) fn neighbours(
        &self,
        key: &Key,
        whole_partition: bool,
        source: &mut dyn Source,
    ) -> Result<Step<Neighbours>> {
        let Some(at) = ready!(self.block_before(key, source)?) else {
            let Some(first) = ready!(self.first_block(source)?) else {
                return Ok(Step::Done(Neighbours::default()));
            };
            let block = ready!(self.block(&first, source)?);
            let found = self.sound(block.neighbours(key), &first)?;
            return Ok(Step::Done(Neighbours { before: None, at: found.1 }));
        };
        let block = ready!(self.block(&at, source)?);
        let (before, found) = self.sound(block.neighbours(key), &at)?;
        if found.is_some() {
            return Ok(Step::Done(Neighbours { before, at: found }));
        }
        let Some(next) = ready!(self.block_after(&at, source)?) else {
            return Ok(Step::Done(Neighbours { before, at: None }));
        };
        let first = &next.entry.first;
        if first.a != key.a || (first.b != key.b && !whole_partition) {
            return Ok(Step::Done(Neighbours { before, at: None }));
        }
        let block = ready!(self.block(&next, source)?);
        let (_, found) = self.sound(block.neighbours(key), &next)?;
        Ok(Step::Done(Neighbours { before, at: found }))
    }

    /// The last data block whose first key is at or before `key`, or `None` if all are after.
    pub(crate) fn block_before(
        &self,
        key: &Key,
        source: &mut dyn Source,
    ) -> Result<Step<Option<BlockRef>>> {
        if let Some(leaves) = &self.leaves {
            let at = leaves.last_at_or_before(key);
            return Ok(Step::Done(at.map(|leaf| {
                let entry = leaves.entries[leaf];
                BlockRef { root: 0, leaf, entry }
            })));
        }
        let Some(at) = last_at_or_before(&self.root, key) else {
            return Ok(Step::Done(None));
        };
        let leaves = ready!(self.leaf_entries(at, source)?);
        let leaf = last_at_or_before(&leaves, key).unwrap_or(0);
        Ok(Step::Done(Some(BlockRef { root: at, leaf, entry: leaves[leaf] })))
    }

    /// The first data block.
    pub(crate) fn first_block(&self, source: &mut dyn Source) -> Result<Step<Option<BlockRef>>> {
        self.resolve(BlockRef { root: 0, leaf: 0, entry: self.root[0] }, source)
    }

    /// The data block behind another.
    pub(crate) fn block_after(
        &self,
        at: &BlockRef,
        source: &mut dyn Source,
    ) -> Result<Step<Option<BlockRef>>> {
        self.resolve(BlockRef { leaf: at.leaf + 1, ..*at }, source)
    }

    /// Reads a data block.
    pub(crate) fn block(&self, at: &BlockRef, source: &mut dyn Source) -> Result<Step<Block>> {
        let ordinal = self.leaves.is_some().then_some(at.leaf);
        source.block(self, at.entry.offset, at.entry.length, ordinal)
    }

    /// Turns a failure to decode a block into an error that says where.
    pub(crate) fn sound<T>(&self, decoded: Decoded<T>, at: &BlockRef) -> Result<T> {
        decoded.map_err(|malformed| self.damaged(at.entry.offset, malformed))
    }

    /// Verifies bytes that were read for a [`crate::lookup::Need`].
    pub(crate) fn verify(&self, bytes: Bytes, offset: u64) -> Result<Block> {
        Block::verify(bytes, self.seed, offset).map_err(|m| self.damaged(offset, m))
    }

    /// Like [`RunFile::verify`], for bytes of the mapped file: a data block whose place in the
    /// index is known is verified when it is first used.
    pub(crate) fn verify_mapped(
        &self,
        bytes: Bytes,
        offset: u64,
        ordinal: Option<usize>,
    ) -> Result<Block> {
        let (Some(leaves), Some(ordinal)) = (&self.leaves, ordinal) else {
            return self.verify(bytes, offset);
        };
        let (word, bit) = (&leaves.checked[ordinal / 64], 1 << (ordinal % 64));
        if word.load(Ordering::Relaxed) & bit != 0 {
            return Block::trusted(bytes).map_err(|m| self.damaged(offset, m));
        }
        let block = self.verify(bytes, offset)?;
        word.fetch_or(bit, Ordering::Relaxed);
        Ok(block)
    }

    fn resolve(&self, at: BlockRef, source: &mut dyn Source) -> Result<Step<Option<BlockRef>>> {
        if let Some(leaves) = &self.leaves {
            let entry = leaves.entries.get(at.leaf);
            return Ok(Step::Done(entry.map(|entry| BlockRef { entry: *entry, ..at })));
        }
        let leaves = ready!(self.leaf_entries(at.root, source)?);
        if let Some(entry) = leaves.get(at.leaf) {
            return Ok(Step::Done(Some(BlockRef { entry: *entry, ..at })));
        }
        if at.root + 1 >= self.root.len() {
            return Ok(Step::Done(None));
        }
        let leaves = ready!(self.leaf_entries(at.root + 1, source)?);
        Ok(Step::Done(Some(BlockRef { root: at.root + 1, leaf: 0, entry: leaves[0] })))
    }

    fn leaf_entries(&self, root: usize, source: &mut dyn Source) -> Result<Step<Vec<IndexEntry>>> {
        let entry = &self.root[root];
        let block = ready!(self.read_block(entry, source)?);
        let entries = self.entries(&block).map_err(|m| self.damaged(entry.offset, m))?;
        Ok(Step::Done(entries))
    }

    fn read_block(&self, entry: &IndexEntry, source: &mut dyn Source) -> Result<Step<Block>> {
        source.block(self, entry.offset, entry.length, None)
    }

    /// What an index block names.
    pub(crate) fn entries(&self, block: &Block) -> Decoded<Vec<IndexEntry>> {
        let mut entries = Vec::new();
        let mut at = block.start();
        while let Some(item) = block.next(&mut at)? {
            let Some(Location { offset, length, .. }) = item.location else {
                return malformed("the location of a block");
            };
            let end = offset.checked_add(u64::from(length));
            if end.is_none_or(|end| end > self.summary.length) {
                return malformed("the location of a block within the file");
            }
            entries.push(IndexEntry { first: item.key, offset, length });
        }
        if entries.is_empty() { malformed("an index block with entries") } else { Ok(entries) }
    }

    fn load(&mut self) -> Result<()> {
        let length = self.file.length().map_err(|e| Error::io("measure", self.path.clone(), e))?;
        if length != self.summary.length || length < (HEADER_LENGTH + FOOTER_LENGTH) as u64 {
            let expected = "a run of the length that the manifest names";
            return Err(self.damaged(length, Malformed { expected }));
        }
        let footer_at = length - FOOTER_LENGTH as u64;
        let footer = read_exact(&*self.file, &self.path, footer_at, FOOTER_LENGTH)?;
        let footer = Footer::decode(&footer, self.seed, self.summary.number, length)
            .map_err(|m| self.damaged(footer_at, m))?;
        if footer.summary != self.summary {
            let expected = "the footer that the manifest names";
            return Err(self.damaged(footer_at, Malformed { expected }));
        }
        self.keys = footer.keys;
        self.load_root(footer.root)?;
        if footer.filter.length > 0 {
            self.load_filter(footer.filter)?;
        }
        self.footer = Some(footer);
        self.load_leaves()
    }

    fn load_root(&mut self, root: Location) -> Result<()> {
        let bytes =
            Bytes::from(read_exact(&*self.file, &self.path, root.offset, root.length as usize)?);
        let mut at = 0;
        while at < bytes.len() {
            let start = at + 4;
            let offset = root.offset + start as u64;
            let block = bytes
                .get(at..start)
                .and_then(|length| length.try_into().ok().map(u32::from_le_bytes))
                .and_then(|length| {
                    let end = start + length as usize;
                    (end <= bytes.len()).then(|| bytes.slice(start..end))
                });
            let Some(block) = block else {
                return Err(self.damaged(offset, Malformed { expected: "a root block" }));
            };
            at = start + block.len();
            let block = self.verify(block, offset)?;
            let entries = self.entries(&block).map_err(|m| self.damaged(offset, m))?;
            self.root.extend(entries);
        }
        if self.root.is_empty() {
            let expected = "a root with entries";
            return Err(self.damaged(root.offset, Malformed { expected }));
        }
        Ok(())
    }

    fn load_filter(&mut self, filter: Location) -> Result<()> {
        if !self.pin(u64::from(filter.length)) {
            return Ok(());
        }
        let mut lines = read_exact(&*self.file, &self.path, filter.offset, filter.length as usize)?;
        let crc = lines.split_off(lines.len().saturating_sub(4));
        if crc32c::crc32c_append(self.seed, &lines).to_le_bytes() != *crc {
            let expected = "the checksum of a filter";
            return Err(self.damaged(filter.offset, Malformed { expected }));
        }
        self.filter = Filter::new(lines);
        Ok(())
    }

    /// Reads the whole lower level of the index if it may be pinned.
    fn load_leaves(&mut self) -> Result<()> {
        let bytes: u64 = self.root.iter().map(|entry| u64::from(entry.length)).sum();
        // A decoded entry takes about three times the bytes that it has on disk.
        if !self.pin(bytes * 3) {
            return Ok(());
        }
        let mut leaves = Vec::new();
        for entry in &self.root {
            let bytes = read_exact(&*self.file, &self.path, entry.offset, entry.length as usize)?;
            let block = self.verify(bytes.into(), entry.offset)?;
            let entries = self.entries(&block).map_err(|m| self.damaged(entry.offset, m))?;
            leaves.extend(entries);
        }
        self.leaves = Some(Leaves::new(leaves));
        Ok(())
    }

    fn pin(&mut self, bytes: u64) -> bool {
        let taken = self.budget.take(bytes);
        if taken {
            self.pinned_bytes += bytes;
        }
        taken
    }

    pub(crate) fn damaged(&self, offset: u64, malformed: Malformed) -> Error {
        Error::Damaged { file: self.path.clone(), offset, expected: malformed.expected }
    }
}

fn last_at_or_before(entries: &[IndexEntry], key: &Key) -> Option<usize> {
    entries.partition_point(|entry| entry.first <= *key).checked_sub(1)
}

/// Reads bytes that must be there.
pub(crate) fn read_exact(
    file: &dyn File,
    path: &str,
    offset: u64,
    length: usize,
) -> Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let count = file
        .read_at(&mut bytes, offset)
        .map_err(|error| Error::read(path.to_owned(), offset, error))?;
    if count < length {
        return Err(Error::Damaged {
            file: path.to_owned(),
            offset: offset + count as u64,
            expected: "more bytes than the file has",
        });
    }
    Ok(bytes)
}
