//! Everything that nodes say to each other.

mod declare;
#[cfg(test)]
mod documentation;
mod error_code;
mod fields;
mod oids;
mod packets;
#[cfg(test)]
mod sample;

pub use error_code::ErrorCode;
pub(crate) use fields::Sums;
pub use fields::{
    CheckSource, Checksum, Data, Extra, IdTimestamp, NodeInformation, OrderedMap, PackOrder,
    PackRequest, PackState, RelockConflict, RelockData, UndoSerials, Value,
};
pub use oids::Oids;
pub(crate) use oids::{OID_HEAD, OID_LENGTH};
pub use packets::{Message, PacketInformation};
