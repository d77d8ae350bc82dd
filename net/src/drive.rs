//! Runs a machine in the world.

use std::time::Duration;

use crate::clock;
use crate::event::Machine;
use crate::event_loop::EventLoop;

/// How long peers have to take what was still to be sent when a machine came to its end.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(3);

/// Runs a machine to its end: gives it events and carries out its actions. Then sends what is
/// queued, for at most some seconds, and closes all connections. How long the loop was stalled is
/// logged at the end, and whenever the logs are flushed.
pub fn drive<M: Machine>(event_loop: &mut EventLoop, machine: &mut M) -> M::Exit {
    let exit = loop {
        if let Some(exit) = machine.exit() {
            break exit;
        }
        event_loop.turn(machine, None);
    };
    event_loop.finish(machine.links(), clock::monotonic() + FLUSH_TIME_MAX);
    tracing::info!(stalls = %event_loop.stalls(), "event loop ends");
    exit
}
