//! The engine: one thread writes, any number read.

mod apply;
mod close;
mod create;
mod edit;
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

pub(crate) use close::CLOSED;
pub use engine::{Completion, Engine, Figures};
pub use hide::Delete;
pub(crate) use hide::insert_deleted;
pub use job::{Job, JobState};
pub use options::{OpenMode, Options};
pub use pending::{ObjectData, TransactionState};
pub(crate) use pending::{Pending, State, entry};
pub use replicate::{AddedObject, AddedTransaction};
pub(crate) use transactions::{RESERVE_PER_VOTE, transaction_item};
pub use worker::Worker;
