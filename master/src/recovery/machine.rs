//! The machine: asks the storages, and starts.

use std::collections::{BTreeMap, BTreeSet};

use model::{
    CellChange, CellState, ClusterState, Nid, NodeState, NodeType, PartitionTable,
    PartitionTableId, Tid,
};
use net::{Message, NodeInformation};

use super::choice::{Impulse, Obstacle};
use super::reports::{Report, Reports, Usage};
use crate::cluster::Cluster;
use crate::identification::displace;
use crate::log::Command;
use crate::nodes::Node;
use crate::phase::Next;
use crate::table::{first, outdated};
use crate::truncation::{remember_absent, truncate_first};
use crate::wire::Asked;

/// The machine of this state.
#[derive(Debug, Default)]
pub(crate) struct Recovery {
    pub(super) reports: Reports,
    /// The greatest id of a table that a storage reported, also of one that is gone since.
    pub(super) newest: Option<PartitionTableId>,
    /// The id of the newest table that was found: in the log, or on a storage. That a storage was
    /// dropped meanwhile makes a newer one, which nobody has.
    pub(super) found: Option<PartitionTableId>,
    /// Storages whose table has the same id as the newest and other rows, with what to say.
    pub(super) conflicts: BTreeMap<Nid, String>,
    /// The last transactions of storages that were asked.
    pub(super) last_tids: BTreeMap<Nid, Tid>,
    /// What was last said of why it does not start.
    explained: Option<Obstacle>,
}

impl Recovery {
    /// Begins anew: with the table of the log, if there is one.
    pub(crate) fn begin(cluster: &mut Cluster) -> Self {
        cluster.table = None;
        cluster.announce_state(ClusterState::Recovering);
        if let Some(table) = cluster.ledger.remembered().table.clone() {
            adopt(cluster, table);
        }
        cluster.truncate = cluster.ledger.remembered().truncate;
        let storages: Vec<Nid> =
            cluster.nodes.identified(NodeType::Storage).map(|(nid, _)| nid).collect();
        cluster.nodes.settle_given();
        let found = cluster.table.as_ref().map(|table| table.table().id());
        let recovery = Self { found, ..Self::default() };
        for nid in storages {
            recovery.storage_joined(cluster, nid);
        }
        recovery
    }

    /// A storage is identified.
    pub(crate) fn storage_joined(&self, cluster: &mut Cluster, nid: Nid) {
        if let Some(link) = cluster.nodes.link(nid) {
            cluster.wire.ask(link, &Message::AskRecovery {}, Asked::Recovery);
        }
    }

    /// A storage is gone.
    pub(crate) fn storage_lost(&mut self, cluster: &mut Cluster, nid: Nid) {
        cluster.nodes.disconnect(nid);
        let is_given = cluster.nodes.get(nid).is_some_and(|node| node.is_given);
        let is_remembered = cluster.ledger.remembered().storages.contains_key(&nid);
        let has_cells = cluster.table.as_ref().is_some_and(|table| table.nodes().contains(&nid));
        if is_given && !is_remembered && !has_cells {
            // What it was given just now it does not keep.
            cluster.remove_node(nid);
        } else {
            cluster.set_node_state(nid, NodeState::Down);
            cluster.broadcast_nodes(&[nid]);
        }
        self.storage_left(cluster, nid);
    }

    /// Nothing more is expected of a storage that is already marked as gone.
    pub(crate) fn storage_left(&mut self, cluster: &mut Cluster, nid: Nid) {
        self.reports.remove(nid);
        self.last_tids.remove(&nid);
        self.conflicts.remove(&nid);
        self.learn_truncate(cluster);
    }

    /// A storage answers.
    pub(crate) fn answer(&mut self, cluster: &mut Cluster, nid: Nid, message: Message) {
        match message {
            // What it says counts when it has truncated; then it is asked again.
            Message::AnswerRecovery { table_id, .. } if truncate_first(cluster, nid, table_id) => {}
            Message::AnswerRecovery { table_id, backup_tid, truncate_tid } => {
                let (backup, truncate) = (backup_tid, truncate_tid);
                let usage = Usage::Unasked;
                self.reports.insert(nid, Report { table_id, backup, truncate, usage });
                self.newest = self.newest.max(table_id);
                cluster.nodes.set_new(nid, table_id.is_none());
                let of_log = cluster.ledger.remembered().table.as_ref().map(PartitionTable::id);
                if table_id > of_log {
                    note_foreign(cluster);
                }
                let newest = cluster.table.as_ref().map(|table| table.table().id());
                if table_id.is_some()
                    && table_id >= newest
                    && let Some(link) = cluster.nodes.link(nid)
                {
                    cluster.wire.ask(link, &Message::AskPartitionTable {}, Asked::PartitionTable);
                }
                self.learn_truncate(cluster);
            }
            Message::AnswerPartitionTable { table_id, replicas, rows } => {
                match PartitionTable::new(table_id, replicas, rows) {
                    Ok(table) => self.candidate(cluster, nid, table),
                    Err(error) => {
                        self.conflicts.insert(nid, format!("the table of {nid}: {error}"));
                    }
                }
            }
            Message::AnswerLastIDs { last_tid, last_oid, .. } => {
                self.last_tids.insert(nid, last_tid.unwrap_or(Tid::ZERO));
                self.reports.learn_last_ids(nid, last_tid, last_oid);
                self.note_usage(cluster, nid);
            }
            Message::AnswerLockedTransactions { transactions } => {
                self.reports.learn_locked(nid, &transactions.0);
                self.note_usage(cluster, nid);
            }
            _ => {}
        }
    }

    /// Starts if that is possible now.
    pub(crate) fn try_start(&mut self, cluster: &mut Cluster) {
        if cluster.wire.is_held() || cluster.next.is_some() {
            return;
        }
        self.ask_usage(cluster);
        self.ask_last_tids(cluster);
        match self.choose(cluster, cluster.startup) {
            Err(obstacle) => self.explain(obstacle),
            Ok(chosen) => {
                if cluster.table.is_none() || !self.repeat_truncation(cluster) {
                    self.start(cluster, &chosen);
                }
            }
        }
    }

    /// Why an operator cannot have it started now.
    pub(crate) fn refusal(&self, cluster: &Cluster) -> Option<String> {
        let obstacle = self.choose(cluster, Impulse::Operator).err()?;
        Some(format!("Cannot exit recovery: {obstacle}"))
    }

    /// Asks storages whether anything was written to them, if empty ones may count then.
    fn ask_usage(&mut self, cluster: &mut Cluster) {
        for nid in self.unasked_of_usage(cluster) {
            let Some(link) = cluster.nodes.link(nid) else { continue };
            self.reports.ask_usage(nid);
            cluster.wire.ask(link, &Message::AskLastIDs {}, Asked::LastIds);
            let message = Message::AskLockedTransactions {};
            cluster.wire.ask(link, &message, Asked::LockedTransactions);
        }
    }

    /// Asks storages for their last tids where only the log says that they have to truncate.
    fn ask_last_tids(&mut self, cluster: &mut Cluster) {
        if self.doubtful_truncate(cluster).is_none() {
            return;
        }
        // One that was told once would truncate when it is asked.
        let storages = self.reports.iter().filter(|(_, report)| report.truncate.is_none());
        let storages: Vec<Nid> = storages.map(|(nid, _)| nid).collect();
        for nid in storages {
            if let Some(link) = cluster.nodes.link(nid)
                && !self.last_tids.contains_key(&nid)
                && !cluster.wire.is_asked(link)
            {
                cluster.wire.ask(link, &Message::AskLastIDs {}, Asked::LastIds);
            }
        }
    }

    fn note_usage(&self, cluster: &mut Cluster, nid: Nid) {
        if self.reports.get(nid).is_some_and(|report| report.usage == Usage::Something) {
            note_foreign(cluster);
        }
    }

    /// Has storages give up ids that they were given just now, if the table has others with them.
    fn displace_newcomers(&mut self, cluster: &mut Cluster) {
        for nid in cluster.table().nodes() {
            let is_given = cluster.nodes.get(nid).is_some_and(|node| node.is_given);
            if is_given && cluster.nodes.link(nid).is_some() && !self.reports.has_table(nid) {
                displace(cluster, nid);
                cluster.nodes.forget_address(nid);
                self.storage_lost(cluster, nid);
            }
        }
    }

    /// A table that a storage has.
    fn candidate(&mut self, cluster: &mut Cluster, nid: Nid, table: PartitionTable) {
        let found = cluster.table.as_ref().map(|known| known.table());
        match found {
            Some(known) if known.id() > table.id() => {}
            Some(known) if known.id() == table.id() => {
                if *known != table {
                    let what = format!(
                        "two partition tables have id {}: {} here, and {} on {nid}",
                        table.id(),
                        shown(known),
                        shown(&table)
                    );
                    self.conflicts.insert(nid, what);
                }
            }
            _ => {
                forget_truncations(cluster, nid, &table);
                self.found = Some(table.id());
                // Conflicts were about an older one.
                self.conflicts.clear();
                cluster.commit(Command::Table(table.clone()));
                adopt(cluster, table);
                self.displace_newcomers(cluster);
                cluster.remember_storages();
                cluster.truncate = self.reported_truncate(cluster);
            }
        }
    }

    /// What was said last of why it does not start.
    pub(crate) fn obstacle(&self) -> Option<String> {
        self.explained.as_ref().map(ToString::to_string)
    }

    /// Says once why it does not start.
    fn explain(&mut self, obstacle: Obstacle) {
        if self.explained.as_ref() == Some(&obstacle) {
            return;
        }
        match &obstacle {
            Obstacle::Entering(_) => return,
            Obstacle::Waiting(text) => tracing::info!("the cluster does not start yet: {text}"),
            Obstacle::Trouble(text) => tracing::error!("the cluster does not start: {text}"),
        }
        self.explained = Some(obstacle);
    }

    /// The lowest tid that the log or a storage of the newest table is to truncate to.
    fn learn_truncate(&self, cluster: &mut Cluster) {
        let log = cluster.ledger.remembered().truncate;
        cluster.truncate = self.reported_truncate(cluster).into_iter().chain(log).min();
    }

    /// Without what the log says.
    pub(super) fn reported_truncate(&self, cluster: &Cluster) -> Option<Tid> {
        self.reports.truncate(self.found, cluster.table.as_ref())
    }

    /// Has those storages truncate that do not know of it yet, and asks them again.
    fn repeat_truncation(&mut self, cluster: &mut Cluster) -> bool {
        let Some(tid) = cluster.truncate else { return false };
        // Others have nothing that counts, and might remember it when it is over (R18).
        let storages = cluster.table().nodes();
        let unaware = self.reports.iter().filter(|(nid, report)| {
            storages.contains(nid) && report.truncate.is_none_or(|other| tid < other)
        });
        let unaware: Vec<Nid> = unaware.map(|(nid, _)| nid).collect();
        for nid in &unaware {
            if let Some(link) = cluster.nodes.link(*nid)
                && !cluster.wire.is_asked(link)
            {
                cluster.wire.send(link, &Message::Truncate { tid });
                self.storage_joined(cluster, *nid);
            }
        }
        !unaware.is_empty()
    }

    fn start(&self, cluster: &mut Cluster, chosen: &BTreeSet<Nid>) {
        let running: Vec<Nid> = match &cluster.table {
            Some(table) => {
                let nodes = table.nodes().into_iter();
                nodes.filter(|nid| cluster.nodes.link(*nid).is_some()).collect()
            }
            None => chosen.iter().copied().collect(),
        };
        tracing::info!(storages = running.len(), "startup allowed");
        for nid in &running {
            cluster.set_node_state(*nid, NodeState::Running);
        }
        cluster.broadcast_nodes(&running);
        if cluster.table.is_none() {
            let members = cluster.members(running.iter().copied());
            let options = &cluster.options;
            let table = first(options.partitions, options.replicas, &members);
            let table = table.expect("there is a storage");
            tracing::info!(storages = members.len(), "creating a new partition table");
            // First who they are, as they do not know it yet: a table whose storages nobody knows
            // would wait for ever.
            cluster.remember(running);
            cluster.commit(Command::Table(table.clone()));
            cluster.set_table(table);
            let message = cluster.table_message();
            cluster.send_to_all(NodeType::Admin, &message);
        } else {
            if let Some(tid) = cluster.truncate {
                remember_absent(cluster, tid);
            }
            let empty_ones_count = self.empty_ones_count(cluster, cluster.startup);
            let mut changes = outdated(cluster.table(), None);
            if !empty_ones_count {
                changes.extend(self.empty_ones(cluster));
            }
            if let Some(message) = cluster.next_table(None, changes) {
                cluster.send_to_all(NodeType::Admin, &message);
            }
        }
        cluster.follow_with(Next::Verify);
    }

    /// Outdates cells of storages whose databases are empty, where others have something.
    fn empty_ones(&self, cluster: &Cluster) -> Vec<CellChange> {
        let table = cluster.table();
        let cells = table.cells().filter(|(_, cell)| {
            cell.state.is_readable()
                && table.is_running(cell.nid)
                && !self.reports.has_table(cell.nid)
        });
        cells
            .map(|(partition, cell)| {
                let state = match cell.state {
                    CellState::Feeding => CellState::Discarded,
                    _ => CellState::OutOfDate,
                };
                CellChange { partition, nid: cell.nid, state }
            })
            .collect()
    }
}

/// Remembers that a storage has a database of which the log does not know: the log was lost, or is
/// an old one, and from what it says of ids nobody can tell that nothing was written.
fn note_foreign(cluster: &mut Cluster) {
    if !cluster.ledger.remembered().is_foreign {
        cluster.commit(Command::Foreign);
    }
}

/// A storage has a newer table than is known here. The log has every table before anybody else, so
/// it is an old one then, or of another life of the cluster: what it says of truncations is over.
fn forget_truncations(cluster: &mut Cluster, nid: Nid, table: &PartitionTable) {
    let remembered = cluster.ledger.remembered();
    let Some(known) = remembered.table.as_ref().map(PartitionTable::id) else {
        tracing::info!(%nid, table_id = %table.id(), "a storage has a partition table");
        return;
    };
    tracing::warn!(
        %nid, table_id = %table.id(), of_log = %known,
        "a storage has a newer partition table than the log, which must be an old one"
    );
    let late: Vec<Nid> = remembered.late_truncations.keys().copied().collect();
    if let Some(tid) = remembered.truncate {
        tracing::warn!(%tid, "the truncation that the log remembers is not repeated");
        cluster.commit(Command::Truncate(None));
    }
    for nid in late {
        tracing::warn!(%nid, "the truncation that the log remembers is not repeated");
        cluster.commit(Command::LateTruncation { nid, tid: None });
    }
}

/// Takes over a table and tells the admins, who learn of its nodes first. So do the storages, which
/// get the table later.
fn adopt(cluster: &mut Cluster, table: PartitionTable) {
    cluster.set_table(table);
    let unknown = cluster.table().nodes().into_iter();
    let unknown: Vec<Nid> = unknown.filter(|nid| cluster.nodes.get(*nid).is_none()).collect();
    for nid in &unknown {
        let address = cluster.ledger.remembered().storages.get(nid).cloned().flatten();
        let address = address.filter(|address| cluster.nodes.nid_of_address(address).is_none());
        cluster.nodes.insert(*nid, Node::absent(NodeType::Storage, address));
    }
    let timestamp = cluster.id_clock.next(cluster.now.unix);
    let nodes: Vec<NodeInformation> =
        unknown.iter().filter_map(|nid| cluster.nodes.information(*nid)).collect();
    let message = Message::NotifyNodeInformation { timestamp, nodes };
    cluster.send_to_all(NodeType::Admin, &message);
    if !unknown.is_empty() {
        cluster.send_to_all(NodeType::Storage, &message);
    }
    let message = cluster.table_message();
    cluster.send_to_all(NodeType::Admin, &message);
}

/// Rows for the eyes of an operator.
fn shown(table: &PartitionTable) -> String {
    let row = |partition| {
        let cells = table.cells(partition).iter();
        let cells: Vec<String> = cells.map(|cell| format!("{}:{}", cell.nid, cell.state)).collect();
        format!("{partition}=[{}]", cells.join(" "))
    };
    let rows: Vec<String> = table.partitions().iter().map(row).collect();
    format!("({} replicas: {})", table.replicas(), rows.join(" "))
}
