//! Nodes introduce themselves.

use std::collections::{BTreeMap, BTreeSet};

use model::{CellChange, CellState, ClusterState, Nid, NodeState, NodeType, PartitionId};
use net::{Address, ErrorCode, Extra, LinkId, Message, Value};

use crate::cluster::Cluster;
use crate::log::Command;
use crate::nodes::{Details, Node};

/// Who wants to join.
#[derive(Clone, Debug)]
pub(crate) struct Applicant {
    link: LinkId,
    /// Of the request.
    id: u32,
    node_type: NodeType,
    nid: Option<Nid>,
    address: Option<Address>,
    cluster: String,
    extra: Extra,
}

/// What comes of an application.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// It is a node now.
    Joined(Nid),
    /// It has to wait for another state of the cluster (T8).
    Waits,
    /// It was refused.
    Refused,
}

/// Those who wait to join, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    applicants: BTreeMap<LinkId, Applicant>,
}

impl Waiting {
    pub(crate) fn insert(&mut self, applicant: Applicant) {
        self.applicants.insert(applicant.link, applicant);
    }

    pub(crate) fn contains(&self, link: LinkId) -> bool {
        self.applicants.contains_key(&link)
    }

    pub(crate) fn remove(&mut self, link: LinkId) {
        self.applicants.remove(&link);
    }

    pub(crate) fn take(&mut self) -> impl Iterator<Item = Applicant> + use<> {
        std::mem::take(&mut self.applicants).into_values()
    }
}

impl Applicant {
    /// Reads the request; anything else is no introduction, and only its name counts.
    pub(crate) fn of(link: LinkId, id: u32, message: Message) -> Result<Self, &'static str> {
        match message {
            Message::RequestIdentification { node_type, nid, address, cluster, extra, .. } => {
                Ok(Self { link, id, node_type, nid, address, cluster, extra })
            }
            other => Err(other.name()),
        }
    }

    /// Takes the node in, has it wait, or refuses it.
    pub(crate) fn apply(&self, cluster: &mut Cluster) -> Verdict {
        match self.judge(cluster) {
            Ok(Some((state, known))) => self.join(cluster, state, known),
            Ok(None) => Verdict::Waits,
            Err(text) => {
                let link = self.link;
                let address = cluster.wire.links.address(link).cloned();
                tracing::warn!(node_type = %self.node_type, ?address, "refused: {text}");
                cluster.wire.refuse(link, self.id, ErrorCode::ProtocolError, text);
                Verdict::Refused
            }
        }
    }

    /// The state that the node joins with, and its id if it is known; `None`: it waits.
    fn judge(&self, cluster: &Cluster) -> Result<Option<(NodeState, Option<Nid>)>, String> {
        if self.cluster != cluster.name {
            return Err(format!("invalid cluster name: this is {:?}", cluster.name));
        }
        if self.address.as_ref() == Some(&cluster.options.address) {
            return Err("address conflict".to_owned());
        }
        if self.node_type == NodeType::Master {
            let text = "a cluster has only one master so far: several masters come later";
            return Err(text.to_owned());
        }
        let known = self.known(cluster)?;
        let state = match self.node_type {
            NodeType::Storage => self.storage_state(cluster, known)?,
            NodeType::Client => {
                let serves =
                    matches!(cluster.state, ClusterState::Running | ClusterState::Stopping);
                serves.then_some(NodeState::Running)
            }
            NodeType::Admin | NodeType::Master => Some(NodeState::Running),
        };
        Ok(state.map(|state| (state, known)))
    }

    /// The node that this one was, by its id or its address.
    fn known(&self, cluster: &Cluster) -> Result<Option<Nid>, String> {
        let is_storage = self.node_type == NodeType::Storage;
        if is_storage && self.nid.is_some_and(|nid| nid.node_type() != Some(NodeType::Storage)) {
            return Err("that is no id of a storage".to_owned());
        }
        let is_identified = |nid: &Nid| cluster.nodes.link(*nid).is_some();
        let by_address = self.address.as_ref();
        let by_address = by_address.and_then(|address| cluster.nodes.nid_of_address(address));
        if by_address.as_ref().is_some_and(is_identified) {
            return Err("already connected".to_owned());
        }
        // An id that had to be given up is not asked for again.
        let gave_up = is_storage && is_among(&cluster.displaced, self.address.as_ref());
        let own = self.nid.filter(|_| !gave_up);
        let by_nid = own.filter(|nid| cluster.nodes.get(*nid).is_some());
        if let Some(nid) = by_nid.filter(is_identified) {
            // A temporary id is given anew.
            return match is_storage {
                true if may_displace(cluster, nid) => Ok(Some(nid)),
                true => Err("already connected".to_owned()),
                false => Ok(None),
            };
        }
        if is_storage
            && let (Some(nid), Some(other)) = (by_nid, by_address)
            && nid != other
            && cluster.nodes.get(other).is_some_and(|node| node.id_timestamp.is_some())
        {
            // Whoever looks for the other one would find this one.
            return Err(format!("this is the address of {other}, which has to be dropped first"));
        }
        let same_type = |nid: &Nid| nid.node_type() == Some(self.node_type);
        // A storage that lost its id is known by its address.
        Ok(by_nid.or(by_address.filter(|_| own.is_none())).filter(same_type))
    }

    fn storage_state(
        &self,
        cluster: &Cluster,
        known: Option<Nid>,
    ) -> Result<Option<NodeState>, String> {
        if self.address.is_none() {
            return self.clone_state(cluster);
        }
        Ok(Some(match cluster.state {
            ClusterState::Recovering | ClusterState::Stopping => NodeState::Pending,
            _ if self.nid.is_some() && known.is_some() => NodeState::Running,
            _ => NodeState::Pending,
        }))
    }

    /// A storage without an address is a copy of another one that wants an id of its own, and the
    /// same partitions.
    fn clone_state(&self, cluster: &Cluster) -> Result<Option<NodeState>, String> {
        if self.nid.is_some() || self.new_nid().is_empty() {
            return Err("a storage needs an address".to_owned());
        }
        match cluster.state {
            ClusterState::Verifying | ClusterState::Running => {}
            _ => return Ok(None),
        }
        let count = cluster.table().partitions();
        match self.new_nid().iter().find(|partition| partition.get() >= count.get()) {
            Some(partition) => Err(format!("unknown partition {partition}: there are {count}")),
            None => Ok(Some(NodeState::Down)),
        }
    }

    /// The partitions of a copy.
    fn new_nid(&self) -> Vec<PartitionId> {
        let items = match self.extra.get(&bytes::Bytes::from_static(b"new_nid")) {
            Some(Value::List(items)) => items.as_slice(),
            _ => &[],
        };
        let number = |value: &Value| match value {
            // What is no partition at all is none that there is.
            Value::Unsigned(number) => PartitionId::new(u32::try_from(*number).unwrap_or(u32::MAX)),
            _ => PartitionId::new(u32::MAX),
        };
        let mut partitions: Vec<PartitionId> = items.iter().map(number).collect();
        partitions.sort_unstable();
        partitions.dedup();
        partitions
    }

    /// Takes an address from a node that was remembered with it. Nobody may be told of two nodes
    /// with one address: NEO/py's nodes take them for one then.
    fn take_address(&self, cluster: &mut Cluster, nid: Nid) {
        let other = self.address.as_ref().and_then(|own| cluster.nodes.nid_of_address(own));
        let Some(other) = other.filter(|other| *other != nid) else { return };
        tracing::warn!(%other, %nid, "a node has the address that another one had");
        cluster.nodes.forget_address(other);
        if cluster.ledger.remembered().storages.contains_key(&other) {
            cluster.commit(Command::Storage { nid: other, address: None });
        }
        cluster.broadcast_nodes(&[other]);
    }

    fn join(&self, cluster: &mut Cluster, state: NodeState, known: Option<Nid>) -> Verdict {
        let wanted = known.or(self.nid.filter(|nid| nid.node_type() == Some(self.node_type)));
        let nid = match known {
            Some(nid) => Some(nid),
            None => cluster.new_nid(self.node_type, wanted, self.address.as_ref()),
        };
        let Some(nid) = nid else {
            cluster.wire.refuse(self.link, self.id, ErrorCode::ProtocolError, "no id is free");
            return Verdict::Refused;
        };
        tracing::info!(%nid, node_type = %self.node_type, %state, "accepted");
        displace(cluster, nid);
        self.take_address(cluster, nid);
        let mut node = Node::absent(self.node_type, self.address.clone());
        node.id_timestamp = Some(cluster.id_clock.next(cluster.now.unix));
        node.details = Details::of(self.node_type, &self.extra);
        node.state = NodeState::Down;
        node.is_new = self.nid != Some(nid);
        node.is_given = node.is_new && known.is_none();
        cluster.nodes.insert(nid, node);
        cluster.set_node_state(nid, state);
        if let Some(address) = &self.address {
            cluster.displaced.remove(address);
        }
        if cluster.table.is_some() {
            cluster.remember_storages();
        }
        // The others first, who do not have to hear it from the node itself.
        cluster.broadcast_nodes(&[nid]);
        if self.node_type == NodeType::Storage && self.address.is_none() {
            let state = CellState::OutOfDate;
            let cells = self.new_nid().into_iter();
            let changes = cells.map(|partition| CellChange { partition, nid, state });
            cluster.change_table(None, changes.collect());
        }
        cluster.wire.links.identified(self.link);
        cluster.nodes.connect(nid, self.link);
        let accept = Message::AcceptIdentification {
            node_type: NodeType::Master,
            nid: Some(cluster.nid),
            your_nid: Some(nid),
        };
        cluster.wire.answer(self.link, self.id, &accept);
        cluster.send_first_list(nid);
        let in_recovery = cluster.state == ClusterState::Recovering;
        let is_late = cluster.ledger.remembered().late_truncations.contains_key(&nid);
        if self.node_type != NodeType::Storage || !(in_recovery || is_late) {
            if self.node_type == NodeType::Storage {
                cluster.keep_nid(nid);
            }
            let message = cluster.table_message();
            cluster.wire.send(self.link, &message);
        }
        Verdict::Joined(nid)
    }
}

fn is_among(addresses: &BTreeSet<Address>, address: Option<&Address>) -> bool {
    address.is_some_and(|address| addresses.contains(address))
}

/// Whether a storage that has an id in its database gets it, although another one is connected with
/// it: that one was given it just now, after the log was lost, and holds nothing.
fn may_displace(cluster: &Cluster, nid: Nid) -> bool {
    let holder = cluster.nodes.get(nid).filter(|node| node.is_new);
    let has_cells = || cluster.table().nodes().contains(&nid);
    holder.is_some_and(|node| node.state == NodeState::Pending)
        && (cluster.state == ClusterState::Recovering || !has_cells())
}

/// Has the one that is connected with an id give it up. It comes back, and gets another one.
pub(crate) fn displace(cluster: &mut Cluster, nid: Nid) {
    let Some(link) = cluster.nodes.link(nid) else { return };
    tracing::warn!(%nid, "a storage has this id in its database, who was given it gets another");
    let address = cluster.nodes.get(nid).and_then(|node| node.address.clone());
    cluster.displaced.extend(address);
    cluster.nodes.disconnect(nid);
    cluster.wire.close(link);
}
