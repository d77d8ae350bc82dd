//! Requests of the caller.

use model::Now;

use super::Client;
use crate::error::Error;
use crate::note::MasterRequest;
use crate::options::Access;
use crate::request::{Request, Token};

impl Client {
    /// Takes a request. What comes of it is polled.
    pub fn submit(&mut self, now: Now, request: Request) -> Token {
        self.now = now;
        self.tokens += 1;
        let token = Token(self.tokens);
        if self.closed {
            self.complete(token, Err(Error::Closed));
            return token;
        }
        match request {
            Request::Load { oid, revision } => self.load(token, oid, revision),
            Request::History { oid, before, first, last } => {
                self.history(token, oid, before, (first, last));
            }
            Request::TransactionInformation { tid } => self.transaction_information(token, tid),
            Request::UndoLog { before, first, last } => self.undo_log(token, before, (first, last)),
            Request::Transactions { cursor, count_max } => {
                self.walk_transactions(token, cursor, count_max);
            }
            Request::Oids { cursor, count_max } => self.walk_oids(token, cursor, count_max),
            Request::LastTid => self.ask_master(MasterRequest::LastTid { token }),
            Request::Synchronize => self.ask_master(MasterRequest::Synchronize { token }),
            Request::NewOids { count } => {
                self.ask_master_to_write(token, MasterRequest::NewOids { token, count });
            }
            Request::PackOrders { first_id } => {
                self.ask_master(MasterRequest::PackOrders { token, first_id });
            }
            Request::WaitForPack { pack_id } => {
                self.ask_master(MasterRequest::WaitForPack { token, pack_id });
            }
            Request::Begin { tid } => {
                self.ask_master_to_write(token, MasterRequest::Begin { token, tid });
            }
            Request::Store { ttid, oid, serial, data } => {
                self.store(token, ttid, oid, serial, data);
            }
            Request::Check { ttid, oid, serial } => self.check(token, ttid, oid, serial),
            Request::Resolve { ttid, oid, data } => self.resolve(token, ttid, oid, data),
            Request::Undo { ttid, tid } => self.undo(token, ttid, tid),
            Request::Vote { ttid, metadata, pack } => self.vote(token, ttid, metadata, pack),
            Request::Finish { ttid } => self.finish(token, ttid),
            Request::Abort { ttid } => self.abort(token, ttid),
        }
        self.run();
        token
    }

    fn ask_master_to_write(&mut self, token: Token, request: MasterRequest) {
        match self.options.access {
            Access::ReadWrite => self.ask_master(request),
            Access::ReadOnly => self.complete(token, Err(Error::ReadOnly)),
        }
    }
}
