//! Requests that write: of one object, a transaction's are carried out and answered one after the
//! other, in the order in which they came.
//!
//! Clients rely on it: a store that follows a conflict must not overtake the answer to an earlier
//! store or relock, which would then be about something that is over.

use model::{Oid, Tid, Ttid};
use net::{ErrorCode, LinkId, Message};

use super::store::Store;
use crate::locks::{Request, RequestKind};
use crate::machine::Storage;

/// Requests of one object that a transaction may have waiting: there is one more with each conflict
/// that another replica finds first.
const DEFERRED_MAX: usize = 16;

/// A request that needs a write lock.
pub(crate) enum WriteRequest {
    /// A store.
    Store(Store),
    /// A check that a revision is still the newest.
    Check {
        /// From which connection.
        link: LinkId,
        /// For the answer.
        id: u32,
        /// The revision.
        serial: Tid,
    },
    /// A lock taken again.
    Relock {
        /// From which connection.
        link: LinkId,
        /// For the answer.
        id: u32,
    },
}

impl WriteRequest {
    fn origin(&self) -> (LinkId, u32) {
        match self {
            Self::Store(store) => (store.link, store.id),
            Self::Check { link, id, .. } | Self::Relock { link, id } => (*link, *id),
        }
    }
}

impl Storage {
    /// Carries out a request, now or behind those that came before.
    pub(super) fn queue_write(&mut self, ttid: Ttid, oid: Oid, request: WriteRequest) {
        let Some(transaction) = self.transactions.get_mut(ttid) else { return };
        if transaction.deferred(oid) >= DEFERRED_MAX {
            let (link, id) = request.origin();
            let text = format!("{ttid}: too many requests of {oid} at once");
            return self.refuse_peer(link, id, ErrorCode::ProtocolError, text);
        }
        if let Some(request) = transaction.begin(oid, request) {
            self.run_write(ttid, oid, request);
        }
    }

    fn run_write(&mut self, ttid: Ttid, oid: Oid, request: WriteRequest) {
        match request {
            WriteRequest::Store(store) => self.run_store(store),
            WriteRequest::Check { link, id, serial } => {
                let kind = RequestKind::Check { serial };
                self.attempt(Request { link, id, ttid, oid, kind });
            }
            WriteRequest::Relock { link, id } => self.run_relock(link, id, ttid, oid),
        }
    }

    /// A request was answered: the next one of the same object goes on.
    pub(super) fn finish_write(&mut self, ttid: Ttid, oid: Oid) {
        let transaction = self.transactions.get_mut(ttid);
        if let Some(next) = transaction.and_then(|transaction| transaction.finish(oid)) {
            // Not at once: the calls would pile up.
            self.deferred.push_back((ttid, oid, next));
        } else if self.write_locks.is_held(oid, ttid) && self.write_locks.older_waits(oid, ttid) {
            self.ask_to_relock(ttid, oid);
        }
    }

    /// Goes on with requests that waited for earlier ones.
    pub(crate) fn run_deferred(&mut self) {
        for _ in 0..self.deferred.len() {
            let Some((ttid, oid, request)) = self.deferred.pop_front() else { return };
            match self.transactions.get(ttid) {
                None => self.forget_write(&request),
                Some(_) => self.run_write(ttid, oid, request),
            }
            self.submitted = true;
        }
    }

    /// The transaction of a request is over.
    pub(super) fn forget_write(&mut self, request: &WriteRequest) {
        let (link, id) = request.origin();
        let conflict = Some(Tid::ZERO);
        let answer = match request {
            WriteRequest::Store(_) => Message::AnswerStoreObject { conflict },
            WriteRequest::Check { .. } => Message::AnswerCheckCurrentSerial { conflict },
            WriteRequest::Relock { .. } => Message::AnswerRelockObject { conflict: None },
        };
        self.links.answer(link, id, &answer);
    }
}
