//! Stores and checks: what a transaction does before it votes.

use engine::{Compression, LoadLookup, LoadResult, ObjectData, When};
use model::{CellState, Nid, Oid, Tid, Ttid};
use net::{Checksum, ErrorCode, LinkId, Message};

use crate::completions::FULL;
use crate::locks::{Request, RequestKind};
use crate::machine::Storage;
use crate::operation::WriteRequest;
use crate::reads::{AnyLookup, Found, Task, Turn};

/// A store whose data was verified.
pub(crate) struct Store {
    pub(super) link: LinkId,
    pub(super) id: u32,
    ttid: Ttid,
    oid: Oid,
    serial: Tid,
    object: ObjectData,
}

impl Storage {
    pub(crate) fn ask_store(&mut self, link: LinkId, nid: Nid, id: u32, message: Message) {
        let store = match verify(link, id, message) {
            Ok(store) => store,
            Err(text) => return self.refuse_peer(link, id, ErrorCode::ProtocolError, text),
        };
        let Store { ttid, oid, .. } = store;
        if self.begin_write(link, nid, id, ttid) {
            self.queue_write(ttid, oid, WriteRequest::Store(store));
        }
    }

    /// A store whose turn it is.
    pub(super) fn run_store(&mut self, store: Store) {
        let Store { link, id, ttid, oid, serial, .. } = store;
        let kind = RequestKind::Store { serial, data_serial: store.object.data_tid };
        let request = Request { link, id, ttid, oid, kind };
        if self.cell_of(oid).is_none() {
            return self.settle(&request, Some(Tid::ZERO));
        }
        if let Some(conflict) = self.conflict_with_own(ttid, oid, serial) {
            return self.settle(&request, Some(conflict));
        }
        match store.object.data_tid {
            Some(data_tid) => self.start_task(Some(link), UndoStore { store, data_tid }),
            None => self.append(&store),
        }
    }

    pub(crate) fn ask_check(
        &mut self,
        link: LinkId,
        nid: Nid,
        id: u32,
        ttid: Ttid,
        (oid, serial): (Oid, Tid),
    ) {
        if self.begin_write(link, nid, id, ttid) {
            self.queue_write(ttid, oid, WriteRequest::Check { link, id, serial });
        }
    }

    /// Whether the transaction can still store; else the request is refused (R7).
    fn begin_write(&mut self, link: LinkId, nid: Nid, id: u32, ttid: Ttid) -> bool {
        let refusal = self.transactions.open(ttid, link, nid).err();
        if let Some(refusal) = refusal {
            let text = format!("{ttid}: {}", refusal.text());
            self.refuse_peer(link, id, ErrorCode::ProtocolError, text);
        }
        refusal.is_none()
    }

    /// After an undo, the same transaction can only store what is based on the undone revision.
    fn conflict_with_own(&self, ttid: Ttid, oid: Oid, serial: Tid) -> Option<Tid> {
        let transaction = self.transactions.get(ttid)?;
        if !self.write_locks.is_held(oid, ttid) {
            return None;
        }
        transaction.writes.get(&oid)?.data_serial.filter(|expected| *expected != serial)
    }

    /// Gives the data to the engine, and goes for the lock.
    fn append(&mut self, store: &Store) {
        let &Store { link, id, ttid, oid, serial, .. } = store;
        let Some(table) = &self.table else { return };
        let partition = table.partition_of_oid(oid);
        self.submitted = true;
        let stored = self.engine.store(ttid, partition, oid, &store.object);
        let Some(transaction) = self.transactions.get_mut(ttid) else { return };
        // Also after an error: the engine notes that the transaction is broken.
        transaction.in_engine = true;
        if let Err(error) = stored {
            self.write_failed(link, id, error);
            return self.finish_write(ttid, oid);
        }
        transaction.stored.insert(oid);
        let kind = RequestKind::Store { serial, data_serial: store.object.data_tid };
        self.attempt(Request { link, id, ttid, oid, kind });
        self.hold_if_congested(link);
    }

    /// Tells a client that its write failed, if it was only that.
    pub(crate) fn write_failed(&mut self, link: LinkId, id: u32, error: engine::Error) {
        match error {
            engine::Error::Full { .. } | engine::Error::Broken { .. } => {
                self.refuse_peer(link, id, ErrorCode::ReadOnlyAccess, FULL);
            }
            engine::Error::Limit { .. } | engine::Error::WrongState { .. } => {
                self.refuse_peer(link, id, ErrorCode::ProtocolError, error.to_string());
            }
            _ => self.fail(error),
        }
    }

    /// State of this storage's cell of an object.
    pub(crate) fn cell_of(&self, oid: Oid) -> Option<CellState> {
        self.cell(self.table.as_ref()?.partition_of_oid(oid))
    }
}

/// Verifies data as it came (T6).
fn verify(link: LinkId, id: u32, message: Message) -> Result<Store, String> {
    let Message::AskStoreObject { oid, serial, compression, checksum, data, data_serial, ttid } =
        message
    else {
        unreachable!("only stores come here")
    };
    let compression = match compression {
        0 => Compression::None,
        1 => Compression::Zlib,
        other => return Err(format!("compression {other} of {oid} is none that there is")),
    };
    let has_data = !data.bytes.is_empty() || checksum != Checksum::ZERO;
    if has_data && data.checksum() != checksum {
        return Err(format!("the data of {oid} has another checksum than was said"));
    }
    let crc = data.crc();
    let object = ObjectData {
        compression: if has_data { compression } else { Compression::None },
        checksum: has_data.then_some(checksum.0),
        crc,
        data: has_data.then_some(data.bytes),
        data_tid: data_serial,
    };
    Ok(Store { link, id, ttid, oid, serial, object })
}

/// A store of an undo: the data is that of an earlier revision, if it is there.
struct UndoStore {
    store: Store,
    data_tid: Tid,
}

impl Task for UndoStore {
    fn go_on(&mut self, node: &mut Storage, found: Option<Found>) -> Turn {
        let Store { link, id, ttid, oid, .. } = self.store;
        let Some(table) = &node.table else { return Turn::Done };
        let partition = table.partition_of_oid(oid);
        if node.transactions.get(ttid).is_none() {
            let conflict = Some(Tid::ZERO);
            node.links.answer(link, id, &Message::AnswerStoreObject { conflict });
            return Turn::Done;
        }
        let Some(Found::Load(found)) = found else {
            if let Some(locked) = node.read_locks.within(self.data_tid, self.data_tid) {
                return Turn::WaitFor(locked);
            }
            let when = When::At(self.data_tid);
            let lookup = LoadLookup::new(node.engine.snapshot(), partition, oid, when);
            return Turn::LookUp(AnyLookup::Load(lookup.with_checksum()));
        };
        let object = &mut self.store.object;
        match found {
            LoadResult::Revision(revision) => {
                object.compression = revision.compression;
                object.checksum = Some(revision.checksum());
                object.crc = None;
                object.data = Some(revision.data);
            }
            LoadResult::Deleted { .. } => {
                object.compression = Compression::None;
                (object.checksum, object.crc, object.data) = (None, None, None);
            }
            // Packed away. A cell that is not complete takes what it is given.
            _ if node.is_readable(partition) => {
                let text = format!("{oid}: the revision {} is packed away", self.data_tid);
                node.refuse_peer(link, id, ErrorCode::UndoPackError, text);
                node.finish_write(ttid, oid);
                return Turn::Done;
            }
            _ => {}
        }
        self.append(node)
    }

    fn failed(&mut self, node: &mut Storage, _: Option<LinkId>) -> Turn {
        // The client has sent the data too, unless it relies on what is here.
        if self.store.object.data.is_some() && node.transactions.get(self.store.ttid).is_some() {
            return self.append(node);
        }
        node.close_unread(self.store.link);
        Turn::Done
    }
}

impl UndoStore {
    fn append(&mut self, node: &mut Storage) -> Turn {
        let store = Store {
            object: std::mem::take(&mut self.store.object),
            ..Store { object: ObjectData::default(), ..self.store }
        };
        node.append(&store);
        Turn::Done
    }
}
