//! Iteration.

use std::collections::VecDeque;

use model::{Oid, Tid};

use super::driver::Reply;
use super::mailbox::Mailbox;
use super::open::Session;
use super::read::wrong;
use crate::error::{Error, Trouble};
use crate::request::{Answer, Object, Request, Revision, TransactionInformation};
use crate::walk::{OidCursor, TransactionCursor};

/// Transactions that are read at once.
const TRANSACTIONS_MAX: usize = 100;
/// Oids that are read at once.
const OIDS_MAX: usize = 10_000;
/// Objects that are loaded ahead.
const LOADS_MAX: usize = 32;

/// Transactions, in order. Ends with the first error.
pub struct Transactions {
    session: Session,
    cursor: Option<TransactionCursor>,
    ahead: VecDeque<TransactionInformation>,
}

impl Transactions {
    pub(super) fn new(session: Session, cursor: TransactionCursor) -> Self {
        Self { session, cursor: Some(cursor), ahead: VecDeque::new() }
    }
}

impl Iterator for Transactions {
    type Item = Result<TransactionInformation, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.ahead.is_empty() {
            let cursor = self.cursor.take()?;
            let request = Request::Transactions { cursor, count_max: TRANSACTIONS_MAX };
            match self.session.shared.request(request) {
                Ok(Answer::Transactions(transactions, cursor)) => {
                    self.ahead.extend(transactions);
                    self.cursor = cursor;
                }
                Ok(answer) => wrong(&answer),
                Err(error) => return Some(Err(error)),
            }
        }
        self.ahead.pop_front().map(Ok)
    }
}

/// Oids, in order. Ends with the first error.
pub struct Oids {
    session: Session,
    cursor: Option<OidCursor>,
    ahead: VecDeque<Oid>,
}

impl Oids {
    pub(super) fn new(session: Session, cursor: OidCursor) -> Self {
        Self { session, cursor: Some(cursor), ahead: VecDeque::new() }
    }
}

impl Iterator for Oids {
    type Item = Result<Oid, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.ahead.is_empty() {
            let cursor = self.cursor.take()?;
            match self.session.shared.request(Request::Oids { cursor, count_max: OIDS_MAX }) {
                Ok(Answer::Oids(oids, cursor)) => {
                    self.ahead.extend(oids);
                    self.cursor = cursor;
                }
                Ok(answer) => wrong(&answer),
                Err(error) => return Some(Err(error)),
            }
        }
        self.ahead.pop_front().map(Ok)
    }
}

/// Objects of a transaction, loaded some ahead.
pub struct Objects {
    session: Session,
    tid: Tid,
    oids: VecDeque<Oid>,
    ahead: VecDeque<Mailbox>,
}

impl Objects {
    pub(super) fn new(session: Session, tid: Tid, oids: Vec<Oid>) -> Self {
        Self { session, tid, oids: oids.into(), ahead: VecDeque::new() }
    }

    fn load_ahead(&mut self) {
        while self.ahead.len() < LOADS_MAX
            && let Some(oid) = self.oids.pop_front()
        {
            let request = Request::Load { oid, revision: Revision::At(self.tid) };
            self.ahead.push_back(self.session.shared.submit_later(request));
        }
    }
}

impl Iterator for Objects {
    type Item = Result<Object, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.load_ahead();
            let mailbox = self.ahead.pop_front()?;
            return match self.session.shared.wait(&mailbox) {
                Ok(Reply::Done(Ok(Answer::Object(object)))) => Some(Ok(object)),
                Ok(Reply::Done(Ok(answer))) => wrong(&answer),
                Ok(Reply::Done(Err(error))) if error.trouble() == Trouble::Missing => continue,
                Ok(Reply::Conflict(conflict)) => unreachable!("{conflict:?} of a load"),
                Ok(Reply::Done(Err(error))) | Err(error) => Some(Err(error)),
            };
        }
    }
}
