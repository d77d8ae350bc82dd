//! The vote: locks are taken, what others committed is looked for, and conflicts are resolved.

use engine::{BODY_LENGTH_MAX, NewestTidLookup};
use model::{Oid, Tid};

use super::locks::Hold;
use super::open::Embedded;
use super::shared::Promise;
use super::transaction::{EmbeddedTransaction, Kind, Phase};
use super::writer::Command;
use crate::error::Error;
use crate::request::{Conflict, Metadata};
use crate::session::resolve;

/// Bytes of a transaction's metadata, as the engine limits them.
const METADATA_LENGTH_MAX: usize = BODY_LENGTH_MAX / 4;

/// Space that a byte may take: what does not fit at the end of a log segment goes into the next.
const SPACE_RATIO: u64 = 2;

impl EmbeddedTransaction {
    /// Finds out whether it can be committed. Returns the objects of which conflicts were resolved.
    ///
    /// What is much is made durable now. The rest is when it is finished, with one sync; space for
    /// it is looked for now.
    ///
    /// # Errors
    /// [`Error::Conflict`], [`Error::ReadConflict`], [`Error::Limit`], [`Error::Closed`], or of the
    /// disk.
    pub fn vote(&mut self, metadata: Metadata) -> Result<Vec<Oid>, Error> {
        self.check_phase()?;
        self.try_vote(metadata).inspect_err(|_| self.end())
    }

    fn try_vote(&mut self, metadata: Metadata) -> Result<Vec<Oid>, Error> {
        let Metadata { user, description, extension } = &metadata;
        let given = user.len() + description.len() + extension.len();
        if given > METADATA_LENGTH_MAX {
            let what = "bytes of a transaction's metadata";
            let (given, limit) = (given as u64, METADATA_LENGTH_MAX as u64);
            return Err(Error::Limit { what, given, limit });
        }
        let hold = |kind| if kind == Kind::Check { Hold::Shared } else { Hold::Exclusive };
        let wanted = self.writes.iter().map(|(oid, write)| (*oid, hold(write.kind))).collect();
        let claim = self.embedded.shared.common.locks.claim(wanted);
        let claim = claim.ok_or_else(|| self.embedded.shared.ended())?;
        let mut resolved = Vec::new();
        for (oid, newest) in self.find_conflicts()? {
            self.settle_conflict(oid, newest)?;
            resolved.push(oid);
        }
        let given = given as u64;
        let mut space = self.embedded.promise_space(self.bytes_to_write() + given)?;
        if self.is_appended {
            let (ttid, (objects, bytes)) = (self.ttid, self.take_held());
            self.embedded.shared.common.backlog.take(bytes);
            self.embedded.ask(|reply| Command::Flush { ttid, objects, bytes, reply })?;
            space.lower(SPACE_RATIO * (self.bytes_to_write() + given));
        }
        self.phase = Phase::Voted(claim, metadata, space);
        Ok(resolved)
    }

    /// Objects of which there is another revision than the one that was built upon or read. As they
    /// are locked, and locks are given back when what was committed is told of, all are seen.
    fn find_conflicts(&self) -> Result<Vec<(Oid, Tid)>, Error> {
        let (snapshot, _) = self.embedded.view()?;
        let mut found = Vec::new();
        for (oid, write) in &self.writes {
            let partition = self.embedded.partition_of(*oid);
            let lookup = NewestTidLookup::new(snapshot.clone(), partition, *oid);
            let newest = self.embedded.look_up(Some(*oid), lookup)?;
            let newest = newest.filter(|newest| *newest != write.serial);
            found.extend(newest.map(|newest| (*oid, newest)));
        }
        Ok(found)
    }

    fn settle_conflict(&mut self, oid: Oid, conflict_serial: Tid) -> Result<(), Error> {
        let Some(write) = self.writes.get(&oid) else { unreachable!("it has the conflict") };
        let (kind, serial, data_serial) = (write.kind, write.serial, write.data_serial);
        if kind == Kind::Check {
            return Err(Error::ReadConflict { oid, serial, conflict_serial });
        }
        // What is based on a revision that is not there yet cannot be merged with one that is.
        let can_resolve = self.resolver.is_some() && conflict_serial > serial;
        let data = if can_resolve { self.own_data(oid)? } else { None };
        let conflict = Conflict {
            ttid: self.ttid,
            oid,
            serial,
            conflict_serial,
            conflict_data: None,
            data,
            data_serial,
        };
        let merged = if can_resolve { self.merge(&conflict)? } else { None };
        let merged = merged.ok_or(Error::Conflict { oid, serial, conflict_serial })?;
        let data = self.embedded.payload(merged);
        self.put(oid, conflict_serial, Some(data), None)
    }

    /// What the resolver makes of both revisions.
    pub(super) fn merge(&mut self, conflict: &Conflict) -> Result<Option<bytes::Bytes>, Error> {
        let embedded = &self.embedded;
        let load = |serial| embedded.load_at(conflict.oid, serial);
        resolve(load, self.resolver.as_mut(), conflict)
    }
}

impl Embedded {
    /// Refuses a vote, or data before it, while there is so little space that finishing might find
    /// none, with all that others have voted for.
    pub(super) fn promise_space(&self, bytes: u64) -> Result<Promise, Error> {
        let path = &self.shared.common.path;
        let disk = self.shared.disk.upgrade().ok_or_else(|| self.shared.ended())?;
        // What is finished meanwhile is counted twice rather than not at all.
        let (promise, promised) = Promise::make(&self.shared.common, SPACE_RATIO * bytes);
        let free = disk.free_bytes().map_err(|error| Error::Storage {
            text: format!("{path}: cannot measure free space: {error}"),
        })?;
        match free < self.shared.free_bytes_min + promised {
            true => Err(Error::Storage { text: format!("{path}: no space left to write") }),
            false => Ok(promise),
        }
    }
}
