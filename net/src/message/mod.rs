//! Everything that nodes say to each other.

mod declare;
#[cfg(test)]
mod documentation;
mod error_code;
mod fields;
mod packets;
#[cfg(test)]
mod sample;

pub use error_code::ErrorCode;
pub use fields::{
    CheckSource, Checksum, Data, Extra, IdTimestamp, NodeInformation, OrderedMap, PackOrder,
    PackRequest, PackState, RelockConflict, RelockData, UndoSerials, Value,
};
pub use packets::{Message, PacketInformation};
