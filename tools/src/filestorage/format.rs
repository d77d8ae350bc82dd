//! The bytes of headers, as [the module](super) describes them, and the words for them.

use std::fmt;

use model::{Oid, Tid};

/// Position of the first transaction: behind the magic.
pub(super) const TRANSACTIONS_START: u64 = 4;

/// The length that follows a transaction once more.
pub(super) const REDUNDANT_LENGTH: u64 = 8;

/// A back pointer, where a record has no data of its own.
pub(super) const BACK_POINTER_LENGTH: u64 = 8;

/// The shortest record: a header and a byte of data.
pub(super) const RECORD_LENGTH_MIN: u64 = RecordHeader::LENGTH + 1;

/// The lowest position that a record can have.
pub(super) const RECORD_POSITION_MIN: u64 = TRANSACTIONS_START + TransactionHeader::LENGTH;

/// The longest data of one object, 1 GiB: it is handed on in one piece, and no storage that it
/// could go to takes more.
pub const DATA_LENGTH_MAX: usize = 1 << 30;

/// Status of a transaction that was voted, but not committed.
pub(super) const STATUS_UNFINISHED: u8 = b'c';

/// Status of a transaction that was undone in place; it does not count.
pub(super) const STATUS_UNDONE: u8 = b'u';

/// An offset in a file, in bytes from its start.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Position(pub(super) u64);

impl Position {
    /// The number of bytes before it.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A number of bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Length(pub(super) u64);

impl Length {
    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Who wrote a file. The format is the same, the pickles in it are not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Python 2: pickles have byte strings that Python 3 does not read as they were meant.
    Fs21,
    /// Python 3.
    Fs30,
}

impl Format {
    /// The first 4 bytes of the file.
    pub const fn magic(self) -> &'static [u8; 4] {
        match self {
            Format::Fs21 => b"FS21",
            Format::Fs30 => b"FS30",
        }
    }

    pub(super) fn from_magic(magic: &[u8]) -> Option<Self> {
        [Format::Fs21, Format::Fs30].into_iter().find(|format| format.magic() == magic)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Fs21 => "FS21",
            Format::Fs30 => "FS30",
        })
    }
}

/// The status of a transaction that counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// Committed, and as it was committed.
    Committed,
    /// A pack removed records from it, or could have: it cannot be undone.
    Packed,
}

impl Status {
    /// The byte in the file.
    pub const fn byte(self) -> u8 {
        match self {
            Status::Committed => b' ',
            Status::Packed => b'p',
        }
    }

    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        [Status::Committed, Status::Packed].into_iter().find(|status| status.byte() == byte)
    }
}

/// What is known of a transaction besides its records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Metadata<'a> {
    /// Its id.
    pub tid: Tid,
    /// Whether it was packed.
    pub status: Status,
    /// Who, usually UTF-8.
    pub user: &'a [u8],
    /// What, usually UTF-8.
    pub description: &'a [u8],
    /// A pickled dictionary, or nothing.
    pub extension: &'a [u8],
}

/// The head of a transaction, decoded and not yet believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TransactionHeader {
    pub(super) tid: Tid,
    /// From the tid to the end of the records.
    pub(super) length: u64,
    pub(super) status: u8,
    pub(super) user_length: u16,
    pub(super) description_length: u16,
    pub(super) extension_length: u16,
}

impl TransactionHeader {
    pub(super) const LENGTH: u64 = 23;

    /// Where `length` is, from the start of the transaction.
    pub(super) const LENGTH_OFFSET: u64 = 8;

    pub(super) fn decode(bytes: &[u8; 23]) -> Self {
        Self {
            tid: Tid::from_be_bytes(array(bytes, 0)),
            length: u64::from_be_bytes(array(bytes, 8)),
            status: bytes[16],
            user_length: u16::from_be_bytes(array(bytes, 17)),
            description_length: u16::from_be_bytes(array(bytes, 19)),
            extension_length: u16::from_be_bytes(array(bytes, 21)),
        }
    }

    pub(super) fn encode(&self) -> [u8; 23] {
        let mut bytes = [0; 23];
        bytes[..8].copy_from_slice(&self.tid.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.length.to_be_bytes());
        bytes[16] = self.status;
        bytes[17..19].copy_from_slice(&self.user_length.to_be_bytes());
        bytes[19..21].copy_from_slice(&self.description_length.to_be_bytes());
        bytes[21..].copy_from_slice(&self.extension_length.to_be_bytes());
        bytes
    }

    pub(super) fn metadata_length(&self) -> u64 {
        u64::from(self.user_length)
            + u64::from(self.description_length)
            + u64::from(self.extension_length)
    }

    /// From the tid to the first record: the least that `length` can be.
    pub(super) fn records_offset(&self) -> u64 {
        Self::LENGTH + self.metadata_length()
    }
}

/// The head of a record, decoded and not yet believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct RecordHeader {
    pub(super) oid: Oid,
    pub(super) tid: Tid,
    pub(super) previous: u64,
    pub(super) transaction: u64,
    /// Zero since ZODB gave up versions.
    pub(super) version_length: u16,
    /// Zero where a back pointer follows.
    pub(super) data_length: u64,
}

impl RecordHeader {
    pub(super) const LENGTH: u64 = 42;

    pub(super) fn decode(bytes: &[u8; 42]) -> Self {
        Self {
            oid: Oid::from_be_bytes(array(bytes, 0)),
            tid: Tid::from_be_bytes(array(bytes, 8)),
            previous: u64::from_be_bytes(array(bytes, 16)),
            transaction: u64::from_be_bytes(array(bytes, 24)),
            version_length: u16::from_be_bytes(array(bytes, 32)),
            data_length: u64::from_be_bytes(array(bytes, 34)),
        }
    }

    pub(super) fn encode(&self) -> [u8; 42] {
        let mut bytes = [0; 42];
        bytes[..8].copy_from_slice(&self.oid.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.tid.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.previous.to_be_bytes());
        bytes[24..32].copy_from_slice(&self.transaction.to_be_bytes());
        bytes[32..34].copy_from_slice(&self.version_length.to_be_bytes());
        bytes[34..].copy_from_slice(&self.data_length.to_be_bytes());
        bytes
    }

    /// Of header and data or back pointer. Cannot be more than 2^64: such a length is none.
    pub(super) fn record_length(&self) -> Option<u64> {
        let rest = if self.data_length == 0 { BACK_POINTER_LENGTH } else { self.data_length };
        rest.checked_add(Self::LENGTH)
    }
}

/// The `N` bytes at an offset of a longer array.
fn array<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[offset..offset + N]);
    array
}
