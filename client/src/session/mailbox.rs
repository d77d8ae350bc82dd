//! Where a thread waits for what it asked for.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::driver::Reply;

/// The end that is waited at.
pub(super) struct Mailbox(Arc<Slot>);

/// The other end, of which there may be several. When all are gone, nothing more comes.
#[derive(Clone)]
pub(super) struct Sender(Arc<Open>);

/// What came out of a mailbox.
pub(super) enum Mail {
    /// Nothing yet.
    Nothing,
    /// A reply.
    Reply(Reply),
    /// Nothing more will come.
    Closed,
}

/// Wakes who waits at a mailbox, for nobody drives any more.
#[derive(Clone)]
pub(super) struct Bell(Arc<Slot>);

struct Open(Arc<Slot>);

#[derive(Default)]
struct Slot {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    replies: VecDeque<Reply>,
    is_closed: bool,
    has_rung: bool,
    /// Somebody waits: to wake nobody is a call of the system all the same.
    is_awaited: bool,
}

/// A mailbox and who sends to it.
pub(super) fn mailbox() -> (Sender, Mailbox) {
    let slot = Arc::new(Slot::default());
    (Sender(Arc::new(Open(Arc::clone(&slot)))), Mailbox(slot))
}

impl Mailbox {
    /// What is there, without waiting.
    pub(super) fn take(&self) -> Mail {
        let mut state = self.0.lock();
        match state.replies.pop_front() {
            Some(reply) => Mail::Reply(reply),
            None if state.is_closed => Mail::Closed,
            None => Mail::Nothing,
        }
    }

    /// Whether there is nothing to take yet.
    pub(super) fn is_empty(&self) -> bool {
        let state = self.0.lock();
        state.replies.is_empty() && !state.is_closed
    }

    /// Waits until something is there, or the bell rings.
    pub(super) fn wait(&self) {
        let mut state = self.0.lock();
        let waits =
            |state: &mut State| state.replies.is_empty() && !state.is_closed && !state.has_rung;
        state.is_awaited = true;
        let waited = self.0.changed.wait_while(state, waits);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        state.is_awaited = false;
        state.has_rung = false;
    }

    pub(super) fn bell(&self) -> Bell {
        Bell(Arc::clone(&self.0))
    }
}

impl Bell {
    /// Whether there was reason to: nothing is there yet.
    pub(super) fn ring(&self) -> bool {
        let mut waits = false;
        self.0.change(|state| {
            waits = state.replies.is_empty() && !state.is_closed;
            state.has_rung |= waits;
        });
        waits
    }

    pub(super) fn is_of(&self, mailbox: &Mailbox) -> bool {
        Arc::ptr_eq(&self.0, &mailbox.0)
    }
}

impl Sender {
    /// Who does not wait any more does not get it.
    pub(super) fn send(&self, reply: Reply) {
        self.0.0.change(|state| state.replies.push_back(reply));
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.change(|state| state.is_closed = true);
    }
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        let is_awaited = state.is_awaited;
        drop(state);
        if is_awaited {
            self.changed.notify_one();
        }
    }
}
