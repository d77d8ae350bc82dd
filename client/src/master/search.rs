//! Finding the primary master, and joining.

use model::Nid;
use net::{BootstrapStep, CloseReason, LinkId, Message};

use super::patience::Patience;
use super::peer::Stage;
use crate::error::Error;
use crate::machine::Client;
use crate::note::{Asked, Note};
use crate::request::Completion;

impl Client {
    pub(crate) fn search_master(&mut self) {
        self.master.stage = Stage::Searching;
        self.be_patient();
        let now = self.now.monotonic;
        self.master.bootstrap.start(now, &mut self.links, Note(Asked::Bootstrap));
    }

    /// Handles a packet of a master that is asked.
    pub(super) fn bootstrap_packet(&mut self, message: Message) {
        let (now, note) = (self.now.monotonic, Note(Asked::Bootstrap));
        match self.master.bootstrap.packet(now, &mut self.links, message, note) {
            BootstrapStep::Searching => {}
            BootstrapStep::Found { link, master, nid } => self.join(link, master, nid),
            BootstrapStep::Refused { address, text } => {
                if self.master.refusal.as_ref() != Some(&text) {
                    tracing::warn!(master = %address, text, "refused");
                    self.master.refusal = Some(text.clone());
                    self.tell(Completion::Refused { master: address, text });
                }
            }
        }
    }

    fn join(&mut self, link: LinkId, master: Nid, nid: Nid) {
        tracing::debug!(%master, %nid, "taken in");
        // Storages know the client as it was: they are to forget it, and learn of the new one.
        self.drop_storages("the client has a new identity");
        self.table = None;
        self.master.refusal = None;
        self.master.stage = Stage::Joining { link, nid, has_nodes: false };
        self.links.ask(link, &Message::AskLastTransaction {}, Note(Asked::Joining));
    }

    /// Handles the answer that ends the joining: everything else was told before.
    pub(super) fn joined(&mut self, message: Message) {
        let Stage::Joining { link, nid, has_nodes: true } = self.master.stage else {
            return self.drop_master("it does not tell what nodes there are");
        };
        let Message::AnswerLastTransaction { tid } = message else {
            return self.drop_master("it does not tell what there is");
        };
        if self.table.is_none() {
            return self.drop_master("it does not send a partition table");
        }
        tracing::info!(%nid, last_tid = %tid, "connected to the primary master");
        self.master.stage = Stage::Ready { link, nid };
        self.master.patience = Patience::default();
        self.last_tid = Some(tid);
        if let Some(cache) = &self.cache {
            cache.connected(tid);
        }
        self.tell(Completion::Connected { last_tid: tid });
        for request in std::mem::take(&mut self.master.requests) {
            self.ask_master(request);
        }
        self.begin_waiting_reads();
        self.begin_waiting_walks();
    }

    pub(crate) fn master_lost(&mut self, reason: &CloseReason) {
        if self.master.stage == Stage::Searching {
            let now = self.now.monotonic;
            let note = Note(Asked::Bootstrap);
            return self.master.bootstrap.lost(now, &mut self.links, reason, note);
        }
        tracing::warn!(%reason, "the primary master was lost");
        self.without_master();
    }

    /// Leaves a primary master that cannot be worked with, and looks for one again.
    pub(super) fn drop_master(&mut self, reason: &str) {
        let Some(link) = self.master.link() else { return };
        tracing::warn!(reason, "the primary master is given up");
        let asked = self.links.take_asked(link);
        self.lost.extend(asked.into_iter().map(|note| note.0));
        self.links.close(link);
        self.without_master();
    }

    /// Transactions that are not being finished end with the connection on which they were begun.
    fn without_master(&mut self) {
        if self.master.is_ready() {
            self.tell(Completion::Disconnected);
        }
        self.search_master();
        let ttids: Vec<_> = self.transactions.keys().copied().collect();
        for ttid in ttids {
            if !self.transactions[&ttid].is_beyond_recall() {
                self.doom(ttid, Error::MasterLost { ttid });
            }
        }
    }
}
