//! Gives the memory of long strings back on a thread of its own.
//!
//! The system takes some milliseconds to take back 64 MiB. Whatever drops such a string last would
//! hold up everybody for that long.

use std::mem;
use std::sync::OnceLock;
use std::sync::mpsc::{self, SyncSender};
use std::thread;

use bytes::Bytes;

/// Strings from this length on are given back on the thread.
const LONG: usize = 1 << 20;
/// Strings that may wait for the thread. Whoever finds so many gives its own back by itself.
const WAITING_MAX: usize = 16;

/// Who gives them back, once there was one; `None` if there can be no such thread.
static RELEASER: OnceLock<Option<SyncSender<Bytes>>> = OnceLock::new();

/// A long string that whoever drops it does not have to give back.
struct Long(Bytes);

impl AsRef<[u8]> for Long {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Long {
    fn drop(&mut self) {
        if let Some(releaser) = RELEASER.get_or_init(start) {
            // If it is behind, or has ended, the string comes back and is dropped here.
            let _ = releaser.try_send(mem::take(&mut self.0));
        }
    }
}

/// The same bytes. If they are long, the thread gives them back when they are dropped.
pub(crate) fn elsewhere(bytes: Bytes) -> Bytes {
    match bytes.len() >= LONG {
        true => Bytes::from_owner(Long(bytes)),
        false => bytes,
    }
}

fn start() -> Option<SyncSender<Bytes>> {
    let (sender, receiver) = mpsc::sync_channel(WAITING_MAX);
    let thread = thread::Builder::new().name("release".to_owned());
    thread.spawn(move || receiver.into_iter().for_each(drop)).ok().map(|_| sender)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};
    use std::thread::{self, ThreadId};
    use std::time::Duration;

    use super::*;

    /// Tells where it is dropped.
    struct Witness(Vec<u8>, Sender<ThreadId>);

    impl AsRef<[u8]> for Witness {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    impl Drop for Witness {
        fn drop(&mut self) {
            self.1.send(thread::current().id()).unwrap();
        }
    }

    fn dropped_by(length: usize) -> ThreadId {
        let (sender, receiver) = channel();
        let bytes = elsewhere(Bytes::from_owner(Witness(vec![7; length], sender)));
        assert_eq!(bytes.len(), length);
        let part = bytes.slice(1..2);
        drop(bytes);
        assert!(receiver.try_recv().is_err(), "a part of it is still there");
        assert_eq!(part, [7][..]);
        drop(part);
        receiver.recv_timeout(Duration::from_secs(60)).unwrap()
    }

    #[test]
    fn long_strings_are_dropped_by_another_thread() {
        assert_eq!(dropped_by(LONG - 1), thread::current().id());
        assert_ne!(dropped_by(LONG), thread::current().id());
    }
}
