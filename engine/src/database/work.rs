//! Hands out background work, and takes its results.

use std::sync::Arc;

use super::edit::Purpose;
use super::engine::Engine;
use super::freeze::{Frozen, FrozenState};
use super::job::{Flush, Job, JobKind, JobState, Place, Prepare};
use super::merge::Merge;
use super::pending::Objects;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::format::{Change, Intent, Order};
use crate::log::{LogWriter, segment_name};
use crate::memtable::Memtable;
use crate::read::ReadMode;
use crate::run::{RunFile, RunSettings};
use crate::version::Version;

/// What is not needed any more: files to remove, and memory whose release takes time.
#[derive(Debug, Default)]
pub(super) struct Discard {
    disk: Option<Arc<dyn Disk>>,
    files: Vec<String>,
    versions: Vec<Arc<Version>>,
    tables: Vec<Arc<Memtable>>,
    objects: Vec<Objects>,
}

/// Objects of a transaction from which on they are given to a job to be released.
const OBJECTS_MIN: usize = 4096;

impl Discard {
    pub(super) fn objects(&mut self, objects: Objects) {
        if objects.len() >= OBJECTS_MIN {
            self.objects.push(objects);
        }
    }

    pub(super) fn version(&mut self, version: Arc<Version>) {
        self.versions.push(version);
    }

    pub(super) fn file(&mut self, name: String) {
        self.files.push(name);
    }

    fn is_empty(&self) -> bool {
        self.files.is_empty()
            && self.tables.is_empty()
            && self.objects.is_empty()
            && self.versions.len() < 64
    }

    pub(super) fn step(&mut self) -> Result<JobState> {
        self.versions.clear();
        self.tables.clear();
        self.objects.clear();
        if let Some(disk) = &self.disk {
            for name in self.files.drain(..) {
                crate::manifest::remove_if_there(&**disk, &name)?;
            }
        }
        Ok(JobState::Done)
    }
}

impl Engine {
    /// Background work that can be done now, the most urgent first. Several jobs may be under
    /// way at once.
    pub fn take_job(&mut self) -> Option<Job> {
        if self.log.is_none() || self.failed.is_some() {
            return None;
        }
        if let Some(job) = self.take_edit_job() {
            return Some(job);
        }
        if self.background_failed && self.background_may_go_on().is_err() {
            return None;
        }
        if self.background_failed {
            return None;
        }
        self.take_prepare_job()
            // A job that found the disk full is tried again, and needs the space it had taken.
            .or_else(|| (!self.discard.files.is_empty()).then(|| self.take_job_to_discard())?)
            .or_else(|| self.take_flush_job())
            .or_else(|| self.take_merge_job())
            .or_else(|| self.take_discard_job())
    }

    /// Work that is worth doing while nothing else happens: the active table is written, and the
    /// runs of each order become one, so that a load asks one place. The caller says when that is.
    pub fn take_idle_job(&mut self) -> Option<Job> {
        if let Some(job) = self.take_job() {
            return Some(job);
        }
        if self.version.active.items() > 0 && self.frozen.is_empty() && !self.is_full() {
            self.freeze();
        }
        if self.merging || !self.frozen.is_empty() || self.is_full() || self.log.is_none() {
            return None;
        }
        let (order, inputs) = Order::ALL.into_iter().find_map(|order| {
            let runs = self.version.runs(order).iter().filter(|run| self.is_mergeable(run));
            let inputs: Vec<_> = runs.cloned().collect();
            (inputs.len() > 1).then_some((order, inputs))
        })?;
        Some(self.merge_job(order, inputs))
    }

    /// Takes back a job with its result: only now it counts. A full disk is no error: the job is
    /// tried again later.
    pub fn finish_job(&mut self, job: Job, result: Result<()>) -> Result<()> {
        let is_full = matches!(&result, Err(Error::Full { .. }));
        let is_set_aside = self.set_aside_damaged(&job, &result);
        if let Err(error) = &result {
            tracing::warn!(%error, "background work failed");
        }
        self.background_failed = result.is_err();
        match job.kind {
            JobKind::Prepare(prepare) => self.finish_prepare(prepare, result.is_ok())?,
            JobKind::Flush(flush) => self.finish_flush(flush, result.is_ok())?,
            JobKind::Merge(merge) => self.finish_merge(merge, result.is_ok())?,
            JobKind::Edit(edit) => self.finish_edit(edit, &result)?,
            JobKind::Discard(_) => {}
        }
        if is_set_aside {
            self.background_failed = false;
            return Ok(());
        }
        match result {
            Err(_) if is_full => Ok(()),
            other => other,
        }
    }

    /// If a merge found one of its runs damaged, that one is left out of merges from now on: what
    /// is sound of it can still be read. Whether it is so.
    fn set_aside_damaged(&mut self, job: &Job, result: &Result<()>) -> bool {
        let (JobKind::Merge(merge), Err(error)) = (&job.kind, result) else { return false };
        let damaged = error.place().and_then(|(file, _)| {
            let run = merge.inputs.iter().find(|run| run.path == file)?;
            Some(run.summary.number)
        });
        if let Some(number) = damaged {
            self.set_aside.insert(number);
        }
        damaged.is_some()
    }

    fn is_mergeable(&self, run: &RunFile) -> bool {
        !self.set_aside.contains(&run.summary.number)
    }

    /// Does all background work that there is, on this thread.
    pub fn work(&mut self) -> Result<()> {
        while let Some(mut job) = self.take_job() {
            let result = job.run();
            let failed = result.is_err();
            self.finish_job(job, result)?;
            if failed {
                break;
            }
        }
        Ok(())
    }

    /// Whether tables wait to be written or runs to be merged.
    pub fn has_work(&self) -> bool {
        !self.frozen.is_empty() || Order::ALL.into_iter().any(|o| self.crowded_level(o).is_some())
    }

    /// The lowest level that has so many runs of an order that they are to become one. Event loops
    /// ask with each turn.
    fn crowded_level(&self, order: Order) -> Option<u8> {
        if self.version.runs(order).len() < self.options.fan_out {
            return None;
        }
        let runs = || self.version.runs(order).iter().filter(|run| self.is_mergeable(run));
        let levels = || runs().map(|run| run.summary.level);
        // What is at the highest level has nowhere to go.
        let movable = levels().filter(|level| *level < u8::MAX);
        let count = |level: u8| levels().filter(|other| *other == level).count();
        let crowded = movable.filter(|level| count(*level) >= self.options.fan_out);
        crowded.min()
    }

    pub(super) fn place(&self) -> Place {
        Place {
            disk: Arc::clone(&self.disk),
            database: self.database,
            epoch: self.epoch,
            block_length: self.options.block_length,
            budget: Arc::clone(&self.budget),
        }
    }

    fn take_prepare_job(&mut self) -> Option<Job> {
        let log = self.log.as_ref()?;
        // The first segments are prepared when the first write comes.
        if self.preparing || !log.has_begun() || !log.wants_prepared() || log.is_full() {
            return None;
        }
        let (number, spare) = self.choose_segment_number();
        self.preparing = true;
        let reserve = self.options.reserve_length;
        let place = self.place();
        let prepare = Prepare { place, number, spare, reserve, prepared: None };
        Some(Job { kind: JobKind::Prepare(prepare) })
    }

    fn finish_prepare(&mut self, prepare: Prepare, is_sound: bool) -> Result<()> {
        let number = prepare.number;
        match &prepare.prepared {
            // Meanwhile a later one was taken: the log never goes back.
            Some(_) if is_sound && number <= self.segment_in_use() => {
                self.preparing = false;
                self.discard.file(segment_name(number));
                Ok(())
            }
            Some(_) if is_sound => {
                let changes = vec![Change::SegmentOpened { number }];
                self.edit_manifest(changes, Purpose::Prepare(prepare))
            }
            _ => {
                self.preparing = false;
                self.segment_not_prepared(number, prepare.spare);
                Ok(())
            }
        }
    }

    /// The manifest names a prepared segment.
    pub(super) fn segment_named(&mut self, prepare: Prepare, is_sound: bool) -> Result<()> {
        self.preparing = false;
        let number = prepare.number;
        match prepare.prepared {
            Some(_) if is_sound && number <= self.segment_in_use() => {
                let changes = vec![Change::SegmentRemoved { number }];
                self.edit_manifest(changes, Purpose::Remove(number))
            }
            Some(prepared) if is_sound => self.use_segment(prepared),
            _ => {
                self.segment_not_prepared(number, prepare.spare);
                Ok(())
            }
        }
    }

    fn segment_in_use(&self) -> u32 {
        self.log.as_ref().map_or(0, LogWriter::segment_in_use)
    }

    pub(super) fn take_flush_job(&mut self) -> Option<Job> {
        if self.flushing {
            return None;
        }
        let frozen = self.frozen.front_mut()?;
        let FrozenState::Ready(checkpoint) = &mut frozen.state else { return None };
        let checkpoint = checkpoint.take();
        frozen.state = FrozenState::Flushing(checkpoint);
        let (number, table) = (frozen.number, Arc::clone(&frozen.table));
        self.flushing = true;
        let numbers = [0; 3].map(|_| self.take_run_number());
        let voided = Arc::clone(&self.version.voided);
        let flush = Flush::new(self.place(), number, table, voided, numbers);
        Some(Job { kind: JobKind::Flush(flush) })
    }

    fn finish_flush(&mut self, flush: Flush, is_sound: bool) -> Result<()> {
        let checkpoint = match &self.flushing_table(&flush).state {
            FrozenState::Flushing(checkpoint) => checkpoint.clone(),
            _ => unreachable!("it was being written"),
        };
        let mut changes: Vec<Change> =
            flush.runs.iter().map(|run| Change::RunAdded(run.summary)).collect();
        changes.extend(checkpoint.map(Change::Checkpoint));
        if let Some(log) = self.log.as_mut().filter(|_| is_sound) {
            let closed = log.take_closed().into_iter();
            changes.extend(closed.map(|(number, length)| Change::SegmentClosed { number, length }));
        }
        if is_sound && !changes.is_empty() {
            return self.edit_manifest(changes, Purpose::Flush(flush));
        }
        self.flush_named(flush, &[], is_sound);
        Ok(())
    }

    /// The manifest names the runs of a memory table.
    pub(super) fn flush_named(&mut self, flush: Flush, changes: &[Change], is_sound: bool) {
        self.flushing = false;
        if !is_sound {
            self.background_failed = true;
            self.give_back_closed(changes);
            let frozen = self.flushing_table(&flush);
            if let FrozenState::Flushing(checkpoint) = &mut frozen.state {
                frozen.state = FrozenState::Ready(checkpoint.take());
            }
            self.discard_files(flush.numbers);
            return;
        }
        self.run_bytes_written += flush.runs.iter().map(|run| run.summary.length).sum::<u64>();
        self.frozen.pop_front();
        let runs = flush.runs;
        self.publish(|version| {
            version.frozen.pop();
            for run in runs {
                version.runs_mut(run.summary.order).push(run);
            }
            version.sort_runs();
        });
        self.discard.tables.push(flush.table);
        self.retire_intents();
    }

    fn flushing_table(&mut self, flush: &Flush) -> &mut Frozen {
        let frozen = self.frozen.front_mut().filter(|frozen| frozen.number == flush.frozen_number);
        frozen.expect("only the oldest table is written")
    }

    fn give_back_closed(&mut self, changes: &[Change]) {
        if let Some(log) = &mut self.log {
            for change in changes {
                if let Change::SegmentClosed { number, length } = change {
                    log.closed_again(*number, *length);
                }
            }
        }
    }

    fn take_merge_job(&mut self) -> Option<Job> {
        if self.merging || self.is_full() {
            return None;
        }
        let mut orders = Order::ALL.into_iter();
        let (order, level) = orders.find_map(|o| Some((o, self.crowded_level(o)?)))?;
        let runs = self.version.runs(order).iter();
        let inputs = runs.filter(|run| run.summary.level == level && self.is_mergeable(run));
        let inputs = inputs.cloned().collect();
        Some(self.merge_job(order, inputs))
    }

    fn merge_job(&mut self, order: Order, inputs: Vec<Arc<RunFile>>) -> Job {
        self.merging = true;
        let number = self.take_run_number();
        let reader = self.reader(ReadMode::Calls).without_cache();
        let base = self.snapshot();
        let tables_seq_min = self.tables_seq_min();
        let place = self.place();
        let merge = Merge::new(place, order, inputs, base, tables_seq_min, reader, number);
        Job { kind: JobKind::Merge(merge) }
    }

    fn finish_merge(&mut self, merge: Merge, is_sound: bool) -> Result<()> {
        if !is_sound {
            self.merge_named(merge, false);
            return Ok(());
        }
        let removed = merge.inputs.iter().map(|run| run.summary.number);
        let mut changes: Vec<Change> =
            removed.map(|number| Change::RunRemoved { number }).collect();
        changes.extend(merge.output.iter().map(|run| Change::RunAdded(run.summary)));
        self.edit_manifest(changes, Purpose::Merge(merge))
    }

    /// The manifest names the run in the place of those that it was merged from.
    pub(super) fn merge_named(&mut self, merge: Merge, is_sound: bool) {
        self.merging = false;
        if !is_sound {
            self.background_failed = true;
            self.discard_files(merge.number_of_output());
            return;
        }
        let removed: Vec<u32> = merge.inputs.iter().map(|run| run.summary.number).collect();
        let order = merge.order;
        let floor = merge.base.seq;
        if let Some(run) = &merge.output {
            self.run_bytes_written += run.summary.length;
        }
        let output = merge.output;
        self.publish(|version| {
            let runs = version.runs_mut(order);
            runs.retain(|run| !removed.contains(&run.summary.number));
            runs.extend(output);
            version.sort_runs();
            version.seq_floor = version.seq_floor.max(floor);
        });
        self.discard_files(removed);
        self.retire_intents();
    }

    fn discard_files(&mut self, numbers: impl IntoIterator<Item = u32>) {
        self.discard.files.extend(numbers.into_iter().map(RunSettings::name));
    }

    fn take_discard_job(&mut self) -> Option<Job> {
        if self.discard.is_empty() {
            return None;
        }
        self.take_job_to_discard()
    }

    pub(super) fn take_job_to_discard(&mut self) -> Option<Job> {
        let mut discard = std::mem::take(&mut self.discard);
        discard.disk = Some(Arc::clone(&self.disk));
        Some(Job { kind: JobKind::Discard(discard) })
    }

    pub(super) fn take_run_number(&mut self) -> u32 {
        let number = self.next_run;
        self.next_run += 1;
        number
    }

    /// No item of a memory table has a lower sequence number, nor will one have.
    fn tables_seq_min(&self) -> u64 {
        let tables = self.frozen.iter().map(|frozen| frozen.seq_min).min();
        tables.unwrap_or(u64::MAX).min(self.table_start.seq_min)
    }

    /// Forgets intents that nothing is left to be hidden by: no run, table or open transaction is
    /// as old.
    fn retire_intents(&mut self) {
        let oldest_run = self.version.runs.iter().flatten().map(|run| run.summary.seq_min).min();
        let oldest_run = oldest_run.unwrap_or(u64::MAX);
        let oldest_table = self.tables_seq_min();
        let idle = self.transactions.is_empty() && self.applying.is_empty();
        let merging = self.merging || self.flushing;
        let retired = |intent: &Intent| {
            let seq = intent.seq();
            idle && !merging && seq < oldest_run && seq < oldest_table && seq <= self.visible
        };
        if self.version.intents.iter().any(retired) {
            let kept: Vec<Intent> =
                self.version.intents.iter().filter(|i| !retired(i)).copied().collect();
            self.publish(|version| version.intents = Arc::new(kept));
        }
    }
}
