//! The eventfd through which a queue tells an event loop that it has completions.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};

use super::system;

/// An eventfd, close-on-exec and never blocking. Readable between [`Event::signal`] (by us or by
/// the kernel) and [`Event::clear`].
#[derive(Debug)]
pub(super) struct Event(File);

impl Event {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(File::from(system::event_descriptor()?)))
    }

    /// Makes the descriptor readable.
    pub(super) fn signal(&self) {
        // The only error a valid eventfd gives is that its counter is full: it is readable then.
        let _ = (&self.0).write(&1u64.to_ne_bytes());
    }

    /// Makes the descriptor unreadable until the next signal.
    pub(super) fn clear(&self) {
        // The only error a valid eventfd gives is that there was no signal.
        let _ = (&self.0).read(&mut [0; 8]);
    }
}

impl AsRawFd for Event {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
