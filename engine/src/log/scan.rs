//! Reads groups of a segment, for recovery and fsck. Never maps.

use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::format::{
    Decoded, GROUP_HEADER_LENGTH, GROUP_MAGIC, GroupHeader, Location, Position,
    RECORD_HEADER_LENGTH, RawRecord, malformed,
};
use crate::run::read_exact;
use crate::version::Segment;

/// Bytes read ahead.
const WINDOW_LENGTH: usize = 1 << 20;

/// A segment's bytes, read in order through a window.
#[derive(Debug)]
pub(crate) struct SegmentBytes {
    pub(crate) segment: Arc<Segment>,
    pub(crate) length: u64,
    window: Bytes,
    window_start: u64,
}

/// A group whose header and records were all verified.
#[derive(Debug)]
pub(crate) struct GroupRef {
    pub(crate) header: GroupHeader,
    pub(crate) start: Position,
    pub(crate) end: u64,
    seed_of: Arc<Segment>,
    payload: Bytes,
}

impl SegmentBytes {
    /// The file as long as it is now.
    pub(crate) fn new(segment: Arc<Segment>) -> Result<Self> {
        let length =
            segment.file.length().map_err(|e| Error::io("measure", segment.path.clone(), e))?;
        Ok(Self { segment, length, window: Bytes::new(), window_start: 0 })
    }

    /// Bytes of the file, or `None` beyond its end.
    pub(crate) fn get(&mut self, offset: u64, length: usize) -> Result<Option<Bytes>> {
        let Some(end) = offset.checked_add(length as u64).filter(|end| *end <= self.length) else {
            return Ok(None);
        };
        let window_end = self.window_start + self.window.len() as u64;
        if offset < self.window_start || end > window_end {
            let rest = usize::try_from(self.length - offset).unwrap_or(usize::MAX);
            let count = length.max(WINDOW_LENGTH).min(rest);
            let segment = &self.segment;
            self.window = read_exact(&*segment.file, &segment.path, offset, count)?.into();
            self.window_start = offset;
        }
        let start = usize::try_from(offset - self.window_start).expect("within the window");
        Ok(Some(self.window.slice(start..start + length)))
    }

    /// The group at an offset, if a whole and sound one is there.
    pub(crate) fn group(&mut self, offset: u64) -> Result<Decoded<GroupRef>> {
        let header = match self.group_header(offset)? {
            Ok(header) => header,
            Err(error) => return Ok(Err(error)),
        };
        let payload_at = offset + GROUP_HEADER_LENGTH as u64;
        let length = usize::try_from(header.payload_length).unwrap_or(usize::MAX);
        let Some(payload) = self.get(payload_at, length)? else {
            return Ok(malformed("a group within its file"));
        };
        let start = Position { segment: self.segment.number, offset };
        let end = payload_at + header.payload_length;
        let seed_of = Arc::clone(&self.segment);
        let group = GroupRef { header, start, end, seed_of, payload };
        let mut records = 0u32;
        let checked = group.each(|_, _| {
            records += 1;
            Ok(())
        });
        Ok(match checked {
            Err(error) => Err(error),
            Ok(()) if records != group.header.records => malformed("all records of a group"),
            Ok(()) => Ok(group),
        })
    }

    /// Only the header of the group at an offset.
    pub(crate) fn group_header(&mut self, offset: u64) -> Result<Decoded<GroupHeader>> {
        let Some(bytes) = self.get(offset, GROUP_HEADER_LENGTH)? else {
            return Ok(malformed("a group header of 64 bytes"));
        };
        Ok(GroupHeader::decode(&bytes, self.segment.seed))
    }

    /// Looks for the next sound group header anywhere behind an offset.
    pub(crate) fn find_header(&mut self, from: u64) -> Result<Option<(u64, GroupHeader)>> {
        let mut offset = from;
        while offset < self.length {
            let rest = usize::try_from(self.length - offset).unwrap_or(usize::MAX);
            let count = match self.at_hand(offset) {
                some if some >= GROUP_HEADER_LENGTH => some,
                _ => rest.min(WINDOW_LENGTH),
            };
            let Some(bytes) = self.get(offset, count)? else { break };
            for found in memchr::memmem::find_iter(&bytes, &GROUP_MAGIC) {
                let at = offset + found as u64;
                if let Ok(header) = self.group_header(at)? {
                    return Ok(Some((at, header)));
                }
            }
            if count == rest {
                break;
            }
            // The magic may lie across two windows.
            offset += (count - GROUP_MAGIC.len() + 1) as u64;
        }
        Ok(None)
    }

    /// How many bytes from an offset on are in the window.
    fn at_hand(&self, offset: u64) -> usize {
        let end = self.window_start + self.window.len() as u64;
        match offset >= self.window_start {
            true => usize::try_from(end.saturating_sub(offset)).unwrap_or(0),
            false => 0,
        }
    }

    /// The first byte at or behind an offset that is not zero.
    pub(crate) fn find_nonzero(&mut self, from: u64) -> Result<Option<u64>> {
        let mut offset = from;
        while offset < self.length {
            let rest = usize::try_from(self.length - offset).unwrap_or(usize::MAX);
            let count = rest.min(WINDOW_LENGTH);
            let Some(bytes) = self.get(offset, count)? else { break };
            if let Some(at) = bytes.iter().position(|byte| *byte != 0) {
                return Ok(Some(offset + at as u64));
            }
            offset += count as u64;
        }
        Ok(None)
    }
}

impl GroupRef {
    /// Goes through the records.
    pub(crate) fn each(
        &self,
        mut visit: impl FnMut(Location, &RawRecord<'_>) -> Decoded<()>,
    ) -> Decoded<()> {
        let mut at = 0;
        while at < self.payload.len() {
            let rest = &self.payload[at..];
            let Some(header) = rest.first_chunk::<RECORD_HEADER_LENGTH>() else {
                return malformed("a record header of 16 bytes");
            };
            let length = RawRecord::length_of(header)?;
            let Some(bytes) = rest.get(..length) else {
                return malformed("a record within its group");
            };
            let offset = self.start.offset + (GROUP_HEADER_LENGTH + at) as u64;
            let raw = RawRecord::parse(bytes, self.seed_of.record_seed(offset))?;
            let length_u32 = u32::try_from(length).or(malformed("a record below 4 GiB"))?;
            visit(Location { file: self.start.segment, offset, length: length_u32 }, &raw)?;
            at += length;
        }
        Ok(())
    }
}
