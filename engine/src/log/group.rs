//! A group while it is collected.

use bytes::Bytes;

use crate::disk::Sync;
use crate::format::{
    GROUP_HEADER_LENGTH, GroupHeader, Location, ObjectHead, Position, Record, RecordEncoder,
};

/// Data of at least this many bytes is not copied into the group's buffer.
const COPY_LENGTH_MAX: usize = 64 << 10;

/// Which records may go into the reserve of a full disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Class {
    /// Not this one.
    Ordinary,
    /// Locks, unlocks, aborts and metadata: what lets voted transactions end.
    Phase2,
}

/// Records that will be written as one write.
#[derive(Debug)]
pub(crate) struct Group<Op> {
    pub(crate) start: Position,
    pub(crate) sequence: u64,
    pub(crate) previous: Position,
    pub(crate) sync: Sync,
    /// What is told when the group is written (and synced, if it is to be).
    pub(crate) ops: Vec<Op>,
    /// How many records asked to be synced.
    pub(crate) syncs: usize,
    seed: u32,
    records: u32,
    payload_length: u64,
    chunks: Vec<Bytes>,
    tail: Vec<u8>,
}

impl<Op> Group<Op> {
    /// `buffer` is empty; one that was used before need not grow again.
    pub(crate) fn new(
        start: Position,
        sequence: u64,
        previous: Position,
        seed: u32,
        buffer: Vec<u8>,
    ) -> Self {
        Self {
            start,
            sequence,
            previous,
            sync: Sync::None,
            ops: Vec::new(),
            syncs: 0,
            seed,
            records: 0,
            payload_length: 0,
            chunks: Vec::new(),
            tail: buffer,
        }
    }

    /// Where the group ends so far.
    pub(crate) fn end(&self) -> u64 {
        match self.records {
            0 => self.start.offset,
            _ => self.start.offset + GROUP_HEADER_LENGTH as u64 + self.payload_length,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Appends a record that is no object.
    pub(crate) fn push(&mut self, record: &Record) -> Location {
        let offset = self.next_offset();
        let before = self.tail.len();
        let mut encoder = RecordEncoder { seed: self.record_seed(offset), out: &mut self.tail };
        let Some((vote, oids)) = record.long_vote() else {
            encoder.record(record);
            return self.appended(offset, self.tail.len() - before);
        };
        let after = encoder.long_vote(vote, oids);
        let length = self.tail.len() - before + oids.bytes.len() + after.len();
        if oids.bytes.len() < COPY_LENGTH_MAX {
            self.tail.extend_from_slice(&oids.bytes);
            self.tail.extend_from_slice(&after);
        } else {
            self.chunks.push(std::mem::replace(&mut self.tail, after).into());
            self.chunks.push(oids.bytes.clone());
        }
        self.appended(offset, length)
    }

    /// Appends an object, with the CRC of its data if that is known.
    pub(crate) fn push_object(
        &mut self,
        head: &ObjectHead,
        data: &Bytes,
        crc: Option<u32>,
    ) -> Location {
        let offset = self.next_offset();
        let before = self.tail.len();
        let seed = self.record_seed(offset);
        RecordEncoder { seed, out: &mut self.tail }.object_head(head, data, crc);
        let length = self.tail.len() - before + data.len();
        if data.len() < COPY_LENGTH_MAX {
            self.tail.extend_from_slice(data);
        } else {
            self.chunks.push(std::mem::take(&mut self.tail).into());
            self.chunks.push(data.clone());
        }
        self.appended(offset, length)
    }

    /// The bytes to write.
    pub(crate) fn seal(&mut self, durable: Position, manifest_sequence: u64) -> Vec<Bytes> {
        let header = GroupHeader {
            sequence: self.sequence,
            payload_length: self.payload_length,
            records: self.records,
            durable,
            previous: self.previous,
            manifest_sequence,
        };
        let mut chunks = vec![Bytes::from(header.encode(self.seed))];
        chunks.append(&mut self.chunks);
        if !self.tail.is_empty() {
            chunks.push(std::mem::take(&mut self.tail).into());
        }
        chunks
    }

    fn next_offset(&self) -> u64 {
        self.start.offset + GROUP_HEADER_LENGTH as u64 + self.payload_length
    }

    fn record_seed(&self, offset: u64) -> u32 {
        crc32c::crc32c_append(self.seed, &offset.to_le_bytes())
    }

    fn appended(&mut self, offset: u64, length: usize) -> Location {
        self.records += 1;
        self.payload_length += length as u64;
        let length = u32::try_from(length).expect("records are below 4 GiB");
        Location { file: self.start.segment, offset, length }
    }
}
