//! The client: loads, commits and iteration.
//!
//! - [`Client`] is the machine without I/O: requests in, completions out;
//! - [`Session`] drives it for programs whose threads may wait;
//! - [`Embedded`] does the same for a database that is a directory, without a cluster.
//!
//! A client finds the primary master and follows what it tells of nodes and partitions, connects to
//! storages when it needs them, reads from any cell that is readable, and writes to all cells.
//! Objects that were loaded or committed are kept in a cache, if it is to have one. Its completions
//! can feed others: their order says which loads an invalidation is later than.

mod cache;
mod commit;
mod embedded;
mod error;
mod load;
mod machine;
mod master;
mod note;
mod options;
mod payload;
mod request;
mod session;
mod storage;
mod walk;
mod zlib;

pub use embedded::{
    Coding, Embedded, EmbeddedObjects, EmbeddedOids, EmbeddedOptions, EmbeddedTransaction,
    EmbeddedTransactions, InDoubt, Opening, Unfit,
};
pub use error::{Error, Trouble, UndoFailure};
pub use machine::Client;
pub use note::Note;
pub use options::{Access, ClientOptions};
pub use payload::Payload;
pub use request::{
    Answer, Completion, Conflict, Metadata, Object, Request, Revision, Token,
    TransactionInformation,
};
pub use session::{
    Contention, Notice, Objects, Oids, Resolver, Session, Transaction, Transactions,
};
pub use walk::{OidCursor, TransactionCursor};

#[cfg(test)]
mod tests;
