//! What the primary master asks before the cluster operates: what is in doubt, and the last ids.

use engine::{BoundsLookup, TransactionState};
use model::{Oid, PartitionId, Tid, Ttid};
use net::{LinkId, Message, OrderedMap};

use crate::completions::After;
use crate::initialization::MasterStep;
use crate::machine::Storage;
use crate::reads::{AnyLookup, Found, Task, Turn};

impl Storage {
    /// Transactions that are voted, with their tids if they are locked.
    pub(crate) fn answer_locked(&mut self, link: LinkId, id: u32) {
        let in_doubt = self.engine.transactions().filter_map(|(ttid, state)| match state {
            TransactionState::Open => None,
            TransactionState::Voted => Some((ttid, None)),
            TransactionState::Locked(tid) => Some((ttid, Some(tid))),
        });
        let transactions = OrderedMap(in_doubt.collect());
        self.links.answer(link, id, &Message::AnswerLockedTransactions { transactions });
    }

    /// A transaction that was in doubt is committed (R1, R2).
    pub(crate) fn validate(&mut self, ttid: Ttid, tid: Tid) {
        let locked = match self.engine.transaction(ttid) {
            Some(TransactionState::Voted) => {
                let token = self.token(After::Nobody);
                self.engine.lock(token, ttid, tid).inspect_err(|_| {
                    self.completions.remove(&token);
                })
            }
            Some(TransactionState::Locked(locked)) if locked == tid => Ok(()),
            other => {
                tracing::warn!(%ttid, %tid, ?other, "told to commit what is not in doubt here");
                return;
            }
        };
        let as_tid = Tid::new(ttid.get());
        if self.packs.commit(as_tid, tid, false) {
            self.keep_packs();
        }
        let token = self.token(After::Master(MasterStep::Validated { ttid }));
        let unlocked = locked.and_then(|()| self.engine.unlock_with(token, ttid));
        match unlocked {
            Ok(()) => self.inbox.block(token),
            Err(error) => {
                self.completions.remove(&token);
                self.fail(error);
            }
        }
    }

    pub(crate) fn ask_last_ids(&mut self, link: LinkId, id: u32) {
        if !self.truncate_first(link, id) {
            self.sync_first(MasterStep::LastIds { link, id });
        }
    }

    /// The last ids of readable cells: data of cells that were discarded may still be there. The
    /// last oid is the greatest one that new ones follow.
    pub(crate) fn answer_last_ids(&mut self, link: LinkId, id: u32) {
        let partitions = self.readable_partitions();
        let task =
            LastIds { link, id, partitions, last_tid: None, last_oid: None, first_tid: None };
        self.start_task(Some(link), task);
    }

    /// Partitions whose cell on this storage is readable.
    pub(crate) fn readable_partitions(&self) -> Vec<PartitionId> {
        let Some(table) = &self.table else { return Vec::new() };
        table.partitions().iter().filter(|partition| self.is_readable(*partition)).collect()
    }
}

/// Looks for the last ids, partition by partition.
struct LastIds {
    link: LinkId,
    id: u32,
    partitions: Vec<PartitionId>,
    last_tid: Option<Tid>,
    last_oid: Option<Oid>,
    first_tid: Option<Tid>,
}

impl Task for LastIds {
    fn go_on(&mut self, node: &mut Storage, found: Option<Found>) -> Turn {
        if let Some(Found::Bounds(bounds)) = found {
            self.last_tid = self.last_tid.max(bounds.tid_last);
            self.last_oid = self.last_oid.max(bounds.oid_followed);
            self.first_tid = self.first_tid.into_iter().chain(bounds.tid_first).min();
        }
        if let Some(partition) = self.partitions.pop() {
            let lookup = BoundsLookup::new(node.engine.snapshot(), partition);
            return Turn::LookUp(AnyLookup::Bounds(Box::new(lookup)));
        }
        let answer = Message::AnswerLastIDs {
            last_tid: self.last_tid,
            last_oid: self.last_oid,
            first_tid: self.first_tid.unwrap_or(Tid::MAX),
        };
        node.links.answer(self.link, self.id, &answer);
        Turn::Done
    }
}
