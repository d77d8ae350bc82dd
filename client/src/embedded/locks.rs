//! Locks of objects, from the vote to the end of a transaction.
//!
//! A transaction asks for all its locks at once, and gets them when whoever asked before it has
//! given them back. As all wait in one order, none waits for one that waits for it (R9).

use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::Oid;

/// What a lock is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Hold {
    /// The object is checked: others may check it as well.
    Shared,
    /// The object is stored.
    Exclusive,
}

/// One who asked, by the order of asking.
type Ticket = u64;

/// The locks of a database.
#[derive(Default)]
pub(super) struct Locks {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    queues: BTreeMap<Oid, VecDeque<Entry>>,
    waiting: BTreeMap<Ticket, Waiting>,
    tickets: Ticket,
    is_closed: bool,
}

struct Entry {
    ticket: Ticket,
    hold: Hold,
    is_granted: bool,
}

/// Who waits for so many locks, and is told when there are none left to wait for.
struct Waiting {
    missing: usize,
    granted: Sender<()>,
}

impl Locks {
    /// Waits for locks of these objects, each named once; `None` if the database is closed.
    pub(super) fn claim(self: &Arc<Self>, wanted: Vec<(Oid, Hold)>) -> Option<Claim> {
        let (granted, receiver) = channel();
        let mut state = self.lock();
        if state.is_closed {
            return None;
        }
        let ticket = state.tickets;
        state.tickets += 1;
        state.waiting.insert(ticket, Waiting { missing: wanted.len(), granted });
        for (oid, hold) in &wanted {
            let entry = Entry { ticket, hold: *hold, is_granted: false };
            state.queues.entry(*oid).or_default().push_back(entry);
            state.grant(*oid);
        }
        if wanted.is_empty() {
            state.waiting.remove(&ticket);
        }
        let is_waiting = state.waiting.contains_key(&ticket);
        drop(state);
        let oids = wanted.into_iter().map(|(oid, _)| oid).collect();
        let claim = Claim { locks: Arc::clone(self), ticket, oids };
        match !is_waiting || receiver.recv().is_ok() {
            true => Some(claim),
            false => None,
        }
    }

    /// Nobody waits any more.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        state.waiting.clear();
    }

    /// Whether there are none.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        let state = self.lock();
        state.queues.is_empty() && state.waiting.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Grants those at the front of an object's queue: one that stores, or all that check.
    fn grant(&mut self, oid: Oid) {
        let Some(queue) = self.queues.get_mut(&oid) else { return };
        if queue.is_empty() {
            self.queues.remove(&oid);
            return;
        }
        for (place, entry) in queue.iter_mut().enumerate() {
            if entry.hold == Hold::Exclusive && place > 0 {
                break;
            }
            if !std::mem::replace(&mut entry.is_granted, true)
                && let Some(waiting) = self.waiting.get_mut(&entry.ticket)
            {
                waiting.missing -= 1;
                if waiting.missing == 0 {
                    // It is gone if the database was closed meanwhile.
                    let _ = waiting.granted.send(());
                    self.waiting.remove(&entry.ticket);
                }
            }
            if entry.hold == Hold::Exclusive {
                break;
            }
        }
    }
}

/// Locks that a transaction has, until this is dropped (R10).
pub(super) struct Claim {
    locks: Arc<Locks>,
    ticket: Ticket,
    oids: Vec<Oid>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut state = self.locks.lock();
        for oid in &self.oids {
            if let Some(queue) = state.queues.get_mut(oid) {
                queue.retain(|entry| entry.ticket != self.ticket);
            }
            state.grant(*oid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Hold::{Exclusive, Shared};
    use super::*;

    fn ask(locks: &Arc<Locks>, wanted: &[(u64, Hold)]) -> std::thread::JoinHandle<Option<Claim>> {
        let before = locks.lock().tickets;
        let wanted = wanted.iter().map(|(oid, hold)| (Oid::new(*oid), *hold)).collect();
        let theirs = Arc::clone(locks);
        let thread = std::thread::spawn(move || theirs.claim(wanted));
        // It has its place.
        while locks.lock().tickets == before {
            std::thread::yield_now();
        }
        thread
    }

    fn waiting(locks: &Locks) -> Vec<Ticket> {
        locks.lock().waiting.keys().copied().collect()
    }

    #[test]
    fn those_who_asked_first_come_first() {
        let locks = Arc::new(Locks::default());
        let first = ask(&locks, &[(1, Exclusive), (2, Exclusive)]).join().unwrap().unwrap();
        let second = ask(&locks, &[(2, Exclusive), (3, Shared)]);
        let third = ask(&locks, &[(3, Exclusive)]);
        let fourth = ask(&locks, &[(1, Shared), (4, Shared)]);
        let fifth = ask(&locks, &[(4, Shared), (5, Exclusive)]).join().unwrap().unwrap();
        assert_eq!(waiting(&locks), [1, 2, 3]);
        drop(first);
        let second = second.join().unwrap().unwrap();
        let fourth = fourth.join().unwrap().unwrap();
        assert_eq!(waiting(&locks), [2]);
        drop(second);
        drop(third.join().unwrap().unwrap());
        drop((fourth, fifth));
        assert!(locks.is_empty());
    }

    #[test]
    fn nobody_waits_for_what_is_closed() {
        let locks = Arc::new(Locks::default());
        let first = ask(&locks, &[(1, Exclusive)]).join().unwrap().unwrap();
        let second = ask(&locks, &[(1, Exclusive)]);
        locks.close();
        assert!(second.join().unwrap().is_none());
        assert!(locks.claim(Vec::new()).is_none());
        drop(first);
        assert!(locks.is_empty());
    }
}
