//! The 64 bytes that begin every file, and the seed of its checksums.

use super::codec::{Put, Take};
use crate::error::{Error, Result};

/// The only version there is so far.
pub(crate) const VERSION: u32 = 1;
/// Length of the header of every file.
pub(crate) const HEADER_LENGTH: usize = 64;

const MAGIC: [u8; 8] = *b"NEOLITH\0";

/// Random identity of a database, in all of its files.
pub type DatabaseId = [u8; 16];

/// What a file is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FileKind {
    Log = 1,
    Manifest = 2,
    Run = 3,
    Closed = 4,
}

/// The first bytes of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FileHeader {
    pub(crate) kind: FileKind,
    pub(crate) database: DatabaseId,
    pub(crate) number: u32,
    pub(crate) epoch: u32,
}

impl FileHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_LENGTH);
        bytes.extend_from_slice(&MAGIC);
        bytes.put_u32(self.kind as u32);
        bytes.put_u32(VERSION);
        bytes.extend_from_slice(&self.database);
        bytes.put_u32(self.number);
        bytes.put_u32(self.epoch);
        bytes.resize(HEADER_LENGTH - 4, 0);
        bytes.put_u32(crc32c::crc32c(&bytes));
        bytes
    }

    /// Reads the header of a file that should be of `kind`. A file too short to hold one, or with
    /// none, is `Damaged` at offset 0.
    pub(crate) fn decode(bytes: &[u8], kind: FileKind, file: &str) -> Result<Self> {
        let damaged = |offset, expected| Error::Damaged { file: file.to_owned(), offset, expected };
        let Some(bytes) = bytes.first_chunk::<HEADER_LENGTH>() else {
            return Err(damaged(0, "a file header of 64 bytes"));
        };
        let mut take = Take::new(bytes);
        let mut read = || -> super::codec::Decoded<_> {
            let magic = take.array::<8>()?;
            Ok((magic, take.u32()?, take.u32()?, take.array::<16>()?, take.u32()?, take.u32()?))
        };
        let Ok((magic, found_kind, version, database, number, epoch)) = read() else {
            return Err(damaged(0, "a file header of 64 bytes"));
        };
        if magic != MAGIC {
            return Err(damaged(0, "the magic of a Neolith file"));
        }
        let [.., a, b, c, d] = *bytes;
        if crc32c::crc32c(&bytes[..HEADER_LENGTH - 4]) != u32::from_le_bytes([a, b, c, d]) {
            return Err(damaged(60, "the checksum of the file header"));
        }
        if version > VERSION {
            let file = file.to_owned();
            return Err(Error::NewerFormat { file, found: version, known: VERSION });
        }
        if version != VERSION || found_kind != kind as u32 {
            return Err(damaged(8, "the kind and version of this file"));
        }
        Ok(Self { kind, database, number, epoch })
    }

    /// What the checksums of this file start from.
    pub(crate) fn seed(&self) -> u32 {
        let mut bytes = self.database.to_vec();
        bytes.put_u32(self.number);
        bytes.put_u32(self.epoch);
        crc32c::crc32c(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_flip_is_found() {
        let header = FileHeader { kind: FileKind::Run, database: [7; 16], number: 3, epoch: 9 };
        let bytes = header.encode();
        assert_eq!(FileHeader::decode(&bytes, FileKind::Run, "f").ok(), Some(header));
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x10;
            assert!(FileHeader::decode(&flipped, FileKind::Run, "f").is_err(), "byte {at}");
        }
    }

    #[test]
    fn newer_formats_are_refused() {
        let header = FileHeader { kind: FileKind::Log, database: [7; 16], number: 3, epoch: 9 };
        let mut bytes = header.encode();
        bytes[12] = 2;
        let crc = crc32c::crc32c(&bytes[..60]).to_le_bytes();
        bytes[60..].copy_from_slice(&crc);
        let error = FileHeader::decode(&bytes, FileKind::Log, "log-1").unwrap_err();
        assert!(matches!(error, Error::NewerFormat { found: 2, known: 1, .. }));
    }
}
