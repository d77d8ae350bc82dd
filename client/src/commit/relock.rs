//! Locks that an older transaction waits for: they are taken again behind it.

use model::{Nid, Oid, Ttid};
use net::{Message, RelockConflict};

use super::transaction::{Kind, PartState};
use crate::error::Error;
use crate::machine::Client;
use crate::note::Asked;
use crate::payload::Payload;

impl Client {
    /// Takes a lock again, unless the transaction votes: then nobody has to wait for it for long.
    pub(crate) fn deadlocked(&mut self, ttid: Ttid, nid: Nid, oid: Oid) {
        let Some(transaction) = self.storing(ttid) else { return };
        let Some(part) = transaction.nodes.get(&nid) else { return };
        let Some(link) = part.link.filter(|_| part.state == PartState::Working) else { return };
        if !transaction.writes.contains_key(&oid) || !transaction.relocks.insert((oid, nid)) {
            return;
        }
        tracing::debug!(%ttid, %nid, %oid, "an older transaction waits: locking again");
        let message = Message::AskRelockObject { ttid, oid };
        self.ask_storage(link, message, Asked::Relock { ttid, oid });
    }

    pub(crate) fn relocked(
        &mut self,
        ttid: Ttid,
        nid: Nid,
        oid: Oid,
        conflict: Option<RelockConflict>,
    ) {
        let Some(transaction) = self.storing(ttid) else { return };
        if !transaction.relocks.remove(&(oid, nid)) {
            return;
        }
        if let Some(conflict) = conflict {
            self.relock_conflict(ttid, nid, oid, conflict);
        }
        self.progress(ttid);
    }

    /// The storage no longer has what was stored, and gives it back.
    fn relock_conflict(&mut self, ttid: Ttid, nid: Nid, oid: Oid, conflict: RelockConflict) {
        let Some(transaction) = self.storing(ttid) else { return };
        let Some(write) = transaction.writes.get_mut(&oid) else { return };
        let (serial, conflict_serial) = (write.serial, conflict.conflict_serial);
        // Another storage told of it before, and what was stored since is still to be answered.
        if conflict_serial <= serial {
            return;
        }
        if write.kind == Kind::Check {
            return self.doom(ttid, Error::ReadConflict { oid, serial, conflict_serial });
        }
        if transaction.open.insert(oid) {
            if let Some(data) = conflict.data
                && write.payload.is_none()
                && write.kind == Kind::Store
                && write.data_serial.is_none()
            {
                if data.data.checksum() != data.checksum {
                    transaction.open.remove(&oid);
                    return self.doom(ttid, Error::WrongChecksum { oid, serial, nid });
                }
                write.payload = Some(Payload { compression: data.compression, data: data.data });
            }
            transaction.bytes += write.payload.as_ref().map_or(0, Payload::length);
        }
        self.conflicting(ttid, oid, conflict_serial);
    }
}
