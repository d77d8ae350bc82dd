//! Reading MessagePack: total, strictly typed, without copying bytes.

use std::fmt;

use bytes::Bytes;

use super::framer::Known;
use crate::message::{OID_HEAD, OID_LENGTH, Oids, Sums};

/// Why a packet is refused. Whoever sent it loses the connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Malformed {
    /// Something else than what belongs there.
    Expected(&'static str),
    /// No packet has this code.
    Code(u16),
    /// Longer than what is allowed.
    TooLong {
        /// What is.
        what: &'static str,
        /// How long it is.
        given: u64,
        /// How long it may be.
        limit: u64,
    },
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expected(what) => write!(f, "malformed packet: expected {what}"),
            Self::Code(code) => write!(f, "unknown packet code {code:#06x}"),
            Self::TooLong { what, given, limit } => {
                write!(f, "{what} of length {given}, but the limit is {limit}")
            }
        }
    }
}

impl std::error::Error for Malformed {}

/// Items of a list or map: NEO's lists of oids stay below this.
pub(crate) const LIST_LENGTH_MAX: usize = 1 << 21;

const AN_OID: &str = "an id of 8 bytes";
/// Bytes of a list from which on it stays where it was read to.
const SHARED_LENGTH_MIN: usize = 8 << 10;

/// Reads values out of a whole packet.
pub(crate) struct Decoder<'a> {
    packet: &'a Bytes,
    position: usize,
    known: &'a Known,
}

type Decoded<T> = Result<T, Malformed>;

impl<'a> Decoder<'a> {
    pub(crate) fn new(packet: &'a Bytes, known: &'a Known) -> Self {
        Self { packet, position: 0, known }
    }

    /// There is nothing behind.
    pub(crate) fn end(&self) -> Decoded<()> {
        match self.position == self.packet.len() {
            true => Ok(()),
            false => Err(Malformed::Expected("the end of the packet")),
        }
    }

    /// How many bytes are left.
    pub(crate) fn remaining(&self) -> usize {
        self.packet.len() - self.position
    }

    pub(crate) fn peek(&self) -> Decoded<u8> {
        self.packet.get(self.position).copied().ok_or(Malformed::Expected("more bytes"))
    }

    /// Takes a nil, if there is one.
    pub(crate) fn nil(&mut self) -> Decoded<bool> {
        let is_nil = self.peek()? == 0xc0;
        self.position += usize::from(is_nil);
        Ok(is_nil)
    }

    pub(crate) fn bool(&mut self) -> Decoded<bool> {
        match self.byte()? {
            0xc2 => Ok(false),
            0xc3 => Ok(true),
            _ => Err(Malformed::Expected("true or false")),
        }
    }

    pub(crate) fn unsigned(&mut self) -> Decoded<u64> {
        u64::try_from(self.integer()?).map_err(|_| Malformed::Expected("a number from 0"))
    }

    /// Any integer of MessagePack: from -2^63 to 2^64-1.
    pub(crate) fn integer(&mut self) -> Decoded<i128> {
        Ok(match self.byte()? {
            byte @ 0..=0x7f => i128::from(byte),
            byte @ 0xe0..=0xff => i128::from(i8::from_be_bytes([byte])),
            0xcc => i128::from(self.byte()?),
            0xcd => i128::from(u16::from_be_bytes(self.array()?)),
            0xce => i128::from(u32::from_be_bytes(self.array()?)),
            0xcf => i128::from(u64::from_be_bytes(self.array()?)),
            0xd0 => i128::from(i8::from_be_bytes(self.array()?)),
            0xd1 => i128::from(i16::from_be_bytes(self.array()?)),
            0xd2 => i128::from(i32::from_be_bytes(self.array()?)),
            0xd3 => i128::from(i64::from_be_bytes(self.array()?)),
            _ => return Err(Malformed::Expected("an integer")),
        })
    }

    pub(crate) fn float(&mut self) -> Decoded<f64> {
        match self.byte()? {
            0xca => Ok(f64::from(f32::from_be_bytes(self.array()?))),
            0xcb => Ok(f64::from_be_bytes(self.array()?)),
            _ => Err(Malformed::Expected("a floating-point number")),
        }
    }

    pub(crate) fn bytes(&mut self) -> Decoded<Bytes> {
        let range = self.bytes_range()?;
        Ok(self.packet.slice(range))
    }

    /// Bytes with their sums, if those were computed on the way.
    pub(crate) fn data(&mut self) -> Decoded<(Bytes, Option<Sums>)> {
        let range = self.bytes_range()?;
        let known = self.known.sums.iter().find(|(start, _)| *start == range.start);
        Ok((self.packet.slice(range), known.map(|(_, sums)| *sums)))
    }

    /// A list of oids; a long one was checked on the way.
    pub(crate) fn oids(&mut self) -> Decoded<Oids> {
        let count = self.array_header()?;
        let start = self.position;
        let items = self.take(count * OID_LENGTH).map_err(|_| Malformed::Expected(AN_OID))?;
        if self.known.oids.binary_search(&start).is_err() {
            let (items, _) = items.as_chunks::<OID_LENGTH>();
            if !items.iter().all(|item| item.starts_with(&OID_HEAD)) {
                return Err(Malformed::Expected(AN_OID));
            }
        }
        // A few are copied, so that they do not keep the memory that was read to.
        Ok(Oids::from_wire(match items.len() < SHARED_LENGTH_MIN {
            true => Bytes::copy_from_slice(items),
            false => self.packet.slice(start..self.position),
        }))
    }

    pub(crate) fn fixed_bytes<const N: usize>(&mut self, what: &'static str) -> Decoded<[u8; N]> {
        let range = self.bytes_range().map_err(|_| Malformed::Expected(what))?;
        self.packet[range].try_into().map_err(|_| Malformed::Expected(what))
    }

    pub(crate) fn text(&mut self) -> Decoded<String> {
        let length = match self.byte()? {
            byte @ 0xa0..=0xbf => usize::from(byte & 0x1f),
            0xd9 => usize::from(self.byte()?),
            0xda => usize::from(u16::from_be_bytes(self.array()?)),
            0xdb => to_length(u32::from_be_bytes(self.array()?)),
            _ => return Err(Malformed::Expected("text")),
        };
        utf8(self.take(length)?)
    }

    /// Bytes that are UTF-8.
    pub(crate) fn name(&mut self) -> Decoded<String> {
        let range = self.bytes_range()?;
        utf8(&self.packet[range])
    }

    pub(crate) fn array_header(&mut self) -> Decoded<usize> {
        let length = match self.byte()? {
            byte @ 0x90..=0x9f => usize::from(byte & 0x0f),
            0xdc => usize::from(u16::from_be_bytes(self.array()?)),
            0xdd => to_length(u32::from_be_bytes(self.array()?)),
            _ => return Err(Malformed::Expected("a list")),
        };
        self.check_count(length, 1)
    }

    pub(crate) fn array_header_of(&mut self, length: usize) -> Decoded<()> {
        match self.array_header()? == length {
            true => Ok(()),
            false => Err(Malformed::Expected("another number of fields")),
        }
    }

    pub(crate) fn map_header(&mut self) -> Decoded<usize> {
        let length = match self.byte()? {
            byte @ 0x80..=0x8f => usize::from(byte & 0x0f),
            0xde => usize::from(u16::from_be_bytes(self.array()?)),
            0xdf => to_length(u32::from_be_bytes(self.array()?)),
            _ => return Err(Malformed::Expected("a map")),
        };
        self.check_count(length, 2)
    }

    /// The type and data of an extension.
    pub(crate) fn extension(&mut self) -> Decoded<(i8, Bytes)> {
        let length = match self.byte()? {
            0xd4 => 1,
            0xd5 => 2,
            0xd6 => 4,
            0xd7 => 8,
            0xd8 => 16,
            0xc7 => usize::from(self.byte()?),
            0xc8 => usize::from(u16::from_be_bytes(self.array()?)),
            0xc9 => to_length(u32::from_be_bytes(self.array()?)),
            _ => return Err(Malformed::Expected("an item of an enum")),
        };
        let kind = i8::from_be_bytes(self.array()?);
        let start = self.position;
        self.take(length)?;
        Ok((kind, self.packet.slice(start..start + length)))
    }

    fn bytes_range(&mut self) -> Decoded<std::ops::Range<usize>> {
        let length = match self.byte()? {
            0xc4 => usize::from(self.byte()?),
            0xc5 => usize::from(u16::from_be_bytes(self.array()?)),
            0xc6 => to_length(u32::from_be_bytes(self.array()?)),
            _ => return Err(Malformed::Expected("a string of bytes")),
        };
        let start = self.position;
        self.take(length)?;
        Ok(start..start + length)
    }

    /// Each item takes bytes: a list cannot be longer than what is left.
    fn check_count(&self, length: usize, bytes_an_item: usize) -> Decoded<usize> {
        if length > LIST_LENGTH_MAX {
            let (given, limit) = (length as u64, LIST_LENGTH_MAX as u64);
            return Err(Malformed::TooLong { what: "a list", given, limit });
        }
        match length <= self.remaining() / bytes_an_item {
            true => Ok(length),
            false => Err(Malformed::Expected("more items")),
        }
    }

    fn byte(&mut self) -> Decoded<u8> {
        let byte = self.peek()?;
        self.position += 1;
        Ok(byte)
    }

    fn array<const N: usize>(&mut self) -> Decoded<[u8; N]> {
        let bytes = self.take(N)?;
        Ok(bytes.try_into().expect("as many as asked for"))
    }

    fn take(&mut self, length: usize) -> Decoded<&'a [u8]> {
        if length > self.remaining() {
            return Err(Malformed::Expected("more bytes"));
        }
        let start = self.position;
        self.position += length;
        Ok(&self.packet[start..self.position])
    }
}

fn to_length(length: u32) -> usize {
    usize::try_from(length).expect("addresses have at least 32 bits")
}

fn utf8(bytes: &[u8]) -> Decoded<String> {
    let text = std::str::from_utf8(bytes).map_err(|_| Malformed::Expected("UTF-8"))?;
    Ok(text.to_owned())
}
