//! Background work, in slices, on whatever thread has time.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::edit::Edit;
use super::merge::Merge;
use super::work::Discard;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::format::{DatabaseId, Item, Order, RunSummary};
use crate::log::{Prepared, prepare_segment};
use crate::memtable::{Memtable, TableItems};
use crate::run::{PinBudget, RunFile, RunSettings, RunWriter};

/// How far a job is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JobState {
    /// It wants to be stepped again.
    More,
    /// It is to be given back to the engine.
    Done,
}

/// A piece of background work: write a memory table as runs, merge runs, prepare a segment, note in
/// the manifest what was done, remove what is not needed any more. It may be stepped on any thread;
/// nothing of it counts before it is given back ([`crate::Engine::finish_job`]).
#[derive(Debug)]
pub struct Job {
    pub(super) kind: JobKind,
}

#[derive(Debug)]
pub(super) enum JobKind {
    Prepare(Prepare),
    Flush(Flush),
    Merge(Merge),
    Discard(Discard),
    Edit(Edit),
}

impl Job {
    /// Works at about so many items.
    pub fn step(&mut self, items: usize) -> Result<JobState> {
        match &mut self.kind {
            JobKind::Prepare(prepare) => prepare.step(),
            JobKind::Flush(flush) => flush.step(items),
            JobKind::Merge(merge) => merge.step(items),
            JobKind::Discard(discard) => discard.step(),
            JobKind::Edit(edit) => edit.step(),
        }
    }

    /// Works until it is done.
    pub fn run(&mut self) -> Result<()> {
        while self.step(4096)? == JobState::More {}
        Ok(())
    }

    /// Whether others should go first.
    pub fn is_patient(&self) -> bool {
        matches!(self.kind, JobKind::Merge(_) | JobKind::Discard(_))
    }
}

/// Where a job writes.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) database: DatabaseId,
    pub(super) epoch: u32,
    pub(super) block_length: usize,
    pub(super) budget: Arc<PinBudget>,
}

impl Place {
    pub(super) fn create(
        &self,
        number: u32,
        order: Order,
        level: u8,
        keys_max: u64,
    ) -> Result<RunWriter> {
        let settings = RunSettings {
            database: self.database,
            number,
            epoch: self.epoch,
            order,
            level,
            keys_max,
            block_length: self.block_length,
        };
        RunWriter::create(&*self.disk, settings)
    }

    /// Makes the names of runs durable, and opens them.
    pub(super) fn open(&self, summaries: &[RunSummary]) -> Result<Vec<Arc<RunFile>>> {
        let disk = &self.disk;
        disk.sync_directory().map_err(|source| Error::Io {
            action: "sync",
            file: disk.path(""),
            source,
        })?;
        let open = |summary: &RunSummary| {
            RunFile::open(&**disk, self.database, *summary, &self.budget).map(Arc::new)
        };
        summaries.iter().map(open).collect()
    }
}

/// Prepares a segment.
#[derive(Debug)]
pub(super) struct Prepare {
    pub(super) place: Place,
    pub(super) number: u32,
    /// A segment of an earlier life of which only the space is of use.
    pub(super) spare: Option<u32>,
    pub(super) reserve: u64,
    pub(super) prepared: Option<Prepared>,
}

impl Prepare {
    fn step(&mut self) -> Result<JobState> {
        let place = &self.place;
        let prepared = prepare_segment(
            &*place.disk,
            place.database,
            (self.number, self.spare),
            place.epoch,
            self.reserve,
        )?;
        self.prepared = Some(prepared);
        Ok(JobState::Done)
    }
}

/// Writes a memory table as one run of each order.
#[derive(Debug)]
pub(super) struct Flush {
    pub(super) place: Place,
    pub(super) frozen_number: u64,
    pub(super) table: Arc<Memtable>,
    /// Sequence numbers whose items never count.
    pub(super) voided: Arc<BTreeSet<u64>>,
    /// A number for each run.
    pub(super) numbers: [u32; 3],
    pub(super) runs: Vec<Arc<RunFile>>,
    written: Vec<RunSummary>,
    current: Option<(RunWriter, TableItems)>,
    orders_done: usize,
}

impl Flush {
    pub(super) fn new(
        place: Place,
        frozen_number: u64,
        table: Arc<Memtable>,
        voided: Arc<BTreeSet<u64>>,
        numbers: [u32; 3],
    ) -> Self {
        Self {
            place,
            frozen_number,
            table,
            voided,
            numbers,
            runs: Vec::new(),
            written: Vec::new(),
            current: None,
            orders_done: 0,
        }
    }

    fn step(&mut self, items: usize) -> Result<JobState> {
        let Some(&order) = Order::ALL.get(self.orders_done) else {
            self.runs = self.place.open(&self.written)?;
            return Ok(JobState::Done);
        };
        let Some((writer, source)) = &mut self.current else {
            let number = self.numbers[self.orders_done];
            let writer = self.place.create(number, order, 0, self.table.items())?;
            self.current = Some((writer, TableItems::new(Arc::clone(&self.table), order)));
            return Ok(JobState::More);
        };
        let page: Vec<Item> = source.next_page(items);
        for item in &page {
            if !self.voided.contains(&item.key.seq) {
                writer.push(item)?;
            }
        }
        if page.is_empty()
            && let Some((writer, _)) = self.current.take()
        {
            self.written.extend(writer.finish(&*self.place.disk)?);
            self.orders_done += 1;
        }
        Ok(JobState::More)
    }
}
