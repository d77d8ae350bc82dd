//! What storages answer and tell.

use net::{ErrorCode, LinkId, Message};

use crate::commit::Verdict;
use crate::machine::Client;
use crate::note::Asked;

impl Client {
    pub(crate) fn storage_answered(&mut self, link: LinkId, asked: Asked, message: Message) {
        let Some(nid) = self.storages.by_link.get(&link).map(|found| found.nid) else { return };
        match (asked, message) {
            (Asked::Identification, message) => self.storage_accepted(link, message),
            (Asked::Read(read), message) => self.read_answered(read, nid, message),
            (Asked::NewestTids { token, .. }, message) => {
                self.newest_tids_answered(token, nid, message);
            }
            (
                Asked::Write { ttid, oid, attempt, .. },
                Message::AnswerStoreObject { conflict }
                | Message::AnswerCheckCurrentSerial { conflict },
            ) => self.written(ttid, nid, oid, attempt, Verdict::from(conflict)),
            (Asked::Relock { ttid, oid, .. }, Message::AnswerRelockObject { conflict }) => {
                self.relocked(ttid, nid, oid, conflict);
            }
            (
                Asked::Vote { ttid, .. },
                Message::AnswerStoreTransaction {} | Message::AnswerVoteTransaction {},
            ) => self.node_voted(ttid, nid),
            (
                Asked::Write { ttid, oid, .. },
                Message::Error { code: ErrorCode::UndoPackError, .. },
            ) => self.undo_is_packed(ttid, oid),
            (
                Asked::Write { ttid, .. } | Asked::Relock { ttid, .. } | Asked::Vote { ttid, .. },
                Message::Error { code, text },
            ) => self.write_refused(ttid, nid, code, &text),
            (asked, message) => unreachable!("{asked:?} is never answered by {}", message.name()),
        }
    }

    pub(crate) fn storage_notified(&mut self, link: LinkId, id: u32, message: Message) {
        let Some(nid) = self.storages.by_link.get(&link).map(|found| found.nid) else { return };
        match message {
            Message::NotifyDeadlock { ttid, oid } => self.deadlocked(ttid, nid, oid),
            Message::CloseClient {} => self.drop_storage(nid, "it closes idle connections"),
            Message::FlushLog {} => {}
            message => {
                let text = format!("{} is not for clients", message.name());
                self.links.refuse(link, id, ErrorCode::ProtocolError, text.clone());
                self.drop_storage(nid, &text);
            }
        }
    }
}
