//! The machine of operation: which storages are ready, and what waits.

use std::collections::{BTreeMap, BTreeSet};

use model::{ClusterState, Nid, NodeState, NodeType, Tid};
use net::{LinkId, Message};

use super::delayed::{Awaited, DelayedRequests};
use super::old_packs::OldPacks;
use super::transactions::Transactions;
use crate::cluster::Cluster;
use crate::log::Command;
use crate::nodes::Node;

/// The machine of this state.
#[derive(Debug, Default)]
pub(crate) struct Operation {
    /// Storages that serve, with the order in which they became ready.
    pub(super) ready: BTreeMap<Nid, u64>,
    pub(super) readiness: u64,
    /// Storages that were told to start and have not said that they are ready.
    pub(super) starting: BTreeSet<Nid>,
    pub(super) transactions: Transactions,
    pub(super) delayed: DelayedRequests,
    pub(super) old_packs: OldPacks,
    /// Nothing begins any more.
    pub(super) is_stopping: bool,
}

impl Operation {
    /// Announces the state and has the storages start.
    pub(crate) fn begin(cluster: &mut Cluster) -> Self {
        cluster.reserve_ids();
        cluster.announce_state(ClusterState::Running);
        let mut operation = Self::default();
        let storages = cluster.nodes.identified(NodeType::Storage);
        let storages: Vec<Nid> = storages.map(|(nid, _)| nid).collect();
        for nid in storages {
            operation.storage_joined(cluster, nid);
        }
        operation
    }

    /// Has a storage start, if it is one of the cluster's.
    pub(crate) fn storage_joined(&mut self, cluster: &mut Cluster, nid: Nid) {
        let running = |node: &Node| node.state == NodeState::Running && !node.is_truncating;
        if let Some(link) = cluster.nodes.link(nid)
            && cluster.nodes.get(nid).is_some_and(running)
            && !self.is_stopping
        {
            cluster.wire.send(link, &Message::StartOperation { backup: false });
            self.starting.insert(nid);
        }
    }

    /// A storage serves.
    pub(super) fn storage_ready(&mut self, cluster: &mut Cluster, nid: Nid) {
        if !self.starting.remove(&nid) {
            return;
        }
        self.readiness += 1;
        self.ready.insert(nid, self.readiness);
        let (approved, rejected) = cluster.packs.signed(Tid::ZERO);
        if !(approved.is_empty() && rejected.is_empty())
            && let Some(link) = cluster.nodes.link(nid)
        {
            cluster.wire.send(link, &Message::NotifyPackSigned { approved, rejected });
        }
        self.ask_old_packs(cluster);
        self.storages_changed();
    }

    /// A storage is gone, or was told to go.
    pub(crate) fn storage_lost(&mut self, cluster: &mut Cluster, nid: Nid) {
        cluster.storage_gone(nid);
        self.storage_left(cluster, nid);
    }

    /// Nothing more is expected of a storage that is already marked as gone.
    pub(crate) fn storage_left(&mut self, cluster: &mut Cluster, nid: Nid) {
        self.starting.remove(&nid);
        self.ready.remove(&nid);
        self.old_packs.storage_lost(nid);
        for (_, transaction) in self.transactions.iter_mut() {
            transaction.replicating.remove(&nid);
            if let Some(finish) = &mut transaction.finish {
                finish.involved.remove(&nid);
                finish.locking.remove(&nid);
            }
        }
        if cluster.next.is_none() {
            self.unlock(cluster);
            self.update_completed_pack(cluster);
            self.ask_old_packs(cluster);
        }
        self.storages_changed();
    }

    /// Storages became ready, are gone, or have other cells.
    pub(super) fn storages_changed(&mut self) {
        if self.starting.is_empty() {
            self.happened(Awaited::Storages);
        }
        self.happened(Awaited::Failures);
    }

    /// A client's connection ended. What it has not asked to be finished is dropped.
    pub(crate) fn client_lost(&mut self, cluster: &mut Cluster, nid: Nid, link: LinkId) {
        cluster.packs.link_lost(link);
        self.old_packs.link_lost(link);
        self.delayed.link_lost(link);
        self.transactions.outcome_lost(link);
        for ttid in self.transactions.client_lost(link) {
            self.drop_transaction(cluster, ttid, &[]);
        }
        cluster.remove_node(nid);
    }

    /// Storages that were ready by some moment.
    pub(super) fn ready_by(&self, readiness: u64) -> impl Iterator<Item = Nid> {
        let ready = self.ready.iter().filter(move |(_, since)| **since <= readiness);
        ready.map(|(nid, _)| *nid)
    }

    /// All storages have carried out the pack orders up to the least that one of them reports.
    pub(super) fn update_completed_pack(&mut self, cluster: &mut Cluster) {
        let nodes = cluster.table().readable_nodes();
        let reported = nodes.iter().filter_map(|nid| cluster.nodes.get(*nid)?.completed_pack);
        let Some(id) = reported.min() else { return };
        let Some(waiting) = cluster.packs.complete(id) else { return };
        cluster.ledger.propose(Command::PackCompleted { id });
        for (link, request) in waiting {
            cluster.wire.answer(link, request, &Message::WaitedForPack {});
        }
    }

    /// Lets nothing begin any more.
    pub(crate) fn stop(&mut self) {
        self.is_stopping = true;
    }

    /// Whether no transaction is pending.
    pub(crate) fn is_idle(&self) -> bool {
        self.transactions.is_empty()
    }

    /// Whether some transactions are being finished.
    pub(crate) fn is_finishing(&self) -> bool {
        self.transactions.is_finishing()
    }

    /// Transactions and requests that have not come to their end.
    pub(crate) fn unfinished(&self) -> Vec<String> {
        let transactions = self.transactions.iter();
        let transactions = transactions.map(|(ttid, _)| format!("{ttid} is pending"));
        let starting = self.starting.iter().map(|nid| format!("{nid} is starting"));
        let delayed = self.delayed.iter().map(|(link, name)| format!("{name} of {link:?} waits"));
        transactions.chain(starting).chain(delayed).collect()
    }

    pub(crate) fn invariants(&self, cluster: &Cluster) {
        self.transactions.invariants();
        for nid in self.ready.keys().chain(&self.starting) {
            assert!(cluster.nodes.link(*nid).is_some(), "{nid} is connected");
        }
        for (ttid, transaction) in self.transactions.iter() {
            let link = transaction.client;
            let known = link.is_none_or(|link| cluster.nodes.nid_of_link(link).is_some());
            assert!(known, "{ttid} belongs to a client that is there");
        }
    }
}
