//! Reading, and what else is no part of a transaction.

use model::{Oid, Tid};
use net::PackOrder;

use super::iterate::{Objects, Oids, Transactions};
use super::open::Session;
use crate::error::Error;
use crate::request::{Answer, Object, Request, Revision, TransactionInformation};
use crate::walk::{OidCursor, TransactionCursor};

impl Session {
    /// Loads the newest revision that is not later than the last tid.
    ///
    /// # Errors
    /// [`Error::NoSuchObject`], [`Error::NoSuchRevision`], [`Error::WrongChecksum`], or of the
    /// network.
    pub fn load(&self, oid: Oid) -> Result<Object, Error> {
        self.load_revision(oid, Revision::Newest)
    }

    /// Loads the newest revision before a tid.
    ///
    /// # Errors
    /// Like [`Session::load`].
    pub fn load_before(&self, oid: Oid, tid: Tid) -> Result<Object, Error> {
        self.load_revision(oid, Revision::Before(tid))
    }

    /// Loads one revision.
    ///
    /// # Errors
    /// Like [`Session::load`].
    pub fn load_at(&self, oid: Oid, tid: Tid) -> Result<Object, Error> {
        self.load_revision(oid, Revision::At(tid))
    }

    /// Loads a revision.
    ///
    /// # Errors
    /// Like [`Session::load`].
    pub fn load_revision(&self, oid: Oid, revision: Revision) -> Result<Object, Error> {
        if let Some(object) = self.cached(oid, revision) {
            return Ok(object);
        }
        match self.shared.request(Request::Load { oid, revision })? {
            Answer::Object(object) => Ok(object),
            answer => wrong(&answer),
        }
    }

    /// At most `count` revisions of an object, newest first, with the lengths of their data as it
    /// is kept.
    ///
    /// # Errors
    /// [`Error::NoSuchObject`], or of the network.
    pub fn history(&self, oid: Oid, count: u64) -> Result<Vec<(Tid, u64)>, Error> {
        self.history_before(oid, None, count)
    }

    /// The same, of revisions below a tid: for who sees the database as it was.
    ///
    /// # Errors
    /// Like [`Session::history`].
    pub fn history_before(
        &self,
        oid: Oid,
        before: Option<Tid>,
        count: u64,
    ) -> Result<Vec<(Tid, u64)>, Error> {
        match self.shared.request(Request::History { oid, before, first: 0, last: count })? {
            Answer::History(revisions) => Ok(revisions),
            answer => wrong(&answer),
        }
    }

    /// Metadata of a transaction.
    ///
    /// # Errors
    /// [`Error::NoSuchTransaction`], or of the network.
    pub fn transaction(&self, tid: Tid) -> Result<TransactionInformation, Error> {
        match self.shared.request(Request::TransactionInformation { tid })? {
            Answer::Transaction(information) => Ok(information),
            answer => wrong(&answer),
        }
    }

    /// Transactions from the `first`-th newest one on, up to the `last`-th, excluded.
    ///
    /// # Errors
    /// Of the network.
    pub fn undo_log(&self, first: u64, last: u64) -> Result<Vec<TransactionInformation>, Error> {
        self.undo_log_before(None, first, last)
    }

    /// The same, of transactions below a tid: for who sees the database as it was.
    ///
    /// # Errors
    /// Of the network.
    pub fn undo_log_before(
        &self,
        before: Option<Tid>,
        first: u64,
        last: u64,
    ) -> Result<Vec<TransactionInformation>, Error> {
        match self.shared.request(Request::UndoLog { before, first, last })? {
            Answer::UndoLog(transactions) => Ok(transactions),
            answer => wrong(&answer),
        }
    }

    /// Transactions from a tid on, up to another one or to the last one, in order.
    pub fn transactions(&self, tid_min: Tid, tid_max: Option<Tid>) -> Transactions {
        Transactions::new(self.clone(), TransactionCursor::new(tid_min, tid_max))
    }

    /// What a transaction stored, in the order in which it did. What was packed away since is left
    /// out.
    pub fn objects_of(&self, transaction: &TransactionInformation) -> Objects {
        Objects::new(self.clone(), transaction.tid, transaction.oids.clone())
    }

    /// Objects from an oid on that have data at a tid, or at the last one, in order.
    pub fn oids(&self, oid_min: Oid, tid: Option<Tid>) -> Oids {
        Oids::new(self.clone(), OidCursor::new(oid_min, tid))
    }

    /// The last committed transaction, as the primary master knows it.
    ///
    /// # Errors
    /// Of the network.
    pub fn ask_last_tid(&self) -> Result<Tid, Error> {
        match self.shared.request(Request::LastTid)? {
            Answer::LastTid(tid) => Ok(tid),
            answer => wrong(&answer),
        }
    }

    /// Waits until the session knows of everything that was committed when it was called.
    ///
    /// # Errors
    /// Of the network.
    pub fn synchronize(&self) -> Result<(), Error> {
        self.shared.request(Request::Synchronize).map(drop)
    }

    /// New oids.
    ///
    /// # Errors
    /// [`Error::ReadOnly`], or of the network.
    pub fn new_oids(&self, count: u32) -> Result<Vec<Oid>, Error> {
        match self.shared.request(Request::NewOids { count })? {
            Answer::NewOids(oids) => Ok(oids),
            answer => wrong(&answer),
        }
    }

    /// Pack orders from an id on.
    ///
    /// # Errors
    /// Of the network.
    pub fn pack_orders(&self, first_id: Tid) -> Result<Vec<PackOrder>, Error> {
        match self.shared.request(Request::PackOrders { first_id })? {
            Answer::PackOrders(orders) => Ok(orders),
            answer => wrong(&answer),
        }
    }

    /// Waits until a pack is completed.
    ///
    /// # Errors
    /// Of the network.
    pub fn wait_for_pack(&self, pack_id: Tid) -> Result<(), Error> {
        self.shared.request(Request::WaitForPack { pack_id }).map(drop)
    }
}

/// The machine gives the answer that belongs to the request.
pub(super) fn wrong(answer: &Answer) -> ! {
    unreachable!("the answer is of another request: {answer:?}")
}
