//! The beginning of a transaction, and whether requests are possible.

use model::{Tid, Ttid};
use net::Message;

use super::transaction::{Phase, Transaction};
use crate::error::Error;
use crate::machine::Client;
use crate::master::MasterStage;
use crate::note::MasterRequest;
use crate::request::{Answer, Token};

impl Client {
    /// A transaction has begun, with a tid that was asked for, or without.
    pub(crate) fn begun(&mut self, token: Token, tid: Option<Tid>, ttid: Ttid) {
        if self.transactions.contains_key(&ttid) {
            // Given again by a master that lost its log. The former one is not over for its caller.
            tracing::warn!(%ttid, "a master gave the id of another transaction");
            if let MasterStage::Ready { link, .. } = self.master.stage {
                self.links.send(link, &Message::AbortTransaction { ttid, nids: Vec::new() });
            }
            return match tid {
                None => self.ask_master(MasterRequest::Begin { token, tid }),
                Some(_) => self.complete(token, Err(Error::OutOfTurn { ttid })),
            };
        }
        self.transactions.insert(ttid, Transaction::new(ttid, self.options.cache_bytes));
        self.complete(token, Ok(Answer::Begun(ttid)));
    }

    /// The transaction, if it is open; fails the request if not.
    pub(super) fn open_transaction(
        &mut self,
        token: Token,
        ttid: Ttid,
    ) -> Option<&mut Transaction> {
        let error = match self.transactions.get(&ttid) {
            None => Error::NotBegun { ttid },
            Some(Transaction { phase: Phase::Failed(error), .. }) => error.clone(),
            Some(Transaction { phase: Phase::Open, ballot: None, .. }) => {
                return self.transactions.get_mut(&ttid);
            }
            Some(_) => Error::OutOfTurn { ttid },
        };
        self.complete(token, Err(error));
        None
    }

    /// The transaction, if storages may still answer for its objects.
    pub(super) fn storing(&mut self, ttid: Ttid) -> Option<&mut Transaction> {
        self.transactions.get_mut(&ttid).filter(|transaction| transaction.phase == Phase::Open)
    }

    /// Goes on with what waited for answers: accepts stores, undoes on, votes.
    pub(super) fn progress(&mut self, ttid: Ttid) {
        self.unblock(ttid);
        self.advance_undo(ttid);
        let Some(transaction) = self.storing(ttid) else { return };
        let is_stored = transaction.open.is_empty()
            && transaction.conflicts.is_empty()
            && transaction.relocks.is_empty()
            && transaction.undo.is_none();
        if is_stored && transaction.ballot.is_some() {
            self.begin_voting(ttid);
        }
    }
}
