//! The wire of Neolith: NEO's protocol 5.
//!
//! - [`Message`]: every packet, declared once;
//! - [`PacketStream`]: a stream of bytes as messages, for who only looks at one;
//! - [`Links`]: the connections of a node, without I/O: bytes in, packets out, and back;
//! - [`Machine`]: what a node is to whoever drives it;
//! - [`EventLoop`] and [`drive`]: the world of sockets, files, signals and clocks for a machine;
//! - [`Bootstrap`]: how a storage, client or admin finds the primary master;
//! - [`NodeTable`]: what a node knows of the others.

mod address;
mod bootstrap;
mod busy_poll;
mod clock;
mod closing;
mod codec;
mod connection;
mod drive;
mod event;
mod event_loop;
mod links;
mod message;
mod nodes;
mod packet_stream;
mod release;
mod send_queue;
mod signals;
mod socket;
mod stalls;
mod warnings;

pub use address::{Address, ParseAddressError};
pub use bootstrap::{Bootstrap, BootstrapStep, Identity};
pub use clock::now;
pub use codec::{Limits, Malformed};
pub use connection::{CloseReason, HANDSHAKE};
pub use drive::drive;
pub use event::{Action, Event, Machine, Signal};
pub use event_loop::{EventLoop, Waker, Watch};
pub use links::{Incoming, LinkId, Links};
pub use message::{
    CheckSource, Checksum, Data, ErrorCode, Extra, IdTimestamp, Message, NodeInformation, Oids,
    OrderedMap, PackOrder, PackRequest, PackState, PacketInformation, RelockConflict, RelockData,
    UndoSerials, Value,
};
pub use nodes::{Node, NodeTable};
pub use packet_stream::PacketStream;
pub use send_queue::SendQueue;
pub use stalls::{Histogram, Stalls};
