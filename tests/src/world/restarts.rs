//! Who is started again, and when.

use std::time::Duration;

use super::process::ProcessId;
use super::whole::World;

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

    /// Starts nothing again any more.
    pub fn leave_ended(&mut self) {
        self.restarts = Restarts::default();
    }

    pub(super) fn start_ended(&mut self, process: ProcessId) {
        if let Some(delay) = self.restarts.ended {
            self.start_after(process, delay);
        }
    }
}
