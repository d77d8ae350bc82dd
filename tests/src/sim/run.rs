//! One run of a simulated cluster.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use net::Signal;

use super::broken::Broken;
use super::check::{self, Databases};
use super::history::History;
use super::nodes::Nodes;
use super::setting::Setting;
use crate::world::World;

/// Simulated time in which a cluster without faults does whatever it has to.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often it is looked whether something is so.
const GLANCE: Duration = Duration::from_millis(100);

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// How much happened.
    pub figures: Figures,
    /// What happened last, as text.
    pub trace: String,
    /// The rule that does not hold, if any.
    pub broken: Option<Broken>,
}

/// How much happened in a run.
#[derive(Clone, Copy, Default, Debug)]
pub struct Figures {
    /// Simulated time.
    pub elapsed: Duration,
    /// Events that machines handled.
    pub events: u64,
    /// Commits that programs know of.
    pub commits: u64,
}

/// Runs a cluster as a setting has it. The same setting gives the same outcome.
pub fn run(setting: &Setting) -> Outcome {
    let mut run = Run::new(setting);
    let result = catch_unwind(AssertUnwindSafe(|| run.whole()));
    let broken = result.unwrap_or_else(|panic| Err(panicked(&*panic))).err();
    let figures = Figures {
        elapsed: run.world.elapsed(),
        events: run.world.events(),
        commits: run.history.borrow().commits(),
    };
    Outcome { figures, trace: run.world.trace(), broken }
}

struct Run<'a> {
    setting: &'a Setting,
    world: World,
    nodes: Nodes,
    history: Rc<RefCell<History>>,
}

impl<'a> Run<'a> {
    fn new(setting: &'a Setting) -> Self {
        let history = History::new();
        let mut world = World::new(setting.seed);
        let nodes = Nodes::add(&mut world, setting, &history);
        Self { setting, world, nodes, history }
    }

    fn whole(&mut self) -> Result<(), Broken> {
        self.start_all();
        self.work()?;
        self.history.borrow_mut().end();
        self.wait("programs end", |run| run.history.borrow().is_at_rest())?;
        let disks = self.stop()?;
        let databases = Databases::open(&disks)?;
        check::all(&self.history.borrow(), &databases)
    }

    /// Programs and faults.
    fn work(&mut self) -> Result<(), Broken> {
        self.world.run(self.setting.duration);
        let commits_min = self.setting.commits_min;
        self.wait("programs commit", |run| run.history.borrow().commits() >= commits_min)
    }

    fn start_all(&mut self) {
        for process in self.nodes.all() {
            if !self.world.is_running(process) {
                self.world.start(process);
            }
        }
    }

    /// Waits until something is so, which it must become.
    fn wait(&mut self, rule: &str, is_so: impl Fn(&Self) -> bool) -> Result<(), Broken> {
        let end = self.world.elapsed() + PATIENCE;
        while !is_so(self) {
            if self.world.elapsed() > end {
                return Err(Broken::new(rule, format!("not within {} s", PATIENCE.as_secs())));
            }
            self.world.run(GLANCE);
        }
        Ok(())
    }

    /// Stops all storages in good order. Their disks, by name.
    fn stop(&mut self) -> Result<Vec<(String, engine::disk::MemoryDisk)>, Broken> {
        for process in self.nodes.programs.clone() {
            self.world.kill(process);
        }
        for process in self.nodes.storages.clone() {
            self.world.signal(process, Signal::Terminate);
        }
        self.wait("storages end when told to", |run| {
            !run.nodes.storages.iter().any(|process| run.world.is_running(*process))
        })?;
        let storages = self.nodes.storages.iter();
        let disk = |process| (self.world.name(process), self.world.disk(process).snapshot());
        Ok(storages.map(|process| disk(*process)).collect())
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Broken {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    Broken::new("machines keep their invariants", text.unwrap_or("a panic without text"))
}
