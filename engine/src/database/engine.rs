//! The engine's state and what is asked of it from outside.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::os::fd::RawFd;
use std::sync::Arc;

use model::Ttid;

use super::edit::{Edit, SharedManifest};
use super::freeze::{Frozen, TableStart};
use super::pending::{Pending, TransactionState};
use super::work::Discard;
use super::{OpenMode, Options};
use crate::cache::ReadCache;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::format::{DatabaseId, Location, Metadata, MetadataEdit, Position};
use crate::log::LogWriter;
use crate::memtable::ObjectEntry;
use crate::read::{Published, ReadMode, Reader};
use crate::run::PinBudget;
use crate::version::{Snapshot, Version};

use super::apply::{Applying, SeqState};
use model::Tid;

/// What became of a write that was submitted with a token.
#[derive(Debug)]
pub struct Completion {
    /// The token.
    pub token: u64,
    /// Whether it is durable.
    pub result: Result<()>,
}

/// What is told when a group of the log is written.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Vote {
        token: u64,
        ttid: Ttid,
        vote: Location,
    },
    /// Without a token where it is answered from memory.
    Lock {
        token: Option<u64>,
        ttid: Ttid,
        tid: Tid,
    },
    Unlock {
        ttid: Ttid,
        tid: Tid,
        seq: u64,
    },
    Abort {
        ttid: Ttid,
    },
    Commit {
        ttid: Ttid,
        seq: u64,
    },
    /// Replicated records, an intent or deletions.
    Seq {
        seq: u64,
    },
    Metadata {
        token: u64,
        edits: Vec<MetadataEdit>,
    },
    /// All before a table's end is durable.
    Boundary {
        number: u64,
    },
    Sync {
        token: u64,
    },
}

/// Counters since the engine was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    /// Groups written to the log.
    pub groups_written: u64,
    /// Groups that were synced: flushes of the log.
    pub groups_synced: u64,
    /// Bytes written to the log.
    pub log_bytes_written: u64,
    /// Bytes of runs written.
    pub run_bytes_written: u64,
    /// Bytes of the log that no index names: aborted transactions.
    pub garbage_bytes: u64,
}

/// A database that is open.
///
/// One thread owns the engine: it submits writes with tokens, polls their completions, and gives
/// background work ([`Engine::take_job`]) to whoever has time. Readers ([`Engine::reader`]) may be
/// anywhere.
#[derive(Debug)]
pub struct Engine {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) options: Options,
    pub(super) mode: OpenMode,
    pub(super) database: DatabaseId,
    pub(super) epoch: u32,
    pub(super) manifest: Option<SharedManifest>,
    /// Edits of the manifest that are to be made.
    pub(super) edits: VecDeque<Edit>,
    pub(super) log: Option<LogWriter<Op>>,
    pub(super) version: Arc<Version>,
    pub(super) published: Arc<Published>,
    pub(super) cache: Arc<ReadCache>,
    pub(super) budget: Arc<PinBudget>,
    pub(super) transactions: BTreeMap<Ttid, Pending>,
    pub(super) metadata: Metadata,
    pub(super) next_seq: u64,
    pub(super) visible: u64,
    pub(super) seqs: VecDeque<SeqState>,
    pub(super) applying: VecDeque<Applying>,
    /// What is inserted at once: its memory is used again.
    pub(super) slice: Vec<ObjectEntry>,
    /// What has to go forward and found no space yet, in the order of the log.
    pub(super) stalled: VecDeque<Op>,
    pub(super) completions: VecDeque<Completion>,
    pub(super) table_start: TableStart,
    pub(super) frozen: VecDeque<Frozen>,
    pub(super) frozen_number: u64,
    /// Segments that were prepared by an earlier life and not written to, or not durably.
    pub(super) spares: VecDeque<u32>,
    pub(super) next_segment: u32,
    pub(super) next_run: u32,
    pub(super) preparing: bool,
    pub(super) flushing: bool,
    pub(super) merging: bool,
    pub(super) background_failed: bool,
    /// Runs that are damaged, and not merged.
    pub(super) set_aside: BTreeSet<u32>,
    pub(super) discard: Discard,
    pub(super) garbage_bytes: u64,
    pub(super) run_bytes_written: u64,
    pub(super) failed: Option<String>,
}

impl Engine {
    /// A reader for any thread.
    pub fn reader(&self, mode: ReadMode) -> Reader {
        Reader::new(Arc::clone(&self.published), Arc::clone(&self.cache), mode)
    }

    /// The database as of now: all that is visible, nothing that is not.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { version: Arc::clone(&self.version), seq: self.visible }
    }

    /// The disk, for queues of readers.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// Random identity of the database.
    pub fn database_id(&self) -> DatabaseId {
        self.database
    }

    /// Node metadata, as durable.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Transactions that are not committed, in order of ttid.
    pub fn transactions(&self) -> impl Iterator<Item = (Ttid, TransactionState)> {
        self.transactions
            .iter()
            .filter_map(|(ttid, pending)| Some((*ttid, pending.public_state()?)))
    }

    /// How far a transaction that is not committed has come.
    pub fn transaction(&self, ttid: Ttid) -> Option<TransactionState> {
        self.transactions.get(&ttid)?.public_state()
    }

    /// Counters.
    pub fn figures(&self) -> Figures {
        let log = self.log.as_ref();
        Figures {
            groups_written: log.map_or(0, |log| log.groups_written),
            groups_synced: log.map_or(0, |log| log.groups_synced),
            log_bytes_written: log.map_or(0, |log| log.bytes_written),
            run_bytes_written: self.run_bytes_written,
            garbage_bytes: self.garbage_bytes,
        }
    }

    /// Where the log ends.
    pub fn log_end(&self) -> Option<Position> {
        self.log.as_ref().map(LogWriter::end)
    }

    /// Readable when [`Engine::poll`] may have something.
    pub fn event_descriptor(&self) -> Option<RawFd> {
        self.log.as_ref()?.event_descriptor()
    }

    /// Whether the disk was full when something was written last.
    pub fn is_full(&self) -> bool {
        self.log.as_ref().is_some_and(LogWriter::is_full)
    }

    /// Whether more should not be submitted before completions were polled and jobs done: memory
    /// is bounded by the caller's heeding it.
    pub fn is_congested(&self) -> bool {
        let Some(log) = &self.log else { return false };
        let table = self.version.active.items();
        let behind = self.frozen.len() >= 2 && table >= self.options.table_items_max;
        log.unwritten() > self.options.unwritten_max || (behind && !self.background_failed)
    }

    /// The log, if the engine can still write.
    pub(super) fn log(&mut self) -> Result<&mut LogWriter<Op>> {
        if let Some(file) = &self.failed {
            let source = std::io::Error::other("an earlier write or sync failed");
            return Err(Error::Io { action: "go on writing", file: file.clone(), source });
        }
        self.log.as_mut().ok_or(Error::ReadOnly)
    }

    /// A change of the version, seen by snapshots from now on.
    pub(super) fn publish(&mut self, change: impl FnOnce(&mut Version)) {
        let mut version = Version::clone(&self.version);
        change(&mut version);
        let version = Arc::new(version);
        let before = std::mem::replace(&mut self.version, Arc::clone(&version));
        self.published.set_version(version);
        self.discard.version(before);
    }
}
