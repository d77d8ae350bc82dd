//! What was committed, told in order.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::{Oid, Tid, Ttid};

use crate::session::Notice;

/// The last commit that was told of, and who is told.
///
/// Invariant: when a tid is the last one, it is durable, everything up to it can be read, and all
/// subscribers were told of it (R22).
pub(super) struct Announced {
    last_tid: AtomicU64,
    /// `None` when nothing more will be told.
    subscribers: Mutex<Option<Vec<Sender<Notice>>>>,
}

impl Announced {
    pub(super) fn new(last_tid: Tid) -> Self {
        let subscribers = Mutex::new(Some(Vec::new()));
        Self { last_tid: AtomicU64::new(last_tid.get()), subscribers }
    }

    pub(super) fn last_tid(&self) -> Tid {
        Tid::new(self.last_tid.load(Ordering::Acquire))
    }

    /// Whoever subscribes and asks for the last tid then is told of all later ones.
    pub(super) fn subscribe(&self) -> Receiver<Notice> {
        let (sender, receiver) = channel();
        if let Some(subscribers) = self.lock().as_mut() {
            subscribers.push(sender);
        }
        receiver
    }

    pub(super) fn announce(&self, tid: Tid, oids: Vec<Oid>, ttid: Ttid) {
        assert!(tid > self.last_tid(), "tids grow: {tid} after {}", self.last_tid());
        let mut subscribers = self.lock();
        let notice = Notice::Invalidated { tid, oids, ttid: Some(ttid) };
        for subscribers in subscribers.iter_mut() {
            subscribers.retain(|subscriber| subscriber.send(notice.clone()).is_ok());
        }
        self.last_tid.store(tid.get(), Ordering::Release);
    }

    /// Nothing more will be told.
    pub(super) fn close(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<Sender<Notice>>>> {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
