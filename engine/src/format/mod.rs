//! The bytes of every file: this folder and docs/format.md say the same thing.

mod codec;
mod group;
mod header;
mod item;
mod manifest;
mod metadata;
mod oids;
mod record;
mod transaction;

pub(crate) use codec::{Decoded, Malformed, Put, Take, malformed};
pub use group::Position;
pub(crate) use group::{GROUP_HEADER_LENGTH, GROUP_MAGIC, GroupHeader};
pub use header::DatabaseId;
pub(crate) use header::{FileHeader, FileKind, HEADER_LENGTH};
pub use item::Location;
pub(crate) use item::{Item, ItemFlags, Key};
pub(crate) use manifest::{
    Change, Checkpoint, Closed, EDIT_HEADER_LENGTH, InDoubt, Intent, Order, RunSummary,
    decode_edit, encode_edit,
};
pub use metadata::{Metadata, MetadataEdit, MetadataKey};
pub use oids::EncodedOids;
pub(crate) use oids::SealedOids;
pub use record::{BODY_LENGTH_MAX, Compression};
pub(crate) use record::{
    Deleted, Extent, ObjectHead, ObjectId, RECORD_HEADER_LENGTH, RawRecord, Record, RecordEncoder,
    Vote,
};
pub use transaction::{PackOrder, Superseded, Transaction};

#[cfg(test)]
mod tests;
