//! Opens engine directories for commands.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use engine::disk::{self, Backend, Directory, DirectoryOptions};
use engine::{
    BoundsLookup, Engine, LoadLookup, LoadResult, Lookup, Metadata, MetadataKey, OpenMode, Options,
    PartitionBounds, ReadMode, Reader, Snapshot, Transaction, TransactionLookup, When,
};
use model::{Oid, PartitionCount, Tid};

use crate::commands::import::Origin;
use crate::failure::Failure;

/// Where the database is, for commands that only read.
#[derive(Debug, Clone, Args)]
pub(crate) struct DatabaseArgs {
    /// The directory that holds the database
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
}

impl DatabaseArgs {
    /// Opens the database to be read. Nothing in the directory is changed.
    pub(crate) fn open(&self) -> Result<Database, Failure> {
        // Nothing is written: io_uring need not be asked for.
        let disk = DiskArgs { disk_backend: BackendArg::Threads, disk_delay_us: 0 };
        let engine = disk.open(&self.directory, OpenMode::ReadOnly)?;
        Database::new(engine, &self.directory)
    }
}

/// A database that is read, as it was when it was opened.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) engine: Engine,
    pub(crate) reader: Reader,
    pub(crate) snapshot: Snapshot,
    pub(crate) partitions: PartitionCount,
}

impl Database {
    /// Reads what an engine has now.
    pub(crate) fn new(engine: Engine, path: &Path) -> Result<Self, Failure> {
        Ok(Self {
            partitions: partitions(engine.metadata(), path)?,
            reader: engine.reader(ReadMode::Calls),
            snapshot: engine.snapshot(),
            engine,
        })
    }

    /// Carries out a lookup.
    pub(crate) fn look_up<L: Lookup>(&self, lookup: L) -> Result<L::Output, Failure> {
        Ok(self.reader.run(lookup)?)
    }

    /// Loads one revision.
    pub(crate) fn load(&self, oid: Oid, when: When) -> Result<LoadResult, Failure> {
        let partition = self.partitions.of_oid(oid);
        self.look_up(LoadLookup::new(self.snapshot.clone(), partition, oid, when).in_passing())
    }

    /// The metadata of a transaction.
    pub(crate) fn transaction(&self, tid: Tid) -> Result<Option<Transaction>, Failure> {
        let partition = self.partitions.of_tid(tid);
        self.look_up(TransactionLookup::new(self.snapshot.clone(), partition, tid))
    }

    /// First and last ids of all partitions together.
    pub(crate) fn bounds(&self) -> Result<PartitionBounds, Failure> {
        bounds(&self.reader, &self.snapshot, self.partitions)
    }
}

/// First and last ids of all partitions together.
pub(crate) fn bounds(
    reader: &Reader,
    snapshot: &Snapshot,
    partitions: PartitionCount,
) -> Result<PartitionBounds, Failure> {
    let mut all = PartitionBounds::default();
    for partition in partitions.iter() {
        let here = reader.run(BoundsLookup::new(snapshot.clone(), partition))?;
        all.tid_first = all.tid_first.into_iter().chain(here.tid_first).min();
        all.tid_last = all.tid_last.max(here.tid_last);
        all.oid_last = all.oid_last.max(here.oid_last);
        all.oid_followed = all.oid_followed.max(here.oid_followed);
    }
    Ok(all)
}

/// How many partitions the database in a directory has.
pub(crate) fn partitions(metadata: &Metadata, path: &Path) -> Result<PartitionCount, Failure> {
    let count = metadata.get_u32(MetadataKey::Partitions);
    if count.is_none() && metadata.get(MetadataKey::PartitionTable).is_none() {
        let path = path.display();
        return Err(Failure::Refused(format!("{path}: it is empty: no cluster uses it yet")));
    }
    count.and_then(PartitionCount::new).ok_or_else(|| {
        let path = path.display();
        Failure::Damaged(format!("{path}: the metadata has no number of partitions"))
    })
}

/// How the disk is used.
#[derive(Debug, Clone, Args)]
pub(crate) struct DiskArgs {
    /// How writes and cold reads are done: by io_uring, by threads, or by io_uring where the
    /// system allows it
    #[arg(long, value_enum, default_value_t = BackendArg::Auto, value_name = "HOW")]
    pub(crate) disk_backend: BackendArg,
    /// Make every flush take so much longer, to see what a slower disk would do. For measurements
    /// only
    #[arg(long, default_value_t = 0, value_name = "MICROSECONDS")]
    pub(crate) disk_delay_us: u64,
}

/// Values of `--disk-backend`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BackendArg {
    Auto,
    Uring,
    Threads,
}

impl DiskArgs {
    /// Opens the directory itself, making it first if `mode` says so. It is locked until the
    /// result is dropped.
    pub(crate) fn directory(
        &self,
        path: &Path,
        mode: disk::OpenMode,
    ) -> Result<Arc<Directory>, Failure> {
        let options = DirectoryOptions {
            backend: match self.disk_backend {
                BackendArg::Auto => Backend::Auto,
                BackendArg::Uring => Backend::Uring,
                BackendArg::Threads => Backend::Threads,
            },
            delay: Duration::from_micros(self.disk_delay_us),
        };
        match Directory::open(path, mode, options) {
            Ok(directory) => Ok(Arc::new(directory)),
            Err(error) => Err(Failure::Directory(error)),
        }
    }

    /// Opens the database in a directory, unless it is one that is still being imported.
    pub(crate) fn open(&self, path: &Path, mode: OpenMode) -> Result<Engine, Failure> {
        let directory_mode = match mode {
            OpenMode::ReadOnly => disk::OpenMode::ReadOnly,
            OpenMode::ReadWrite => disk::OpenMode::ReadWrite,
        };
        let directory = self.directory(path, directory_mode)?;
        let engine = Engine::open(directory, Options::default(), mode)?;
        match engine.metadata().get(MetadataKey::Import) {
            None => Ok(engine),
            Some(bytes) => Err(Origin::of_unfinished(bytes, path)),
        }
    }
}
