//! Votes: everything of a transaction becomes durable (R1).

use engine::{PackOrder, Transaction};
use model::{Nid, PartitionId, Tid, Ttid};
use net::{ErrorCode, LinkId, Message, PackRequest};

use crate::completions::After;
use crate::machine::Storage;
use crate::transactions::Phase;

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
            oids: oids.iter().collect(),
            packed: false,
            pack_order,
            superseded: Vec::new(),
        };
        // A cell that went meanwhile takes nothing.
        let partition = self.partition_of_ttid(ttid);
        let is_kept = partition.is_some_and(|partition| self.cell(partition).is_some());
        let transaction = is_kept.then_some(transaction);
        if has_pack && is_kept && self.packs.add(Tid::new(ttid.get())) {
            self.keep_packs();
        }
        if let Some(found) = self.transactions.get_mut(ttid) {
            found.has_pack = has_pack && is_kept;
        }
        let answer = Message::AnswerStoreTransaction {};
        self.vote(link, id, ttid, transaction, answer);
    }

    pub(crate) fn ask_vote(&mut self, link: LinkId, id: u32, ttid: Ttid) {
        let text = match self.transactions.get(ttid) {
            None => "no such transaction",
            Some(found) if found.link != Some(link) => "it belongs to another connection",
            Some(found) if found.phase != Phase::Open => "it is voted already",
            Some(_) => {
                let answer = Message::AnswerVoteTransaction {};
                return self.vote(link, id, ttid, None, answer);
            }
        };
        let text = format!("vote of {ttid}: {text}");
        self.refuse_peer(link, id, ErrorCode::ProtocolError, text);
    }

    fn vote(
        &mut self,
        link: LinkId,
        id: u32,
        ttid: Ttid,
        metadata: Option<Transaction>,
        answer: Message,
    ) {
        let (Some(transaction), Some(table)) = (self.transactions.get_mut(ttid), &self.table)
        else {
            return;
        };
        if !transaction.active.is_empty() {
            let text = format!("vote of {ttid} before all stores are answered");
            return self.refuse_peer(link, id, ErrorCode::ProtocolError, text);
        }
        if metadata.is_none() && !transaction.in_engine {
            // It only checked, or stored nothing here: there is nothing to lose (R6).
            transaction.phase = Phase::Voted;
            return self.links.answer(link, id, &answer);
        }
        transaction.in_engine = true;
        transaction.phase = Phase::Voting;
        let partition = table.partitions().of_ttid(ttid);
        let token = self.token(After::Vote { ttid, link, id, answer });
        if let Err(error) = self.engine.vote(token, ttid, partition, metadata) {
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
