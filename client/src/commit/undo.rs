//! Undoing an earlier transaction: what its objects were before is stored again.

use std::collections::{BTreeMap, VecDeque};

use model::{Oid, PartitionId, Tid, Ttid};
use net::{Message, UndoSerials};

use super::store::NewWrite;
use super::transaction::{Cause, Kind, PendingConflict, Retention};
use crate::error::{Error, UndoFailure};
use crate::load::{Place, Purpose, UndoId, following};
use crate::machine::Client;
use crate::request::{Answer, Completion, Conflict, Object, Token, TransactionInformation};

/// Revisions that are loaded at once.
const LOADS_MAX: usize = 16;

/// An undo that is going on.
pub(crate) struct Undo {
    pub(super) token: Token,
    /// What is undone.
    tid: Tid,
    /// Reads of what the objects were before that have still to be answered.
    pending: usize,
    queue: VecDeque<(Oid, UndoSerials)>,
    /// Objects whose earlier data is being loaded, with the revisions that stores are based on
    /// and that the data is of.
    loads: BTreeMap<Oid, (Tid, Tid)>,
    oids: Vec<Oid>,
}

impl Client {
    pub(crate) fn undo(&mut self, token: Token, ttid: Ttid, tid: Tid) {
        let Some(transaction) = self.open_transaction(token, ttid) else { return };
        if transaction.undo.is_some() {
            return self.complete(token, Err(Error::OutOfTurn { ttid }));
        }
        let (queue, loads, oids) = (VecDeque::new(), BTreeMap::new(), Vec::new());
        transaction.undo = Some(Undo { token, tid, pending: 1, queue, loads, oids });
        let message = Message::AskTransactionInformation { tid };
        let purpose = Purpose::UndoneTransaction(UndoId { ttid, token });
        self.read(purpose, Place::Tid(tid), message);
    }

    /// Asks what the objects were before.
    pub(crate) fn undone_transaction(
        &mut self,
        id: UndoId,
        result: Result<TransactionInformation, Error>,
    ) {
        let ttid = id.ttid;
        let oids = match result {
            Ok(information) => information.oids,
            Err(error) => return self.undo_failed(id, error),
        };
        let (Some(table), Some(last_tid)) = (&self.table, self.last_tid) else { return };
        let mut by_partition: BTreeMap<PartitionId, Vec<Oid>> = BTreeMap::new();
        for oid in oids {
            by_partition.entry(table.partition_of_oid(oid)).or_default().push(oid);
        }
        let limit = following(last_tid);
        let Some(undo) = self.undo_of(id) else { return };
        let undone = undo.tid;
        undo.pending = by_partition.len();
        for (partition, oids) in by_partition {
            let message = Message::AskObjectUndoSerial { ttid, limit, undone, oids: oids.into() };
            self.read(Purpose::UndoSerials(id), Place::Partition(partition), message);
        }
        self.progress(ttid);
    }

    pub(crate) fn undo_serials(&mut self, id: UndoId, objects: Vec<(Oid, UndoSerials)>) {
        let Some(undo) = self.undo_of(id) else { return };
        undo.pending -= 1;
        undo.queue.extend(objects);
        self.progress(id.ttid);
    }

    /// What is read for an undo cannot be had.
    pub(crate) fn undo_failed(&mut self, id: UndoId, error: Error) {
        if self.undo_of(id).is_some() {
            self.doom(id.ttid, error);
        }
    }

    /// Undoes more objects, as far as memory and storages allow, and ends when all are stored.
    pub(super) fn advance_undo(&mut self, ttid: Ttid) {
        let bytes_max = self.options.transaction_bytes_max;
        while let Some(transaction) = self.storing(ttid)
            && transaction.bytes <= bytes_max
            && let Some(undo) = &mut transaction.undo
            && undo.pending == 0
            && undo.loads.len() < LOADS_MAX
            && let Some((oid, serials)) = undo.queue.pop_front()
        {
            undo.oids.push(oid);
            self.undo_object(ttid, oid, serials);
        }
        let Some(transaction) = self.storing(ttid) else { return };
        let is_stored = transaction.open.is_empty() && transaction.conflicts.is_empty();
        let is_done = |undo: &mut Undo| {
            is_stored && undo.pending == 0 && undo.queue.is_empty() && undo.loads.is_empty()
        };
        if let Some(undo) = transaction.undo.take_if(is_done) {
            self.complete(undo.token, Ok(Answer::Undone(undo.oids)));
        }
    }

    fn undo_object(&mut self, ttid: Ttid, oid: Oid, serials: UndoSerials) {
        let UndoSerials { current_serial, undo_serial, is_current } = serials;
        match undo_serial {
            Some(undo_serial) if is_current => {
                let Some(transaction) = self.storing(ttid) else { return };
                let Some(undo) = &mut transaction.undo else { return };
                undo.loads.insert(oid, (current_serial, undo_serial));
                let undo = UndoId { ttid, token: undo.token };
                let message = Message::AskObject { oid, at: Some(undo_serial), before: None };
                self.read(Purpose::UndoData { undo, oid }, Place::Oid(oid), message);
            }
            // It did not exist before.
            None if is_current => self.write(ttid, oid, NewWrite::of(current_serial, None)),
            Some(undo_serial) => self.undo_conflict(ttid, oid, current_serial, undo_serial),
            None => {
                let error = self.undo_failure(ttid, Some(oid), UndoFailure::Changed);
                self.doom(ttid, error);
            }
        }
    }

    /// The object was changed since: only the caller can tell what it becomes.
    fn undo_conflict(&mut self, ttid: Ttid, oid: Oid, current_serial: Tid, undo_serial: Tid) {
        let changed = self.undo_failure(ttid, Some(oid), UndoFailure::Changed);
        let Some(transaction) = self.storing(ttid) else { return };
        let Some(undo) = &transaction.undo else { return };
        let undone = undo.tid;
        let mut conflict_data = None;
        if current_serial.get() == ttid.get() {
            // It was this transaction, which nobody can load from yet.
            conflict_data = transaction.writes.get(&oid).and_then(|write| write.payload.clone());
            if conflict_data.is_none() {
                return self.doom(ttid, changed);
            }
        }
        let cause = Cause::Undo { undo_serial };
        transaction.conflicts.insert(oid, PendingConflict { serial: current_serial, cause });
        self.tell(Completion::Conflict(Conflict {
            ttid,
            oid,
            serial: undone,
            conflict_serial: current_serial,
            conflict_data,
            data: None,
            data_serial: Some(undo_serial),
        }));
    }

    /// Stores the earlier data again. Storages that have it ignore what is sent, others need it.
    pub(crate) fn undo_data(&mut self, id: UndoId, oid: Oid, result: Result<Object, Error>) {
        let object = match result {
            Ok(object) => object,
            Err(error) => return self.undo_failed(id, error),
        };
        let Some(undo) = self.undo_of(id) else { return };
        let Some((current_serial, undo_serial)) = undo.loads.remove(&oid) else { return };
        let write = NewWrite {
            kind: Kind::Store,
            serial: current_serial,
            payload: object.data,
            data_serial: Some(undo_serial),
            retention: Retention::UntilAnswered,
        };
        self.write(id.ttid, oid, write);
    }

    pub(crate) fn undo_failure(&self, ttid: Ttid, oid: Option<Oid>, reason: UndoFailure) -> Error {
        let undo = self.transactions.get(&ttid).and_then(|found| found.undo.as_ref());
        let tid = undo.map(|undo| undo.tid).unwrap_or_default();
        Error::Undo { tid, oid, reason }
    }

    fn undo_of(&mut self, id: UndoId) -> Option<&mut Undo> {
        self.storing(id.ttid)?.undo.as_mut().filter(|undo| undo.token == id.token)
    }
}
