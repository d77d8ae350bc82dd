//! What the primary master says to a storage in any state: who is there, which cells there are.

use std::collections::VecDeque;

use engine::{MetadataEdit, MetadataKey};
use model::{
    Cell, CellChange, CellState, Nid, NodeState, NodeType, PartitionId, PartitionTable,
    PartitionTableId, Ttid,
};
use net::{IdTimestamp, LinkId, Message, NodeInformation};

use crate::completions::{After, End};
use crate::error::Error;
use crate::machine::{Asked, Phase, Storage, StorageExit};

/// What has to be durable before the next message of the master is handled.
#[derive(Debug)]
pub(crate) enum MasterStep {
    /// The id of this storage.
    Joined { nid: Nid },
    /// A partition table, and the cells of this storage that are not in it any more.
    Table { table: Box<PartitionTable>, discarded: Vec<PartitionId> },
    /// A transaction that was in doubt is shown.
    Validated { ttid: Ttid },
    /// What is in doubt is durable, and is asked for.
    InDoubt { link: LinkId, id: u32 },
    /// The database is truncated, or what was in doubt is committed, and is asked for its last ids.
    LastIds { link: LinkId, id: u32 },
    /// Something that is only noted.
    Noted,
}

/// Messages of the master that wait until an earlier one is done with.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    messages: VecDeque<(LinkId, u32, Message)>,
    blocked_by: Option<u64>,
    /// The connection that the last list of nodes came on.
    nodes_from: Option<LinkId>,
}

impl Inbox {
    /// What comes from now on waits for a token.
    pub(crate) fn block(&mut self, token: u64) {
        self.blocked_by = Some(token);
    }

    pub(crate) fn unblock(&mut self, token: u64) {
        if self.blocked_by == Some(token) {
            self.blocked_by = None;
        }
    }

    fn clear(&mut self) {
        self.messages.clear();
    }

    /// Whether a list of nodes is the first one of its connection.
    fn is_first_list(&mut self, link: LinkId) -> bool {
        self.nodes_from.replace(link) != Some(link)
    }
}

impl Storage {
    /// The primary master took this storage in.
    pub(crate) fn joined(&mut self, link: LinkId, master: Nid, nid: Nid) {
        tracing::info!(%master, %nid, cluster = self.options.cluster, "joined a cluster");
        self.phase = Phase::Initializing { master: link };
        let mut edits = Vec::new();
        let metadata = self.engine.metadata();
        if metadata.get(MetadataKey::ClusterName).is_none() {
            let name = self.options.cluster.as_bytes();
            edits.push(MetadataEdit::set(MetadataKey::ClusterName, name));
        }
        let stored = self.stored_nid();
        // Before it has a table, the id is perhaps another one's, of whom the master does not know.
        if stored != Some(nid) && (self.table.is_some() || self.options.new_nid) {
            edits.push(MetadataEdit::set(MetadataKey::Nid, nid.get().to_le_bytes()));
            if let (Some(stored), Some(table)) = (stored, &self.table)
                && let Some(renamed) = rename(table, stored, nid)
            {
                let bytes = renamed.to_bytes();
                edits.push(MetadataEdit::set(MetadataKey::PartitionTable, bytes));
                self.table = Some(renamed);
            }
        }
        self.edit_first(edits, MasterStep::Joined { nid });
    }

    /// The id that is durable here.
    fn stored_nid(&self) -> Option<Nid> {
        let stored = self.engine.metadata().get_u32(MetadataKey::Nid);
        stored.map(u32::cast_signed).map(Nid::new)
    }

    /// The primary master is lost: nothing goes on but what is voted.
    pub(crate) fn leave(&mut self) {
        self.stop_operation();
        if let Some(master) = self.master() {
            self.drop_tasks(master);
        }
        self.inbox.clear();
        self.forget_edits();
        self.phase = Phase::Searching;
        if !self.keeps_nid {
            self.nid = self.stored_nid();
            self.bootstrap.identity_mut().nid = self.nid.or(self.options.nid);
        }
        self.bootstrap.learn(self.nodes.masters());
        self.bootstrap.start(self.now, &mut self.links, Asked::Identification);
    }

    /// A message of the primary master.
    pub(crate) fn master_says(&mut self, id: u32, message: Message) {
        let Some(link) = self.master() else { return };
        self.inbox.messages.push_back((link, id, message));
        self.take_inbox();
    }

    pub(crate) fn take_inbox(&mut self) {
        while self.inbox.blocked_by.is_none() && self.exit.is_none() {
            let Some((link, id, message)) = self.inbox.messages.pop_front() else { return };
            if self.master() != Some(link) {
                continue;
            }
            match self.phase {
                Phase::Operating { .. } => self.master_says_operating(link, id, message),
                _ => self.master_says_initializing(link, id, message),
            }
        }
    }

    fn master_says_initializing(&mut self, link: LinkId, id: u32, message: Message) {
        match message {
            Message::SendPartitionTable { table_id: Some(table_id), replicas, rows } => {
                self.take_table(id, table_id, replicas, rows);
            }
            Message::SendPartitionTable { table_id: None, .. } => {}
            Message::Truncate { tid } => self.intend_truncation(tid),
            Message::AskRecovery {} => self.answer_recovery(link, id),
            Message::AskPartitionTable {} => self.answer_table(link, id),
            Message::AskLockedTransactions {} => {
                self.sync_first(MasterStep::InDoubt { link, id });
            }
            Message::ValidateTransaction { ttid, tid } => self.validate(ttid, tid),
            Message::AskLastIDs {} => self.ask_last_ids(link, id),
            Message::StartOperation { backup } => self.start_operation(link, id, backup),
            other => self.master_says_always(link, id, other),
        }
    }

    /// Messages that may come at any time.
    pub(crate) fn master_says_always(&mut self, link: LinkId, id: u32, message: Message) {
        match message {
            Message::NotifyNodeInformation { timestamp, nodes } => {
                self.take_nodes(link, timestamp, &nodes);
            }
            Message::NotifyPartitionChanges { table_id, replicas, changes } => {
                let Some(mut table) = self.table.clone() else {
                    return self.refuse_master(id, "changes of a table that was not sent");
                };
                match table.apply(table_id, replicas, &changes) {
                    Ok(()) => {
                        let discarded = self.discarded(&changes);
                        self.adopt(table, discarded);
                    }
                    Err(error) => self.refuse_master(id, error.to_string()),
                }
            }
            Message::NotifyClusterInformation { state } => {
                tracing::info!(%state, "the state of the cluster");
            }
            Message::StopOperation {} => {
                tracing::info!("the cluster stops operating");
                self.stop_operation();
                self.phase = Phase::Initializing { master: link };
            }
            Message::AskFinalTID { ttid } => self.ask_final_tid(link, id, ttid),
            Message::AskPackOrders { first_id } => self.ask_pack_orders(link, id, first_id),
            Message::NotifyPackSigned { approved, rejected } => {
                self.sign_packs(link, &approved, &rejected);
            }
            Message::AbortTransaction { ttid, .. } => {
                self.abort_unless_locked(ttid);
                if let Some((newest, _)) = self.peers.last_key_value() {
                    self.transactions.note_aborted(ttid, *newest);
                }
            }
            Message::NotifyTransactionFinished { ttid, .. } => self.abort_unless_locked(ttid),
            Message::NotifyRepair { .. } => tracing::info!("nothing to repair: no orphans here"),
            Message::FlushLog {} => {}
            other => {
                let text = format!("unexpected packet {}", other.name());
                self.refuse_master(id, text);
            }
        }
    }

    fn take_nodes(&mut self, link: LinkId, timestamp: IdTimestamp, nodes: &[NodeInformation]) {
        match self.inbox.is_first_list(link) {
            true => self.nodes.replace(timestamp, nodes),
            false => self.nodes.update(timestamp, nodes),
        }
        for node in nodes {
            let Some(nid) = node.nid else { continue };
            if Some(nid) == self.nid {
                self.told_of_itself(node.state);
            } else if node.node_type == NodeType::Client && node.state != NodeState::Running {
                self.client_gone(nid);
            }
        }
        // Connections of nodes that are not what they were.
        let gone = self.peers.iter().filter(|(_, peer)| {
            peer.node().is_some_and(|(nid, timestamp)| {
                let node = self.nodes.get(nid);
                node.is_none_or(|node| node.id_timestamp != Some(timestamp))
            })
        });
        for link in gone.map(|(link, _)| *link).collect::<Vec<_>>() {
            self.close_peer(link, "the master says that the node is gone");
        }
        self.judge_all();
    }

    fn told_of_itself(&mut self, state: NodeState) {
        match state {
            NodeState::Down => {
                tracing::info!("the master says that this storage is down: it ends");
                self.exit.get_or_insert(StorageExit::Stopped);
            }
            NodeState::Unknown => {
                tracing::warn!("the master says that this storage is dropped: it ends");
                self.exit.get_or_insert(StorageExit::Dropped);
            }
            NodeState::Running | NodeState::Pending => {
                tracing::info!(%state, "the master says what this storage is");
            }
        }
    }

    fn take_table(
        &mut self,
        id: u32,
        table_id: PartitionTableId,
        replicas: u32,
        rows: Vec<Vec<Cell>>,
    ) {
        let stored = self.engine.metadata().get_u32(MetadataKey::Partitions);
        let stored = stored.and_then(model::PartitionCount::new);
        if let Some(database) = stored
            && usize::try_from(database.get()) != Ok(rows.len())
        {
            return self.fail(Error::OtherPartitions { database, cluster: rows.len() });
        }
        match PartitionTable::new(table_id, replicas, rows) {
            Ok(table) if self.is_left_out(&table) => {
                tracing::warn!(
                    id = %table.id(),
                    "the partition table has no cell of this storage any more: it was dropped \
                     while it was away, and ends"
                );
                self.exit.get_or_insert(StorageExit::Dropped);
            }
            Ok(table) => self.adopt(table, Vec::new()),
            Err(error) => self.refuse_master(id, error.to_string()),
        }
    }

    /// Whether a later table than the one that is known has none of this storage's cells.
    fn is_left_out(&self, table: &PartitionTable) -> bool {
        let (Some(nid), Some(before)) = (self.nid, &self.table) else { return false };
        let has_cells = |table: &PartitionTable| {
            let mut partitions = table.partitions().iter();
            partitions.any(|partition| table.cell_state(partition, nid).is_some())
        };
        table.id() > before.id() && has_cells(before) && !has_cells(table)
    }

    /// Makes a table durable, and works with it then. Data of cells that it does not have stays: it
    /// goes only when somebody says that a cell is discarded.
    fn adopt(&mut self, table: PartitionTable, discarded: Vec<PartitionId>) {
        let mut edits = vec![
            MetadataEdit::set(MetadataKey::PartitionTable, table.to_bytes()),
            MetadataEdit::set(MetadataKey::Partitions, table.partitions().get().to_le_bytes()),
            MetadataEdit::set(MetadataKey::Replicas, table.replicas().to_le_bytes()),
        ];
        if let Some(nid) = self.nid.filter(|nid| self.stored_nid() != Some(*nid)) {
            edits.push(MetadataEdit::set(MetadataKey::Nid, nid.get().to_le_bytes()));
        }
        self.keeps_nid = true;
        let table = Box::new(table);
        self.edit_first(edits, MasterStep::Table { table, discarded });
    }

    /// Cells of this storage that are said to be no longer its own.
    fn discarded(&self, changes: &[CellChange]) -> Vec<PartitionId> {
        let is_gone = |change: &&CellChange| {
            Some(change.nid) == self.nid
                && change.state == CellState::Discarded
                && self.cell(change.partition).is_some()
        };
        changes.iter().filter(is_gone).map(|change| change.partition).collect()
    }

    /// Goes on with a message of the master.
    pub(crate) fn master_step(&mut self, step: MasterStep) {
        match step {
            MasterStep::Joined { nid } => {
                self.nid = Some(nid);
                if self.options.new_nid {
                    tracing::info!(%nid, "the copy has an id of its own");
                    self.exit.get_or_insert(StorageExit::Cloned { nid });
                }
            }
            MasterStep::Table { table, discarded } => {
                tracing::debug!(id = %table.id(), "a partition table");
                self.table = Some(*table);
                self.discard_cells(&discarded);
            }
            MasterStep::Validated { ttid } => tracing::info!(%ttid, "committed, after doubt"),
            MasterStep::InDoubt { link, id } => self.answer_locked(link, id),
            MasterStep::LastIds { link, id } => self.answer_last_ids(link, id),
            MasterStep::Noted => {}
        }
    }

    /// Cells that this storage has no longer: their data goes, and all locks on it.
    fn discard_cells(&mut self, discarded: &[PartitionId]) {
        if discarded.is_empty() {
            return;
        }
        self.drop_locks(discarded);
        if self.options.disable_drop_partitions {
            return;
        }
        for partition in discarded {
            tracing::info!(%partition, "the data of a discarded cell goes");
            let token = self.token(After::Nobody);
            if let Err(error) = self.engine.drop_partition(token, *partition) {
                self.completions.remove(&token);
                // The data stays: that is no harm, and it goes when the cell is discarded again.
                tracing::warn!(%partition, %error, "the data of a discarded cell stays");
            }
        }
        let Some(table) = &self.table else { return };
        let (partitions, discarded) = (table.partitions(), discarded.to_vec());
        if self.packs.retain(|id| !discarded.contains(&partitions.of_tid(id))) {
            self.keep_packs();
        }
    }

    /// State of this storage's cell of a partition.
    pub(crate) fn cell(&self, partition: PartitionId) -> Option<CellState> {
        self.table.as_ref()?.cell_state(partition, self.nid?)
    }

    /// Whether this storage's cell of a partition can be read (R17).
    pub(crate) fn is_readable(&self, partition: PartitionId) -> bool {
        self.cell(partition).is_some_and(CellState::is_readable)
    }

    /// Everything that is not committed and that nobody will ask for any more.
    pub(crate) fn disown_all(&mut self) {
        let ttids: Vec<Ttid> = self.engine.transactions().map(|(ttid, _)| ttid).collect();
        for ttid in &ttids {
            tracing::info!(%ttid, "an unfinished transaction is dropped");
            self.end(End::Disown { ttid: *ttid });
        }
        let is_dropped = |id: model::Tid| ttids.contains(&Ttid::new(id.get()));
        if self.packs.retain(|id| !is_dropped(id)) {
            self.keep_packs();
        }
    }
}

/// A table in which a node has another id; `None` if it has no cells, or the new id has some.
fn rename(table: &PartitionTable, before: Nid, after: Nid) -> Option<PartitionTable> {
    let rename = |cell: &Cell| match cell.nid == before {
        true => Cell { nid: after, ..*cell },
        false => *cell,
    };
    let rows = table.partitions().iter();
    let rows = rows.map(|partition| table.cells(partition).iter().map(rename).collect());
    PartitionTable::new(table.id(), table.replicas(), rows.collect()).ok()
}
