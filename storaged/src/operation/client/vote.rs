//! Votes: everything of a transaction becomes durable (R1).

use engine::{EncodedOids, PackOrder, Transaction};
use model::{Nid, PartitionId, Tid, Ttid};
use net::{ErrorCode, LinkId, Message, Oids, PackRequest};

use crate::completions::After;
use crate::machine::Storage;
use crate::reads::{Found, Task, Turn};
use crate::transactions::Phase;

/// Oids of a transaction that are encoded before others get their turn.
const OIDS_AT_ONCE: usize = 32 << 10;

impl Storage {
    pub(crate) fn ask_store_transaction(
        &mut self,
        link: LinkId,
        nid: Nid,
        id: u32,
        message: Message,
    ) {
        let Message::AskStoreTransaction { ttid, user, description, extension, oids, pack } =
            message
        else {
            unreachable!("only votes with metadata come here")
        };
        if let Err(refusal) = self.transactions.open(ttid, link, nid) {
            let text = format!("{ttid}: {}", refusal.text());
            return self.refuse_peer(link, id, ErrorCode::ProtocolError, text);
        }
        let pack_order = pack.map(to_order);
        let has_pack = pack_order.is_some();
        let transaction = Transaction {
            ttid,
            user,
            description,
            extension,
            oids: Vec::new(),
            packed: false,
            pack_order,
            superseded: Vec::new(),
        };
        // A cell that went meanwhile takes nothing.
        let partition = self.partition_of_ttid(ttid);
        let is_kept = partition.is_some_and(|partition| self.cell(partition).is_some());
        if has_pack && is_kept && self.packs.add(Tid::new(ttid.get())) {
            self.keep_packs();
        }
        if let Some(found) = self.transactions.get_mut(ttid) {
            found.has_pack = has_pack && is_kept;
        }
        let answer = Message::AnswerStoreTransaction {};
        let ballot = Ballot { link, id, ttid, answer };
        if !is_kept {
            return self.vote(ballot, None);
        }
        if !self.begin_vote(&ballot, true) {
            return;
        }
        let mut encoded = EncodedOids::with_capacity(oids.len());
        if oids.len() <= OIDS_AT_ONCE {
            encoded.extend(oids.iter());
            return self.submit_vote(ballot, Some((transaction, encoded)));
        }
        let task = VoteTask { ballot: Some((ballot, transaction)), encoded, oids, done: 0 };
        self.start_task(Some(link), task);
    }

    pub(crate) fn ask_vote(&mut self, link: LinkId, id: u32, ttid: Ttid) {
        let text = match self.transactions.get(ttid) {
            None => "no such transaction",
            Some(found) if found.link != Some(link) => "it belongs to another connection",
            Some(found) if found.phase != Phase::Open => "it is voted already",
            Some(_) => {
                let answer = Message::AnswerVoteTransaction {};
                return self.vote(Ballot { link, id, ttid, answer }, None);
            }
        };
        let text = format!("vote of {ttid}: {text}");
        self.refuse_peer(link, id, ErrorCode::ProtocolError, text);
    }

    fn vote(&mut self, ballot: Ballot, metadata: Option<(Transaction, EncodedOids)>) {
        if self.begin_vote(&ballot, metadata.is_some()) {
            self.submit_vote(ballot, metadata);
        }
    }

    /// Whether there is anything to make durable. From now on the transaction takes nothing more.
    fn begin_vote(&mut self, ballot: &Ballot, has_metadata: bool) -> bool {
        let &Ballot { link, id, ttid, .. } = ballot;
        let Some(transaction) = self.transactions.get_mut(ttid) else { return false };
        if !transaction.active.is_empty() {
            let text = format!("vote of {ttid} before all stores are answered");
            self.refuse_peer(link, id, ErrorCode::ProtocolError, text);
            return false;
        }
        if !has_metadata && !transaction.in_engine {
            // It only checked, or stored nothing here: there is nothing to lose (R6).
            transaction.phase = Phase::Voted;
            self.links.answer(link, id, &ballot.answer);
            return false;
        }
        transaction.in_engine = true;
        transaction.phase = Phase::Voting;
        transaction.ballot = Some(id);
        true
    }

    fn submit_vote(&mut self, ballot: Ballot, metadata: Option<(Transaction, EncodedOids)>) {
        let Ballot { link, id, ttid, answer } = ballot;
        let Some(partition) = self.partition_of_ttid(ttid) else { return };
        let token = self.token(After::Vote { ttid, link, id, answer });
        self.submitted = true;
        let voted = match metadata {
            Some((transaction, oids)) => {
                self.engine.vote_encoded(token, ttid, partition, transaction, oids)
            }
            None => self.engine.vote(token, ttid, partition, None),
        };
        if let Err(error) = voted {
            self.completions.remove(&token);
            if let Some(transaction) = self.transactions.get_mut(ttid) {
                transaction.phase = Phase::Open;
            }
            self.write_failed(link, id, error);
        }
    }

    pub(crate) fn partition_of_ttid(&self, ttid: Ttid) -> Option<PartitionId> {
        self.table.as_ref().map(|table| table.partitions().of_ttid(ttid))
    }
}

fn to_order(request: PackRequest) -> PackOrder {
    let partial = request.oids.as_ref().is_some_and(|oids| !oids.is_empty());
    let oids = request.oids.map(|oids| oids.iter().collect());
    PackOrder { approved: None, partial, oids, tid: request.tid }
}

/// A vote that was asked for.
struct Ballot {
    link: LinkId,
    id: u32,
    ttid: Ttid,
    /// What is answered when it is durable.
    answer: Message,
}

/// Encodes the oids of a transaction, a few at a time, and votes.
struct VoteTask {
    /// Until the vote is submitted.
    ballot: Option<(Ballot, Transaction)>,
    oids: Oids,
    /// How many of them are encoded.
    done: usize,
    encoded: EncodedOids,
}

impl Task for VoteTask {
    fn go_on(&mut self, node: &mut Storage, _: Option<Found>) -> Turn {
        let Some((ballot, _)) = &self.ballot else { return Turn::Done };
        let transaction = node.transactions.get(ballot.ttid);
        if transaction.is_none_or(|found| !found.votes_for(ballot.link, ballot.id)) {
            // It was aborted meanwhile: nobody wants an answer.
            return Turn::Done;
        }
        let end = self.oids.len().min(self.done + OIDS_AT_ONCE);
        self.encoded.extend((self.done..end).filter_map(|index| self.oids.get(index)));
        self.done = end;
        if end < self.oids.len() {
            return Turn::Later;
        }
        let encoded = std::mem::take(&mut self.encoded);
        if let Some((ballot, transaction)) = self.ballot.take() {
            node.submit_vote(ballot, Some((transaction, encoded)));
        }
        Turn::Done
    }
}
