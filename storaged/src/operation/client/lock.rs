//! Write locks: who gets one, who waits, who has to give one back (R9).

use engine::{Compression, NewestTidLookup, ObjectData, StoredLookup};
use model::{CellState, Oid, Tid, Ttid};
use net::{Checksum, Data, ErrorCode, LinkId, Message, RelockConflict, RelockData};

use crate::completions::After;
use crate::locks::{Claim, Request, RequestKind};
use crate::machine::Storage;
use crate::operation::WriteRequest;
use crate::reads::{AnyLookup, Found, Task, Turn};
use crate::transactions::{Phase, Write};

/// Requests that get their lock with one event before others get their turn.
const REQUESTS_MAX: usize = 64;

impl Storage {
    /// Tries to get the lock that a request needs.
    pub(crate) fn attempt(&mut self, request: Request) {
        let Request { ttid, oid, .. } = request;
        if self.transactions.get(ttid).is_none() {
            return self.forget_request(&request);
        }
        match self.cell_of(oid) {
            None => {
                self.take_back(&request);
                self.settle(&request, Some(Tid::ZERO));
            }
            Some(state) if !CellState::is_readable(state) => {
                // Others decide: this cell may lack what would be in the way.
                self.note_write(&request, true);
                self.settle(&request, Some(Tid::ZERO));
            }
            Some(_) => match self.write_locks.claim(request) {
                Claim::Taken => self.start_task(None, NewestTask { request }),
                Claim::Held => self.decide_held(&request),
                Claim::Waits { holder } => {
                    tracing::debug!(%oid, %ttid, %holder, "waits for a write lock");
                    if ttid < holder {
                        self.ask_to_relock(holder, oid);
                    }
                }
            },
        }
    }

    /// The newest revision of the object is known.
    fn decide(&mut self, request: &Request, newest: Option<Tid>) {
        let &Request { ttid, oid, kind, .. } = request;
        if !self.write_locks.is_deciding(request) {
            return self.forget_request(request);
        }
        match newest.filter(|newest| *newest != kind.serial()) {
            Some(newest) => {
                self.write_locks.release(oid, ttid);
                self.conflict(request, newest);
            }
            None => {
                self.write_locks.decide(oid, ttid);
                self.note_write(request, false);
                self.settle(request, None);
            }
        }
        self.released.push(oid);
    }

    /// A request of the transaction that has the lock.
    fn decide_held(&mut self, request: &Request) {
        let write = self.transactions.get(request.ttid).and_then(|t| t.writes.get(&request.oid));
        let expected = match (write, request.kind) {
            (Some(write), RequestKind::Store { .. }) if write.is_store => write.data_serial,
            (Some(write), RequestKind::Store { .. } | RequestKind::Check { .. }) => {
                Some(write.serial)
            }
            _ => None,
        };
        match expected.filter(|expected| *expected != request.kind.serial()) {
            Some(expected) => self.settle(request, Some(expected)),
            None => {
                self.note_write(request, false);
                self.settle(request, None);
            }
        }
    }

    /// A younger transaction is asked to give its lock to an older one that waits. It keeps it
    /// until it asks to relock, in case that it votes before. It is not asked while it has a
    /// request of the object under way.
    pub(super) fn ask_to_relock(&mut self, ttid: Ttid, oid: Oid) {
        let Some(transaction) = self.transactions.get_mut(ttid) else { return };
        let is_open = transaction.phase == Phase::Open;
        if let Some(link) = transaction.link
            && is_open
            && !transaction.active.contains_key(&oid)
            && transaction.notified.insert(oid)
        {
            tracing::debug!(%oid, %ttid, "a deadlock is possible: asked to relock");
            self.links.send(link, &Message::NotifyDeadlock { ttid, oid });
        }
    }

    pub(crate) fn ask_relock(&mut self, link: LinkId, id: u32, ttid: Ttid, oid: Oid) {
        let relocked = Message::AnswerRelockObject { conflict: None };
        let Some(transaction) = self.transactions.get_mut(ttid) else {
            return self.links.answer(link, id, &relocked);
        };
        if transaction.link != Some(link) {
            let text = format!("{ttid}: the transaction belongs to another connection");
            return self.refuse_peer(link, id, ErrorCode::ProtocolError, text);
        }
        if transaction.phase != Phase::Open {
            return self.links.answer(link, id, &relocked);
        }
        self.queue_write(ttid, oid, WriteRequest::Relock { link, id });
    }

    /// A relock whose turn it is: the lock is given back, and asked for again.
    pub(super) fn run_relock(&mut self, link: LinkId, id: u32, ttid: Ttid, oid: Oid) {
        let Some(transaction) = self.transactions.get_mut(ttid) else { return };
        transaction.notified.remove(&oid);
        let write = transaction.writes.get(&oid).filter(|write| !write.lockless);
        let serial = write.map_or(Tid::ZERO, |write| write.serial);
        let is_written = write.is_some();
        let request = Request { link, id, ttid, oid, kind: RequestKind::Relock { serial } };
        if is_written && self.write_locks.release(oid, ttid) {
            self.write_locks.enqueue(request);
            self.released.push(oid);
        } else {
            self.settle(&request, None);
        }
    }

    /// Gives locks that were given back to those whose turn it is.
    pub(crate) fn advance_locks(&mut self) {
        for _ in 0..REQUESTS_MAX {
            let Some(oid) = self.released.pop() else { return };
            if let Some(request) = self.write_locks.next(oid) {
                self.attempt(request);
                self.released.push(oid);
            }
        }
    }

    /// What a read of an object has to wait for: a transaction that wrote it, has its tid, and is
    /// not shown yet.
    pub(crate) fn locked_writer(&self, oid: Oid) -> Option<Ttid> {
        if self.read_locks.is_empty() {
            return None;
        }
        let is_locked = |ttid: Ttid| {
            let found = self.transactions.get(ttid);
            found.is_some_and(|found| found.tid().is_some() && found.stores(oid))
        };
        let holder = self.write_locks.holder(oid).filter(|holder| is_locked(*holder));
        holder.or_else(|| self.read_locks.lockless().find(|ttid| is_locked(*ttid)))
    }

    /// Takes note of what is locked, or stored without a lock.
    fn note_write(&mut self, request: &Request, lockless: bool) {
        let Some(transaction) = self.transactions.get_mut(request.ttid) else { return };
        transaction.has_lockless |= lockless;
        let (serial, oid) = (request.kind.serial(), request.oid);
        match request.kind {
            RequestKind::Store { data_serial, .. } => {
                let write = Write { serial, is_store: true, data_serial, lockless };
                transaction.writes.insert(oid, write);
            }
            RequestKind::Check { .. } => {
                let write = Write { serial, is_store: false, data_serial: None, lockless };
                transaction.writes.entry(oid).or_insert(write);
            }
            RequestKind::Relock { .. } => {}
        }
    }

    fn conflict(&mut self, request: &Request, newest: Tid) {
        let &Request { link, id, ttid, oid, kind } = request;
        tracing::debug!(%oid, %ttid, %newest, "conflict");
        let RequestKind::Relock { serial } = kind else {
            self.take_back(request);
            return self.settle(request, Some(newest));
        };
        let Some(transaction) = self.transactions.get_mut(ttid) else { return };
        let write = transaction.writes.remove(&oid);
        let is_stored = transaction.stored.remove(&oid);
        let is_given_back =
            is_stored && write.is_some_and(|write| write.is_store && write.data_serial.is_none());
        let partition = self.table.as_ref().map(|table| table.partition_of_oid(oid));
        let lookup = partition.filter(|_| is_given_back);
        let lookup = lookup.and_then(|partition| self.engine.stored(ttid, partition, oid));
        if is_stored {
            self.unstore(ttid, oid);
        }
        let conflict = RelockConflict { serial, conflict_serial: newest, data: None };
        let mut task = StoredTask { link, id, ttid, oid, conflict, lookup };
        if task.lookup.is_none() {
            return task.answer(self);
        }
        // What was stored may not be written yet.
        let token = self.token(After::Stored { link, task });
        if let Err(error) = self.engine.sync(token) {
            self.completions.remove(&token);
            self.write_failed(link, id, error);
            self.finish_write(ttid, oid);
        }
    }

    /// Withdraws what a request has stored.
    fn take_back(&mut self, request: &Request) {
        let Request { ttid, oid, kind: RequestKind::Store { .. }, .. } = *request else { return };
        let transaction = self.transactions.get_mut(ttid);
        if transaction.is_some_and(|transaction| transaction.stored.remove(&oid)) {
            self.unstore(ttid, oid);
        }
    }

    /// Answers a request: with nothing if it has what it wanted.
    pub(crate) fn settle(&mut self, request: &Request, conflict: Option<Tid>) {
        let answer = match request.kind {
            RequestKind::Store { .. } => Message::AnswerStoreObject { conflict },
            RequestKind::Check { .. } => Message::AnswerCheckCurrentSerial { conflict },
            RequestKind::Relock { .. } => Message::AnswerRelockObject { conflict: None },
        };
        self.links.answer(request.link, request.id, &answer);
        self.finish_write(request.ttid, request.oid);
    }

    /// The transaction of a request is over.
    pub(crate) fn forget_request(&mut self, request: &Request) {
        self.settle(request, Some(Tid::ZERO));
    }
}

/// Looks up the newest revision of an object that was locked.
struct NewestTask {
    request: Request,
}

impl Task for NewestTask {
    fn go_on(&mut self, node: &mut Storage, found: Option<Found>) -> Turn {
        let oid = self.request.oid;
        match (found, &node.table) {
            (Some(Found::Newest(newest)), _) => node.decide(&self.request, newest),
            (_, Some(table)) => {
                let partition = table.partition_of_oid(oid);
                let lookup = NewestTidLookup::new(node.engine.snapshot(), partition, oid);
                return Turn::LookUp(AnyLookup::Newest(lookup));
            }
            (_, None) => {}
        }
        Turn::Done
    }

    fn failed(&mut self, node: &mut Storage, _: Option<LinkId>) -> Turn {
        // Nobody knows here whether there is a conflict: for the client, this storage fails.
        node.close_unread(self.request.link);
        Turn::Done
    }
}

/// Gives a client back what it had stored, since its lock is lost.
#[derive(Debug)]
pub(crate) struct StoredTask {
    link: LinkId,
    id: u32,
    ttid: Ttid,
    oid: Oid,
    conflict: RelockConflict,
    lookup: Option<StoredLookup>,
}

impl StoredTask {
    fn answer(&mut self, node: &mut Storage) {
        let conflict = Some(self.conflict.clone());
        node.links.answer(self.link, self.id, &Message::AnswerRelockObject { conflict });
        node.finish_write(self.ttid, self.oid);
    }

    fn take_data(&mut self, stored: Option<ObjectData>) {
        let Some(ObjectData { compression, checksum, data: Some(bytes), .. }) = stored else {
            return;
        };
        let compression = match compression {
            Compression::None => 0,
            Compression::Zlib => 1,
        };
        let checksum = checksum.map_or_else(|| Checksum::of(&bytes), Checksum);
        self.conflict.data = Some(RelockData { compression, checksum, data: Data::new(bytes) });
    }
}

impl Task for StoredTask {
    fn go_on(&mut self, node: &mut Storage, found: Option<Found>) -> Turn {
        if let Some(lookup) = self.lookup.take() {
            return Turn::LookUp(AnyLookup::Stored(lookup));
        }
        if let Some(Found::Stored(data)) = found {
            self.take_data(data);
        }
        self.answer(node);
        Turn::Done
    }
}
