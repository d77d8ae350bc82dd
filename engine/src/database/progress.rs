//! What happens when writes complete.

use std::sync::Arc;

use super::engine::{Completion, Engine, Op};
use super::pending::State;
use super::transactions::RESERVE_PER_VOTE;
use crate::disk::{Sync, Wait};
use crate::error::{Error, Result};
use crate::format::{Change, HEADER_LENGTH, MetadataEdit, Record};
use crate::log::{Class, LogEvent, LogWriter, Prepared, prepare_segment};

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
        self.append_stalled()?;
        let more = self.apply_slice();
        let wait = match more || !self.completions.is_empty() {
            true => Wait::No,
            false => wait,
        };
        if wait == Wait::Yes {
            self.start_gathered();
        }
        let events = match &mut self.log {
            Some(log) => log.poll(wait),
            None => Ok(Vec::new()),
        };
        self.log_events(events)?;
        self.freeze_if_due();
        Ok(self.completions.drain(..).collect())
    }

    /// Completions that are there already: those that did not have to wait for the disk.
    pub fn take_completions(&mut self) -> Vec<Completion> {
        self.completions.drain(..).collect()
    }

    /// Whether [`Engine::poll`] has something to do that no disk is waited for.
    pub fn is_applying(&self) -> bool {
        !self.applying.is_empty()
    }

    /// Has votes and locks wait for [`Engine::start_gathered`], which the owner calls in time: it
    /// sees whether more are about to come. Waiting for the disk starts them too.
    pub fn gather(&mut self) {
        if let Some(log) = &mut self.log {
            log.gather(true);
        }
    }

    /// Starts the sync that gathered records wait for.
    pub fn start_gathered(&mut self) {
        if let Some(log) = &mut self.log {
            log.start_gathered();
        }
    }

    /// How many records wait for [`Engine::start_gathered`]; none while others are being synced.
    pub fn gathered(&self) -> usize {
        self.log.as_ref().map_or(0, LogWriter::gathered)
    }

    /// How many records were made durable by the last sync.
    pub fn last_gathered(&self) -> usize {
        self.log.as_ref().map_or(0, LogWriter::last_gathered)
    }

    /// Whether the log is being written to.
    pub fn is_writing(&self) -> bool {
        self.log.as_ref().is_some_and(LogWriter::is_writing)
    }

    fn log_events(&mut self, events: Result<Vec<LogEvent<Op>>>) -> Result<()> {
        match events {
            Ok(events) => {
                for event in events {
                    self.log_event(event)?;
                }
                Ok(())
            }
            Err(error) => {
                self.failed = Some(self.disk.path(""));
                Err(error)
            }
        }
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
        self.check_none_stalled()?;
        self.log()?.barrier(Op::Sync { token });
        self.pump()?;
        for op in self.log()?.take_passed() {
            self.op_done(op);
        }
        Ok(())
    }

    /// Changes node metadata, all edits or none. Completes with the token.
    pub fn edit(&mut self, token: u64, edits: Vec<MetadataEdit>) -> Result<()> {
        let record = Record::Metadata(edits.clone());
        match self.ready_for_ordinary() {
            Err(Error::Full { .. }) => self.ready_for_edit(&edits)?,
            other => other?,
        }
        let op = Op::Metadata { token, edits };
        self.log()?.append(&record, Class::Phase2, Sync::Data, Some(op))?;
        self.pump()?;
        Ok(())
    }

    pub(super) fn start_writes(&mut self) {
        if let Some(log) = &mut self.log {
            log.pump();
        }
    }

    /// Has the next group written, if the one before is.
    pub(super) fn pump(&mut self) -> Result<()> {
        let Some(log) = &mut self.log else { return Ok(()) };
        if log.should_reap() {
            let events = log.poll(Wait::No);
            return self.log_events(events);
        }
        log.pump();
        Ok(())
    }

    /// Before anything but phase 2: there are segments to write to, and space.
    pub(super) fn ready_for_ordinary(&mut self) -> Result<()> {
        self.check_none_stalled()?;
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
        if self.background_failed && self.version.active.items() > 4 * self.options.table_items_max
        {
            self.background_may_go_on()?;
            if self.background_failed {
                return Err(Error::Full { file: self.disk.path("") });
            }
        }
        while self.log()?.needs_segment() {
            self.prepare_now(self.options.reserve_length)?;
        }
        Ok(())
    }

    /// Before what ends a voted transaction: there is a place for it, if only a small one.
    pub(super) fn ready_for_phase2(&mut self) -> Result<()> {
        self.check_none_stalled()?;
        self.make_place()
    }

    /// An edit may use the reserve, but not what voted transactions count on.
    fn ready_for_edit(&mut self, edits: &[MetadataEdit]) -> Result<()> {
        self.ready_for_phase2()?;
        let values = edits.iter().map(|edit| edit.value.as_ref().map_or(0, Vec::len) + 16);
        let length = values.sum::<usize>() as u64 + RESERVE_PER_VOTE;
        if self.log()?.reserve() < self.votes() * RESERVE_PER_VOTE + length {
            return Err(Error::Full { file: self.disk.path("") });
        }
        Ok(())
    }

    /// Prepares a segment if what has to go forward has no place.
    pub(super) fn make_place(&mut self) -> Result<()> {
        if self.log()?.has_place() {
            return Ok(());
        }
        match self.prepare_now(self.options.reserve_length) {
            Err(Error::Full { .. }) => {
                let needed = (self.votes() + 1) * RESERVE_PER_VOTE + HEADER_LENGTH as u64;
                self.prepare_now(needed.min(self.options.reserve_length))
            }
            other => other,
        }
    }

    fn check_none_stalled(&mut self) -> Result<()> {
        self.append_stalled()?;
        match self.stalled.is_empty() {
            true => Ok(()),
            false => Err(Error::Full { file: self.disk.path("") }),
        }
    }

    /// Tries again to write what has to go forward.
    fn append_stalled(&mut self) -> Result<()> {
        while let Some(op) = self.stalled.pop_front() {
            match self.append_again(&op) {
                Err(Error::Full { .. }) => {
                    self.stalled.push_front(op);
                    break;
                }
                other => other?,
            }
            if self.stalled.is_empty() {
                self.start_writes();
            }
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
    fn prepare_now(&mut self, reserve: u64) -> Result<()> {
        let (number, spare) = self.choose_segment_number();
        let files = (number, spare);
        let prepared = prepare_segment(&*self.disk, self.database, files, self.epoch, reserve);
        let added = prepared.and_then(|prepared| self.add_segment(prepared));
        if added.is_err() {
            self.segment_not_prepared(number, spare);
        }
        added
    }

    /// The number of the next segment, and that of one whose space it can take.
    pub(super) fn choose_segment_number(&mut self) -> (u32, Option<u32>) {
        let number = self.next_segment;
        self.next_segment += 1;
        (number, self.spares.pop_front())
    }

    /// A segment could not be prepared: number and space can be used again.
    pub(super) fn segment_not_prepared(&mut self, number: u32, spare: Option<u32>) {
        self.spares.extend(spare);
        if self.next_segment == number + 1 {
            self.next_segment = number;
        }
    }

    /// Takes a prepared segment into use. The manifest names it before anything is in it.
    fn add_segment(&mut self, prepared: Prepared) -> Result<()> {
        let number = prepared.segment.number;
        self.commit_manifest(&[Change::SegmentOpened { number }])?;
        self.use_segment(prepared)
    }

    /// The manifest names it.
    pub(super) fn use_segment(&mut self, prepared: Prepared) -> Result<()> {
        let number = prepared.segment.number;
        let segment = Arc::clone(&prepared.segment);
        self.publish(|version| {
            Arc::make_mut(&mut version.segments).insert(number, segment);
        });
        self.log()?.add_prepared(prepared);
        Ok(())
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
                self.start_writes();
            }
        }
        Ok(())
    }

    fn op_done(&mut self, op: Op) {
        match op {
            Op::Vote { token, ttid, vote } => {
                if let Some(pending) = self.transactions.get_mut(&ttid) {
                    pending.written = Some((vote, None));
                    if let State::Voting { vote } = pending.state {
                        pending.state = State::Voted { vote };
                    }
                }
                self.completions.push_back(Completion { token, result: Ok(()) });
            }
            Op::Lock { token, ttid, tid } => {
                if let Some(pending) = self.transactions.get_mut(&ttid)
                    && let Some((_, locked)) = &mut pending.written
                {
                    *locked = Some(tid);
                }
                let done = token.map(|token| Completion { token, result: Ok(()) });
                self.completions.extend(done);
            }
            Op::Sync { token } => {
                self.completions.push_back(Completion { token, result: Ok(()) });
            }
            Op::Unlock { ttid, .. } | Op::Abort { ttid } => self.forget(ttid, false),
            Op::Commit { ttid, seq } => {
                self.forget(ttid, false);
                self.seq_durable(seq);
            }
            Op::Seq { seq } => self.seq_durable(seq),
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
                let lost = pending
                    .extents
                    .last()
                    .is_some_and(|extent| (extent.segment, extent.end) > (end.segment, end.offset));
                pending.broken |= lost;
            }
        }
    }

    /// What must go forward is written again, into the reserve; the rest is refused.
    fn op_failed(&mut self, op: Op, file: &str) -> Result<()> {
        let refuse =
            |token| Completion { token, result: Err(Error::Full { file: file.to_owned() }) };
        match &op {
            Op::Lock { .. } | Op::Unlock { .. } => return self.append_or_stall(op),
            Op::Abort { ttid } => {
                let vote_lost = self.transactions.get(ttid).is_none_or(|p| p.written.is_none());
                if !vote_lost {
                    return self.append_or_stall(op);
                }
                self.forget(*ttid, false);
            }
            Op::Vote { token, ttid, .. } => {
                if let Some(pending) = self.transactions.get_mut(ttid)
                    && pending.state != State::Ending
                {
                    pending.state = State::Open;
                    pending.broken = true;
                }
                self.completions.push_back(refuse(*token));
            }
            Op::Commit { ttid, seq } => {
                if let Some(pending) = self.transactions.get_mut(ttid) {
                    pending.state = State::Open;
                    pending.broken = true;
                }
                self.seq_void(*seq, file);
            }
            Op::Seq { seq } => self.seq_void(*seq, file),
            Op::Metadata { token, .. } | Op::Sync { token } => {
                self.completions.push_back(refuse(*token));
            }
            // What is before it has to be written before it.
            Op::Boundary { .. } if !self.stalled.is_empty() => self.stalled.push_back(op),
            Op::Boundary { number } => self.boundary_failed(*number),
        }
        Ok(())
    }

    fn append_or_stall(&mut self, op: Op) -> Result<()> {
        if self.stalled.is_empty() {
            match self.append_again(&op) {
                Err(Error::Full { .. }) => {}
                other => return other,
            }
        }
        self.stalled.push_back(op);
        Ok(())
    }

    fn append_again(&mut self, op: &Op) -> Result<()> {
        let (record, sync) = match *op {
            Op::Boundary { number } => {
                self.boundary_failed(number);
                return Ok(());
            }
            Op::Lock { token, ttid, tid } => {
                let sync = if token.is_some() { Sync::Data } else { Sync::None };
                (Record::Lock { ttid, tid }, sync)
            }
            Op::Unlock { ttid, tid, seq } => (Record::Unlock { ttid, tid, seq }, Sync::None),
            Op::Abort { ttid } => (Record::Abort { ttid }, Sync::None),
            _ => unreachable!("everything else is refused"),
        };
        self.make_place()?;
        self.log()?.append(&record, Class::Phase2, sync, Some(op.clone())).map(|_| ())
    }
}
