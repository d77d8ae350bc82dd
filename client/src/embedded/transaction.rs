//! Transactions: what they store, and how they end.

use std::collections::{BTreeMap, BTreeSet};

use engine::{Compression, ObjectData};
use model::{Oid, Tid, Ttid};

use super::locks::Claim;
use super::open::Embedded;
use super::read::to_payload;
use super::shared::Promise;
use super::writer::{Command, Commit, Stored};
use crate::commit::WRITES_MAX;
use crate::error::Error;
use crate::payload::Payload;
use crate::request::Metadata;
use crate::session::Resolver;

/// Bytes of data that a transaction keeps in memory. What is beyond is given to the engine, which
/// begins to write it.
const BYTES_MAX: u64 = 256 << 10;
/// What an object counts for besides its data.
const OBJECT_COST: u64 = 64;
/// Bytes that an object may have.
const OBJECT_LENGTH_MAX: u64 = 1 << 30;

/// A transaction of an [`Embedded`]. Dropped before it is finished, it is aborted.
///
/// What it stores is compared with what is committed at the vote, when it has locks of its objects:
/// it waits there for others that voted before and have objects in common with it, until they are
/// finished or aborted. After an error it is aborted, except after those that say that a request
/// was out of turn.
pub struct EmbeddedTransaction {
    pub(super) embedded: Embedded,
    pub(super) ttid: Ttid,
    /// The tid that it was begun for.
    tid: Option<Tid>,
    pub(super) resolver: Option<Box<dyn Resolver + Send>>,
    pub(super) phase: Phase,
    pub(super) writes: BTreeMap<Oid, Write>,
    /// The stored objects, in the order in which they were first stored.
    order: Vec<Oid>,
    /// Objects whose data is in memory.
    held: BTreeSet<Oid>,
    /// Bytes of them.
    bytes: u64,
    /// Whether the engine has some of it.
    pub(super) is_appended: bool,
}

/// How far a transaction has come.
pub(super) enum Phase {
    /// It stores and checks.
    Open,
    /// It can be committed: it has its locks, and there is space for it.
    Voted(Claim, Metadata, Promise),
    /// It is committed, or aborted.
    Ended,
}

/// What a transaction does to an object.
pub(super) struct Write {
    pub(super) kind: Kind,
    /// The committed revision that it is based on.
    pub(super) serial: Tid,
    pub(super) data: Held,
    /// Of an undo: the revision whose data it is.
    pub(super) data_serial: Option<Tid>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Store,
    Check,
}

/// Where the data is.
pub(super) enum Held {
    /// Here; `None` to delete the object.
    Memory(Option<Payload>),
    /// The engine has it.
    Engine,
}

impl EmbeddedTransaction {
    pub(super) fn begin(embedded: &Embedded, tid: Option<Tid>) -> Result<Self, Error> {
        embedded.check_writable()?;
        let ttid = embedded.shared.common.ids().begin(net::now().unix, tid)?;
        Ok(Self {
            embedded: embedded.clone(),
            ttid,
            tid,
            resolver: None,
            phase: Phase::Open,
            writes: BTreeMap::new(),
            order: Vec::new(),
            held: BTreeSet::new(),
            bytes: 0,
            is_appended: false,
        })
    }

    /// Its id, until it gets its tid.
    pub fn ttid(&self) -> Ttid {
        self.ttid
    }

    /// Has conflicts resolved from now on.
    pub fn set_resolver(&mut self, resolver: impl Resolver + Send + 'static) {
        self.resolver = Some(Box::new(resolver));
    }

    /// Stores an object that is based on a revision; `Tid::ZERO` for a new one.
    ///
    /// # Errors
    /// [`Error::Limit`], [`Error::TooLarge`], [`Error::AlreadyChecked`], [`Error::Closed`], or of
    /// the disk; conflicts with what the transaction has undone.
    pub fn store(&mut self, oid: Oid, serial: Tid, data: Payload) -> Result<(), Error> {
        let given = data.length() as u64;
        if given > OBJECT_LENGTH_MAX {
            let limit = OBJECT_LENGTH_MAX;
            return Err(Error::Limit { what: "bytes of an object", given, limit });
        }
        if data.compression > 1 {
            return Err(Error::Damaged { compression: data.compression });
        }
        self.write(oid, serial, Some(data))
    }

    /// Deletes an object of which a revision is known.
    ///
    /// # Errors
    /// Like [`EmbeddedTransaction::store`].
    pub fn delete(&mut self, oid: Oid, serial: Tid) -> Result<(), Error> {
        self.write(oid, serial, None)
    }

    /// Checks that a revision is the newest one and stays it until the commit.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Closed`].
    pub fn check_current(&mut self, oid: Oid, serial: Tid) -> Result<(), Error> {
        self.check_phase()?;
        // A store checks as well.
        if self.writes.contains_key(&oid) {
            return Ok(());
        }
        self.check_room(oid)?;
        let (data, data_serial) = (Held::Memory(None), None);
        self.writes.insert(oid, Write { kind: Kind::Check, serial, data, data_serial });
        Ok(())
    }

    /// Commits what was voted.
    ///
    /// # Errors
    /// [`Error::Undecided`] if it may be committed all the same; with all others it is not.
    pub fn finish(mut self) -> Result<Tid, Error> {
        let ttid = self.ttid;
        match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Voted(claim, metadata, _space) => {
                let (objects, _) = self.take_held();
                let oids = std::mem::take(&mut self.order);
                let tid = self.tid;
                let done = self.embedded.ask(|reply| {
                    let commit = Commit { ttid, tid, objects, metadata, oids, claim, reply };
                    Command::Commit(Box::new(commit))
                });
                self.embedded.shared.common.ids().end();
                match done {
                    Err(Error::Storage { text }) if self.embedded.shared.common.is_broken() => {
                        Err(Error::Undecided { ttid, text })
                    }
                    done => done,
                }
            }
            phase => {
                self.phase = phase;
                Err(Error::OutOfTurn { ttid })
            }
        }
    }

    /// Votes and finishes.
    ///
    /// # Errors
    /// Like both.
    pub fn commit(mut self, metadata: Metadata) -> Result<Tid, Error> {
        self.vote(metadata)?;
        self.finish()
    }

    /// Drops the transaction.
    pub fn abort(self) {}

    /// Whether it can still store.
    pub(super) fn check_phase(&self) -> Result<(), Error> {
        let ttid = self.ttid;
        match self.phase {
            Phase::Open => self.embedded.shared.common.check_open(),
            Phase::Voted(..) => Err(Error::OutOfTurn { ttid }),
            Phase::Ended => Err(Error::NotBegun { ttid }),
        }
    }

    fn check_room(&self, oid: Oid) -> Result<(), Error> {
        match self.writes.len() >= WRITES_MAX && !self.writes.contains_key(&oid) {
            true => Err(Error::TooLarge { ttid: self.ttid }),
            false => Ok(()),
        }
    }

    fn write(&mut self, oid: Oid, serial: Tid, data: Option<Payload>) -> Result<(), Error> {
        self.check_phase()?;
        let mut base = serial;
        match self.writes.get(&oid) {
            Some(Write { kind: Kind::Check, .. }) => return Err(Error::AlreadyChecked { oid }),
            // After an undo only the undone revision can be built upon.
            Some(Write { data_serial: Some(undone), serial: before, .. }) => {
                if *undone != serial {
                    let conflict_serial = *undone;
                    self.end();
                    return Err(Error::Conflict { oid, serial, conflict_serial });
                }
                base = *before;
            }
            _ => self.check_room(oid)?,
        }
        self.put(oid, base, data, None)
    }

    /// Takes a store, which replaces an earlier one of the object, and gives the engine what is too
    /// much to be kept.
    pub(super) fn put(
        &mut self,
        oid: Oid,
        serial: Tid,
        data: Option<Payload>,
        data_serial: Option<Tid>,
    ) -> Result<(), Error> {
        self.bytes += cost(data.as_ref());
        let write = Write { kind: Kind::Store, serial, data: Held::Memory(data), data_serial };
        match self.writes.insert(oid, write) {
            Some(Write { data: Held::Memory(before), .. }) => self.bytes -= cost(before.as_ref()),
            Some(Write { data: Held::Engine, .. }) => {}
            None => self.order.push(oid),
        }
        self.held.insert(oid);
        if self.bytes <= BYTES_MAX {
            return Ok(());
        }
        // Not of what others voted for.
        let space = self.embedded.promise_space(self.bytes_to_write());
        let space = space.inspect_err(|_| self.end())?;
        let (ttid, (objects, bytes)) = (self.ttid, self.take_held());
        self.is_appended = true;
        self.embedded.shared.common.backlog.take(bytes);
        let given = self.embedded.shared.command(Command::Append { ttid, objects, bytes, space });
        given.inspect_err(|_| self.end())
    }

    /// Data of an object as the transaction stores it.
    pub(super) fn own_data(&self, oid: Oid) -> Result<Option<Payload>, Error> {
        let Some(write) = self.writes.get(&oid) else { return Ok(None) };
        if let Held::Memory(data) = &write.data {
            return Ok(data.clone());
        }
        let ttid = self.ttid;
        let Some(lookup) = self.embedded.ask(|reply| Command::ReadBack { ttid, oid, reply })?
        else {
            return Ok(None);
        };
        let stored = self.embedded.look_up(Some(oid), lookup)?;
        let payload = |stored: ObjectData| Some(to_payload(stored.compression, stored.data?));
        Ok(stored.and_then(payload))
    }

    /// What is in memory, for the engine, and its bytes.
    pub(super) fn take_held(&mut self) -> (Vec<Stored>, u64) {
        let mut objects = Vec::with_capacity(self.held.len());
        for oid in std::mem::take(&mut self.held) {
            let Some(write) = self.writes.get_mut(&oid) else { continue };
            if let Held::Memory(data) = std::mem::replace(&mut write.data, Held::Engine) {
                objects.push((oid, to_object(data, write.data_serial)));
            }
        }
        (objects, std::mem::take(&mut self.bytes))
    }

    /// Bytes in memory, and about how many the commit's record will have.
    pub(super) fn bytes_to_write(&self) -> u64 {
        self.bytes + 10 * self.order.len() as u64
    }

    /// Aborts it, if it has not ended.
    pub(super) fn end(&mut self) {
        if matches!(self.phase, Phase::Ended) {
            return;
        }
        self.phase = Phase::Ended;
        if self.is_appended {
            // If nobody takes it, the engine is closed, or never used again.
            let _ = self.embedded.shared.command(Command::Abort { ttid: self.ttid });
        }
        self.embedded.shared.common.ids().end();
    }
}

impl Drop for EmbeddedTransaction {
    fn drop(&mut self) {
        self.end();
    }
}

fn cost(data: Option<&Payload>) -> u64 {
    OBJECT_COST + data.map_or(0, |data| data.length() as u64)
}

fn to_object(data: Option<Payload>, data_tid: Option<Tid>) -> ObjectData {
    let compression = match &data {
        Some(Payload { compression: 1, .. }) => Compression::Zlib,
        _ => Compression::None,
    };
    let crc = data.as_ref().and_then(|data| data.data.crc());
    let data = data.map(|data| data.data.bytes);
    ObjectData { compression, checksum: None, crc, data, data_tid }
}
