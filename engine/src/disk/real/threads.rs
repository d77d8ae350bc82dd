//! A queue for where io_uring is refused: a log-writer thread and a read pool.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use bytes::Bytes;

use super::event::Event;
use super::system;
use super::unsynced::Unsynced;
use super::vectors::Vectors;
use crate::disk::{Completion, Done, File, Queue, Request, Sync, SyncFailed, Wait};

/// Threads that read, of one queue: enough to keep a disk busy, few enough for a small machine.
const READERS_MAX: usize = 4;

/// One thread carries out writes and syncs in the order in which they were submitted, some others
/// the reads in any order. Completions are announced through an eventfd, as those of io_uring are.
///
/// Threads are started when there is something for them to do, and end with the queue, which
/// waits for all that was submitted.
pub(super) struct ThreadsQueue {
    outbox: Arc<Outbox>,
    writer: Pool,
    readers: Pool,
    /// Requests submitted whose completions were not polled yet.
    outstanding: usize,
}

impl ThreadsQueue {
    pub(super) fn new() -> io::Result<Self> {
        let outbox = Arc::new(Outbox {
            completions: Mutex::new(Vec::new()),
            arrived: Condvar::new(),
            event: Event::new()?,
        });
        Ok(Self {
            writer: Pool::new("disk-write", 1, &outbox),
            readers: Pool::new("disk-read", READERS_MAX, &outbox),
            outbox,
            outstanding: 0,
        })
    }
}

impl Queue for ThreadsQueue {
    fn submit(&mut self, token: u64, request: Request) {
        self.outstanding += 1;
        let pool = match request {
            Request::Write { .. } | Request::Sync { .. } => &mut self.writer,
            Request::Read { .. } => &mut self.readers,
        };
        if let Err(error) = pool.start(token, request) {
            self.outbox.push(Completion { token, result: Err(error) });
        }
    }

    fn poll(&mut self, wait: Wait, completions: &mut Vec<Completion>) -> io::Result<()> {
        // Cleared before looking: what comes later signals again.
        self.outbox.event.clear();
        let mut arrived = lock(&self.outbox.completions);
        while wait == Wait::Yes && self.outstanding > 0 && arrived.is_empty() {
            arrived = self.outbox.arrived.wait(arrived).unwrap_or_else(PoisonError::into_inner);
        }
        self.outstanding -= arrived.len();
        completions.append(&mut arrived);
        Ok(())
    }

    fn event_descriptor(&self) -> Option<RawFd> {
        Some(self.outbox.event.as_raw_fd())
    }
}

/// Where threads leave completions for their queue.
struct Outbox {
    completions: Mutex<Vec<Completion>>,
    arrived: Condvar,
    event: Event,
}

impl Outbox {
    fn push(&self, completion: Completion) {
        lock(&self.completions).push(completion);
        self.arrived.notify_one();
        self.event.signal();
    }
}

/// Threads that take requests in order, started one by one as none is idle.
struct Pool {
    name: &'static str,
    threads: Vec<JoinHandle<()>>,
    threads_max: usize,
    inbox: Arc<Inbox>,
    outbox: Arc<Outbox>,
}

impl Pool {
    fn new(name: &'static str, threads_max: usize, outbox: &Arc<Outbox>) -> Self {
        let (inbox, outbox) = (Arc::default(), Arc::clone(outbox));
        Self { name, threads: Vec::new(), threads_max, inbox, outbox }
    }

    /// Gives a request to a thread; an error where there is none and none can be started.
    fn start(&mut self, token: u64, request: Request) -> io::Result<()> {
        let mut state = lock(&self.inbox.state);
        if state.idle <= state.requests.len() && self.threads.len() < self.threads_max {
            let (inbox, outbox) = (Arc::clone(&self.inbox), Arc::clone(&self.outbox));
            let work = move || {
                while let Some((token, request)) = inbox.take() {
                    outbox.push(Completion { token, result: perform(request) });
                }
            };
            match thread::Builder::new().name(self.name.to_owned()).spawn(work) {
                Ok(thread) => self.threads.push(thread),
                Err(error) if self.threads.is_empty() => return Err(error),
                // The threads that are there do it, one after the other.
                Err(_) => {}
            }
        }
        state.requests.push_back((token, request));
        drop(state);
        self.inbox.changed.notify_one();
        Ok(())
    }
}

impl Drop for Pool {
    /// Waits until all requests are carried out.
    fn drop(&mut self) {
        lock(&self.inbox.state).is_closed = true;
        self.inbox.changed.notify_all();
        for thread in self.threads.drain(..) {
            // A panic of the thread was reported by the panic hook.
            let _ = thread.join();
        }
    }
}

/// Requests for the threads of a [`Pool`].
#[derive(Default)]
struct Inbox {
    state: Mutex<InboxState>,
    changed: Condvar,
}

#[derive(Default)]
struct InboxState {
    requests: VecDeque<(u64, Request)>,
    /// Threads that wait for a request.
    idle: usize,
    /// No more requests will come.
    is_closed: bool,
}

impl Inbox {
    /// Waits for a request; `None` when all are taken and no more will come.
    fn take(&self) -> Option<(u64, Request)> {
        let mut state = lock(&self.state);
        loop {
            if let Some(request) = state.requests.pop_front() {
                return Some(request);
            }
            if state.is_closed {
                return None;
            }
            state.idle += 1;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }
}

fn perform(request: Request) -> io::Result<Done> {
    match request {
        Request::Write { file, offset, data, sync } => {
            let vectors = Vectors::new(data);
            let written = write(file.as_ref(), &vectors, offset);
            Unsynced::of(&file).written();
            let written = written?;
            if sync == Sync::Data && vectors.is_whole() && written == vectors.length() {
                file.sync().map_err(SyncFailed::wrap)?;
            }
            Ok(Done::Written(written))
        }
        Request::Sync { file } => file.sync().map(|()| Done::Synced),
        Request::Read { file, offset, length } => {
            let mut buffer = Vec::new();
            buffer.try_reserve_exact(length).map_err(|_| io::ErrorKind::OutOfMemory)?;
            buffer.resize(length, 0);
            let filled = file.read_at(&mut buffer, offset)?;
            buffer.truncate(filled);
            Ok(Done::Read(Bytes::from(buffer)))
        }
    }
}

fn write(file: &dyn File, vectors: &Vectors, offset: u64) -> io::Result<usize> {
    let descriptor = file.descriptor().expect("queues serve files of their own disk");
    // SAFETY: `File::descriptor` promises that it is open as long as the file is, which is
    // borrowed here.
    let descriptor = unsafe { BorrowedFd::borrow_raw(descriptor) };
    system::write_vectors(descriptor, vectors, offset)
}

/// The state is whole between any two statements under these locks, so a panic spoils nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
