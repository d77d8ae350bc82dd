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

use bytes::{Buf, Bytes};

use super::group::{Class, Group};
use super::segment::Prepared;
use crate::disk::{Completion, Done, File, Queue, Request, Sync, Wait};
use crate::error::{Error, Result, is_full};
use crate::format::{
    GROUP_HEADER_LENGTH, HEADER_LENGTH, Location, ObjectHead, Position, Record,
};
use crate::version::Segment;

const WRITE_TOKEN: u64 = 0;
const SYNC_TOKEN: u64 = 1;

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
struct Active {
    segment: Arc<Segment>,
    /// Where the next group begins.
    end: u64,
    /// Bytes that can be written when the disk is full.
    allocated: u64,
}

#[derive(Debug)]
struct InFlight<Op> {
    group: Group<Op>,
    rest: Vec<Bytes>,
    offset: u64,
    /// Requests that have not completed: the write, and syncs of closed segments.
    outstanding: usize,
    file: Arc<dyn File>,
}

/// The end of the log.
pub(crate) struct LogWriter<Op> {
    queue: Box<dyn Queue>,
    active: Option<Active>,
    prepared: VecDeque<Prepared>,
    /// Closed, and not reported to the manifest yet.
    closed: Vec<(u32, u64)>,
    /// Closed since the last sync, with their lengths.
    to_sync: Vec<(Arc<Segment>, u64)>,
    building: Option<Group<Op>>,
    queued: VecDeque<Group<Op>>,
    in_flight: Option<InFlight<Op>>,
    completions: Vec<Completion>,
    /// Barriers that had nothing to wait for.
    passed: Vec<Op>,
    next_sequence: u64,
    /// End of the last group that was given a place.
    end: Position,
    durable: Position,
    full: bool,
    pub(crate) manifest_sequence: u64,
    segment_length: u64,
    group_length: u64,
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
            passed: Vec::new(),
            next_sequence,
            end,
            durable: end,
            full: false,
            manifest_sequence: 0,
            segment_length,
            group_length,
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

    pub(crate) fn add_prepared(&mut self, prepared: Prepared) {
        self.prepared.push_back(prepared);
    }

    /// Bytes that ops of phase 2 can count on when the disk is full.
    pub(crate) fn reserve(&self) -> u64 {
        let head = (HEADER_LENGTH + GROUP_HEADER_LENGTH) as u64;
        match &self.active {
            Some(active) if self.full => active.allocated.saturating_sub(active.end),
            _ => self.prepared.back().map_or(0, |p| p.allocated.saturating_sub(head)),
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    /// There is space again.
    pub(crate) fn leave_full(&mut self) {
        self.full = false;
    }

    /// Bytes that were taken and are not written yet.
    pub(crate) fn unwritten(&self) -> u64 {
        let flight =
            self.in_flight.as_ref().map_or(0, |f| f.group.end() - f.group.start.offset);
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

    /// Nothing more will be written: the segment that was written to, if there is one.
    pub(crate) fn end_active(&mut self) -> Option<Arc<Segment>> {
        assert!(self.in_flight.is_none() && self.building.is_none(), "everything is durable");
        self.active.take().map(|active| active.segment)
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
        }
        self.appended();
        Ok(location)
    }

    /// Appends an object. Also gives the start of its group.
    pub(crate) fn append_object(
        &mut self,
        head: &ObjectHead,
        data: &Bytes,
    ) -> Result<(Location, Position)> {
        let group = self.group(Class::Ordinary)?;
        let location = group.push_object(head, data);
        let start = group.start;
        self.appended();
        Ok((location, start))
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
                let mut group = Group::new(self.end, self.next_sequence, self.end, 0);
                group.sync = Sync::Data;
                group.ops.push(op);
                self.queued.push_back(group);
                return;
            }
        };
        group.sync = Sync::Data;
        group.ops.push(op);
    }

    /// Starts what can be started.
    pub(crate) fn pump(&mut self) {
        if self.in_flight.is_some() {
            return;
        }
        let ready = self.building.as_ref().is_some_and(|group| {
            group.sync == Sync::Data || group.end() - group.start.offset >= self.group_length
        });
        if self.queued.is_empty() && ready {
            self.queued.extend(self.building.take());
        }
        if let Some(group) = self.queued.pop_front() {
            self.start(group);
        }
    }

    /// Whether anything is on its way.
    pub(crate) fn is_busy(&self) -> bool {
        self.in_flight.is_some()
    }

    pub(crate) fn event_descriptor(&self) -> Option<std::os::fd::RawFd> {
        self.queue.event_descriptor()
    }

    /// Takes completions. An error means that the log cannot go on at all.
    pub(crate) fn poll(&mut self, wait: Wait) -> Result<Vec<LogEvent<Op>>> {
        let mut events = Vec::new();
        if !self.passed.is_empty() {
            events.push(LogEvent::Done(std::mem::take(&mut self.passed)));
            return Ok(events);
        }
        if self.in_flight.is_none() {
            return Ok(events);
        }
        let mut completions = std::mem::take(&mut self.completions);
        let polled = self.queue.poll(wait, &mut completions);
        polled.map_err(|e| Error::io("wait for writes of", self.active_path(), e))?;
        for completion in completions.drain(..) {
            if let Some(event) = self.complete(completion)? {
                events.push(event);
            }
        }
        self.completions = completions;
        self.pump();
        Ok(events)
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
            self.choose_segment()?;
            let Some(active) = &self.active else {
                return Err(Error::Full { file: self.active_path() });
            };
            let start = Position { segment: active.segment.number, offset: self.begin_offset() };
            let group = Group::new(start, self.next_sequence, self.end, active.segment.seed);
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
    fn check_class(&self, class: Class) -> Result<()> {
        if !self.full {
            return Ok(());
        }
        let room = self.active.as_ref().map_or(true, |active| {
            active.allocated.saturating_sub(self.begin_offset()) > MARGIN
        });
        if class == Class::Ordinary || !room {
            return Err(Error::Full { file: self.active_path() });
        }
        Ok(())
    }

    /// Goes on in a prepared segment if there is no other or it has its length; but the last
    /// prepared one is kept as reserve.
    fn choose_segment(&mut self) -> Result<()> {
        let keep = match (&self.active, self.full) {
            (None, true) => 0,
            (None, false) => 1,
            (Some(active), _) => {
                let end = self.begin_offset();
                if end < self.segment_length || self.full || self.prepared.len() < 2 {
                    return Ok(());
                }
                self.closed.push((active.segment.number, end));
                self.to_sync.push((Arc::clone(&active.segment), end));
                1
            }
        };
        if self.prepared.len() <= keep {
            return Err(Error::Full { file: self.active_path() });
        }
        if let Some(prepared) = self.prepared.pop_front() {
            self.active = Some(Active {
                segment: prepared.segment,
                end: HEADER_LENGTH as u64,
                allocated: prepared.allocated,
            });
        }
        Ok(())
    }

    fn start(&mut self, mut group: Group<Op>) {
        let mut outstanding = 1;
        let segment = self.active.as_ref().map(|active| &active.segment);
        let file = match segment.filter(|s| s.number == group.start.segment) {
            Some(segment) => Arc::clone(&segment.file),
            // The group was collected before the segment was closed.
            None => match self.to_sync.iter().find(|s| s.0.number == group.start.segment) {
                Some((segment, _)) => Arc::clone(&segment.file),
                None => {
                    assert!(group.is_empty(), "groups have a segment");
                    self.passed.extend(group.ops);
                    return;
                }
            },
        };
        if group.sync == Sync::Data {
            for (segment, _) in &self.to_sync {
                if segment.number != group.start.segment {
                    let request = Request::Sync { file: Arc::clone(&segment.file) };
                    self.queue.submit(SYNC_TOKEN, request);
                    outstanding += 1;
                }
            }
        }
        if group.is_empty() {
            self.queue.submit(SYNC_TOKEN, Request::Sync { file: Arc::clone(&file) });
            let offset = group.start.offset;
            self.in_flight = Some(InFlight { group, rest: Vec::new(), offset, outstanding, file });
            return;
        }
        let rest = group.seal(self.durable, self.manifest_sequence);
        let flight =
            InFlight { offset: group.start.offset, group, rest, outstanding, file };
        self.submit_write(&flight);
        self.in_flight = Some(flight);
    }

    fn submit_write(&mut self, flight: &InFlight<Op>) {
        let request = Request::Write {
            file: Arc::clone(&flight.file),
            offset: flight.offset,
            data: flight.rest.clone(),
            sync: flight.group.sync,
        };
        self.queue.submit(WRITE_TOKEN, request);
    }

    fn complete(&mut self, completion: Completion) -> Result<Option<LogEvent<Op>>> {
        let Some(mut flight) = self.in_flight.take() else {
            unreachable!("completions come for what was submitted")
        };
        match completion.result {
            Ok(Done::Written(count)) => {
                self.bytes_written += count as u64;
                let left: usize = flight.rest.iter().map(Bytes::len).sum();
                if count < left {
                    advance(&mut flight.rest, count);
                    flight.offset += count as u64;
                    self.submit_write(&flight);
                } else {
                    flight.outstanding -= 1;
                }
            }
            Ok(_) => flight.outstanding -= 1,
            Err(error) if completion.token == WRITE_TOKEN && is_full(&error) => {
                return self.give_back(flight).map(Some);
            }
            Err(source) => {
                let file = self.active_path();
                return Err(Error::Io { action: "write or sync", file, source });
            }
        }
        if flight.outstanding > 0 {
            self.in_flight = Some(flight);
            return Ok(None);
        }
        Ok(Some(LogEvent::Done(self.finished(flight.group))))
    }

    fn finished(&mut self, group: Group<Op>) -> Vec<Op> {
        let end = Position { offset: group.end(), ..group.start };
        if !group.is_empty() {
            self.groups_written += 1;
        }
        if let Some(active) = &mut self.active
            && active.segment.number == end.segment
        {
            active.end = active.end.max(end.offset);
        }
        if group.sync == Sync::Data {
            self.groups_synced += 1;
            self.durable = self.durable.max(end);
            // Readers may map a segment as soon as nothing of it is on its way.
            self.to_sync.retain(|(segment, length)| {
                let synced = segment.number < end.segment;
                synced.then(|| segment.sealed_length.set(*length));
                !synced
            });
        }
        group.ops
    }

    /// The disk is full: everything from the group in flight on is given back, and the next
    /// group begins in a prepared segment, naming the end of the last good group.
    fn give_back(&mut self, flight: InFlight<Op>) -> Result<LogEvent<Op>> {
        assert!(flight.outstanding >= 1, "the write was outstanding");
        let path = self.active_path();
        let end = flight.group.previous;
        self.next_sequence = flight.group.sequence;
        let mut ops = flight.group.ops;
        for group in self.queued.drain(..).chain(self.building.take()) {
            ops.extend(group.ops);
        }
        self.end = end;
        self.full = true;
        if let Some(active) = self.active.take() {
            let length = match end.segment == active.segment.number {
                true => end.offset,
                false => HEADER_LENGTH as u64,
            };
            // What was written of the group is cut off if the system lets us; readers of the log
            // do not need it, since the next group names where it follows.
            let _ = active.segment.file.set_length(length);
            self.closed.push((active.segment.number, length));
            self.to_sync.push((active.segment, length));
        }
        // Syncs of closed segments that are under way complete later and find nothing in flight.
        self.drain_syncs(flight.outstanding - 1)?;
        Ok(LogEvent::Full { ops, file: path })
    }

    fn drain_syncs(&mut self, mut outstanding: usize) -> Result<()> {
        let mut completions = Vec::new();
        while outstanding > 0 {
            let polled = self.queue.poll(Wait::Yes, &mut completions);
            polled.map_err(|e| Error::io("wait for writes of", self.active_path(), e))?;
            for completion in completions.drain(..) {
                outstanding -= 1;
                if let Err(source) = completion.result {
                    let file = self.active_path();
                    return Err(Error::Io { action: "sync", file, source });
                }
            }
        }
        Ok(())
    }

    fn active_path(&self) -> String {
        match (&self.active, self.prepared.front()) {
            (Some(active), _) => active.segment.path.clone(),
            (None, Some(prepared)) => prepared.segment.path.clone(),
            (None, None) => String::from("the log"),
        }
    }
}

/// Room for the largest group of phase 2 that is written into a reserve.
const MARGIN: u64 = 512;

fn advance(chunks: &mut Vec<Bytes>, mut count: usize) {
    let mut whole = 0;
    for chunk in chunks.iter_mut() {
        if chunk.len() > count {
            chunk.advance(count);
            break;
        }
        count -= chunk.len();
        whole += 1;
    }
    chunks.drain(..whole);
}
