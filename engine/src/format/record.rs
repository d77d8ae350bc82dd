//! Records of the log.

use model::{Oid, PartitionId, Tid, Ttid};

use super::codec::{Decoded, Put, Take, length_u32, malformed};
use super::metadata::MetadataEdit;
use super::oids::SealedOids;
use super::transaction::Transaction;

/// Length of what begins each record.
pub(crate) const RECORD_HEADER_LENGTH: usize = 16;
/// Greatest length of a body: an object of 1 GiB, or a transaction's metadata of as much.
pub const BODY_LENGTH_MAX: usize = (1 << 30) + (1 << 20);

const FLAG_COMMITTED: u8 = 1;
const FLAG_DATA_TID: u8 = 2;
const FLAG_NO_DATA: u8 = 4;
const FLAG_CHECKSUM: u8 = 8;
const FLAG_ZLIB: u8 = 16;
const FLAG_METADATA: u8 = 2;
const FLAG_TRANSACTION: u8 = 1;

/// How the bytes of an object are coded, in the numbers of the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Compression {
    /// As they are.
    #[default]
    None,
    /// A zlib stream.
    Zlib,
}

/// To whom an object record belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ObjectId {
    /// To a transaction that was not committed when the record was written.
    Pending(Ttid),
    /// To a committed transaction.
    Committed { tid: Tid, seq: u64 },
}

/// An object record without its data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ObjectHead {
    pub(crate) partition: PartitionId,
    pub(crate) oid: Oid,
    pub(crate) id: ObjectId,
    pub(crate) data_tid: Option<Tid>,
    pub(crate) checksum: Option<[u8; 20]>,
    pub(crate) compression: Compression,
    pub(crate) no_data: bool,
}

/// Where objects of a transaction are: whole groups of one segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Extent {
    pub(crate) segment: u32,
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// A vote, and with `committed` a whole commit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Vote {
    pub(crate) ttid: Ttid,
    pub(crate) partition: PartitionId,
    pub(crate) committed: Option<(Tid, u64)>,
    pub(crate) transaction: Option<Transaction>,
    /// The oids of the transaction, if they are not in it. Never so in one that was read.
    pub(crate) oids: Option<SealedOids>,
    pub(crate) extents: Vec<Extent>,
    /// Objects of the transaction, those cancelled left out.
    pub(crate) objects: u64,
    /// Objects that were stored and withdrawn again.
    pub(crate) cancelled: Vec<(PartitionId, Oid)>,
}

/// One thing that a delete record hides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Deleted {
    Revision { partition: PartitionId, oid: Oid, tid: Tid },
    Transaction { partition: PartitionId, tid: Tid },
}

/// A decoded record. The data of an object stays where it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Record {
    Object(ObjectHead),
    Vote(Vote),
    Lock { ttid: Ttid, tid: Tid },
    Unlock { ttid: Ttid, tid: Tid, seq: u64 },
    Abort { ttid: Ttid },
    Transaction { partition: PartitionId, tid: Tid, seq: u64, transaction: Transaction },
    Truncate { tid: Tid, seq: u64 },
    Drop { partition: PartitionId, seq: u64 },
    Delete { seq: u64, deleted: Vec<Deleted> },
    Metadata(Vec<MetadataEdit>),
}

impl Record {
    /// The vote and its list of oids, if that comes from somewhere else.
    pub(crate) fn long_vote(&self) -> Option<(&Vote, &SealedOids)> {
        match self {
            Self::Vote(vote) => Some((vote, vote.oids.as_ref()?)),
            _ => None,
        }
    }
}

/// A record whose checksums were verified.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawRecord<'a> {
    kind: u8,
    flags: u8,
    head: &'a [u8],
    body: &'a [u8],
    length: usize,
}

impl<'a> RawRecord<'a> {
    /// The whole length of the record that begins with these bytes, before anything is verified.
    pub(crate) fn length_of(header: &[u8; RECORD_HEADER_LENGTH]) -> Decoded<usize> {
        let mut take = Take::new(&header[6..]);
        let head_length = usize::from(take.u16()?);
        let body_length = take.u32()? as usize;
        if body_length > BODY_LENGTH_MAX {
            return malformed("a record within its limit");
        }
        Ok(RECORD_HEADER_LENGTH + head_length + body_length)
    }

    /// Verifies the record at the front of `bytes`.
    pub(crate) fn parse(bytes: &'a [u8], seed: u32) -> Decoded<Self> {
        let (raw, body_crc) = Self::parse_head(bytes, seed)?;
        let body_start = RECORD_HEADER_LENGTH + raw.head.len();
        let Some(body) = bytes.get(body_start..raw.length) else {
            return malformed("the whole body of a record");
        };
        if crc32c::crc32c_append(seed, body) != body_crc {
            return malformed("the checksum of a record's body");
        }
        Ok(Self { body, ..raw })
    }

    /// Verifies all but the body, which is left empty; also gives the body's checksum.
    pub(crate) fn parse_head(bytes: &'a [u8], seed: u32) -> Decoded<(Self, u32)> {
        let Some(header) = bytes.first_chunk::<RECORD_HEADER_LENGTH>() else {
            return malformed("a record header of 16 bytes");
        };
        let length = Self::length_of(header)?;
        let mut take = Take::new(header);
        let (crc, kind, flags) = (take.u32()?, take.u8()?, take.u8()?);
        let head_end = RECORD_HEADER_LENGTH + usize::from(take.u16()?);
        let (_, body_crc) = (take.u32()?, take.u32()?);
        let Some(covered) = bytes.get(4..head_end) else {
            return malformed("the whole head of a record");
        };
        if crc32c::crc32c_append(seed, covered) != crc {
            return malformed("the checksum of a record's head");
        }
        let head = &bytes[RECORD_HEADER_LENGTH..head_end];
        Ok((Self { kind, flags, head, body: &[], length }, body_crc))
    }

    /// Whether it is an object: then the body is data, and not decoded.
    pub(crate) fn is_object(&self) -> bool {
        self.kind == 1
    }

    /// Bytes of the whole record.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// Bytes of the body, also where it was not parsed.
    pub(crate) fn body_length(&self) -> usize {
        self.length - RECORD_HEADER_LENGTH - self.head.len()
    }

    /// What the record says.
    pub(crate) fn decode(&self) -> Decoded<Record> {
        let mut head = Take::new(self.head);
        let record = match self.kind {
            1 => Record::Object(self.object(&mut head)?),
            2 => Record::Vote(self.vote(&mut head)?),
            3 => Record::Lock { ttid: ttid(&mut head)?, tid: tid(&mut head)? },
            4 => Record::Unlock { ttid: ttid(&mut head)?, tid: tid(&mut head)?, seq: head.u64()? },
            5 => Record::Abort { ttid: ttid(&mut head)? },
            6 => {
                let (partition, tid, seq) = (partition(&mut head)?, tid(&mut head)?, head.u64()?);
                let mut body = Take::new(self.body);
                let transaction = Transaction::decode(&mut body)?;
                body.end()?;
                Record::Transaction { partition, tid, seq, transaction }
            }
            7 => Record::Truncate { tid: tid(&mut head)?, seq: head.u64()? },
            8 => Record::Drop { partition: partition(&mut head)?, seq: head.u64()? },
            9 => Record::Delete { seq: head.u64()?, deleted: self.deleted()? },
            10 => Record::Metadata(MetadataEdit::decode_list(self.body)?),
            _ => return malformed("a known kind of record"),
        };
        head.end()?;
        Ok(record)
    }

    fn object(&self, head: &mut Take<'_>) -> Decoded<ObjectHead> {
        let partition = partition(head)?;
        let oid = Oid::new(head.u64()?);
        let id = if self.flags & FLAG_COMMITTED != 0 {
            ObjectId::Committed { tid: tid(head)?, seq: head.u64()? }
        } else {
            ObjectId::Pending(ttid(head)?)
        };
        let data_tid = match self.flags & FLAG_DATA_TID {
            0 => None,
            _ => Some(tid(head)?),
        };
        let checksum = match self.flags & FLAG_CHECKSUM {
            0 => None,
            _ => Some(head.array()?),
        };
        let compression = match self.flags & FLAG_ZLIB {
            0 => Compression::None,
            _ => Compression::Zlib,
        };
        let no_data = self.flags & FLAG_NO_DATA != 0;
        Ok(ObjectHead { partition, oid, id, data_tid, checksum, compression, no_data })
    }

    fn vote(&self, head: &mut Take<'_>) -> Decoded<Vote> {
        let ttid = ttid(head)?;
        let partition = partition(head)?;
        let committed = match self.flags & FLAG_COMMITTED {
            0 => None,
            _ => Some((tid(head)?, head.u64()?)),
        };
        let mut body = Take::new(self.body);
        let transaction = match self.flags & FLAG_METADATA {
            0 => None,
            _ => Some(Transaction::decode(&mut body)?),
        };
        let count = body.count(20)?;
        let mut extents = Vec::with_capacity(count);
        for _ in 0..count {
            extents.push(Extent { segment: body.u32()?, start: body.u64()?, end: body.u64()? });
        }
        let objects = body.u64()?;
        let count = body.count(12)?;
        let mut cancelled = Vec::with_capacity(count);
        for _ in 0..count {
            cancelled.push((self::partition(&mut body)?, Oid::new(body.u64()?)));
        }
        body.end()?;
        let oids = None;
        Ok(Vote { ttid, partition, committed, transaction, oids, extents, objects, cancelled })
    }

    fn deleted(&self) -> Decoded<Vec<Deleted>> {
        let mut body = Take::new(self.body);
        let mut deleted = Vec::new();
        while body.remaining() > 0 {
            let flags = body.u8()?;
            let partition = partition(&mut body)?;
            deleted.push(if flags & FLAG_TRANSACTION != 0 {
                Deleted::Transaction { partition, tid: tid(&mut body)? }
            } else {
                Deleted::Revision { partition, oid: Oid::new(body.u64()?), tid: tid(&mut body)? }
            });
        }
        Ok(deleted)
    }
}

fn tid(take: &mut Take<'_>) -> Decoded<Tid> {
    Ok(Tid::new(take.u64()?))
}

fn ttid(take: &mut Take<'_>) -> Decoded<Ttid> {
    Ok(Ttid::new(take.u64()?))
}

fn partition(take: &mut Take<'_>) -> Decoded<PartitionId> {
    Ok(PartitionId::new(take.u32()?))
}

/// Appends records to a buffer. Their checksums start from `seed`, which has to be that of the
/// place where the record will stand.
pub(crate) struct RecordEncoder<'a> {
    pub(crate) out: &'a mut Vec<u8>,
    pub(crate) seed: u32,
}

impl RecordEncoder<'_> {
    /// Appends header and head of an object record; its data has to follow.
    pub(crate) fn object_head(&mut self, head: &ObjectHead, data: &[u8], crc: Option<u32>) {
        let mut flags = 0;
        if head.no_data {
            flags |= FLAG_NO_DATA;
        }
        if head.compression == Compression::Zlib {
            flags |= FLAG_ZLIB;
        }
        if head.data_tid.is_some() {
            flags |= FLAG_DATA_TID;
        }
        if head.checksum.is_some() {
            flags |= FLAG_CHECKSUM;
        }
        if matches!(head.id, ObjectId::Committed { .. }) {
            flags |= FLAG_COMMITTED;
        }
        let start = self.begin(1, flags);
        self.out.put_u32(head.partition.get());
        self.out.put_u64(head.oid.get());
        match head.id {
            ObjectId::Pending(ttid) => self.out.put_u64(ttid.get()),
            ObjectId::Committed { tid, seq } => {
                self.out.put_u64(tid.get());
                self.out.put_u64(seq);
            }
        }
        if let Some(tid) = head.data_tid {
            self.out.put_u64(tid.get());
        }
        if let Some(checksum) = head.checksum {
            self.out.extend_from_slice(&checksum);
        }
        self.finish(start, data, crc);
    }

    /// Appends a whole record that is no object.
    pub(crate) fn record(&mut self, record: &Record) {
        let mut body = Vec::new();
        let start = match record {
            Record::Object(_) => unreachable!("objects are written by object_head"),
            Record::Vote(vote) => {
                assert!(vote.oids.is_none(), "long lists are written by long_vote");
                self.vote(vote, &mut body).0
            }
            Record::Lock { ttid, tid } => self.numbers(3, &[ttid.get(), tid.get()]),
            Record::Unlock { ttid, tid, seq } => self.numbers(4, &[ttid.get(), tid.get(), *seq]),
            Record::Abort { ttid } => self.numbers(5, &[ttid.get()]),
            Record::Transaction { partition, tid, seq, transaction } => {
                transaction.encode(&mut body);
                let start = self.begin(6, 0);
                self.out.put_u32(partition.get());
                self.out.put_u64(tid.get());
                self.out.put_u64(*seq);
                start
            }
            Record::Truncate { tid, seq } => self.numbers(7, &[tid.get(), *seq]),
            Record::Drop { partition, seq } => {
                let start = self.begin(8, 0);
                self.out.put_u32(partition.get());
                self.out.put_u64(*seq);
                start
            }
            Record::Delete { seq, deleted } => {
                encode_deleted(deleted, &mut body);
                self.numbers(9, &[*seq])
            }
            Record::Metadata(edits) => {
                MetadataEdit::encode_list(edits, &mut body);
                self.begin(10, 0)
            }
        };
        self.finish(start, &body, None);
        self.out.extend_from_slice(&body);
    }

    /// Appends a vote up to the oids that come from somewhere else. What has to follow them.
    pub(crate) fn long_vote(&mut self, vote: &Vote, oids: &SealedOids) -> Vec<u8> {
        let mut before = Vec::new();
        let (start, place) = self.vote(vote, &mut before);
        let after = before.split_off(place);
        let crc = crc32c::crc32c_append(self.seed, &before);
        let crc = crc32c::crc32c_combine(crc, oids.crc, oids.bytes.len());
        let crc = crc32c::crc32c_append(crc, &after);
        self.seal(start, before.len() + oids.bytes.len() + after.len(), crc);
        self.out.extend_from_slice(&before);
        after
    }

    /// Where the record begins, and where in its body the oids belong.
    fn vote(&mut self, vote: &Vote, body: &mut Vec<u8>) -> (usize, usize) {
        let mut place = 0;
        let mut flags = 0;
        if vote.committed.is_some() {
            flags |= FLAG_COMMITTED;
        }
        if let Some(transaction) = &vote.transaction {
            flags |= FLAG_METADATA;
            place = transaction.encode_around(body, vote.oids.as_ref());
        }
        body.put_u32(length_u32(vote.extents.len()));
        for extent in &vote.extents {
            body.put_u32(extent.segment);
            body.put_u64(extent.start);
            body.put_u64(extent.end);
        }
        body.put_u64(vote.objects);
        body.put_u32(length_u32(vote.cancelled.len()));
        for (partition, oid) in &vote.cancelled {
            body.put_u32(partition.get());
            body.put_u64(oid.get());
        }
        let start = self.begin(2, flags);
        self.out.put_u64(vote.ttid.get());
        self.out.put_u32(vote.partition.get());
        if let Some((tid, seq)) = vote.committed {
            self.out.put_u64(tid.get());
            self.out.put_u64(seq);
        }
        (start, place)
    }

    fn numbers(&mut self, kind: u8, numbers: &[u64]) -> usize {
        let start = self.begin(kind, 0);
        for &number in numbers {
            self.out.put_u64(number);
        }
        start
    }

    fn begin(&mut self, kind: u8, flags: u8) -> usize {
        let start = self.out.len();
        self.out.put_u32(0);
        self.out.put_u8(kind);
        self.out.put_u8(flags);
        self.out.extend_from_slice(&[0; RECORD_HEADER_LENGTH - 6]);
        start
    }

    /// `crc` is that of the body alone, if it is known.
    fn finish(&mut self, start: usize, body: &[u8], crc: Option<u32>) {
        debug_assert!(crc.is_none_or(|crc| crc == crc32c::crc32c(body)), "it is that of the body");
        let body_crc = match crc {
            Some(crc) => crc32c::crc32c_combine(self.seed, crc, body.len()),
            None => crc32c::crc32c_append(self.seed, body),
        };
        self.seal(start, body.len(), body_crc);
    }

    fn seal(&mut self, start: usize, body_length: usize, body_crc: u32) {
        let head_length = self.out.len() - start - RECORD_HEADER_LENGTH;
        let head_length = u16::try_from(head_length).expect("heads are at most 68 bytes");
        assert!(body_length <= BODY_LENGTH_MAX, "bodies are bounded where they enter the engine");
        let bytes = &mut self.out[start..];
        bytes[6..8].copy_from_slice(&head_length.to_le_bytes());
        bytes[8..12].copy_from_slice(&length_u32(body_length).to_le_bytes());
        bytes[12..16].copy_from_slice(&body_crc.to_le_bytes());
        let crc = crc32c::crc32c_append(self.seed, &bytes[4..]);
        bytes[..4].copy_from_slice(&crc.to_le_bytes());
    }
}

fn encode_deleted(deleted: &[Deleted], body: &mut Vec<u8>) {
    for one in deleted {
        match one {
            Deleted::Revision { partition, oid, tid } => {
                body.put_u8(0);
                body.put_u32(partition.get());
                body.put_u64(oid.get());
                body.put_u64(tid.get());
            }
            Deleted::Transaction { partition, tid } => {
                body.put_u8(FLAG_TRANSACTION);
                body.put_u32(partition.get());
                body.put_u64(tid.get());
            }
        }
    }
}
