//! Writes a run, item by item, in bounded memory.

use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3Default;

use super::block::{BlockBuilder, Layout};
use super::filter::{FilterBuilder, filter_hash};
use crate::disk::{Access, Disk, File};
use crate::error::{Error, Result};
use crate::format::{
    DatabaseId, FileHeader, FileKind, HEADER_LENGTH, Item, Key, Location, Order, Put, RunSummary,
};

/// Bytes that are collected before they are written and synced: background writes go out in
/// pieces that do not hold up the log's own syncs for long.
const PIECE_LENGTH: usize = 1 << 20;

/// What a run is made of and for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunSettings {
    pub(crate) database: DatabaseId,
    pub(crate) number: u32,
    pub(crate) epoch: u32,
    pub(crate) order: Order,
    pub(crate) level: u8,
    /// At most so many different (partition, oid), for the filter.
    pub(crate) keys_max: u64,
    pub(crate) block_length: usize,
}

impl RunSettings {
    pub(crate) fn name(number: u32) -> String {
        format!("run-{number:08x}")
    }
}

/// Of the bytes so far.
#[derive(Default)]
struct FileHash(Box<Xxh3Default>);

impl std::fmt::Debug for FileHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0.digest())
    }
}

/// A run being written. Items must come in order; nothing refers to the file before
/// [`RunWriter::finish`], so that an error or a crash leaves a file that is removed later.
#[derive(Debug)]
pub(crate) struct RunWriter {
    settings: RunSettings,
    seed: u32,
    name: String,
    path: String,
    file: Arc<dyn File>,
    buffer: Vec<u8>,
    written: u64,
    hash: FileHash,
    data: BlockBuilder,
    index: BlockBuilder,
    root: BlockBuilder,
    root_entries: Vec<Item>,
    filter: Option<FilterBuilder>,
    last: Option<Key>,
    keys: u64,
    summary: RunSummary,
}

impl RunWriter {
    pub(crate) fn create(disk: &dyn Disk, settings: RunSettings) -> Result<Self> {
        let name = RunSettings::name(settings.number);
        let path = disk.path(&name);
        let file = disk
            .open(&name, Access::CreateNew)
            .map_err(|e| Error::io("create", path.clone(), e))?;
        let header = FileHeader {
            kind: FileKind::Run,
            database: settings.database,
            number: settings.number,
            epoch: settings.epoch,
        };
        let filter =
            (settings.order == Order::Objects).then(|| FilterBuilder::new(settings.keys_max));
        // Objects are looked up one by one; the other orders are mostly walked through.
        let layout = match settings.order {
            Order::Objects => Layout::Columns,
            Order::ByTid | Order::Transactions => Layout::Rows,
        };
        let mut writer = Self {
            settings,
            seed: header.seed(),
            name,
            path,
            file,
            buffer: Vec::with_capacity(PIECE_LENGTH + (64 << 10)),
            written: 0,
            hash: FileHash::default(),
            data: BlockBuilder::new(layout),
            index: BlockBuilder::new(Layout::Rows),
            root: BlockBuilder::new(Layout::Rows),
            root_entries: Vec::new(),
            filter,
            last: None,
            keys: 0,
            summary: RunSummary {
                number: settings.number,
                order: settings.order,
                level: settings.level,
                items: 0,
                tombstones: 0,
                length: 0,
                tid_min: u64::MAX,
                tid_max: 0,
                seq_min: u64::MAX,
                seq_max: 0,
            },
        };
        writer.append(&header.encode());
        Ok(writer)
    }

    pub(crate) fn push(&mut self, item: &Item) -> Result<()> {
        let key = item.key;
        assert!(self.last.is_none_or(|last| last < key), "items of a run come in order");
        if let Some(filter) = &mut self.filter
            && self.last.is_none_or(|last| (last.a, last.b) != (key.a, key.b))
        {
            filter.insert(filter_hash(key.a, key.b));
            self.keys += 1;
        }
        self.last = Some(key);
        let tid = match self.settings.order {
            Order::Objects => !key.c,
            Order::ByTid | Order::Transactions => key.b,
        };
        let summary = &mut self.summary;
        summary.items += 1;
        summary.tombstones += u64::from(item.flags.is_tombstone());
        summary.tid_min = summary.tid_min.min(tid);
        summary.tid_max = summary.tid_max.max(tid);
        summary.seq_min = summary.seq_min.min(key.seq);
        summary.seq_max = summary.seq_max.max(key.seq);
        if !self.data.accepts(item) {
            self.end_data_block();
        }
        self.data.push(item);
        if self.data.length() >= self.settings.block_length {
            self.end_data_block();
            if self.buffer.len() >= PIECE_LENGTH {
                self.write_piece()?;
            }
        }
        Ok(())
    }

    /// Ends the file and makes it durable (its name too needs a sync of the directory). `None` and
    /// no file if there was no item.
    pub(crate) fn finish(mut self, disk: &dyn Disk) -> Result<Option<RunSummary>> {
        if self.summary.items == 0 {
            let path = self.path;
            disk.remove(&self.name).map_err(|e| Error::io("remove", path, e))?;
            return Ok(None);
        }
        self.end_data_block();
        self.end_index_block();
        let root = self.write_root();
        let filter = self.write_filter();
        self.write_footer(root, filter);
        self.write_piece()?;
        self.summary.length = self.written;
        Ok(Some(self.summary))
    }

    fn end_data_block(&mut self) {
        let Some(first) = self.data.first() else { return };
        let offset = self.position();
        let bytes = self.data.finish(self.seed, offset);
        let location = location(offset, bytes.len());
        append(&mut self.buffer, &mut self.hash.0, bytes);
        self.index.push(&Item { key: first, location: Some(location), ..Item::default() });
        if self.index.length() >= self.settings.block_length {
            self.end_index_block();
        }
    }

    fn end_index_block(&mut self) {
        let Some(first) = self.index.first() else { return };
        let offset = self.position();
        let bytes = self.index.finish(self.seed, offset);
        let location = location(offset, bytes.len());
        append(&mut self.buffer, &mut self.hash.0, bytes);
        self.root_entries.push(Item { key: first, location: Some(location), ..Item::default() });
    }

    /// The root is a sequence of blocks, so that none outgrows the 64 KiB of its offsets.
    fn write_root(&mut self) -> Location {
        let start = self.position();
        for entry in std::mem::take(&mut self.root_entries) {
            self.root.push(&entry);
            if self.root.length() >= self.settings.block_length {
                self.end_root_block();
            }
        }
        self.end_root_block();
        location(start, usize::try_from(self.position() - start).expect("fits in memory"))
    }

    fn end_root_block(&mut self) {
        if self.root.is_empty() {
            return;
        }
        let offset = self.position();
        let prefix_length = 4;
        let bytes = self.root.finish(self.seed, offset + prefix_length);
        let length = u32::try_from(bytes.len()).expect("blocks are far below 64 KiB");
        append(&mut self.buffer, &mut self.hash.0, &length.to_le_bytes());
        append(&mut self.buffer, &mut self.hash.0, bytes);
    }

    fn write_filter(&mut self) -> Location {
        let Some(filter) = self.filter.take() else { return Location::default() };
        let offset = self.position();
        let lines = filter.into_lines();
        let crc = crc32c::crc32c_append(self.seed, &lines);
        self.append(&lines);
        self.append(&crc.to_le_bytes());
        location(offset, lines.len() + 4)
    }

    fn write_footer(&mut self, root: Location, filter: Location) {
        let mut footer = Vec::with_capacity(super::footer::FOOTER_LENGTH);
        footer.put_u32(self.settings.order as u32);
        footer.put_u32(root.length);
        footer.put_u64(root.offset);
        footer.put_u64(filter.offset);
        footer.put_u32(filter.length);
        footer.put_u32(u32::from(self.summary.level));
        let summary = &self.summary;
        for number in [
            summary.items,
            summary.tombstones,
            summary.tid_min,
            summary.tid_max,
            summary.seq_min,
            summary.seq_max,
            self.keys,
            self.hash.0.digest(),
        ] {
            footer.put_u64(number);
        }
        footer.resize(super::footer::FOOTER_LENGTH - 4, 0);
        let crc = crc32c::crc32c_append(self.seed, &footer);
        footer.put_u32(crc);
        self.append(&footer);
    }

    fn position(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    fn append(&mut self, bytes: &[u8]) {
        append(&mut self.buffer, &mut self.hash.0, bytes);
    }

    fn write_piece(&mut self) -> Result<()> {
        let mut rest = self.buffer.as_slice();
        while !rest.is_empty() {
            let count = self
                .file
                .write_at(rest, self.written)
                .map_err(|e| Error::io("write", self.path.clone(), e))?;
            self.written += count as u64;
            rest = &rest[count..];
        }
        self.buffer.clear();
        self.file.sync().map_err(|e| Error::sync(self.path.clone(), e))
    }
}

fn append(buffer: &mut Vec<u8>, hash: &mut Xxh3Default, bytes: &[u8]) {
    hash.update(bytes);
    buffer.extend_from_slice(bytes);
}

fn location(offset: u64, length: usize) -> Location {
    let length = u32::try_from(length).expect("parts of a run are below 4 GiB");
    Location { file: 0, offset, length }
}

const _: () = assert!(HEADER_LENGTH == 64, "runs begin with the header of every file");
