//! Goes through a segment of the log, group by group and record by record, in bounded memory, and
//! on behind what is damaged.

use std::ops::Range;

use super::watch::Going;
use crate::error::{Error, Result};
use crate::format::{
    Decoded, GROUP_HEADER_LENGTH, GroupHeader, HEADER_LENGTH, Location, Malformed, Position,
    RECORD_HEADER_LENGTH, RawRecord, Record, malformed,
};
use crate::log::SegmentBytes;

/// Bytes of an object that are in memory at once.
const PIECE_LENGTH: u64 = 1 << 20;

/// Who is told what is in a segment.
pub(super) trait Visitor {
    /// So many more bytes were read.
    fn read(&mut self, bytes: u64) -> Going;
    /// A group begins.
    fn group(&mut self, start: Position, header: &GroupHeader);
    /// A sound record.
    fn record(&mut self, location: Location, record: Record) -> Going;
    /// What is at these offsets cannot be used.
    fn damage(&mut self, segment: u32, error: &Error, lost: Range<u64>);
}

/// Goes through a segment up to where its log ends, or, where that is not known, as far as there
/// are groups. Gives the place that it came to.
pub(super) fn walk(
    bytes: &mut SegmentBytes,
    end: Option<u64>,
    visitor: &mut dyn Visitor,
) -> Going<u64> {
    let mut walk = Walk { bytes, end, visitor };
    let mut at = HEADER_LENGTH as u64;
    walk.visitor.read(at)?;
    while at < walk.limit() {
        let next = match walk.group(at)? {
            Ok(next) => next,
            Err(error) => {
                let (number, limit) = (walk.bytes.segment.number, walk.limit());
                walk.visitor.damage(number, &error, at..limit);
                return Ok(walk.limit());
            }
        };
        match next {
            Some(next) => at = next,
            None => return Ok(at),
        }
    }
    Ok(at)
}

struct Walk<'a> {
    bytes: &'a mut SegmentBytes,
    end: Option<u64>,
    visitor: &'a mut dyn Visitor,
}

/// What is at the place of a record.
enum Found {
    Sound(Location, Box<Record>),
    /// Not sound, and the place behind it if its length can be believed.
    Unsound(Malformed, Option<u64>),
}

impl Walk<'_> {
    fn limit(&self) -> u64 {
        self.end.unwrap_or(self.bytes.length)
    }

    /// One group. Gives the place behind it, none if the log seems to end here. Fails where the
    /// file cannot be read.
    fn group(&mut self, at: u64) -> Going<Result<Option<u64>>> {
        let header = match self.bytes.group_header(at) {
            Ok(header) => header,
            Err(error) => return Ok(Err(error)),
        };
        let end = header.and_then(|header| {
            let start = at + GROUP_HEADER_LENGTH as u64;
            let end = start.checked_add(header.payload_length);
            match end.filter(|end| *end <= self.limit()) {
                Some(end) => Ok((header, end)),
                None => malformed("a group within the log"),
            }
        });
        match end {
            Ok((header, end)) => {
                let start = Position { segment: self.bytes.segment.number, offset: at };
                self.visitor.group(start, &header);
                self.visitor.read(GROUP_HEADER_LENGTH as u64)?;
                let records = self.records(at + GROUP_HEADER_LENGTH as u64, end)?;
                Ok(records.map(|records| {
                    if records.is_some_and(|records| records != header.records) {
                        let expected = "as many records as the group says";
                        self.damage(at, Malformed { expected }, end..end);
                    }
                    Some(end)
                }))
            }
            Err(malformed) => self.resume(at, malformed),
        }
    }

    /// Looks for the next group behind one that is not sound.
    fn resume(&mut self, at: u64, malformed: Malformed) -> Going<Result<Option<u64>>> {
        let next = match self.bytes.find_header(at + 1) {
            Ok(next) => next.map(|(next, _)| next).filter(|next| *next < self.limit()),
            Err(error) => return Ok(Err(error)),
        };
        if next.is_none() && self.end.is_none() {
            return Ok(Ok(None));
        }
        let next = next.unwrap_or(self.limit());
        self.damage(at, malformed, at..next);
        self.visitor.read(next - at)?;
        Ok(Ok(Some(next)))
    }

    /// The records of a group. Gives how many, if all have their place.
    fn records(&mut self, start: u64, end: u64) -> Going<Result<Option<u32>>> {
        let mut at = start;
        let mut records = 0;
        while at < end {
            match self.found(at, end) {
                Ok(Found::Sound(location, record)) => {
                    self.visitor.record(location, *record)?;
                    self.visitor.read(u64::from(location.length))?;
                    at += u64::from(location.length);
                }
                Ok(Found::Unsound(malformed, Some(next))) => {
                    self.damage(at, malformed, at..next);
                    self.visitor.read(next - at)?;
                    at = next;
                }
                Ok(Found::Unsound(malformed, None)) => {
                    self.damage(at, malformed, at..end);
                    self.visitor.read(end - at)?;
                    return Ok(Ok(None));
                }
                Err(error) => return Ok(Err(error)),
            }
            records += 1;
        }
        Ok(Ok(Some(records)))
    }

    fn found(&mut self, at: u64, end: u64) -> Result<Found> {
        let header = match self.within(at, RECORD_HEADER_LENGTH as u64, end)? {
            Ok(header) => header,
            Err(malformed) => return Ok(Found::Unsound(malformed, None)),
        };
        let header = header.first_chunk::<RECORD_HEADER_LENGTH>();
        let length = header.map_or(malformed("a record header"), RawRecord::length_of);
        let length = match length {
            Ok(length) if at + length as u64 <= end => length as u64,
            Ok(_) => {
                let expected = "a record within its group";
                return Ok(Found::Unsound(Malformed { expected }, None));
            }
            Err(malformed) => return Ok(Found::Unsound(malformed, None)),
        };
        match self.parse(at, length, end)? {
            Ok((location, record)) => Ok(Found::Sound(location, Box::new(record))),
            Err(malformed) => {
                let next = at + length;
                let is_believed = next == end || self.head(next, end)?.is_ok();
                Ok(Found::Unsound(malformed, is_believed.then_some(next)))
            }
        }
    }

    /// The record of this length.
    fn parse(&mut self, at: u64, length: u64, end: u64) -> Result<Decoded<(Location, Record)>> {
        let (head_length, body_crc) = match self.head(at, end)? {
            Ok(head) => head,
            Err(malformed) => return Ok(Err(malformed)),
        };
        let segment = std::sync::Arc::clone(&self.bytes.segment);
        let seed = segment.record_seed(at);
        let body = at + head_length;
        let is_sound = self.checksum(seed, body, at + length)? == Some(body_crc);
        if !is_sound {
            return Ok(malformed("the checksum of a record's body"));
        }
        let head = match self.within(at, head_length, end)? {
            Ok(head) => head,
            Err(malformed) => return Ok(Err(malformed)),
        };
        // What an object holds is not decoded: it need not be in memory.
        let decoded = match RawRecord::parse_head(&head, seed) {
            Ok((raw, _)) if raw.is_object() => raw.decode(),
            _ => match self.bytes.get(at, to_usize(length))? {
                Some(whole) => RawRecord::parse(&whole, seed).and_then(|raw| raw.decode()),
                None => malformed("a whole record"),
            },
        };
        Ok(decoded.and_then(|record| {
            let length = u32::try_from(length).or(malformed("a record below 4 GiB"))?;
            Ok((Location { file: segment.number, offset: at, length }, record))
        }))
    }

    /// The length of header and head of a record whose head is sound, and the body's checksum.
    fn head(&mut self, at: u64, end: u64) -> Result<Decoded<(u64, u32)>> {
        let seed = self.bytes.segment.record_seed(at);
        let header = match self.within(at, RECORD_HEADER_LENGTH as u64, end)? {
            Ok(header) => header,
            Err(malformed) => return Ok(Err(malformed)),
        };
        let head_length = u64::from(u16::from_le_bytes([header[6], header[7]]));
        let length = RECORD_HEADER_LENGTH as u64 + head_length;
        Ok(self.within(at, length, end)?.and_then(|head| {
            let (_, body_crc) = RawRecord::parse_head(&head, seed)?;
            Ok((length, body_crc))
        }))
    }

    /// The checksum of these bytes, piece by piece.
    fn checksum(&mut self, seed: u32, start: u64, end: u64) -> Result<Option<u32>> {
        let (mut crc, mut at) = (seed, start);
        while at < end {
            let length = (end - at).min(PIECE_LENGTH);
            let Some(piece) = self.bytes.get(at, to_usize(length))? else { return Ok(None) };
            crc = crc32c::crc32c_append(crc, &piece);
            at += length;
        }
        Ok(Some(crc))
    }

    fn within(&mut self, at: u64, length: u64, end: u64) -> Result<Decoded<bytes::Bytes>> {
        if at + length > end {
            return Ok(malformed("a record within its group"));
        }
        let bytes = self.bytes.get(at, to_usize(length))?;
        Ok(bytes.ok_or(Malformed { expected: "a record within its file" }))
    }

    fn damage(&mut self, at: u64, malformed: Malformed, lost: Range<u64>) {
        let segment = &self.bytes.segment;
        self.visitor.damage(segment.number, &segment.damaged(at, malformed), lost);
    }
}

fn to_usize(length: u64) -> usize {
    usize::try_from(length).expect("lengths of pieces and records fit in the address space")
}
