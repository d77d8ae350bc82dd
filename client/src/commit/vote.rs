//! The vote: everything durable on all storages that take part, or the primary master agrees to do
//! without those that failed.

use model::{Nid, Oid, Ttid};
use net::{Message, PackRequest};

use super::transaction::{Ballot, PartState, Phase, Transaction, Write};
use crate::error::Error;
use crate::machine::Client;
use crate::note::{Asked, MasterRequest};
use crate::request::{Answer, Metadata, Token};

impl Client {
    /// Votes as soon as all storages have answered for all objects.
    pub(crate) fn vote(
        &mut self,
        token: Token,
        ttid: Ttid,
        metadata: Metadata,
        pack: Option<PackRequest>,
    ) {
        let Some(transaction) = self.open_transaction(token, ttid) else { return };
        transaction.ballot = Some(Ballot { token: Some(token), metadata, pack });
        self.progress(ttid);
    }

    /// Asks all storages that were written to (R6), and those that keep the metadata.
    pub(super) fn begin_voting(&mut self, ttid: Ttid) {
        let Some(partition) = self.table.as_ref().map(|table| table.partitions().of_ttid(ttid))
        else {
            return;
        };
        let row = self.row(ttid, partition);
        let Some(transaction) = self.transactions.get_mut(&ttid) else { return };
        let Some(ballot) = &transaction.ballot else { return };
        let metadata = ballot.metadata.clone();
        let with_metadata = Message::AskStoreTransaction {
            ttid,
            user: metadata.user,
            description: metadata.description,
            extension: metadata.extension,
            oids: transaction.order.iter().copied().collect(),
            pack: ballot.pack.clone(),
        };
        let working = transaction.nodes.iter().filter_map(|(nid, part)| {
            part.link.filter(|_| part.state == PartState::Working).map(|link| (*nid, link))
        });
        let working: Vec<_> = working.collect();
        transaction.phase =
            Phase::Voting { waiting: working.iter().map(|(nid, _)| *nid).collect() };
        if !working.iter().any(|(nid, _)| row.contains(nid)) {
            let reason = transaction.failure_of(&row);
            return self.doom(ttid, Error::NoStorage { partition, reason });
        }
        for (nid, link) in working {
            let message = match row.contains(&nid) {
                true => with_metadata.clone(),
                false => Message::AskVoteTransaction { ttid },
            };
            self.ask_storage(link, message, Asked::Vote { ttid });
        }
    }

    pub(crate) fn node_voted(&mut self, ttid: Ttid, nid: Nid) {
        let Some(transaction) = self.transactions.get_mut(&ttid) else { return };
        let Phase::Voting { waiting } = &mut transaction.phase else { return };
        if !waiting.remove(&nid) {
            return;
        }
        let is_last = waiting.is_empty();
        if let Some(part) = transaction.nodes.get_mut(&nid) {
            part.state = PartState::Voted;
        }
        if is_last {
            self.judge(ttid);
        }
    }

    /// Decides whether the transaction can be finished, all votes being cast.
    pub(super) fn judge(&mut self, ttid: Ttid) {
        let (Some(table), Some(transaction)) = (&self.table, self.transactions.get(&ttid)) else {
            return;
        };
        let partition = table.partitions().of_ttid(ttid);
        let row: Vec<_> = table.writable(partition).collect();
        if row.iter().all(|nid| !transaction.has_voted(*nid)) {
            let reason = transaction.failure_of(&row);
            return self.doom(ttid, Error::NoStorage { partition, reason });
        }
        if let Some(oid) = transaction.find_unlocked() {
            return self.doom(ttid, Error::NotLocked { oid });
        }
        // The master knows by itself of those that are not connected to it.
        let failed = transaction.nodes.keys().copied();
        let failed = failed.filter(|nid| !transaction.has_voted(*nid));
        let nids: Vec<_> = failed.filter(|nid| self.nodes.is_running(*nid)).collect();
        if nids.is_empty() {
            return self.voted(ttid);
        }
        if let Some(transaction) = self.transactions.get_mut(&ttid) {
            transaction.phase = Phase::Judging;
        }
        self.ask_master(MasterRequest::FailedVote { ttid, nids });
    }

    pub(crate) fn voted(&mut self, ttid: Ttid) {
        let Some(transaction) = self.transactions.get_mut(&ttid) else { return };
        if !matches!(transaction.phase, Phase::Voting { .. } | Phase::Judging) {
            return;
        }
        transaction.phase = Phase::Voted;
        let resolved = transaction.resolved.iter().copied().collect();
        let token = transaction.ballot.as_mut().and_then(|ballot| ballot.token.take());
        if let Some(token) = token {
            self.complete(token, Ok(Answer::Voted(resolved)));
        }
    }
}

impl Transaction {
    fn has_voted(&self, nid: Nid) -> bool {
        self.nodes.get(&nid).is_some_and(|part| part.state == PartState::Voted)
    }

    /// An object of which no storage that voted has the lock (R4): what was committed meanwhile may
    /// have been overlooked.
    fn find_unlocked(&self) -> Option<Oid> {
        let all_voted = self.nodes.values().all(|part| part.state == PartState::Voted);
        let is_locked = |write: &Write| {
            let mut locked = write.asked.iter().filter(|nid| !write.lockless.contains(nid));
            match all_voted {
                true => locked.next().is_some(),
                false => locked.any(|nid| self.has_voted(*nid)),
            }
        };
        self.writes.iter().find(|(_, write)| !is_locked(write)).map(|(oid, _)| *oid)
    }
}
