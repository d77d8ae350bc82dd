//! Files of a real directory, with io_uring or, where that is refused, with threads.
//!
//! [`Directory`] is the [`Disk`](super::Disk). Its queues are rings of io_uring, one a thread, or
//! a log-writer thread with a read pool; both complete through an eventfd.

mod directory;
mod event;
mod file;
mod map;
mod system;
mod threads;
mod unsynced;
mod uring;
mod vectors;

pub use directory::{Backend, Directory, DirectoryOptions, OpenError, OpenMode};
pub use map::Map;

#[cfg(test)]
mod tests;
