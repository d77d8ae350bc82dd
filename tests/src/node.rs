//! A node of whatever kind, for those that drive several kinds.

use std::any::Any;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use model::Now;
use net::{Action, Event, LinkId, Machine};

/// A machine without its types. See [`Machine`].
pub trait Node: Any {
    /// Handles one event.
    fn handle(&mut self, now: Now, event: Event);

    /// The next action to carry out.
    fn poll_action(&mut self) -> Option<Action>;

    /// Takes what is to be sent on a connection, at most so many bytes.
    fn take_output(&mut self, link: LinkId, length_max: usize) -> Bytes;

    /// When it wants [`Event::Timer`].
    fn deadline(&self) -> Option<Duration>;

    /// Panics if something does not hold that always has to.
    fn invariants(&self);

    /// Why it has come to its end, if it has.
    fn exit(&mut self) -> Option<String>;
}

impl<M> Node for M
where
    M: Machine + 'static,
    M::Exit: fmt::Debug,
{
    fn handle(&mut self, now: Now, event: Event) {
        Machine::handle(self, now, event);
    }

    fn poll_action(&mut self) -> Option<Action> {
        self.links().poll_action()
    }

    fn take_output(&mut self, link: LinkId, length_max: usize) -> Bytes {
        let queue = self.links().queue(link);
        let output = queue.map_or_else(Bytes::new, |queue| queue.take(length_max));
        self.links().transmitted(link);
        output
    }

    fn deadline(&self) -> Option<Duration> {
        Machine::deadline(self)
    }

    fn invariants(&self) {
        Machine::invariants(self);
    }

    fn exit(&mut self) -> Option<String> {
        Machine::exit(self).map(|exit| format!("{exit:?}"))
    }
}

impl dyn Node {
    /// The machine itself, if it is of this kind.
    pub fn downcast_mut<M: Node>(&mut self) -> Option<&mut M> {
        (self as &mut dyn Any).downcast_mut()
    }
}
