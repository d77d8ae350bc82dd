//! Signals to the process, as something to read from.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::SigId;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::low_level::{pipe, unregister};

use crate::event::Signal;

/// Catches signals as long as it lives. Afterwards they are ignored.
///
/// SIGPIPE needs nothing: sockets are written to in a way that does not raise it.
pub(crate) struct Signals {
    came: [(Signal, Arc<AtomicBool>); 2],
    registered: Vec<SigId>,
}

impl Signals {
    /// Begins to catch them. A byte can be read from the socket after each.
    pub(crate) fn catch() -> io::Result<(Self, UnixStream)> {
        let (read, write) = UnixStream::pair()?;
        read.set_nonblocking(true)?;
        write.set_nonblocking(true)?;
        let came = [Signal::Terminate, Signal::Flush].map(|signal| (signal, Arc::default()));
        let mut signals = Self { came, registered: Vec::new() };
        for (number, index) in [(SIGTERM, 0), (SIGINT, 0), (SIGHUP, 1), (SIGUSR1, 1)] {
            let flag = Arc::clone(&signals.came[index].1);
            // In this order: what wakes the reader comes last.
            signals.registered.push(signal_hook::flag::register(number, flag)?);
            signals.registered.push(pipe::register(number, write.try_clone()?)?);
        }
        Ok((signals, read))
    }

    /// What came since it was asked last.
    pub(crate) fn take(&self) -> impl Iterator<Item = Signal> {
        let came = self.came.iter().filter(|(_, flag)| flag.swap(false, Ordering::SeqCst));
        came.map(|(signal, _)| *signal)
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for id in self.registered.drain(..) {
            unregister(id);
        }
    }
}
