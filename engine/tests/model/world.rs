//! One seed: lives of a database on one disk, one after the other.

use std::sync::Arc;

use engine::disk::memory::CrashedError;
use engine::disk::{Disk, Faults, MemoryDisk, Wait};
use engine::{Engine, Error, OpenMode, Options, TransactionState};
use model::Random;

use super::check::{Asker, difference};
use super::history::{Found, History};
use super::life::{End, Life};
use super::plan::{LifePlan, Trouble, options};
use super::state::{Data, State};

/// Openings that may crash, one after the other.
const CRASHES_MAX: usize = 4;
/// Lives of a database.
const LIVES_MAX: u64 = 5;
/// Turns after which the greatest transaction is visible.
const SLICES_MAX: usize = 100;

/// Runs a seed. Panics where the engine does what it may not do.
pub(crate) fn run(seed: u64, trace: bool) {
    let mut random = Random::from_seed(seed);
    let mut world = World {
        disk: MemoryDisk::new(random.next_u64()),
        options: options(&mut random),
        state: None,
        trace,
        random,
    };
    let lives = 1 + world.random.below(LIVES_MAX);
    for life in 0..lives {
        let plan = LifePlan::new(&mut world.random);
        world.say(format_args!("life {life}: {plan:?} {:?}", world.options));
        world.live(&plan);
        world.options = match world.random.chance(1, 3) {
            true => options(&mut world.random),
            false => world.options.clone(),
        };
    }
    world.finish();
}

/// A disk, and what the database on it is known to hold.
pub(crate) struct World {
    pub(crate) disk: MemoryDisk,
    pub(crate) options: Options,
    /// Nothing before the database was made.
    pub(crate) state: Option<State>,
    pub(crate) random: Random,
    trace: bool,
}

impl World {
    pub(crate) fn say(&self, what: std::fmt::Arguments<'_>) {
        if self.trace {
            println!("{what}");
        }
    }

    fn live(&mut self, plan: &LifePlan) {
        let opening_crashes = plan.trouble == Trouble::Crash && self.random.chance(1, 2);
        let Some((engine, state)) = self.open(opening_crashes) else { return };
        let history = History::new(state, engine.snapshot().seq());
        let had_space = self.disk.capacity().is_none();
        let disk = self.disk.clone().with_faults(plan.faults);
        if let Some(fault) = plan.fault() {
            disk.schedule(disk.operations() + plan.trouble_after, fault);
        }
        let mut life = Life::new(engine, history, *plan, had_space);
        let end = life.run(self);
        self.say(format_args!("it ends: {end:?}"));
        let image = match end {
            End::Killed => self.disk.keep_all(),
            // What was closed is durable as a whole.
            End::Closed | End::PowerCut | End::Crashed | End::Failed => {
                match self.random.below(4) {
                    0 => self.disk.lose_all_unsynced(),
                    _ => self.disk.crash_image(self.random.next_u64()),
                }
            }
        };
        let history = life.end(self);
        self.disk = image;
        let found = self.look(plan.trouble, end != End::Killed);
        let explained = match end {
            End::Closed => {
                let mut state = history.current.clone();
                state.forget_open();
                let closed = History::new(state, 0);
                closed.explain(&found)
            }
            _ => history.explain(&found),
        };
        let Some(mut state) = explained else {
            let known = history.acknowledged();
            panic!(
                "found what was never there; {} of {} entries were durable; last {:?}; compared \
                 with the last acknowledged state:\n{}\nin doubt: found {:?}, acknowledged {:?}\n\
                 metadata: found {:?}, acknowledged {:?}\ncompared with the last state:\n{}",
                history.durable,
                history.entries.len(),
                history.current.in_doubt(),
                difference(&found.data, &known.data),
                found.in_doubt,
                known.in_doubt(),
                found.metadata,
                known.metadata,
                difference(&found.data, &history.current.data),
            );
        };
        state.forget_open();
        self.state = Some(state);
    }

    /// What is on the disk. Opening may crash some more times; it is done for reading only, or
    /// with all that is necessary to go on, on a disk that may be full.
    fn look(&mut self, trouble: Trouble, is_durable: bool) -> Found {
        let first = (is_durable && self.random.chance(1, 2)).then(|| self.read_only());
        for _ in 0..CRASHES_MAX {
            if self.random.chance(2, 3) {
                break;
            }
            let after = self.random.below(12);
            self.disk.schedule(self.disk.operations() + after, engine::disk::Fault::Crash);
            let opened = self.open_engine();
            match opened {
                Ok(engine) => drop(engine),
                Err(error) if is_crash(&error) => {}
                Err(Error::Full { .. }) if self.disk.capacity().is_some() => {}
                Err(error) => panic!("opening, to crash: {error}"),
            }
            self.say(format_args!("opening ended; crashed: {}", self.disk.is_crashed()));
            self.disk = match self.random.chance(1, 3) {
                true => self.disk.keep_all(),
                false => self.disk.crash_image(self.random.next_u64()),
            };
        }
        let mut found = self.read_only();
        found.unlocked = self.unlocked(&found);
        if let Some(first) = first {
            assert_eq!(first.in_doubt, found.in_doubt, "openings that crashed change nothing");
            assert_eq!(first.data, found.data, "openings that crashed change nothing");
            assert_eq!(first.metadata, found.metadata, "openings that crashed change nothing");
        }
        if trouble == Trouble::Full && self.random.chance(2, 3) {
            // There is space again.
            self.disk.set_capacity(None);
        }
        found
    }

    /// What is found when all that is in doubt goes forward, on a copy of the disk.
    fn unlocked(&mut self, found: &Found) -> Option<Data> {
        if found.in_doubt.is_empty() {
            return None;
        }
        if self.random.chance(1, 2) {
            let copy = self.disk.keep_all();
            let unlocked = self.unlocked_on(copy);
            if unlocked.is_some() {
                return unlocked;
            }
        }
        let copy = self.disk.keep_all();
        copy.set_capacity(None);
        self.unlocked_on(copy)
    }

    /// `None` if the disk is too full.
    fn unlocked_on(&mut self, copy: MemoryDisk) -> Option<Data> {
        let disk = std::mem::replace(&mut self.disk, copy);
        let had_space = self.disk.capacity().is_none();
        let data = match self.open_engine() {
            Err(Error::Full { .. }) if !had_space => None,
            Err(error) => panic!("opening to unlock: {error}"),
            Ok(mut engine) => match unlock_all(&mut engine) {
                Err(Error::Full { .. }) if !had_space => None,
                Err(error) => panic!("what is in doubt does not go forward: {error}"),
                Ok(()) => Some(self.found(&engine).data),
            },
        };
        self.disk = disk;
        data
    }

    fn open_engine(&self) -> engine::Result<Engine> {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        Engine::open(disk, self.options.clone(), OpenMode::ReadWrite)
    }

    /// Everything, through an engine that may not write.
    fn read_only(&mut self) -> Found {
        let before = self.disk.operations();
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let engine = Engine::open(disk, self.options.clone(), OpenMode::ReadOnly)
            .unwrap_or_else(|error| panic!("opening to read: {error}"));
        let found = self.found(&engine);
        engine.close().expect("nothing to do");
        assert_eq!(self.disk.operations(), before, "reading changes nothing");
        found
    }

    pub(crate) fn found(&mut self, engine: &Engine) -> Found {
        let asker = Asker::new(engine, &self.disk, engine.snapshot(), &mut self.random);
        let data = asker.dump(&mut self.random).unwrap_or_else(|error| panic!("dump: {error}"));
        let open: Vec<_> =
            engine.transactions().filter(|(_, state)| *state == TransactionState::Open).collect();
        assert_eq!(open, [], "open transactions are gone with their process");
        Found {
            data,
            unlocked: None,
            in_doubt: engine.transactions().map(|(ttid, state)| (ttid.get(), state)).collect(),
            metadata: engine.metadata().iter().map(|(key, value)| (key, value.to_vec())).collect(),
        }
    }

    /// Opens to write, or makes the database; `None` if that crashed.
    fn open(&mut self, may_crash: bool) -> Option<(Engine, State)> {
        let Some(state) = self.state.clone() else { return self.create(may_crash) };
        let engine = match self.open_engine() {
            Err(Error::Full { .. }) if self.disk.capacity().is_some() => {
                self.say(format_args!("too full to be opened"));
                self.disk.set_capacity(None);
                self.open_engine()
            }
            other => other,
        };
        let engine = engine.unwrap_or_else(|error| panic!("opening: {error}"));
        let found = self.found(&engine);
        let history = History::new(state.clone(), 0);
        assert!(
            history.explain(&found).is_some(),
            "opening changed something:\n{}\n{:?} {:?}\n{:?} {:?}",
            difference(&found.data, &state.data),
            found.in_doubt,
            state.in_doubt(),
            found.metadata,
            state.metadata,
        );
        Some((engine, state))
    }

    fn create(&mut self, may_crash: bool) -> Option<(Engine, State)> {
        if may_crash {
            let after = self.random.below(12);
            self.disk.schedule(self.disk.operations() + after, engine::disk::Fault::Crash);
        }
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let metadata = Vec::new();
        match Engine::create(disk, self.options.clone(), [9; 16], metadata) {
            Ok(engine) if !may_crash => Some((engine, State::default())),
            Err(error) if !is_crash(&error) => panic!("creating: {error}"),
            _ => {
                self.disk = self.disk.crash_image(self.random.next_u64());
                let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
                let opened = Engine::open(disk, self.options.clone(), OpenMode::ReadOnly);
                match opened {
                    Ok(_) => self.state = Some(State::default()),
                    Err(Error::NoDatabase { .. }) => {}
                    Err(error) => panic!("opening what was being created: {error}"),
                }
                None
            }
        }
    }

    /// Ends all that is in doubt, closes, and looks at everything once more.
    fn finish(&mut self) {
        self.disk.set_capacity(None);
        self.disk = self.disk.clone().with_faults(Faults::default());
        let Some((engine, state)) = self.open(false) else { return };
        let history = History::new(state, engine.snapshot().seq());
        let plan = LifePlan {
            steps: 0,
            trouble: Trouble::None,
            trouble_after: 0,
            faults: Faults::default(),
            reads_fail: false,
        };
        let mut life = Life::new(engine, history, plan, true);
        life.settle_all(self);
        let history = life.end(self);
        self.disk = self.disk.crash_image(self.random.next_u64());
        let found = self.read_only();
        assert!(found.in_doubt.is_empty(), "all was unlocked");
        let expected = &history.current.data;
        assert!(
            super::check::is_equal(&found.data, expected),
            "at the end:\n{}",
            difference(&found.data, expected)
        );
    }
}

fn unlock_all(engine: &mut Engine) -> engine::Result<()> {
    for (ttid, state) in engine.transactions().collect::<Vec<_>>() {
        if state == TransactionState::Voted {
            engine.lock(1, ttid, model::Tid::new(ttid.get()))?;
            engine.wait_for(1)?;
        }
        let before = engine.snapshot().seq();
        engine.unlock(ttid)?;
        engine.sync(2)?;
        engine.wait_for(2)?;
        // Many objects become visible slice by slice.
        for _ in 0..SLICES_MAX {
            if engine.snapshot().seq() > before {
                break;
            }
            engine.poll(Wait::No)?;
        }
        assert!(engine.snapshot().seq() > before, "what is unlocked becomes visible");
    }
    Ok(())
}

/// Whether an error says that the simulated power went.
pub(crate) fn is_crash(error: &Error) -> bool {
    match error {
        Error::Io { source, .. } | Error::Unreadable { source, .. } => CrashedError::is_in(source),
        _ => false,
    }
}
