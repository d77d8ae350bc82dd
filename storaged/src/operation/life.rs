//! Beginning and end of operation.

use std::collections::{BTreeSet, VecDeque};

use model::{Oid, Ttid};
use net::{LinkId, Message};

use crate::completions::End;
use crate::machine::{Phase, Storage};
use crate::transactions;

/// Objects whose write locks were given back: what waits for them is to be looked at.
#[derive(Debug, Default)]
pub(crate) struct Released {
    queue: VecDeque<Oid>,
    known: BTreeSet<Oid>,
}

impl Released {
    pub(crate) fn push(&mut self, oid: Oid) {
        if self.known.insert(oid) {
            self.queue.push_back(oid);
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Oid> {
        let oid = self.queue.pop_front()?;
        self.known.remove(&oid);
        Some(oid)
    }

    pub(crate) fn is_ready(&self) -> bool {
        !self.queue.is_empty()
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Storage {
    /// The cluster operates: what is unfinished from before will not be asked for any more.
    pub(crate) fn start_operation(&mut self, master: LinkId, id: u32, backup: bool) {
        if self.table.is_none() {
            return self.refuse_master(id, "operation without a partition table");
        }
        tracing::info!(backup, "in operation");
        self.phase = Phase::Operating { master, backup };
        self.truncate_late();
        self.links.send(master, &Message::NotifyReady {});
        self.disown_all();
        self.tell_packed(master);
        self.judge_all();
    }

    /// Nothing is served any more. What is voted stays voted, in the engine; the rest is gone.
    pub(crate) fn stop_operation(&mut self) {
        let undecided = |found: &transactions::Transaction| {
            let is_open = matches!(found.phase, transactions::Phase::Open);
            (is_open || found.phase == transactions::Phase::Voting) && found.in_engine
        };
        let undecided = self.transactions.filter(undecided);
        for ttid in &undecided {
            self.end(End::Disown { ttid: *ttid });
        }
        // Nobody knows their pack orders any more.
        if self.packs.retain(|id| undecided.binary_search(&Ttid::new(id.get())).is_err()) {
            self.keep_packs();
        }
        for link in std::mem::take(&mut self.peers).into_keys() {
            self.links.close(link);
            self.drop_tasks(link);
        }
        // The master waits for all answers before it goes on, whatever it had asked for.
        if let Some(master) = self.master() {
            self.reads.resume_of(master);
        }
        self.held.clear();
        self.transactions.clear();
        self.write_locks.clear();
        self.read_locks.clear();
        self.released.clear();
        self.endings.clear();
        self.deferred.clear();
    }
}
