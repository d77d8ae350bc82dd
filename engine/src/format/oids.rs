//! Long lists of oids, encoded piece by piece.

use bytes::Bytes;
use model::Oid;

/// The oids of a transaction as they are written with its metadata, for lists that are too long to
/// be encoded at once on a thread that others wait for.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct EncodedOids {
    bytes: Vec<u8>,
    crc: u32,
}

/// The same when it is complete.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SealedOids {
    pub(crate) bytes: Bytes,
    pub(crate) crc: u32,
}

impl EncodedOids {
    /// An empty list with space for so many.
    pub fn with_capacity(count: usize) -> Self {
        Self { bytes: Vec::with_capacity(8 * count), crc: 0 }
    }

    /// Adds oids behind the others.
    pub fn extend(&mut self, oids: impl Iterator<Item = Oid>) {
        let start = self.bytes.len();
        for oid in oids {
            self.bytes.extend_from_slice(&oid.get().to_le_bytes());
        }
        self.crc = crc32c::crc32c_append(self.crc, &self.bytes[start..]);
    }

    pub(crate) fn seal(self) -> SealedOids {
        SealedOids { bytes: self.bytes.into(), crc: self.crc }
    }
}

impl SealedOids {
    pub(crate) fn count(&self) -> usize {
        self.bytes.len() / 8
    }
}

impl std::fmt::Debug for EncodedOids {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} oids", self.bytes.len() / 8)
    }
}
