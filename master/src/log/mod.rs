//! What must not be lost: a Raft log with one voter, on the engine's disk.
//!
//! - [`Command`]: one change, as an entry of the log;
//! - [`Remembered`]: what all changes together come to, and the snapshot of the log;
//! - [`Ledger`]: proposes changes, and says which are durable. Without a disk all are at once.

mod codec;
mod command;
mod ledger;
mod remembered;

pub(crate) use command::Command;
pub(crate) use ledger::Ledger;
