//! What undoing a transaction means, and what became of a transaction.

use engine::{TidOfLookup, UndoLookup};
use model::{Oid, Tid, Ttid};
use net::{ErrorCode, LinkId, Message, Oids, OrderedMap, UndoSerials};

use crate::machine::Storage;
use crate::reads::{AnyLookup, Found, Task, Turn};

impl Storage {
    pub(crate) fn ask_undo_serials(
        &mut self,
        link: LinkId,
        id: u32,
        ttid: Ttid,
        (limit, undone): (Tid, Tid),
        oids: Oids,
    ) {
        let objects = OrderedMap::default();
        let task = UndoSerialsTask { link, id, ttid, limit, undone, oids, done: 0, objects };
        self.start_task(Some(link), task);
    }

    /// Answers what became of a transaction, to a client or to the master (R3).
    pub(crate) fn ask_final_tid(&mut self, link: LinkId, id: u32, ttid: Ttid) {
        match self.tid_in_memory(ttid) {
            Some(tid) => self.answer_final_tid(link, id, tid),
            None => self.start_task(Some(link), FinalTid { link, id, ttid }),
        }
    }
}

struct UndoSerialsTask {
    link: LinkId,
    id: u32,
    ttid: Ttid,
    /// What is at or above it is not seen by who undoes.
    limit: Tid,
    undone: Tid,
    oids: Oids,
    /// How many of them are done.
    done: usize,
    objects: OrderedMap<Oid, UndoSerials>,
}

impl UndoSerialsTask {
    fn next(&mut self) -> Option<Oid> {
        let next = self.oids.get(self.done)?;
        self.done += 1;
        Some(next)
    }
}

impl Task for UndoSerialsTask {
    fn go_on(&mut self, node: &mut Storage, found: Option<Found>) -> Turn {
        let (link, id) = (self.link, self.id);
        if let Some(Found::Undo(found)) = found
            && let Some(oid) = self.next()
            && let Some(found) = found
        {
            let Some(current_serial) = found.current_tid else {
                node.refuse_peer(link, id, ErrorCode::OidNotFound, oid.to_string());
                return Turn::Done;
            };
            let (undo_serial, is_current) = (found.undo_tid, found.is_current);
            self.objects.0.push((oid, UndoSerials { current_serial, undo_serial, is_current }));
        }
        let Some(oid) = self.oids.get(self.done) else {
            let objects = std::mem::take(&mut self.objects);
            node.links.answer(link, id, &Message::AnswerObjectUndoSerial { objects });
            return Turn::Done;
        };
        let Some(partition) = node.readable_partition(oid) else {
            node.refuse_unreadable(link, id);
            return Turn::Done;
        };
        if let Some(locked) = node.locked_writer(oid) {
            return Turn::WaitFor(locked);
        }
        // What the same transaction has stored is what it sees.
        let write = node.transactions.get(self.ttid).and_then(|found| found.writes.get(&oid));
        let own = write.filter(|write| write.is_store);
        let own = own.map(|write| write.data_serial.unwrap_or(Tid::new(self.ttid.get())));
        let snapshot = node.engine.snapshot();
        let limit = (self.limit != Tid::ZERO).then_some(self.limit);
        let lookup = UndoLookup::new(snapshot, partition, oid, limit, self.undone, own);
        Turn::LookUp(AnyLookup::Undo(lookup))
    }
}

struct FinalTid {
    link: LinkId,
    id: u32,
    ttid: Ttid,
}

impl Task for FinalTid {
    fn go_on(&mut self, node: &mut Storage, found: Option<Found>) -> Turn {
        let Some(partition) = node.partition_of_ttid(self.ttid) else {
            node.answer_final_tid(self.link, self.id, None);
            return Turn::Done;
        };
        let Some(Found::TidOf(tid)) = found else {
            let lookup = TidOfLookup::new(node.engine.snapshot(), partition, self.ttid);
            return Turn::LookUp(AnyLookup::TidOf(lookup));
        };
        node.answer_final_tid(self.link, self.id, tid);
        Turn::Done
    }
}
