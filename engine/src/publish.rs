//! How a new state of the database reaches readers in other threads.
//!
//! Two values are published: the version, and the sequence number up to which its items count. A
//! reader takes the number first and the version second. The version is then at least as new as
//! the number, so it has every item that the number counts; and where a merge has left out what is
//! hidden, the version's floor says from which number on that is right.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

/// A number that is stored by one thread and loaded by others.
pub(crate) trait Counter {
    fn load(&self) -> u64;
    fn store(&self, value: u64);
}

/// A shared value that is replaced by one thread and loaded by others.
pub(crate) trait Slot<T> {
    fn load(&self) -> Arc<T>;
    fn store(&self, value: Arc<T>);
}

/// What a version has to tell.
pub(crate) trait Floor {
    /// Snapshots of this version count at least up to here.
    fn seq_floor(&self) -> u64;
}

/// The published state.
#[derive(Debug)]
pub(crate) struct Publication<C, S> {
    visible: C,
    version: S,
}

impl<C: Counter, S> Publication<C, S> {
    pub(crate) fn new(visible: C, version: S) -> Self {
        Self { visible, version }
    }

    /// Makes items up to `seq` count. They must be in the version published last.
    pub(crate) fn set_visible(&self, seq: u64) {
        self.visible.store(seq);
    }

    /// A consistent pair of version and number.
    pub(crate) fn snapshot<T: Floor>(&self) -> (Arc<T>, u64)
    where
        S: Slot<T>,
    {
        let seq = self.visible.load();
        let version = self.version.load();
        let seq = seq.max(version.seq_floor());
        (version, seq)
    }

    /// Replaces the version. It must have every item that counts already.
    pub(crate) fn set_version<T>(&self, version: Arc<T>)
    where
        S: Slot<T>,
    {
        self.version.store(version);
    }
}

impl Counter for AtomicU64 {
    fn load(&self) -> u64 {
        AtomicU64::load(self, Ordering::Acquire)
    }

    fn store(&self, value: u64) {
        AtomicU64::store(self, value, Ordering::Release);
    }
}

impl<T> Slot<T> for ArcSwap<T> {
    fn load(&self) -> Arc<T> {
        self.load_full()
    }

    fn store(&self, value: Arc<T>) {
        ArcSwap::store(self, value);
    }
}

#[cfg(test)]
mod tests;
