//! What the primary master tells.

use model::{CellChange, NodeState, Oid, PartitionTable, PartitionTableId, Tid, Ttid};
use net::{ErrorCode, IdTimestamp, LinkId, Message, NodeInformation};

use super::peer::Stage;
use crate::machine::Client;
use crate::request::Completion;

impl Client {
    pub(crate) fn master_notified(&mut self, link: LinkId, id: u32, message: Message) {
        if self.master.stage == Stage::Searching {
            return self.bootstrap_packet(message);
        }
        match message {
            Message::NotifyNodeInformation { timestamp, nodes } => {
                self.told_nodes(timestamp, &nodes)
            }
            Message::SendPartitionTable { table_id, replicas, rows } => {
                let id = table_id.unwrap_or(PartitionTableId::new(0));
                match PartitionTable::new(id, replicas, rows) {
                    Ok(table) => self.table = Some(table),
                    Err(error) => self.drop_master(&error.to_string()),
                }
            }
            Message::NotifyPartitionChanges { table_id, replicas, changes } => {
                self.told_changes(table_id, replicas, &changes);
            }
            Message::InvalidateObjects { tid, oids } => {
                if self.master.is_ready() {
                    self.told_commit(tid, oids.iter().collect(), None);
                }
            }
            Message::NotifyClusterInformation { state } => {
                tracing::info!(%state, "state of the cluster");
            }
            Message::StopOperation {} => tracing::warn!("the cluster is no longer operational"),
            Message::NotPrimaryMaster { .. } => self.drop_master("it is not the primary any more"),
            Message::NotifyPackSigned { .. } | Message::FlushLog {} => {}
            message => {
                let text = format!("{} is not for clients", message.name());
                self.links.refuse(link, id, ErrorCode::ProtocolError, text.clone());
                self.drop_master(&text);
            }
        }
    }

    /// Takes note of a commit. The last tid moves when the caller can know what changed (R22).
    pub(super) fn told_commit(&mut self, tid: Tid, oids: Vec<Oid>, ttid: Option<Ttid>) {
        if let Some(cache) = &self.cache {
            cache.invalidate(tid, &oids);
        }
        self.tell(Completion::Invalidated { tid, oids, ttid });
        self.last_tid = self.last_tid.max(Some(tid));
    }

    fn told_nodes(&mut self, timestamp: IdTimestamp, nodes: &[NodeInformation]) {
        match &mut self.master.stage {
            Stage::Joining { has_nodes: has_nodes @ false, .. } => {
                *has_nodes = true;
                self.nodes.replace(timestamp, nodes);
            }
            _ => self.nodes.update(timestamp, nodes),
        }
        self.master.bootstrap.learn(self.nodes.masters());
        for node in nodes {
            if let (Some(nid), true) = (node.nid, node.state != NodeState::Running) {
                self.drop_storage(nid, "the primary master lost it");
            }
        }
    }

    fn told_changes(&mut self, id: PartitionTableId, replicas: u32, changes: &[CellChange]) {
        let Some(table) = &mut self.table else {
            return self.drop_master("it changes a partition table that it did not send");
        };
        if let Err(error) = table.apply(id, replicas, changes) {
            self.drop_master(&error.to_string());
        }
    }
}
