//! Connections of clients and other storages.

use model::Nid;
use net::{Address, ErrorCode, IdTimestamp, LinkId, Message};

use crate::identification::Introduction;
use crate::machine::{Phase, Storage};

/// Who is at the other end of a connection that was accepted.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Peer {
    /// It has not said yet.
    Unknown,
    /// It waits until the master announces it, or until this storage serves.
    Waiting {
        /// What it said.
        introduction: Introduction,
    },
    /// A client.
    Client {
        /// Its id.
        nid: Nid,
        /// Since when the master knows it.
        id_timestamp: IdTimestamp,
    },
    /// A storage, without id if it is of another cluster.
    Storage {
        /// Its id.
        nid: Option<Nid>,
        /// Since when the master knows it.
        id_timestamp: Option<IdTimestamp>,
    },
}

/// Why nothing is read from a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Held {
    /// It has many requests that are not answered.
    busy: bool,
    /// It stores faster than the disk writes.
    congested: bool,
}

impl Peer {
    /// The node, if the master has announced it.
    pub(crate) fn node(&self) -> Option<(Nid, IdTimestamp)> {
        match self {
            Self::Client { nid, id_timestamp } => Some((*nid, *id_timestamp)),
            Self::Storage { nid, id_timestamp } => Some(((*nid)?, (*id_timestamp)?)),
            Self::Unknown | Self::Waiting { .. } => None,
        }
    }
}

impl Storage {
    pub(crate) fn accepted(&mut self, link: LinkId, address: &Address) {
        tracing::debug!(?link, %address, "a peer connected");
        self.peers.insert(link, Peer::Unknown);
    }

    pub(crate) fn peer_asks(&mut self, link: LinkId, id: u32, message: Message) {
        match self.peers.get(&link) {
            None => {}
            Some(Peer::Unknown | Peer::Waiting { .. }) => self.introduced(link, id, message),
            Some(_) if matches!(message, Message::CloseClient {}) => {
                self.close_peer(link, "it needs nothing more");
            }
            Some(Peer::Client { nid, .. }) => {
                let nid = *nid;
                match self.phase {
                    Phase::Operating { backup, .. } => {
                        self.client_asks(link, nid, id, message, backup);
                    }
                    _ => self.refuse_peer(link, id, ErrorCode::NotReady, "not in operation"),
                }
            }
            Some(Peer::Storage { .. }) => self.storage_asks(link, id, message),
        }
    }

    /// Refuses a request of a peer; where the code demands it, its connection ends.
    pub(crate) fn refuse_peer(
        &mut self,
        link: LinkId,
        id: u32,
        code: ErrorCode,
        text: impl Into<String>,
    ) {
        let text = text.into();
        if code.closes() {
            tracing::warn!(?link, ?code, %text, "a peer is refused");
            self.links.refuse(link, id, code, text.clone());
            self.peer_lost(link, &text);
        } else {
            tracing::debug!(?link, ?code, %text, "a request is refused");
            self.links.answer(link, id, &Message::error(code, text));
        }
    }

    pub(crate) fn unexpected(&mut self, link: LinkId, id: u32, message: &Message) {
        let text = format!("unexpected packet {}", message.name());
        self.refuse_peer(link, id, ErrorCode::ProtocolError, text);
    }

    /// Closes a connection that is no longer wanted.
    pub(crate) fn close_peer(&mut self, link: LinkId, reason: &str) {
        self.links.close(link);
        self.peer_lost(link, reason);
    }

    /// A connection is gone, or about to go: nothing is left of it but what is voted.
    pub(crate) fn peer_lost(&mut self, link: LinkId, reason: &str) {
        let Some(peer) = self.peers.remove(&link) else { return };
        tracing::debug!(?link, ?peer, reason, "a peer is gone");
        self.drop_tasks(link);
        self.held.remove(&link);
        self.connection_lost(link);
    }

    /// Lets a connection wait that has many requests under way.
    pub(crate) fn hold_busy(&mut self, link: LinkId) {
        if self.peers.contains_key(&link) {
            let held = self.held.get(&link).copied().unwrap_or_default();
            self.set_held(link, Held { busy: true, ..held });
        }
    }

    /// Has a connection go on that has few requests under way again.
    pub(crate) fn release_busy(&mut self, link: LinkId) {
        if let Some(&held) = self.held.get(&link) {
            self.set_held(link, Held { busy: false, ..held });
        }
    }

    /// Lets a connection wait that stores faster than the disk writes.
    pub(crate) fn hold_if_congested(&mut self, link: LinkId) {
        if self.engine.is_congested() && self.peers.contains_key(&link) {
            let held = self.held.get(&link).copied().unwrap_or_default();
            self.set_held(link, Held { congested: true, ..held });
        }
    }

    /// Has connections go on once the disk has caught up.
    pub(crate) fn check_congestion(&mut self) {
        if self.held.is_empty() || self.engine.is_congested() {
            return;
        }
        for (link, held) in self.held.clone() {
            self.set_held(link, Held { congested: false, ..held });
        }
    }

    fn set_held(&mut self, link: LinkId, held: Held) {
        match held == Held::default() {
            true => self.held.remove(&link),
            false => self.held.insert(link, held),
        };
        self.links.hold(link, held != Held::default());
    }
}
