//! Makes databases, and opens them.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arc_swap::ArcSwap;

use super::edit::SharedManifest;
use super::engine::Engine;
use super::freeze::TableStart;
use super::work::Discard;
use super::{OpenMode, Options};
use crate::cache::ReadCache;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::format::{Checkpoint, DatabaseId, HEADER_LENGTH, MetadataEdit, Position};
use crate::log::LogWriter;
use crate::manifest::{Manifest, ManifestState};
use crate::publish::Publication;
use crate::recovery::{Recovered, recover, settle};
use crate::run::PinBudget;

impl Engine {
    /// Makes an empty database in an empty directory, with this metadata, and opens it.
    pub fn create(
        disk: Arc<dyn Disk>,
        options: Options,
        database: DatabaseId,
        metadata: Vec<MetadataEdit>,
    ) -> Result<Self> {
        let files = disk.list().map_err(|e| Error::io("list", disk.path(""), e))?;
        let unfinished = |name: &&String| name.as_str() == "manifest.new";
        if let Some(file) = files.iter().find(|name| !unfinished(name)) {
            return Err(Error::NotEmpty { path: disk.path(""), file: file.clone() });
        }
        let start = Position { segment: 0, offset: HEADER_LENGTH as u64 };
        let checkpoint = Checkpoint {
            replay: start,
            durable: start,
            group_sequence: 1,
            next_seq: 1,
            metadata,
            ..Checkpoint::default()
        };
        let state = ManifestState { checkpoint, ..ManifestState::default() };
        Manifest::write(Arc::clone(&disk), database, 0, state, 1)?;
        Self::open(disk, options, OpenMode::ReadWrite)
    }

    /// Opens a database. After a crash the log is replayed from the last checkpoint; what was
    /// acknowledged is there, what was not is whole or absent.
    pub fn open(disk: Arc<dyn Disk>, options: Options, mode: OpenMode) -> Result<Self> {
        let budget = Arc::new(PinBudget::new(options.pinned_bytes_max));
        let recovered = recover(&disk, &budget, mode)?;
        let (manifest, log, spares) = match mode {
            OpenMode::ReadOnly => (None, None, VecDeque::new()),
            OpenMode::ReadWrite => {
                let (manifest, spares) = settle(&disk, &recovered)?;
                let queue =
                    disk.queue().map_err(|e| Error::io("start I/O on", disk.path(""), e))?;
                let mut log = LogWriter::new(
                    queue,
                    recovered.end,
                    recovered.next_sequence,
                    options.segment_length,
                    options.group_length,
                );
                log.manifest_sequence = manifest.sequence();
                (Some(manifest), Some(log), spares)
            }
        };
        let mut engine =
            Self::assemble(disk, options, mode, budget, recovered, manifest, log, spares);
        if mode == OpenMode::ReadWrite && !engine.transactions.is_empty() {
            engine.reserve_for_voted()?;
        }
        Ok(engine)
    }

    /// What was voted in an earlier life has a place to go forward, before others take the space.
    fn reserve_for_voted(&mut self) -> Result<()> {
        match self.make_place() {
            Err(Error::Full { file }) => {
                tracing::warn!(%file, "no space: what is in doubt has to wait for it");
                Ok(())
            }
            other => other,
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one engine, put together once")]
    fn assemble(
        disk: Arc<dyn Disk>,
        options: Options,
        mode: OpenMode,
        budget: Arc<PinBudget>,
        recovered: Recovered,
        manifest: Option<Manifest>,
        log: Option<LogWriter<super::engine::Op>>,
        spares: VecDeque<u32>,
    ) -> Self {
        let visible = recovered.next_seq - 1;
        let version = Arc::new(recovered.version);
        let published =
            Publication::new(AtomicU64::new(visible), ArcSwap::new(Arc::clone(&version)));
        let last_segment = recovered.segments.keys().chain(&spares).max().copied();
        let last_run = recovered.runs_known.last().copied();
        Self {
            cache: Arc::new(ReadCache::new(options.cache_bytes_max)),
            disk,
            options,
            mode,
            database: recovered.header.database,
            epoch: recovered.header.epoch + 1,
            manifest: manifest.map(SharedManifest::new),
            edits: VecDeque::new(),
            log,
            version,
            published: Arc::new(published),
            budget,
            transactions: recovered.transactions,
            metadata: recovered.metadata,
            next_seq: recovered.next_seq,
            visible,
            seqs: VecDeque::new(),
            applying: VecDeque::new(),
            slice: Vec::new(),
            stalled: VecDeque::new(),
            completions: VecDeque::new(),
            table_start: TableStart {
                position: recovered.checkpoint.replay,
                sequence: recovered.checkpoint.group_sequence,
                seq: recovered.checkpoint.next_seq,
                seq_min: recovered.checkpoint.next_seq,
            },
            frozen: VecDeque::new(),
            frozen_number: 0,
            spares,
            next_segment: last_segment.map_or(1, |number| number + 1),
            next_run: last_run.map_or(1, |number| number + 1),
            preparing: false,
            flushing: false,
            merging: false,
            background_failed: false,
            set_aside: BTreeSet::new(),
            discard: Discard::default(),
            garbage_bytes: recovered.garbage_bytes,
            run_bytes_written: 0,
            failed: None,
        }
    }
}
