//! Ends the active memory table, so that it can be written as runs and the log before it need not
//! be replayed.

use std::collections::VecDeque;
use std::sync::Arc;

use super::engine::{Completion, Engine, Op};
use crate::error::{Error, Result};
use crate::format::{Checkpoint, Position};
use crate::memtable::Memtable;

/// More frozen tables than this are not made: the active one grows instead.
const FROZEN_MAX: usize = 4;

/// Where the log has to be replayed from for what is in a table.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TableStart {
    pub(super) position: Position,
    pub(super) sequence: u64,
    pub(super) seq: u64,
    /// No item has a lower sequence number.
    pub(super) seq_min: u64,
}

/// A table that gets no more items.
#[derive(Debug)]
pub(super) struct Frozen {
    pub(super) number: u64,
    pub(super) table: Arc<Memtable>,
    /// No item has a lower sequence number.
    pub(super) seq_min: u64,
    /// Items of records before its end are still to be inserted, into a later table.
    pub(super) splits: bool,
    /// Where the next table starts.
    pub(super) end: TableStart,
    pub(super) state: FrozenState,
}

#[derive(Debug)]
pub(super) enum FrozenState {
    /// The log is not durable up to the table's end yet.
    Waiting,
    /// It can be written. The checkpoint, unless something from before the end is still being
    /// inserted into later tables.
    Ready(Option<Checkpoint>),
    /// It is being written.
    Flushing(Option<Checkpoint>),
}

impl Engine {
    pub(super) fn freeze_if_due(&mut self) {
        let Some(log) = &self.log else { return };
        let end = log.end();
        let start = self.table_start.position;
        let log_bytes = match end.segment == start.segment {
            true => end.offset - start.offset.min(end.offset),
            false => {
                let segments = u64::from(end.segment.saturating_sub(start.segment));
                (segments - 1) * self.options.segment_length + end.offset
            }
        };
        let items = self.version.active.items();
        let due = items >= self.options.table_items_max
            || (items > 0 && log_bytes >= self.options.table_log_max);
        if due && self.frozen.len() < FROZEN_MAX && !self.is_full() {
            self.freeze();
        }
    }

    /// Begins a new table. The old one is written by a job once the log is durable up to here.
    pub(super) fn freeze(&mut self) {
        let Some(log) = &mut self.log else { return };
        let (position, sequence) = log.boundary();
        let number = self.frozen_number;
        self.frozen_number += 1;
        match self.stalled.is_empty() {
            true => log.barrier(Op::Boundary { number }),
            false => self.stalled.push_back(Op::Boundary { number }),
        }
        let late = self.applying.iter().map(|applying| applying.seq).min();
        let seq = self.next_seq;
        let end = TableStart { position, sequence, seq, seq_min: late.unwrap_or(seq).min(seq) };
        let table = Arc::clone(&self.version.active);
        let (seq_min, splits) = (self.table_start.seq_min, late.is_some());
        self.publish(|version| {
            let active = std::mem::take(&mut version.active);
            version.frozen.insert(0, active);
        });
        let state = FrozenState::Waiting;
        self.frozen.push_back(Frozen { number, table, seq_min, splits, end, state });
        self.table_start = end;
        self.start_writes();
    }

    /// Everything before the end of a frozen table is durable and dealt with, nothing later is:
    /// what the checkpoint has to say is exactly what holds now.
    pub(super) fn boundary_durable(&mut self, number: u64) {
        let Some(at) = self.frozen.iter().position(|frozen| frozen.number == number) else {
            return;
        };
        let end = self.frozen[at].end;
        let checkpoint = (!self.frozen[at].splits).then(|| self.checkpoint_at(end));
        self.frozen[at].state = FrozenState::Ready(checkpoint);
    }

    /// The disk is full: the boundary is made again when it is not.
    pub(super) fn boundary_failed(&mut self, number: u64) {
        let Some(log) = &mut self.log else { return };
        let (position, sequence) = log.boundary();
        let seq = self.next_seq;
        for frozen in &mut self.frozen {
            if frozen.number == number {
                frozen.end = TableStart { position, sequence, seq, ..frozen.end };
            }
        }
        self.table_start = TableStart { position, sequence, seq, ..self.table_start };
        log.barrier(Op::Boundary { number });
    }

    pub(super) fn checkpoint_at(&self, end: TableStart) -> Checkpoint {
        let intents = self.version.intents.iter().filter(|intent| intent.seq() < end.seq);
        Checkpoint {
            replay: end.position,
            group_sequence: end.sequence,
            next_seq: end.seq,
            durable: self.log.as_ref().map_or(end.position, |log| log.durable()),
            garbage_bytes: self.garbage_bytes,
            intents: intents.copied().collect(),
            metadata: self.metadata.to_edits(),
            in_doubt: self
                .transactions
                .iter()
                .filter_map(|(ttid, pending)| pending.in_doubt(*ttid))
                .collect(),
        }
    }

    /// Waits until nothing is on its way to disk and every table but the active one is in runs. No
    /// job of that may be under way.
    pub fn flush(&mut self) -> Result<()> {
        self.make_edits()?;
        assert!(!self.flushing, "jobs are given back before");
        let mut completions = VecDeque::new();
        let flushed = self.flush_tables(&mut completions);
        completions.append(&mut self.completions);
        self.completions = completions;
        flushed
    }

    fn flush_tables(&mut self, completions: &mut VecDeque<Completion>) -> Result<()> {
        while self.apply_slice() {}
        if self.version.active.items() > 0 || !self.seqs.is_empty() {
            self.freeze();
        }
        while !self.frozen.is_empty() {
            completions.extend(self.poll(crate::disk::Wait::Yes)?);
            if !self.stalled.is_empty() {
                return Err(Error::Full { file: self.disk.path("") });
            }
            while let Some(mut job) = self.take_flush_job() {
                let result = job.run();
                self.finish_job(job, result)?;
                self.make_edits()?;
                if self.background_failed {
                    return Err(Error::Full { file: self.disk.path("") });
                }
            }
        }
        Ok(())
    }
}
