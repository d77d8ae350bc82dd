use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use model::{Oid, Tid};

use super::{Reader, Store};
use crate::error::{Error, Result};
use crate::workload::Record;

/// The least that this work costs: records are appended to one file and found through a hash map.
///
/// A record is oid, tid, length of the value (8, 8 and 4 bytes) and the value. There is no
/// checksum, no recovery, no compression, and the index lives in memory only: a bound, no peer.
pub(crate) struct Control {
    path: PathBuf,
    log: File,
    log_length: usize,
    /// By oid, in order of tid: where the value lies in the log.
    revisions: HashMap<Oid, Vec<(Tid, Extent)>>,
    buffer: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Extent {
    offset: usize,
    length: usize,
}

impl Store for Control {
    const DURABILITY: &'static str = "one write and one fdatasync a batch";

    type Reader<'a> = ControlReader<'a>;

    fn open(directory: &Path, _cache_bytes: usize) -> Result<Self> {
        let path = directory.join("log");
        let log = File::options().read(true).append(true).create_new(true).open(&path);
        Ok(Self {
            log: log.map_err(Error::file(&path))?,
            path,
            log_length: 0,
            revisions: HashMap::new(),
            buffer: Vec::new(),
        })
    }

    fn batch(&mut self, records: &[Record<'_>]) -> Result<()> {
        self.buffer.clear();
        for record in records {
            let length = record.value.len();
            let length_field = u32::try_from(length).expect("values have at most 1,024 bytes");
            self.buffer.extend_from_slice(&record.oid.to_be_bytes());
            self.buffer.extend_from_slice(&record.tid.to_be_bytes());
            self.buffer.extend_from_slice(&length_field.to_be_bytes());
            let extent = Extent { offset: self.log_length + self.buffer.len(), length };
            self.buffer.extend_from_slice(record.value);
            self.revisions.entry(record.oid).or_default().push((record.tid, extent));
        }
        self.log.write_all(&self.buffer).map_err(Error::file(&self.path))?;
        self.log.sync_data().map_err(Error::file(&self.path))?;
        self.log_length += self.buffer.len();
        Ok(())
    }

    fn settle(&mut self) -> Result<()> {
        Ok(())
    }

    fn reader(&self) -> Result<Self::Reader<'_>> {
        // SAFETY: nobody changes the file while it is mapped: this process alone has it, and
        // `batch` wants the store for itself.
        let log = unsafe { Mmap::map(&self.log) }.map_err(Error::file(&self.path))?;
        Ok(ControlReader { revisions: &self.revisions, log })
    }

    fn close(self) -> Result<()> {
        Ok(())
    }
}

/// See [`Control`].
pub(crate) struct ControlReader<'a> {
    revisions: &'a HashMap<Oid, Vec<(Tid, Extent)>>,
    log: Mmap,
}

impl Reader for ControlReader<'_> {
    fn at_or_before(&mut self, oid: Oid, tid: Tid, show: impl FnOnce(&[u8])) -> Result<()> {
        let revisions = self.revisions.get(&oid).map_or(&[][..], Vec::as_slice);
        let newer = revisions.partition_point(|(revision, _)| *revision <= tid);
        if let Some((_, extent)) = newer.checked_sub(1).map(|index| revisions[index]) {
            show(&self.log[extent.offset..extent.offset + extent.length]);
        }
        Ok(())
    }
}
