//! What must not be lost: a Raft log with one voter, on the engine's disk.
//!
//! - `command`: one change, as an entry of the log; `codec`: its bytes;
//! - `remembered`: what all changes together come to, and the snapshot of the log;
//! - `consensus`: which entries are agreed on, by the `raft` crate, behind a trait of ours;
//! - `format` and `scan`: the bytes of the files, and how they are read; `files`: writing them;
//! - `ledger`: proposes changes, and says which are durable. Without a disk all are at once.

mod codec;
mod command;
mod consensus;
mod files;
mod format;
mod ledger;
mod remembered;
mod scan;

pub(crate) use command::Command;
pub(crate) use ledger::Ledger;

#[cfg(test)]
mod tests;
