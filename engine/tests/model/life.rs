//! One life of a database: from its opening to its end.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use engine::disk::{Faults, Wait};
use engine::{Engine, Error, Job, JobState, Snapshot, TransactionState};
use model::Ttid;

use super::check::{Asker, is_disk_error};
use super::history::History;
use super::plan::{LifePlan, Trouble};
use super::state::{Data, Op};
use super::world::{World, is_crash};

/// Snapshots that are kept, to be looked at again later.
const SNAPSHOTS_MAX: usize = 4;
/// Jobs under way at once.
const JOBS_MAX: usize = 3;

/// After so many, all that was submitted is done.
const POLLS_MAX: usize = 2000;

/// How a life ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// Closed in good order.
    Closed,
    /// The process was killed.
    Killed,
    /// The power went, between two calls.
    PowerCut,
    /// The power went within a call.
    Crashed,
    /// The engine gave up, as it should.
    Failed,
}

/// An engine and what it should hold.
pub(crate) struct Life {
    pub(crate) engine: Engine,
    pub(crate) history: History,
    pub(crate) plan: LifePlan,
    jobs: Vec<Job>,
    snapshots: VecDeque<(Snapshot, Rc<Data>)>,
    tokens: BTreeMap<u64, usize>,
    next_token: u64,
    /// There was space when the database was opened.
    pub(crate) had_space: bool,
    /// Something was refused for want of space.
    pub(crate) was_full: bool,
}

impl Life {
    pub(crate) fn new(engine: Engine, history: History, plan: LifePlan, had_space: bool) -> Self {
        Self {
            had_space,
            engine,
            history,
            plan,
            jobs: Vec::new(),
            snapshots: VecDeque::new(),
            tokens: BTreeMap::new(),
            next_token: 1,
            was_full: false,
        }
    }

    pub(crate) fn end(mut self, world: &World) -> History {
        if self.may_be_full(world) {
            for number in self.tokens.values() {
                self.history.entries[*number].is_uncertain = true;
            }
        }
        self.history
    }

    pub(crate) fn run(&mut self, world: &mut World) -> End {
        for _ in 0..self.plan.steps {
            if let Err(end) = self.step(world) {
                return end;
            }
        }
        if self.plan.trouble == Trouble::Full
            && world.random.chance(1, 2)
            && let Err(end) = self.goes_on(world)
        {
            return end;
        }
        match world.random.below(4) {
            0 => End::Killed,
            1 => End::PowerCut,
            _ => self.close(world).err().unwrap_or(End::Closed),
        }
    }

    fn step(&mut self, world: &mut World) -> Result<(), End> {
        match world.random.below(20) {
            0..9 => self.write(world)?,
            9..12 => self.poll(world, Wait::Yes)?,
            12 => self.poll(world, Wait::No)?,
            13..16 => self.work(world)?,
            16 => self.keep_snapshot(world)?,
            17 if world.random.chance(1, 6) => self.change_capacity(world),
            _ => self.question(world)?,
        }
        Ok(())
    }

    /// When there is space again, writes go on in the same life.
    fn goes_on(&mut self, world: &mut World) -> Result<(), End> {
        // The fault that makes the disk full may still be to come.
        for _ in 0..2 {
            world.disk.set_capacity(None);
            self.drain(world)?;
            self.drain(world)?;
            let (ttid, tid) = (Ttid::new(5000), model::Tid::new(30));
            let partition = model::PartitionId::new(0);
            let op = Op::Commit { ttid: 5000, tid: 30, partition: 0, transaction: None };
            let durable = self.history.durable;
            let token = self.take_token();
            let result = self.engine.commit(token, ttid, tid, partition, None);
            if !matches!(result, Err(Error::Broken { .. })) {
                self.submit_with(world, token, op, result)?;
                self.drain(world)?;
                if self.history.durable > durable {
                    return Ok(());
                }
            }
            let aborted = self.engine.abort(ttid);
            self.tell(world, Op::Abort { ttid: 5000 }, aborted)?;
        }
        panic!("there is space, but writes do not go on");
    }

    /// Keeps what the engine said, or finds out why it failed. `None`: it was refused.
    pub(crate) fn outcome<T>(
        &mut self,
        world: &World,
        what: &str,
        result: engine::Result<T>,
    ) -> Result<Option<T>, End> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if is_crash(&error) => {
                assert!(world.disk.is_crashed());
                Err(End::Crashed)
            }
            Err(Error::Full { .. }) => {
                assert!(self.may_be_full(world), "{what}: refused without a reason");
                world.say(format_args!("  full: {what}"));
                self.was_full = true;
                Ok(None)
            }
            Err(error) if self.may_fail() && is_disk_error(&error) => {
                world.say(format_args!("  failed: {what}: {error}"));
                Err(End::Failed)
            }
            Err(error) => panic!("{what}: {error}"),
        }
    }

    pub(crate) fn may_be_full(&self, world: &World) -> bool {
        world.disk.capacity().is_some()
            || matches!(self.plan.trouble, Trouble::Full | Trouble::NoSpace)
    }

    fn may_fail(&self) -> bool {
        matches!(self.plan.trouble, Trouble::WriteError | Trouble::SyncError)
    }

    /// Submits something with a token.
    pub(crate) fn submit(
        &mut self,
        world: &World,
        op: Op,
        call: impl FnOnce(&mut Engine, u64) -> engine::Result<()>,
    ) -> Result<(), End> {
        let token = self.take_token();
        let result = call(&mut self.engine, token);
        self.submit_with(world, token, op, result)
    }

    pub(crate) fn take_token(&mut self) -> u64 {
        let token = self.next_token;
        self.next_token += 1;
        token
    }

    /// Takes note of something that was submitted with a token, if it was accepted.
    pub(crate) fn submit_with(
        &mut self,
        world: &World,
        token: u64,
        op: Op,
        result: engine::Result<()>,
    ) -> Result<(), End> {
        world.say(format_args!("  {token}: {op:?}: {}", result.is_ok()));
        if self.outcome(world, "a write", result)?.is_some() {
            let number = self.history.push(op);
            self.tokens.insert(token, number);
        }
        Ok(())
    }

    /// The same for what has no token.
    pub(crate) fn tell(
        &mut self,
        world: &World,
        op: Op,
        result: engine::Result<()>,
    ) -> Result<bool, End> {
        world.say(format_args!("  {op:?}: {}", result.is_ok()));
        let accepted = self.outcome(world, "telling", result)?.is_some();
        if accepted {
            self.history.push(op);
        }
        Ok(accepted)
    }

    pub(crate) fn poll(&mut self, world: &mut World, wait: Wait) -> Result<(), End> {
        let polled = self.engine.poll(wait);
        if let Err(error) = &polled
            && is_disk_error(error)
        {
            assert!(self.engine.poll(Wait::No).is_err(), "what failed stays failed");
            assert!(self.engine.sync(0).is_err(), "what failed stays failed");
        }
        let completions = self.outcome(world, "poll", polled)?.expect("polls are never refused");
        for completion in completions {
            let number = self.tokens.remove(&completion.token).expect("each token once");
            world.say(format_args!("    {} done: {:?}", completion.token, completion.result));
            match self.outcome(world, "completion", completion.result)? {
                Some(()) => self.acknowledged(number),
                None => self.history.refuse(number),
            }
        }
        let seq = self.engine.snapshot().seq();
        assert!(seq <= self.history.last_seq(), "no more is visible than was written");
        if self.tokens.is_empty() && !self.was_full && wait == Wait::Yes {
            self.check_transactions();
        }
        Ok(())
    }

    fn acknowledged(&mut self, number: usize) {
        let entry = &self.history.entries[number];
        if let Some(seq) = entry.seq {
            assert!(self.engine.snapshot().seq() >= seq, "what is acknowledged is visible");
        }
        let mut is_durable = true;
        if let Op::Vote { ttid, .. } | Op::Lock { ttid, .. } = entry.op {
            let is_lock = matches!(entry.op, Op::Lock { .. });
            if let Some(pending) = self.history.current.pending.get_mut(&ttid) {
                pending.is_acknowledged = true;
                is_durable = !is_lock || pending.transaction.is_some();
            } else {
                // It was aborted since, or unlocked.
                is_durable = !is_lock;
            }
        }
        if is_durable {
            self.history.durable_up_to(number);
        }
    }

    /// What is acknowledged is also told.
    fn check_transactions(&self) {
        for (ttid, pending) in &self.history.current.pending {
            let state = self.engine.transaction(Ttid::new(*ttid));
            assert_eq!(state, Some(pending.state), "transaction {ttid}");
        }
    }

    /// Background work: some of it, as it comes.
    fn work(&mut self, world: &mut World) -> Result<(), End> {
        if self.jobs.len() < JOBS_MAX && world.random.chance(2, 3) {
            self.jobs.extend(self.engine.take_job());
        }
        if self.jobs.is_empty() {
            return Ok(());
        }
        let number = world.random.index(self.jobs.len());
        for _ in 0..1 + world.random.below(6) {
            let items = 1 + world.random.index(30);
            match self.jobs[number].step(items) {
                Ok(JobState::More) => {}
                Ok(JobState::Done) => return self.finish(world, number, Ok(())),
                Err(error) => return self.finish(world, number, Err(error)),
            }
        }
        Ok(())
    }

    fn finish(
        &mut self,
        world: &World,
        number: usize,
        result: engine::Result<()>,
    ) -> Result<(), End> {
        let job = self.jobs.swap_remove(number);
        if matches!(result, Err(Error::Full { .. })) {
            assert!(self.may_be_full(world), "a job found no space without a reason");
        }
        let result = self.engine.finish_job(job, result);
        let finished = self.outcome(world, "job", result)?;
        assert!(finished.is_some(), "a job that finds no space is no error");
        Ok(())
    }

    fn finish_jobs(&mut self, world: &World) -> Result<(), End> {
        while let Some(last) = self.jobs.len().checked_sub(1) {
            let result = self.jobs[last].run();
            self.finish(world, last, result)?;
        }
        Ok(())
    }

    fn keep_snapshot(&mut self, world: &mut World) -> Result<(), End> {
        if self.may_be_full(world) {
            // What was refused has to be known.
            self.poll(world, Wait::No)?;
        }
        let snapshot = match world.random.chance(1, 2) {
            true => self.engine.snapshot(),
            false => self.engine.reader(engine::ReadMode::Calls).snapshot(),
        };
        let data = self.history.visible(self.engine.snapshot().seq());
        self.snapshots.push_back((snapshot, data));
        if self.snapshots.len() > SNAPSHOTS_MAX {
            self.snapshots.pop_front();
        }
        Ok(())
    }

    /// Asks about now, or about a moment that is gone.
    fn question(&mut self, world: &mut World) -> Result<(), End> {
        if self.may_be_full(world) {
            self.poll(world, Wait::No)?;
        }
        let kept = match self.snapshots.len() {
            length if length > 0 && world.random.chance(1, 2) => {
                Some(self.snapshots[world.random.index(length)].clone())
            }
            _ => None,
        };
        let (snapshot, data) = kept.unwrap_or_else(|| {
            let snapshot = self.engine.snapshot();
            let data = self.history.visible(snapshot.seq());
            (snapshot, data)
        });
        let faults = Faults { read_error_permille: 200, ..self.plan.faults };
        if self.plan.reads_fail {
            world.disk = world.disk.clone().with_faults(faults);
        }
        world.say(format_args!(
            "  asks at {} of {}, visible {}",
            snapshot.seq(),
            self.history.last_seq(),
            self.engine.snapshot().seq()
        ));
        let disk = world.disk.clone();
        let asker = Asker::new(&self.engine, &disk, snapshot, &mut world.random);
        for _ in 0..3 {
            match asker.question(&data, &mut world.random) {
                Ok(()) => {}
                Err(error) if is_crash(&error) && world.disk.is_crashed() => {}
                Err(error) if self.plan.reads_fail && is_disk_error(&error) => {}
                Err(error) => panic!("a question: {error}"),
            }
        }
        world.disk = world.disk.clone().with_faults(self.plan.faults);
        Ok(())
    }

    fn change_capacity(&mut self, world: &mut World) {
        if self.plan.trouble != Trouble::Full {
            return;
        }
        let capacity = match world.disk.capacity() {
            Some(_) if world.random.chance(1, 2) => None,
            _ => Some(world.disk.allocated_bytes() + world.random.below(20 << 10)),
        };
        world.say(format_args!("  capacity: {capacity:?}"));
        world.disk.set_capacity(capacity);
    }

    fn close(&mut self, world: &mut World) -> Result<(), End> {
        self.finish_jobs(world)?;
        let (random, full) = (world.random.chance(1, 2), self.may_be_full(world));
        if random || full {
            // What is refused while it is closed could not be told.
            self.drain(world)?;
        }
        Err(self.close_now(world))
    }

    fn close_now(&mut self, world: &World) -> End {
        let disk: std::sync::Arc<dyn engine::disk::Disk> = std::sync::Arc::new(world.disk.clone());
        let other = Engine::open(disk, world.options.clone(), engine::OpenMode::ReadOnly);
        // Something has to be in the place of the engine that is closed.
        let other = match other {
            Ok(other) => other,
            Err(error) if is_crash(&error) => return End::Crashed,
            Err(error) => panic!("reading beside a writer: {error}"),
        };
        let engine = std::mem::replace(&mut self.engine, other);
        let closed = engine.close();
        match self.outcome(world, "close", closed) {
            Ok(Some(())) => End::Closed,
            Ok(None) => End::PowerCut,
            Err(end) => end,
        }
    }

    /// Waits for all that was submitted.
    fn drain(&mut self, world: &mut World) -> Result<(), End> {
        self.submit(world, Op::Sync, |engine, token| engine.sync(token))?;
        for _ in 0..POLLS_MAX {
            if self.tokens.is_empty() {
                return Ok(());
            }
            self.poll(world, Wait::Yes)?;
        }
        assert!(self.may_be_full(world), "everything ends: {:?}", self.tokens);
        Ok(())
    }

    /// Lets everything that is in doubt go forward.
    pub(crate) fn settle_all(&mut self, world: &mut World) {
        let in_doubt = self.history.current.in_doubt();
        for (ttid, state) in in_doubt {
            if state == TransactionState::Voted {
                let op = Op::Lock { ttid, tid: ttid };
                self.submit(world, op, |engine, token| {
                    engine.lock(token, Ttid::new(ttid), model::Tid::new(ttid))
                })
                .expect("nothing fails any more");
                self.drain(world).expect("nothing fails any more");
            }
            let unlocked = self.engine.unlock(Ttid::new(ttid));
            self.tell(world, Op::Unlock { ttid }, unlocked).expect("nothing fails any more");
        }
        self.drain(world).expect("nothing fails any more");
        let data = self.history.visible(self.engine.snapshot().seq());
        let found = world.found(&self.engine).data;
        assert!(
            super::check::is_equal(&found, &data),
            "{}",
            super::check::difference(&found, &data)
        );
    }
}
