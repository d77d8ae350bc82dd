//! Requests to the primary master, and its answers.

use model::Tid;
use net::{ErrorCode, Message};

use super::peer::Stage;
use crate::error::Error;
use crate::machine::Client;
use crate::note::{Asked, MasterRequest, Note};
use crate::request::{Answer, Token};

impl Client {
    /// Asks the primary master, now or when it is found.
    pub(crate) fn ask_master(&mut self, request: MasterRequest) {
        match (self.master.stage, self.master_message(&request)) {
            // A connection that is not open any more is lost, which is about to be handled.
            (Stage::Ready { link, .. }, Some(message)) if self.links.is_open(link) => {
                self.links.ask(link, &message, Note(request.into()));
            }
            _ if request.is_repeatable() => self.master.requests.push_back(request),
            _ => self.lost.push_back(request.into()),
        }
    }

    fn master_message(&self, request: &MasterRequest) -> Option<Message> {
        Some(match request {
            MasterRequest::Begin { tid, .. } => Message::AskBeginTransaction { tid: *tid },
            MasterRequest::NewOids { count, .. } => Message::AskNewOIDs { count: *count },
            MasterRequest::LastTid { .. } => Message::AskLastTransaction {},
            MasterRequest::Synchronize { .. }
            | MasterRequest::RefreshTable { .. }
            | MasterRequest::AwaitInvalidation { .. } => Message::Ping {},
            MasterRequest::PackOrders { first_id, .. } => {
                Message::AskPackOrders { first_id: *first_id }
            }
            MasterRequest::WaitForPack { pack_id, .. } => {
                Message::WaitForPack { pack_id: *pack_id }
            }
            MasterRequest::FailedVote { ttid, nids } => {
                Message::FailedVote { ttid: *ttid, nids: nids.clone() }
            }
            MasterRequest::Finish { ttid } => self.finish_message(*ttid)?,
            MasterRequest::Outcome { ttid } => Message::AskFinalTID { ttid: *ttid },
        })
    }

    pub(crate) fn master_answered(&mut self, asked: Asked, message: Message) {
        match asked {
            Asked::Bootstrap => self.bootstrap_packet(message),
            Asked::Joining => self.joined(message),
            Asked::Master(request) => self.master_answer(request, message),
            other => unreachable!("{other:?} is not asked of masters"),
        }
    }

    fn master_answer(&mut self, request: MasterRequest, message: Message) {
        match (request, message) {
            (MasterRequest::Begin { token, tid }, Message::AnswerBeginTransaction { ttid }) => {
                self.begun(token, tid, ttid);
            }
            (MasterRequest::NewOids { token, .. }, Message::AnswerNewOIDs { oids }) => {
                self.complete(token, Ok(Answer::NewOids(oids.iter().collect())));
            }
            (MasterRequest::LastTid { token }, Message::AnswerLastTransaction { tid }) => {
                self.complete(token, Ok(Answer::LastTid(tid)));
            }
            (MasterRequest::Synchronize { token }, Message::Pong {}) => {
                self.complete(token, Ok(Answer::Synchronized));
            }
            (MasterRequest::PackOrders { token, .. }, Message::AnswerPackOrders { orders }) => {
                self.complete(token, Ok(Answer::PackOrders(orders)));
            }
            (MasterRequest::WaitForPack { token, .. }, Message::WaitedForPack {}) => {
                self.complete(token, Ok(Answer::PackCompleted));
            }
            (MasterRequest::RefreshTable { read }, Message::Pong {}) => self.begin_round(read),
            (MasterRequest::AwaitInvalidation { ttid, oid }, Message::Pong {}) => {
                self.tell_conflict(ttid, oid);
            }
            (
                MasterRequest::FailedVote { ttid, .. },
                Message::Error { code: ErrorCode::Ack, .. },
            ) => self.voted(ttid),
            (MasterRequest::Finish { ttid }, Message::AnswerTransactionFinished { tid, .. }) => {
                let oids = self.finished_oids(ttid);
                self.told_commit(tid, oids, Some(ttid));
                self.keep_committed(ttid, tid);
                self.finished(ttid, tid);
            }
            (MasterRequest::Outcome { ttid }, Message::AnswerFinalTID { tid }) => match tid {
                Some(Tid::MAX) => self.ask_storages_for_outcome(ttid),
                tid => self.outcome(ttid, tid),
            },
            (request, Message::Error { code, text }) => {
                self.master_refused(request, code, Error::of_peer(None, code, &text));
            }
            (request, message) => {
                let name = message.name();
                tracing::warn!(?request, name, "the answer is of another kind");
                self.lost.push_back(request.into());
                self.drop_master("it gives answers of another kind");
            }
        }
    }

    fn master_refused(&mut self, request: MasterRequest, code: ErrorCode, error: Error) {
        match request {
            MasterRequest::Begin { token, .. }
            | MasterRequest::NewOids { token, .. }
            | MasterRequest::LastTid { token }
            | MasterRequest::Synchronize { token }
            | MasterRequest::PackOrders { token, .. }
            | MasterRequest::WaitForPack { token, .. } => self.complete(token, Err(error)),
            MasterRequest::RefreshTable { read } => self.begin_round(read),
            MasterRequest::FailedVote { ttid, .. } | MasterRequest::Finish { ttid } => {
                let is_incomplete = code == ErrorCode::IncompleteTransaction;
                self.doom(ttid, if is_incomplete { Error::Incomplete { ttid } } else { error });
            }
            MasterRequest::AwaitInvalidation { ttid, .. } => self.doom(ttid, error),
            MasterRequest::Outcome { ttid } => self.outcome_unknown(ttid),
        }
    }

    /// An error that answers nothing: the master ends the connection if it has to.
    pub(crate) fn master_strayed(&mut self, message: Message) {
        match self.master.stage {
            Stage::Searching => self.bootstrap_packet(message),
            _ => tracing::warn!(?message, "the primary master reports an error"),
        }
    }

    pub(crate) fn master_request_lost(&mut self, request: MasterRequest) {
        match request {
            MasterRequest::Finish { ttid } => self.finish_lost(ttid),
            request if request.is_repeatable() => self.ask_master(request),
            // Their transactions ended with the connection.
            _ => {}
        }
    }
}

impl Asked {
    /// Who waits for the answer, if it is the caller's request itself.
    pub(crate) const fn token(&self) -> Option<Token> {
        match self {
            Self::Master(
                MasterRequest::Begin { token, .. }
                | MasterRequest::NewOids { token, .. }
                | MasterRequest::LastTid { token }
                | MasterRequest::Synchronize { token }
                | MasterRequest::PackOrders { token, .. }
                | MasterRequest::WaitForPack { token, .. },
            ) => Some(*token),
            _ => None,
        }
    }
}
