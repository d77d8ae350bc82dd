//! One run of a simulated cluster.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use master::Master;
use model::Random;
use net::{ErrorCode, Signal};
use storaged::Storage;

use super::breaker::Breaker;
use super::broken::Broken;
use super::check::{self, Databases};
use super::coverage::{Coverage, Watcher};
use super::fault::{self, Fault};
use super::history::History;
use super::nodes::Nodes;
use super::setting::{Ending, Setting};
use crate::world::{ProcessId, World};

/// Simulated time in which a cluster without faults does whatever it has to.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often it is looked whether something is so.
const GLANCE: Duration = Duration::from_millis(100);
/// When a process that ended by itself is started again.
pub(super) const RESTART_DELAY: Duration = Duration::from_millis(300);
/// Time in which others know, durably, that a storage is gone, if they can be told.
const GIVING_UP: Duration = Duration::from_secs(20);
/// Time in which storages that have lost their master are in operation again.
const SETTLING: Duration = Duration::from_secs(5);
/// What nobody says while nothing goes wrong.
const REFUSALS: [ErrorCode; 5] = [
    ErrorCode::ProtocolError,
    ErrorCode::NotReady,
    ErrorCode::NonReadableCell,
    ErrorCode::ReadOnlyAccess,
    ErrorCode::IncompleteTransaction,
];
/// Commits that programs do once faults have stopped.
const COMMITS_AFTER: u64 = 20;
/// How much longer a run goes on in which too little went wrong, and with how many faults more.
const LONGER: Duration = Duration::from_secs(10);
const MORE: u64 = 10;

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// How much happened.
    pub figures: Figures,
    /// What happened last, as text.
    pub trace: String,
    /// A hash of everything that happened.
    pub trace_hash: String,
    /// What was reached.
    pub coverage: Coverage,
    /// The rule that does not hold, if any.
    pub broken: Option<Broken>,
    /// What was to go wrong, and what was added as that was too little.
    pub faults: Vec<Fault>,
}

/// What is told of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tracing {
    /// A hash of everything; of what happened last, only faults and what processes did.
    Hash,
    /// What happened last, packets included. This takes longer.
    Keep,
    /// Everything, at once, to standard error.
    Print,
}

/// How much happened in a run.
#[derive(Clone, Default, Debug)]
pub struct Figures {
    /// Simulated time.
    pub elapsed: Duration,
    /// Events that machines handled.
    pub events: u64,
    /// Commits that programs know of.
    pub commits: u64,
    /// Faults that happened, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// How often processes ended by themselves or would not start, by what they said, without
    /// numbers.
    pub ends: BTreeMap<String, u64>,
}

/// Runs a cluster as a setting has it. The same setting gives the same outcome.
pub fn run(setting: &Setting, tracing: Tracing) -> Outcome {
    let mut run = Run::new(setting);
    match tracing {
        Tracing::Hash => run.world.leave_out_packets(),
        Tracing::Keep => {}
        Tracing::Print => run.world.print_trace(),
    }
    let result = catch_unwind(AssertUnwindSafe(|| run.whole()));
    let broken = result.unwrap_or_else(|panic| Err(panicked(&*panic))).err();
    let figures = Figures {
        elapsed: run.world.elapsed(),
        events: run.world.events(),
        commits: run.history.borrow().commits(),
        faults: run.breaker.counts().clone(),
        ends: run.ends(),
    };
    let (trace, trace_hash) = (run.world.trace(), run.world.trace_hash());
    let coverage = run.coverage.take();
    let faults = run.breaker.faults().to_vec();
    Outcome { figures, trace, trace_hash, coverage, broken, faults }
}

pub(super) struct Run<'a> {
    pub(super) setting: &'a Setting,
    pub(super) world: World,
    pub(super) nodes: Nodes,
    pub(super) breaker: Breaker,
    history: Rc<RefCell<History>>,
    coverage: Rc<RefCell<Coverage>>,
}

impl<'a> Run<'a> {
    fn new(setting: &'a Setting) -> Self {
        let history = History::new();
        if !setting.faults.is_empty() {
            history.borrow_mut().fault();
        }
        if setting.faults.iter().any(|fault| fault.kind.fails_reads()) {
            history.borrow_mut().read_fails();
        }
        let mut world = World::new(setting.seed);
        let nodes = Nodes::add(&mut world, setting, &history);
        world.restart_ended(RESTART_DELAY);
        let breaker = Breaker::new(&nodes, &setting.faults, setting.seed);
        let coverage = Rc::new(RefCell::new(Coverage::default()));
        world.set_witness(Box::new(Watcher(Rc::clone(&coverage))));
        Self { setting, world, nodes, breaker, history, coverage }
    }

    fn whole(&mut self) -> Result<(), Broken> {
        self.start_all();
        self.work();
        self.breaker.heal(&mut self.world);
        let wanted =
            (self.history.borrow().commits() + COMMITS_AFTER).max(self.setting.commits_min);
        self.wait("programs commit", |run| run.history.borrow().commits() >= wanted)?;
        self.history.borrow_mut().end();
        self.wait("programs end", |run| run.history.borrow().is_at_rest())?;
        self.wait("broken connections are noticed", |run| !run.world.has_half_open())?;
        self.world.run(SETTLING);
        self.rest()?;
        let disks = self.stop()?;
        let databases = Databases::open(&disks)?;
        self.ends_for_a_reason()?;
        self.stays_whole(&databases)?;
        let truth = check::all(&self.history.borrow(), &databases)?;
        drop(databases);
        if check::is_skewed(&truth) {
            self.coverage.borrow_mut().skewed();
        }
        match self.setting.ending {
            Ending::Rest => Ok(()),
            Ending::Refusal => self.refuse(),
            Ending::Truncation => self.truncate(&truth),
        }
    }

    /// Nothing is left to do: the cluster serves, and no transaction, lock or request waits.
    pub(super) fn rest(&mut self) -> Result<(), Broken> {
        let rule = "a cluster comes to rest";
        self.wait(rule, |run| run.unfinished().is_empty()).map_err(|broken| {
            let text = format!("{}: {}", broken.text, self.unfinished().join(", "));
            Broken { text, ..broken }
        })
    }

    fn unfinished(&mut self) -> Vec<String> {
        let master = self.world.machine::<Master>(self.nodes.master);
        let mut all = master.map_or_else(|| vec!["no master".to_owned()], |one| one.unfinished());
        for process in self.nodes.storages.clone() {
            if self.breaker.spoiled().contains(&process) {
                continue;
            }
            let name = self.world.name(process);
            match self.world.machine::<Storage>(process) {
                Some(storage) => {
                    all.extend(storage.unfinished().iter().map(|text| format!("{name}: {text}")));
                }
                None => all.push(format!("{name} does not run")),
            }
        }
        all
    }

    /// Who has a disk that does what disks do ends when it is told to, and starts again.
    fn ends_for_a_reason(&self) -> Result<(), Broken> {
        let excused = self.breaker.faults().iter().filter_map(|fault| fault.kind.breaks_disk_of());
        let excused: Vec<ProcessId> = excused.map(|target| self.breaker.process(target)).collect();
        for process in self.nodes.all().into_iter().filter(|one| !excused.contains(one)) {
            if let Some(text) = self.world.ends(process).iter().find(|text| *text != "Stopped") {
                let text = format!("{}: {text}", self.world.name(process));
                return Err(Broken::new("nodes end for a reason", text));
            }
        }
        Ok(())
    }

    /// Where nothing goes wrong but with the disk of one storage, all others keep all their cells,
    /// and nobody is refused.
    fn stays_whole(&self, databases: &Databases) -> Result<(), Broken> {
        let mut faults = self.breaker.faults().iter();
        let is_calm = |fault: &Fault| self.setting.damaged.is_some_and(|one| fault.kind.is_of(one));
        if self.setting.loses_storage_at.is_some() || !faults.all(is_calm) {
            return Ok(());
        }
        databases.keep_all_cells()?;
        let coverage = self.coverage.borrow();
        let refused = |point: &str| REFUSALS.iter().any(|code| point == format!("error {code:?}"));
        match coverage.counts().find(|(point, _)| refused(point)) {
            Some((point, _)) if self.setting.damaged.is_none() => {
                Err(Broken::new("nobody is refused without a reason", point))
            }
            _ => Ok(()),
        }
    }

    /// Why processes ended by themselves, or would not start.
    fn ends(&self) -> BTreeMap<String, u64> {
        let mut ends = BTreeMap::new();
        for process in self.nodes.all() {
            let kind = self.world.name(process).chars().next().unwrap_or('?');
            for text in self.world.ends(process) {
                let text = text.replace(|letter: char| letter.is_ascii_digit(), "");
                *ends.entry(format!("{kind}: {text}")).or_default() += 1;
            }
        }
        ends
    }

    /// Programs and faults, as long as there were not enough of them.
    fn work(&mut self) {
        let Setting { seed, profile, faults_min, .. } = *self.setting;
        let mut random = Random::from_seed(seed.rotate_left(32)).split();
        let mut end = self.setting.duration;
        if let Some(at) = self.setting.loses_storage_at.filter(|at| *at < end) {
            self.work_until(at);
            self.lose_storage();
        }
        self.work_until(end);
        while self.breaker.count_all(&self.world) < faults_min {
            let targets = self.setting.targets();
            let mut faults = fault::choose(&mut random, profile, targets, LONGER, MORE);
            faults.iter_mut().for_each(|fault| fault.at += end);
            if faults.iter().any(|fault| fault.kind.fails_reads()) {
                self.history.borrow_mut().read_fails();
            }
            self.history.borrow_mut().fault();
            self.breaker.add(faults);
            end += LONGER;
            self.work_until(end);
        }
    }

    fn work_until(&mut self, end: Duration) {
        while self.world.elapsed() < end {
            let until = self.breaker.next_at().unwrap_or(end).min(end);
            self.world.run(until.saturating_sub(self.world.elapsed()));
            self.breaker.act(&mut self.world);
            if self.breaker.take_lost_directory() {
                self.history.borrow_mut().directory_lost();
            }
        }
    }

    /// One storage never comes back, if others have everything that it has.
    fn lose_storage(&mut self) {
        let mut storages = self.nodes.storages.clone().into_iter();
        let is_away = |process: &ProcessId| self.breaker.take_away(&mut self.world, *process);
        let Some(process) = storages.find(is_away) else { return };
        self.history.borrow_mut().fault();
        let end = self.world.elapsed() + GIVING_UP;
        while !self.breaker.lose(&mut self.world, process) {
            if self.world.elapsed() > end {
                // Somebody counts on it who cannot be told, so it has to come back.
                return self.breaker.leave(&mut self.world, process);
            }
            self.work_until(self.world.elapsed() + GLANCE);
        }
        self.world.note("a storage is lost for good");
        self.coverage.borrow_mut().lost();
    }

    fn start_all(&mut self) {
        for process in self.nodes.all() {
            if !self.world.is_running(process) {
                self.world.start(process);
            }
        }
    }

    /// Waits until something is so, which it must become.
    pub(super) fn wait(
        &mut self,
        rule: &str,
        mut is_so: impl FnMut(&mut Self) -> bool,
    ) -> Result<(), Broken> {
        let end = self.world.elapsed() + PATIENCE;
        while !is_so(self) {
            if self.world.elapsed() > end {
                return Err(Broken::new(rule, format!("not within {} s", PATIENCE.as_secs())));
            }
            self.world.run(GLANCE);
        }
        Ok(())
    }

    /// Stops all storages in good order. The disks of those that are sound, by name.
    pub(super) fn stop(&mut self) -> Result<Vec<(String, engine::disk::MemoryDisk)>, Broken> {
        self.world.leave_ended();
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
        let storages = storages.filter(|process| !self.breaker.spoiled().contains(process));
        let disk = |process| (self.world.name(process), self.world.disk(process).snapshot());
        Ok(storages.map(|process| disk(*process)).collect())
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Broken {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    Broken::new("machines keep their invariants", text.unwrap_or("a panic without text"))
}
