//! Appends groups to the log, one write at a time.
//!
//! While a group is being written the next one is collected: this is group commit. A group is
//! synced if anything in it asks for it, and then everything before it is durable too, also what
//! is in segments closed since the last sync. Ops come back in the order of the log.
//!
//! When the disk is full, the group in flight and all collected behind it are given back. From
//! then on only what ends voted transactions is taken, into the prepared segment's allocated bytes,
//! until there is space again.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::ahead::Ahead;
use super::flight::InFlight;
use super::group::{Class, Group};
use super::segment::Prepared;
use crate::disk::{Completion, Queue, Sync};
use crate::error::{Error, Result};
use crate::format::{HEADER_LENGTH, Location, ObjectHead, Position, Record};
use crate::version::Segment;

/// Bytes of the greatest group that ends a voted transaction: one with an unlock.
const MARGIN: u64 = 64 + 16 + 24;

/// What the log has to tell.
#[derive(Debug)]
pub(crate) enum LogEvent<Op> {
    /// These were written, and synced if they had asked for it.
    Done(Vec<Op>),
    /// These were not written: the disk is full.
    Full { ops: Vec<Op>, file: String },
}

/// Where groups go.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) segment: Arc<Segment>,
    /// Where the next group begins.
    pub(super) end: u64,
    /// Bytes that can be written when the disk is full.
    pub(super) allocated: u64,
}

/// The end of the log.
pub(crate) struct LogWriter<Op> {
    pub(super) queue: Box<dyn Queue>,
    pub(super) active: Option<Active>,
    prepared: VecDeque<Prepared>,
    /// Closed and synced, and not reported to the manifest yet.
    pub(super) closed: Vec<(u32, u64)>,
    /// Closed since the last sync, with their lengths.
    pub(super) to_sync: Vec<(Arc<Segment>, u64)>,
    pub(super) building: Option<Group<Op>>,
    pub(super) queued: VecDeque<Group<Op>>,
    pub(super) in_flight: Option<InFlight<Op>>,
    pub(super) completions: Vec<Completion>,
    pub(super) ahead: Ahead,
    /// A buffer of a group that was written.
    pub(super) spare: Vec<u8>,
    /// Whether to look for completions is worth it again when so much was appended.
    pub(super) reap_at: u64,
    /// Barriers that had nothing to wait for.
    pub(super) passed: Vec<Op>,
    pub(super) next_sequence: u64,
    /// End of the last group that was given a place.
    pub(super) end: Position,
    pub(super) durable: Position,
    pub(super) full: bool,
    pub(crate) manifest_sequence: u64,
    pub(super) segment_length: u64,
    /// The last segment that was taken into use.
    segment_last: u32,
    pub(super) group_length: u64,
    /// What is to be synced waits for [`LogWriter::start_gathered`].
    pub(super) gathers: bool,
    /// Of the last group that was synced: how many records had asked for it.
    pub(super) last_syncs: usize,
    /// Figures for whoever measures.
    pub(crate) groups_written: u64,
    pub(crate) groups_synced: u64,
    pub(crate) bytes_written: u64,
}

impl<Op> std::fmt::Debug for LogWriter<Op> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogWriter")
            .field("end", &self.end)
            .field("durable", &self.durable)
            .field("full", &self.full)
            .finish_non_exhaustive()
    }
}

impl<Op> LogWriter<Op> {
    /// Goes on behind `end`, which is durable.
    pub(crate) fn new(
        queue: Box<dyn Queue>,
        end: Position,
        next_sequence: u64,
        segment_length: u64,
        group_length: u64,
    ) -> Self {
        Self {
            queue,
            active: None,
            prepared: VecDeque::new(),
            closed: Vec::new(),
            to_sync: Vec::new(),
            building: None,
            queued: VecDeque::new(),
            in_flight: None,
            completions: Vec::new(),
            ahead: Ahead::default(),
            spare: Vec::new(),
            reap_at: 0,
            passed: Vec::new(),
            next_sequence,
            end,
            durable: end,
            full: false,
            manifest_sequence: 0,
            segment_length,
            segment_last: 0,
            group_length,
            gathers: false,
            last_syncs: 0,
            groups_written: 0,
            groups_synced: 0,
            bytes_written: 0,
        }
    }

    /// Whether more prepared segments are wanted.
    pub(crate) fn wants_prepared(&self) -> bool {
        self.prepared.len() < 2
    }

    /// Whether ordinary writes have to wait for a prepared segment: the last one is kept.
    pub(crate) fn needs_segment(&self) -> bool {
        match &self.active {
            Some(_) => self.prepared.is_empty(),
            None => self.prepared.len() < 2,
        }
    }

    /// Segments are used in the order of their numbers.
    pub(crate) fn add_prepared(&mut self, prepared: Prepared) {
        let number = prepared.segment.number;
        let at = self.prepared.partition_point(|other| other.segment.number < number);
        self.prepared.insert(at, prepared);
    }

    /// The number of the last segment that was taken into use; only later ones may still be.
    pub(crate) fn segment_in_use(&self) -> u32 {
        self.segment_last.max(self.end.segment)
    }

    /// Whether what ends a voted transaction can be written now.
    pub(crate) fn has_place(&self) -> bool {
        match &self.active {
            Some(_) if !self.full || self.room() > MARGIN => true,
            _ => !self.prepared.is_empty(),
        }
    }

    /// Bytes that ops of phase 2 can count on when the disk is full.
    pub(crate) fn reserve(&self) -> u64 {
        match (self.prepared.front(), &self.active) {
            (Some(prepared), active) if !self.full || active.is_none() => {
                prepared.allocated.saturating_sub(HEADER_LENGTH as u64)
            }
            _ => self.room(),
        }
    }

    /// Bytes left that were allocated for the active segment.
    fn room(&self) -> u64 {
        let allocated = self.active.as_ref().map_or(0, |active| active.allocated);
        allocated.saturating_sub(self.begin_offset())
    }

    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    /// There is space again.
    pub(crate) fn leave_full(&mut self) {
        self.full = false;
        self.ahead.try_again();
    }

    /// Bytes that were taken and are not written yet.
    pub(crate) fn unwritten(&self) -> u64 {
        let flight = self.in_flight.as_ref().map_or(0, |f| f.group.end() - f.group.start.offset);
        let queued: u64 = self.queued.iter().map(|g| g.end() - g.start.offset).sum();
        let building = self.building.as_ref().map_or(0, |g| g.end() - g.start.offset);
        flight + queued + building
    }

    /// Where what is appended next will be at the earliest; and its group's sequence number.
    pub(crate) fn boundary(&mut self) -> (Position, u64) {
        if let Some(group) = self.building.take() {
            self.queued.push_back(group);
        }
        (self.end, self.next_sequence)
    }

    pub(crate) fn durable(&self) -> Position {
        self.durable
    }

    pub(crate) fn end(&self) -> Position {
        self.end
    }

    pub(crate) fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Segments that were closed, with their lengths, to be told to the manifest.
    pub(crate) fn take_closed(&mut self) -> Vec<(u32, u64)> {
        std::mem::take(&mut self.closed)
    }

    /// These closed segments were not told to the manifest after all.
    pub(crate) fn closed_again(&mut self, number: u32, length: u64) {
        self.closed.push((number, length));
    }

    /// Nothing more will be written: segments that were written to and are not reported as closed,
    /// with their lengths.
    pub(crate) fn end_active(&mut self) -> Vec<(Arc<Segment>, u64)> {
        assert!(self.in_flight.is_none() && self.building.is_none(), "everything is durable");
        let end = self.begin_offset();
        let mut ended = std::mem::take(&mut self.to_sync);
        ended.extend(self.active.take().map(|active| (active.segment, end)));
        ended
    }

    /// Whether anything was written since it was opened.
    pub(crate) fn has_begun(&self) -> bool {
        self.active.is_some()
    }

    /// Appends a record that is no object. `op` comes back when it is written.
    pub(crate) fn append(
        &mut self,
        record: &Record,
        class: Class,
        sync: Sync,
        op: Option<Op>,
    ) -> Result<Location> {
        let group = self.group(class)?;
        let location = group.push(record);
        group.ops.extend(op);
        if sync == Sync::Data {
            group.sync = Sync::Data;
            group.syncs += 1;
        }
        self.appended();
        Ok(location)
    }

    /// Appends a vote, to be synced. The op is made from its place.
    pub(crate) fn append_vote(
        &mut self,
        record: &Record,
        op: impl FnOnce(Location) -> Op,
    ) -> Result<Location> {
        let location = self.append(record, Class::Ordinary, Sync::Data, None)?;
        if let Some(group) = &mut self.building {
            group.ops.push(op(location));
        }
        Ok(location)
    }

    /// Appends an object, with the CRC of its data if that is known. Also gives the start of its
    /// group.
    pub(crate) fn append_object(
        &mut self,
        head: &ObjectHead,
        data: &Bytes,
        crc: Option<u32>,
    ) -> Result<(Location, Position)> {
        let group = self.group(Class::Ordinary)?;
        let location = group.push_object(head, data, crc);
        let start = group.start;
        self.appended();
        Ok((location, start))
    }

    /// Has what is collected written without waiting for more.
    pub(crate) fn write_soon(&mut self) {
        if let Some(group) = &mut self.building {
            group.sync = Sync::Data;
        }
    }

    /// Has everything appended so far synced; `op` comes back then.
    pub(crate) fn barrier(&mut self, op: Op) {
        let group = match (&mut self.building, self.queued.back_mut()) {
            (Some(group), _) => group,
            (None, Some(group)) => group,
            (None, None) if self.in_flight.is_none() && self.durable >= self.end => {
                self.passed.push(op);
                return;
            }
            (None, None) => {
                let mut group = Group::new(self.end, self.next_sequence, self.end, 0, Vec::new());
                group.sync = Sync::Data;
                group.ops.push(op);
                self.queued.push_back(group);
                return;
            }
        };
        group.sync = Sync::Data;
        group.ops.push(op);
    }

    fn appended(&mut self) {
        if let Some(group) = &self.building {
            self.end.offset = group.end();
        }
    }

    /// The group to append to: a new one if there is none.
    fn group(&mut self, class: Class) -> Result<&mut Group<Op>> {
        self.check_class(class)?;
        if self.building.is_none() {
            self.choose_segment(class)?;
            let Some(active) = &self.active else {
                return Err(Error::Full { file: self.active_path() });
            };
            let start = Position { segment: active.segment.number, offset: self.begin_offset() };
            self.reap_at = 0;
            let seed = active.segment.seed;
            let buffer = std::mem::take(&mut self.spare);
            let group = Group::new(start, self.next_sequence, self.end, seed, buffer);
            self.next_sequence += 1;
            self.end = start;
            self.building = Some(group);
        }
        Ok(self.building.as_mut().expect("just made"))
    }

    fn begin_offset(&self) -> u64 {
        let Some(active) = &self.active else { return 0 };
        match self.end.segment == active.segment.number {
            true => self.end.offset.max(active.end),
            false => active.end,
        }
    }

    /// While the disk is full, only phase 2 goes on, and only into allocated bytes.
    fn check_class(&mut self, class: Class) -> Result<()> {
        if self.full && class == Class::Ordinary {
            return Err(Error::Full { file: self.active_path() });
        }
        if self.full && self.active.is_some() && self.room() < MARGIN {
            self.queued.extend(self.building.take());
        }
        Ok(())
    }

    /// Goes on in a prepared segment if there is no other or it has its length. Ordinary writes
    /// leave one prepared segment as reserve.
    fn choose_segment(&mut self, class: Class) -> Result<()> {
        let end = self.begin_offset();
        let goes_on = match &self.active {
            None => false,
            Some(_) if self.full => self.room() >= MARGIN,
            Some(_) => end < self.segment_length || self.prepared.len() < 2,
        };
        if goes_on {
            return Ok(());
        }
        let keep = usize::from(class == Class::Ordinary);
        if self.prepared.len() <= keep {
            return Err(Error::Full { file: self.active_path() });
        }
        if let Some(prepared) = self.prepared.pop_front() {
            self.segment_last = prepared.segment.number;
            let next = Active {
                segment: prepared.segment,
                end: HEADER_LENGTH as u64,
                allocated: prepared.allocated,
            };
            self.ahead.try_again();
            let before = self.active.replace(next);
            self.to_sync.extend(before.map(|active| (active.segment, end)));
        }
        Ok(())
    }

    pub(super) fn active_path(&self) -> String {
        match (&self.active, self.prepared.front()) {
            (Some(active), _) => active.segment.path.clone(),
            (None, Some(prepared)) => prepared.segment.path.clone(),
            (None, None) => String::from("the log"),
        }
    }
}
