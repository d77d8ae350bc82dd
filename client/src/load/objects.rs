//! Loads: answered by the cache, along with a load that asks the same, or by a storage.

use model::{Oid, Tid};
use net::Message;

use super::reads::{Place, Purpose, ReadId};
use crate::cache::Ticket;
use crate::error::Error;
use crate::machine::Client;
use crate::request::{Answer, Object, Revision, Token};

impl Client {
    pub(crate) fn load(&mut self, token: Token, oid: Oid, revision: Revision) {
        let Some(cache) = &self.cache else { return self.ask_for_object(token, oid, revision) };
        if let Some(object) = cache.load(oid, revision) {
            return self.complete(token, Ok(Answer::Object(object)));
        }
        let question = (revision, self.below(revision));
        match self.reads.asked(oid, question) {
            Some(joined) => joined.push(token),
            None => self.ask_for_object(token, oid, revision),
        }
    }

    /// Below which tid the newest revision is looked for. What is newer than the last tid was not
    /// told yet: nobody could know that the object changed with others (R22).
    pub(crate) fn newest_bound(&self) -> Option<Tid> {
        self.last_tid.map(following)
    }

    /// Has a load begin that waited for a primary master, which tells the last tid.
    pub(super) fn bound_read(&mut self, id: ReadId) {
        let bound = self.newest_bound();
        let Some(read) = self.reads.get_mut(id) else { return };
        let Purpose::Load { oid, revision, ticket, .. } = &mut read.purpose else { return };
        if let (Some(cache), Some(ticket)) = (&self.cache, ticket) {
            cache.give_up(*ticket);
            *ticket = cache.begin(*oid);
        }
        if let (Revision::Newest, Message::AskObject { before, .. }) =
            (*revision, &mut read.message)
        {
            *before = bound;
        }
    }

    /// Ends a load.
    pub(super) fn loaded(
        &mut self,
        mut token: Token,
        joined: Vec<Token>,
        ticket: Option<Ticket>,
        mut result: Result<Object, Error>,
    ) {
        if let (Some(cache), Some(ticket)) = (&self.cache, ticket) {
            match &mut result {
                // Who joined later may have been told of the next revision before.
                Ok(object) => object.next_serial = cache.answered(ticket, object),
                Err(_) => cache.give_up(ticket),
            }
        }
        let result = result.map(Answer::Object);
        for next in joined {
            self.complete(std::mem::replace(&mut token, next), result.clone());
        }
        self.complete(token, result);
    }

    /// Asks a storage.
    fn ask_for_object(&mut self, token: Token, oid: Oid, revision: Revision) {
        let before = self.below(revision);
        let at = match revision {
            Revision::At(tid) => Some(tid),
            Revision::Before(_) | Revision::Newest => None,
        };
        // Who asks for exactly one revision goes through all of them once.
        let cache = self.cache.as_ref().filter(|_| at.is_none());
        let ticket = cache.map(|cache| cache.begin(oid));
        let purpose = Purpose::Load { token, joined: Vec::new(), oid, revision, ticket };
        let message = Message::AskObject { oid, at, before };
        let id = self.reads.insert(purpose, Place::Oid(oid), message);
        if ticket.is_some() && self.is_told(revision) {
            self.reads.questions.insert(oid, ((revision, before), id));
        }
        self.try_read(id);
    }

    fn below(&self, revision: Revision) -> Option<Tid> {
        match revision {
            Revision::At(_) => None,
            Revision::Before(tid) => Some(tid),
            Revision::Newest => self.newest_bound(),
        }
    }

    /// Whether nothing that is told from now on can change the answer, so that it does not matter
    /// who asks first.
    fn is_told(&self, revision: Revision) -> bool {
        self.newest_bound().is_some_and(|bound| match revision {
            Revision::Before(tid) => tid <= bound,
            Revision::At(_) | Revision::Newest => true,
        })
    }
}

/// The next tid.
pub(crate) fn following(tid: Tid) -> Tid {
    Tid::new(tid.get().saturating_add(1))
}
