//! Files, as the engine sees them: one small trait with three implementations.
//!
//! [`Disk`] is a directory, [`File`] an open file in it, [`Queue`] asynchronous I/O on its files
//! with completions that are polled. Sequences of writes are ordered by their caller: a queue may
//! carry out its requests in any order.
//!
//! What all implementations promise: a write that completed is seen by every later read; it
//! survives a crash once a later [`File::sync`] (or [`Request::Write`] with [`Sync::Data`]) by the
//! same [`File`] completed; a created, renamed or removed name survives a crash once a later
//! [`Disk::sync_directory`] completed. Nothing else survives for sure. A write may be short.

pub mod memory;
pub mod real;

use std::any::Any;
use std::fmt;
use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;

use bytes::Bytes;

pub use self::memory::{Fault, Faults, MemoryDisk};
pub use self::real::{Backend, Directory, DirectoryOptions, OpenError, OpenMode};

/// How a file is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// An existing file, to be read.
    Read,
    /// An existing file, to be read and written.
    ReadWrite,
    /// A file that does not exist yet, to be read and written.
    CreateNew,
}

/// A directory that holds one database, and nothing below it.
pub trait Disk: Send + std::marker::Sync + fmt::Debug {
    /// Names of the plain files in the directory, in order of name.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Opens or creates a file.
    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn File>>;
    /// Removes a file. Who has it open can still use it.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Gives a file another name, replacing what had that name.
    fn rename(&self, source: &str, target: &str) -> io::Result<()>;
    /// Makes creations, renames and removals durable.
    fn sync_directory(&self) -> io::Result<()>;
    /// Bytes that can still be allocated.
    fn free_bytes(&self) -> io::Result<u64>;
    /// A queue of its own for the calling thread.
    fn queue(&self) -> io::Result<Box<dyn Queue>>;
    /// What to call a file in messages: its path.
    fn path(&self, name: &str) -> String;
}

/// An open file.
pub trait File: Any + Send + std::marker::Sync + fmt::Debug {
    /// Its length in bytes.
    fn length(&self) -> io::Result<u64>;
    /// Reads at an offset; fewer bytes than asked only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Like [`File::read_at`], but `None` where the device would have to be waited for.
    fn read_resident(&self, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>>;
    /// Writes at an offset, perhaps fewer bytes than given.
    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<usize>;
    /// Makes data and length durable (fdatasync). After an error the data may be lost whatever a
    /// later call says: the caller has to give up.
    fn sync(&self) -> io::Result<()>;
    /// Cuts or extends (with zeros) the file.
    fn set_length(&self, length: u64) -> io::Result<()>;
    /// A view of the first `length` bytes. Only for files that never change again: what is read
    /// from a mapping of a file that is cut later ends the process.
    fn map(&self, length: usize) -> io::Result<Mapping>;
    /// Asks the system to drop its cached pages of the file.
    fn drop_cache(&self) -> io::Result<()>;
    /// How many of the file's pages (4 KiB) the system has cached, and how many there are.
    fn cached_pages(&self) -> io::Result<(u64, u64)>;
    /// The descriptor, where there is one; open as long as this is.
    fn descriptor(&self) -> Option<RawFd>;
}

/// A read-only view of a sealed file's bytes.
pub enum Mapping {
    /// Mapped memory of a real file.
    Memory(real::Map),
    /// Bytes of the in-memory disk.
    Bytes(Bytes),
}

impl Mapping {
    /// The view as shared bytes, which keep it alive.
    pub fn into_bytes(self) -> Bytes {
        match self {
            Mapping::Memory(map) => Bytes::from_owner(map),
            Mapping::Bytes(bytes) => bytes,
        }
    }
}

impl std::ops::Deref for Mapping {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Mapping::Memory(map) => map,
            Mapping::Bytes(bytes) => bytes,
        }
    }
}

/// Whether a write is followed by a sync of its file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sync {
    /// Only written.
    None,
    /// Data and length are durable when the completion arrives. Not so if the write was short.
    Data,
}

/// Something for a [`Queue`] to do.
#[derive(Clone, Debug)]
pub enum Request {
    /// Write the buffers one after the other, as one vectored write.
    Write {
        /// Where to.
        file: Arc<dyn File>,
        /// Of the first byte.
        offset: u64,
        /// What.
        data: Vec<Bytes>,
        /// Whether a sync follows, if all was written.
        sync: Sync,
    },
    /// Sync a file.
    Sync {
        /// Which.
        file: Arc<dyn File>,
    },
    /// Read; a shorter result means the end of the file.
    Read {
        /// Where from.
        file: Arc<dyn File>,
        /// Of the first byte.
        offset: u64,
        /// How many bytes.
        length: usize,
    },
}

/// What became of a [`Request`].
#[derive(Debug)]
pub struct Completion {
    /// The token it was submitted with.
    pub token: u64,
    /// What was done, or why not.
    pub result: io::Result<Done>,
}

/// The result of a [`Request`] that succeeded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Done {
    /// Bytes written. If fewer than given, no sync was done.
    Written(usize),
    /// The file is synced.
    Synced,
    /// The bytes read.
    Read(Bytes),
}

/// All was written, but the sync behind it failed: the cause of the error with which a
/// [`Request::Write`] with [`Sync::Data`] completes then. Such an error is never of a kind that
/// means a full disk, whatever the system said: the data may be gone.
#[derive(Debug)]
pub struct SyncFailed(pub io::Error);

impl SyncFailed {
    pub(crate) fn wrap(error: io::Error) -> io::Error {
        io::Error::other(Self(error))
    }
}

impl fmt::Display for SyncFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the sync of what was written failed: {}", self.0)
    }
}

impl std::error::Error for SyncFailed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// Whether [`Queue::poll`] may block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// Return what is there.
    No,
    /// Block until there is at least one completion; return at once if nothing was submitted.
    Yes,
}

/// Asynchronous I/O of one thread. It serves files of the disk that made it. It may be given to
/// another thread as long as nothing is in flight.
///
/// Dropping it carries out what was submitted and waits for that; no completions are given.
pub trait Queue: Send {
    /// Starts a request. Never blocks. Its completion will carry the token.
    fn submit(&mut self, token: u64, request: Request);
    /// Adds completions to `completions`.
    fn poll(&mut self, wait: Wait, completions: &mut Vec<Completion>) -> io::Result<()>;
    /// Readable when there may be completions, for an event loop; `None` where there is no such
    /// thing.
    fn event_descriptor(&self) -> Option<RawFd>;
}

/// An error for what cannot be the name of a file in a directory.
fn check_name(name: &str) -> io::Result<()> {
    if matches!(name, "" | "." | "..") || name.contains(['/', '\0']) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
