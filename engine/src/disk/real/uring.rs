//! A queue on io_uring.
//!
//! The ring has one issuer and defers its task work: completions are made when that thread
//! enters the kernel to get them, and announced before that through a registered eventfd. Other
//! settings interrupt the event loop at nearly every completion or lose wake-ups.

mod operation;
mod slots;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::thread::{self, ThreadId};
use std::time::Duration;

use io_uring::types::Timespec;
use io_uring::{EnterFlags, IoUring, opcode};

use self::operation::{CHAIN_LENGTH_MAX, Operation, Outcome, Stage};
use self::slots::Slots;
use super::event::Event;
use crate::disk::{Completion, Queue, Request, Wait};

/// Entries in flight. No more are pushed than the submission queue has places, so that it is
/// never full, and the completion queue, which is twice as long, never overflows.
const ENTRIES_MAX: u32 = 256;

/// How often a dropped queue tries again to wait for its requests when the kernel refuses.
const DROP_FAILURES_MAX: u32 = 10;

/// Says whether the system lets us use a ring as this queue does, by using one.
pub(super) fn probe() -> io::Result<()> {
    let event = Event::new()?;
    let mut ring = build(&event)?;
    ring.submitter().register_enable_rings()?;
    // SAFETY: the entry has no parameters.
    unsafe { ring.submission().push(&opcode::Nop::new().build()) }.expect("the ring is empty");
    ring.submit_and_wait(1)?;
    Ok(())
}

/// A ring, its requests in flight, and those that wait for a place.
///
/// The kernel binds the ring to one thread: the first that submits or polls. It may go on to
/// another when nothing is in flight; a new ring takes over then. Dropping it carries out all that
/// was submitted and waits for it.
///
/// Invariants: the ring has `entries` entries that were pushed and not reaped, at most
/// [`ENTRIES_MAX`]; each belongs to an operation in `operations`, which is kept until the last of
/// its entries is reaped.
pub(super) struct RingQueue {
    ring: IoUring,
    /// The thread that the ring is bound to.
    owner: Option<ThreadId>,
    event: Event,
    /// What is laid over every sync. Boxed, because entries point to it.
    delay: Option<Box<Timespec>>,
    operations: Slots<Operation>,
    /// Operations that have no entries in the ring, in the order to start them.
    backlog: VecDeque<usize>,
    entries: usize,
    /// Completions of requests that never got to the ring.
    refused: Vec<Completion>,
    /// The kernel took a part of a chain: no result can be relied upon any more.
    is_torn: bool,
}

impl RingQueue {
    pub(super) fn new(delay: Duration) -> io::Result<Self> {
        let event = Event::new()?;
        Ok(Self {
            ring: build(&event)?,
            owner: None,
            event,
            delay: (!delay.is_zero()).then(|| Box::new(Timespec::from(delay))),
            operations: Slots::default(),
            backlog: VecDeque::new(),
            entries: 0,
            refused: Vec::new(),
            is_torn: false,
        })
    }

    /// Binds the ring to this thread, if it is not.
    fn own(&mut self) -> io::Result<()> {
        let thread = thread::current().id();
        if self.owner == Some(thread) {
            return Ok(());
        }
        if self.owner.take().is_some() {
            assert!(self.entries == 0, "a queue with requests in flight stays with its thread");
            self.ring = build(&self.event)?;
        }
        self.ring.submitter().register_enable_rings()?;
        self.owner = Some(thread);
        Ok(())
    }

    /// Pushes entries of the backlog as long as there are places.
    fn start(&mut self) {
        let places = usize::try_from(ENTRIES_MAX).expect("u32 fits");
        while self.entries + CHAIN_LENGTH_MAX <= places {
            let Some(slot) = self.backlog.pop_front() else {
                return;
            };
            let operation = self.operations.get_mut(slot);
            let number = u64::try_from(slot).expect("usize fits");
            for (stage, entry) in operation.entries(self.delay.as_deref()) {
                let entry = entry.user_data(number << 2 | stage.number());
                // SAFETY: the entry points to heap memory of `operation` and of `delay`. It is
                // neither freed nor moved before the entry is reaped: `reap` removes an operation
                // when nothing of it is pending, and `drop` waits for that or leaks.
                unsafe { self.ring.submission().push(&entry) }.expect("entries are bounded");
                operation.pending += 1;
                self.entries += 1;
            }
        }
    }

    /// Hands pushed entries to the kernel, gets its completions, and waits for `wanted` of them.
    fn enter(&mut self, wanted: u32, flags: EnterFlags) -> io::Result<()> {
        let pushed = self.ring.submission().len();
        let count = u32::try_from(pushed).expect("at most ENTRIES_MAX");
        loop {
            // SAFETY: `count` entries are in the submission queue, and there is no argument.
            let taken = unsafe {
                self.ring.submitter().enter::<libc::sigset_t>(count, wanted, flags.bits(), None)
            };
            match taken {
                Ok(taken) if taken == pushed => return Ok(()),
                Ok(_) => {
                    // For want of memory. A sync whose write was left behind may have begun
                    // before it: nothing of what follows may be believed.
                    self.is_torn = true;
                    return Err(torn());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes the completions that there are.
    fn reap(&mut self, completions: &mut Vec<Completion>) {
        for entry in self.ring.completion() {
            self.entries -= 1;
            let slot = usize::try_from(entry.user_data() >> 2).expect("it was a usize");
            let operation = self.operations.get_mut(slot);
            operation.record(Stage::from_number(entry.user_data() & 3), entry.result());
            if operation.pending > 0 {
                continue;
            }
            match operation.outcome() {
                Outcome::Again => self.backlog.push_front(slot),
                Outcome::Over(result) => {
                    let token = operation.token;
                    self.operations.remove(slot);
                    completions.push(Completion { token, result });
                }
            }
        }
    }

    /// Starts what can be started, without waiting for anything.
    ///
    /// The kernel announces deferred work only if there was none before, and may have some left of
    /// operations that are over: it is done with now, else what is started would never be
    /// announced.
    fn advance(&mut self) -> io::Result<()> {
        self.own()?;
        self.start();
        if self.ring.submission().is_empty() {
            return Ok(());
        }
        self.enter(0, EnterFlags::GETEVENTS)
    }

    fn poll_ring(&mut self, wait: Wait, completions: &mut Vec<Completion>) -> io::Result<()> {
        let before = completions.len();
        // Cleared before looking: what comes later signals again.
        self.event.clear();
        completions.append(&mut self.refused);
        while !self.operations.is_empty() {
            let is_enough = wait == Wait::No || completions.len() > before;
            self.own()?;
            self.start();
            self.enter(u32::from(!is_enough), EnterFlags::GETEVENTS)?;
            self.reap(completions);
            // What was reaped made room, or is a read that goes on.
            self.advance()?;
            if is_enough || completions.len() > before {
                break;
            }
        }
        Ok(())
    }
}

impl Queue for RingQueue {
    fn submit(&mut self, token: u64, request: Request) {
        match Operation::new(token, request) {
            Ok(operation) => {
                let slot = self.operations.insert(operation);
                self.backlog.push_back(slot);
                if self.advance().is_err() {
                    // It stays where it is: the next poll tries again, and says what is wrong.
                    self.event.signal();
                }
            }
            Err(error) => {
                self.refused.push(Completion { token, result: Err(error) });
                self.event.signal();
            }
        }
    }

    fn poll(&mut self, wait: Wait, completions: &mut Vec<Completion>) -> io::Result<()> {
        if self.is_torn {
            return Err(torn());
        }
        self.poll_ring(wait, completions)
    }

    fn event_descriptor(&self) -> Option<RawFd> {
        Some(self.event.as_raw_fd())
    }
}

impl Drop for RingQueue {
    fn drop(&mut self) {
        let is_elsewhere = self.owner.is_some_and(|owner| owner != thread::current().id());
        if !(is_elsewhere && self.entries > 0) {
            let (mut discarded, mut failures) = (Vec::new(), 0);
            while !self.operations.is_empty() && failures < DROP_FAILURES_MAX {
                failures += u32::from(self.poll_ring(Wait::Yes, &mut discarded).is_err());
                discarded.clear();
            }
        }
        if self.entries > 0 {
            // The kernel may still read and write their memory.
            tracing::error!("{} entries of a ring cannot be waited for", self.entries);
            std::mem::forget(std::mem::take(&mut self.operations));
            std::mem::forget(self.delay.take());
        }
    }
}

/// A ring that is not bound to a thread yet, and signals the event.
fn build(event: &Event) -> io::Result<IoUring> {
    let ring = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_r_disabled()
        .setup_submit_all()
        .build(ENTRIES_MAX)?;
    ring.submitter().register_eventfd(event.as_raw_fd())?;
    Ok(ring)
}

fn torn() -> io::Error {
    io::Error::new(io::ErrorKind::OutOfMemory, "io_uring took only a part of what was submitted")
}
