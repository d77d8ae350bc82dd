//! What reads give.

use bytes::Bytes;
use model::{Nid, Tid};
use net::{ErrorCode, Message};

use super::reads::{Place, Purpose, ReadId};
use crate::error::Error;
use crate::machine::Client;
use crate::payload::Payload;
use crate::request::{Answer, Metadata, Object, Token, TransactionInformation};

impl Client {
    pub(crate) fn transaction_information(&mut self, token: Token, tid: Tid) {
        let message = Message::AskTransactionInformation { tid };
        self.read(Purpose::Information { token, tid }, Place::Tid(tid), message);
    }

    /// Ends a read.
    pub(crate) fn read_done(&mut self, id: ReadId, result: Result<Message, Error>) {
        let Some(read) = self.reads.remove(id) else { return };
        match read.purpose {
            Purpose::Load { token, joined, ticket, .. } => {
                self.loaded(token, joined, ticket, result.and_then(object));
            }
            Purpose::History(history) => self.history_done(*history, result),
            Purpose::Information { token, .. } => {
                self.complete(token, result.map(information).map(Answer::Transaction));
            }
            Purpose::WalkPartition { token, partition } => {
                self.walk_partition_done(token, partition, result);
            }
            Purpose::WalkInformation { token, place } => {
                self.walk_information_done(token, place, result.map(information));
            }
            Purpose::Outcome { ttid } => match result {
                Ok(Message::AnswerFinalTID { tid }) => self.outcome(ttid, tid),
                Ok(message) => wrong(&message),
                Err(_) => self.outcome_unknown(ttid),
            },
            Purpose::UndoneTransaction(undo) => {
                self.undone_transaction(undo, result.map(information));
            }
            Purpose::UndoSerials(undo) => match result {
                Ok(Message::AnswerObjectUndoSerial { objects }) => {
                    self.undo_serials(undo, objects.0);
                }
                Ok(message) => wrong(&message),
                Err(error) => self.undo_failed(undo, error),
            },
            Purpose::UndoData { undo, oid } => {
                self.undo_data(undo, oid, result.and_then(object));
            }
        }
    }

    /// What it means that a storage refuses a read.
    pub(super) fn refusal(&self, id: ReadId, nid: Nid, code: ErrorCode, text: &Bytes) -> Error {
        let purpose = self.reads.get(id).map(|read| &read.purpose);
        match (purpose, code) {
            (Some(Purpose::Load { oid, .. }), ErrorCode::OidDoesNotExist) => {
                Error::NoSuchObject { oid: *oid }
            }
            (
                Some(Purpose::History(history)),
                ErrorCode::OidNotFound | ErrorCode::OidDoesNotExist,
            ) => Error::NoSuchObject { oid: history.oid },
            (Some(Purpose::Load { oid, revision, .. }), ErrorCode::OidNotFound) => {
                Error::NoSuchRevision { oid: *oid, revision: *revision }
            }
            (Some(Purpose::Information { tid, .. }), ErrorCode::TidNotFound) => {
                Error::NoSuchTransaction { tid: *tid }
            }
            (Some(Purpose::WalkInformation { .. }), ErrorCode::TidNotFound) => {
                Error::NoSuchTransaction { tid: Tid::ZERO }
            }
            (Some(Purpose::UndoneTransaction(undo)), ErrorCode::TidNotFound) => {
                self.undo_failure(undo.ttid, None, crate::error::UndoFailure::NoSuchTransaction)
            }
            (Some(Purpose::UndoSerials(undo)), ErrorCode::OidNotFound) => {
                self.undo_failure(undo.ttid, None, crate::error::UndoFailure::Packed)
            }
            (
                Some(Purpose::UndoData { undo, oid }),
                ErrorCode::OidNotFound | ErrorCode::OidDoesNotExist,
            ) => self.undo_failure(undo.ttid, Some(*oid), crate::error::UndoFailure::Packed),
            _ => Error::of_peer(Some(nid), code, text),
        }
    }
}

/// `links` takes an answer only if it is of the kind that was asked for.
pub(super) fn wrong(message: &Message) -> ! {
    unreachable!("a read is not answered by {}", message.name())
}

fn object(message: Message) -> Result<Object, Error> {
    match message {
        Message::AnswerObject {
            oid,
            serial,
            next_serial,
            compression,
            checksum,
            data,
            data_serial,
        } => {
            let data = Payload::from_message(compression.unwrap_or(0), checksum, data);
            Ok(Object { oid, serial, next_serial, data, data_serial })
        }
        message => wrong(&message),
    }
}

fn information(message: Message) -> TransactionInformation {
    match message {
        Message::AnswerTransactionInformation {
            tid,
            user,
            description,
            extension,
            packed,
            oids,
        } => {
            let metadata = Metadata { user, description, extension };
            TransactionInformation { tid, metadata, packed, oids: oids.iter().collect() }
        }
        message => wrong(&message),
    }
}
