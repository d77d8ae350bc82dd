//! A node in its process: its machine, what the log says of it, and its end.

use std::time::Duration;

use model::{Nid, Now};
use net::{Event, Links, Machine, Signal};

use super::log::Log;

/// How long a node may take to end in good order. Who asked for it waits 10 seconds.
const END_TIME_MAX: Duration = Duration::from_secs(5);
/// How long the process may take, closing its database included.
const PROCESS_END_TIME_MAX: Duration = Duration::from_secs(9);

/// What a machine can tell of the node that it is.
pub(crate) trait Named {
    /// The id, once the primary master gave it.
    fn nid(&self) -> Option<Nid>;

    /// Name of the cluster, if it was not known before.
    fn cluster(&self) -> Option<&str>;
}

/// How a node ended.
#[derive(Debug)]
pub(crate) enum Ended<E> {
    /// In its own way.
    Exit(E),
    /// It was told to, and took too long.
    Overdue,
}

/// A machine whose node is named in the log, and that ends in time when it is told to.
pub(crate) struct Driven<'a, M> {
    pub(crate) machine: M,
    log: &'a Log,
    nid: Option<Nid>,
    /// When it has to end.
    end: Option<Duration>,
    is_overdue: bool,
}

impl<'a, M: Machine + Named> Driven<'a, M> {
    pub(crate) fn new(machine: M, log: &'a Log) -> Self {
        let mut driven = Self { machine, log, nid: None, end: None, is_overdue: false };
        driven.identify();
        driven
    }

    fn identify(&mut self) {
        self.nid = self.machine.nid();
        let cluster = self.machine.cluster().map(str::to_owned);
        self.log.identify(|identity| {
            identity.nid = self.nid;
            identity.cluster = cluster.or_else(|| identity.cluster.take());
        });
    }
}

impl<M: Machine + Named> Machine for Driven<'_, M> {
    type Context = M::Context;
    type Exit = Ended<M::Exit>;

    fn handle(&mut self, now: Now, event: Event) {
        match event {
            Event::Signal(Signal::Flush) => self.log.reopen(),
            Event::Signal(Signal::Terminate) if self.end.is_none() => {
                tracing::info!("told to end");
                if let Err(error) = super::service::stopping() {
                    tracing::warn!(%error, "the service manager cannot be told");
                }
                self.end = Some(now.monotonic + END_TIME_MAX);
                end_process_in_time();
            }
            _ => {}
        }
        self.machine.handle(now, event);
        self.is_overdue = self.end.is_some_and(|end| end <= now.monotonic);
        if self.nid != self.machine.nid() {
            self.identify();
        }
    }

    fn links(&mut self) -> &mut Links<M::Context> {
        self.machine.links()
    }

    fn deadline(&self) -> Option<Duration> {
        self.machine.deadline().into_iter().chain(self.end).min()
    }

    fn exit(&mut self) -> Option<Self::Exit> {
        match self.machine.exit() {
            Some(exit) => Some(Ended::Exit(exit)),
            None => self.is_overdue.then_some(Ended::Overdue),
        }
    }
}

/// Ends the process if it takes too long to end in good order. Nothing that was acknowledged is
/// lost by that.
fn end_process_in_time() {
    let (never, end) = std::sync::mpsc::channel::<()>();
    let wait = move || {
        let _ = end.recv_timeout(PROCESS_END_TIME_MAX);
        drop(never);
        tracing::warn!("it took too long to close everything: ends now");
        std::process::exit(0);
    };
    if let Err(error) = std::thread::Builder::new().name(String::from("end")).spawn(wait) {
        tracing::warn!(%error, "cannot make sure to end in time");
    }
}
