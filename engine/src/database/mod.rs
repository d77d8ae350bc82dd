//! The engine: one thread writes, any number read.

mod apply;
mod close;
mod create;
mod engine;
mod freeze;
mod hide;
mod job;
mod merge;
mod options;
mod pending;
mod progress;
mod replicate;
mod transactions;
mod work;
mod worker;

pub use engine::{Completion, Engine, Figures};
pub use hide::Delete;
pub use job::{Job, JobState};
pub use options::{OpenMode, Options};
pub use pending::{ObjectData, TransactionState};
pub(crate) use close::CLOSED;
pub(crate) use hide::insert_deleted;
pub(crate) use pending::{Pending, State};
pub(crate) use transactions::{RESERVE_PER_VOTE, transaction_item};
pub use replicate::{AddedObject, AddedTransaction};
pub use worker::Worker;
