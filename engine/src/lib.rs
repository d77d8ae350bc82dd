//! The storage engine of Neolith: a log-structured store of every revision of every object.
//!
//! [`Engine`] is a database that is open. One thread owns it, submits writes and polls their
//! completions; [`Reader`]s on any thread carry out lookups ([`LoadLookup`] and the others) on
//! [`Snapshot`]s. All I/O goes through [`disk`].

mod cache;
mod database;
pub mod disk;
mod error;
mod format;
mod fsck;
mod log;
mod lookup;
mod manifest;
mod memtable;
mod publish;
mod read;
mod recovery;
mod run;
mod version;

pub use database::{
    AddedObject, AddedTransaction, Completion, Delete, Engine, Figures, Job, JobState, ObjectData,
    OpenMode, Options, TransactionState, Worker,
};
pub use error::{Error, Result};
pub use format::{
    BODY_LENGTH_MAX, Compression, DatabaseId, EncodedOids, Location, Metadata, MetadataEdit,
    MetadataKey, PackOrder, Position, Superseded, Transaction,
};
pub use fsck::{Finding, Fsck, Hit, Hits, Progress, Report, Severity, Stage, Totals};
pub use lookup::{
    Blocks, BoundsLookup, HistoryEntry, HistoryLookup, LiveOids, LiveOidsLookup, LoadLookup,
    LoadResult, Lookup, Need, NewestTidLookup, ObjectPage, ObjectsLookup, PartitionBounds,
    Revision, RevisionTids, Step, StoredLookup, TidOfLookup, TidsLookup, TidsOfLoadLookup,
    TransactionLookup, UndoLookup, UndoResult, When,
};
pub use read::{LoopReader, ReadMode, Reader};
pub use version::Snapshot;
