//! What the machines of all states share.

use std::collections::BTreeSet;
use std::time::Duration;

use model::{CellChange, ClusterState, Nid, NodeState, NodeType, Now, PartitionTable, Tid};
use net::{Address, LinkId, Message, NodeInformation};

use crate::ids::Ids;
use crate::log::{Command, Ledger};
use crate::nodes::{IdClock, Node, Nodes, concerns};
use crate::operation::Packs;
use crate::options::MasterOptions;
use crate::phase::Next;
use crate::recovery::Impulse;
use crate::table::{LiveTable, Member, outdated};
use crate::wire::Wire;

/// What the machines of all states share: connections, nodes, the table, ids, and the log.
pub(crate) struct Cluster {
    pub(crate) options: MasterOptions,
    pub(crate) name: String,
    /// The id of this master.
    pub(crate) nid: Nid,
    pub(crate) now: Now,
    pub(crate) wire: Wire,
    pub(crate) nodes: Nodes,
    pub(crate) id_clock: IdClock,
    /// None before one is found or made.
    pub(crate) table: Option<LiveTable>,
    pub(crate) ids: Ids,
    /// When some were given out last.
    pub(crate) ids_used_at: Option<Duration>,
    pub(crate) packs: Packs,
    pub(crate) ledger: Ledger,
    pub(crate) state: ClusterState,
    /// Who wants the cluster to start, if it does not operate.
    pub(crate) startup: Impulse,
    /// Up to where the storages have to truncate.
    pub(crate) truncate: Option<Tid>,
    /// Where storages listen that had to give up the id that they were given, to one that has it
    /// in its database.
    pub(crate) displaced: BTreeSet<Address>,
    /// What is to follow.
    pub(crate) next: Option<Next>,
}

impl Cluster {
    /// Takes note of what is to follow. What comes first counts.
    pub(crate) fn follow_with(&mut self, next: Next) {
        self.next.get_or_insert(next);
    }

    /// Proposes a change that must be durable before anything of it can be seen.
    pub(crate) fn commit(&mut self, command: Command) {
        self.ledger.propose(command);
        if !self.ledger.is_settled() {
            self.wire.hold();
        }
    }

    /// Tells all identified nodes of some others, as far as these concern them.
    pub(crate) fn broadcast_nodes(&mut self, nids: &[Nid]) {
        let subjects: Vec<Node> =
            nids.iter().filter_map(|nid| self.nodes.get(*nid).cloned()).collect();
        let information: Vec<NodeInformation> =
            nids.iter().filter_map(|nid| self.nodes.information(*nid)).collect();
        self.broadcast(&subjects, &information);
    }

    /// Tells all identified nodes that one is no more, after it was removed.
    pub(crate) fn broadcast_removed(&mut self, nid: Nid, node: &Node) {
        let information = NodeInformation {
            node_type: node.node_type,
            address: node.address.clone(),
            nid: Some(nid),
            state: NodeState::Unknown,
            id_timestamp: node.id_timestamp,
        };
        self.broadcast(std::slice::from_ref(node), &[information]);
    }

    fn broadcast(&mut self, subjects: &[Node], information: &[NodeInformation]) {
        let timestamp = self.id_clock.next(self.now.unix);
        for (_, receiver) in self.nodes.iter() {
            let Some(link) = receiver.link else { continue };
            let concerned = subjects.iter().zip(information);
            let concerned = concerned.filter(|(subject, _)| concerns(subject, receiver));
            let nodes: Vec<NodeInformation> =
                concerned.map(|(_, information)| information.clone()).collect();
            if !nodes.is_empty() {
                self.wire.send(link, &Message::NotifyNodeInformation { timestamp, nodes });
            }
        }
    }

    /// The first list for a node: itself first, then all others that concern it.
    pub(crate) fn send_first_list(&mut self, nid: Nid) {
        let Some(receiver) = self.nodes.get(nid).cloned() else { return };
        let Some(link) = receiver.link else { return };
        let timestamp = self.id_clock.next(self.now.unix);
        let others =
            self.nodes.iter().filter(|(other, node)| *other != nid && concerns(node, &receiver));
        let all = std::iter::once(nid).chain(others.map(|(other, _)| other));
        let nodes = all.filter_map(|nid| self.nodes.information(nid)).collect();
        self.wire.send(link, &Message::NotifyNodeInformation { timestamp, nodes });
    }

    /// Sends a message to all identified nodes of a type.
    pub(crate) fn send_to_all(&mut self, node_type: NodeType, message: &Message) {
        for (_, link) in self.nodes.identified(node_type) {
            self.wire.send(link, message);
        }
    }

    /// The message with the whole table.
    pub(crate) fn table_message(&self) -> Message {
        match &self.table {
            Some(table) => Message::SendPartitionTable {
                table_id: Some(table.table().id()),
                replicas: table.table().replicas(),
                rows: table.rows(),
            },
            None => Message::SendPartitionTable {
                table_id: None,
                replicas: self.options.replicas,
                rows: self.options.partitions.iter().map(|_| Vec::new()).collect(),
            },
        }
    }

    /// The table, which there is in all states but RECOVERING.
    pub(crate) fn table(&self) -> &LiveTable {
        self.table.as_ref().expect("there is a table in this state")
    }

    pub(crate) fn table_mut(&mut self) -> &mut LiveTable {
        self.table.as_mut().expect("there is a table in this state")
    }

    /// Remembers where the storages of the table are. Others may come and go.
    pub(crate) fn remember_storages(&mut self) {
        let storages = self.table().nodes();
        self.remember(storages);
    }

    /// Remembers where some storages are.
    pub(crate) fn remember(&mut self, storages: impl IntoIterator<Item = Nid>) {
        for nid in storages {
            let Some(node) = self.nodes.get(nid) else { continue };
            let address = node.address.clone();
            let remembered = self.ledger.remembered().storages.get(&nid);
            if remembered.is_none_or(|known| address.is_some() && *known != address) {
                self.commit(Command::Storage { nid, address });
            }
        }
    }

    /// A storage is about to get a table, and keeps its id from then on.
    pub(crate) fn keep_nid(&mut self, nid: Nid) {
        if Some(nid) > self.ledger.remembered().kept_nid {
            self.commit(Command::KeptNid(nid));
        }
    }

    /// Takes over a whole table.
    pub(crate) fn set_table(&mut self, table: PartitionTable) {
        let storages = self.nodes.of_type(NodeType::Storage);
        let running = storages.filter(|(_, node)| node.state == NodeState::Running);
        let running: BTreeSet<Nid> = running.map(|(nid, _)| nid).collect();
        self.table = Some(LiveTable::new(table, running));
    }

    /// Makes the next version of the table and remembers it. `replicas` is their number if that
    /// changes. Returns the message for those who know the version before; `None` if nothing
    /// changes.
    pub(crate) fn next_table(
        &mut self,
        replicas: Option<u32>,
        changes: Vec<CellChange>,
    ) -> Option<Message> {
        if changes.is_empty() && replicas.is_none() {
            return None;
        }
        let table = self.table_mut();
        let was_complete = table.is_complete();
        let replicas = replicas.unwrap_or(table.table().replicas());
        table.apply(replicas, &changes);
        let table_id = table.table().id();
        if was_complete && !table.is_complete() {
            tracing::warn!(%table_id, "a cell became unreadable while all cells were readable");
        }
        tracing::debug!(%table_id, changes = changes.len(), "partition table updated");
        self.commit(Command::TableChange { id: table_id, replicas, changes: changes.clone() });
        self.remember_storages();
        Some(Message::NotifyPartitionChanges { table_id, replicas, changes })
    }

    /// Makes the next version of the table and tells all but masters. In recovery only admins: the
    /// others get the whole table when it is over.
    pub(crate) fn change_table(&mut self, replicas: Option<u32>, changes: Vec<CellChange>) {
        if let Some(message) = self.next_table(replicas, changes) {
            if self.state == ClusterState::Recovering {
                return self.send_to_all(NodeType::Admin, &message);
            }
            let storages = self.nodes.of_type(NodeType::Storage);
            // Who truncates gets the whole table afterwards.
            let storages = storages.filter(|(_, node)| !node.is_truncating);
            let storages: Vec<LinkId> = storages.filter_map(|(_, node)| node.link).collect();
            for link in storages {
                self.wire.send(link, &message);
            }
            for node_type in [NodeType::Admin, NodeType::Client] {
                self.send_to_all(node_type, &message);
            }
        }
    }

    /// Changes the state of a node, also for what the table counts.
    pub(crate) fn set_node_state(&mut self, nid: Nid, state: NodeState) {
        self.nodes.set_state(nid, state);
        if let Some(table) = &mut self.table {
            table.set_running(nid, state == NodeState::Running);
        }
    }

    /// Forgets a node and tells the others.
    pub(crate) fn remove_node(&mut self, nid: Nid) {
        if let Some(node) = self.nodes.remove(nid) {
            if let Some(table) = &mut self.table {
                table.set_running(nid, false);
            }
            self.broadcast_removed(nid, &node);
        }
    }

    /// Announces a state of the cluster to all identified nodes.
    pub(crate) fn announce_state(&mut self, state: ClusterState) {
        tracing::info!(%state, "cluster state");
        self.state = state;
        self.ledger.propose(Command::State(state));
        let links: Vec<LinkId> = self.nodes.iter().filter_map(|(_, node)| node.link).collect();
        for link in links {
            self.wire.send(link, &Message::NotifyClusterInformation { state });
        }
    }

    /// A storage is gone, in a state with a table: it is DOWN, or forgotten if it was PENDING and
    /// has no cells; its cells are out of date. Whether the cluster is still operational is for the
    /// caller to see.
    pub(crate) fn storage_gone(&mut self, nid: Nid) {
        let Some(node) = self.nodes.get(nid) else { return };
        match node.state {
            NodeState::Pending if !self.table().nodes().contains(&nid) => {
                self.nodes.disconnect(nid);
                self.remove_node(nid);
            }
            NodeState::Pending => {
                self.nodes.disconnect(nid);
                self.set_node_state(nid, NodeState::Down);
                self.broadcast_nodes(&[nid]);
            }
            NodeState::Down => self.nodes.disconnect(nid),
            NodeState::Running | NodeState::Unknown => {
                tracing::warn!(%nid, "storage lost");
                self.nodes.disconnect(nid);
                self.set_node_state(nid, NodeState::Down);
                self.broadcast_nodes(&[nid]);
                if !self.outdate(nid, Some(nid)) {
                    return;
                }
            }
        }
        if !self.table().is_operational() {
            tracing::warn!("no longer operational");
            self.follow_with(Next::FallBack { truncate: None });
        }
    }

    /// Outdates cells of storages that are not there any more: of one that went just now, which was
    /// perhaps `lost`. False if recovery has to begin anew instead: it was about to truncate.
    pub(crate) fn outdate(&mut self, nid: Nid, lost: Option<Nid>) -> bool {
        let is_late = self.ledger.remembered().late_truncations.contains_key(&nid);
        if self.truncate.is_some() && !is_late {
            self.follow_with(Next::FallBack { truncate: None });
            return false;
        }
        let changes = outdated(self.table(), lost);
        self.change_table(None, changes);
        true
    }

    /// Running storages that may get cells, in order of id.
    pub(crate) fn members(&self, nids: impl Iterator<Item = Nid>) -> Vec<Member> {
        nids.filter_map(|nid| {
            let node = self.nodes.get(nid)?;
            Some(Member { nid, devpath: node.details.devpath.clone() })
        })
        .collect()
    }

    /// Makes sure that enough ids are reserved for a while, now that some are given out.
    pub(crate) fn reserve_ids(&mut self) {
        self.ids_used_at = Some(self.now.monotonic);
        self.renew_ids();
    }

    /// Makes sure that enough ids are reserved for a while.
    pub(crate) fn renew_ids(&mut self) {
        let tid = self.ids.tids_to_reserve(self.now.unix);
        let oid = self.ids.oids_to_reserve();
        if let Some(tid) = tid {
            self.ledger.propose(Command::Tids(tid));
        }
        if let Some(oid) = oid {
            self.ledger.propose(Command::Oids(oid));
        }
        if tid.is_some() || oid.is_some() {
            self.learn_reserved();
        }
    }

    /// Gives back what was reserved and not given out, at an orderly end. So a restart goes on at
    /// once.
    pub(crate) fn release_ids(&mut self) {
        if !self.ids.is_closed() {
            let (tid, oid) = self.ids.close();
            self.ledger.propose(Command::Released { oid, tid });
        }
    }

    /// Takes note of what the log has reserved.
    pub(crate) fn learn_reserved(&mut self) {
        let remembered = self.ledger.remembered();
        self.ids.reserved(remembered.reserved_tid, remembered.reserved_oid);
    }

    /// An id for a node: the wanted one if it is free or the node's own, else the next free one.
    /// Ids that storages keep, or kept, are free for nobody else: who has one in its database would
    /// be taken for the other (R19).
    pub(crate) fn new_nid(
        &self,
        node_type: NodeType,
        wanted: Option<Nid>,
        address: Option<&Address>,
    ) -> Option<Nid> {
        let is_own = |nid: Nid| match self.nodes.get(nid) {
            None => true,
            Some(node) => {
                node.link.is_none() && address.is_some() && node.address.as_ref() == address
            }
        };
        let wanted = wanted.filter(|nid| *nid != self.nid && is_own(*nid));
        let remembered = self.ledger.remembered();
        let is_storage = node_type == NodeType::Storage;
        let kept = remembered.kept_nid.filter(|_| is_storage).map_or(0, Nid::number);
        let known = remembered.storages.iter().filter(|_| is_storage && address.is_some());
        let mut its = known.filter(|(_, known)| known.as_ref() == address).map(|(nid, _)| *nid);
        // Somebody who asked for one of the last ids does not close the cluster for others: those
        // that nobody is known to have are the last resort.
        let mut others = (kept + 1..=Nid::NUMBER_MAX).chain(1..=kept);
        let is_free =
            |nid: &Nid| *nid != self.nid && is_own(*nid) && !remembered.storages.contains_key(nid);
        let others = || others.by_ref().map(|number| Nid::of(node_type, number)).find(is_free);
        wanted.or_else(|| its.find(|nid| is_own(*nid))).or_else(others)
    }

    pub(crate) fn invariants(&self) {
        self.nodes.invariants();
        if self.ledger.is_settled() {
            let remembered = self.ledger.remembered();
            self.ids.invariants(remembered.reserved_tid, remembered.reserved_oid);
            let table = self.table.as_ref().map(LiveTable::table);
            assert!(table.is_none() || table == remembered.table.as_ref(), "the log has the table");
        }
        if let Some(table) = &self.table {
            table.invariants();
            for (nid, node) in self.nodes.of_type(NodeType::Storage) {
                let running = node.state == NodeState::Running;
                assert_eq!(table.is_running(nid), running, "{nid}");
            }
        }
    }
}
