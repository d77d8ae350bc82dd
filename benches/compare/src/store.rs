//! The engines, each behind the same two traits and each in a file of its own.
//!
//! Every engine is set up as it does this work best, as far as we know, and so that it acknowledges
//! a batch only once it would survive a loss of power: `DURABILITY` says by which setting.

mod control;
mod fjall;
mod lmdb;
mod neolith;
mod redb;
#[cfg(feature = "rocksdb")]
mod rocksdb;
mod sqlite;

use std::path::Path;

use clap::ValueEnum;
use model::{Oid, Tid};
use serde::Serialize;

use crate::error::Result;
use crate::measure::{Measure, measure};
use crate::workload::{Parameters, Record};

/// The engines, in the order of the table.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Engine {
    /// The engine of this project
    Neolith,
    /// Bare log and hash map: the least that this work costs
    Control,
    /// RocksDB, blocks compressed by LZ4
    #[cfg(feature = "rocksdb")]
    RocksdbLz4,
    /// RocksDB, values in blob files
    #[cfg(feature = "rocksdb")]
    RocksdbBlob,
    /// Fjall: log-structured merge tree in Rust
    Fjall,
    /// LMDB through heed: copy-on-write B-tree, mapped
    Lmdb,
    /// redb: copy-on-write B-tree in Rust
    Redb,
    /// SQLite with a write-ahead log
    Sqlite,
}

impl Engine {
    /// The name on the command line and in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Neolith => "neolith",
            Self::Control => "control",
            #[cfg(feature = "rocksdb")]
            Self::RocksdbLz4 => "rocksdb-lz4",
            #[cfg(feature = "rocksdb")]
            Self::RocksdbBlob => "rocksdb-blob",
            Self::Fjall => "fjall",
            Self::Lmdb => "lmdb",
            Self::Redb => "redb",
            Self::Sqlite => "sqlite",
        }
    }

    /// Runs the whole work once on this engine, in this process, in the empty `directory`.
    pub(crate) fn measure(self, directory: &Path, parameters: &Parameters) -> Result<Measure> {
        match self {
            Self::Neolith => measure::<neolith::Neolith>(directory, parameters),
            Self::Control => measure::<control::Control>(directory, parameters),
            #[cfg(feature = "rocksdb")]
            Self::RocksdbLz4 => measure::<rocksdb::Rocksdb<rocksdb::Lz4>>(directory, parameters),
            #[cfg(feature = "rocksdb")]
            Self::RocksdbBlob => measure::<rocksdb::Rocksdb<rocksdb::Blob>>(directory, parameters),
            Self::Fjall => measure::<fjall::Fjall>(directory, parameters),
            Self::Lmdb => measure::<lmdb::Lmdb>(directory, parameters),
            Self::Redb => measure::<redb::Redb>(directory, parameters),
            Self::Sqlite => measure::<sqlite::Sqlite>(directory, parameters),
        }
    }
}

/// An engine that is being written to.
pub(crate) trait Store: Sized {
    /// By which setting an acknowledged batch survives a loss of power.
    const DURABILITY: &'static str;

    /// What the lookups go through. It may hold a snapshot for all of them.
    type Reader<'a>: Reader
    where
        Self: 'a;

    /// Makes a database in the empty `directory`, with a cache of its own of at most `cache_bytes`.
    fn open(directory: &Path, cache_bytes: usize) -> Result<Self>;

    /// Inserts the records of one transaction and returns once they are durable.
    fn batch(&mut self, records: &[Record<'_>]) -> Result<()>;

    /// Waits until work in the background is done: what a server finds after a quiet minute.
    fn settle(&mut self) -> Result<()>;

    /// Begins to read.
    fn reader(&self) -> Result<Self::Reader<'_>>;

    /// Closes the database.
    fn close(self) -> Result<()>;
}

/// An engine that is being read from.
pub(crate) trait Reader {
    /// Shows `show` the value of the revision of `oid` with the greatest tid that is at most `tid`;
    /// does not call it when there is none.
    fn at_or_before(&mut self, oid: Oid, tid: Tid, show: impl FnOnce(&[u8])) -> Result<()>;
}

/// The 16 bytes that the engines of byte strings are given as key: the oid, then the tid with its
/// bits inverted, both big-endian. So an object's newest revision comes first, and the question of
/// this work is answered by the first key not below (oid, tid): one seek forward.
fn key(oid: Oid, tid: Tid) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&oid.to_be_bytes());
    key[8..].copy_from_slice(&(!tid.get()).to_be_bytes());
    key
}

/// Whether a key made by [`key`] is one of `oid`.
fn is_of(key: &[u8], oid: Oid) -> bool {
    key.starts_with(&oid.to_be_bytes())
}

#[cfg(test)]
mod tests;
