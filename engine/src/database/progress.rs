//! What happens when writes complete.

use std::sync::Arc;

use super::engine::{Completion, Engine, Op};
use super::pending::State;
use crate::disk::{Sync, Wait};
use crate::error::{Error, Result};
use crate::format::{MetadataEdit, Record};
use crate::log::{Class, LogEvent, prepare_segment};
use crate::format::Change;

/// Space that must be free before ordinary writes go on after the disk was full, in reserves.
const FREE_RESERVES_MIN: u64 = 4;

impl Engine {
    /// Completions of what was submitted, in the order of the log. With [`Wait::Yes`] it blocks
    /// until something is written, if anything is on its way. An error means that the database
    /// cannot be written any more: the process should end.
    pub fn poll(&mut self, wait: Wait) -> Result<Vec<Completion>> {
        if self.log.is_some() {
            self.log()?;
        }
        let more = self.apply_slice();
        let wait = match more || !self.completions.is_empty() {
            true => Wait::No,
            false => wait,
        };
        let events = match &mut self.log {
            Some(log) => log.poll(wait),
            None => Ok(Vec::new()),
        };
        match events {
            Ok(events) => {
                for event in events {
                    self.log_event(event)?;
                }
            }
            Err(error) => {
                self.failed = Some(self.disk.path(""));
                return Err(error);
            }
        }
        self.freeze_if_due();
        Ok(self.completions.drain(..).collect())
    }

    /// Polls, and works at jobs where nothing else makes progress, until a token completes. For
    /// programs that do one thing at a time.
    pub fn wait_for(&mut self, token: u64) -> Result<()> {
        loop {
            let completions = self.poll(Wait::Yes)?;
            if let Some(found) = completions.into_iter().find(|c| c.token == token) {
                return found.result;
            }
        }
    }

    /// Makes everything that was submitted durable. Completes with the token.
    pub fn sync(&mut self, token: u64) -> Result<()> {
        self.ready_for_ordinary()?;
        self.log()?.barrier(Op::Sync { token });
        self.pump();
        Ok(())
    }

    /// Changes node metadata, all edits or none. Completes with the token.
    pub fn edit(&mut self, token: u64, edits: Vec<MetadataEdit>) -> Result<()> {
        if !self.is_full() {
            self.ready_for_ordinary()?;
        }
        let record = Record::Metadata(edits.clone());
        let op = Op::Metadata { token, edits };
        self.log()?.append(&record, Class::Phase2, Sync::Data, Some(op))?;
        self.pump();
        Ok(())
    }

    pub(super) fn pump(&mut self) {
        if let Some(log) = &mut self.log {
            log.pump();
        }
    }

    /// Before anything but phase 2: there are segments to write to, and space.
    pub(super) fn ready_for_ordinary(&mut self) -> Result<()> {
        if self.log()?.is_full() {
            let wanted = self.options.reserve_length * FREE_RESERVES_MIN;
            let free = self
                .disk
                .free_bytes()
                .map_err(|e| Error::io("measure free space of", self.disk.path(""), e))?;
            if free < wanted {
                return Err(Error::Full { file: self.disk.path("") });
            }
            self.log()?.leave_full();
        }
        if self.background_failed && self.version.active.items() > 4 * self.options.table_items_max {
            self.background_may_go_on()?;
            if self.background_failed {
                return Err(Error::Full { file: self.disk.path("") });
            }
        }
        while self.log()?.needs_segment() {
            self.prepare_now()?;
        }
        Ok(())
    }

    /// After background work found the disk full, it is tried again when there is space.
    pub(super) fn background_may_go_on(&mut self) -> Result<()> {
        let free = self
            .disk
            .free_bytes()
            .map_err(|e| Error::io("measure free space of", self.disk.path(""), e))?;
        if free >= self.options.reserve_length * FREE_RESERVES_MIN {
            self.background_failed = false;
        }
        Ok(())
    }

    /// Prepares a segment at once: only at the first write, and after the disk was full.
    fn prepare_now(&mut self) -> Result<()> {
        let (number, is_known) = self.choose_segment_number();
        let prepared = prepare_segment(
            &*self.disk,
            self.database,
            number,
            self.epoch,
            self.options.reserve_length,
        )?;
        self.add_segment(prepared, is_known)
    }

    /// The number of the next segment, and whether the manifest has it already.
    pub(super) fn choose_segment_number(&mut self) -> (u32, bool) {
        match self.reusable.pop_front() {
            Some(number) => (number, true),
            None => {
                let number = self.next_segment;
                self.next_segment += 1;
                (number, false)
            }
        }
    }

    /// Takes a prepared segment into use. The manifest names it before anything is in it.
    pub(super) fn add_segment(
        &mut self,
        prepared: crate::log::Prepared,
        is_known: bool,
    ) -> Result<()> {
        let number = prepared.segment.number;
        if !is_known {
            self.commit_manifest(&[Change::SegmentOpened { number }])?;
        }
        let segment = Arc::clone(&prepared.segment);
        self.publish(|version| {
            Arc::make_mut(&mut version.segments).insert(number, segment);
        });
        self.log()?.add_prepared(prepared);
        Ok(())
    }

    /// Adds an edit to the manifest. After an error other than a full disk nothing goes on.
    pub(super) fn commit_manifest(&mut self, changes: &[Change]) -> Result<()> {
        let Some(manifest) = &mut self.manifest else { return Err(Error::ReadOnly) };
        match manifest.commit(changes) {
            Ok(()) => {
                let sequence = manifest.sequence();
                if let Some(log) = &mut self.log {
                    log.manifest_sequence = sequence;
                }
                Ok(())
            }
            Err(error) => {
                if !matches!(error, Error::Full { .. }) {
                    self.failed = Some(self.disk.path(crate::manifest::MANIFEST));
                }
                Err(error)
            }
        }
    }

    fn log_event(&mut self, event: LogEvent<Op>) -> Result<()> {
        match event {
            LogEvent::Done(ops) => {
                for op in ops {
                    self.op_done(op);
                }
            }
            LogEvent::Full { ops, file } => {
                tracing::error!(%file, "no space left: only reads and voted transactions go on");
                self.forget_lost_objects();
                for op in ops {
                    self.op_failed(op, &file)?;
                }
                self.pump();
            }
        }
        Ok(())
    }

    fn op_done(&mut self, op: Op) {
        match op {
            Op::Vote { token, ttid } => {
                if let Some(pending) = self.transactions.get_mut(&ttid)
                    && let State::Voting { vote } = pending.state
                {
                    pending.state = State::Voted { vote };
                }
                self.completions.push_back(Completion { token, result: Ok(()) });
            }
            Op::Lock { token, .. } | Op::Sync { token } => {
                self.completions.push_back(Completion { token, result: Ok(()) });
            }
            Op::Unlock { ttid, .. } | Op::Abort { ttid } => self.forget(ttid, false),
            Op::Commit { ttid, seq, .. } => {
                self.forget(ttid, false);
                self.seq_durable(seq);
            }
            Op::Seq { seq, .. } => self.seq_durable(seq),
            Op::Metadata { token, edits } => {
                self.metadata.apply(&edits);
                self.completions.push_back(Completion { token, result: Ok(()) });
            }
            Op::Boundary { number } => self.boundary_durable(number),
        }
    }

    /// Objects that were collected or in flight are lost: their transactions can only abort.
    fn forget_lost_objects(&mut self) {
        let Some(log) = &self.log else { return };
        let end = log.end();
        for pending in self.transactions.values_mut() {
            if pending.state == State::Open {
                let lost = pending.extents.last().is_some_and(|extent| {
                    (extent.segment, extent.end) > (end.segment, end.offset)
                });
                pending.broken |= lost;
            }
        }
    }

    /// What must go forward is written again, into the reserve; the rest is refused.
    fn op_failed(&mut self, op: Op, file: &str) -> Result<()> {
        let refuse = |token| Completion {
            token,
            result: Err(Error::Full { file: file.to_owned() }),
        };
        let again = match &op {
            Op::Lock { ttid, tid, .. } => Record::Lock { ttid: *ttid, tid: *tid },
            Op::Unlock { ttid, tid, seq } => Record::Unlock { ttid: *ttid, tid: *tid, seq: *seq },
            Op::Abort { ttid } => {
                // A vote that was lost in the same write needs no abort.
                self.forget(*ttid, false);
                return Ok(());
            }
            Op::Vote { token, ttid } => {
                if let Some(pending) = self.transactions.get_mut(ttid)
                    && pending.state != State::Ending
                {
                    pending.state = State::Open;
                    pending.broken = true;
                }
                self.completions.push_back(refuse(*token));
                return Ok(());
            }
            Op::Commit { ttid, seq, .. } => {
                if let Some(pending) = self.transactions.get_mut(ttid) {
                    pending.state = State::Open;
                    pending.broken = true;
                }
                self.seq_void(*seq, file);
                return Ok(());
            }
            Op::Seq { seq, .. } => {
                self.seq_void(*seq, file);
                return Ok(());
            }
            Op::Metadata { token, .. } | Op::Sync { token } => {
                self.completions.push_back(refuse(*token));
                return Ok(());
            }
            Op::Boundary { number } => {
                self.boundary_failed(*number);
                return Ok(());
            }
        };
        let sync = match op {
            Op::Lock { .. } => Sync::Data,
            _ => Sync::None,
        };
        self.log()?.append(&again, Class::Phase2, sync, Some(op)).map(|_| ())
    }
}
