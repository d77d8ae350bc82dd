//! Merges runs of a level into one of the next, leaving out what nobody can see any more.

use std::sync::Arc;

use super::job::{JobState, Place};
use crate::error::Result;
use crate::format::{Item, Key, Order};
use crate::lookup::Step;
use crate::read::Reader;
use crate::run::{RunCursor, RunFile, RunWriter};
use crate::version::{Snapshot, Visibility};

/// A merge under way.
#[derive(Debug)]
pub(super) struct Merge {
    pub(super) place: Place,
    pub(super) order: Order,
    pub(super) inputs: Vec<Arc<RunFile>>,
    pub(super) output: Option<Arc<RunFile>>,
    /// What is hidden here is left out; what is later is kept as it is.
    pub(super) base: Snapshot,
    /// Tombstones with a lower sequence number have done their work: nothing older than the
    /// inputs exists that they could hide.
    tombstones_done: u64,
    reader: Reader,
    heads: Vec<(RunCursor, Option<Item>)>,
    writer: Option<RunWriter>,
    number: u32,
    /// Columns of which the item that counts was seen.
    done: Option<(u32, u64, u64)>,
    last: Option<Key>,
}

impl Merge {
    pub(super) fn new(
        place: Place,
        order: Order,
        inputs: Vec<Arc<RunFile>>,
        base: Snapshot,
        tables_seq_min: u64,
        reader: Reader,
        number: u32,
    ) -> Self {
        let is_all = base.version.runs(order).len() == inputs.len();
        let tombstones_done = if is_all { tables_seq_min } else { 0 };
        Self {
            place,
            order,
            inputs,
            output: None,
            base,
            tombstones_done,
            reader,
            heads: Vec::new(),
            writer: None,
            number,
            done: None,
            last: None,
        }
    }

    /// The number of the run that is written.
    pub(super) fn number_of_output(&self) -> Option<u32> {
        Some(self.number)
    }

    pub(super) fn step(&mut self, items: usize) -> Result<JobState> {
        if self.writer.is_none() {
            self.begin()?;
        }
        for _ in 0..items {
            let Some(item) = self.next()? else {
                if let Some(writer) = self.writer.take() {
                    let written = writer.finish(&*self.place.disk)?;
                    self.output = self.place.open(written.as_slice())?.pop();
                }
                return Ok(JobState::Done);
            };
            if self.keeps(&item)
                && let Some(writer) = &mut self.writer
            {
                writer.push(&item)?;
            }
        }
        Ok(JobState::More)
    }

    fn begin(&mut self) -> Result<()> {
        let level = self.inputs.iter().map(|run| run.summary.level).max().unwrap_or(0);
        let keys = self.inputs.iter().map(|run| run.keys).sum();
        let writer = self.place.create(self.number, self.order, level.saturating_add(1), keys)?;
        self.writer = Some(writer);
        let start = Key { seq: u64::MAX, ..Key::default() };
        for run in &self.inputs {
            let mut cursor = RunCursor::new(Arc::clone(run), start);
            let first = advance(&mut cursor, &self.reader)?;
            self.heads.push((cursor, first));
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Item>> {
        let least = self
            .heads
            .iter()
            .enumerate()
            .filter_map(|(at, (_, item))| item.map(|item| (item.key, at)))
            .min();
        let Some((_, at)) = least else { return Ok(None) };
        let (cursor, item) = &mut self.heads[at];
        let following = advance(cursor, &self.reader)?;
        Ok(std::mem::replace(item, following))
    }

    fn keeps(&mut self, item: &Item) -> bool {
        // After a crash, a replay may have written an item into a second run.
        if self.last == Some(item.key) {
            return false;
        }
        let columns = item.key.columns();
        if self.done == Some(columns) {
            return false;
        }
        let keeps = match self.base.visibility(item, self.order) {
            Visibility::Later => true,
            Visibility::Shown => {
                self.done = Some(columns);
                true
            }
            Visibility::Hidden => {
                self.done = Some(columns);
                item.flags.is_tombstone() && item.key.seq >= self.tombstones_done
            }
        };
        if keeps {
            self.last = Some(item.key);
        }
        keeps
    }
}

fn advance(cursor: &mut RunCursor, reader: &Reader) -> Result<Option<Item>> {
    match cursor.next(&mut reader.source())? {
        Step::Done(item) => Ok(item),
        Step::Need(_) | Step::Pause => unreachable!("a source that waits has everything"),
    }
}
