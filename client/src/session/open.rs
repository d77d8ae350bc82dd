//! Opening and closing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use bytes::Bytes;
use model::{Oid, Tid};
use net::{Address, EventLoop, Waker};

use super::driver::{Command, Driver, Notice, Reply};
use crate::cache::Cache;
use crate::error::Error;
use crate::load::following;
use crate::machine::Client;
use crate::options::ClientOptions;
use crate::request::{Answer, Object, Request, Revision};

/// A client of a cluster that threads share: its methods wait. Cloning it is cheap. It ends when
/// it is closed, or with its last clone.
///
/// Nodes that are lost are waited for, as long as it takes; whoever does not want to wait closes
/// the session from another thread.
#[derive(Clone)]
pub struct Session {
    shared: Arc<Shared>,
}

struct Shared {
    commands: Sender<Command>,
    waker: Waker,
    last_tid: Arc<AtomicU64>,
    cache: Option<Arc<Cache>>,
    thread: Mutex<Option<JoinHandle<()>>>,
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
        let event_loop = EventLoop::new().map_err(system)?;
        let waker = event_loop.waker();
        let client = Client::new(options, net::now());
        let cache = client.cache.clone();
        let (commands, received) = mpsc::channel();
        let (opening, opened) = mpsc::channel();
        let last_tid = Arc::new(AtomicU64::new(0));
        let driver = Driver::new(event_loop, client, received, opening, last_tid.clone());
        let thread = std::thread::Builder::new().name("neolith-client".to_owned());
        let thread = thread.spawn(move || driver.run()).map_err(system)?;
        let thread = Mutex::new(Some(thread));
        let shared = Shared { commands, waker, last_tid, cache, thread };
        let session = Self { shared: Arc::new(shared) };
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
        self.shared.close();
    }

    pub(super) fn keep_plain(&self, oid: Oid, serial: Tid, plain: &Bytes) {
        if let Some(cache) = &self.shared.cache {
            cache.inflate(oid, serial, plain);
        }
    }

    pub(super) fn has_cache(&self) -> bool {
        self.shared.cache.is_some()
    }

    /// What the cache has of an object, without waiting for anything.
    ///
    /// The newest revision is one that subscribers were told of, which is later than the cache is.
    pub(super) fn cached(&self, oid: Oid, revision: Revision) -> Option<Object> {
        let cache = self.shared.cache.as_ref()?;
        let revision = match revision {
            Revision::Newest => Revision::Before(following(self.last_tid())),
            revision => revision,
        };
        cache.load(oid, revision)
    }

    /// Has a request carried out, which is not part of a transaction that has begun.
    pub(super) fn request(&self, request: Request) -> Result<Answer, Error> {
        let (reply, receiver) = mpsc::channel();
        self.submit(request, reply);
        match receiver.recv() {
            Ok(Reply::Done(result)) => result,
            Ok(Reply::Conflict(conflict)) => unreachable!("nobody expects {conflict:?} here"),
            Err(mpsc::RecvError) => Err(Error::Closed),
        }
    }

    /// Hands in a request. If the session is closed, the reply's channel is closed too.
    pub(super) fn submit(&self, request: Request, reply: Sender<Reply>) {
        self.shared.command(Command::Submit { request, reply });
    }
}

impl Shared {
    fn command(&self, command: Command) {
        if self.commands.send(command).is_ok() {
            self.waker.wake();
        }
    }

    fn close(&self) {
        self.command(Command::Close);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && let Err(panic) = thread.join()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.command(Command::Close);
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the client's thread had panicked");
        }
    }
}
