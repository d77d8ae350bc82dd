//! Stores and checks: sent to all cells, answered by all.

use std::sync::Arc;

use model::{Nid, Oid, PartitionId, Tid, Ttid};
use net::{Checksum, Data, Message};

use super::transaction::{Kind, Part, PartState, Retention, Transaction, Write};
use crate::error::Error;
use crate::machine::Client;
use crate::note::Asked;
use crate::payload::Payload;
use crate::request::{Answer, Token};

/// Objects that may be on their way, besides the limit of bytes: each takes some memory for itself.
const OPEN_MAX: usize = 1 << 12;
/// Objects of a transaction. Storages of NEO/py refuse 2^21.
pub(crate) const WRITES_MAX: usize = (1 << 21) - 1;

/// What a storage says of a store or check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// It has the lock.
    Locked,
    /// It stored without a lock.
    Lockless,
    /// There is a newer revision.
    Conflict(Tid),
}

impl From<Option<Tid>> for Verdict {
    fn from(conflict: Option<Tid>) -> Self {
        match conflict {
            None => Self::Locked,
            Some(Tid::ZERO) => Self::Lockless,
            Some(tid) => Self::Conflict(tid),
        }
    }
}

/// What is to be stored.
pub(super) struct NewWrite {
    pub(super) kind: Kind,
    pub(super) serial: Tid,
    pub(super) payload: Option<Payload>,
    pub(super) data_serial: Option<Tid>,
    pub(super) retention: Retention,
}

impl NewWrite {
    /// A store, or a deletion without data.
    pub(super) fn of(serial: Tid, payload: Option<Payload>) -> Self {
        let kind = if payload.is_some() { Kind::Store } else { Kind::Delete };
        let retention = Retention::UntilAnswered;
        Self { kind, serial, payload, data_serial: None, retention }
    }
}

impl Client {
    pub(crate) fn store(
        &mut self,
        token: Token,
        ttid: Ttid,
        oid: Oid,
        serial: Tid,
        data: Option<Payload>,
    ) {
        let Some(transaction) = self.open_transaction(token, ttid) else { return };
        let error = match transaction.writes.get(&oid) {
            Some(Write { kind: Kind::Check, .. }) => Some(Error::AlreadyChecked { oid }),
            None if transaction.writes.len() >= WRITES_MAX => Some(Error::TooLarge { ttid }),
            _ => None,
        };
        if let Some(error) = error {
            return self.complete(token, Err(error));
        }
        transaction.conflicts.remove(&oid);
        transaction.blocked.push_back(token);
        self.write(ttid, oid, NewWrite::of(serial, data));
    }

    pub(crate) fn check(&mut self, token: Token, ttid: Ttid, oid: Oid, serial: Tid) {
        let Some(transaction) = self.open_transaction(token, ttid) else { return };
        // A store checks as well.
        if transaction.writes.contains_key(&oid) {
            return self.complete(token, Ok(Answer::Accepted));
        }
        if transaction.writes.len() >= WRITES_MAX {
            return self.complete(token, Err(Error::TooLarge { ttid }));
        }
        transaction.blocked.push_back(token);
        let write = NewWrite { kind: Kind::Check, ..NewWrite::of(serial, None) };
        self.write(ttid, oid, write);
    }

    /// Sends a store or check, which replaces what was sent for the object before.
    pub(super) fn write(&mut self, ttid: Ttid, oid: Oid, new: NewWrite) {
        let Some(transaction) = self.transactions.get_mut(&ttid) else { return };
        transaction.put(oid, new);
        self.send_write(ttid, oid);
        self.settle(ttid, oid);
    }

    fn send_write(&mut self, ttid: Ttid, oid: Oid) {
        let Some(table) = &self.table else { return };
        let partition = table.partition_of_oid(oid);
        let row = self.row(ttid, partition);
        let Some(transaction) = self.transactions.get_mut(&ttid) else { return };
        let links: Vec<_> =
            row.iter().filter_map(|nid| Some((*nid, transaction.working_link(*nid)?))).collect();
        let Some(write) = transaction.writes.get_mut(&oid) else { return };
        write.asked = row;
        write.waiting = links.iter().map(|(nid, _)| *nid).collect();
        write.lockless = Vec::new();
        let attempt = write.attempt;
        let message = write.message(ttid, oid);
        for (_, link) in links {
            self.ask_storage(link, message.clone(), Asked::Write { ttid, oid, attempt });
        }
    }

    /// The storages that an object of a partition is written to, connected to as far as possible.
    pub(super) fn row(&mut self, ttid: Ttid, partition: PartitionId) -> Arc<[Nid]> {
        let (Some(table), Some(transaction)) = (&self.table, self.transactions.get_mut(&ttid))
        else {
            return Arc::from([]);
        };
        if transaction.rows_version != Some(table.id()) {
            transaction.rows_version = Some(table.id());
            transaction.rows.clear();
        }
        if let Some(row) = transaction.rows.get(&partition) {
            return row.clone();
        }
        let row: Arc<[Nid]> = table.writable(partition).collect();
        transaction.rows.insert(partition, row.clone());
        for nid in row.iter().copied() {
            if self.transactions[&ttid].nodes.contains_key(&nid) {
                continue;
            }
            let link = self.storage_link(nid);
            let state = match link {
                Some(_) => PartState::Working,
                None => PartState::Failed("it is not at work".to_owned()),
            };
            if let Some(transaction) = self.transactions.get_mut(&ttid) {
                transaction.nodes.insert(nid, Part { link, state });
            }
        }
        row
    }

    pub(crate) fn written(
        &mut self,
        ttid: Ttid,
        nid: Nid,
        oid: Oid,
        attempt: u32,
        verdict: Verdict,
    ) {
        let Some(transaction) = self.storing(ttid) else { return };
        let Some(write) = transaction.writes.get_mut(&oid) else { return };
        // The storage has a later attempt to answer.
        if write.attempt != attempt || !write.waiting.contains(&nid) {
            return;
        }
        let (kind, serial) = (write.kind, write.serial);
        match verdict {
            Verdict::Conflict(conflict) if conflict <= serial => {
                let reason = format!("it answers {oid} at {serial} with {conflict}");
                return self.fail_node(ttid, nid, &reason);
            }
            Verdict::Conflict(conflict_serial) if kind == Kind::Check => {
                return self.doom(ttid, Error::ReadConflict { oid, serial, conflict_serial });
            }
            Verdict::Lockless => write.lockless.push(nid),
            Verdict::Locked | Verdict::Conflict(_) => {}
        }
        write.waiting.retain(|other| *other != nid);
        if let Verdict::Conflict(conflict_serial) = verdict {
            self.conflicting(ttid, oid, conflict_serial);
        }
        self.settle(ttid, oid);
    }

    /// Takes note that an object may be answered for by all storages.
    pub(super) fn settle(&mut self, ttid: Ttid, oid: Oid) {
        let Some(transaction) = self.storing(ttid) else { return };
        let Some(write) = transaction.writes.get_mut(&oid) else { return };
        if write.waiting.is_empty()
            && !transaction.conflicts.contains_key(&oid)
            && transaction.open.remove(&oid)
        {
            transaction.bytes -= write.payload.as_ref().map_or(0, Payload::length);
            if write.retention == Retention::UntilAnswered {
                write.payload = None;
            }
            let asked = write.asked.clone();
            if asked.iter().all(|nid| transaction.is_failed(*nid)) {
                let reason = transaction.failure_of(&asked);
                return self.doom_unstored(ttid, oid, reason);
            }
        }
        self.progress(ttid);
    }

    fn doom_unstored(&mut self, ttid: Ttid, oid: Oid, reason: String) {
        let partition = self.table.as_ref().map(|table| table.partition_of_oid(oid));
        let partition = partition.unwrap_or_default();
        self.doom(ttid, Error::NoStorage { partition, reason });
    }

    /// Accepts stores, as long as little enough is open.
    pub(super) fn unblock(&mut self, ttid: Ttid) {
        let bytes_max = self.options.transaction_bytes_max;
        while let Some(transaction) = self.storing(ttid)
            && transaction.bytes <= bytes_max
            && transaction.open.len() <= OPEN_MAX
            && let Some(token) = transaction.blocked.pop_front()
        {
            self.complete(token, Ok(Answer::Accepted));
        }
    }
}

impl Transaction {
    /// The connection to a storage that has not failed.
    fn working_link(&self, nid: Nid) -> Option<net::LinkId> {
        let part = self.nodes.get(&nid)?;
        part.link.filter(|_| part.state == PartState::Working)
    }

    fn put(&mut self, oid: Oid, new: NewWrite) {
        let NewWrite { kind, serial, payload, data_serial, retention } = new;
        let length = payload.as_ref().map_or(0, Payload::length);
        // Undone data is told with where it comes from, which only storages know for certain.
        self.kept.put(oid, payload.as_ref().filter(|_| data_serial.is_none()));
        if let Some(write) = self.writes.get_mut(&oid) {
            if !self.open.insert(oid) {
                self.bytes -= write.payload.as_ref().map_or(0, Payload::length);
            }
            write.attempt += 1;
            (write.kind, write.serial, write.payload) = (kind, serial, payload);
            (write.data_serial, write.retention) = (data_serial, retention);
        } else {
            let (asked, waiting, lockless) = (Arc::from([]), Vec::new(), Vec::new());
            let write = Write {
                kind,
                serial,
                attempt: 0,
                payload,
                data_serial,
                retention,
                asked,
                waiting,
                lockless,
            };
            self.writes.insert(oid, write);
            self.open.insert(oid);
            if kind != Kind::Check {
                self.order.push(oid);
            }
        }
        self.bytes += length;
    }
}

impl Write {
    fn message(&self, ttid: Ttid, oid: Oid) -> Message {
        let serial = self.serial;
        if self.kind == Kind::Check {
            return Message::AskCheckCurrentSerial { ttid, oid, serial };
        }
        let (compression, checksum, data) = match &self.payload {
            Some(Payload { compression, data }) => (*compression, data.checksum(), data.clone()),
            None => (0, Checksum::ZERO, Data::default()),
        };
        let data_serial = self.data_serial;
        Message::AskStoreObject { oid, serial, compression, checksum, data, data_serial, ttid }
    }
}
