//! The wire of Neolith: NEO's protocol 5.
//!
//! - [`Message`]: every packet, declared once;
//! - [`Links`]: the connections of a node, without I/O: bytes in, packets out, and back;
//! - [`Machine`]: what a node is to whoever drives it;
//! - [`Bootstrap`]: how a storage, client or admin finds the primary master;
//! - [`NodeTable`]: what a node knows of the others.

mod address;
mod bootstrap;
mod codec;
mod connection;
mod event;
mod links;
mod message;
mod nodes;
mod send_queue;

pub use address::{Address, ParseAddressError};
pub use bootstrap::{Bootstrap, BootstrapStep, Identity};
pub use codec::{Limits, Malformed};
pub use connection::{CloseReason, HANDSHAKE};
pub use event::{Action, Event, Machine, Signal};
pub use links::{Incoming, LinkId, Links};
pub use message::{
    CheckSource, Checksum, Data, ErrorCode, Extra, IdTimestamp, Message, NodeInformation,
    OrderedMap, PackOrder, PackRequest, PackState, PacketInformation, RelockConflict, RelockData,
    UndoSerials, Value,
};
pub use nodes::{Node, NodeTable};
pub use send_queue::SendQueue;
