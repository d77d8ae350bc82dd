//! Processes: machines that start, run, stop and start again.

use std::collections::VecDeque;
use std::time::Duration;

use engine::disk::MemoryDisk;
use model::Now;
use net::{Address, Event};

use super::clock::Clock;
use super::whole::World;
use crate::node::Node;

/// A process of the world. It keeps its id when it is started again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ProcessId(pub(super) usize);

/// How a process is started, again and again.
pub trait Host {
    /// Starts the machine on its disk.
    ///
    /// # Errors
    /// If it refuses to start: why.
    fn open(&mut self, disk: &MemoryDisk, now: Now) -> Result<Box<dyn Node>, String>;

    /// What uses the machine from inside; a new one for each start.
    fn actor(&mut self) -> Option<Box<dyn Actor>> {
        None
    }

    /// Ends a machine that has come to its end, as it says why.
    ///
    /// # Errors
    /// If it cannot end in good order: why. What it leaves is as if it had been killed.
    fn close(&mut self, node: Box<dyn Node>, exit: &str) -> Result<(), String> {
        drop((node, exit));
        Ok(())
    }
}

/// What uses a process from inside.
pub trait Actor {
    /// Called after each event of the machine.
    fn act(&mut self, node: &mut dyn Node, now: Now);

    /// When it wants to act although nothing happened, by the monotonic clock of its process.
    fn wake_at(&self) -> Option<Duration> {
        None
    }
}

/// A process, running or not.
pub(super) struct Process {
    pub(super) name: String,
    pub(super) address: Address,
    pub(super) host: Box<dyn Host>,
    pub(super) node: Option<Box<dyn Node>>,
    pub(super) actor: Option<Box<dyn Actor>>,
    pub(super) disk: MemoryDisk,
    /// Counts its starts: what was meant for an earlier life is dropped.
    pub(super) life: u32,
    /// What came while it was stopped by a signal.
    pub(super) held: Option<VecDeque<Event>>,
    /// For when its timer is set.
    pub(super) timer: Option<Duration>,
    /// Whether its disk will do what it was asked for.
    pub(super) disk_due: bool,
    /// Whether its machine has no power, and nothing answers.
    pub(super) is_dark: bool,
    pub(super) clock: Clock,
    /// What comes from it comes so much later.
    pub(super) network_delay: Duration,
    /// What its disk is asked for takes so much longer.
    pub(super) disk_delay: Duration,
    /// Why it ended by itself.
    pub(super) exit: Option<String>,
    /// Why it ended by itself, or would not start, each time.
    pub(super) ends: Vec<String>,
    /// How it is going to end.
    pub(super) doom: Option<Doom>,
    /// How often it ended in that way.
    pub(super) dooms: u64,
}

/// An end that is to come.
#[derive(Clone, Copy)]
pub(super) struct Doom {
    /// How many events are handled before.
    pub(super) events: u64,
    /// How long after the last one; without, nothing is sent that came of that.
    pub(super) delay: Duration,
    /// What ends it.
    pub(super) end: fn(&mut World, ProcessId),
    /// After how long it is started again.
    pub(super) away: Duration,
}

impl Process {
    pub(super) fn new(
        name: String,
        address: Address,
        host: Box<dyn Host>,
        disk: MemoryDisk,
    ) -> Self {
        Self {
            name,
            address,
            host,
            node: None,
            actor: None,
            disk,
            life: 0,
            held: None,
            timer: None,
            disk_due: false,
            is_dark: false,
            clock: Clock::default(),
            network_delay: Duration::ZERO,
            disk_delay: Duration::ZERO,
            exit: None,
            ends: Vec::new(),
            doom: None,
            dooms: 0,
        }
    }

    /// Nothing is left but the disk.
    pub(super) fn end(&mut self) {
        self.node = None;
        self.actor = None;
        self.held = None;
        self.timer = None;
        self.doom = None;
        self.disk_due = false;
        self.life += 1;
    }
}
