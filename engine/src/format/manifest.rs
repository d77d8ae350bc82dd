//! Edits of the manifest, and the file that says that all is closed.

use model::{PartitionId, Tid, Ttid};

use super::codec::{Decoded, Put, Take, length_u32, malformed};
use super::group::Position;
use super::item::Location;
use super::metadata::MetadataEdit;

/// Length of what begins each edit.
pub(crate) const EDIT_HEADER_LENGTH: usize = 16;

/// What a run is sorted by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub(crate) enum Order {
    /// Objects by (partition, oid, newest first).
    Objects = 1,
    /// Objects by (partition, tid, oid).
    ByTid = 2,
    /// Transactions by (partition, tid).
    Transactions = 3,
}

impl Order {
    pub(crate) const ALL: [Order; 3] = [Order::Objects, Order::ByTid, Order::Transactions];

    pub(crate) fn from_code(code: u32) -> Decoded<Self> {
        Ok(match code {
            1 => Order::Objects,
            2 => Order::ByTid,
            3 => Order::Transactions,
            _ => return malformed("the order of a run"),
        })
    }
}

/// What the manifest knows of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RunSummary {
    pub(crate) number: u32,
    pub(crate) order: Order,
    pub(crate) level: u8,
    pub(crate) items: u64,
    pub(crate) tombstones: u64,
    pub(crate) length: u64,
    pub(crate) tid_min: u64,
    pub(crate) tid_max: u64,
    pub(crate) seq_min: u64,
    pub(crate) seq_max: u64,
}

/// Something that hides all earlier items that it covers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Intent {
    /// All that is above a tid.
    Truncate { tid: Tid, seq: u64 },
    /// All of a partition. Objects stored before `position` by transactions that were open then
    /// went with it.
    Drop { partition: PartitionId, seq: u64, position: Position },
}

impl Intent {
    /// It hides items with a lower sequence number.
    pub(crate) fn seq(&self) -> u64 {
        match self {
            Intent::Truncate { seq, .. } | Intent::Drop { seq, .. } => *seq,
        }
    }
}

/// A transaction that was voted, and not unlocked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct InDoubt {
    pub(crate) ttid: Ttid,
    pub(crate) vote: Location,
    pub(crate) tid: Option<Tid>,
}

/// From where the log is replayed, and all that it will not tell.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Checkpoint {
    pub(crate) replay: Position,
    pub(crate) group_sequence: u64,
    pub(crate) next_seq: u64,
    pub(crate) durable: Position,
    pub(crate) garbage_bytes: u64,
    pub(crate) intents: Vec<Intent>,
    pub(crate) metadata: Vec<MetadataEdit>,
    pub(crate) in_doubt: Vec<InDoubt>,
}

/// A change of the manifest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Change {
    RunAdded(RunSummary),
    RunRemoved { number: u32 },
    SegmentOpened { number: u32 },
    SegmentClosed { number: u32, length: u64 },
    SegmentRemoved { number: u32 },
    Checkpoint(Checkpoint),
}

/// The bytes of one edit. Its checksum starts from `chain`: the header's seed for the first edit
/// of a file, then the checksum of the edit before.
pub(crate) fn encode_edit(changes: &[Change], sequence: u64, chain: u32) -> Vec<u8> {
    let mut out = vec![0; EDIT_HEADER_LENGTH];
    out[8..16].copy_from_slice(&sequence.to_le_bytes());
    for change in changes {
        match change {
            Change::RunAdded(run) => put_run(&mut out, run),
            Change::RunRemoved { number } => {
                out.put_u8(2);
                out.put_u32(*number);
            }
            Change::SegmentClosed { number, length } => {
                out.put_u8(3);
                out.put_u32(*number);
                out.put_u64(*length);
            }
            Change::SegmentRemoved { number } => {
                out.put_u8(4);
                out.put_u32(*number);
            }
            Change::SegmentOpened { number } => {
                out.put_u8(6);
                out.put_u32(*number);
            }
            Change::Checkpoint(checkpoint) => {
                out.put_u8(5);
                put_checkpoint(&mut out, checkpoint);
            }
        }
    }
    let body_length = length_u32(out.len() - EDIT_HEADER_LENGTH);
    out[4..8].copy_from_slice(&body_length.to_le_bytes());
    let crc = crc32c::crc32c_append(chain, &out[4..]);
    out[..4].copy_from_slice(&crc.to_le_bytes());
    out
}

/// The edit at the front of `bytes`: sequence number, changes, length.
pub(crate) fn decode_edit(bytes: &[u8], chain: u32) -> Decoded<(u64, Vec<Change>, usize)> {
    let mut take = Take::new(bytes);
    let crc = take.u32()?;
    let body_length = take.u32()? as usize;
    let length = EDIT_HEADER_LENGTH + body_length;
    let Some(covered) = bytes.get(4..length) else {
        return malformed("a whole manifest edit");
    };
    if crc32c::crc32c_append(chain, covered) != crc {
        return malformed("the checksum of a manifest edit");
    }
    let sequence = take.u64()?;
    let mut body = Take::new(&bytes[EDIT_HEADER_LENGTH..length]);
    let mut changes = Vec::new();
    while body.remaining() > 0 {
        changes.push(match body.u8()? {
            1 => Change::RunAdded(take_run(&mut body)?),
            2 => Change::RunRemoved { number: body.u32()? },
            3 => Change::SegmentClosed { number: body.u32()?, length: body.u64()? },
            4 => Change::SegmentRemoved { number: body.u32()? },
            5 => Change::Checkpoint(take_checkpoint(&mut body)?),
            6 => Change::SegmentOpened { number: body.u32()? },
            _ => return malformed("a known change of the manifest"),
        });
    }
    Ok((sequence, changes, length))
}

fn put_run(out: &mut Vec<u8>, run: &RunSummary) {
    out.put_u8(1);
    out.put_u32(run.number);
    out.put_u8(run.order as u8);
    out.put_u8(run.level);
    for number in
        [run.items, run.tombstones, run.length, run.tid_min, run.tid_max, run.seq_min, run.seq_max]
    {
        out.put_u64(number);
    }
}

fn take_run(take: &mut Take<'_>) -> Decoded<RunSummary> {
    Ok(RunSummary {
        number: take.u32()?,
        order: Order::from_code(u32::from(take.u8()?))?,
        level: take.u8()?,
        items: take.u64()?,
        tombstones: take.u64()?,
        length: take.u64()?,
        tid_min: take.u64()?,
        tid_max: take.u64()?,
        seq_min: take.u64()?,
        seq_max: take.u64()?,
    })
}

fn put_position(out: &mut Vec<u8>, position: Position) {
    out.put_u32(position.segment);
    out.put_u64(position.offset);
}

fn take_position(take: &mut Take<'_>) -> Decoded<Position> {
    Ok(Position { segment: take.u32()?, offset: take.u64()? })
}

fn put_checkpoint(out: &mut Vec<u8>, checkpoint: &Checkpoint) {
    put_position(out, checkpoint.replay);
    out.put_u64(checkpoint.group_sequence);
    out.put_u64(checkpoint.next_seq);
    put_position(out, checkpoint.durable);
    out.put_u64(checkpoint.garbage_bytes);
    out.put_u32(length_u32(checkpoint.intents.len()));
    for intent in &checkpoint.intents {
        match intent {
            Intent::Truncate { tid, seq } => {
                out.put_u8(0);
                out.put_u64(tid.get());
                out.put_u64(*seq);
                put_position(out, Position::default());
            }
            Intent::Drop { partition, seq, position } => {
                out.put_u8(1);
                out.put_u64(u64::from(partition.get()));
                out.put_u64(*seq);
                put_position(out, *position);
            }
        }
    }
    MetadataEdit::encode_list(&checkpoint.metadata, out);
    out.put_u32(length_u32(checkpoint.in_doubt.len()));
    for in_doubt in &checkpoint.in_doubt {
        out.put_u64(in_doubt.ttid.get());
        out.put_u32(in_doubt.vote.file);
        out.put_u32(in_doubt.vote.length);
        out.put_u64(in_doubt.vote.offset);
        out.put_u8(u8::from(in_doubt.tid.is_some()));
        out.put_u64(in_doubt.tid.unwrap_or_default().get());
    }
}

fn take_checkpoint(take: &mut Take<'_>) -> Decoded<Checkpoint> {
    let mut checkpoint = Checkpoint {
        replay: take_position(take)?,
        group_sequence: take.u64()?,
        next_seq: take.u64()?,
        durable: take_position(take)?,
        garbage_bytes: take.u64()?,
        ..Checkpoint::default()
    };
    for _ in 0..take.count(29)? {
        let (kind, value, seq) = (take.u8()?, take.u64()?, take.u64()?);
        let position = take_position(take)?;
        checkpoint.intents.push(match kind {
            0 => Intent::Truncate { tid: Tid::new(value), seq },
            1 => {
                let partition = u32::try_from(value).or(malformed("a partition"))?;
                Intent::Drop { partition: PartitionId::new(partition), seq, position }
            }
            _ => return malformed("a known intent"),
        });
    }
    checkpoint.metadata = MetadataEdit::take_list(take)?;
    for _ in 0..take.count(33)? {
        let ttid = Ttid::new(take.u64()?);
        let vote = Location { file: take.u32()?, length: take.u32()?, offset: take.u64()? };
        let locked = take.u8()? != 0;
        let tid = Tid::new(take.u64()?);
        checkpoint.in_doubt.push(InDoubt { ttid, vote, tid: locked.then_some(tid) });
    }
    Ok(checkpoint)
}

/// What the file `closed` says, after its header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Closed {
    pub(crate) manifest_sequence: u64,
    pub(crate) manifest_length: u64,
    pub(crate) log_end: Position,
    pub(crate) group_sequence: u64,
}

impl Closed {
    pub(crate) fn encode(&self, seed: u32) -> Vec<u8> {
        let mut out = Vec::new();
        out.put_u64(self.manifest_sequence);
        out.put_u64(self.manifest_length);
        put_position(&mut out, self.log_end);
        out.put_u64(self.group_sequence);
        let crc = crc32c::crc32c_append(seed, &out);
        out.put_u32(crc);
        out
    }

    pub(crate) fn decode(bytes: &[u8], seed: u32) -> Decoded<Self> {
        let mut take = Take::new(bytes);
        let closed = Self {
            manifest_sequence: take.u64()?,
            manifest_length: take.u64()?,
            log_end: take_position(&mut take)?,
            group_sequence: take.u64()?,
        };
        let covered = bytes.len() - take.remaining();
        let crc = take.u32()?;
        take.end()?;
        if crc != crc32c::crc32c_append(seed, &bytes[..covered]) {
            return malformed("the checksum of the file `closed`");
        }
        Ok(closed)
    }
}
