//! Iteration: transactions and oids of all partitions, merged, and the newest transactions.

mod cursor;
mod informations;
mod oids;
mod transactions;
mod undo_log;
mod walks;

pub(crate) use cursor::Merge;
pub use cursor::{OidCursor, TransactionCursor};
pub(crate) use walks::Walk;
