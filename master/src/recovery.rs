//! RECOVERING: finding the newest partition table, and the storages that can operate it.
//!
//! Candidates are the log's table and that of every storage. The greatest id wins. Where two have
//! the same id and other rows, the cluster does not start: somebody has to look.

use std::collections::{BTreeMap, BTreeSet};

use model::{
    CellChange, CellState, ClusterState, Nid, NodeState, NodeType, PartitionTable,
    PartitionTableId, Tid,
};
use net::{Message, NodeInformation};

use crate::cluster::Cluster;
use crate::log::Command;
use crate::nodes::Node;
use crate::phase::Next;
use crate::table::{first, outdated};
use crate::wire::Asked;

/// What a storage said of itself.
#[derive(Clone, Copy, Debug)]
struct Report {
    /// Of its table; None: its database is empty.
    table_id: Option<PartitionTableId>,
    truncate: Option<Tid>,
}

/// The machine of this state.
#[derive(Debug, Default)]
pub(crate) struct Recovery {
    reports: BTreeMap<Nid, Report>,
    /// The greatest id of a table that a storage reported, also of one that is gone since.
    newest: Option<PartitionTableId>,
    /// Storages whose table has the same id as the newest and other rows, with what to say.
    conflicts: BTreeMap<Nid, String>,
    /// Whether it was said already what is missing.
    explained: bool,
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
        let recovery = Self::default();
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
        cluster.set_node_state(nid, NodeState::Down);
        cluster.broadcast_nodes(&[nid]);
        self.storage_left(cluster, nid);
    }

    /// Nothing more is expected of a storage that is already marked as gone.
    pub(crate) fn storage_left(&mut self, cluster: &mut Cluster, nid: Nid) {
        self.reports.remove(&nid);
        self.conflicts.remove(&nid);
        self.explained = false;
        self.learn_truncate(cluster);
    }

    /// A storage answers.
    pub(crate) fn answer(&mut self, cluster: &mut Cluster, nid: Nid, message: Message) {
        match message {
            Message::AnswerRecovery { table_id, truncate_tid, .. } => {
                self.reports.insert(nid, Report { table_id, truncate: truncate_tid });
                self.newest = self.newest.max(table_id);
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
                        tracing::error!(%nid, %error, "a storage has an impossible table");
                        self.conflicts.insert(nid, format!("the table of {nid}: {error}"));
                    }
                }
            }
            _ => {}
        }
    }

    /// Starts if that is possible now.
    pub(crate) fn try_start(&mut self, cluster: &mut Cluster) {
        if !self.conflicts.is_empty() || cluster.wire.is_held() || cluster.next.is_some() {
            return;
        }
        let chosen = match &cluster.table {
            Some(_) => self.storages_of_table(cluster),
            None if self.newest.is_some() => None,
            None => self.storages_of_new_table(cluster),
        };
        let Some(chosen) = chosen else { return };
        // One that is just being asked, whoever it is, may know of a newer table.
        let is_asked = {
            let mut storages = cluster.nodes.identified(NodeType::Storage);
            storages.any(|(_, link)| cluster.wire.is_asked(link))
        };
        if chosen.is_empty() || is_asked {
            return;
        }
        if cluster.table.is_some() && self.truncate_first(cluster) {
            return;
        }
        self.start(cluster, chosen);
    }

    /// Why an operator cannot have it started now.
    pub(crate) fn refusal(&self, cluster: &Cluster) -> Option<String> {
        if let Some(conflict) = self.conflicts.values().next() {
            return Some(format!("Cannot exit recovery: {conflict}"));
        }
        let mut storages = cluster.nodes.identified(NodeType::Storage).peekable();
        if storages.peek().is_none() {
            return Some("Cannot exit recovery without any storage node".to_owned());
        }
        let entering = storages.find(|(_, link)| cluster.wire.is_asked(*link));
        entering.map(|(nid, _)| format!("Cannot exit recovery now: node {nid} is entering cluster"))
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
                    tracing::error!(%nid, "{what}");
                    self.conflicts.insert(nid, what);
                }
            }
            _ => {
                tracing::info!(%nid, table_id = %table.id(), "a storage has a newer table");
                // Conflicts were about an older one.
                self.conflicts.clear();
                cluster.commit(Command::Table(table.clone()));
                adopt(cluster, table);
            }
        }
    }

    /// The storages to operate with, by the table; `None` if it is too early.
    fn storages_of_table(&mut self, cluster: &Cluster) -> Option<BTreeSet<Nid>> {
        let table = cluster.table();
        if let Some(newest) = self.newest.filter(|newest| *newest > table.table().id()) {
            self.explain(cluster, &format!("none of them has given table {newest}"));
            return None;
        }
        let all_empty = !self.reports.values().any(|report| report.table_id.is_some());
        // A database that is empty has nothing to read, whatever the table says. Only if none has
        // anything, and an operator says so, it is a database that was never used.
        let serves = |nid: Nid| {
            cluster.nodes.link(nid).is_some()
                && (self.has_table(nid) || all_empty && cluster.startup_requested)
        };
        let missing = table
            .partitions()
            .iter()
            .find(|partition| !table.table().readable(*partition).any(serves));
        if let Some(partition) = missing {
            self.explain(cluster, &format!("partition {partition} cannot be read"));
            return None;
        }
        let readable = table.readable_nodes();
        if cluster.startup_allowed {
            return Some(readable.into_iter().filter(|nid| serves(*nid)).collect());
        }
        let needed = if cluster.truncate.is_some() { table.nodes() } else { readable };
        if let Some(nid) = needed.iter().find(|nid| !serves(**nid)) {
            self.explain(cluster, &format!("{nid} is missing"));
            return None;
        }
        Some(needed)
    }

    fn storages_of_new_table(&self, cluster: &Cluster) -> Option<BTreeSet<Nid>> {
        let storages: BTreeSet<Nid> =
            cluster.nodes.identified(NodeType::Storage).map(|(nid, _)| nid).collect();
        let enough = cluster.options.autostart.is_some_and(|count| {
            count > 0 && u32::try_from(storages.len()).is_ok_and(|present| present >= count)
        });
        (cluster.startup_allowed || enough).then_some(storages)
    }

    fn has_table(&self, nid: Nid) -> bool {
        self.reports.get(&nid).is_some_and(|report| report.table_id.is_some())
    }

    fn explain(&mut self, cluster: &Cluster, what: &str) {
        if !std::mem::replace(&mut self.explained, true) {
            let table_id = cluster.table().table().id();
            tracing::info!(%table_id, "waiting for storages: {what}");
        }
    }

    /// The lowest tid that the log or a storage of the newest table is to truncate to.
    fn learn_truncate(&self, cluster: &mut Cluster) {
        let newest = cluster.table.as_ref().map(|table| table.table().id());
        let reports = self.reports.values().filter(|report| report.table_id >= newest);
        let log = cluster.ledger.remembered().truncate;
        cluster.truncate = reports.filter_map(|report| report.truncate).chain(log).min();
    }

    /// Has those storages truncate that do not know of it yet, and asks them again.
    fn truncate_first(&mut self, cluster: &mut Cluster) -> bool {
        let Some(tid) = cluster.truncate else { return false };
        let unaware = self
            .reports
            .iter()
            .filter(|(_, report)| report.truncate.is_none_or(|other| tid < other));
        let unaware: Vec<Nid> = unaware.map(|(nid, _)| *nid).collect();
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

    fn start(&self, cluster: &mut Cluster, chosen: BTreeSet<Nid>) {
        let running: Vec<Nid> = match &cluster.table {
            Some(table) => {
                let nodes = table.nodes().into_iter();
                nodes.filter(|nid| cluster.nodes.link(*nid).is_some()).collect()
            }
            None => chosen.iter().copied().collect(),
        };
        if running
            .iter()
            .any(|nid| cluster.nodes.link(*nid).is_some_and(|link| cluster.wire.is_asked(link)))
        {
            return;
        }
        tracing::info!(storages = running.len(), "startup allowed");
        for nid in &running {
            cluster.set_node_state(*nid, NodeState::Running);
        }
        cluster.broadcast_nodes(&running);
        if cluster.table.is_none() {
            let members = cluster.members(running.into_iter());
            let options = &cluster.options;
            let table = first(options.partitions, options.replicas, &members);
            let table = table.expect("there is a storage");
            tracing::info!(storages = members.len(), "creating a new partition table");
            cluster.commit(Command::Table(table.clone()));
            cluster.set_table(table);
            let message = cluster.table_message();
            cluster.send_to_all(NodeType::Admin, &message);
        } else {
            let mut changes = outdated(cluster.table(), None);
            changes.extend(self.empty_ones(cluster));
            if let Some(message) = cluster.next_table(None, changes) {
                cluster.send_to_all(NodeType::Admin, &message);
            }
        }
        cluster.follow_with(Next::Verify);
    }

    /// Outdates cells of storages whose databases are empty, where others have something.
    fn empty_ones(&self, cluster: &Cluster) -> Vec<CellChange> {
        if !self.reports.values().any(|report| report.table_id.is_some()) {
            return Vec::new();
        }
        let table = cluster.table();
        let cells = table.cells().filter(|(_, cell)| {
            cell.state.is_readable() && table.is_running(cell.nid) && !self.has_table(cell.nid)
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
