//! Opening and closing.

use model::{Oid, Tid};
use net::{Address, EventLoop};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::driver::{Command, Driver, Notice};
use super::lead::Shared;
use crate::cache::Cache;
use crate::error::Error;
use crate::load::following;
use crate::machine::Client;
use crate::options::ClientOptions;
use crate::request::{Object, Revision};

/// A client of a cluster that threads share: its methods wait. Cloning it is cheap. It ends when
/// it is closed, or with its last clone.
///
/// Nodes that are lost are waited for, as long as it takes; whoever does not want to wait closes
/// the session from another thread.
#[derive(Clone)]
pub struct Session {
    /// Ends it with the last clone.
    end: Arc<End>,
    pub(super) shared: Arc<Shared>,
}

/// Ends a session.
struct End {
    shared: Arc<Shared>,
    watcher: Mutex<Option<JoinHandle<()>>>,
}

impl Session {
    /// Finds a cluster by some of its masters.
    ///
    /// # Errors
    /// [`Error::Refused`] if a master knows no such cluster, [`Error::System`].
    pub fn open(masters: Vec<Address>, cluster: &str) -> Result<Self, Error> {
        Self::open_with(ClientOptions::new(cluster, masters))
    }

    /// Finds a cluster, with options.
    ///
    /// # Errors
    /// Like [`Session::open`].
    ///
    /// # Panics
    /// If no master is named.
    pub fn open_with(options: ClientOptions) -> Result<Self, Error> {
        let system = |error: std::io::Error| Error::System { kind: error.kind() };
        let mut event_loop = EventLoop::new().map_err(system)?;
        event_loop.set_busy_poll(options.busy_poll);
        let watch = event_loop.watch_from_outside().map_err(system)?;
        let client = Client::new(options, net::now());
        let (opening, opened) = mpsc::channel();
        let last_tid = Arc::new(AtomicU64::new(0));
        let shared = Arc::new(Shared::new(Driver::new(event_loop, client, opening, last_tid)));
        let watcher = std::thread::Builder::new().name("neolith-client".to_owned());
        let watched = Arc::clone(&shared);
        let watcher = watcher.spawn(move || watched.watch(watch)).map_err(system)?;
        let end = End { shared: Arc::clone(&shared), watcher: Mutex::new(Some(watcher)) };
        let session = Self { end: Arc::new(end), shared };
        opened.recv().unwrap_or(Err(Error::Closed))?;
        Ok(session)
    }

    /// The last transaction that the session was told of; everything up to it can be loaded.
    pub fn last_tid(&self) -> Tid {
        Tid::new(self.shared.last_tid.load(Ordering::Acquire))
    }

    /// What is told without being asked for, from now on. It waits without bound until it is
    /// received; drop the receiver to have no more.
    pub fn subscribe(&self) -> Receiver<Notice> {
        let (sender, receiver) = mpsc::channel();
        self.shared.command(Command::Subscribe(sender));
        receiver
    }

    /// Ends the session for all who share it: their requests fail with [`Error::Closed`], their
    /// transactions are aborted. Waits until what is to be told to others is sent.
    pub fn close(&self) {
        if let Err(panic) = self.end.close() {
            std::panic::resume_unwind(panic);
        }
    }

    /// What the cache has of an object, without waiting for anything.
    pub(super) fn cached(&self, oid: Oid, revision: Revision) -> Option<Object> {
        self.cache()?.load(oid, self.told(revision))
    }

    pub(super) fn cache(&self) -> Option<&Cache> {
        self.shared.cache.as_deref()
    }

    /// The newest revision is one that subscribers were told of, which is later than the cache is.
    pub(super) fn told(&self, revision: Revision) -> Revision {
        match revision {
            Revision::Newest => Revision::Before(following(self.last_tid())),
            revision => revision,
        }
    }
}

impl End {
    fn close(&self) -> std::thread::Result<()> {
        self.shared.command(Command::Close);
        let watcher = self.watcher.lock().unwrap_or_else(PoisonError::into_inner).take();
        watcher.map_or(Ok(()), JoinHandle::join)
    }
}

impl Drop for End {
    fn drop(&mut self) {
        if self.close().is_err() {
            tracing::error!("the client's thread had panicked");
        }
    }
}
