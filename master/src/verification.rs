//! VERIFYING: what becomes of transactions that were being committed when the cluster stopped.
//!
//! Nodes with readable cells tell what they voted, and what they locked. A tid that is found
//! anywhere completes the commit everywhere (R1), first where it can be asked for by its ttid: who
//! has completed it does not tell of it any more. What nobody locked is dropped when operation
//! starts. Then the storages truncate, if they are to, and tell their last ids and pack orders.

use std::collections::{BTreeMap, BTreeSet};

use model::{ClusterState, Nid, NodeType, Tid, Ttid};
use net::Message;

use crate::cluster::Cluster;
use crate::log::Command;
use crate::phase::Next;
use crate::wire::Asked;

/// What is being asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Locked,
    FinalTids,
    /// Commits are completed where their metadata is.
    Metadata,
    LastIds,
    PackOrders,
}

/// The machine of this state.
#[derive(Debug)]
pub(crate) struct Verification {
    stage: Stage,
    /// Who has still to answer, and how often.
    waiting: BTreeMap<Nid, usize>,
    /// Who voted a transaction.
    voted: BTreeMap<Ttid, BTreeSet<Nid>>,
    /// What is known of tids.
    locked: BTreeMap<Ttid, Tid>,
    /// Who was told to complete a commit.
    told: BTreeSet<(Ttid, Nid)>,
}

impl Verification {
    /// Announces the state, gives the storages the table, and asks for transactions in doubt.
    pub(crate) fn begin(cluster: &mut Cluster) -> Self {
        cluster.announce_state(ClusterState::Verifying);
        // Also those without cells keep their ids with the table.
        let storages = cluster.nodes.identified(NodeType::Storage).map(|(nid, _)| nid);
        if let Some(last) = storages.max() {
            cluster.keep_nid(last);
        }
        let message = cluster.table_message();
        cluster.send_to_all(NodeType::Storage, &message);
        cluster.ids.forget();
        cluster.packs.forget();
        let mut verification = Self {
            stage: Stage::Locked,
            waiting: BTreeMap::new(),
            voted: BTreeMap::new(),
            locked: BTreeMap::new(),
            told: BTreeSet::new(),
        };
        for nid in cluster.table().readable_nodes() {
            let message = Message::AskLockedTransactions {};
            verification.ask(cluster, nid, &message, Asked::LockedTransactions);
        }
        verification.go_on(cluster);
        verification
    }

    /// A storage is gone.
    pub(crate) fn storage_lost(&mut self, cluster: &mut Cluster, nid: Nid) {
        cluster.storage_gone(nid);
        self.storage_left(cluster, nid);
    }

    /// Nothing more is expected of a storage that is already marked as gone.
    pub(crate) fn storage_left(&mut self, cluster: &mut Cluster, nid: Nid) {
        self.waiting.remove(&nid);
        self.go_on(cluster);
    }

    /// A storage answers.
    pub(crate) fn answer(
        &mut self,
        cluster: &mut Cluster,
        nid: Nid,
        asked: Asked,
        message: Message,
    ) {
        match (asked, message) {
            (_, Message::AnswerLockedTransactions { transactions }) => {
                for (ttid, tid) in transactions.0 {
                    self.voted.entry(ttid).or_default().insert(nid);
                    self.learn_tid(nid, ttid, tid);
                }
            }
            (Asked::FinalTid(ttid), Message::AnswerFinalTID { tid }) => {
                self.learn_tid(nid, ttid, tid);
            }
            (_, Message::AnswerLastIDs { last_tid, last_oid, first_tid }) => {
                cluster.ids.learn(last_tid, last_oid, first_tid);
            }
            (Asked::PackOrders, Message::AnswerPackOrders { orders }) => {
                cluster.packs.learn(orders, &cluster.ledger.remembered().packs);
            }
            // Of what was asked in an earlier state.
            _ => return,
        }
        if let Some(count) = self.waiting.get_mut(&nid) {
            *count -= 1;
            if *count == 0 {
                self.waiting.remove(&nid);
            }
        }
        self.go_on(cluster);
    }

    fn learn_tid(&mut self, nid: Nid, ttid: Ttid, tid: Option<Tid>) {
        let Some(tid) = tid else { return };
        let known = *self.locked.entry(ttid).or_insert(tid);
        if known != tid {
            tracing::error!(%nid, %ttid, %tid, %known, "storages disagree about a commit");
        }
    }

    fn ask(&mut self, cluster: &mut Cluster, nid: Nid, message: &Message, asked: Asked) {
        if let Some(link) = cluster.nodes.link(nid) {
            cluster.wire.ask(link, message, asked);
            *self.waiting.entry(nid).or_default() += 1;
        }
    }

    fn go_on(&mut self, cluster: &mut Cluster) {
        while self.waiting.is_empty() && cluster.next.is_none() {
            match self.stage {
                Stage::Locked => self.ask_final_tids(cluster),
                Stage::FinalTids => self.complete_metadata(cluster),
                Stage::Metadata => self.ask_last_ids(cluster),
                Stage::LastIds => self.ask_pack_orders(cluster),
                Stage::PackOrders => cluster.follow_with(Next::Operate),
            }
        }
    }

    /// Some nodes may have unlocked already what others only voted: they know the tid.
    fn ask_final_tids(&mut self, cluster: &mut Cluster) {
        self.stage = Stage::FinalTids;
        let mut asked = Vec::new();
        for (ttid, voted) in &self.voted {
            if self.locked.contains_key(ttid) {
                continue;
            }
            let table = cluster.table();
            let partition = table.partitions().of_ttid(*ttid);
            let others = table.table().readable(partition).filter(|nid| !voted.contains(nid));
            asked.extend(others.map(|nid| (nid, *ttid)));
        }
        for (nid, ttid) in asked {
            self.ask(cluster, nid, &Message::AskFinalTID { ttid }, Asked::FinalTid(ttid));
        }
    }

    /// Completes what was locked where it can be asked for afterwards, and waits until that is
    /// durable, as it is when a storage tells again what it has in doubt. Nothing is truncated
    /// before all was completed: what comes afterwards would stay.
    fn complete_metadata(&mut self, cluster: &mut Cluster) {
        self.stage = Stage::Metadata;
        let mut keepers = BTreeSet::new();
        for (ttid, nid) in self.not_told() {
            let table = cluster.table();
            let partition = table.partitions().of_ttid(ttid);
            if table.table().readable(partition).any(|keeper| keeper == nid) {
                self.complete(cluster, ttid, nid);
                keepers.insert(nid);
            }
        }
        for nid in keepers {
            let message = Message::AskLockedTransactions {};
            self.ask(cluster, nid, &message, Asked::LockedTransactions);
        }
    }

    /// Who voted a commit that is to be completed, and was not told so yet.
    fn not_told(&self) -> Vec<(Ttid, Nid)> {
        let locked = self.voted.iter().filter(|(ttid, _)| self.locked.contains_key(ttid));
        let voted = locked.flat_map(|(ttid, voted)| voted.iter().map(|nid| (*ttid, *nid)));
        voted.filter(|one| !self.told.contains(one)).collect()
    }

    fn complete(&mut self, cluster: &mut Cluster, ttid: Ttid, nid: Nid) {
        let Some(&tid) = self.locked.get(&ttid) else { return };
        self.told.insert((ttid, nid));
        tracing::info!(%ttid, %tid, %nid, "completing a commit");
        if let Some(link) = cluster.nodes.link(nid) {
            cluster.wire.send(link, &Message::ValidateTransaction { ttid, tid });
        }
    }

    /// Completes what was locked everywhere else, and goes on to the ids.
    fn ask_last_ids(&mut self, cluster: &mut Cluster) {
        self.stage = Stage::LastIds;
        for (ttid, nid) in self.not_told() {
            self.complete(cluster, ttid, nid);
        }
        for ttid in self.voted.keys().filter(|ttid| !self.locked.contains_key(ttid)) {
            tracing::info!(%ttid, "dropping a transaction that was not committed");
        }
        let storages: Vec<Nid> =
            cluster.nodes.identified(NodeType::Storage).map(|(nid, _)| nid).collect();
        for nid in storages {
            self.ask(cluster, nid, &Message::AskLastIDs {}, Asked::LastIds);
        }
    }

    /// All storages have truncated now, if they were to.
    fn ask_pack_orders(&mut self, cluster: &mut Cluster) {
        self.stage = Stage::PackOrders;
        for ttid in self.voted.keys() {
            cluster.ids.learn_ttid(cluster.now.unix, *ttid);
        }
        let remembered = cluster.ledger.remembered();
        if let Some((_, [a, b, c, d, ..])) = remembered.cluster
            && remembered.reserved_tid == Tid::ZERO
            && cluster.ids.last_tid() > Tid::ZERO
        {
            // Each log has an id of its own, which is random.
            cluster.ids.begin_anywhere(u32::from_le_bytes([a, b, c, d]));
        }
        if cluster.truncate.take().is_some() {
            cluster.commit(Command::Truncate(None));
        }
        let nodes = cluster.table().readable_nodes();
        let completed = nodes.iter().filter_map(|nid| cluster.nodes.get(*nid)?.completed_pack);
        let first_id = completed.min().map_or(Tid::ZERO, |id| Tid::new(id.get().saturating_add(1)));
        for nid in nodes {
            let message = Message::AskPackOrders { first_id };
            self.ask(cluster, nid, &message, Asked::PackOrders);
        }
    }
}
