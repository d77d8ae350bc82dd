//! Finds where packets end in a stream that comes in pieces of any length.

use bytes::{Bytes, BytesMut};
use sha1::{Digest, Sha1};

use super::decode::{LIST_LENGTH_MAX, Malformed};
use crate::message::{Checksum, OID_HEAD, OID_LENGTH, Sums};
use crate::release;

/// What a peer may send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of a whole packet.
    pub packet_length_max: usize,
    /// Bytes of one string: data of an object, or a field of a transaction.
    pub string_length_max: usize,
    /// Values in a packet, those in lists included.
    pub values_max: u64,
}

impl Limits {
    /// Of a peer that did not say yet who it is.
    pub const UNIDENTIFIED: Self =
        Self { packet_length_max: 1 << 20, string_length_max: 1 << 16, values_max: 1 << 17 };
    /// Of a node of the cluster: the greatest objects that the engine takes, lists of 2^21 oids,
    /// and several of them.
    pub const NODE: Self = Self {
        packet_length_max: (1 << 30) + (64 << 20),
        string_length_max: 1 << 30,
        values_max: 1 << 23,
    };
}

/// A string from this length on has its checksum computed while it comes in: that of a longer one
/// would hold up everybody.
const CHECKSUM_LENGTH_MIN: usize = 16 << 10;
/// A list of so many oids is checked while it comes in.
const OIDS_COUNT_MIN: u64 = 256;
/// A string, or list of oids, of which so much is missing is read into a buffer that has space for
/// all of it. The system gives memory to it as it fills, so that a peer cannot claim more than it
/// sends.
const ROOM_LENGTH_MIN: usize = 64 << 10;
/// Space behind a long string, for the fields that follow it in the packet.
const ROOM_SLACK: usize = 1 << 10;

/// A whole packet.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) bytes: Bytes,
    pub(crate) known: Known,
}

/// What was found out of a packet while it came in, by where it is.
#[derive(Default, Debug)]
pub(crate) struct Known {
    /// Of long strings.
    pub(crate) sums: Vec<(usize, Sums)>,
    /// Long lists in which every item is an oid: where the first one begins.
    pub(crate) oids: Vec<usize>,
}

/// Cuts a stream into packets. It looks at each byte once, however the stream is cut.
#[derive(Default)]
pub(crate) struct Framer {
    /// From the beginning of the current packet on.
    buffer: BytesMut,
    /// Space right behind `buffer`, while a long string comes in: its capacity. What it holds means
    /// nothing.
    room: BytesMut,
    /// Up to where the packet was looked at.
    position: usize,
    /// Values that are still to come, those in lists counted when the list begins.
    values: u64,
    /// Values that the packet has so far, announced ones included.
    values_announced: u64,
    /// Bytes that are still to come of a string.
    skip: usize,
    digest: Option<Digests>,
    /// A long list in which every item was an oid so far: where the first begins, and how many are
    /// still to come.
    oids: Option<(usize, u64)>,
    known: Known,
}

/// Sums of a string of which a part is there.
struct Digests {
    start: usize,
    sha1: Sha1,
    crc: u32,
}

/// The head of a value: its own length, that of the bytes behind it, and how many values follow
/// that are parts of it.
struct Head {
    length: usize,
    payload: usize,
    parts: u64,
}

impl Framer {
    pub(crate) fn feed(&mut self, bytes: BytesMut) {
        if self.buffer.is_empty() {
            self.buffer = bytes;
            return;
        }
        if self.buffer.as_ptr_range().end != bytes.as_ptr() {
            // Read to somewhere else: the space cannot be used any more but by what is copied.
            self.room = BytesMut::new();
        }
        // Copies only what does not lie right behind.
        self.buffer.unsplit(bytes);
    }

    /// Bytes of memory that are held for a packet.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.buffer.capacity() + self.room.capacity()
    }

    #[cfg(test)]
    pub(super) fn buffer_start(&self) -> *const u8 {
        self.buffer.as_ptr()
    }

    /// Where to read to, so that nothing has to be copied: to its capacity.
    pub(crate) fn room(&mut self) -> Option<&mut BytesMut> {
        Some(&mut self.room).filter(|room| room.capacity() > 0)
    }

    fn has_room(&self) -> bool {
        self.room.capacity() > 0
    }

    /// The next packet, if it is there as a whole.
    pub(crate) fn next(&mut self, limits: Limits) -> Result<Option<Frame>, Malformed> {
        if self.buffer.is_empty() {
            return Ok(None);
        }
        if self.position == 0 {
            if self.buffer[0] != 0x93 {
                return Err(Malformed::Expected("a list of 3 values"));
            }
            (self.values, self.values_announced) = (1, 1);
        }
        while self.values > 0 || self.skip > 0 {
            if self.skip > 0 {
                if !self.skip_payload() {
                    return Ok(None);
                }
                continue;
            }
            let Some(head) = parse_head(&self.buffer[self.position..])? else { return Ok(None) };
            self.check(&head, limits)?;
            self.note_oids(&head, limits);
            self.position += head.length;
            self.values = self.values - 1 + head.parts;
            self.values_announced += head.parts;
            self.begin_payload(head.payload);
        }
        // Most often there is nothing behind: a buffer that is not shared costs less.
        let bytes = match self.position == self.buffer.len() && !self.has_room() {
            true => std::mem::take(&mut self.buffer).freeze(),
            false => self.buffer.split_to(self.position).freeze(),
        };
        if self.has_room() {
            // What follows should not keep the long string's memory.
            self.room = BytesMut::new();
            self.buffer = BytesMut::from(&self.buffer[..]);
        }
        self.position = 0;
        self.oids = None;
        let bytes = release::elsewhere(bytes);
        Ok(Some(Frame { bytes, known: std::mem::take(&mut self.known) }))
    }

    /// Keeps track of lists of oids, by the head of the next value.
    fn note_oids(&mut self, head: &Head, limits: Limits) {
        if let Some((start, left)) = self.oids {
            let is_oid = self.buffer[self.position..].starts_with(&OID_HEAD);
            self.oids = Some((start, left - 1)).filter(|(_, left)| is_oid && *left > 0);
            if is_oid && left == 1 {
                self.known.oids.push(start);
            }
        } else if head.parts >= OIDS_COUNT_MIN {
            let start = self.position + head.length;
            self.oids = Some((start, head.parts));
            let count = usize::try_from(head.parts).expect("lists are bounded");
            if count * OID_LENGTH <= limits.string_length_max {
                self.make_room(start + count * OID_LENGTH);
            }
        }
    }

    /// Has what is missing of the packet up to some position read into a buffer with space for it,
    /// if that is much.
    fn make_room(&mut self, end: usize) {
        let missing = end.saturating_sub(self.buffer.len());
        if missing >= ROOM_LENGTH_MIN && missing > self.room.capacity() {
            // At least doubled: many such strings are not copied again with each of them.
            let space = missing.max(self.buffer.len()) + ROOM_SLACK;
            let mut buffer = BytesMut::with_capacity(self.buffer.len() + space);
            buffer.extend_from_slice(&self.buffer);
            self.room = buffer.split_off(self.buffer.len());
            self.buffer = buffer;
        }
    }

    fn check(&self, head: &Head, limits: Limits) -> Result<(), Malformed> {
        let refuse = |what, given: usize, limit: usize| {
            let (given, limit) = (given as u64, limit as u64);
            Err(Malformed::TooLong { what, given, limit })
        };
        if head.payload > limits.string_length_max {
            return refuse("a string", head.payload, limits.string_length_max);
        }
        let length = self.position + head.length + head.payload;
        if length > limits.packet_length_max {
            return refuse("a packet", length, limits.packet_length_max);
        }
        if head.parts > 2 * LIST_LENGTH_MAX as u64 {
            let (given, limit) = (head.parts, LIST_LENGTH_MAX as u64);
            return Err(Malformed::TooLong { what: "a list", given, limit });
        }
        let given = self.values_announced + head.parts;
        if given > limits.values_max {
            let limit = limits.values_max;
            return Err(Malformed::TooLong { what: "values of a packet", given, limit });
        }
        Ok(())
    }

    fn begin_payload(&mut self, length: usize) {
        self.skip = length;
        if length >= CHECKSUM_LENGTH_MIN {
            self.digest = Some(Digests { start: self.position, sha1: Sha1::new(), crc: 0 });
        }
        self.make_room(self.position + length);
    }

    /// Goes on through a string; false if its end is not there.
    fn skip_payload(&mut self) -> bool {
        let count = self.skip.min(self.buffer.len() - self.position);
        if let Some(digest) = &mut self.digest {
            let bytes = &self.buffer[self.position..self.position + count];
            digest.sha1.update(bytes);
            digest.crc = crc32c::crc32c_append(digest.crc, bytes);
        }
        self.position += count;
        self.skip -= count;
        if self.skip > 0 {
            return false;
        }
        if let Some(Digests { start, sha1, crc }) = self.digest.take() {
            let checksum = Checksum(sha1.finalize().into());
            self.known.sums.push((start, Sums { checksum, crc }));
        }
        true
    }
}

/// `None` if the head is not there as a whole.
fn parse_head(bytes: &[u8]) -> Result<Option<Head>, Malformed> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    let fixed = |payload: usize| Ok(Some(Head { length: 1, payload, parts: 0 }));
    let list = |parts: u8| Ok(Some(Head { length: 1, payload: 0, parts: u64::from(parts) }));
    // Bytes of the length field, bytes behind it, values an item.
    let (width, extra, parts_an_item) = match first {
        0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => return fixed(0),
        0x80..=0x8f => return list(2 * (first & 0x0f)),
        0x90..=0x9f => return list(first & 0x0f),
        0xa0..=0xbf => return fixed(usize::from(first & 0x1f)),
        0xcc | 0xd0 => return fixed(1),
        0xcd | 0xd1 => return fixed(2),
        0xca | 0xce | 0xd2 => return fixed(4),
        0xcb | 0xcf | 0xd3 => return fixed(8),
        0xd4 => return fixed(2),
        0xd5 => return fixed(3),
        0xd6 => return fixed(5),
        0xd7 => return fixed(9),
        0xd8 => return fixed(17),
        0xc4 | 0xd9 => (1, 0, 0),
        0xc5 | 0xda => (2, 0, 0),
        0xc6 | 0xdb => (4, 0, 0),
        0xc7 => (1, 1, 0),
        0xc8 => (2, 1, 0),
        0xc9 => (4, 1, 0),
        0xdc => (2, 0, 1),
        0xdd => (4, 0, 1),
        0xde => (2, 0, 2),
        0xdf => (4, 0, 2),
        0xc1 => return Err(Malformed::Expected("MessagePack")),
    };
    let Some(field) = bytes.get(1..=width) else { return Ok(None) };
    let number = field.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let length = 1 + width;
    Ok(Some(match parts_an_item {
        0 => {
            let payload = usize::try_from(number).expect("addresses have at least 32 bits");
            Head { length, payload: payload + extra, parts: 0 }
        }
        _ => Head { length, payload: 0, parts: number * parts_an_item },
    }))
}
