//! What the client knows of its connection to the primary master.

use std::collections::VecDeque;

use bytes::Bytes;
use model::{Nid, NodeType};
use net::{Bootstrap, Extra, IdTimestamp, Identity, LinkId, Value};

use super::patience::Patience;
use crate::note::{Asked, MasterRequest};
use crate::options::{Access, ClientOptions};

/// The connection to the primary master, or the search for it.
pub(crate) struct Master {
    pub(crate) bootstrap: Bootstrap,
    pub(crate) stage: Stage,
    /// What waits for a primary master.
    pub(crate) requests: VecDeque<MasterRequest>,
    /// What the last refusal said, so as to tell it once.
    pub(crate) refusal: Option<String>,
    /// When there is to be one; `None` if there is, or no limit.
    pub(crate) patience: Patience,
}

/// How far the client has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// It asks one master after the other.
    Searching,
    /// The primary took it in, and tells what there is.
    Joining { link: LinkId, nid: Nid, has_nodes: bool },
    /// It was told everything.
    Ready { link: LinkId, nid: Nid },
}

impl Master {
    pub(crate) fn new(options: &ClientOptions) -> Self {
        let mut extra = Extra::default();
        if options.access == Access::ReadOnly {
            extra.0.push((Bytes::from_static(b"read_only"), Value::Bool(true)));
        }
        let identity = Identity {
            node_type: NodeType::Client,
            nid: None,
            address: None,
            cluster: options.cluster.clone(),
            id_timestamp: None,
            extra,
        };
        Self {
            bootstrap: Bootstrap::new(identity, options.masters.clone()),
            stage: Stage::Searching,
            requests: VecDeque::new(),
            refusal: None,
            patience: Patience::default(),
        }
    }

    /// Whether it is the connection to the primary master, or to one that is asked.
    pub(crate) fn is_link(&self, link: LinkId) -> bool {
        self.link() == Some(link)
    }

    pub(crate) fn link(&self) -> Option<LinkId> {
        match self.stage {
            Stage::Searching => self.bootstrap.link(),
            Stage::Joining { link, .. } | Stage::Ready { link, .. } => Some(link),
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.stage, Stage::Ready { .. })
    }

    /// What the client says of itself to storages.
    pub(crate) fn identity(&self, id_timestamp: Option<IdTimestamp>) -> Identity {
        let mut identity = self.bootstrap.identity().clone();
        identity.id_timestamp = id_timestamp;
        identity.extra = Extra::default();
        identity
    }
}

impl From<MasterRequest> for Asked {
    fn from(request: MasterRequest) -> Self {
        Self::Master(request)
    }
}
