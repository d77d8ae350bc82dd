//! What storages ask for and report.

use model::{Nid, PartitionId, Tid};
use net::{ErrorCode, LinkId, Message};

use super::serving::Operation;
use crate::cluster::Cluster;
use crate::table::replicated;
use crate::wire::Asked;

impl Operation {
    /// Handles a request or notification of a storage.
    pub(crate) fn storage_request(
        &mut self,
        cluster: &mut Cluster,
        nid: Nid,
        link: LinkId,
        id: u32,
        message: Message,
    ) {
        match message {
            Message::NotifyReady {} => self.storage_ready(cluster, nid),
            Message::AskUnfinishedTransactions { partitions } => {
                self.unfinished_transactions(cluster, nid, link, id, &partitions);
            }
            Message::NotifyReplicationDone { partition, .. } => {
                self.replication_done(cluster, nid, link, id, partition);
            }
            Message::NotifyPackCompleted { pack_id } => {
                cluster.nodes.set_completed_pack(nid, pack_id);
                self.update_completed_pack(cluster);
            }
            Message::AskPackOrders { first_id } => {
                self.pack_orders(cluster, link, id, first_id, true);
            }
            Message::NotifyPartitionCorrupted { partition, nids } => {
                let nids: Vec<String> = nids.iter().map(Nid::to_string).collect();
                tracing::error!(%partition, by = %nid, "replicas differ on {}", nids.join(", "));
            }
            other => {
                let text = format!("unexpected {} of a storage", other.name());
                cluster.wire.refuse(link, id, ErrorCode::ProtocolError, text);
            }
        }
    }

    /// Handles an answer of a storage.
    pub(crate) fn storage_answer(
        &mut self,
        cluster: &mut Cluster,
        nid: Nid,
        asked: Asked,
        message: Message,
    ) {
        match (asked, message) {
            (Asked::Lock(ttid), Message::AnswerInformationLocked { .. }) => {
                self.locked(cluster, nid, ttid);
            }
            (Asked::OldPackOrders(search), Message::AnswerPackOrders { orders }) => {
                self.old_pack_orders(cluster, nid, search, orders);
            }
            // Of what was asked in an earlier state.
            _ => {}
        }
    }

    /// Says what a cell that becomes complete has to wait for: the storage is told the end of each.
    fn unfinished_transactions(
        &mut self,
        cluster: &mut Cluster,
        nid: Nid,
        link: LinkId,
        id: u32,
        partitions: &[PartitionId],
    ) {
        let count = cluster.table().partitions();
        if let Some(partition) = partitions.iter().find(|one| one.get() >= count.get()) {
            let text = format!("unknown partition {partition}: there are {count}");
            return cluster.wire.refuse(link, id, ErrorCode::ProtocolError, text);
        }
        let mut ttids = Vec::new();
        for (ttid, transaction) in self.transactions.iter_mut() {
            transaction.replicating.insert(nid);
            ttids.push(ttid);
        }
        let last_tid = cluster.ids.last_tid();
        let message = Message::AnswerUnfinishedTransactions { last_tid, ttids };
        cluster.wire.answer(link, id, &message);
        for partition in partitions {
            cluster.table_mut().set_replicating(nid, *partition);
        }
    }

    /// A cell is complete. Heeded only if it is out of date and its storage has asked for
    /// unfinished transactions since it became so: else it is late, of a replication that was
    /// aborted (R12).
    fn replication_done(
        &mut self,
        cluster: &mut Cluster,
        nid: Nid,
        link: LinkId,
        id: u32,
        partition: PartitionId,
    ) {
        let count = cluster.table().partitions();
        if partition.get() >= count.get() {
            let text = format!("unknown partition {partition}: there are {count}");
            return cluster.wire.refuse(link, id, ErrorCode::ProtocolError, text);
        }
        if !cluster.table().is_replicating(nid, partition) {
            tracing::info!(%nid, %partition, "ignored a late report of replication");
            return;
        }
        tracing::debug!(%nid, %partition, "a cell is up to date");
        let changes = replicated(cluster.table(), nid, partition);
        cluster.change_table(None, changes);
        self.update_completed_pack(cluster);
        self.ask_old_packs(cluster);
        self.storages_changed();
    }

    /// Answers with orders from one on: all for clients, the first approved one for storages.
    pub(super) fn pack_orders(
        &mut self,
        cluster: &mut Cluster,
        link: LinkId,
        id: u32,
        first_id: Tid,
        only_first: bool,
    ) {
        if !cluster.packs.reaches(first_id) {
            return self.search_old_packs(cluster, link, id, first_id, only_first);
        }
        let orders = match only_first {
            true => cluster.packs.first_approved(first_id).into_iter().collect(),
            false => cluster.packs.list(first_id),
        };
        cluster.wire.answer(link, id, &Message::AnswerPackOrders { orders });
    }
}
