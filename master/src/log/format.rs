//! The bytes of the log's files. docs/format.md says the same.

use bytes::Bytes;

use super::codec::{Reader, Writer};
use super::command::Command;
use super::consensus::{EntryKind, Position, Record};
use super::{codec, remembered::Remembered};

/// Names of the two files, which take turns.
pub(super) const NAMES: [&str; 2] = ["master-0", "master-1"];
/// Length of the head of a file, where records begin.
pub(super) const HEADER_LENGTH: usize = 64;
/// Length of the head of a record.
pub(super) const RECORD_HEADER_LENGTH: usize = 24;
/// Records begin at multiples of this.
pub(super) const ALIGNMENT: usize = 8;
/// The only version there is.
pub(super) const VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"NEOLITH\0";
const KIND: u32 = 6;
/// The only role of members in the agreement that there is so far.
const VOTER: u8 = 1;
/// The only kind of entries that there is so far.
const NORMAL: u8 = 0;
/// No index or term gets that far.
const PLACE_MAX: u64 = 1 << 62;
/// A record of the greatest table there may be is far below.
const BODY_LENGTH_MAX: usize = 1 << 30;

/// Whether a file is the one to read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    /// It is, unless the other one is current as well, and of a lower generation.
    Current,
    /// It is not: the other one was durable when this was written.
    Superseded,
}

/// The head of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    /// Random, the same in both files.
    pub(super) id: [u8; 16],
    /// Which of the files.
    pub(super) number: u32,
    pub(super) role: Role,
    /// One more each time that the files take turns.
    pub(super) generation: u64,
    /// Raft's id of this voter, random.
    pub(super) voter: u64,
}

/// Why a head is not understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum BadHeader {
    /// It is none, or damaged.
    Invalid,
    /// Of a later version.
    Newer(u32),
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER_LENGTH] {
        let mut out = Writer::default();
        out.0.extend_from_slice(&MAGIC);
        out.u32(KIND);
        out.u32(VERSION);
        out.0.extend_from_slice(&self.id);
        out.u32(self.number);
        out.u32(match self.role {
            Role::Current => 1,
            Role::Superseded => 2,
        });
        out.u64(self.generation);
        out.u64(self.voter);
        out.u32(0);
        out.u32(crc32c::crc32c(&out.0));
        out.0.try_into().expect("the fields have the length of a head")
    }

    /// Which of two files, as an index.
    pub(super) fn index(&self) -> usize {
        usize::from(self.number != 0)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, BadHeader> {
        let header = bytes.get(..HEADER_LENGTH).ok_or(BadHeader::Invalid)?;
        let (covered, checksum) = header.split_at(HEADER_LENGTH - 4);
        let is_whole = crc32c::crc32c(covered).to_le_bytes() == checksum;
        if !is_whole || covered[..8] != MAGIC {
            return Err(BadHeader::Invalid);
        }
        let mut input = Reader(&covered[8..]);
        let mut read = || {
            let (kind, version) = (input.u32()?, input.u32()?);
            if kind == KIND && version > VERSION {
                return Some(Err(BadHeader::Newer(version)));
            }
            let (id, number) = (input.array()?, input.u32()?);
            let role = match input.u32()? {
                1 => Role::Current,
                2 => Role::Superseded,
                _ => return None,
            };
            let (generation, voter) = (input.u64()?, input.u64()?);
            let is_valid = kind == KIND && version == VERSION && input.u32()? == 0;
            is_valid.then_some(Ok(Self { id, number, role, generation, voter }))
        };
        read().unwrap_or(Err(BadHeader::Invalid))
    }

    /// The head of a record that begins at an offset, and the record behind it.
    pub(super) fn encode_record(&self, offset: u64, durable_up_to: u64, body: &Body) -> Vec<u8> {
        let mut rest = Writer::default();
        let (kind, bytes) = body.encode();
        assert!(bytes.len() <= BODY_LENGTH_MAX, "records of the log are small");
        rest.u32(u32::try_from(bytes.len()).expect("it was just compared"));
        rest.u32(kind);
        rest.u32(0);
        rest.u64(durable_up_to);
        rest.0.extend_from_slice(&bytes);
        rest.0.resize((rest.0.len() + 4).next_multiple_of(ALIGNMENT) - 4, 0);
        let mut out = Writer::default();
        out.u32(crc32c::crc32c_append(self.seed(offset), &rest.0));
        out.0.extend_from_slice(&rest.0);
        out.0
    }

    /// The record that begins at an offset; `None` if there is none that was written there.
    pub(super) fn frame<'a>(&self, file: &'a [u8], offset: usize) -> Option<Frame<'a>> {
        let record = file.get(offset..)?;
        let mut input = Reader(record);
        let checksum = input.u32()?;
        let length = usize::try_from(input.u32()?).ok()?;
        let (kind, zero) = (input.u32()?, input.u32()?);
        let durable_up_to = input.u64()?;
        let whole =
            RECORD_HEADER_LENGTH.checked_add(length)?.checked_next_multiple_of(ALIGNMENT)?;
        let covered = record.get(4..whole)?;
        let seed = self.seed(u64::try_from(offset).ok()?);
        if crc32c::crc32c_append(seed, covered) != checksum {
            return None;
        }
        let (body, padding) = record[RECORD_HEADER_LENGTH..whole].split_at(length);
        let is_tidy = zero == 0 && padding.iter().all(|byte| *byte == 0);
        Some(Frame { kind, body, durable_up_to, end: offset + whole, is_tidy })
    }

    /// What checksums of records start from: a record of another file, generation or place never
    /// validates.
    fn seed(&self, offset: u64) -> u32 {
        let seed = crc32c::crc32c(&self.id);
        let seed = crc32c::crc32c_append(seed, &self.generation.to_le_bytes());
        crc32c::crc32c_append(seed, &offset.to_le_bytes())
    }
}

/// A record whose checksum is right.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    kind: u32,
    body: &'a [u8],
    /// What it says of what was durable.
    pub(super) durable_up_to: u64,
    /// Where it ends.
    pub(super) end: usize,
    /// Whether what has to be zero is.
    is_tidy: bool,
}

impl Frame<'_> {
    /// What it holds.
    ///
    /// # Errors
    /// If it is not understood, although it was written like this.
    pub(super) fn decode(&self) -> Result<Body, &'static str> {
        let body = Body::decode(self.kind, self.body).filter(|_| self.is_tidy);
        body.ok_or("a record that is not understood")
    }
}

/// What a record holds.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Body {
    /// All that came before. The first record of each file.
    Snapshot(Position, Box<Remembered>),
    /// Something that the consensus needs.
    Consensus(Record),
    /// Nothing: it only testifies that what is before it was durable.
    Witness,
}

impl Body {
    fn encode(&self) -> (u32, Vec<u8>) {
        let mut out = Writer::default();
        let kind = match self {
            Self::Snapshot(position, remembered) => {
                out.u64(position.index);
                out.u64(position.term);
                out.u64(position.vote_term);
                out.u64(position.vote);
                out.count(position.voters.len());
                for voter in &position.voters {
                    out.u64(*voter);
                    out.u8(VOTER);
                }
                for command in remembered.commands() {
                    out.bytes(&codec::encode(&command));
                }
                1
            }
            Self::Consensus(Record::Entry { index, term, kind: EntryKind::Normal, data }) => {
                out.u64(*index);
                out.u64(*term);
                out.u8(NORMAL);
                out.0.extend_from_slice(data);
                2
            }
            Self::Consensus(Record::Vote { term, vote }) => {
                out.u64(*term);
                out.u64(*vote);
                3
            }
            Self::Witness => 4,
        };
        (kind, out.0)
    }

    fn decode(kind: u32, bytes: &[u8]) -> Option<Self> {
        let mut input = Reader(bytes);
        match kind {
            1 => {
                let position = Position {
                    index: input.u64()?,
                    term: input.u64()?,
                    vote_term: input.u64()?,
                    vote: input.u64()?,
                    voters: input.list(|input| {
                        let voter = input.u64()?;
                        (input.u8()? == VOTER).then_some(voter)
                    })?,
                };
                if position.term > position.vote_term
                    || position.index.max(position.vote_term) > PLACE_MAX
                {
                    return None;
                }
                let mut remembered = Remembered::default();
                while !input.0.is_empty() {
                    let command: Command = codec::decode(input.bytes()?)?;
                    remembered.apply(&command).ok()?;
                }
                Some(Self::Snapshot(position, Box::new(remembered)))
            }
            2 => {
                let (index, term) = (input.u64()?, input.u64()?);
                let kind = (input.u8()? == NORMAL).then_some(EntryKind::Normal)?;
                let data = Bytes::copy_from_slice(input.0);
                Some(Self::Consensus(Record::Entry { index, term, kind, data }))
            }
            3 => {
                let (term, vote) = (input.u64()?, input.u64()?);
                let record = Record::Vote { term, vote };
                let is_possible = term <= PLACE_MAX && input.0.is_empty();
                is_possible.then_some(Self::Consensus(record))
            }
            4 => input.0.is_empty().then_some(Self::Witness),
            _ => None,
        }
    }
}
