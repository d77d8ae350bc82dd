//! The thread that has the engine: it hands in what others commit, waits for the disk, and tells of
//! what is durable.
//!
//! While it waits for the disk, commits of other threads pile up; they are written and synced
//! together then. A commit of one thread does not wait for others.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::time::Duration;

use engine::disk::Wait;
use engine::{Engine, Figures, ObjectData, StoredLookup, Worker};
use model::{Oid, Tid, Ttid};

use super::failure;
use super::locks::Claim;
use super::pace::Pace;
use super::shared::{Common, Promise};
use crate::error::Error;
use crate::request::Metadata;

/// How long a result of background work may wait while nothing else happens.
const BACKGROUND_BUSY: Duration = Duration::from_millis(10);
/// How long background work waits that found no space.
const BACKGROUND_RETRY: Duration = Duration::from_secs(1);

/// An object on its way to the engine.
pub(super) type Stored = (Oid, ObjectData);

/// What the threads of a program ask for.
pub(super) enum Command {
    /// Objects of a transaction, which may be many.
    Append { ttid: Ttid, objects: Vec<Stored>, bytes: u64, space: Promise },
    /// The last of them: everything is to be durable.
    Flush { ttid: Ttid, objects: Vec<Stored>, bytes: u64, reply: Sender<Result<(), Error>> },
    /// An object that was appended is wanted back.
    ReadBack { ttid: Ttid, oid: Oid, reply: Sender<Result<Option<StoredLookup>, Error>> },
    /// A transaction is committed.
    Commit(Box<Commit>),
    /// A transaction of which something was appended is dropped.
    Abort { ttid: Ttid },
    /// Somebody measures.
    Figures { reply: Sender<Result<Figures, Error>> },
    /// Nothing comes any more.
    Close,
}

/// A transaction that was voted for.
pub(super) struct Commit {
    pub(super) ttid: Ttid,
    /// The tid that it was begun for.
    pub(super) tid: Option<Tid>,
    /// Objects that were not appended before.
    pub(super) objects: Vec<Stored>,
    pub(super) metadata: Metadata,
    /// All objects that it changes, in the order in which they were stored.
    pub(super) oids: Vec<Oid>,
    /// Its locks, given back when it is told of, or has failed.
    pub(super) claim: Claim,
    pub(super) reply: Sender<Result<Tid, Error>>,
}

/// Who waits for a completion of the engine.
enum Waiting {
    Commit { tid: Tid, commit: Box<Commit> },
    Flush(Sender<Result<(), Error>>),
    ReadBack { ttid: Ttid, oid: Oid, reply: Sender<Result<Option<StoredLookup>, Error>> },
}

/// The engine and who waits for it.
pub(super) struct Writer {
    engine: Engine,
    worker: Worker,
    commands: Receiver<Command>,
    common: Arc<Common>,
    waiting: BTreeMap<u64, Waiting>,
    /// Transactions of which something could not be appended, and why: what was appended before and
    /// behind it must not be taken for the whole.
    broken: BTreeMap<Ttid, Error>,
    pace: Pace,
    next_token: u64,
    /// Why nothing can be written any more.
    failed: Option<Error>,
}

/// Tells everybody if the thread panics.
struct Broken<'a>(&'a Common);

impl Drop for Broken<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.set_broken();
        }
    }
}

/// Tells everybody that the thread ends, whichever way.
struct Alarm(Arc<Common>);

impl Drop for Alarm {
    fn drop(&mut self) {
        drop(Broken(&self.0));
        self.0.announced.close();
    }
}

impl Writer {
    pub(super) fn new(
        engine: Engine,
        worker: Worker,
        commands: Receiver<Command>,
        common: Arc<Common>,
    ) -> Self {
        Self {
            engine,
            worker,
            commands,
            common,
            waiting: BTreeMap::new(),
            broken: BTreeMap::new(),
            pace: Pace::default(),
            next_token: 1,
            failed: None,
        }
    }

    /// Runs until the database is closed. What was handed in before is carried out.
    pub(super) fn run(mut self) {
        let _alarm = Alarm(Arc::clone(&self.common));
        // Commits are synced when the disk is waited for, all that were taken before.
        self.engine.gather();
        while self.take_commands() {
            self.turn();
        }
        while !self.waiting.is_empty() {
            self.turn();
        }
        self.end();
    }

    /// Takes what there is, waits for something if there is nothing else to do, and for commits
    /// that are likely to come. False at the end.
    fn take_commands(&mut self) -> bool {
        let mut goes_on = self.take_all();
        let piled_up = self.pace.begin();
        if goes_on && self.waiting.is_empty() && self.can_take() {
            goes_on = match self.wait_for_command() {
                Ok(command) => self.carry_out(command) && self.take_all(),
                Err(RecvTimeoutError::Timeout) => true,
                Err(RecvTimeoutError::Disconnected) => false,
            };
        }
        let begin = net::now().monotonic;
        while goes_on
            && self.can_take()
            && let Some(left) = self.pace.wait(piled_up, net::now().monotonic - begin)
        {
            goes_on = match self.commands.recv_timeout(left) {
                Ok(command) => self.carry_out(command) && self.take_all(),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => false,
            };
        }
        goes_on
    }

    /// Takes what there is. False at the end.
    fn take_all(&mut self) -> bool {
        while self.can_take() {
            let goes_on = match self.commands.try_recv() {
                Ok(command) => self.carry_out(command),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => false,
            };
            if !goes_on {
                return false;
            }
        }
        true
    }

    fn can_take(&self) -> bool {
        self.failed.is_some() || !self.engine.is_congested()
    }

    fn wait_for_command(&self) -> Result<Command, RecvTimeoutError> {
        let delay = match (self.worker.is_busy(), self.engine.has_work()) {
            _ if self.failed.is_some() => None,
            (true, _) => Some(BACKGROUND_BUSY),
            (false, true) => Some(BACKGROUND_RETRY),
            (false, false) => None,
        };
        match delay {
            Some(delay) => self.commands.recv_timeout(delay),
            None => self.commands.recv().map_err(RecvTimeoutError::from),
        }
    }

    /// False if it was the last one.
    fn carry_out(&mut self, command: Command) -> bool {
        match command {
            Command::Append { ttid, objects, bytes, space } => {
                // Who handed it in is told at the vote.
                if let Err(error) = self.append(ttid, &objects) {
                    self.broken.entry(ttid).or_insert(error);
                }
                drop(space);
                self.common.backlog.give_back(bytes);
            }
            Command::Flush { ttid, objects, bytes, reply } => {
                let appended = self.append(ttid, &objects);
                self.common.backlog.give_back(bytes);
                match appended.and_then(|()| self.sync()) {
                    Ok(token) => drop(self.waiting.insert(token, Waiting::Flush(reply))),
                    Err(error) => drop(reply.send(Err(error))),
                }
            }
            Command::ReadBack { ttid, oid, reply } => match self.sync() {
                Ok(token) => {
                    self.waiting.insert(token, Waiting::ReadBack { ttid, oid, reply });
                }
                Err(error) => drop(reply.send(Err(error))),
            },
            Command::Commit(commit) => self.commit(commit),
            Command::Abort { ttid } => {
                self.broken.remove(&ttid);
                if let Err(error) = self.engine.abort(ttid) {
                    self.told(error);
                }
            }
            // Whoever does not wait any more is left alone.
            Command::Figures { reply } => drop(reply.send(Ok(self.engine.figures()))),
            Command::Close => return false,
        }
        true
    }

    fn append(&mut self, ttid: Ttid, objects: &[Stored]) -> Result<(), Error> {
        self.check()?;
        if let Some(error) = self.broken.get(&ttid) {
            return Err(error.clone());
        }
        for (oid, object) in objects {
            let partition = self.common.partitions.of_oid(*oid);
            let stored = self.engine.store(ttid, partition, *oid, object);
            stored.map_err(|error| self.told(error))?;
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<u64, Error> {
        self.check()?;
        let token = self.token();
        self.engine.sync(token).map_err(|error| self.told(error))?;
        Ok(token)
    }

    fn commit(&mut self, mut commit: Box<Commit>) {
        match self.submit(&mut commit) {
            Ok((token, tid)) => {
                self.waiting.insert(token, Waiting::Commit { tid, commit });
                self.pace.committed();
            }
            Err(error) => {
                self.broken.remove(&commit.ttid);
                // Nothing of it is needed, and the engine may have failed already.
                let _ = self.engine.abort(commit.ttid);
                answer(*commit, Err(error));
            }
        }
    }

    /// Hands a commit to the engine: tids have the order of its log.
    fn submit(&mut self, commit: &mut Commit) -> Result<(u64, Tid), Error> {
        let objects = std::mem::take(&mut commit.objects);
        self.append(commit.ttid, &objects)?;
        self.check()?;
        let partitions = self.common.partitions;
        let tid = {
            let mut ids = self.common.ids();
            commit.oids.iter().for_each(|oid| ids.stored_oid(*oid));
            match commit.tid {
                Some(tid) => {
                    ids.take_tid(tid);
                    tid
                }
                None => ids.next_tid(net::now().unix, commit.ttid, partitions)?,
            }
        };
        let metadata = std::mem::take(&mut commit.metadata);
        let transaction = engine::Transaction {
            ttid: commit.ttid,
            user: metadata.user,
            description: metadata.description,
            extension: metadata.extension,
            oids: commit.oids.clone(),
            packed: false,
            pack_order: None,
            superseded: Vec::new(),
        };
        let token = self.token();
        let partition = partitions.of_tid(tid);
        let committed = self.engine.commit(token, commit.ttid, tid, partition, Some(transaction));
        match committed.map_err(|error| self.told(error)) {
            Ok(()) => Ok((token, tid)),
            // It may have been handed to the disk before that failed.
            Err(error) if self.failed.is_some() => {
                Err(Error::Undecided { ttid: commit.ttid, text: error.to_string() })
            }
            Err(error) => Err(error),
        }
    }

    /// Waits for the disk if anything is waited for, and has background work done.
    fn turn(&mut self) {
        if self.failed.is_some() {
            return self.fail_all();
        }
        let is_congested = self.engine.is_congested();
        let wait = match !self.waiting.is_empty() || is_congested {
            true => Wait::Yes,
            false => Wait::No,
        };
        let begin = net::now().monotonic;
        let completions = match self.engine.poll(wait) {
            Ok(completions) => completions,
            Err(error) => return self.fail(&error),
        };
        self.pace.waited(completions.len(), net::now().monotonic - begin);
        for completion in completions {
            self.complete(completion.token, completion.result);
        }
        // What the log could not take is written; what tables could not take has to wait for them.
        let worked = match self.engine.is_congested() && self.worker.is_busy() {
            true => self.worker.wait(&mut self.engine),
            false => self.worker.exchange(&mut self.engine),
        };
        if let Err(error) = worked {
            self.fail(&error);
        }
    }

    fn complete(&mut self, token: u64, result: engine::Result<()>) {
        let Some(waiting) = self.waiting.remove(&token) else { return };
        let result = result.map_err(|error| self.told(error));
        match (waiting, result) {
            (Waiting::Commit { tid, commit }, Ok(())) => {
                tracing::debug!(ttid = %commit.ttid, %tid, "committed");
                // Dropped before the commit is, so that nobody takes it for one that failed.
                let _alarm = Broken(&self.common);
                self.common.announced.announce(tid, commit.oids.clone(), commit.ttid);
                answer(*commit, Ok(tid));
            }
            (Waiting::Commit { commit, .. }, Err(error)) => {
                let _ = self.engine.abort(commit.ttid);
                answer(*commit, Err(error));
            }
            (Waiting::Flush(reply), result) => drop(reply.send(result)),
            (Waiting::ReadBack { ttid, oid, reply }, result) => {
                let partition = self.common.partitions.of_oid(oid);
                let found = result.map(|()| self.engine.stored(ttid, partition, oid));
                let _ = reply.send(found);
            }
        }
    }

    /// An error in the words of clients. If the engine cannot go on, nothing is written any more.
    fn told(&mut self, error: engine::Error) -> Error {
        if !failure::is_passing(&error) && self.failed.is_none() {
            tracing::error!(%error, "nothing is written any more");
            self.failed = Some(failure::of_read(None, &error));
        }
        failure::of_write(&self.common.path, error)
    }

    fn fail(&mut self, error: &engine::Error) {
        tracing::error!(%error, "nothing is written any more");
        self.failed.get_or_insert(failure::of_read(None, error));
        self.fail_all();
    }

    /// What is under way may be durable or not; nobody can tell before the next opening.
    fn fail_all(&mut self) {
        let Some(error) = &self.failed else { return };
        for (_, waiting) in std::mem::take(&mut self.waiting) {
            match waiting {
                Waiting::Commit { commit, .. } => {
                    let (ttid, text) = (commit.ttid, error.to_string());
                    answer(*commit, Err(Error::Undecided { ttid, text }));
                }
                Waiting::Flush(reply) => drop(reply.send(Err(error.clone()))),
                Waiting::ReadBack { reply, .. } => drop(reply.send(Err(error.clone()))),
            }
        }
    }

    fn check(&self) -> Result<(), Error> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    fn token(&mut self) -> u64 {
        self.next_token += 1;
        self.next_token
    }

    fn end(self) {
        let Self { mut engine, worker, common, failed, .. } = self;
        if failed.is_some() {
            return;
        }
        let closed = worker.stop(&mut engine).and_then(|()| engine.close());
        if let Err(error) = closed {
            // What was acknowledged is in the log.
            tracing::warn!(path = common.path, %error, "not closed in good order");
        }
    }
}

/// Gives the locks back, and tells the thread that waits.
fn answer(commit: Commit, result: Result<Tid, Error>) {
    let Commit { claim, reply, .. } = commit;
    drop(claim);
    let _ = reply.send(result);
}
