//! RECOVERING: finding the newest partition table, and the storages that can operate it.
//!
//! Candidates are the log's table and that of every storage. The greatest id wins. Where two have
//! the same id and other rows, the cluster does not start: somebody has to look.
//!
//! - `machine`: asks the storages, and starts;
//! - `reports`: what the storages said of themselves;
//! - `choice`: which storages the cluster starts with, or what it waits for.

mod choice;
mod machine;
mod reports;

pub(crate) use choice::Impulse;
pub(crate) use machine::Recovery;
