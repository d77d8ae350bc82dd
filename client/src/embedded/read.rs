//! Reading, and what else is no part of a transaction. Everything is read by the thread that asks.
//!
//! What is later than the last tid is not seen, though it may be in the engine's snapshot: the last
//! tid is read before that is taken, so that everything up to it is in there.

use engine::{
    Compression, HistoryLookup, LoadLookup, LoadResult, Lookup, Snapshot, TransactionLookup, When,
};
use model::{Oid, PartitionId, Tid};
use net::Data;

use super::failure;
use super::open::Embedded;
use crate::error::Error;
use crate::load::following;
use crate::payload::Payload;
use crate::request::{Metadata, Object, Revision, TransactionInformation};

/// Revisions of a history that are looked up at once.
const HISTORY_PAGE: usize = 512;

impl Embedded {
    /// Loads the newest revision that is not later than the last tid.
    ///
    /// # Errors
    /// [`Error::NoSuchObject`], [`Error::NoSuchRevision`], [`Error::Unreadable`],
    /// [`Error::Storage`], [`Error::Closed`].
    pub fn load(&self, oid: Oid) -> Result<Object, Error> {
        self.load_revision(oid, Revision::Newest)
    }

    /// Loads the newest revision before a tid.
    ///
    /// # Errors
    /// Like [`Embedded::load`].
    pub fn load_before(&self, oid: Oid, tid: Tid) -> Result<Object, Error> {
        self.load_revision(oid, Revision::Before(tid))
    }

    /// Loads one revision.
    ///
    /// # Errors
    /// Like [`Embedded::load`].
    pub fn load_at(&self, oid: Oid, tid: Tid) -> Result<Object, Error> {
        self.load_revision(oid, Revision::At(tid))
    }

    /// Loads a revision.
    ///
    /// # Errors
    /// Like [`Embedded::load`].
    pub fn load_revision(&self, oid: Oid, revision: Revision) -> Result<Object, Error> {
        let (snapshot, last_tid) = self.view()?;
        let newest = When::Before(following(last_tid));
        let when = match revision {
            Revision::Newest => When::Newest,
            Revision::At(tid) if tid > last_tid => newest,
            Revision::At(tid) => When::At(tid),
            Revision::Before(tid) => When::Before(tid.min(following(last_tid))),
        };
        let mut found = self.look_up_load(snapshot.clone(), oid, when)?;
        let tid = match &found {
            LoadResult::Revision(revision) => Some(revision.tid),
            LoadResult::Deleted { tid, .. } => Some(*tid),
            LoadResult::NoRevision | LoadResult::NoSuchOid => None,
        };
        if when == When::Newest && tid > Some(last_tid) {
            found = self.look_up_load(snapshot, oid, newest)?;
        }
        if matches!(revision, Revision::At(tid) if tid > last_tid) && found != LoadResult::NoSuchOid
        {
            found = LoadResult::NoRevision;
        }
        to_object(oid, revision, found)
    }

    /// At most `count` revisions of an object, newest first, with the lengths of their data as it
    /// is kept.
    ///
    /// # Errors
    /// [`Error::NoSuchObject`], or of the disk.
    pub fn history(&self, oid: Oid, count: u64) -> Result<Vec<(Tid, u64)>, Error> {
        self.history_before(oid, None, count)
    }

    /// The same, of revisions below a tid: for who sees the database as it was.
    ///
    /// # Errors
    /// Like [`Embedded::history`].
    pub fn history_before(
        &self,
        oid: Oid,
        before: Option<Tid>,
        count: u64,
    ) -> Result<Vec<(Tid, u64)>, Error> {
        let (snapshot, last_tid) = self.view()?;
        let before = before.map_or(following(last_tid), |tid| tid.min(following(last_tid)));
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let partition = self.partition_of(oid);
        let (mut found, mut first) = (Vec::new(), 0);
        while found.len() < count {
            let lookup =
                HistoryLookup::new(snapshot.clone(), partition, oid, first, first + HISTORY_PAGE);
            let page = self.look_up(Some(oid), lookup)?;
            first += page.len();
            let seen = page.iter().filter(|entry| entry.tid < before);
            let seen = seen.map(|entry| (entry.tid, u64::from(entry.size)));
            found.extend(seen.take(count - found.len()));
            if page.len() < HISTORY_PAGE {
                break;
            }
        }
        match found.is_empty() && count > 0 {
            true => Err(Error::NoSuchObject { oid }),
            false => Ok(found),
        }
    }

    /// Metadata of a transaction.
    ///
    /// # Errors
    /// [`Error::NoSuchTransaction`], or of the disk.
    pub fn transaction(&self, tid: Tid) -> Result<TransactionInformation, Error> {
        let (snapshot, last_tid) = self.view()?;
        let found = match tid <= last_tid {
            true => self.information(snapshot, tid)?,
            false => None,
        };
        found.ok_or(Error::NoSuchTransaction { tid })
    }

    /// The engine's state, and the last tid that may be seen in it.
    pub(super) fn view(&self) -> Result<(Snapshot, Tid), Error> {
        self.shared.common.check_open()?;
        let last_tid = self.last_tid();
        Ok((self.shared.reader.snapshot(), last_tid))
    }

    pub(super) fn partition_of(&self, oid: Oid) -> PartitionId {
        self.shared.common.partitions.of_oid(oid)
    }

    /// Carries out a lookup, about an object if one is told.
    pub(super) fn look_up<L: Lookup>(
        &self,
        oid: Option<Oid>,
        lookup: L,
    ) -> Result<L::Output, Error> {
        self.shared.reader.run(lookup).map_err(|error| failure::of_read(oid, &error))
    }

    /// What iterates reads each revision once: it is not kept.
    pub(super) fn load_in_passing(
        &self,
        snapshot: Snapshot,
        oid: Oid,
        tid: Tid,
    ) -> Result<Object, Error> {
        let lookup = LoadLookup::new(snapshot, self.partition_of(oid), oid, When::At(tid));
        let found = self.look_up(Some(oid), lookup.in_passing())?;
        to_object(oid, Revision::At(tid), found)
    }

    pub(super) fn information(
        &self,
        snapshot: Snapshot,
        tid: Tid,
    ) -> Result<Option<TransactionInformation>, Error> {
        let partition = self.shared.common.partitions.of_tid(tid);
        let found = self.look_up(None, TransactionLookup::new(snapshot, partition, tid))?;
        Ok(found.map(|found| TransactionInformation {
            tid,
            metadata: Metadata {
                user: found.user,
                description: found.description,
                extension: found.extension,
            },
            packed: found.packed,
            oids: found.oids,
        }))
    }

    fn look_up_load(&self, snapshot: Snapshot, oid: Oid, when: When) -> Result<LoadResult, Error> {
        let lookup = LoadLookup::new(snapshot, self.partition_of(oid), oid, when);
        self.look_up(Some(oid), lookup)
    }
}

/// Data as the engine has it.
pub(super) fn to_payload(compression: Compression, data: bytes::Bytes) -> Payload {
    let compression = match compression {
        Compression::None => 0,
        Compression::Zlib => 1,
    };
    Payload { compression, data: Data::new(data) }
}

fn to_object(oid: Oid, revision: Revision, found: LoadResult) -> Result<Object, Error> {
    match found {
        LoadResult::Revision(found) => Ok(Object {
            oid,
            serial: found.tid,
            next_serial: found.next_tid,
            data: Some(to_payload(found.compression, found.data)),
            data_serial: found.data_tid,
        }),
        LoadResult::Deleted { tid, next_tid, data_tid } => Ok(Object {
            oid,
            serial: tid,
            next_serial: next_tid,
            data: None,
            data_serial: data_tid,
        }),
        LoadResult::NoRevision => Err(Error::NoSuchRevision { oid, revision }),
        LoadResult::NoSuchOid => Err(Error::NoSuchObject { oid }),
    }
}
