//! Group headers and positions in the log.

use super::codec::{Decoded, Put, Take, malformed};

/// Length of a group header.
pub(crate) const GROUP_HEADER_LENGTH: usize = 64;
/// The first bytes of a group.
pub(crate) const GROUP_MAGIC: [u8; 4] = *b"NGRP";

/// A place in the log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub struct Position {
    /// Number of the segment.
    pub segment: u32,
    /// Bytes from its start.
    pub offset: u64,
}

/// What begins each group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct GroupHeader {
    pub(crate) sequence: u64,
    pub(crate) payload_length: u64,
    pub(crate) records: u32,
    pub(crate) durable: Position,
    pub(crate) previous: Position,
    pub(crate) manifest_sequence: u64,
}

impl GroupHeader {
    pub(crate) fn encode(&self, seed: u32) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(GROUP_HEADER_LENGTH);
        bytes.extend_from_slice(&GROUP_MAGIC);
        bytes.put_u32(0);
        bytes.put_u64(self.sequence);
        bytes.put_u64(self.payload_length);
        bytes.put_u32(self.records);
        bytes.put_u32(self.durable.segment);
        bytes.put_u64(self.durable.offset);
        bytes.put_u32(self.previous.segment);
        bytes.put_u32(0);
        bytes.put_u64(self.previous.offset);
        bytes.put_u64(self.manifest_sequence);
        let crc = crc32c::crc32c_append(seed, &bytes[8..]);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8], seed: u32) -> Decoded<Self> {
        let Some(bytes) = bytes.first_chunk::<GROUP_HEADER_LENGTH>() else {
            return malformed("a group header of 64 bytes");
        };
        let mut take = Take::new(bytes);
        if take.array::<4>()? != GROUP_MAGIC {
            return malformed("the magic of a group");
        }
        if take.u32()? != crc32c::crc32c_append(seed, &bytes[8..]) {
            return malformed("the checksum of a group header");
        }
        let sequence = take.u64()?;
        let payload_length = take.u64()?;
        let records = take.u32()?;
        let durable = Position { segment: take.u32()?, offset: take.u64()? };
        let segment = take.u32()?;
        if take.u32()? != 0 {
            return malformed("zeros in a group header");
        }
        let previous = Position { segment, offset: take.u64()? };
        let manifest_sequence = take.u64()?;
        Ok(Self { sequence, payload_length, records, durable, previous, manifest_sequence })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_flip_is_found() {
        let header = GroupHeader {
            sequence: 5,
            payload_length: 1000,
            records: 3,
            durable: Position { segment: 1, offset: 64 },
            previous: Position { segment: 1, offset: 128 },
            manifest_sequence: 9,
        };
        let bytes = header.encode(17);
        assert_eq!(GroupHeader::decode(&bytes, 17), Ok(header));
        assert!(GroupHeader::decode(&bytes, 18).is_err());
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            assert!(GroupHeader::decode(&flipped, 17).is_err(), "byte {at}");
        }
    }
}
