//! Lets faults happen at their time, and ends them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use engine::disk::{Fault as DiskFault, MemoryDisk};
use model::Random;

use super::disks::{Change, Disks};
use super::fault::{Fault, FaultKind, Target};
use super::nodes::Nodes;
use crate::world::{ProcessId, World};

/// Lets faults happen, and ends them.
pub(super) struct Breaker {
    nodes: Nodes,
    faults: Vec<Fault>,
    /// What is to be done, by time: in order, with the fault by its index.
    due: BTreeMap<(Duration, usize), Step>,
    random: Random,
    disks: Disks,
    /// What happens when somebody gets there, if it has not yet.
    traps: Vec<Trap>,
    /// Whether the master's directory was lost since somebody asked.
    lost_directory: bool,
    /// How many faults have happened, by kind.
    counts: BTreeMap<&'static str, u64>,
}

/// What is done to what one process sends another.
type Act = fn(&mut World, ProcessId, ProcessId);

/// What happens in the middle of what a process does.
enum Trap {
    /// The process ends, as it has so many times before.
    Process(FaultKind, ProcessId, u64),
    /// An operation of a disk, or a read, from this number on, fails.
    Disk(FaultKind, MemoryDisk, u64, DiskFault),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// Copies the disk that a storage is going to come back with.
    Copy,
    Begin,
    End,
}

impl Breaker {
    pub(super) fn new(nodes: &Nodes, faults: &[Fault], seed: u64) -> Self {
        let faults_in_order = || faults.iter().enumerate();
        let due = faults_in_order().map(|(index, fault)| ((fault.at, index), Step::Begin));
        let old = faults_in_order().filter(|(_, one)| matches!(one.kind, FaultKind::OldDisk(_)));
        let due = due.chain(old.map(|(index, fault)| ((fault.at / 2, index), Step::Copy)));
        let mut random = Random::from_seed(seed).split();
        let disks = Disks::new(nodes, random.split());
        Self {
            nodes: nodes.clone(),
            faults: faults.to_vec(),
            due: due.collect(),
            random,
            disks,
            traps: Vec::new(),
            lost_directory: false,
            counts: BTreeMap::new(),
        }
    }

    /// When something is to be done next.
    pub(super) fn next_at(&self) -> Option<Duration> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// All of a run so far, whether they happened or not.
    pub(super) fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// Ends a storage that is of use for good, if others have everything that it has.
    pub(super) fn take_away(&mut self, world: &mut World, process: ProcessId) -> bool {
        self.disks.is_of_use(world, process) && self.disks.take_away(world, process)
    }

    /// Whether nobody counts any more on a storage that was taken away: then it is lost.
    pub(super) fn lose(&mut self, world: &mut World, process: ProcessId) -> bool {
        self.disks.lose(world, process)
    }

    /// Starts a storage again that was taken away and is not lost.
    pub(super) fn leave(&mut self, world: &mut World, process: ProcessId) {
        self.disks.leave(world, process);
    }

    /// How many faults have happened, by kind.
    pub(super) fn counts(&self) -> &BTreeMap<&'static str, u64> {
        &self.counts
    }

    /// How many faults have happened.
    pub(super) fn count_all(&mut self, world: &World) -> u64 {
        self.look_at_traps(world);
        self.counts.values().sum()
    }

    /// More faults to come.
    pub(super) fn add(&mut self, faults: Vec<Fault>) {
        for fault in faults {
            if matches!(fault.kind, FaultKind::OldDisk(_)) {
                self.due.insert((fault.at / 2, self.faults.len()), Step::Copy);
            }
            self.due.insert((fault.at, self.faults.len()), Step::Begin);
            self.faults.push(fault);
        }
    }

    /// Whether the master's directory was lost since this was asked.
    pub(super) fn take_lost_directory(&mut self) -> bool {
        std::mem::take(&mut self.lost_directory)
    }

    /// Storages whose databases are damaged, or of another time.
    pub(super) fn spoiled(&self) -> &BTreeSet<ProcessId> {
        self.disks.spoiled()
    }

    /// Does what is due.
    pub(super) fn act(&mut self, world: &mut World) {
        while let Some(entry) = self.due.first_entry()
            && entry.key().0 <= world.elapsed()
        {
            let ((_, index), step) = entry.remove_entry();
            let fault = self.faults[index];
            match step {
                Step::Copy => {
                    if let FaultKind::OldDisk(target) = fault.kind {
                        self.disks.copy(world, index, self.process(target));
                    }
                }
                Step::Begin if self.begin(world, fault) => {
                    world.note(&format!("fault: {fault}"));
                    if changed_disk(fault.kind, index).is_none() && !is_trap(fault.kind) {
                        self.count(fault.kind);
                    }
                    self.due.insert((world.elapsed() + fault.lasts, index), Step::End);
                }
                Step::Begin => {}
                Step::End => self.end(world, fault.kind, index),
            }
        }
    }

    /// Ends all faults, and starts whatever does not run.
    pub(super) fn heal(&mut self, world: &mut World) {
        world.note("all faults end");
        for ((_, index), step) in std::mem::take(&mut self.due) {
            if step == Step::End {
                self.end(world, self.faults[index].kind, index);
            }
        }
        self.look_at_traps(world);
        self.traps.clear();
        world.clear_network();
        for process in self.nodes.all() {
            world.disk(process).set_capacity(None);
            world.disk(process).clear_schedule();
            world.delay_disk(process, Duration::ZERO);
            world.drift(process, 0);
            world.spare(process);
            if !self.disks.is_lost(process) {
                world.start_now(process);
            }
        }
    }

    pub(super) fn process(&self, target: Target) -> ProcessId {
        let found = match target {
            Target::Master => Some(&self.nodes.master),
            Target::Storage(index) => self.nodes.storages.get(index as usize),
            Target::Program(index) => self.nodes.programs.get(index as usize),
        };
        *found.expect("targets are chosen among those that are there")
    }

    /// Whether it could happen.
    fn begin(&mut self, world: &mut World, fault: Fault) -> bool {
        match fault.kind {
            FaultKind::Cut(a, b) => world.cut(self.process(a), self.process(b)),
            FaultKind::Stall(from, to) => world.block(self.process(from), self.process(to)),
            FaultKind::StallBoth(a, b) => self.both_ways(world, a, b, World::block),
            FaultKind::Isolate(target) => self.for_others(world, target, World::block),
            FaultKind::Behind(program, storage) => {
                world.block(self.nodes.master, self.process(program));
                world.cut(self.nodes.master, self.process(storage));
            }
            FaultKind::Refuse(target) => world.refuse(self.process(target), true),
            FaultKind::HalfOpen(learns, other) => {
                world.half_open(self.process(learns), self.process(other));
            }
            FaultKind::SlowNetwork(target, by) => world.delay_network(self.process(target), by),
            FaultKind::Kill(target) => return self.stop(world, target, fault, World::kill),
            FaultKind::KillAt(target, events, time) => {
                self.end_in_a_step(world, target, (events, time), World::kill, fault);
            }
            FaultKind::PowerCutAt(target, events, time) => {
                self.end_in_a_step(world, target, (events, time), World::crash, fault);
            }
            FaultKind::PowerCut(target) => return self.stop(world, target, fault, World::crash),
            FaultKind::MasterGone => return self.lose_master(world, fault),
            FaultKind::DiskGone(target) | FaultKind::OldDisk(target) | FaultKind::Flips(target) => {
                let process = self.process(target);
                return self.disks.take_away(world, process);
            }
            FaultKind::Damage(target) => {
                let process = self.process(target);
                self.disks.damage(world, process);
            }
            FaultKind::Pause(target) => {
                let process = self.process(target);
                if !world.is_running(process) {
                    return false;
                }
                world.pause(process);
            }
            FaultKind::SlowDisk(target, by) => world.delay_disk(self.process(target), by),
            FaultKind::Disk(target, after, failure) => {
                let disk = world.disk(self.process(target));
                let number = match failure {
                    DiskFault::ReadError => disk.reads(),
                    _ => disk.operations(),
                };
                disk.schedule(number + after, failure);
                let trap = Trap::Disk(fault.kind, disk.clone(), number + after, failure);
                self.traps.push(trap);
            }
            FaultKind::Full(target, left) => {
                let disk = world.disk(self.process(target));
                disk.set_capacity(Some(disk.allocated_bytes() + left));
            }
            FaultKind::Drift(target, parts) => world.drift(self.process(target), parts),
            FaultKind::Forward(target, by) => world.jump(self.process(target), true, by),
            FaultKind::Back(target, by) => world.jump(self.process(target), false, by),
        }
        true
    }

    fn end_in_a_step(
        &mut self,
        world: &mut World,
        target: Target,
        when: (u64, Duration),
        end: fn(&mut World, ProcessId),
        fault: Fault,
    ) {
        let process = self.process(target);
        // What was to happen to it before either has, or never will.
        self.look_at_traps(world);
        self.traps.retain(|trap| !matches!(trap, Trap::Process(_, other, _) if *other == process));
        world.end_after(process, when, end, fault.lasts);
        self.traps.push(Trap::Process(fault.kind, process, world.dooms(process)));
    }

    /// Counts what has happened since.
    fn look_at_traps(&mut self, world: &World) {
        let is_set = |trap: &mut Trap| match trap {
            Trap::Process(_, process, before) => world.dooms(*process) == *before,
            Trap::Disk(_, disk, at, fault) => disk.is_scheduled(*at, *fault),
        };
        let happened: Vec<Trap> = self.traps.extract_if(.., |trap| !is_set(trap)).collect();
        for trap in happened {
            let (Trap::Process(kind, ..) | Trap::Disk(kind, ..)) = trap;
            self.count(kind);
        }
    }

    fn count(&mut self, kind: FaultKind) {
        *self.counts.entry(kind.name()).or_default() += 1;
    }

    fn end(&mut self, world: &mut World, kind: FaultKind, index: usize) {
        if let Some((change, target)) = changed_disk(kind, index) {
            let process = self.process(target);
            if self.disks.bring_back(world, process, change) {
                world.note(&format!("{target} has another disk: {change:?}"));
                self.count(kind);
            }
        }
        match kind {
            FaultKind::Stall(from, to) => world.unblock(self.process(from), self.process(to)),
            FaultKind::StallBoth(a, b) => self.both_ways(world, a, b, World::unblock),
            FaultKind::Isolate(target) => self.for_others(world, target, World::unblock),
            FaultKind::Behind(program, _) => {
                world.unblock(self.nodes.master, self.process(program));
            }
            FaultKind::Refuse(target) => world.refuse(self.process(target), false),
            FaultKind::SlowNetwork(target, _) => {
                world.delay_network(self.process(target), Duration::ZERO);
            }
            FaultKind::Pause(target) => world.resume(self.process(target)),
            FaultKind::SlowDisk(target, _) => {
                world.delay_disk(self.process(target), Duration::ZERO)
            }
            FaultKind::Full(target, _) => world.disk(self.process(target)).set_capacity(None),
            FaultKind::Drift(target, _) => world.drift(self.process(target), 0),
            FaultKind::Cut(..)
            | FaultKind::HalfOpen(..)
            | FaultKind::Kill(_)
            | FaultKind::KillAt(..)
            | FaultKind::PowerCut(_)
            | FaultKind::PowerCutAt(..)
            | FaultKind::DiskGone(_)
            | FaultKind::OldDisk(_)
            | FaultKind::Flips(_)
            | FaultKind::Damage(_)
            | FaultKind::MasterGone
            | FaultKind::Disk(..)
            | FaultKind::Forward(..)
            | FaultKind::Back(..) => {}
        }
    }

    fn both_ways(&self, world: &mut World, a: Target, b: Target, act: Act) {
        let (a, b) = (self.process(a), self.process(b));
        act(world, a, b);
        act(world, b, a);
    }

    fn for_others(&self, world: &mut World, target: Target, act: Act) {
        let process = self.process(target);
        for other in self.nodes.all() {
            if other != process {
                act(world, process, other);
                act(world, other, process);
            }
        }
    }

    fn stop(
        &self,
        world: &mut World,
        target: Target,
        fault: Fault,
        stop: fn(&mut World, ProcessId),
    ) -> bool {
        let process = self.process(target);
        let runs = world.is_running(process);
        if runs {
            stop(world, process);
            world.start_after(process, fault.lasts);
        }
        runs
    }

    fn lose_master(&mut self, world: &mut World, fault: Fault) -> bool {
        let happens =
            self.disks.ids_are_known(world) && self.stop(world, Target::Master, fault, World::kill);
        if happens {
            world.set_disk(self.nodes.master, MemoryDisk::new(self.random.next_u64()));
            self.lost_directory = true;
        }
        happens
    }
}

/// Whether it happens when a process, or a disk, gets there.
fn is_trap(kind: FaultKind) -> bool {
    matches!(kind, FaultKind::KillAt(..) | FaultKind::PowerCutAt(..) | FaultKind::Disk(..))
}

/// How a fault changes the disk of a storage, and of which.
fn changed_disk(kind: FaultKind, index: usize) -> Option<(Change, Target)> {
    match kind {
        FaultKind::DiskGone(target) => Some((Change::Gone, target)),
        FaultKind::OldDisk(target) => Some((Change::Older(index), target)),
        FaultKind::Flips(target) => Some((Change::Flipped, target)),
        _ => None,
    }
}
