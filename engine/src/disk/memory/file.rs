//! An open file of the disk in memory.

use std::fmt;
use std::io;
use std::os::fd::RawFd;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;

use super::lock;
use super::names::FileId;
use super::state::State;
use crate::disk::{Access, File, Mapping};

/// A handle on a file: it keeps the file when its name is removed.
pub(super) struct MemoryFile {
    state: Arc<Mutex<State>>,
    id: FileId,
    access: Access,
}

impl MemoryFile {
    /// Takes over one use of the file, counted by the state.
    pub(super) fn new(state: Arc<Mutex<State>>, id: FileId, access: Access) -> Self {
        Self { state, id, access }
    }

    /// Which file, if it is one of this disk.
    pub(super) fn id_on(&self, state: &Arc<Mutex<State>>) -> Option<FileId> {
        Arc::ptr_eq(&self.state, state).then_some(self.id)
    }

    /// EBADF where the file was opened to be read.
    pub(super) fn check_writable(&self) -> io::Result<()> {
        match self.access {
            Access::ReadWrite | Access::CreateNew => Ok(()),
            Access::Read => Err(io::Error::from_raw_os_error(libc::EBADF)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl File for MemoryFile {
    fn length(&self) -> io::Result<u64> {
        self.lock().length(self.id)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.lock();
        let data = state.read(self.id, offset, buffer.len())?;
        buffer[..data.len()].copy_from_slice(data);
        Ok(data.len())
    }

    fn read_resident(&self, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        if !self.lock().is_resident(self.id)? {
            return Ok(None);
        }
        self.read_at(buffer, offset).map(Some)
    }

    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<usize> {
        self.check_writable()?;
        let data = Bytes::copy_from_slice(data);
        self.lock().write(self.id, offset, data)
    }

    fn sync(&self) -> io::Result<()> {
        self.lock().sync(self.id)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        // What ftruncate says.
        self.check_writable().map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
        self.lock().set_length(self.id, length)
    }

    fn map(&self, length: usize) -> io::Result<Mapping> {
        Ok(Mapping::Bytes(self.lock().map(self.id, length)?))
    }

    fn drop_cache(&self) -> io::Result<()> {
        self.lock().drop_cache(self.id)
    }

    fn cached_pages(&self) -> io::Result<(u64, u64)> {
        self.lock().cached_pages(self.id)
    }

    fn descriptor(&self) -> Option<RawFd> {
        None
    }
}

impl fmt::Debug for MemoryFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryFile")
            .field("id", &self.id)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

impl Drop for MemoryFile {
    fn drop(&mut self) {
        self.lock().release(self.id);
    }
}
