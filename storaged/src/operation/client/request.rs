//! Which request of a client goes where.

use model::Nid;
use net::{ErrorCode, LinkId, Message};

use crate::machine::Storage;

impl Storage {
    pub(crate) fn client_asks(
        &mut self,
        link: LinkId,
        nid: Nid,
        id: u32,
        message: Message,
        backup: bool,
    ) {
        match message {
            Message::AskObject { oid, at, before } => self.ask_object(link, id, oid, at, before),
            Message::AskObjectHistory { oid, first, last } => {
                self.ask_history(link, id, oid, first, last);
            }
            Message::AskTransactionInformation { tid } => {
                self.ask_transaction_information(link, id, tid);
            }
            Message::AskTIDs { first, last, partition } => {
                self.ask_tids(link, id, first, last, partition);
            }
            Message::AskTIDsFrom { tid_min, tid_max, length, partition } => {
                self.ask_tids_from(link, id, (tid_min, tid_max), length, partition);
            }
            Message::AskOIDsFrom { partition, length, oid_min, tid } => {
                self.ask_oids_from(link, id, partition, length, (oid_min, tid));
            }
            Message::AskObjectUndoSerial { ttid, limit, undone, oids } => {
                self.ask_undo_serials(link, id, ttid, (limit, undone), oids);
            }
            // A client that gives up a transaction may do so at any time.
            Message::AbortTransaction { ttid, .. } => self.abort_by_client(link, ttid),
            other if backup => {
                let text = format!("{}: the cluster is a backup: it is only read", other.name());
                self.refuse_peer(link, id, ErrorCode::ReadOnlyAccess, text);
            }
            other => self.writer_asks(link, nid, id, other),
        }
    }

    fn writer_asks(&mut self, link: LinkId, nid: Nid, id: u32, message: Message) {
        match message {
            Message::AskStoreObject { .. } => self.ask_store(link, nid, id, message),
            Message::AskCheckCurrentSerial { ttid, oid, serial } => {
                self.ask_check(link, nid, id, ttid, (oid, serial));
            }
            Message::AskRelockObject { ttid, oid } => self.ask_relock(link, id, ttid, oid),
            Message::AskStoreTransaction { .. } => {
                self.ask_store_transaction(link, nid, id, message);
            }
            Message::AskVoteTransaction { ttid } => self.ask_vote(link, id, ttid),
            Message::AskFinalTID { ttid } => {
                let partition = self.partition_of_ttid(ttid);
                match partition.is_some_and(|partition| self.is_readable(partition)) {
                    true => self.ask_final_tid(link, id, ttid),
                    false => self.refuse_unreadable(link, id),
                }
            }
            other => self.unexpected(link, id, &other),
        }
    }

    /// Sends a client away whose table is not the current one (R17).
    pub(crate) fn refuse_unreadable(&mut self, link: LinkId, id: u32) {
        let text = "the cell is not readable here: look at the partition table";
        self.refuse_peer(link, id, ErrorCode::NonReadableCell, text);
    }
}
