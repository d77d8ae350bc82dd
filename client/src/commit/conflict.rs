//! Conflicts: told to the caller, who resolves them or gives up.

use model::{Oid, Tid, Ttid};

use super::store::NewWrite;
use super::transaction::{Cause, PendingConflict, Retention};
use crate::error::Error;
use crate::machine::Client;
use crate::note::MasterRequest;
use crate::payload::Payload;
use crate::request::{Answer, Completion, Conflict, Token};

impl Client {
    /// Takes note that a newer revision stands in the way of a store.
    pub(super) fn conflicting(&mut self, ttid: Ttid, oid: Oid, serial: Tid) {
        let last_tid = self.last_tid;
        let Some(transaction) = self.storing(ttid) else { return };
        // Where the caller resolves an earlier one first, the next store conflicts again.
        if transaction.conflicts.contains_key(&oid) {
            return;
        }
        let conflict = PendingConflict { serial, cause: Cause::Store };
        transaction.conflicts.insert(oid, conflict);
        // The caller loads that revision, which is not to be newer than what it was told of (R22).
        match Some(serial) <= last_tid {
            true => self.tell_conflict(ttid, oid),
            false => self.ask_master(MasterRequest::AwaitInvalidation { ttid, oid }),
        }
    }

    pub(crate) fn tell_conflict(&mut self, ttid: Ttid, oid: Oid) {
        let Some(transaction) = self.storing(ttid) else { return };
        let (Some(pending), Some(write)) =
            (transaction.conflicts.get(&oid), transaction.writes.get(&oid))
        else {
            return;
        };
        let conflict = Conflict {
            ttid,
            oid,
            serial: write.serial,
            conflict_serial: pending.serial,
            conflict_data: None,
            data: write.payload.clone(),
            data_serial: write.data_serial,
        };
        tracing::debug!(%ttid, %oid, serial = %conflict.conflict_serial, "conflict");
        self.tell(Completion::Conflict(conflict));
    }

    /// Stores what the caller made of both revisions.
    pub(crate) fn resolve(&mut self, token: Token, ttid: Ttid, oid: Oid, data: Option<Payload>) {
        let Some(transaction) = self.storing(ttid) else {
            // It failed, or was aborted, meanwhile.
            self.open_transaction(token, ttid);
            return;
        };
        let Some(conflict) = transaction.conflicts.remove(&oid) else {
            return self.complete(token, Err(Error::OutOfTurn { ttid }));
        };
        self.complete(token, Ok(Answer::Accepted));
        let mut write = NewWrite::of(conflict.serial, data);
        match conflict.cause {
            Cause::Store => {
                if let Some(transaction) = self.transactions.get_mut(&ttid) {
                    transaction.resolved.insert(oid);
                }
            }
            // Another undo by the same transaction may have to be merged with it.
            Cause::Undo { .. } => write.retention = Retention::UntilVote,
        }
        self.write(ttid, oid, write);
    }
}
