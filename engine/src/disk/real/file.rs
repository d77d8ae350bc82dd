//! An open file of a real directory.

#![expect(
    clippy::disallowed_methods,
    reason = "a delay for measuring is a time to wait and nothing else"
)]

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::Duration;

use super::map::Map;
use super::system;
use super::unsynced::Unsynced;
use crate::disk::{File, Mapping};

/// What [`File::cached_pages`] counts in.
const PAGE_LENGTH: u64 = 4096;

/// A descriptor, and by how much its syncs are delayed.
#[derive(Debug)]
pub(super) struct RealFile {
    file: fs::File,
    delay: Duration,
    pub(super) unsynced: Unsynced,
    /// The file system syncs writes that ask for it.
    pub(super) syncs_with_writes: bool,
}

impl RealFile {
    pub(super) fn new(file: fs::File, delay: Duration) -> Self {
        let syncs_with_writes = system::syncs_with_writes(file.as_fd());
        Self { file, delay, unsynced: Unsynced::unknown(), syncs_with_writes }
    }
}

impl File for RealFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        read_all(buffer, offset, |rest, offset| self.file.read_at(rest, offset))
    }

    fn read_resident(&self, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        let read = |rest: &mut [u8], offset| system::read_resident(self.file.as_fd(), rest, offset);
        match read_all(buffer, offset, read) {
            Ok(length) => Ok(Some(length)),
            Err(error) => match error.raw_os_error() {
                // Not resident, or a file system or kernel that cannot tell: ask the slow way.
                Some(libc::EAGAIN | libc::EOPNOTSUPP | libc::ENOSYS) => Ok(None),
                _ => Err(error),
            },
        }
    }

    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<usize> {
        loop {
            match self.file.write_at(data, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => {
                    self.unsynced.written();
                    return result;
                }
            }
        }
    }

    fn sync(&self) -> io::Result<()> {
        let covered = self.unsynced.begin_sync();
        self.file.sync_data()?;
        self.unsynced.synced(covered);
        thread::sleep(self.delay);
        Ok(())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let result = self.file.set_len(length);
        self.unsynced.written();
        result
    }

    fn map(&self, length: usize) -> io::Result<Mapping> {
        Ok(Mapping::Memory(Map::new(&self.file, length)?))
    }

    /// Pages that are mapped somewhere stay.
    fn drop_cache(&self) -> io::Result<()> {
        // Only clean pages are dropped.
        self.file.sync_data()?;
        system::drop_pages(self.file.as_fd())
    }

    fn cached_pages(&self) -> io::Result<(u64, u64)> {
        let length = self.file.metadata()?.len();
        let total = length.div_ceil(PAGE_LENGTH);
        if total == 0 {
            return Ok((0, 0));
        }
        // SAFETY: nothing reads this mapping: it is only asked which of its pages are resident.
        let map = unsafe { memmap2::Mmap::map(&self.file)? };
        let page_length = u64::try_from(system::page_length()).expect("usize fits");
        let resident = system::resident_pages(&map)? * page_length.div_ceil(PAGE_LENGTH);
        // The last page of the system may be longer than what the file has of it.
        Ok((resident.min(total), total))
    }

    fn descriptor(&self) -> Option<RawFd> {
        Some(self.file.as_raw_fd())
    }
}

/// Reads until the buffer is full or the file ends, whatever signals and file systems cut short.
fn read_all(
    buffer: &mut [u8],
    offset: u64,
    mut read: impl FnMut(&mut [u8], u64) -> io::Result<usize>,
) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        let position = offset.saturating_add(u64::try_from(filled).expect("usize fits"));
        match read(&mut buffer[filled..], position) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
