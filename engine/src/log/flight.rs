//! Writes one group at a time, and syncs it with the segments closed before.

use std::sync::Arc;

use bytes::{Buf, Bytes};

use super::group::Group;
use super::writer::{LogEvent, LogWriter};
use crate::disk::{Completion, Done, File, Request, Sync, Wait};
use crate::error::{Error, Result, is_full};
use crate::format::{HEADER_LENGTH, Position};

const WRITE_TOKEN: u64 = 0;
const SYNC_TOKEN: u64 = 1;
/// Longest buffer that is kept.
const SPARE_MAX: usize = 4 << 20;
/// Bytes appended between two looks for completions.
const REAP_LENGTH: u64 = 64 << 10;

/// A group on its way.
#[derive(Debug)]
pub(super) struct InFlight<Op> {
    pub(super) group: Group<Op>,
    pub(super) rest: Vec<Bytes>,
    /// How many zeros `rest` ends with.
    pub(super) zeros: Option<u64>,
    offset: u64,
    /// Requests that have not completed: the write, and syncs of closed segments.
    outstanding: usize,
    file: Arc<dyn File>,
    /// There was no space for it.
    found_full: bool,
}

impl<Op> LogWriter<Op> {
    /// Starts what can be started.
    pub(crate) fn pump(&mut self) {
        if self.in_flight.is_some() {
            return;
        }
        let ready = self.building.as_ref().is_some_and(|group| {
            let is_due = group.sync == Sync::Data && !self.gathers;
            is_due || group.end() - group.start.offset >= self.group_length
        });
        if self.queued.is_empty() && ready {
            self.queued.extend(self.building.take());
        }
        if let Some(group) = self.queued.pop_front() {
            self.start(group);
        }
    }

    /// From now on, or no more, what is to be synced waits for [`LogWriter::start_gathered`].
    pub(crate) fn gather(&mut self, is_on: bool) {
        self.gathers = is_on;
    }

    /// Starts what waits to be synced.
    pub(crate) fn start_gathered(&mut self) {
        let gathers = std::mem::take(&mut self.gathers);
        self.pump();
        self.gathers = gathers;
    }

    /// How many records wait to be synced and could be: none while a group is on its way.
    pub(crate) fn gathered(&self) -> usize {
        match &self.building {
            Some(group) if !self.is_writing() && group.sync == Sync::Data => group.syncs.max(1),
            _ => 0,
        }
    }

    /// How many records the last group was synced for.
    pub(crate) fn last_gathered(&self) -> usize {
        self.last_syncs
    }

    /// Whether a group is on its way.
    pub(crate) fn is_writing(&self) -> bool {
        self.in_flight.is_some() || !self.queued.is_empty()
    }

    /// Barriers that had nothing to wait for.
    pub(crate) fn take_passed(&mut self) -> Vec<Op> {
        std::mem::take(&mut self.passed)
    }

    /// Whether the next group could be written if the one before is: then it is worth a look.
    pub(crate) fn should_reap(&mut self) -> bool {
        let Some(group) = &self.building else { return false };
        let length = group.end() - group.start.offset;
        let waits = group.sync == Sync::Data || length >= self.group_length;
        let should = self.in_flight.is_some() && waits && group.end() >= self.reap_at;
        if should {
            self.reap_at = group.end() + REAP_LENGTH;
        }
        should
    }

    pub(crate) fn event_descriptor(&self) -> Option<std::os::fd::RawFd> {
        self.queue.event_descriptor()
    }

    /// Takes completions. An error means that the log cannot go on at all.
    pub(crate) fn poll(&mut self, wait: Wait) -> Result<Vec<LogEvent<Op>>> {
        let mut events = Vec::new();
        let mut wait = wait;
        if !self.passed.is_empty() {
            events.push(LogEvent::Done(self.take_passed()));
            // What the queue has announced is announced only once: it is looked at all the same.
            wait = Wait::No;
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
            let offset = group.start.offset;
            let rest = Vec::new();
            let (zeros, found_full) = (None, false);
            let flight = InFlight { offset, group, rest, zeros, outstanding, file, found_full };
            self.submit_sync(&flight);
            self.in_flight = Some(flight);
            return;
        }
        let mut rest = group.seal(self.durable, self.manifest_sequence);
        let behind = self.zeros_behind(&group);
        let zeros = behind.as_ref().map(|zeros| zeros.len() as u64);
        rest.extend(behind);
        let offset = group.start.offset;
        let found_full = false;
        let flight = InFlight { offset, group, rest, zeros, outstanding, file, found_full };
        self.submit_write(&flight);
        self.in_flight = Some(flight);
    }

    pub(super) fn submit_sync(&mut self, flight: &InFlight<Op>) {
        self.queue.submit(SYNC_TOKEN, Request::Sync { file: Arc::clone(&flight.file) });
    }

    pub(super) fn submit_write(&mut self, flight: &InFlight<Op>) {
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
                if !self.write_without_zeros(&mut flight) {
                    flight.found_full = true;
                    flight.outstanding -= 1;
                }
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
        if flight.found_full {
            return Ok(Some(self.give_back(flight.group)));
        }
        self.zeros_written(&mut flight);
        self.keep_buffer(flight.rest);
        Ok(Some(LogEvent::Done(self.finished(flight.group))))
    }

    /// The next group is collected in the buffer of one that was written.
    fn keep_buffer(&mut self, chunks: Vec<Bytes>) {
        let longest = chunks.into_iter().max_by_key(Bytes::len);
        if let Some(bytes) = longest.filter(|bytes| bytes.is_unique()) {
            let mut buffer = Vec::from(bytes);
            buffer.clear();
            if buffer.capacity() > self.spare.capacity() && buffer.capacity() <= SPARE_MAX {
                self.spare = buffer;
            }
        }
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
            self.last_syncs = group.syncs;
            self.durable = self.durable.max(end);
            let (closed, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.to_sync)
                .into_iter()
                .partition(|(segment, _)| segment.number < end.segment);
            self.to_sync = rest;
            for (segment, length) in closed {
                // Readers may map a segment as soon as nothing of it is on its way, and only
                // then may the manifest say how long it is.
                let _ = segment.sealed_length.set(length);
                self.closed.push((segment.number, length));
            }
        }
        group.ops
    }

    /// The disk is full: the group in flight and all behind it are given back, and the next group
    /// begins in a prepared segment, naming the end of the last good group.
    fn give_back(&mut self, group: Group<Op>) -> LogEvent<Op> {
        let path = self.active_path();
        let end = group.previous;
        self.next_sequence = group.sequence;
        let mut ops = group.ops;
        for group in self.queued.drain(..).chain(self.building.take()) {
            ops.extend(group.ops);
        }
        self.end = end;
        self.full = true;
        self.to_sync.extend(self.active.take().map(|active| (active.segment, u64::MAX)));
        for (segment, length) in &mut self.to_sync {
            let kept = match segment.number.cmp(&end.segment) {
                std::cmp::Ordering::Less => continue,
                std::cmp::Ordering::Equal => end.offset,
                std::cmp::Ordering::Greater => HEADER_LENGTH as u64,
            };
            *length = kept;
            // What was written of the group is cut off if the system lets us; readers of the log
            // do not need it, since the next group names where it follows.
            let _ = segment.file.set_length(kept);
        }
        LogEvent::Full { ops, file: path }
    }
}

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
