//! What stands in the way of processes: networks that deliver nothing or late, hosts that refuse,
//! disks that are slow, clocks that are wrong.

use std::collections::BTreeSet;
use std::time::Duration;

use net::Event;

use super::network::{ConnectionId, Side};
use super::process::ProcessId;
use super::whole::{Happening, TICK, World};

/// When a system asks whether the peer of a connection that is silent is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// What stands in the way of the network.
#[derive(Default)]
pub(super) struct Obstacles {
    /// From whom to whom nothing comes through.
    blocked: BTreeSet<(ProcessId, ProcessId)>,
    /// What would have happened otherwise, in order.
    waiting: Vec<Happening>,
    /// Hosts that refuse connections although somebody listens.
    refusing: BTreeSet<ProcessId>,
    /// Whether machines without power say nothing.
    goes_dark: bool,
}

/// How often somebody tries to reach a machine that does not answer.
const RETRANSMISSION: Duration = Duration::from_millis(500);

impl World {
    /// From now on nothing comes through from one process to another. What is sent waits.
    pub fn block(&mut self, from: ProcessId, to: ProcessId) {
        self.obstacles.blocked.insert((from, to));
    }

    /// Everything comes through again, and nobody is refused or hears late.
    pub fn clear_network(&mut self) {
        self.obstacles.blocked.clear();
        self.obstacles.refusing.clear();
        for process in &mut self.processes {
            process.network_delay = Duration::ZERO;
        }
        self.let_through();
    }

    /// Ends [`World::block`].
    pub fn unblock(&mut self, from: ProcessId, to: ProcessId) {
        if self.obstacles.blocked.remove(&(from, to)) {
            self.let_through();
        }
    }

    fn let_through(&mut self) {
        let at = self.elapsed + TICK;
        for happening in std::mem::take(&mut self.obstacles.waiting) {
            self.agenda.add(at, happening);
        }
    }

    /// Connections to a process are refused, or not any more. Those that are there stay.
    pub fn refuse(&mut self, process: ProcessId, on: bool) {
        match on {
            true => self.obstacles.refusing.insert(process),
            false => self.obstacles.refusing.remove(&process),
        };
    }

    /// Whatever comes from a process comes so much later.
    pub fn delay_network(&mut self, process: ProcessId, by: Duration) {
        self.processes[process.0].network_delay = by;
    }

    /// Whatever the disk of a process is asked for takes so much longer.
    pub fn delay_disk(&mut self, process: ProcessId, by: Duration) {
        self.processes[process.0].disk_delay = by;
    }

    /// The clocks of a process go so much too fast, in parts in a million.
    pub fn drift(&mut self, process: ProcessId, parts: i64) {
        let elapsed = self.elapsed;
        self.processes[process.0].clock.set_drift(elapsed, parts);
        if self.is_running(process) {
            self.set_timer(process);
        }
    }

    /// The time of day of a process jumps, forward or back.
    pub fn jump(&mut self, process: ProcessId, is_forward: bool, by: Duration) {
        let clock = &mut self.processes[process.0].clock;
        match is_forward {
            true => clock.put_forward(by),
            false => clock.put_back(by),
        }
    }

    /// All connections between two processes break, but only the first one learns of it at once;
    /// the other one when it sends something, or after a minute.
    pub fn half_open(&mut self, learns: ProcessId, other: ProcessId) {
        for id in self.network.between(learns, other) {
            let connection = self.network.get(id).expect("it was found");
            connection.is_half_open = true;
            let side = connection.side_of(learns).expect("it was found");
            let reset = Happening::Reset { connection: id, side: side.other() };
            self.agenda.add(self.elapsed + KEEPALIVE, reset);
            if let Some(end) = self.network.close(id, side) {
                let reason = String::from("the network failed");
                self.deliver(end.process, Event::Closed { link: end.link, reason });
            }
        }
    }

    /// Whether machines whose power fails say nothing to their peers from now on. Without, peers
    /// are told as if the process had been killed.
    pub fn set_dark(&mut self, on: bool) {
        self.obstacles.goes_dark = on;
    }

    /// A machine has no power: nobody is told, and nothing answers until it is back.
    pub(super) fn go_dark(&mut self, process: ProcessId) {
        if !self.obstacles.goes_dark {
            return;
        }
        self.processes[process.0].is_dark = true;
        for link in self.network.links(process) {
            let (id, side) = self.network.find(process, link).expect("it has the link");
            self.network.close(id, side);
            // Unless nobody had taken it yet.
            if let Some(connection) = self.network.get(id) {
                connection.is_half_open = true;
                let reset = Happening::Reset { connection: id, side: side.other() };
                self.agenda.add(self.elapsed + KEEPALIVE, reset);
            }
        }
    }

    /// Has somebody try again who wants something of a machine that may be dark. Whether it is.
    pub(super) fn is_dark(&mut self, machine: ProcessId, happening: Happening) -> bool {
        let is_dark = self.processes[machine.0].is_dark;
        if is_dark {
            self.agenda.add(self.elapsed + RETRANSMISSION, happening);
        }
        is_dark
    }

    /// Whether somebody has not learned yet that a connection is broken.
    pub fn has_half_open(&self) -> bool {
        self.network.has_half_open()
    }

    /// One end of a half-open connection has sent something.
    pub(super) fn reset(&mut self, id: ConnectionId, side: Side) {
        let Some(connection) = self.network.get(id) else { return };
        let target = self.listeners.get(&connection.target).copied();
        let other = match side {
            Side::Opener => target.expect("somebody had taken it"),
            Side::Acceptor => connection.opened_by,
        };
        if self.is_dark(other, Happening::Reset { connection: id, side }) {
            return;
        }
        if let Some(end) = self.network.close(id, side) {
            let reason = String::from("reset by the peer");
            self.deliver(end.process, Event::Closed { link: end.link, reason });
        }
    }

    /// Keeps what would come through from one side of a connection if anything did. Whether it is
    /// kept.
    pub(super) fn is_held_up(
        &mut self,
        id: ConnectionId,
        from: Side,
        happening: Happening,
    ) -> bool {
        let Some(connection) = self.network.get(id) else { return false };
        let target = self.listeners.get(&connection.target).copied();
        let process = |side: Side| match side {
            Side::Opener => Some(connection.opened_by),
            Side::Acceptor => target,
        };
        let (Some(sender), Some(receiver)) = (process(from), process(from.other())) else {
            return false;
        };
        let is_blocked = self.obstacles.blocked.contains(&(sender, receiver));
        if is_blocked {
            self.obstacles.waiting.push(happening);
        }
        is_blocked
    }

    pub(super) fn is_refusing(&self, process: ProcessId) -> bool {
        self.obstacles.refusing.contains(&process)
    }
}
