//! What the threads of a program and the one that writes know together.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;

use engine::Reader;
use engine::disk::Disk;
use model::{PartitionCount, Tid};

use super::announce::Announced;
use super::ids::Ids;
use super::locks::Locks;
use super::options::Coding;
use super::writer::Command;
use crate::error::Error;

/// Bytes that may be on their way to the thread that writes; more wait.
const BACKLOG_MAX: u64 = 16 << 20;

/// What is known on both sides.
pub(super) struct Common {
    /// What messages call the database.
    pub(super) path: String,
    pub(super) partitions: PartitionCount,
    pub(super) announced: Announced,
    pub(super) locks: Arc<Locks>,
    pub(super) backlog: Backlog,
    /// Space that is counted on: see [`Promise`].
    promised: AtomicU64,
    ids: Mutex<Ids>,
    is_closed: AtomicBool,
    /// The thread that writes has panicked.
    is_broken: AtomicBool,
}

impl Common {
    pub(super) fn new(path: String, partitions: PartitionCount, last_tid: Tid, ids: Ids) -> Self {
        Self {
            path,
            partitions,
            announced: Announced::new(last_tid),
            locks: Arc::default(),
            backlog: Backlog::default(),
            promised: AtomicU64::new(0),
            ids: Mutex::new(ids),
            is_closed: AtomicBool::new(false),
            is_broken: AtomicBool::new(false),
        }
    }

    pub(super) fn ids(&self) -> MutexGuard<'_, Ids> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn check_open(&self) -> Result<(), Error> {
        match self.is_closed.load(Ordering::Relaxed) {
            true => Err(Error::Closed),
            false => Ok(()),
        }
    }

    /// Nothing is begun any more, and nobody waits.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.locks.close();
        self.backlog.close();
    }

    pub(super) fn set_broken(&self) {
        self.is_broken.store(true, Ordering::Release);
        self.close();
    }

    pub(super) fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::Acquire)
    }
}

/// Bytes on their way to the thread that writes.
#[derive(Default)]
pub(super) struct Backlog {
    bytes: Mutex<u64>,
    changed: Condvar,
    is_closed: AtomicBool,
}

impl Backlog {
    /// Waits until there is room. What is longer than all room there is goes alone.
    pub(super) fn take(&self, bytes: u64) {
        let mut taken = self.lock();
        while *taken > 0 && *taken + bytes > BACKLOG_MAX && !self.is_closed.load(Ordering::Acquire)
        {
            taken = self.changed.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        *taken += bytes;
    }

    pub(super) fn give_back(&self, bytes: u64) {
        *self.lock() -= bytes;
        self.changed.notify_all();
    }

    fn close(&self) {
        let taken = self.lock();
        self.is_closed.store(true, Ordering::Release);
        drop(taken);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Space on the disk that a transaction needs to be finished, or data to be appended, until it is.
pub(super) struct Promise {
    common: Arc<Common>,
    bytes: u64,
}

impl Promise {
    /// Returns with it how much is promised then, to all.
    pub(super) fn make(common: &Arc<Common>, bytes: u64) -> (Self, u64) {
        let promised = common.promised.fetch_add(bytes, Ordering::SeqCst) + bytes;
        (Self { common: Arc::clone(common), bytes }, promised)
    }

    /// How much is promised, to all.
    #[cfg(test)]
    pub(super) fn sum(common: &Common) -> u64 {
        common.promised.load(Ordering::SeqCst)
    }

    /// Some of it was written.
    pub(super) fn lower(&mut self, bytes: u64) {
        let written = self.bytes.saturating_sub(bytes);
        self.common.promised.fetch_sub(written, Ordering::SeqCst);
        self.bytes -= written;
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.lower(0);
    }
}

/// What all clones of an [`super::Embedded`] share. The last of them ends it.
pub(super) struct Shared {
    pub(super) common: Arc<Common>,
    pub(super) reader: Reader,
    pub(super) coding: Coding,
    /// The disk, as long as the engine has it: the lock of the directory goes with it.
    pub(super) disk: Weak<dyn Disk>,
    /// Space that has to be free before a vote.
    pub(super) free_bytes_min: u64,
    /// `None` if it is open to be read only.
    pub(super) writer: Option<WriterHandle>,
}

/// The thread that writes.
pub(super) struct WriterHandle {
    pub(super) commands: Sender<Command>,
    pub(super) thread: Mutex<Option<JoinHandle<()>>>,
}

impl Shared {
    /// Hands something to the thread that writes.
    pub(super) fn command(&self, command: Command) -> Result<(), Error> {
        let writer = self.writer.as_ref().ok_or(Error::ReadOnly)?;
        writer.commands.send(command).map_err(|_| self.ended())
    }

    /// Why the thread that writes does not answer any more.
    pub(super) fn ended(&self) -> Error {
        match self.common.is_broken() {
            true => Error::Storage {
                text: format!("{}: the thread that writes has panicked", self.common.path),
            },
            false => Error::Closed,
        }
    }

    pub(super) fn close(&self) {
        self.common.close();
        let Some(writer) = &self.writer else { return self.common.announced.close() };
        // It may have ended already.
        let _ = writer.commands.send(Command::Close);
        // Held until it has ended: who closes at the same time waits for that as well.
        let mut thread = writer.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take()
            && thread.join().is_err()
        {
            tracing::error!(path = self.common.path, "the thread that writes had panicked");
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.close();
    }
}
