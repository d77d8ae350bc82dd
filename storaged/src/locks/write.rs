//! Write locks of objects: one holder, and requests that wait, the oldest transaction first.

use std::collections::BTreeMap;

use model::{Oid, Tid, Ttid};
use net::LinkId;

/// What is asked for with a lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RequestKind {
    /// A store, whose data the engine has already.
    Store {
        /// The revision it is based on.
        serial: Tid,
        /// Of an undo: the revision whose data it is.
        data_serial: Option<Tid>,
    },
    /// A check that a revision is still the newest.
    Check {
        /// The revision.
        serial: Tid,
    },
    /// The lock of an earlier store or check, taken again.
    Relock {
        /// The revision that was based on.
        serial: Tid,
    },
}

impl RequestKind {
    pub(crate) const fn serial(&self) -> Tid {
        match self {
            Self::Store { serial, .. } | Self::Check { serial } | Self::Relock { serial } => {
                *serial
            }
        }
    }
}

/// A request of a client that needs a write lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Request {
    /// From which connection.
    pub(crate) link: LinkId,
    /// For the answer.
    pub(crate) id: u32,
    /// The transaction.
    pub(crate) ttid: Ttid,
    /// The object.
    pub(crate) oid: Oid,
    /// What is asked for.
    pub(crate) kind: RequestKind,
}

/// What came of asking for a lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Claim {
    /// Nobody had it: it is held now, for as long as the request is checked.
    Taken,
    /// The transaction has it already.
    Held,
    /// The request waits for a transaction.
    Waits {
        /// Which.
        holder: Ttid,
    },
}

#[derive(Debug)]
struct Holder {
    ttid: Ttid,
    /// The request that took the lock, while the newest revision of the object is looked up.
    undecided: Option<(LinkId, u32)>,
}

#[derive(Debug, Default)]
struct Lock {
    holder: Option<Holder>,
    /// By transaction, those of one in the order in which they came.
    waiting: BTreeMap<(Ttid, u64), Request>,
}

/// The write locks. A transaction has a lock from its first store or check of the object, to its
/// end; no lock outlives its transaction.
#[derive(Debug, Default)]
pub(crate) struct WriteLocks {
    locks: BTreeMap<Oid, Lock>,
    orders: u64,
}

impl WriteLocks {
    /// Asks for a lock. What waits comes back from [`WriteLocks::next`].
    pub(crate) fn claim(&mut self, request: Request) -> Claim {
        let Request { ttid, oid, .. } = request;
        let lock = self.locks.entry(oid).or_default();
        let claim = match &lock.holder {
            None => {
                let undecided = Some((request.link, request.id));
                lock.holder = Some(Holder { ttid, undecided });
                return Claim::Taken;
            }
            Some(Holder { ttid: holder, undecided: None }) if *holder == ttid => {
                return Claim::Held;
            }
            Some(Holder { ttid: holder, .. }) => Claim::Waits { holder: *holder },
        };
        self.enqueue(request);
        claim
    }

    /// Lets a request wait, whoever has the lock.
    pub(crate) fn enqueue(&mut self, request: Request) {
        self.orders += 1;
        let lock = self.locks.entry(request.oid).or_default();
        lock.waiting.insert((request.ttid, self.orders), request);
    }

    /// The holder's request was decided in its favour.
    pub(crate) fn decide(&mut self, oid: Oid, ttid: Ttid) {
        let holder = self.locks.get_mut(&oid).and_then(|lock| lock.holder.as_mut());
        if let Some(holder) = holder.filter(|holder| holder.ttid == ttid) {
            holder.undecided = None;
        }
    }

    /// Whether a transaction waits for an object that is older than a given one.
    pub(crate) fn older_waits(&self, oid: Oid, ttid: Ttid) -> bool {
        let waiting = self.locks.get(&oid).and_then(|lock| lock.waiting.keys().next());
        waiting.is_some_and(|(oldest, _)| *oldest < ttid)
    }

    /// Whether the lock is held for this request, which is not decided.
    pub(crate) fn is_deciding(&self, request: &Request) -> bool {
        let holder = self.locks.get(&request.oid).and_then(|lock| lock.holder.as_ref());
        holder.is_some_and(|holder| holder.undecided == Some((request.link, request.id)))
    }

    /// Who has the lock of an object.
    pub(crate) fn holder(&self, oid: Oid) -> Option<Ttid> {
        self.locks.get(&oid)?.holder.as_ref().map(|holder| holder.ttid)
    }

    /// Whether the transaction has the lock, for sure.
    pub(crate) fn is_held(&self, oid: Oid, ttid: Ttid) -> bool {
        let holder = self.locks.get(&oid).and_then(|lock| lock.holder.as_ref());
        holder.is_some_and(|holder| holder.ttid == ttid && holder.undecided.is_none())
    }

    /// Gives a lock back. Whether the transaction had it.
    pub(crate) fn release(&mut self, oid: Oid, ttid: Ttid) -> bool {
        let Some(lock) = self.locks.get_mut(&oid) else { return false };
        let is_held = lock.holder.as_ref().is_some_and(|holder| holder.ttid == ttid);
        if is_held {
            lock.holder = None;
            self.forget_unused(oid);
        }
        is_held
    }

    /// The request whose turn it is, if one can go on: one of the holder, or the oldest of all if
    /// there is no holder.
    pub(crate) fn next(&mut self, oid: Oid) -> Option<Request> {
        let lock = self.locks.get_mut(&oid)?;
        let key = match &lock.holder {
            None => *lock.waiting.keys().next()?,
            Some(Holder { undecided: Some(_), .. }) => return None,
            Some(Holder { ttid, .. }) => {
                *lock.waiting.range((*ttid, 0)..=(*ttid, u64::MAX)).next()?.0
            }
        };
        let request = lock.waiting.remove(&key);
        self.forget_unused(oid);
        request
    }

    /// Takes out what a transaction has waiting for an object.
    pub(crate) fn withdraw(&mut self, oid: Oid, ttid: Ttid) -> Vec<Request> {
        let Some(lock) = self.locks.get_mut(&oid) else { return Vec::new() };
        let taken = lock.waiting.extract_if((ttid, 0)..=(ttid, u64::MAX), |_, _| true);
        let taken = taken.map(|(_, request)| request).collect();
        self.forget_unused(oid);
        taken
    }

    /// Takes out all that waits for an object.
    pub(crate) fn withdraw_all(&mut self, oid: Oid) -> Vec<Request> {
        let Some(lock) = self.locks.get_mut(&oid) else { return Vec::new() };
        let taken = std::mem::take(&mut lock.waiting).into_values().collect();
        self.forget_unused(oid);
        taken
    }

    /// Objects with a lock or something that waits for one.
    pub(crate) fn oids(&self) -> impl Iterator<Item = Oid> {
        self.locks.keys().copied()
    }

    /// All holders.
    pub(crate) fn holders(&self) -> impl Iterator<Item = (Oid, Ttid)> {
        self.locks.iter().filter_map(|(oid, lock)| Some((*oid, lock.holder.as_ref()?.ttid)))
    }

    /// All requests that wait.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Request> {
        self.locks.values().flat_map(|lock| lock.waiting.values())
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.locks.clear();
    }

    fn forget_unused(&mut self, oid: Oid) {
        let unused = |lock: &Lock| lock.holder.is_none() && lock.waiting.is_empty();
        if self.locks.get(&oid).is_some_and(unused) {
            self.locks.remove(&oid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(ttid: u64, id: u32) -> Request {
        let kind = RequestKind::Check { serial: Tid::ZERO };
        Request { link: LinkId::accepted(1), id, ttid: Ttid::new(ttid), oid: Oid::new(1), kind }
    }

    #[test]
    fn r9_the_oldest_is_next() {
        let (mut locks, oid) = (WriteLocks::default(), Oid::new(1));
        assert_eq!(locks.claim(request(5, 0)), Claim::Taken);
        let waits = Claim::Waits { holder: Ttid::new(5) };
        assert_eq!(locks.claim(request(3, 1)), waits);
        assert!(!locks.is_held(oid, Ttid::new(5)));
        locks.decide(oid, Ttid::new(5));
        assert!(locks.is_held(oid, Ttid::new(5)) && locks.older_waits(oid, Ttid::new(5)));
        assert_eq!(locks.claim(request(9, 2)), waits);
        assert_eq!(locks.claim(request(2, 3)), waits);
        assert_eq!(locks.claim(request(5, 4)), Claim::Held);
        assert_eq!(locks.next(oid), None);
        assert!(locks.release(oid, Ttid::new(5)));
        for (ttid, id) in [(2, 3), (3, 1), (9, 2)] {
            assert_eq!(locks.next(oid), Some(request(ttid, id)));
        }
        assert_eq!(locks.oids().count(), 0, "R10: nothing is left");
    }

    #[test]
    fn the_holders_own_requests_go_before_older_ones() {
        let (mut locks, oid) = (WriteLocks::default(), Oid::new(1));
        assert_eq!(locks.claim(request(5, 0)), Claim::Taken);
        locks.claim(request(3, 1));
        locks.claim(request(5, 2));
        assert_eq!(locks.next(oid), None, "the first one is not decided");
        locks.decide(oid, Ttid::new(5));
        assert_eq!(locks.next(oid), Some(request(5, 2)));
        assert_eq!(locks.next(oid), None);
        assert_eq!(locks.withdraw(oid, Ttid::new(3)), [request(3, 1)]);
        assert!(locks.is_held(oid, Ttid::new(5)));
    }
}
