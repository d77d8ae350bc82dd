//! A transaction of a program.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use client::{Answer, Conflict, Error, Metadata, Payload, Request, Revision};
use model::{Oid, Tid, Ttid};

use super::desk::{Desk, Heard};
use super::session::wrong;
use crate::sim::History;
use crate::sim::history::{AttemptId, Failed, Fate, Write};

/// Makes one of two changes of an object: of the data both were made from, what was committed, and
/// what is to be stored.
pub(super) type Merge = fn(&[u8], &[u8], &[u8]) -> Vec<u8>;

/// A transaction, of which everything is noted. Dropped before its end, it is aborted.
pub(super) struct Transaction {
    desk: Rc<Desk>,
    history: Rc<RefCell<History>>,
    attempt: AttemptId,
    ttid: Ttid,
    name: String,
    merge: Option<Merge>,
    is_over: bool,
}

impl Transaction {
    pub(super) async fn begin(
        desk: Rc<Desk>,
        history: Rc<RefCell<History>>,
        name: String,
    ) -> Result<Self, Error> {
        let attempt = history.borrow_mut().begin(name.clone());
        let ticket = desk.ask(Request::Begin { tid: None });
        let ttid = match desk.answer(ticket).await {
            Ok(Answer::Begun(ttid)) => ttid,
            Ok(answer) => wrong(&answer),
            Err(error) => {
                history.borrow_mut().ended(attempt, Fate::Failed(error.clone()));
                return Err(error);
            }
        };
        let moment = history.borrow_mut().moment();
        history.borrow_mut().attempt(attempt).ttid = Some((ttid, moment));
        Ok(Self { desk, history, attempt, ttid, name, merge: None, is_over: false })
    }

    /// Has conflicts resolved.
    pub(super) fn merge_by(&mut self, merge: Merge) {
        self.merge = Some(merge);
    }

    /// Stores an object, based on a revision.
    pub(super) async fn store(
        &mut self,
        oid: Oid,
        serial: Tid,
        data: Option<Vec<u8>>,
    ) -> Result<(), Error> {
        let data = data.map(Bytes::from);
        self.note_write(oid, Write { base: serial, data: data.clone() });
        let (ttid, data) = (self.ttid, data.map(Payload::compressed));
        self.ask(Request::Store { ttid, oid, serial, data }).await.map(drop)
    }

    /// Has it checked that a revision is the newest until the commit.
    pub(super) async fn check(&mut self, oid: Oid, serial: Tid) -> Result<(), Error> {
        self.history.borrow_mut().attempt(self.attempt).checks.insert(oid, serial);
        let ttid = self.ttid;
        self.ask(Request::Check { ttid, oid, serial }).await.map(drop)
    }

    /// Undoes another transaction.
    pub(super) async fn undo(&mut self, tid: Tid) -> Result<(), Error> {
        match self.ask(Request::Undo { ttid: self.ttid, tid }).await? {
            Answer::Undone(oids) => {
                self.history.borrow_mut().attempt(self.attempt).undone.push((tid, oids));
                Ok(())
            }
            answer => wrong(&answer),
        }
    }

    /// Finds out whether it can be committed.
    pub(super) async fn vote(&mut self) -> Result<(), Error> {
        let description = Bytes::from(self.name.clone());
        // What it is called is told a second time in other words, so that mixed up ones are seen.
        let extension = Bytes::from(format!("{} of {}", self.ttid, self.name));
        let metadata = Metadata { description, extension, ..Metadata::default() };
        self.ask(Request::Vote { ttid: self.ttid, metadata, pack: None }).await.map(drop)
    }

    /// Commits it.
    pub(super) async fn finish(mut self) -> Result<Tid, Error> {
        let moment = self.history.borrow_mut().moment();
        self.history.borrow_mut().attempt(self.attempt).finishing = Some(moment);
        match self.ask(Request::Finish { ttid: self.ttid }).await? {
            Answer::Finished(tid) => {
                self.end(Fate::Committed(tid));
                Ok(tid)
            }
            answer => wrong(&answer),
        }
    }

    /// Votes and finishes.
    pub(super) async fn commit(mut self) -> Result<Tid, Error> {
        self.vote().await?;
        self.finish().await
    }

    /// Waits for an answer, and resolves conflicts meanwhile, if it can.
    async fn ask(&mut self, request: Request) -> Result<Answer, Error> {
        let ticket = self.desk.ask(request);
        loop {
            let error = match self.desk.hear(ticket, self.ttid).await {
                Heard::Answer(Ok(answer)) => return Ok(answer),
                Heard::Answer(Err(error)) => error,
                Heard::Conflict(conflict) => match self.resolve(&conflict).await {
                    Ok(()) => continue,
                    Err(error) => error,
                },
            };
            self.end(match error {
                Error::OutcomeUnknown { .. } => {
                    self.note_failure(&error);
                    Fate::Unknown
                }
                _ => Fate::Failed(error.clone()),
            });
            return Err(error);
        }
    }

    async fn resolve(&mut self, conflict: &Conflict) -> Result<(), Error> {
        let Conflict { ttid, oid, serial, conflict_serial, .. } = *conflict;
        let (Some(merge), Some(Payload { .. })) = (self.merge, &conflict.data) else {
            return Err(Error::Conflict { oid, serial, conflict_serial });
        };
        let old = self.load_at(oid, serial).await?;
        let committed = self.load_at(oid, conflict_serial).await?;
        let new = conflict.data.as_ref().map(Payload::bytes).transpose()?.unwrap_or_default();
        let merged = Bytes::from(merge(&old, &committed, &new));
        let write = Write { base: conflict_serial, data: Some(merged.clone()) };
        self.note_write(oid, write);
        let data = Some(Payload::compressed(merged));
        let ticket = self.desk.ask(Request::Resolve { ttid, oid, data });
        self.desk.answer(ticket).await.map(drop)
    }

    async fn load_at(&self, oid: Oid, serial: Tid) -> Result<Bytes, Error> {
        let ticket = self.desk.ask(Request::Load { oid, revision: Revision::At(serial) });
        match self.desk.answer(ticket).await? {
            Answer::Object(object) => {
                object.data.as_ref().map_or_else(|| Ok(Bytes::new()), Payload::bytes)
            }
            answer => wrong(&answer),
        }
    }

    fn note_failure(&self, error: &Error) {
        let (reader, what) = (self.name.clone(), String::from("the outcome"));
        let failed = Failed { reader, what, error: error.clone() };
        self.history.borrow_mut().failed.push(failed);
    }

    fn note_write(&self, oid: Oid, write: Write) {
        self.history.borrow_mut().attempt(self.attempt).writes.insert(oid, write);
    }

    fn end(&mut self, fate: Fate) {
        self.is_over = true;
        match fate {
            Fate::Committed(tid) => self.desk.commits(tid),
            _ => self.desk.ask_in_passing(Request::Abort { ttid: self.ttid }),
        }
        self.history.borrow_mut().ended(self.attempt, fate);
        self.desk.forget(self.ttid);
    }
}

impl Drop for Transaction {
    /// What the program was at stays unknown if the process ends.
    fn drop(&mut self) {
        if !self.is_over {
            self.end(Fate::Unknown);
        }
    }
}
