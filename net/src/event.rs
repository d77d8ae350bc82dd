//! What happens to a node, and what a node wants done: all there is between machines and the world.

use std::time::Duration;

use bytes::BytesMut;
use model::Now;

use crate::address::Address;
use crate::links::{LinkId, Links};

/// Something that happened.
#[derive(Debug)]
pub enum Event {
    /// A peer connected.
    Accepted {
        /// The new connection, which the world named ([`LinkId::accepted`]).
        link: LinkId,
        /// From where.
        address: Address,
    },
    /// A connection that was asked for is open.
    Connected {
        /// Which.
        link: LinkId,
    },
    /// Bytes came, in order.
    Received {
        /// On which connection.
        link: LinkId,
        /// The bytes, at least one.
        bytes: BytesMut,
    },
    /// A connection that did not take everything takes more.
    Writable {
        /// Which.
        link: LinkId,
    },
    /// A connection was lost, or could not be opened.
    Closed {
        /// Which.
        link: LinkId,
        /// What the system says.
        reason: String,
    },
    /// The deadline of the machine has passed.
    Timer,
    /// Reads or writes of the machine's files may have completed.
    Disk,
    /// The system or an operator signals.
    Signal(Signal),
}

impl Event {
    /// For logs.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::Connected { .. } => "connected",
            Self::Received { .. } => "received",
            Self::Writable { .. } => "writable",
            Self::Closed { .. } => "closed",
            Self::Timer => "timer",
            Self::Disk => "disk",
            Self::Signal(_) => "signal",
        }
    }
}

/// A signal to the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// End in good order (SIGTERM, SIGINT).
    Terminate,
    /// Write out logs, open them again (SIGHUP, SIGUSR1).
    Flush,
}

/// Something that a node wants done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Open a connection, not before a moment.
    Connect {
        /// Its name.
        link: LinkId,
        /// Where to.
        address: Address,
        /// The earliest moment, of the monotonic clock.
        at: Duration,
    },
    /// Send what is in the queue of a connection ([`Links::queue`]), as far as it takes it.
    Transmit {
        /// Which.
        link: LinkId,
    },
    /// Read from a connection, or leave what comes to the system's buffers. When it is to read
    /// again, [`Event::Writable`] follows: packets that were read before wait to be handled.
    Read {
        /// Which.
        link: LinkId,
        /// Whether to read.
        on: bool,
    },
    /// Close a connection.
    Close {
        /// Which.
        link: LinkId,
    },
}

/// A node as a machine: no sockets, files, clocks, threads or randomness of its own. Whoever
/// drives it gives it events and carries out the actions of its [`Links`].
pub trait Machine {
    /// What it notes of its requests.
    type Context;
    /// Why it ends.
    type Exit;

    /// Handles one event.
    fn handle(&mut self, now: Now, event: Event);

    /// Its connections.
    fn links(&mut self) -> &mut Links<Self::Context>;

    /// When it wants [`Event::Timer`], by the monotonic clock; a moment that has passed means as
    /// soon as other events were looked for.
    fn deadline(&self) -> Option<Duration>;

    /// Whether it has come to its end. What its connections have still to send is sent then, as
    /// far as that goes within some seconds.
    fn exit(&mut self) -> Option<Self::Exit>;

    /// Panics if something does not hold that always has to hold between events. For tests: it
    /// looks at everything.
    fn invariants(&self) {}
}
