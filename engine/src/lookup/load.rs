//! Loading one revision.

use bytes::Bytes;
use model::{Oid, PartitionId, Tid};
use sha1::Digest;

use super::{Blocks, Find, Keep, Lookup, ObjectRecord, Scope, Source, Step, ready};
use crate::database::ObjectData;
use crate::error::Result;
use crate::format::{
    Compression, Item, Key, Location, Malformed, ObjectHead, Order, RawRecord, Record,
};
use crate::version::{Segment, Snapshot};

/// Which revision to load.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// The newest.
    Newest,
    /// Exactly that of a transaction.
    At(Tid),
    /// The greatest tid strictly below.
    Before(Tid),
}

/// A revision of an object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Revision {
    /// The transaction that wrote it.
    pub tid: Tid,
    /// The transaction that wrote the next one, if there is one.
    pub next_tid: Option<Tid>,
    /// How `data` is coded.
    pub compression: Compression,
    /// The data.
    pub data: Bytes,
    /// NEO's label of an undo: the revision whose data this one repeats.
    pub data_tid: Option<Tid>,
    checksum: Option<[u8; 20]>,
}

impl Revision {
    /// SHA-1 of `data`: as it was given when stored, or computed now.
    pub fn checksum(&self) -> [u8; 20] {
        self.checksum.unwrap_or_else(|| sha1::Sha1::digest(&self.data).into())
    }
}

/// What a load found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LoadResult {
    /// A revision with data.
    Revision(Revision),
    /// A revision that says that the object does not exist: a deletion, or a creation undone.
    Deleted {
        /// The transaction that wrote it.
        tid: Tid,
        /// The transaction that wrote the next one, if there is one.
        next_tid: Option<Tid>,
        /// NEO's label of an undo.
        data_tid: Option<Tid>,
    },
    /// The object has revisions, but none that was asked for.
    NoRevision,
    /// The object has no revision at all.
    NoSuchOid,
}

/// Loads one revision. At most one block of each run that may hold it is read, and its record.
#[derive(Debug)]
pub struct LoadLookup {
    snapshot: Snapshot,
    partition: PartitionId,
    oid: Oid,
    when: When,
    find: Find,
    found: Option<(Item, Option<Tid>)>,
    /// Boxed, as few records are so long.
    long: Option<Box<LongRecord>>,
    /// Whether the checksum of long data is wanted where none is kept.
    sums: bool,
    keep: Keep,
}

fn find(partition: PartitionId, oid: Oid, when: When) -> Find {
    let (a, b) = (partition.get(), oid.get());
    match when {
        When::Newest => Find::at(Order::Objects, Scope::Column, Key::first(a, b, 0)),
        When::At(tid) => Find::both(Order::Objects, Scope::Column, Key::first(a, b, !tid.get())),
        When::Before(tid) => {
            // Behind all items of this tid: those with lower ones.
            let key = Key { a, b, c: !tid.get(), seq: 0 };
            Find::both(Order::Objects, Scope::Column, key)
        }
    }
}

impl LoadLookup {
    /// Loads from a snapshot.
    pub fn new(snapshot: Snapshot, partition: PartitionId, oid: Oid, when: When) -> Self {
        let find = find(partition, oid, when);
        let (found, long, sums, keep) = (None, None, false, Keep::Yes);
        Self { snapshot, partition, oid, when, find, found, long, sums, keep }
    }

    /// Has the checksum computed meanwhile if the data is long and none is kept with it: for event
    /// loops, which have no time for it at once.
    #[must_use]
    pub fn with_checksum(mut self) -> Self {
        self.sums = true;
        self
    }

    /// For who reads much in passing: what it reads is not kept in memory for others.
    #[must_use]
    pub fn in_passing(mut self) -> Self {
        self.keep = Keep::No;
        self
    }

    fn go_on(&mut self, source: &mut dyn Source) -> Result<Step<LoadResult>> {
        if self.found.is_none() {
            let found = ready!(self.find.step(&self.snapshot, source)?);
            let next_tid = found.before.map(|item| Tid::new(!item.key.c));
            let item = match (self.when, found.at) {
                (When::At(tid), Some(item)) if !item.key.c != tid.get() => {
                    return Ok(Step::Done(LoadResult::NoRevision));
                }
                (_, Some(item)) => item,
                (_, None) if next_tid.is_some() => {
                    return Ok(Step::Done(LoadResult::NoRevision));
                }
                (_, None) => return Ok(Step::Done(LoadResult::NoSuchOid)),
            };
            if item.flags.has_no_data() {
                return Ok(Step::Done(LoadResult::Deleted {
                    tid: Tid::new(!item.key.c),
                    next_tid,
                    data_tid: item.extra.map(Tid::new),
                }));
            }
            self.found = Some((item, next_tid));
        }
        let Some((item, next_tid)) = self.found else { unreachable!("just set") };
        self.read(&item, next_tid, source)
    }

    fn read(
        &mut self,
        item: &Item,
        next_tid: Option<Tid>,
        source: &mut dyn Source,
    ) -> Result<Step<LoadResult>> {
        let Some(location) = item.location else { unreachable!("objects have locations") };
        let id = (self.partition, self.oid);
        let (snapshot, how) = (&self.snapshot, (self.keep, self.sums));
        let record = object_in_slices(snapshot, &location, id, how, &mut self.long, source)?;
        let ObjectRecord { head, data } = ready!(record);
        Ok(Step::Done(LoadResult::Revision(Revision {
            tid: Tid::new(!item.key.c),
            next_tid,
            compression: head.compression,
            data,
            data_tid: head.data_tid,
            checksum: head.checksum,
        })))
    }
}

/// Records up to this length are verified at once: that takes some tens of microseconds. Longer
/// ones are in slices of it, half a millisecond each if they are summed up as well.
const LENGTH_AT_ONCE_MAX: usize = 256 << 10;

/// A long record of which the head is verified, and the body so far.
#[derive(Debug)]
struct LongRecord {
    head: ObjectHead,
    data: Bytes,
    verified: usize,
    /// Of what is verified.
    crc: u32,
    /// What it has to be in the end.
    body_crc: u32,
    sum: Option<sha1::Sha1>,
}

impl LongRecord {
    fn new(
        segment: &Segment,
        offset: u64,
        bytes: &Bytes,
        identity: (PartitionId, Oid),
    ) -> Result<Self> {
        let seed = segment.record_seed(offset);
        let (raw, body_crc) = segment.sound(RawRecord::parse_head(bytes, seed), offset)?;
        let head = object_head(segment, &raw, offset, identity)?;
        if bytes.len() < raw.length() {
            let expected = "the whole body of a record";
            return Err(segment.damaged(offset, Malformed { expected }));
        }
        let data = bytes.slice(raw.length() - raw.body_length()..raw.length());
        Ok(Self { head, data, verified: 0, crc: seed, body_crc, sum: None })
    }

    /// Also computes the checksum of the data, if none is kept and one is wanted.
    fn summing(mut self, is_wanted: bool) -> Self {
        self.sum = (is_wanted && self.head.checksum.is_none()).then(sha1::Sha1::default);
        self
    }

    /// Verifies the next slice. True at the end.
    fn verify(&mut self, segment: &Segment, offset: u64) -> Result<bool> {
        let end = self.data.len().min(self.verified + LENGTH_AT_ONCE_MAX);
        let slice = &self.data[self.verified..end];
        self.crc = crc32c::crc32c_append(self.crc, slice);
        if let Some(sum) = &mut self.sum {
            sum.update(slice);
        }
        self.verified = end;
        if end < self.data.len() {
            return Ok(false);
        }
        match self.crc == self.body_crc {
            true => Ok(true),
            false => {
                let expected = "the checksum of a record's body";
                Err(segment.damaged(offset, Malformed { expected }))
            }
        }
    }

    fn head(&mut self) -> ObjectHead {
        let sum = self.sum.take().map(|sum| sum.finalize().into());
        ObjectHead { checksum: self.head.checksum.or(sum), ..self.head.clone() }
    }
}

impl Lookup for LoadLookup {
    type Output = LoadResult;

    fn step(&mut self, blocks: &mut Blocks<'_>) -> Result<Step<LoadResult>> {
        let source = &mut *blocks.0;
        self.go_on(source)
    }
}

/// Which revision a load is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RevisionTids {
    /// The transaction that wrote it.
    pub tid: Tid,
    /// The transaction that wrote the next one, if there is one.
    pub next_tid: Option<Tid>,
}

/// Which revision a load would give, `None` if none. Its record is not read, so that this can be
/// told of one that is damaged.
#[derive(Debug)]
pub struct TidsOfLoadLookup {
    snapshot: Snapshot,
    when: When,
    find: Find,
}

impl TidsOfLoadLookup {
    /// Looks in a snapshot.
    pub fn new(snapshot: Snapshot, partition: PartitionId, oid: Oid, when: When) -> Self {
        Self { snapshot, when, find: find(partition, oid, when) }
    }
}

impl Lookup for TidsOfLoadLookup {
    type Output = Option<RevisionTids>;

    fn step(&mut self, blocks: &mut Blocks<'_>) -> Result<Step<Option<RevisionTids>>> {
        let found = ready!(self.find.step(&self.snapshot, &mut *blocks.0)?);
        let tid = found.at.map(|item| Tid::new(!item.key.c));
        let tid = tid.filter(|tid| !matches!(self.when, When::At(wanted) if wanted != *tid));
        let next_tid = found.before.map(|item| Tid::new(!item.key.c));
        Ok(Step::Done(tid.map(|tid| RevisionTids { tid, next_tid })))
    }
}

/// The tid of the newest revision of an object, `None` if there is none. Its record is not read.
#[derive(Debug)]
pub struct NewestTidLookup {
    snapshot: Snapshot,
    find: Find,
}

impl NewestTidLookup {
    /// Looks in a snapshot.
    pub fn new(snapshot: Snapshot, partition: PartitionId, oid: Oid) -> Self {
        let key = Key::first(partition.get(), oid.get(), 0);
        Self { snapshot, find: Find::at(Order::Objects, Scope::Column, key) }
    }
}

impl Lookup for NewestTidLookup {
    type Output = Option<Tid>;

    fn step(&mut self, blocks: &mut Blocks<'_>) -> Result<Step<Option<Tid>>> {
        let found = ready!(self.find.step(&self.snapshot, &mut *blocks.0)?);
        Ok(Step::Done(found.at.map(|item| Tid::new(!item.key.c))))
    }
}

/// Reads back what an open transaction has stored: how it is coded and the data, `None` without
/// data. Made by [`crate::Engine::stored`].
#[derive(Debug)]
pub struct StoredLookup {
    snapshot: Snapshot,
    partition: PartitionId,
    oid: Oid,
    location: Option<Location>,
    long: Option<Box<LongRecord>>,
}

impl StoredLookup {
    pub(crate) fn new(
        snapshot: Snapshot,
        partition: PartitionId,
        oid: Oid,
        location: Option<Location>,
    ) -> Self {
        Self { snapshot, partition, oid, location, long: None }
    }
}

impl Lookup for StoredLookup {
    type Output = Option<ObjectData>;

    fn step(&mut self, blocks: &mut Blocks<'_>) -> Result<Step<Self::Output>> {
        let Some(location) = self.location else { return Ok(Step::Done(None)) };
        let (id, how) = ((self.partition, self.oid), (Keep::No, true));
        let (snapshot, long) = (&self.snapshot, &mut self.long);
        let record = ready!(object_in_slices(snapshot, &location, id, how, long, blocks.0)?);
        let ObjectRecord { head, data } = record;
        let checksum = head.checksum.unwrap_or_else(|| sha1::Sha1::digest(&data).into());
        Ok(Step::Done((!head.no_data).then_some(ObjectData {
            compression: head.compression,
            checksum: Some(checksum),
            crc: None,
            data: Some(data),
            data_tid: head.data_tid,
        })))
    }
}

/// What is missing where a record is whole, and of another object.
const OTHER: &str = "the object that the index names";

/// The record at a place, which has to be of that object: a long one is verified in slices, and
/// summed up if that is wanted and nothing is kept.
fn object_in_slices(
    snapshot: &Snapshot,
    location: &Location,
    id: (PartitionId, Oid),
    (keep, sums): (Keep, bool),
    long: &mut Option<Box<LongRecord>>,
    source: &mut dyn Source,
) -> Result<Step<ObjectRecord>> {
    match long {
        Some(long) => {
            let segment = snapshot.segment(location.file)?;
            if !long.verify(segment, location.offset)? {
                return Ok(Step::Pause);
            }
            Ok(Step::Done(ObjectRecord { head: long.head(), data: long.data.clone() }))
        }
        None if location.length as usize > LENGTH_AT_ONCE_MAX => {
            let segment = snapshot.segment(location.file)?;
            let bytes = ready!(source.record(segment, location.offset, location.length)?);
            let new = LongRecord::new(segment, location.offset, &bytes, id)?;
            *long = Some(Box::new(new.summing(sums)));
            Ok(Step::Pause)
        }
        None => object(snapshot, location, id, keep, source),
    }
}

/// The record at a place, which has to be of that object.
fn object(
    snapshot: &Snapshot,
    location: &Location,
    id: (PartitionId, Oid),
    keep: Keep,
    source: &mut dyn Source,
) -> Result<Step<ObjectRecord>> {
    let segment = snapshot.segment(location.file)?;
    let record = ready!(source.object(segment, location, keep)?);
    if (record.head.partition, record.head.oid) != id {
        return Err(segment.damaged(location.offset, Malformed { expected: OTHER }));
    }
    Ok(Step::Done(record))
}

/// The head of a long record, which has to be of that object.
fn object_head(
    segment: &Segment,
    raw: &RawRecord<'_>,
    offset: u64,
    id: (PartitionId, Oid),
) -> Result<ObjectHead> {
    match segment.sound(raw.decode(), offset)? {
        Record::Object(head) if (head.partition, head.oid) == id => Ok(head),
        _ => Err(segment.damaged(offset, Malformed { expected: OTHER })),
    }
}
