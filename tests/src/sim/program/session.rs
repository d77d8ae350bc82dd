//! What a program has of its client.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use client::{Answer, Error, Payload, Request, Revision};
use model::{Oid, Random, Tid};

use super::desk::Desk;
use super::transaction::Transaction;
use crate::sim::History;
use crate::sim::history::{Failed, Found, Read, Synchronized, Walk, Walked};

/// Programs do the next thing at the same time as others at multiples of this.
const BEAT: Duration = Duration::from_millis(250);
/// How many of the last commits are recent.
const RECENT: usize = 60;
/// Longest rest between two things.
const REST_MAX_MS: u64 = 600;
/// Longest pause in the middle of a thing.
const HESITATION_MAX_MS: u64 = 30;

/// A client as a program sees it: requests to wait for, of which each is noted in the history.
pub(super) struct Session {
    desk: Rc<Desk>,
    history: Rc<RefCell<History>>,
    name: String,
    begun: u64,
    pub(super) random: Random,
}

/// Says that a program is in the middle of something, as long as it is there.
struct Busy(Rc<RefCell<History>>);

impl Busy {
    fn new(history: &Rc<RefCell<History>>) -> Self {
        history.borrow_mut().busy();
        Self(Rc::clone(history))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.borrow_mut().idle();
    }
}

impl Session {
    pub(super) fn new(
        desk: Rc<Desk>,
        history: Rc<RefCell<History>>,
        name: String,
        random: Random,
    ) -> Self {
        Self { desk, history, name, begun: 0, random }
    }

    /// Does something again and again, until programs are told to end. What fails is done again
    /// like what worked: the history has it, and whether it may fail is decided in the end.
    pub(super) async fn repeat(
        &mut self,
        mut round: impl AsyncFnMut(&mut Self) -> Result<(), Error>,
    ) {
        while !self.history.borrow().has_ended() {
            self.once(&mut round).await;
        }
    }

    /// Does something again and again, until it works or programs are told to end.
    pub(super) async fn insist(
        &mut self,
        mut round: impl AsyncFnMut(&mut Self) -> Result<(), Error>,
    ) {
        self.desk.connected().await;
        while !self.history.borrow().has_ended() && !self.once(&mut round).await {}
    }

    /// Does something, and rests. Whether it worked.
    async fn once(&mut self, round: &mut impl AsyncFnMut(&mut Self) -> Result<(), Error>) -> bool {
        let busy = Busy::new(&self.history);
        let result = round(self).await;
        drop(busy);
        self.rest().await;
        result.is_ok()
    }

    /// Waits for a while, often until others go on as well.
    async fn rest(&mut self) {
        let now = self.desk.now();
        let rest = match self.random.below(4) {
            0 => Duration::from_millis(self.random.below(20)),
            1 => Duration::from_millis(self.random.below(REST_MAX_MS)),
            _ => {
                let beat = BEAT.as_nanos();
                let beats = now.as_nanos() / beat + 1 + u128::from(self.random.below(2));
                let at = u64::try_from(beats * beat).expect("centuries");
                Duration::from_nanos(at) - now
            }
        };
        self.desk.wait_until(now + rest).await;
    }

    /// Perhaps waits for a short time, in which others may come first.
    pub(super) async fn hesitate(&mut self) {
        if self.random.chance(1, 3) {
            let pause = Duration::from_millis(self.random.below(HESITATION_MAX_MS));
            self.pause(pause).await;
        }
    }

    /// Waits for some time.
    pub(super) async fn pause(&self, time: Duration) {
        self.desk.wait_until(self.desk.now() + time).await;
    }

    pub(super) fn history(&self) -> &Rc<RefCell<History>> {
        &self.history
    }

    /// The last transaction that the client was told of.
    pub(super) fn last_tid(&self) -> Tid {
        self.desk.last_tid()
    }

    /// What is as of the last transaction that the client was told of.
    pub(super) fn present(&self) -> Revision {
        Revision::Before(following(self.last_tid()))
    }

    /// Some tid that somebody knows is committed, of any time.
    pub(super) fn some_tid(&mut self) -> Option<Tid> {
        let history = self.history.borrow();
        let tids = history.attempts.iter().filter_map(|attempt| attempt.tid());
        self.random.choose(&tids.collect::<Vec<_>>()).copied()
    }

    /// One of the last tids that somebody knows is committed.
    pub(super) fn recent_tid(&mut self) -> Option<Tid> {
        let history = self.history.borrow();
        let tids = history.attempts.iter().rev().filter_map(|attempt| attempt.tid());
        self.random.choose(&tids.take(RECENT).collect::<Vec<_>>()).copied()
    }

    /// Some object that somebody wrote, or tried to.
    pub(super) fn some_oid(&mut self) -> Option<Oid> {
        let history = self.history.borrow();
        let attempt = self.random.choose(&history.attempts)?;
        let oids: Vec<Oid> = attempt.writes.keys().copied().collect();
        self.random.choose(&oids).copied()
    }

    pub(super) async fn ask(&self, request: Request) -> Result<Answer, Error> {
        let what = format!("{request:?}");
        let ticket = self.desk.ask(request);
        let answer = self.desk.answer(ticket).await;
        // Whether there is such an object is for those to say who know what is committed.
        if let Err(error) = &answer
            && !matches!(error, Error::NoSuchObject { .. } | Error::NoSuchRevision { .. })
        {
            let failed = Failed { reader: self.name.clone(), what, error: error.clone() };
            self.history.borrow_mut().failed.push(failed);
        }
        answer
    }

    /// Begins a transaction.
    pub(super) async fn begin(&mut self) -> Result<Transaction, Error> {
        self.begun += 1;
        let name = format!("{} {}", self.name, self.begun);
        Transaction::begin(Rc::clone(&self.desk), Rc::clone(&self.history), name).await
    }

    /// Loads the newest revision of an object, if it has data.
    pub(super) async fn load_newest(&self, oid: Oid) -> Result<Option<(Tid, Bytes)>, Error> {
        match self.load(oid, Revision::Newest).await? {
            Found::Revision { serial, data: Some(data), .. } => Ok(Some((serial, data))),
            Found::Revision { data: None, .. } | Found::Nothing => Ok(None),
        }
    }

    /// Loads a revision.
    pub(super) async fn load(&self, oid: Oid, revision: Revision) -> Result<Found, Error> {
        // What it committed itself it knows, whoever tells.
        let first = self.last_tid().max(self.desk.committed());
        let found = match self.ask(Request::Load { oid, revision }).await {
            Ok(Answer::Object(object)) => Found::Revision {
                serial: object.serial,
                next_serial: object.next_serial,
                data: object.data.as_ref().map(Payload::bytes).transpose()?,
                data_serial: object.data_serial,
            },
            Ok(answer) => wrong(&answer),
            Err(Error::NoSuchObject { .. } | Error::NoSuchRevision { .. }) => Found::Nothing,
            Err(error) => return Err(error),
        };
        let reader = self.name.clone();
        let last_tids = (first, self.last_tid());
        let read = Read { reader, oid, revision, last_tids, found: found.clone() };
        self.history.borrow_mut().reads.push(read);
        Ok(found)
    }

    /// Notes a list that was read, and what the client knew when that was begun.
    pub(super) fn walked(&self, first: Tid, walked: Walked) {
        let last_tids = (first, self.last_tid());
        let walk = Walk { reader: self.name.clone(), last_tids, walked };
        self.history.borrow_mut().walks.push(walk);
    }

    /// Makes sure that the client knows what the master knows.
    pub(super) async fn synchronize(&self) -> Result<(), Error> {
        let acknowledged = self.history.borrow().last_acknowledged();
        self.ask(Request::Synchronize).await?;
        let (reader, last_tid) = (self.name.clone(), self.last_tid());
        let synchronized = Synchronized { reader, acknowledged, last_tid };
        self.history.borrow_mut().synchronized.push(synchronized);
        Ok(())
    }

    /// New oids.
    pub(super) async fn new_oids(&self, count: u32) -> Result<Vec<Oid>, Error> {
        let asked = self.history.borrow_mut().moment();
        match self.ask(Request::NewOids { count }).await? {
            Answer::NewOids(oids) => {
                let mut history = self.history.borrow_mut();
                let told = history.moment();
                history.new_oids.extend(oids.iter().map(|oid| (asked, told, *oid)));
                drop(history);
                Ok(oids)
            }
            answer => wrong(&answer),
        }
    }
}

/// The next tid.
pub(super) fn following(tid: Tid) -> Tid {
    Tid::new(tid.get() + 1)
}

/// A client answers what it was asked.
pub(super) fn wrong(answer: &Answer) -> ! {
    panic!("{answer:?} was not asked for")
}
