//! Storages that fail during a transaction.

use bytes::Bytes;
use model::{Nid, Oid, Ttid};
use net::{ErrorCode, LinkId};

use super::transaction::{PartState, Phase};
use crate::error::{Error, UndoFailure};
use crate::machine::Client;

impl Client {
    /// Takes note of a lost connection: the storage has failed for all transactions that used it,
    /// also if it is connected to again (R7), except those that it voted.
    pub(crate) fn transactions_lose(&mut self, nid: Nid, link: LinkId, reason: &str) {
        let uses = |part: &super::transaction::Part| {
            part.link == Some(link) && part.state == PartState::Working
        };
        let with = |ttid: &Ttid| self.transactions[ttid].nodes.get(&nid).is_some_and(uses);
        let ttids: Vec<_> = self.transactions.keys().copied().filter(with).collect();
        for ttid in ttids {
            self.fail_node(ttid, nid, reason);
        }
    }

    /// Does without a storage from now on; the primary master is asked about it at the vote (R5).
    pub(super) fn fail_node(&mut self, ttid: Ttid, nid: Nid, reason: &str) {
        let Some(transaction) = self.transactions.get_mut(&ttid) else { return };
        let Some(part) = transaction.nodes.get_mut(&nid) else { return };
        if part.state != PartState::Working {
            return;
        }
        tracing::warn!(%ttid, %nid, reason, "storage failed in a transaction");
        part.state = PartState::Failed(reason.to_owned());
        match &mut transaction.phase {
            Phase::Open => {
                transaction.relocks.retain(|(_, other)| *other != nid);
                let mut hit = Vec::new();
                for oid in &transaction.open {
                    let write = transaction
                        .writes
                        .get_mut(oid)
                        .filter(|write| write.waiting.contains(&nid));
                    if let Some(write) = write {
                        write.waiting.retain(|other| *other != nid);
                        hit.push(*oid);
                    }
                }
                for oid in hit {
                    self.settle(ttid, oid);
                }
                self.progress(ttid);
            }
            Phase::Voting { waiting } => {
                let was_waited_for = waiting.remove(&nid);
                if was_waited_for && waiting.is_empty() {
                    self.judge(ttid);
                }
            }
            _ => {}
        }
    }

    /// A storage refuses to take part.
    pub(crate) fn write_refused(&mut self, ttid: Ttid, nid: Nid, code: ErrorCode, text: &Bytes) {
        if code == ErrorCode::ReadOnlyAccess {
            return self.doom(ttid, Error::ReadOnly);
        }
        let reason = format!("{code:?}: {}", String::from_utf8_lossy(text));
        self.fail_node(ttid, nid, &reason);
    }

    /// A storage lacks the data that is to come back.
    pub(crate) fn undo_is_packed(&mut self, ttid: Ttid, oid: Oid) {
        let error = self.undo_failure(ttid, Some(oid), UndoFailure::Packed);
        self.doom(ttid, error);
    }
}
