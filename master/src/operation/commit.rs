//! The end of commits: votes that failed, locks, and unlocks in the order of tids.

use std::collections::BTreeSet;

use model::{Nid, NodeType, Oid, PartitionCount, PartitionId, Tid, Ttid};
use net::{ErrorCode, LinkId, Message, Oids, PackRequest};

use super::clients::FinishRequest;
use super::delayed::Awaited;
use super::serving::Operation;
use super::transactions::{Finish, Transaction};
use crate::cluster::Cluster;
use crate::log::Command;
use crate::wire::Asked;

impl Operation {
    /// Says whether a transaction may go on without the storages that the client failed to write
    /// to. Failures of all transactions are judged together, so that they do not stop the cluster
    /// one after the other (R8): while only those of others are in the way, the answer waits. What
    /// the client reported before is still missing on those storages (R5), so sets of one
    /// transaction add up.
    pub(super) fn failed_vote(
        &mut self,
        cluster: &mut Cluster,
        link: LinkId,
        id: u32,
        ttid: Ttid,
        nids: Vec<Nid>,
    ) {
        let Some(transaction) = self.transactions.of_client(ttid, link) else {
            return unknown(cluster, link, id, ttid);
        };
        if transaction.finish.is_some() {
            let text = format!("the commit of {ttid} was already requested");
            return cluster.wire.refuse(link, id, ErrorCode::ProtocolError, text);
        }
        let readiness = transaction.readiness;
        let before = transaction.failed.clone();
        // Storages that were not ready when it began do not have all of it anyway.
        let ready: BTreeSet<Nid> = self.ready_by(readiness).collect();
        let failed = nids.iter().chain(&before).copied();
        let failed: BTreeSet<Nid> = failed.filter(|nid| ready.contains(nid)).collect();
        if !failed.is_empty() {
            let table = cluster.table();
            if !table.is_operational_without(&failed) {
                let text = "the cluster cannot do without the nodes that failed";
                return cluster.wire.refuse(link, id, ErrorCode::IncompleteTransaction, text);
            }
            let others = self.transactions.failed_of_others(ttid);
            let all: BTreeSet<Nid> = others.chain(failed.iter().copied()).collect();
            if !table.is_operational_without(&all) {
                let message = Message::FailedVote { ttid, nids };
                if self.delayed.has_vote(link, &message) {
                    let text = format!("a failed vote of {ttid} is waiting already");
                    return cluster.wire.refuse(link, id, ErrorCode::ProtocolError, text);
                }
                return self.delay(cluster, Awaited::Failures, link, id, message);
            }
            self.transactions.set_failed(ttid, failed);
        }
        cluster.wire.answer(link, id, &Message::ack(""));
    }

    /// Gives a tid and has all involved storages lock the transaction.
    pub(super) fn finish(
        &mut self,
        cluster: &mut Cluster,
        link: LinkId,
        id: u32,
        request: FinishRequest,
    ) {
        let FinishRequest { ttid, .. } = request;
        let Some(transaction) = self.transactions.of_client(ttid, link) else {
            return unknown(cluster, link, id, ttid);
        };
        let (chosen, readiness) = (transaction.chosen, transaction.readiness);
        let failed = transaction.failed.clone();
        let is_finishing = transaction.finish.is_some();
        // One that came back since does not take part, and keeps what it has.
        let failed: BTreeSet<Nid> =
            self.ready_by(readiness).filter(|nid| failed.contains(nid)).collect();
        if let Some(refusal) = refusal(cluster, &request, is_finishing) {
            return cluster.wire.refuse(link, id, ErrorCode::ProtocolError, refusal);
        }
        if !failed.is_empty() && !cluster.table().is_operational_without(&failed) {
            return self.incomplete(cluster, link, id, ttid);
        }
        let partitions = cluster.table().partitions();
        let (mut changed, oid_max) = places(&request.oids, partitions);
        let tid = match chosen {
            true => Tid::new(ttid.get()),
            false => match cluster.ids.next_tid(cluster.now.unix, ttid, partitions) {
                Ok(tid) => tid,
                Err(error) => {
                    return self.await_ids(cluster, link, id, request.into_message(), error);
                }
            },
        };
        cluster.reserve_ids();
        changed.extend(&request.deleted);
        let mut touched = changed.clone();
        touched.extend(&request.checked);
        touched.insert(partitions.of_ttid(ttid));
        // So that verification knows that they miss something, they are told to go, and the table
        // says so, before anything is locked.
        self.disconnect_failed(cluster, &failed, &touched);
        let involved = self.involved(cluster, readiness, &touched);
        if cluster.next.is_some() || involved.is_empty() {
            return self.incomplete(cluster, link, id, ttid);
        }
        if chosen {
            cluster.ids.chosen_tid(tid);
        }
        self.drop_at_newcomers(cluster, ttid, readiness);
        ask_to_lock(cluster, ttid, tid, request.pack.as_ref(), &involved);
        let finish = Finish {
            tid,
            oids: request.oids,
            oid_max,
            partitions: changed.into_iter().collect(),
            locking: involved.clone(),
            involved,
            request: id,
        };
        self.transactions.finish(ttid, finish);
    }

    /// A storage has locked a transaction.
    pub(crate) fn locked(&mut self, cluster: &mut Cluster, nid: Nid, ttid: Ttid) {
        let transaction = self.transactions.get_mut(ttid);
        let Some(finish) = transaction.and_then(|one| one.finish.as_mut()) else { return };
        if finish.locking.remove(&nid) && finish.locking.is_empty() {
            self.unlock(cluster);
        }
    }

    /// Ends transactions that all their storages have locked, in the order of tids.
    pub(super) fn unlock(&mut self, cluster: &mut Cluster) {
        while let Some(ttid) = self.transactions.next_locked() {
            let transaction = self.transactions.remove(ttid).expect("it was just found");
            if !transaction.failed.is_empty() {
                self.happened(Awaited::Failures);
            }
            self.committed(cluster, ttid, transaction);
        }
    }

    /// Tells everybody concerned of a commit.
    fn committed(&mut self, cluster: &mut Cluster, ttid: Ttid, transaction: Transaction) {
        let Transaction { client, replicating, outcome, finish, .. } = transaction;
        let finish = finish.expect("only what is being finished is committed");
        let tid = finish.tid;
        cluster.ids.committed(tid);
        if let Some(oid) = finish.oid_max {
            cluster.ids.stored_oid(oid);
        }
        let wire = &mut cluster.wire;
        if let Some(client) = client {
            let message = Message::AnswerTransactionFinished { ttid, tid };
            wire.answer(client, finish.request, &message);
        }
        let objects = Message::InvalidateObjects { tid, oids: finish.oids };
        let partitions = Message::InvalidatePartitions { tid, partitions: finish.partitions };
        let others = |is_backup: bool| {
            let clients = cluster.nodes.of_type(NodeType::Client);
            let clients =
                clients.filter(move |(_, node)| node.details.backup.is_some() == is_backup);
            let links = clients.filter_map(|(_, node)| node.link);
            links.filter(move |link| Some(*link) != client)
        };
        wire.send_to_all(others(false), &objects);
        wire.send_to_all(others(true), &partitions);
        for nid in &finish.involved {
            if let Some(link) = cluster.nodes.link(*nid) {
                wire.send(link, &Message::NotifyUnlockInformation { ttid });
            }
        }
        self.announce_pack(cluster, tid);
        for (link, request) in outcome {
            cluster.wire.resume(link, 1);
            cluster.wire.answer(link, request, &Message::AnswerFinalTID { tid: Some(tid) });
        }
        for nid in replicating {
            if let Some(link) = cluster.nodes.link(nid) {
                cluster.wire.send(link, &Message::NotifyTransactionFinished { ttid, tid });
            }
        }
    }

    /// Tells storages and backup clusters of a pack order that was just approved.
    fn announce_pack(&self, cluster: &mut Cluster, id: Tid) {
        if cluster.packs.signature(id) != Some(true) {
            return;
        }
        let message = Message::NotifyPackSigned { approved: vec![id], rejected: Vec::new() };
        for nid in self.ready.keys() {
            if let Some(link) = cluster.nodes.link(*nid) {
                cluster.wire.send(link, &message);
            }
        }
        for (_, node) in cluster.nodes.of_type(NodeType::Client) {
            if let Some(link) = node.link.filter(|_| node.details.backup.is_some()) {
                cluster.wire.send(link, &message);
            }
        }
    }

    fn disconnect_failed(
        &mut self,
        cluster: &mut Cluster,
        failed: &BTreeSet<Nid>,
        touched: &BTreeSet<PartitionId>,
    ) {
        for nid in failed {
            let table = cluster.table().table();
            let is_touched =
                touched.iter().any(|partition| table.cell_state(*partition, *nid).is_some());
            if let Some(link) = cluster.nodes.link(*nid).filter(|_| is_touched) {
                tracing::warn!(%nid, "disconnecting a storage that missed a transaction");
                cluster.wire.close(link);
                self.storage_lost(cluster, *nid);
            }
        }
    }

    /// Storages with any cell of what is touched, if they were ready when the transaction began.
    fn involved(
        &self,
        cluster: &Cluster,
        readiness: u64,
        touched: &BTreeSet<PartitionId>,
    ) -> BTreeSet<Nid> {
        let table = cluster.table().table();
        let cells = touched.iter().flat_map(|partition| table.cells(*partition));
        let is_ready = |nid: &Nid| self.ready.get(nid).is_some_and(|since| *since <= readiness);
        cells.map(|cell| cell.nid).filter(is_ready).collect()
    }

    /// Storages that became ready after the transaction began take no part in it. What they have of
    /// it all the same they will get in another way. Those that wait for its end are told then.
    fn drop_at_newcomers(&mut self, cluster: &mut Cluster, ttid: Ttid, readiness: u64) {
        let Some(transaction) = self.transactions.get_mut(ttid) else { return };
        let newcomers = self.ready.iter().filter(|(_, since)| **since > readiness);
        // Those that have not said yet that they are ready may be: clients know of them.
        let newcomers = newcomers.map(|(nid, _)| nid).chain(&self.starting);
        for nid in newcomers.filter(|nid| !transaction.replicating.contains(nid)) {
            if let Some(link) = cluster.nodes.link(*nid) {
                cluster.wire.send(link, &Message::AbortTransaction { ttid, nids: Vec::new() });
            }
        }
    }

    /// The transaction cannot be committed: it is dropped at once.
    fn incomplete(&mut self, cluster: &mut Cluster, link: LinkId, id: u32, ttid: Ttid) {
        let text = "the cluster cannot do without the nodes that failed";
        cluster.wire.refuse(link, id, ErrorCode::IncompleteTransaction, text);
        let all: Vec<Nid> = self.ready.keys().copied().collect();
        self.drop_transaction(cluster, ttid, &all);
    }
}

impl FinishRequest {
    fn into_message(self) -> Message {
        let Self { ttid, oids, deleted, checked, pack } = self;
        Message::AskFinishTransaction { ttid, oids, deleted, checked, pack }
    }
}

/// The partitions of oids, and the greatest oid. There may be millions of them: each is looked at
/// once, and most of them not divided.
fn places(oids: &Oids, partitions: PartitionCount) -> (BTreeSet<PartitionId>, Option<Oid>) {
    let count = usize::try_from(partitions.get()).unwrap_or(usize::MAX);
    let mut touched = BTreeSet::new();
    let mut rest = oids.iter();
    while touched.len() < count
        && let Some(oid) = rest.next()
    {
        touched.insert(partitions.of_oid(oid));
    }
    (touched, oids.iter().filter(|oid| *oid <= Oid::FOLLOWED_MAX).max())
}

/// Has storages lock a transaction, and sign the pack order that rides on it.
fn ask_to_lock(
    cluster: &mut Cluster,
    ttid: Ttid,
    tid: Tid,
    pack: Option<&PackRequest>,
    involved: &BTreeSet<Nid>,
) {
    let pack_approved = pack.is_some_and(|pack| cluster.packs.order(tid, pack));
    if pack_approved {
        cluster.ledger.propose(Command::PackSigned { id: tid, approved: true });
    }
    let message = Message::AskLockInformation { ttid, tid, pack_approved };
    for nid in involved {
        if let Some(link) = cluster.nodes.link(*nid) {
            cluster.wire.ask(link, &message, Asked::Lock(ttid));
        }
    }
}

fn unknown(cluster: &mut Cluster, link: LinkId, id: u32, ttid: Ttid) {
    let text = format!("unknown ttid {ttid}");
    cluster.wire.refuse(link, id, ErrorCode::ProtocolError, text);
}

/// Why a commit cannot be asked for like this.
fn refusal(cluster: &Cluster, request: &FinishRequest, is_finishing: bool) -> Option<String> {
    if is_finishing {
        return Some(format!("the commit of {} was already requested", request.ttid));
    }
    let count = cluster.table().partitions();
    let mut partitions = request.deleted.iter().chain(&request.checked);
    if let Some(partition) = partitions.find(|partition| partition.get() >= count.get()) {
        return Some(format!("unknown partition {partition}: there are {count}"));
    }
    let pack = request.pack.as_ref()?;
    let is_past = pack.tid > Tid::ZERO && pack.tid <= cluster.ids.last_tid();
    (!is_past).then(|| format!("invalid pack time {}", pack.tid))
}
