//! What clients ask: reads, writes, votes.

mod end;
mod iterate;
mod lock;
mod read;
mod release;
mod request;
mod store;
mod undo;
mod vote;
mod write;

pub(crate) use lock::StoredTask;
pub(crate) use read::compression_number;
pub(crate) use release::Endings;
pub(crate) use write::WriteRequest;
