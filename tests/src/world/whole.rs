//! The world itself: lets things happen, one after the other.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use engine::disk::MemoryDisk;
use model::{Now, Random};
use net::{Action, Address, Event, LinkId, Signal};

use super::agenda::Agenda;
use super::network::{ConnectionId, Network, Side};
use super::obstacles::Obstacles;
use super::process::{Host, Process, ProcessId};
use super::restarts::Restarts;
use super::trace::Trace;
use super::witness::{Watch, Witness};
use crate::node::Node;

/// The least time until something that is due at once happens: time always goes on.
pub(super) const TICK: Duration = Duration::from_micros(50);

/// Something that will happen.
pub(super) enum Happening {
    /// Somebody is asked to accept a connection.
    Connect {
        connection: ConnectionId,
    },
    /// The opener learns that it was accepted.
    Connected {
        connection: ConnectionId,
    },
    /// The opener learns that nobody listens.
    Refused {
        connection: ConnectionId,
    },
    /// One end of a half-open connection learns that it is broken.
    Reset {
        connection: ConnectionId,
        side: Side,
    },
    /// The next piece of a stream is there.
    Arrive {
        connection: ConnectionId,
        side: Side,
    },
    /// A machine may have something to send that did not fit.
    Writable {
        process: ProcessId,
        life: u32,
        link: LinkId,
    },
    Timer {
        process: ProcessId,
        life: u32,
    },
    Disk {
        process: ProcessId,
        life: u32,
    },
    Start {
        process: ProcessId,
        life: u32,
    },
    /// A process ends in the middle of what it does.
    Doom {
        process: ProcessId,
        life: u32,
    },
}

/// Processes, what connects them, and what is to happen next.
pub struct World {
    pub(super) elapsed: Duration,
    pub(super) random: Random,
    pub(super) agenda: Agenda<Happening>,
    pub(super) network: Network,
    pub(super) obstacles: Obstacles,
    pub(super) processes: Vec<Process>,
    pub(super) listeners: BTreeMap<Address, ProcessId>,
    pub(super) trace: Trace,
    pub(super) watch: Option<Watch>,
    events: u64,
    pub(super) restarts: Restarts,
}

impl World {
    /// An empty one.
    pub fn new(seed: u64) -> Self {
        Self {
            elapsed: Duration::ZERO,
            random: Random::from_seed(seed),
            agenda: Agenda::default(),
            network: Network::default(),
            obstacles: Obstacles::default(),
            processes: Vec::new(),
            listeners: BTreeMap::new(),
            trace: Trace::new(),
            watch: None,
            events: 0,
            restarts: Restarts::default(),
        }
    }

    /// Adds a process, which is not started yet, with an empty disk.
    pub fn add(&mut self, name: &str, address: Address, host: Box<dyn Host>) -> ProcessId {
        let id = ProcessId(self.processes.len());
        let disk = MemoryDisk::new(self.random.next_u64());
        self.listeners.insert(address.clone(), id);
        self.processes.push(Process::new(name.to_owned(), address, host, disk));
        id
    }

    /// How long the world goes already.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// How many events were handled by machines.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// What the clocks of a process say.
    pub fn now(&self, process: ProcessId) -> Now {
        self.processes[process.0].clock.now(self.elapsed)
    }

    /// What happened last, as text.
    pub fn trace(&self) -> String {
        self.trace.text()
    }

    /// A hash of all that happened.
    pub fn trace_hash(&self) -> String {
        self.trace.hash()
    }

    /// Shows a witness every packet from now on.
    pub fn set_witness(&mut self, witness: Box<dyn Witness>) {
        self.watch = Some(Watch::new(witness));
    }

    /// Prints everything that happens from now on, to standard error.
    pub fn print_trace(&mut self) {
        self.trace.print();
    }

    /// Leaves packets out of [`World::trace`], which makes everything faster.
    pub fn leave_out_packets(&mut self) {
        self.trace.leave_out_packets();
    }

    /// What a process is called.
    pub fn name(&self, process: ProcessId) -> String {
        self.processes[process.0].name.clone()
    }

    /// The disk of a process. Another one after each crash.
    pub fn disk(&self, process: ProcessId) -> &MemoryDisk {
        &self.processes[process.0].disk
    }

    /// Gives a process that does not run another disk.
    pub fn set_disk(&mut self, process: ProcessId, disk: MemoryDisk) {
        assert!(!self.is_running(process), "a disk is not taken out of a running process");
        self.processes[process.0].disk = disk;
    }

    /// Whether a process runs; also if it is stopped by a signal.
    pub fn is_running(&self, process: ProcessId) -> bool {
        self.processes[process.0].node.is_some()
    }

    /// Why a process ended by itself, or would not start.
    pub fn exit(&self, process: ProcessId) -> Option<&str> {
        self.processes[process.0].exit.as_deref()
    }

    /// Starts a process after a while.
    pub fn start_after(&mut self, process: ProcessId, delay: Duration) {
        let life = self.processes[process.0].life;
        self.agenda.add(self.elapsed + delay, Happening::Start { process, life });
    }

    /// Says something in the trace.
    pub fn note(&mut self, text: &str) {
        self.trace.say(self.elapsed, text);
    }

    /// Starts a process.
    pub fn start(&mut self, process: ProcessId) {
        let now = self.now(process);
        let found = &mut self.processes[process.0];
        assert!(found.node.is_none(), "{} runs already", found.name);
        found.exit = None;
        found.is_dark = false;
        found.disk.hold_requests(true);
        match found.host.open(&found.disk, now) {
            Ok(node) => {
                found.node = Some(node);
                found.actor = found.host.actor();
                self.say(process, "starts");
                self.after_event(process);
            }
            Err(text) => {
                self.say(process, &format!("refuses to start: {text}"));
                self.processes[process.0].ends.push(text.clone());
                self.processes[process.0].exit = Some(text);
                // What else would start it now is for the life that it did not have.
                self.processes[process.0].life += 1;
                if !self.check_crash(process) {
                    self.start_ended(process);
                }
            }
        }
    }

    /// Ends a process at once. The system keeps what was written.
    pub fn kill(&mut self, process: ProcessId) {
        self.say(process, "is killed");
        self.end(process, "reset by the peer");
        let found = &mut self.processes[process.0];
        found.disk = found.disk.keep_all();
    }

    /// The power of a process fails. Of what was not synced, the disk keeps what chance decides.
    pub fn crash(&mut self, process: ProcessId) {
        self.say(process, "crashes");
        self.go_dark(process);
        self.end(process, "reset by the peer");
        let seed = self.random.next_u64();
        let found = &mut self.processes[process.0];
        found.disk = found.disk.crash_image(seed);
    }

    /// Signals a process.
    pub fn signal(&mut self, process: ProcessId, signal: Signal) {
        self.deliver(process, Event::Signal(signal));
    }

    /// Stops a process: what comes for it waits.
    pub fn pause(&mut self, process: ProcessId) {
        self.say(process, "is paused");
        self.processes[process.0].held.get_or_insert_with(VecDeque::new);
    }

    /// Lets a stopped process go on.
    pub fn resume(&mut self, process: ProcessId) {
        self.say(process, "is resumed");
        for event in self.processes[process.0].held.take().into_iter().flatten() {
            self.deliver(process, event);
        }
        self.after_event(process);
    }

    /// Breaks all connections between two processes.
    pub fn cut(&mut self, a: ProcessId, b: ProcessId) {
        for id in self.network.between(a, b) {
            for side in [Side::Opener, Side::Acceptor] {
                if let Some(end) = self.network.close(id, side) {
                    let reason = String::from("the network failed");
                    self.deliver(end.process, Event::Closed { link: end.link, reason });
                }
            }
        }
    }

    /// Lets things happen for some time, or until something is so. Whether it became so.
    pub fn run_until(&mut self, limit: Duration, mut is_so: impl FnMut(&mut Self) -> bool) -> bool {
        let end = self.elapsed + limit;
        loop {
            if is_so(self) {
                return true;
            }
            let Some((at, happening)) = self.agenda.next(end) else {
                self.elapsed = end;
                return is_so(self);
            };
            self.elapsed = at;
            self.happen(happening);
        }
    }

    /// Lets things happen for some time.
    pub fn run(&mut self, duration: Duration) {
        self.run_until(duration, |_| false);
    }

    fn say(&mut self, process: ProcessId, text: &str) {
        let line = format!("{} {text}", self.processes[process.0].name);
        self.trace.say(self.elapsed, &line);
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Connect { connection } => self.connect(connection),
            Happening::Connected { connection } => {
                let held = Happening::Connected { connection };
                if self.is_held_up(connection, Side::Acceptor, held) {
                    return;
                }
                let end = self.network.get(connection).and_then(|found| found.end(Side::Opener));
                if let Some((process, link)) = end.map(|end| (end.process, end.link)) {
                    self.deliver(process, Event::Connected { link });
                }
            }
            Happening::Refused { connection } => {
                if self.is_held_up(connection, Side::Acceptor, Happening::Refused { connection }) {
                    return;
                }
                if let Some(end) = self.network.close(connection, Side::Opener) {
                    let reason = String::from("connection refused");
                    self.deliver(end.process, Event::Closed { link: end.link, reason });
                }
            }
            Happening::Reset { connection, side } => self.reset(connection, side),
            Happening::Arrive { connection, side } => self.arrive(connection, side),
            Happening::Writable { process, life, link } if self.lives(process, life) => {
                self.deliver(process, Event::Writable { link });
            }
            Happening::Timer { process, life } if self.lives(process, life) => self.timer(process),
            Happening::Disk { process, life } if self.lives(process, life) => {
                self.disk_done(process)
            }
            Happening::Start { process, life } if self.processes[process.0].life == life => {
                if !self.is_running(process) {
                    self.start(process);
                }
            }
            Happening::Doom { process, life } if self.lives(process, life) => {
                self.carry_out_doom(process);
            }
            Happening::Doom { .. }
            | Happening::Writable { .. }
            | Happening::Timer { .. }
            | Happening::Disk { .. }
            | Happening::Start { .. } => {}
        }
    }

    fn lives(&self, process: ProcessId, life: u32) -> bool {
        let found = &self.processes[process.0];
        found.life == life && found.node.is_some()
    }

    fn timer(&mut self, process: ProcessId) {
        // It may have been set to another moment since.
        if self.processes[process.0].timer != Some(self.elapsed) {
            return;
        }
        self.processes[process.0].timer = None;
        let deadline = self.processes[process.0].node.as_ref().and_then(|node| node.deadline());
        match deadline {
            Some(deadline) if deadline <= self.now(process).monotonic => {
                self.deliver(process, Event::Timer)
            }
            // Perhaps it is the actor's.
            _ => self.after_event(process),
        }
    }

    /// What a disk was asked for is done.
    fn disk_done(&mut self, process: ProcessId) {
        let found = &mut self.processes[process.0];
        found.disk_due = false;
        if found.held.is_some() {
            return;
        }
        found.disk.hold_requests(false);
        self.deliver(process, Event::Disk);
        // Perhaps that of a new life.
        self.processes[process.0].disk.hold_requests(true);
        self.look_at_disk(process);
    }

    /// Has a disk do what it was asked for, after a while.
    fn look_at_disk(&mut self, process: ProcessId) {
        let found = &mut self.processes[process.0];
        if found.node.is_some() && !found.disk_due && found.disk.outstanding() > 0 {
            found.disk_due = true;
            let life = found.life;
            let slow = if self.random.chance(1, 6) { self.random.below(20_000) } else { 0 };
            let delay = Duration::from_micros(20 + self.random.below(200) + slow);
            let delay = delay + self.processes[process.0].disk_delay;
            self.agenda.add(self.elapsed + delay, Happening::Disk { process, life });
        }
    }

    pub(super) fn deliver(&mut self, process: ProcessId, event: Event) {
        let now = self.now(process);
        let found = &mut self.processes[process.0];
        let Some(node) = &mut found.node else { return };
        if let Some(held) = &mut found.held {
            // Timers and disks are looked at when it goes on.
            if !matches!(event, Event::Timer | Event::Disk) {
                held.push_back(event);
            }
            return;
        }
        self.events += 1;
        node.handle(now, event);
        self.after_event(process);
    }

    /// Carries out what a machine wants after an event.
    fn after_event(&mut self, process: ProcessId) {
        let now = self.now(process);
        let found = &mut self.processes[process.0];
        let Some(node) = &mut found.node else { return };
        if let Some(actor) = &mut found.actor {
            actor.act(node.as_mut(), now);
        }
        node.invariants();
        if self.check_crash(process) || self.meets_doom(process) {
            return;
        }
        self.carry_out_actions(process);
        let node = self.processes[process.0].node.as_mut();
        if let Some(exit) = node.and_then(|node| node.exit()) {
            self.say(process, &format!("exits: {exit}"));
            self.carry_out_actions(process);
            let node = self.processes[process.0].node.take();
            self.end(process, "closed by the peer");
            let found = &mut self.processes[process.0];
            let closed = found.host.close(node.expect("it has just come to its end"), &exit);
            if let Err(text) = closed {
                self.say(process, &format!("does not end in good order: {text}"));
            }
            let found = &mut self.processes[process.0];
            found.ends.push(exit.clone());
            found.exit = Some(exit);
            found.disk = found.disk.keep_all();
            self.start_ended(process);
            return;
        }
        self.set_timer(process);
        self.look_at_disk(process);
    }

    /// Ends a process whose disk has crashed. What it wanted to send since is not sent.
    fn check_crash(&mut self, process: ProcessId) -> bool {
        let has_crashed = self.processes[process.0].disk.is_crashed();
        if has_crashed {
            self.crash(process);
            self.processes[process.0].exit = None;
            if let Some(delay) = self.restarts.crashed {
                self.start_after(process, delay);
            }
        }
        has_crashed
    }

    pub(super) fn set_timer(&mut self, process: ProcessId) {
        let earliest = self.elapsed + TICK;
        let found = &mut self.processes[process.0];
        let Some(node) = &found.node else { return };
        let wake = found.actor.as_ref().and_then(|actor| actor.wake_at());
        let Some(deadline) = node.deadline().into_iter().chain(wake).min() else { return };
        let at = found.clock.when(deadline).max(earliest);
        if found.timer.is_none_or(|timer| timer > at) {
            found.timer = Some(at);
            let life = found.life;
            self.agenda.add(at, Happening::Timer { process, life });
        }
    }

    fn carry_out_actions(&mut self, process: ProcessId) {
        loop {
            let node = self.processes[process.0].node.as_mut();
            let Some(action) = node.and_then(|node| node.poll_action()) else { return };
            match action {
                Action::Connect { link, address, at } => {
                    let connection = self.network.open(process, link, address);
                    let at = self.processes[process.0].clock.when(at).max(self.elapsed);
                    let at = at + self.latency();
                    self.agenda.add(at, Happening::Connect { connection });
                }
                Action::Transmit { link } => self.transmit(process, link),
                Action::Read { link, on } => self.set_reading(process, link, on),
                Action::Close { link } => self.close(process, link, "closed by the peer"),
            }
        }
    }

    fn end(&mut self, process: ProcessId, reason: &str) {
        for link in self.network.links(process) {
            self.close(process, link, reason);
        }
        self.processes[process.0].end();
    }

    /// The machine of a process, if it runs and is of this kind.
    pub fn machine<M: Node>(&mut self, process: ProcessId) -> Option<&mut M> {
        self.processes[process.0].node.as_mut()?.downcast_mut()
    }
}
