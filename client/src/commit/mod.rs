//! Transactions: from their beginning to the commit, or to the end that they take otherwise.
//!
//! A transaction is open while objects are stored and checked; then it votes, with every storage it
//! wrote to; then it is finished by the primary master. It can fail up to there, and is
//! then aborted everywhere. Once the master was asked to finish it, only the cluster knows.

mod abort;
mod begin;
mod conflict;
mod finish;
mod kept;
mod nodes;
mod relock;
mod store;
mod transaction;
mod undo;
mod vote;

pub(crate) use store::{Verdict, WRITES_MAX};
pub(crate) use transaction::Transaction;
