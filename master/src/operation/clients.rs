//! What clients ask for.

use model::{Nid, PartitionId, Tid, Ttid};
use net::{ErrorCode, LinkId, Message, Oids, PackRequest};

use super::delayed::Awaited;
use super::serving::Operation;
use super::transactions::Transaction;
use crate::cluster::Cluster;
use crate::ids::IdError;
use crate::log::Command;

/// How many oids are given at once: lists of more are not understood by all.
const OIDS_MAX: u32 = 1 << 20;

/// How many transactions a client may have begun and not ended. Who has more has forgotten them.
const TRANSACTIONS_MAX: usize = 1 << 16;

/// How many requests of a client may wait for packs. These may take hours, so the client is read
/// from meanwhile: its end has to be noticed.
const PACK_WAITS_MAX: usize = 256;

/// The end of a commit, as asked for.
pub(super) struct FinishRequest {
    pub(super) ttid: Ttid,
    pub(super) oids: Oids,
    pub(super) deleted: Vec<PartitionId>,
    pub(super) checked: Vec<PartitionId>,
    pub(super) pack: Option<PackRequest>,
}

impl Operation {
    /// Handles a request of a client.
    pub(crate) fn client_request(
        &mut self,
        cluster: &mut Cluster,
        nid: Nid,
        link: LinkId,
        id: u32,
        message: Message,
    ) {
        let read_only = cluster.nodes.get(nid).is_some_and(|node| node.details.read_only);
        match message {
            Message::AskBeginTransaction { .. }
            | Message::AskNewOIDs { .. }
            | Message::AskFinishTransaction { .. }
            | Message::AskFinalTID { .. }
            | Message::FailedVote { .. }
                if read_only =>
            {
                let text = "read-only access as requested by the client";
                cluster.wire.refuse(link, id, ErrorCode::ReadOnlyAccess, text);
            }
            Message::AskBeginTransaction { tid } => self.begin_transaction(cluster, link, id, tid),
            Message::AskNewOIDs { count } => self.new_oids(cluster, link, id, count),
            Message::FailedVote { ttid, nids } => self.failed_vote(cluster, link, id, ttid, nids),
            Message::AskFinishTransaction { ttid, oids, deleted, checked, pack } => {
                let request = FinishRequest { ttid, oids, deleted, checked, pack };
                self.finish(cluster, link, id, request);
            }
            Message::AskFinalTID { ttid } => self.final_tid(cluster, link, id, ttid),
            Message::AbortTransaction { ttid, nids } => {
                self.abort(cluster, link, ttid, &nids);
            }
            Message::CloseClient {} => cluster.wire.close(link),
            Message::AskPackOrders { first_id } => {
                self.pack_orders(cluster, link, id, first_id, false);
            }
            Message::WaitForPack { .. } if cluster.packs.waiting(link) >= PACK_WAITS_MAX => {
                let text = format!("a client waits for at most {PACK_WAITS_MAX} packs at a time");
                cluster.wire.refuse(link, id, ErrorCode::ProtocolError, text);
            }
            Message::WaitForPack { pack_id } => {
                if !cluster.packs.wait(pack_id, link, id) {
                    cluster.wire.answer(link, id, &Message::WaitedForPack {});
                }
            }
            other => {
                let text = format!("unexpected {} of a client", other.name());
                cluster.wire.refuse(link, id, ErrorCode::ProtocolError, text);
            }
        }
    }

    /// Gives a ttid, unless a storage is just starting: it would not be known then whether the
    /// client is to commit in full to that one.
    fn begin_transaction(
        &mut self,
        cluster: &mut Cluster,
        link: LinkId,
        id: u32,
        tid: Option<Tid>,
    ) {
        if self.is_stopping {
            // It is never answered.
            return;
        }
        if !self.starting.is_empty() {
            let message = Message::AskBeginTransaction { tid };
            return self.delay(cluster, Awaited::Storages, link, id, message);
        }
        if self.transactions.count_of(link) >= TRANSACTIONS_MAX {
            let text = format!("a client has at most {TRANSACTIONS_MAX} transactions at a time");
            return cluster.wire.refuse(link, id, ErrorCode::ProtocolError, text);
        }
        let refusal = match tid {
            Some(_) if !self.transactions.is_empty() => Some("there are pending transactions"),
            None if self.transactions.has_chosen() => Some("one has a tid of its own"),
            Some(tid) if tid <= cluster.ids.last_tid() => Some("the tid must exceed the last one"),
            Some(tid) if tid > Tid::MAX => Some("no such tid"),
            Some(tid) if cluster.ids.is_far(cluster.now.unix, tid) => {
                Some("the tid is far in the future, where all that follow would be too")
            }
            _ => None,
        };
        if let Some(refusal) = refusal {
            let text = format!("cannot begin a transaction: {refusal}");
            return cluster.wire.refuse(link, id, ErrorCode::ProtocolError, text);
        }
        let ttid = match tid {
            // It counts once its commit is asked for.
            Some(tid) => Ttid::new(tid.get()),
            None => match cluster.ids.next_ttid(cluster.now.unix) {
                Ok(ttid) => ttid,
                Err(error) => {
                    let message = Message::AskBeginTransaction { tid };
                    return self.await_ids(cluster, link, id, message, error);
                }
            },
        };
        cluster.reserve_ids();
        let transaction = Transaction::new(link, self.readiness, tid.is_some());
        self.transactions.insert(ttid, transaction);
        cluster.wire.answer(link, id, &Message::AnswerBeginTransaction { ttid });
    }

    fn new_oids(&mut self, cluster: &mut Cluster, link: LinkId, id: u32, count: u32) {
        if count == 0 || count > OIDS_MAX {
            let text = format!("asked for {count} oids: 1 to {OIDS_MAX} are given");
            return cluster.wire.refuse(link, id, ErrorCode::ProtocolError, text);
        }
        match cluster.ids.next_oids(count) {
            Ok(oids) => {
                cluster.reserve_ids();
                cluster.wire.answer(link, id, &Message::AnswerNewOIDs { oids });
            }
            Err(error) => {
                let message = Message::AskNewOIDs { count };
                self.await_ids(cluster, link, id, message, error);
            }
        }
    }

    /// Has a request wait for the log where the reserved range of ids is used up.
    pub(super) fn await_ids(
        &mut self,
        cluster: &mut Cluster,
        link: LinkId,
        id: u32,
        message: Message,
        error: IdError,
    ) {
        match error {
            IdError::Reserve(mark) => {
                let command = match message {
                    Message::AskNewOIDs { .. } => cluster.ids.more_oids(mark).map(Command::Oids),
                    _ => cluster.ids.more_tids(mark).map(Command::Tids),
                };
                if let Some(command) = command {
                    cluster.ledger.propose(command);
                    cluster.learn_reserved();
                }
                self.delay(cluster, Awaited::Ids, link, id, message);
                if cluster.ledger.is_settled() {
                    self.happened(Awaited::Ids);
                }
            }
            IdError::Exhausted => {
                let text = "there are no ids left";
                cluster.wire.refuse(link, id, ErrorCode::Denied, text);
            }
        }
    }

    /// What became of a transaction: nothing if there never was one, or when it is over; else the
    /// storages know.
    fn final_tid(&mut self, cluster: &mut Cluster, link: LinkId, id: u32, ttid: Ttid) {
        // One that a client chose may be greater than all that was given out.
        if self.transactions.ask_outcome(ttid, link, id) {
            return cluster.wire.postpone(link, 1);
        }
        let is_known = ttid.get() <= cluster.ids.used_tid().get();
        let tid = is_known.then_some(Tid::MAX);
        cluster.wire.answer(link, id, &Message::AnswerFinalTID { tid });
    }

    /// Drops a transaction. In doubt who knows of it, the client names all it thought to write to;
    /// those that wait for its end are told too. A notification is never refused: NEO/py's clients
    /// do not survive an error that answers one.
    fn abort(&mut self, cluster: &mut Cluster, link: LinkId, ttid: Ttid, nids: &[Nid]) {
        match self.transactions.of_client(ttid, link) {
            // It may have been dropped here already.
            None => tracing::debug!(%ttid, "told to drop an unknown transaction"),
            Some(transaction) if transaction.finish.is_some() => {
                tracing::warn!(%ttid, "told to drop a transaction whose commit was requested");
            }
            Some(_) => self.drop_transaction(cluster, ttid, nids),
        }
    }

    /// Forgets a transaction that is not being finished, and tells storages that it is aborted.
    pub(super) fn drop_transaction(&mut self, cluster: &mut Cluster, ttid: Ttid, nids: &[Nid]) {
        let Some(transaction) = self.transactions.remove(ttid) else { return };
        if !transaction.failed.is_empty() {
            self.happened(Awaited::Failures);
        }
        let mut told = transaction.replicating;
        let serves = |nid: &&Nid| self.ready.contains_key(*nid) || self.starting.contains(*nid);
        told.extend(nids.iter().filter(serves));
        for nid in &told {
            if let Some(link) = cluster.nodes.link(*nid) {
                cluster.wire.send(link, &Message::AbortTransaction { ttid, nids: Vec::new() });
            }
        }
        for (link, request) in transaction.outcome {
            cluster.wire.resume(link, 1);
            cluster.wire.answer(link, request, &Message::AnswerFinalTID { tid: None });
        }
    }
}
