//! Opening connections to storages, asking over them, and losing them.

use std::collections::VecDeque;

use model::{Nid, NodeState, NodeType};
use net::{LinkId, Message};

use super::links::{Stage, StorageLink};
use crate::machine::Client;
use crate::master::MasterStage;
use crate::note::{Asked, Note};

impl Client {
    /// The connection to a storage, which is opened if there is none; `None` if the primary master
    /// does not say that the storage works.
    pub(crate) fn storage_link(&mut self, nid: Nid) -> Option<LinkId> {
        if let Some(link) = self.storages.by_nid.get(&nid) {
            return Some(*link);
        }
        let MasterStage::Ready { nid: own_nid, .. } = self.master.stage else { return None };
        let node = self.nodes.get(nid)?;
        if node.state != NodeState::Running || node.node_type != NodeType::Storage {
            return None;
        }
        let address = node.address.clone()?;
        let id_timestamp = self.nodes.get(own_nid).and_then(|own| own.id_timestamp);
        let request = self.master.identity(id_timestamp).request();
        let link = self.links.connect(self.now.monotonic, &address);
        self.links.identified(link);
        self.links.ask(link, &request, Note(Asked::Identification));
        let stage = Stage::Introduced(VecDeque::new());
        self.storages.by_link.insert(link, StorageLink { nid, stage });
        self.storages.by_nid.insert(nid, link);
        Some(link)
    }

    /// Asks a storage over a connection, as soon as it took the client in. If the connection is
    /// gone, the request is lost like one that was not answered.
    pub(crate) fn ask_storage(&mut self, link: LinkId, message: Message, asked: Asked) {
        match self.storages.by_link.get_mut(&link).map(|found| &mut found.stage) {
            // Its loss is about to be handled.
            _ if !self.links.is_open(link) => self.lost.push_back(asked),
            Some(Stage::Ready) => self.links.ask(link, &message, Note(asked)),
            Some(Stage::Introduced(waiting)) => waiting.push_back((message, asked)),
            None => self.lost.push_back(asked),
        }
    }

    /// Tells a storage something that is not answered, over a connection that may be gone.
    pub(crate) fn tell_storage(&mut self, link: LinkId, message: &Message) {
        match self.storages.by_link.get_mut(&link).map(|found| &mut found.stage) {
            Some(Stage::Ready) => self.links.send(link, message),
            // Nothing that it should forget was sent yet: what waits need not be sent either, but
            // the storage is not told what the client thought better of.
            Some(Stage::Introduced(_)) | None => {}
        }
    }

    /// Takes back what waits for a storage to take the client in.
    pub(crate) fn retract(&mut self, link: LinkId, is_unwanted: impl Fn(&Asked) -> bool) {
        if let Some(found) = self.storages.by_link.get_mut(&link)
            && let Stage::Introduced(waiting) = &mut found.stage
        {
            waiting.retain(|(_, asked)| !is_unwanted(asked));
        }
    }

    /// Handles the answer to the introduction.
    pub(super) fn storage_accepted(&mut self, link: LinkId, message: Message) {
        let Some(found) = self.storages.by_link.get_mut(&link) else { return };
        let nid = found.nid;
        match message {
            Message::AcceptIdentification { node_type: NodeType::Storage, nid: theirs, .. }
                if theirs == Some(nid) =>
            {
                let stage = std::mem::replace(&mut found.stage, Stage::Ready);
                if let Stage::Introduced(waiting) = stage {
                    for (message, asked) in waiting {
                        self.links.ask(link, &message, Note(asked));
                    }
                }
                self.storages.avoided.remove(&nid);
            }
            Message::Error { code, text } => {
                let text = String::from_utf8_lossy(&text).into_owned();
                self.drop_storage(nid, &format!("it refuses the client: {code:?}: {text}"));
            }
            _ => self.drop_storage(nid, "it is another node"),
        }
    }

    /// Takes note of the loss of a connection; what was asked over it is lost already.
    pub(crate) fn storage_lost(&mut self, link: LinkId, reason: &str) {
        let Some(found) = self.storages.by_link.remove(&link) else { return };
        self.storages.by_nid.remove(&found.nid);
        if let Stage::Introduced(waiting) = found.stage {
            self.lost.extend(waiting.into_iter().map(|(_, asked)| asked));
        }
        tracing::debug!(nid = %found.nid, reason, "no connection to storage");
        self.avoid(found.nid);
        self.transactions_lose(found.nid, link, reason);
    }

    /// Closes the connection to a storage, if there is one.
    pub(crate) fn drop_storage(&mut self, nid: Nid, reason: &str) {
        let Some(&link) = self.storages.by_nid.get(&nid) else { return };
        let asked = self.links.take_asked(link);
        self.lost.extend(asked.into_iter().map(|note| note.0));
        self.links.close(link);
        self.storage_lost(link, reason);
    }

    pub(crate) fn drop_storages(&mut self, reason: &str) {
        let nids: Vec<_> = self.storages.by_nid.keys().copied().collect();
        for nid in nids {
            self.drop_storage(nid, reason);
        }
        self.storages.avoided.clear();
    }

    /// Reads from other storages for a while.
    pub(crate) fn avoid(&mut self, nid: Nid) {
        let until = self.now.monotonic + self.options.avoid_delay;
        self.storages.avoided.insert(nid, until);
    }
}
