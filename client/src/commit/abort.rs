//! The end of a transaction that is not committed: nobody keeps a lock for it (R10).

use model::{Nid, Ttid};
use net::Message;

use super::kept::Kept;
use super::transaction::Phase;
use crate::error::Error;
use crate::machine::Client;
use crate::master::MasterStage;
use crate::note::Asked;
use crate::request::{Answer, Token};

impl Client {
    /// Drops a transaction, whatever became of it.
    pub(crate) fn abort(&mut self, token: Token, ttid: Ttid) {
        if let Some(transaction) = self.transactions.get(&ttid) {
            if transaction.is_beyond_recall() {
                return self.complete(token, Err(Error::OutOfTurn { ttid }));
            }
            self.doom(ttid, Error::NotBegun { ttid });
            self.transactions.remove(&ttid);
        }
        self.complete(token, Ok(Answer::Aborted));
    }

    /// Aborts a transaction everywhere, and fails everything that is asked of it. It stays until
    /// the caller aborts it too.
    pub(crate) fn doom(&mut self, ttid: Ttid, error: Error) {
        let Some(transaction) = self.transactions.get_mut(&ttid) else { return };
        if matches!(transaction.phase, Phase::Failed(_)) {
            return;
        }
        let tokens = transaction.take_tokens();
        let is_known_to_master = !transaction.is_beyond_recall();
        transaction.phase = Phase::Failed(error.clone());
        transaction.writes.clear();
        transaction.conflicts.clear();
        transaction.open.clear();
        transaction.kept = Kept::new(0);
        // Where the master refused to finish it, the master aborts it.
        if is_known_to_master {
            self.tell_abort(ttid);
        }
        tracing::debug!(%ttid, %error, "transaction aborted");
        for token in tokens {
            self.complete(token, Err(error.clone()));
        }
    }

    /// Tells all who know of the transaction. The storages hear of it twice: from here behind
    /// everything else that is said of it, and from the master, who also reaches those that are no
    /// longer connected.
    fn tell_abort(&mut self, ttid: Ttid) {
        let Some(transaction) = self.transactions.get_mut(&ttid) else { return };
        let nodes = std::mem::take(&mut transaction.nodes);
        for link in nodes.values().filter_map(|part| part.link) {
            self.retract(link, |asked| asked.is_of(ttid));
            self.tell_storage(link, &Message::AbortTransaction { ttid, nids: Vec::new() });
        }
        if let MasterStage::Ready { link, .. } = self.master.stage {
            let nids: Vec<Nid> = nodes.into_keys().collect();
            self.links.send(link, &Message::AbortTransaction { ttid, nids });
        }
    }
}

impl Asked {
    /// Whether it is a request of a transaction to a storage.
    fn is_of(&self, wanted: Ttid) -> bool {
        match self {
            Self::Write { ttid, .. } | Self::Relock { ttid, .. } | Self::Vote { ttid, .. } => {
                *ttid == wanted
            }
            _ => false,
        }
    }
}
