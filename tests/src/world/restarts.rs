//! Who is started again, and when.

use std::time::Duration;

use super::process::{Doom, ProcessId};
use super::whole::{Happening, World};

/// After how long processes are started again, if they are.
#[derive(Default)]
pub(super) struct Restarts {
    /// Those whose disks crash.
    pub(super) crashed: Option<Duration>,
    /// Those that end by themselves, or refuse to start.
    ended: Option<Duration>,
}

impl World {
    /// Has processes whose disks crash by a fault started again after a while.
    pub fn restart_crashed(&mut self, delay: Duration) {
        self.restarts = Restarts { crashed: Some(delay), ended: None };
    }

    /// Has processes that end by themselves, or whose disks crash, started again after a while.
    pub fn restart_ended(&mut self, delay: Duration) {
        self.restarts = Restarts { crashed: Some(delay), ended: Some(delay) };
    }

    /// Why a process ended by itself, or would not start, each time.
    pub fn ends(&self, process: ProcessId) -> &[String] {
        &self.processes[process.0].ends
    }

    /// Has a process started that does not run.
    pub fn start_now(&mut self, process: ProcessId) {
        if !self.is_running(process) {
            self.start_after(process, Duration::from_millis(1));
        }
    }

    /// Starts nothing again any more.
    pub fn leave_ended(&mut self) {
        self.restarts = Restarts::default();
    }

    /// Ends a process after so many more events, and some time after the last one; without that,
    /// before anything is sent that came of it. It is started again after a while.
    pub fn end_after(
        &mut self,
        process: ProcessId,
        (events, delay): (u64, Duration),
        end: fn(&mut Self, ProcessId),
        away: Duration,
    ) {
        self.processes[process.0].doom = Some(Doom { events, delay, end, away });
    }

    /// How often a process has ended after so many events.
    pub fn dooms(&self, process: ProcessId) -> u64 {
        self.processes[process.0].dooms
    }

    /// Lets a process live that was to end.
    pub fn spare(&mut self, process: ProcessId) {
        self.processes[process.0].doom = None;
    }

    /// Ends a process whose time has come.
    pub(super) fn meets_doom(&mut self, process: ProcessId) -> bool {
        let Some(doom) = &mut self.processes[process.0].doom else { return false };
        if doom.events > 0 {
            doom.events -= 1;
            return false;
        }
        if doom.delay > Duration::ZERO {
            let at = self.elapsed + std::mem::take(&mut doom.delay);
            let life = self.processes[process.0].life;
            self.agenda.add(at, Happening::Doom { process, life });
            return false;
        }
        self.carry_out_doom(process);
        true
    }

    pub(super) fn carry_out_doom(&mut self, process: ProcessId) {
        if let Some(Doom { end, away, .. }) = self.processes[process.0].doom.take() {
            self.processes[process.0].dooms += 1;
            end(self, process);
            self.start_after(process, away);
        }
    }

    pub(super) fn start_ended(&mut self, process: ProcessId) {
        if let Some(delay) = self.restarts.ended {
            self.start_after(process, delay);
        }
    }
}
