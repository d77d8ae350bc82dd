//! Who may talk to this storage: nodes that the primary master has announced (R21).
//!
//! One that is not announced yet, or comes before the storage serves, is let wait (T8): what it
//! sends is not read meanwhile. Only one that the master does not know any more is sent away.

use std::time::Duration;

use model::{Nid, NodeState, NodeType};
use net::{Address, ErrorCode, IdTimestamp, LinkId, Message};

use crate::machine::Storage;
use crate::peers::Peer;

/// How long a peer is let wait before it is told to come back later.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// What a peer said of itself.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Introduction {
    /// For the answer.
    id: u32,
    node_type: NodeType,
    nid: Option<Nid>,
    id_timestamp: Option<IdTimestamp>,
}

/// What the master's list says of a peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Standing {
    Announced,
    NotYet,
    Unknown,
}

impl Storage {
    /// A peer that did not identify itself yet sent something.
    pub(crate) fn introduced(&mut self, link: LinkId, id: u32, message: Message) {
        let Message::RequestIdentification {
            node_type, nid, cluster, id_timestamp, address, ..
        } = message
        else {
            return self.unexpected(link, id, &message);
        };
        if let Some(Peer::Waiting { .. }) = self.peers.get(&link) {
            let text = "identified twice";
            return self.refuse_peer(link, id, ErrorCode::ProtocolError, text);
        }
        let introduction = Introduction { id, node_type, nid, id_timestamp };
        if let Err(text) = self.check_introduction(&introduction, &cluster, address.as_ref()) {
            return self.refuse_peer(link, id, ErrorCode::ProtocolError, text);
        }
        let until = self.now + WAIT_MAX;
        self.peers.insert(link, Peer::Waiting { introduction });
        self.waits.insert((until, link));
        self.links.hold(link, true);
        self.judge(link);
    }

    fn check_introduction(
        &self,
        introduction: &Introduction,
        cluster: &str,
        address: Option<&Address>,
    ) -> Result<(), String> {
        if cluster != self.options.cluster {
            return Err(format!("this is cluster {:?}, not {cluster:?}", self.options.cluster));
        }
        let Introduction { node_type, nid, id_timestamp, .. } = introduction;
        if !matches!(node_type, NodeType::Client | NodeType::Storage) {
            return Err(format!("a {node_type} has nothing to ask of a storage"));
        }
        if nid.is_none() && *node_type != NodeType::Storage {
            return Err(format!("a {node_type} without id"));
        }
        if nid.is_some() && *nid == self.nid {
            let address = address.map(ToString::to_string).unwrap_or_default();
            return Err(format!("the peer {address} has the id of this storage"));
        }
        if nid.is_some() && id_timestamp.is_none() {
            return Err("an id without id timestamp".into());
        }
        Ok(())
    }

    /// Looks again at all that wait.
    pub(crate) fn judge_all(&mut self) {
        let waits = |peer: &Peer| matches!(peer, Peer::Waiting { .. });
        let waiting = self.peers.iter().filter(|(_, peer)| waits(peer)).map(|(link, _)| *link);
        for link in waiting.collect::<Vec<_>>() {
            self.judge(link);
        }
    }

    /// Takes a peer in, sends it away, or lets it wait.
    fn judge(&mut self, link: LinkId) {
        let Some(Peer::Waiting { introduction }) = self.peers.get(&link) else { return };
        if !self.is_operating() {
            return;
        }
        let introduction = introduction.clone();
        match self.standing(&introduction) {
            Standing::NotYet => {}
            Standing::Announced => self.welcome(link, &introduction),
            Standing::Unknown => {
                let text = "the primary master does not know this node";
                self.refuse_peer(link, introduction.id, ErrorCode::NotReady, text);
            }
        }
    }

    fn standing(&self, introduction: &Introduction) -> Standing {
        let (Some(nid), Some(timestamp)) = (introduction.nid, introduction.id_timestamp) else {
            return Standing::Announced;
        };
        let is_it = self.nodes.get(nid).is_some_and(|node| {
            node.node_type == introduction.node_type
                && node.id_timestamp == Some(timestamp)
                && (node.state == NodeState::Running || node.node_type == NodeType::Storage)
        });
        match is_it {
            true => Standing::Announced,
            false if self.nodes.timestamp().is_none_or(|last| last < timestamp) => Standing::NotYet,
            false => Standing::Unknown,
        }
    }

    fn welcome(&mut self, link: LinkId, introduction: &Introduction) {
        let &Introduction { id, node_type, nid, id_timestamp } = introduction;
        // A node has one connection: the one before is dead, if this side did not notice yet (R7).
        let others = self
            .peers
            .iter()
            .filter(|(_, peer)| nid.is_some() && peer.node().map(|(other, _)| other) == nid);
        for other in others.map(|(link, _)| *link).collect::<Vec<_>>() {
            self.close_peer(other, "the node connected again");
        }
        let peer = match (node_type, nid, id_timestamp) {
            (NodeType::Client, Some(nid), Some(id_timestamp)) => Peer::Client { nid, id_timestamp },
            _ => Peer::Storage { nid, id_timestamp },
        };
        tracing::debug!(?link, ?peer, "a peer is taken in");
        self.peers.insert(link, peer);
        self.links.identified(link);
        self.links.hold(link, false);
        let mine = nid.and(self.nid);
        let answer = Message::AcceptIdentification {
            node_type: NodeType::Storage,
            nid: mine,
            your_nid: nid,
        };
        self.links.answer(link, id, &answer);
    }

    /// When the first that waits has waited long enough, if it still does.
    pub(crate) fn identification_deadline(&self) -> Option<Duration> {
        self.waits.first().map(|(until, _)| *until)
    }

    pub(crate) fn time_out_identifications(&mut self) {
        while let Some((_, link)) = self.waits.first().filter(|(until, _)| *until <= self.now) {
            let link = *link;
            self.waits.pop_first();
            let Some(Peer::Waiting { introduction }) = self.peers.get(&link) else { continue };
            let (id, text) = (introduction.id, "not in operation, or not announced");
            self.refuse_peer(link, id, ErrorCode::NotReady, text);
        }
    }
}
