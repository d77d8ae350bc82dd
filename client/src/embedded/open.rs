//! Opening and closing.

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use engine::disk::{Directory, DirectoryOptions, Disk, OpenMode as DiskMode};
use engine::{BoundsLookup, Engine, Figures, OpenMode, Options, ReadMode, Worker};
use model::{Oid, PartitionCount, Tid};
use net::PackOrder;

use super::fitness;
use super::ids::Ids;
use super::options::{Coding, EmbeddedOptions, Opening};
use super::shared::{Common, Shared, WriterHandle};
use super::unfit::Unfit;
use super::writer::{Command, Writer};
use super::{failure, transaction::EmbeddedTransaction};
use crate::error::Error;
use crate::payload::Payload;
use crate::session::Notice;

const NO_PACKS: Error = Error::Unsupported { what: "packing" };

/// A database on a directory, in this process, without a cluster: its methods are those of a
/// [`crate::Session`]. Threads share it, and cloning it is cheap. It ends when it is closed, or
/// with its last clone and transaction.
///
/// The directory is that of a storage which has a cluster for itself, and may become one again: it
/// is made by this, by `neolith import`, or by a storage that was stopped in good order. One
/// process has it open at a time.
///
/// A commit is acknowledged when it is durable; those of several threads are synced together. After
/// a sync that failed nothing is written any more.
#[derive(Clone)]
pub struct Embedded {
    pub(super) shared: Arc<Shared>,
}

impl Embedded {
    /// Opens a directory, or makes a database in a new one.
    ///
    /// # Errors
    /// [`Error::Unfit`] if the directory is no such thing, [`Error::Unreadable`],
    /// [`Error::Storage`].
    pub fn open(path: impl AsRef<Path>, options: EmbeddedOptions) -> Result<Self, Error> {
        let path = path.as_ref();
        let mode = match options.opening {
            Opening::OrCreate => DiskMode::Create,
            Opening::ReadWrite => DiskMode::ReadWrite,
            Opening::ReadOnly => DiskMode::ReadOnly,
        };
        let disk = Directory::open(path, mode, DirectoryOptions::default());
        let disk = disk.map_err(|error| {
            let reason = match error.kind() {
                std::io::ErrorKind::WouldBlock => Unfit::InUse,
                std::io::ErrorKind::NotFound if mode != DiskMode::Create => Unfit::NoDatabase,
                _ => return Error::Storage { text: error.to_string() },
            };
            Error::Unfit { path: path.display().to_string(), reason }
        })?;
        Self::open_on(Arc::new(disk), Options::default(), options)
    }

    /// Opens a database on any disk, with limits of the engine.
    ///
    /// # Errors
    /// Like [`Embedded::open`].
    pub fn open_on(
        disk: Arc<dyn Disk>,
        limits: Options,
        options: EmbeddedOptions,
    ) -> Result<Self, Error> {
        let path = disk.path("");
        let cache_bytes_max = options.cache_bytes.unwrap_or(limits.cache_bytes_max);
        let limits = Options { cache_bytes_max, ..limits };
        // Two segments are prepared ahead, and a third one may have to be made.
        let free_bytes_min = 4 * limits.reserve_length;
        let weak = Arc::downgrade(&disk);
        let mut engine = open_engine(disk, &path, limits, &options)?;
        let partitions = fitness::check(&engine, &path, &options)?;
        let is_writable = options.opening != Opening::ReadOnly;
        if is_writable {
            fitness::settle(&mut engine, &path)?;
        }
        let reader = engine.reader(ReadMode::Calls);
        let bounds = bounds(&reader, partitions).map_err(|e| failure::of_read(None, &e))?;
        let (last_tid, greatest_oid) = bounds;
        let ids = Ids::new(last_tid, greatest_oid);
        let common = Arc::new(Common::new(path, partitions, last_tid, ids));
        let writer = match is_writable {
            true => Some(start_writer(engine, &common)?),
            false => None,
        };
        let coding = options.coding;
        let shared = Shared { common, reader, coding, disk: weak, free_bytes_min, writer };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// How many partitions the database has.
    pub fn partitions(&self) -> PartitionCount {
        self.shared.common.partitions
    }

    /// The last committed transaction; everything up to it can be loaded.
    pub fn last_tid(&self) -> Tid {
        self.shared.common.announced.last_tid()
    }

    /// The last committed transaction, as there is nobody else who knew of others.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn ask_last_tid(&self) -> Result<Tid, Error> {
        self.shared.common.check_open()?;
        Ok(self.last_tid())
    }

    /// Does nothing: what was committed is known.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn synchronize(&self) -> Result<(), Error> {
        self.shared.common.check_open()
    }

    /// What is told without being asked for, from now on: each commit, before it is the last one.
    /// It waits without bound until it is received; drop the receiver to have no more.
    pub fn subscribe(&self) -> Receiver<Notice> {
        self.shared.common.announced.subscribe()
    }

    /// New oids.
    ///
    /// # Errors
    /// [`Error::ReadOnly`], [`Error::Limit`] when they are exhausted, [`Error::Closed`].
    pub fn new_oids(&self, count: u32) -> Result<Vec<Oid>, Error> {
        self.check_writable()?;
        self.shared.common.ids().next_oids(count)
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// [`Error::ReadOnly`], [`Error::CannotBegin`] while one has a tid of its own,
    /// [`Error::Closed`].
    pub fn begin(&self) -> Result<EmbeddedTransaction, Error> {
        EmbeddedTransaction::begin(self, None)
    }

    /// Begins a transaction that is to have a certain tid, later than the last one. There may be no
    /// other one in progress.
    ///
    /// # Errors
    /// Like [`Embedded::begin`]; [`Error::CannotBegin`] if that tid is not possible.
    pub fn begin_at(&self, tid: Tid) -> Result<EmbeddedTransaction, Error> {
        EmbeddedTransaction::begin(self, Some(tid))
    }

    /// Refuses to pack: the engine cannot yet.
    ///
    /// # Errors
    /// [`Error::Unsupported`], always.
    pub fn pack(&self, _tid: Tid, _oids: Option<Vec<Oid>>) -> Result<Tid, Error> {
        Err(NO_PACKS)
    }

    /// Refuses to tell of pack orders.
    ///
    /// # Errors
    /// [`Error::Unsupported`], always.
    pub fn pack_orders(&self, _first_id: Tid) -> Result<Vec<PackOrder>, Error> {
        Err(NO_PACKS)
    }

    /// Refuses to wait for a pack.
    ///
    /// # Errors
    /// [`Error::Unsupported`], always.
    pub fn wait_for_pack(&self, _pack_id: Tid) -> Result<(), Error> {
        Err(NO_PACKS)
    }

    /// Data, coded as the options say.
    pub fn payload(&self, data: impl Into<Bytes>) -> Payload {
        match self.shared.coding {
            Coding::Zlib => Payload::compressed(data),
            Coding::Plain => Payload::plain(data),
        }
    }

    /// Counters of the engine since it was opened, such as how often it has synced its log.
    ///
    /// # Errors
    /// [`Error::ReadOnly`], [`Error::Closed`].
    pub fn figures(&self) -> Result<Figures, Error> {
        self.ask(|reply| Command::Figures { reply })
    }

    /// Ends the database for all who share it: their requests fail with [`Error::Closed`], their
    /// transactions are aborted. Waits until commits under way are durable and everything is
    /// written, so that it opens at once the next time; the directory is free then.
    pub fn close(&self) {
        self.shared.close();
    }

    /// Asks the thread that writes, and waits for its answer.
    pub(super) fn ask<T>(
        &self,
        command: impl FnOnce(Sender<Result<T, Error>>) -> Command,
    ) -> Result<T, Error> {
        let (reply, answer) = channel();
        self.shared.command(command(reply))?;
        answer.recv().unwrap_or_else(|_| Err(self.shared.ended()))
    }

    pub(super) fn check_writable(&self) -> Result<(), Error> {
        self.shared.common.check_open()?;
        match self.shared.writer {
            Some(_) => Ok(()),
            None => Err(Error::ReadOnly),
        }
    }
}

fn open_engine(
    disk: Arc<dyn Disk>,
    path: &str,
    limits: Options,
    options: &EmbeddedOptions,
) -> Result<Engine, Error> {
    let mode = match options.opening {
        Opening::OrCreate | Opening::ReadWrite => OpenMode::ReadWrite,
        Opening::ReadOnly => OpenMode::ReadOnly,
    };
    let opened = match Engine::open(Arc::clone(&disk), limits.clone(), mode) {
        Err(engine::Error::NoDatabase { .. }) if options.opening == Opening::OrCreate => {
            let mut id = [0; 16];
            getrandom::fill(&mut id).map_err(|error| Error::Storage {
                text: format!("{path}: the system gives no random bytes: {error}"),
            })?;
            Engine::create(disk, limits, id, fitness::first_metadata(options))
        }
        opened => opened,
    };
    opened.map_err(|error| failure::of_opening(path, error))
}

/// The last tid, and the oid that new ones follow.
fn bounds(reader: &engine::Reader, partitions: PartitionCount) -> engine::Result<(Tid, Oid)> {
    let snapshot = reader.snapshot();
    let (mut last_tid, mut greatest_oid) = (Tid::ZERO, Oid::ZERO);
    for partition in partitions.iter() {
        let bounds = reader.run(BoundsLookup::new(snapshot.clone(), partition))?;
        last_tid = last_tid.max(bounds.tid_last.unwrap_or_default());
        greatest_oid = greatest_oid.max(bounds.oid_followed.unwrap_or_default());
    }
    Ok((last_tid, greatest_oid))
}

fn start_writer(engine: Engine, common: &Arc<Common>) -> Result<WriterHandle, Error> {
    let system = |error: std::io::Error| Error::System { kind: error.kind() };
    let worker = Worker::start().map_err(system)?;
    let (commands, received) = channel();
    let writer = Writer::new(engine, worker, received, Arc::clone(common));
    let thread = std::thread::Builder::new().name("neolith-writer".to_owned());
    let thread = thread.spawn(move || writer.run()).map_err(system)?;
    Ok(WriterHandle { commands, thread: Mutex::new(Some(thread)) })
}
