//! What is kept of one object.

use std::cell::Cell;

use bytes::Bytes;
use model::{Oid, Tid};
use net::Data;

use super::flights::End;
use crate::payload::Payload;
use crate::request::{Object, Revision};

/// Revisions that are kept besides the newest. Whoever sees the database as it was asks for them,
/// and few do for long; but an object that is kept is kept with all of them. Each one more costs
/// about one load in a hundred.
const OLDER_MAX: usize = 1;
/// Data up to this length is copied, so as not to keep a whole buffer of the network for it: up to
/// 64 KiB are received in one piece, whatever becomes of most of it.
const COPIED_LENGTH_MAX: usize = 32 << 10;
/// Bytes that data takes besides its own: the counter of those who have it, and what the allocator
/// adds to each.
const DATA_OVERHEAD: u64 = 48;

/// What is kept of one object: at least one revision, and for which tids each is the answer.
///
/// Invariants: serials descend; no range reaches beyond the serial of the next newer revision, as
/// far as that is not later than what the cache was told of. Ranges that are open may overlap with
/// revisions that the cache was not told of yet: there may be others between them.
#[derive(Clone)]
pub(super) struct Revisions {
    /// Apart from the others, as most objects have no other: it takes no memory of its own.
    newest: Kept,
    older: Vec<Kept>,
}

/// One revision. Without the sums that its data may have come with: they were checked.
#[derive(Clone)]
struct Kept {
    serial: Tid,
    /// Where its range ends, if it is not open.
    next_serial: Option<Tid>,
    data_serial: Option<Tid>,
    data: Option<KeptData>,
}

#[derive(Clone)]
struct KeptData {
    compression: u8,
    /// It was found here, and inflated by who did. Only the second time it is kept like that, as
    /// much is asked for once, above all what was loaded ahead.
    was_inflated: Cell<bool>,
    bytes: Bytes,
}

impl KeptData {
    /// Whether somebody inflated it before who does now.
    fn is_inflated_again(&self) -> bool {
        self.compression != 0 && self.was_inflated.replace(true)
    }
}

impl Revisions {
    /// What to keep of the first revision of an object; `None` if nothing can be told of it.
    pub(super) fn new(object: &Object, end: End) -> Option<Self> {
        Some(Self { newest: Kept::new(object, end)?, older: Vec::new() })
    }

    /// Adds a revision, or what is newly known of it.
    pub(super) fn put(&mut self, object: &Object, end: End, known_before: Tid) {
        let Some(kept) = Kept::new(object, end) else { return };
        if let Some(same) = self.iter_mut().find(|other| other.serial == kept.serial) {
            // Both are true, so the one that says more is.
            let ends = same.next_serial.into_iter().chain(kept.next_serial);
            let plain = same.data.take().filter(|data| data.compression == 0);
            *same = Kept { next_serial: ends.min(), data: plain.or(kept.data), ..kept };
        } else {
            self.insert(kept);
        }
        self.close_by_known(known_before);
        self.invariants();
    }

    /// The same, with data of a revision without compression, if it is here with compression.
    pub(super) fn inflated(&self, serial: Tid, plain: &Bytes) -> Option<Self> {
        let mut inflated = self.clone();
        let same = inflated.iter_mut().find(|kept| kept.serial == serial)?;
        let data = same.data.as_mut().filter(|data| data.compression != 0)?;
        (data.compression, data.bytes) = (0, plain.clone());
        Some(inflated)
    }

    /// The answer to a load, if it is here.
    pub(super) fn find(&self, oid: Oid, revision: Revision, known_before: Tid) -> Option<Object> {
        self.answer(revision, known_before).map(|kept| kept.to_object(oid))
    }

    /// The same for somebody who inflates it; and whether it is worthwhile to keep it like that.
    pub(super) fn find_to_inflate(
        &self,
        oid: Oid,
        revision: Revision,
        known_before: Tid,
    ) -> Option<(Object, bool)> {
        let kept = self.answer(revision, known_before)?;
        Some((kept.to_object(oid), kept.data.as_ref().is_some_and(KeptData::is_inflated_again)))
    }

    fn answer(&self, revision: Revision, known_before: Tid) -> Option<&Kept> {
        let before = match revision {
            Revision::At(tid) => return self.iter().find(|kept| kept.serial == tid),
            Revision::Before(tid) => tid,
            Revision::Newest => known_before,
        };
        self.iter()
            .find(|kept| kept.serial < before && before <= kept.next_serial.unwrap_or(known_before))
    }

    /// Takes note that a transaction changed the object: open ranges end with it.
    pub(super) fn invalidate(&mut self, tid: Tid) {
        for kept in self.iter_mut() {
            if kept.next_serial.is_none() && kept.serial < tid {
                kept.next_serial = Some(tid);
            }
        }
    }

    /// Bytes of memory besides those of the value itself.
    pub(super) fn bytes(&self) -> u64 {
        let older = (self.older.capacity() * size_of::<Kept>()) as u64;
        older + self.iter().map(Kept::bytes).sum::<u64>()
    }

    fn iter(&self) -> impl Iterator<Item = &Kept> {
        std::iter::once(&self.newest).chain(&self.older)
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut Kept> {
        std::iter::once(&mut self.newest).chain(&mut self.older)
    }

    /// Adds a revision that is not here. The oldest other one makes place, even for one that is
    /// older still: somebody just asked for it.
    fn insert(&mut self, kept: Kept) {
        if self.older.len() == OLDER_MAX {
            self.older.pop();
        }
        let older = match kept.serial > self.newest.serial {
            true => std::mem::replace(&mut self.newest, kept),
            false => kept,
        };
        self.older.reserve_exact(1);
        let place = self.older.partition_point(|other| other.serial > older.serial);
        self.older.insert(place, older);
    }

    /// Ends open ranges where a newer revision begins of which the cache should have been told.
    /// It is not when a client of NEO/py deletes an object: that is told to nobody.
    fn close_by_known(&mut self, known_before: Tid) {
        let mut newer: Option<Tid> = None;
        for kept in self.iter_mut() {
            if kept.next_serial.is_none() {
                kept.next_serial = newer;
            }
            if kept.serial < known_before {
                newer = Some(kept.serial);
            }
        }
    }

    fn invariants(&self) {
        let serials = self.iter().map(|kept| kept.serial);
        assert!(serials.is_sorted_by(|newer, older| newer > older), "serials descend");
        assert!(self.older.len() <= OLDER_MAX, "few revisions of an object are kept");
        for kept in self.iter() {
            let is_range = kept.next_serial.is_none_or(|next_serial| kept.serial < next_serial);
            assert!(is_range, "a range has a beginning before its end");
        }
    }
}

impl Kept {
    fn new(object: &Object, end: End) -> Option<Self> {
        let next_serial = match end {
            // Not what a sound storage says.
            End::Before(next_serial) if next_serial <= object.serial => return None,
            End::Before(next_serial) => Some(next_serial),
            End::Open => None,
            End::Unknown => return None,
        };
        let data = object.data.as_ref().map(|Payload { compression, data }| {
            let bytes = match data.bytes.len() <= COPIED_LENGTH_MAX {
                true => Bytes::copy_from_slice(&data.bytes),
                false => data.bytes.clone(),
            };
            KeptData { compression: *compression, was_inflated: Cell::new(false), bytes }
        });
        let Object { serial, data_serial, .. } = *object;
        Some(Self { serial, next_serial, data_serial, data })
    }

    fn to_object(&self, oid: Oid) -> Object {
        let data = self.data.as_ref().map(|KeptData { compression, bytes, .. }| Payload {
            compression: *compression,
            data: Data::new(bytes.clone()),
        });
        let Self { serial, next_serial, data_serial, .. } = *self;
        Object { oid, serial, next_serial, data, data_serial }
    }

    fn bytes(&self) -> u64 {
        self.data.as_ref().map_or(0, |data| data.bytes.len() as u64 + DATA_OVERHEAD)
    }
}
