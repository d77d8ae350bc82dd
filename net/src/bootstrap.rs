//! How a storage, client or admin finds the primary master and introduces itself.

use std::time::Duration;

use model::{Nid, NodeType};

use crate::address::Address;
use crate::connection::CloseReason;
use crate::links::{LinkId, Links};
use crate::message::{ErrorCode, Extra, IdTimestamp, Message};

/// What a node says of itself.
#[derive(Clone, Debug)]
pub struct Identity {
    /// What it does.
    pub node_type: NodeType,
    /// Its id, if it has one already.
    pub nid: Option<Nid>,
    /// Where it listens.
    pub address: Option<Address>,
    /// Name of its cluster.
    pub cluster: String,
    /// Since when it is known: only towards nodes that are no masters.
    pub id_timestamp: Option<IdTimestamp>,
    /// What depends on the kind of node.
    pub extra: Extra,
}

impl Identity {
    /// The request.
    pub fn request(&self) -> Message {
        Message::RequestIdentification {
            node_type: self.node_type,
            nid: self.nid,
            address: self.address.clone(),
            cluster: self.cluster.clone(),
            id_timestamp: self.id_timestamp,
            extra: self.extra.clone(),
        }
    }
}

/// What came of a packet or loss of the bootstrap's connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BootstrapStep {
    /// It goes on.
    Searching,
    /// The primary master took the node in. Its first list of nodes and the table follow.
    Found {
        /// The connection.
        link: LinkId,
        /// Id of the master.
        master: Nid,
        /// Id of this node, perhaps a new one.
        nid: Nid,
    },
    /// A master refuses the node for good, such as for another cluster name. Retried all the same,
    /// in case an operator mends it.
    Refused {
        /// Which master.
        address: Address,
        /// What it says.
        text: String,
    },
}

/// Searches the primary master among those that are known, one connection at a time, until found.
///
/// The owner calls [`Bootstrap::start`], and hands over every packet and the loss of the
/// connection [`Bootstrap::link`] while searching. Afterwards the connection is the owner's.
#[derive(Debug)]
pub struct Bootstrap {
    identity: Identity,
    masters: Vec<Address>,
    /// The next to try.
    turn: usize,
    link: Option<LinkId>,
    current: usize,
    /// Attempts since the search began.
    attempts: usize,
}

impl Bootstrap {
    /// Knows these masters to begin with.
    ///
    /// # Panics
    /// If there is none.
    pub fn new(identity: Identity, masters: Vec<Address>) -> Self {
        assert!(!masters.is_empty(), "a node is told of at least one master");
        Self { identity, masters, turn: 0, link: None, current: 0, attempts: 0 }
    }

    /// What the node says of itself; it changes with its id.
    pub fn identity_mut(&mut self) -> &mut Identity {
        &mut self.identity
    }

    /// What the node says of itself.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Takes note of masters.
    pub fn learn(&mut self, masters: &[Address]) {
        for master in masters {
            if !self.masters.contains(master) {
                self.masters.push(master.clone());
            }
        }
    }

    /// Masters that are known.
    pub fn masters(&self) -> &[Address] {
        &self.masters
    }

    /// The connection that the search is at.
    pub fn link(&self) -> Option<LinkId> {
        self.link
    }

    /// Begins to search, or begins again after the primary was lost. `context` is what is noted of
    /// the request.
    pub fn start<C>(&mut self, now: Duration, links: &mut Links<C>, context: C) {
        if let Some(link) = self.link.take() {
            links.abort(link);
        }
        self.current = self.turn % self.masters.len();
        self.turn = self.current + 1;
        let link = links.connect(now, &self.masters[self.current]);
        links.ask(link, &self.identity.request(), context);
        self.link = Some(link);
    }

    /// Handles a packet of the connection. `context` is for the next request, if there is one.
    pub fn packet<C>(
        &mut self,
        now: Duration,
        links: &mut Links<C>,
        message: Message,
        context: C,
    ) -> BootstrapStep {
        let Some(link) = self.link else { return BootstrapStep::Searching };
        match message {
            Message::AcceptIdentification {
                node_type: NodeType::Master,
                nid: Some(master),
                your_nid: Some(nid),
            } if nid.node_type() == Some(self.identity.node_type) => {
                self.link = None;
                self.attempts = 0;
                self.identity.nid = Some(nid);
                // The next search begins with the one that was primary.
                self.turn = self.current;
                return BootstrapStep::Found { link, master, nid };
            }
            Message::NotPrimaryMaster { primary, masters } => {
                self.learn(&masters);
                let primary = primary.and_then(|index| usize::try_from(index).ok());
                if let Some(address) = primary.and_then(|index| masters.get(index)) {
                    let place = self.masters.iter().position(|master| master == address);
                    self.turn = place.unwrap_or(self.turn);
                }
                self.start(now, links, context);
            }
            Message::Error { code, text } => {
                let address = self.masters[self.current].clone();
                self.start(now, links, context);
                if code != ErrorCode::NotReady {
                    let text = String::from_utf8_lossy(&text).into_owned();
                    return BootstrapStep::Refused { address, text };
                }
            }
            other => {
                let address = &self.masters[self.current];
                tracing::warn!(%address, answer = other.name(), "a master was expected there");
                self.start(now, links, context);
            }
        }
        BootstrapStep::Searching
    }

    /// Handles the loss of the connection.
    pub fn lost<C>(
        &mut self,
        now: Duration,
        links: &mut Links<C>,
        reason: &CloseReason,
        context: C,
    ) {
        let address = &self.masters[self.current];
        tracing::debug!(%address, %reason, "no answer of a master");
        self.link = None;
        self.attempts += 1;
        if self.attempts == self.masters.len() {
            let masters = &self.masters;
            tracing::warn!(?masters, last = %reason, "no master answers; they are tried again");
        }
        self.start(now, links, context);
    }
}
