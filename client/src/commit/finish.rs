//! The end of a voted transaction, and finding out about it when the primary master was lost.

use std::collections::BTreeSet;

use model::{Oid, Tid, Ttid};
use net::Message;

use super::transaction::{Kind, Phase, Transaction, Write};
use crate::error::Error;
use crate::load::{Place, Purpose};
use crate::machine::Client;
use crate::note::MasterRequest;
use crate::request::{Answer, Token};

impl Client {
    pub(crate) fn finish(&mut self, token: Token, ttid: Ttid) {
        let error = match self.transactions.get_mut(&ttid) {
            None => Error::NotBegun { ttid },
            Some(Transaction { phase: Phase::Failed(error), .. }) => error.clone(),
            Some(transaction) if transaction.phase == Phase::Voted => {
                transaction.phase = Phase::Finishing { token };
                return self.ask_master(MasterRequest::Finish { ttid });
            }
            Some(_) => Error::OutOfTurn { ttid },
        };
        self.complete(token, Err(error));
    }

    pub(crate) fn finish_message(&self, ttid: Ttid) -> Option<Message> {
        let table = self.table.as_ref()?;
        let transaction = self.transactions.get(&ttid)?;
        let of_kind = |kind| move |(_, write): &(&Oid, &Write)| write.kind == kind;
        let partitions = |kind| {
            let writes = transaction.writes.iter().filter(of_kind(kind));
            let partitions = writes.map(|(oid, _)| table.partition_of_oid(*oid));
            partitions.collect::<BTreeSet<_>>().into_iter().collect()
        };
        Some(Message::AskFinishTransaction {
            ttid,
            // NEO/py names no object that is deleted, only partitions: nobody is told then, and
            // caches of others have the last revision for ever.
            oids: transaction.order.iter().copied().collect(),
            deleted: partitions(Kind::Delete),
            checked: partitions(Kind::Check),
            pack: transaction.ballot.as_ref().and_then(|ballot| ballot.pack.clone()),
        })
    }

    /// What a transaction changed.
    pub(crate) fn finished_oids(&self, ttid: Ttid) -> Vec<Oid> {
        self.transactions.get(&ttid).map_or_else(Vec::new, |found| found.order.clone())
    }

    /// The transaction is committed.
    pub(crate) fn finished(&mut self, ttid: Ttid, tid: Tid) {
        let Some(transaction) = self.transactions.remove(&ttid) else { return };
        if let Phase::Finishing { token } | Phase::InDoubt { token } = transaction.phase {
            self.complete(token, Ok(Answer::Finished(tid)));
        }
    }

    /// The primary master was lost when it had been asked to commit: the next one is asked what
    /// became of the transaction (R3).
    pub(crate) fn finish_lost(&mut self, ttid: Ttid) {
        let Some(transaction) = self.transactions.get_mut(&ttid) else { return };
        let Phase::Finishing { token } = transaction.phase else { return };
        tracing::warn!(%ttid, "the outcome of a transaction is not known yet");
        transaction.phase = Phase::InDoubt { token };
        self.ask_master(MasterRequest::Outcome { ttid });
    }

    /// The primary master does not know: the storages that have the metadata do.
    pub(crate) fn ask_storages_for_outcome(&mut self, ttid: Ttid) {
        let Some(table) = &self.table else { return self.outcome_unknown(ttid) };
        let partition = table.partitions().of_ttid(ttid);
        let message = Message::AskFinalTID { ttid };
        self.read(Purpose::Outcome { ttid }, Place::Partition(partition), message);
    }

    pub(crate) fn outcome(&mut self, ttid: Ttid, tid: Option<Tid>) {
        match tid {
            Some(tid) => {
                tracing::info!(%ttid, %tid, "the transaction is committed after all");
                self.finished(ttid, tid);
            }
            None => self.doom(ttid, Error::NotCommitted { ttid }),
        }
    }

    pub(crate) fn outcome_unknown(&mut self, ttid: Ttid) {
        self.doom(ttid, Error::OutcomeUnknown { ttid });
    }
}
