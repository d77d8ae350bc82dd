//! Transactions.

use model::{Oid, Tid, Ttid};
use net::PackRequest;

use super::driver::Reply;
use super::open::Session;
use super::read::wrong;
use super::resolve::{Resolver, resolve};
use crate::error::{Error, UndoFailure};
use crate::payload::Payload;
use crate::request::{Answer, Conflict, Metadata, Request};

impl Session {
    /// Begins a transaction.
    ///
    /// # Errors
    /// [`Error::ReadOnly`], or of the network.
    pub fn begin(&self) -> Result<Transaction, Error> {
        Transaction::begin(self, None)
    }

    /// Begins a transaction that is to have a certain tid, later than the last one. There may be no
    /// other one in progress in the whole cluster.
    ///
    /// # Errors
    /// Like [`Session::begin`]; [`Error::Peer`] if that tid is not possible.
    pub fn begin_at(&self, tid: Tid) -> Result<Transaction, Error> {
        Transaction::begin(self, Some(tid))
    }

    /// Orders what is older than a transaction to be packed: all objects, or some. Returns the id
    /// of the order, by which it can be waited for.
    ///
    /// # Errors
    /// Like a commit.
    pub fn pack(&self, tid: Tid, oids: Option<Vec<Oid>>) -> Result<Tid, Error> {
        let mut transaction = self.begin()?;
        transaction.pack = Some(PackRequest { oids: oids.map(Into::into), tid });
        transaction.commit(Metadata::default())
    }
}

/// A transaction. Dropped before it is finished, it is aborted.
///
/// Conflicts are found out about some time after a store, at the vote at the latest: any method may
/// fail with one. The transaction is aborted then, as with all other errors but those that say that
/// a request was out of turn.
pub struct Transaction {
    session: Session,
    ttid: Ttid,
    resolver: Option<Box<dyn Resolver + Send>>,
    pack: Option<PackRequest>,
    is_ended: bool,
}

impl Transaction {
    fn begin(session: &Session, tid: Option<Tid>) -> Result<Self, Error> {
        match session.shared.request(Request::Begin { tid })? {
            Answer::Begun(ttid) => {
                let session = session.clone();
                Ok(Self { session, ttid, resolver: None, pack: None, is_ended: false })
            }
            answer => wrong(&answer),
        }
    }

    /// Its id, until it gets its tid.
    pub fn ttid(&self) -> Ttid {
        self.ttid
    }

    /// Has conflicts resolved from now on.
    pub fn set_resolver(&mut self, resolver: impl Resolver + Send + 'static) {
        self.resolver = Some(Box::new(resolver));
    }

    /// Stores an object that is based on a revision; `Tid::ZERO` for a new one.
    ///
    /// # Errors
    /// Of the network, or conflicts.
    pub fn store(&mut self, oid: Oid, serial: Tid, data: Payload) -> Result<(), Error> {
        self.request(Request::Store { ttid: self.ttid, oid, serial, data: Some(data) }).map(drop)
    }

    /// Deletes an object of which a revision is known.
    ///
    /// # Errors
    /// Like [`Transaction::store`].
    pub fn delete(&mut self, oid: Oid, serial: Tid) -> Result<(), Error> {
        self.request(Request::Store { ttid: self.ttid, oid, serial, data: None }).map(drop)
    }

    /// Checks that a revision is the newest one and stays it until the commit.
    ///
    /// # Errors
    /// Like [`Transaction::store`].
    pub fn check_current(&mut self, oid: Oid, serial: Tid) -> Result<(), Error> {
        self.request(Request::Check { ttid: self.ttid, oid, serial }).map(drop)
    }

    /// Undoes an earlier transaction. Returns the objects that were undone.
    ///
    /// # Errors
    /// [`Error::Undo`], and those of [`Transaction::store`].
    pub fn undo(&mut self, tid: Tid) -> Result<Vec<Oid>, Error> {
        match self.request(Request::Undo { ttid: self.ttid, tid })? {
            Answer::Undone(oids) => Ok(oids),
            answer => wrong(&answer),
        }
    }

    /// Makes everything durable and finds out whether it can be committed. Returns the objects of
    /// which conflicts were resolved.
    ///
    /// # Errors
    /// Of the network, or conflicts.
    pub fn vote(&mut self, metadata: Metadata) -> Result<Vec<Oid>, Error> {
        let pack = self.pack.take();
        match self.request(Request::Vote { ttid: self.ttid, metadata, pack })? {
            Answer::Voted(resolved) => Ok(resolved),
            answer => wrong(&answer),
        }
    }

    /// Commits what was voted.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] if it may be committed all the same; with all others it is not.
    pub fn finish(mut self) -> Result<Tid, Error> {
        match self.request(Request::Finish { ttid: self.ttid })? {
            Answer::Finished(tid) => {
                self.is_ended = true;
                Ok(tid)
            }
            answer => wrong(&answer),
        }
    }

    /// Votes and finishes.
    ///
    /// # Errors
    /// Like both.
    pub fn commit(mut self, metadata: Metadata) -> Result<Tid, Error> {
        self.vote(metadata)?;
        self.finish()
    }

    /// Drops the transaction.
    pub fn abort(self) {}

    /// Has a request carried out, and conflicts resolved while that takes.
    fn request(&mut self, request: Request) -> Result<Answer, Error> {
        if self.is_ended {
            return Err(Error::NotBegun { ttid: self.ttid });
        }
        let mailbox = self.session.shared.submit_later(request);
        loop {
            match self.session.shared.wait(&mailbox)? {
                Reply::Done(result) => return result,
                Reply::Conflict(conflict) => {
                    if let Err(error) = self.resolve(&conflict) {
                        self.end();
                        return Err(error);
                    }
                }
            }
        }
    }

    fn resolve(&mut self, conflict: &Conflict) -> Result<(), Error> {
        let Conflict { ttid, oid, serial, conflict_serial, .. } = *conflict;
        let data = match resolve(&self.session, self.resolver.as_mut(), conflict)? {
            Some(data) => Some(data),
            None if conflict.data.is_none() && conflict.data_serial.is_some() => {
                let reason = UndoFailure::Changed;
                return Err(Error::Undo { tid: serial, oid: Some(oid), reason });
            }
            None => return Err(Error::Conflict { oid, serial, conflict_serial }),
        };
        self.session.shared.request(Request::Resolve { ttid, oid, data }).map(drop)
    }

    fn end(&mut self) {
        if !self.is_ended {
            self.is_ended = true;
            self.session.shared.submit(Request::Abort { ttid: self.ttid });
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.end();
    }
}
