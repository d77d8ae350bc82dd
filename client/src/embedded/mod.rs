//! A database on a directory of the engine, in this process, with the face of a session.
//!
//! Reads are carried out by the threads that ask, without a lock. One thread owns the engine: it
//! takes what is committed from all others, has it written together, and tells of it in order.

mod announce;
mod failure;
mod fitness;
mod ids;
mod iterate;
mod locks;
mod open;
mod options;
mod pace;
mod read;
mod shared;
mod transaction;
mod undo;
mod unfit;
mod vote;
mod writer;

pub use iterate::{EmbeddedObjects, EmbeddedOids, EmbeddedTransactions};
pub use open::Embedded;
pub use options::{Coding, EmbeddedOptions, InDoubt, Opening};
pub use transaction::EmbeddedTransaction;
pub use unfit::Unfit;

#[cfg(test)]
mod tests;
