//! All nodes that the master knows.

use std::collections::BTreeMap;

use bytes::Bytes;
use model::{Nid, NodeState, NodeType, Tid};
use net::{Address, Extra, IdTimestamp, LinkId, NodeInformation, Value};

/// What a node says of itself besides.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Details {
    /// Where a storage is: host, device; replicas are spread from the first on.
    pub(crate) devpath: Vec<Bytes>,
    /// Whether a client only reads.
    pub(crate) read_only: bool,
    /// The backup cluster that a client belongs to.
    pub(crate) backup: Option<Bytes>,
    /// The backup clusters that an admin monitors.
    pub(crate) monitors: Vec<Bytes>,
}

impl Details {
    /// Reads what is known of it; the rest is ignored.
    pub(crate) fn of(node_type: NodeType, extra: &Extra) -> Self {
        let get = |key: &'static [u8]| extra.get(&Bytes::from_static(key));
        let list = |value: Option<&Value>| match value {
            Some(Value::List(items)) => items.iter().filter_map(text).collect(),
            _ => Vec::new(),
        };
        let backup = get(b"backup").filter(|_| node_type == NodeType::Client).and_then(text);
        let read_only = match get(b"read_only") {
            Some(Value::Bool(read_only)) => *read_only,
            _ => backup.is_some(),
        };
        let monitors = match node_type {
            NodeType::Admin => list(get(b"backup")),
            _ => Vec::new(),
        };
        Self { devpath: list(get(b"devpath")), read_only, backup, monitors }
    }
}

fn text(value: &Value) -> Option<Bytes> {
    match value {
        Value::Bytes(bytes) => Some(bytes.clone()),
        Value::Text(text) => Some(Bytes::from(text.clone())),
        _ => None,
    }
}

/// One node.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Node {
    pub(crate) node_type: NodeType,
    pub(crate) address: Option<Address>,
    pub(crate) state: NodeState,
    pub(crate) id_timestamp: Option<IdTimestamp>,
    /// Its connection, once it is identified.
    pub(crate) link: Option<LinkId>,
    pub(crate) details: Details,
    /// The pack order up to which a storage has carried out all.
    pub(crate) completed_pack: Option<Tid>,
    /// Whether a storage truncates, after the others did. It has not got the table yet.
    pub(crate) is_truncating: bool,
    /// Whether a storage has nothing, as far as is known.
    pub(crate) is_new: bool,
    /// Whether a storage was given its id as one that nobody knew.
    pub(crate) is_given: bool,
}

impl Node {
    /// A node that is not connected.
    pub(crate) fn absent(node_type: NodeType, address: Option<Address>) -> Self {
        Self {
            node_type,
            address,
            state: NodeState::Down,
            id_timestamp: None,
            link: None,
            details: Details::default(),
            completed_pack: None,
            is_truncating: false,
            is_new: false,
            is_given: false,
        }
    }
}

/// All nodes by id, by address and by connection.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    by_nid: BTreeMap<Nid, Node>,
    by_address: BTreeMap<Address, Nid>,
    by_link: BTreeMap<LinkId, Nid>,
}

impl Nodes {
    pub(crate) fn get(&self, nid: Nid) -> Option<&Node> {
        self.by_nid.get(&nid)
    }

    pub(crate) fn nid_of_link(&self, link: LinkId) -> Option<Nid> {
        self.by_link.get(&link).copied()
    }

    pub(crate) fn nid_of_address(&self, address: &Address) -> Option<Nid> {
        self.by_address.get(address).copied()
    }

    /// The connection of a node that is identified.
    pub(crate) fn link(&self, nid: Nid) -> Option<LinkId> {
        self.get(nid)?.link
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Nid, &Node)> {
        self.by_nid.iter().map(|(nid, node)| (*nid, node))
    }

    /// All nodes of one type, in order of id.
    pub(crate) fn of_type(&self, node_type: NodeType) -> impl Iterator<Item = (Nid, &Node)> {
        let range = Nid::of(node_type, 1)..=Nid::of(node_type, Nid::NUMBER_MAX);
        self.by_nid.range(range).map(|(nid, node)| (*nid, node))
    }

    /// The identified ones of a type.
    pub(crate) fn identified(&self, node_type: NodeType) -> impl Iterator<Item = (Nid, LinkId)> {
        self.of_type(node_type).filter_map(|(nid, node)| Some((nid, node.link?)))
    }

    pub(crate) fn information(&self, nid: Nid) -> Option<NodeInformation> {
        let node = self.get(nid)?;
        Some(NodeInformation {
            node_type: node.node_type,
            address: node.address.clone(),
            nid: Some(nid),
            state: node.state,
            id_timestamp: node.id_timestamp,
        })
    }

    /// Takes in a node, or replaces what was known of it. Nobody else may have its address.
    pub(crate) fn insert(&mut self, nid: Nid, node: Node) {
        self.remove(nid);
        if let Some(address) = &node.address {
            let other = self.by_address.insert(address.clone(), nid);
            assert!(other.is_none(), "{nid} has the address of {other:?}");
        }
        if let Some(link) = node.link {
            self.by_link.insert(link, nid);
        }
        self.by_nid.insert(nid, node);
    }

    /// Takes note that a node is not where it was any more.
    pub(crate) fn forget_address(&mut self, nid: Nid) {
        if let Some(node) = self.by_nid.get_mut(&nid)
            && let Some(address) = node.address.take()
        {
            self.by_address.remove(&address);
        }
    }

    /// Forgets a node.
    pub(crate) fn remove(&mut self, nid: Nid) -> Option<Node> {
        let node = self.by_nid.remove(&nid)?;
        if let Some(address) = &node.address {
            self.by_address.remove(address);
        }
        if let Some(link) = node.link {
            self.by_link.remove(&link);
        }
        Some(node)
    }

    /// Takes note of a node's connection.
    pub(crate) fn connect(&mut self, nid: Nid, link: LinkId) {
        if let Some(node) = self.by_nid.get_mut(&nid) {
            node.link = Some(link);
            self.by_link.insert(link, nid);
        }
    }

    /// Takes note that a node has no connection any more.
    pub(crate) fn disconnect(&mut self, nid: Nid) {
        if let Some(node) = self.by_nid.get_mut(&nid)
            && let Some(link) = node.link.take()
        {
            self.by_link.remove(&link);
            node.completed_pack = None;
            node.is_truncating = false;
        }
    }

    pub(crate) fn set_state(&mut self, nid: Nid, state: NodeState) {
        if let Some(node) = self.by_nid.get_mut(&nid) {
            node.state = state;
        }
    }

    pub(crate) fn set_new(&mut self, nid: Nid, is_new: bool) {
        if let Some(node) = self.by_nid.get_mut(&nid) {
            node.is_new = is_new;
        }
    }

    /// Ids that were given before now are those of their storages.
    pub(crate) fn settle_given(&mut self) {
        for node in self.by_nid.values_mut() {
            node.is_given = false;
        }
    }

    pub(crate) fn set_truncating(&mut self, nid: Nid, is_truncating: bool) {
        if let Some(node) = self.by_nid.get_mut(&nid) {
            node.is_truncating = is_truncating;
        }
    }

    pub(crate) fn set_completed_pack(&mut self, nid: Nid, pack_id: Tid) {
        if let Some(node) = self.by_nid.get_mut(&nid) {
            node.completed_pack = Some(pack_id);
        }
    }

    pub(crate) fn invariants(&self) {
        for (address, nid) in &self.by_address {
            let node = self.by_nid.get(nid).expect("an address leads to a node");
            assert_eq!(node.address.as_ref(), Some(address));
        }
        for (link, nid) in &self.by_link {
            let node = self.by_nid.get(nid).expect("a link leads to a node");
            assert_eq!(node.link, Some(*link));
        }
        for (nid, node) in self.iter() {
            assert_eq!(nid.node_type(), Some(node.node_type), "{nid}");
            let addressed = node.address.as_ref().is_none_or(|a| self.by_address[a] == nid);
            assert!(addressed, "{nid}: its address leads to it");
            assert!(node.link.is_none_or(|link| self.by_link[&link] == nid), "{nid}");
        }
    }
}
