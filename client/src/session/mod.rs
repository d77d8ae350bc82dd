//! The client for threads that wait.

mod commit;
mod driver;
mod iterate;
mod lead;
mod mailbox;
mod open;
mod prefetch;
mod read;
mod resolve;

pub use commit::Transaction;
pub use driver::Notice;
pub use iterate::{Objects, Oids, Transactions};
pub use open::Session;
pub(crate) use resolve::resolve;
pub use resolve::{Contention, Resolver};
