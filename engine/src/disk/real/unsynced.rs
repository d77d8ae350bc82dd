//! Whether a file has writes that no sync has followed, of those by one handle: a file is written
//! by one.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::file::RealFile;
use crate::disk::File;

/// Counts the writes of a file that have completed. A sync covers those that had when it began.
#[derive(Debug)]
pub(super) struct Unsynced {
    written: AtomicU64,
    synced: AtomicU64,
}

impl Unsynced {
    /// Of a file that was opened: what was written to it before is not known.
    pub(super) fn unknown() -> Self {
        Self { written: AtomicU64::new(1), synced: AtomicU64::new(0) }
    }

    /// Of a file of a queue.
    pub(super) fn of(file: &Arc<dyn File>) -> &Self {
        &real(file).unsynced
    }

    /// A write has completed, in full or not.
    pub(super) fn written(&self) {
        self.written.fetch_add(1, Ordering::SeqCst);
    }

    /// A sync begins: what it will cover.
    pub(super) fn begin_sync(&self) -> u64 {
        self.written.load(Ordering::SeqCst)
    }

    /// A sync has succeeded.
    pub(super) fn synced(&self, covered: u64) {
        self.synced.fetch_max(covered, Ordering::SeqCst);
    }

    /// Whether a sync has followed every write.
    pub(super) fn is_none(&self) -> bool {
        let synced = self.synced.load(Ordering::SeqCst);
        synced == self.written.load(Ordering::SeqCst)
    }
}

/// Whether a write of a file can sync all that a sync of the file would.
pub(super) fn syncs_with_write(file: &Arc<dyn File>) -> bool {
    let file = real(file);
    file.syncs_with_writes && file.unsynced.is_none()
}

fn real(file: &Arc<dyn File>) -> &RealFile {
    let file: &dyn Any = file.as_ref();
    file.downcast_ref().expect("queues serve files of their own disk")
}
