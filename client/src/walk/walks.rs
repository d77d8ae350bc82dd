//! Iterations that are going on.

use model::{PartitionCount, PartitionId};
use net::Message;

use super::informations::Informations;
use super::oids::OidWalk;
use super::transactions::TransactionWalk;
use super::undo_log::UndoLogWalk;
use crate::error::Error;
use crate::load::{Place, Purpose};
use crate::machine::Client;
use crate::request::{Token, TransactionInformation};

/// A request that takes many reads.
pub(crate) enum Walk {
    Transactions(TransactionWalk),
    Oids(OidWalk),
    UndoLog(UndoLogWalk),
}

impl Walk {
    /// The metadata that is being read, if the walk has come to it.
    pub(super) fn informations(&mut self) -> Option<&mut Informations> {
        match self {
            Self::Transactions(walk) if walk.is_chosen => Some(&mut walk.informations),
            Self::UndoLog(walk) => Some(&mut walk.informations),
            Self::Transactions(_) | Self::Oids(_) => None,
        }
    }
}

impl Client {
    pub(super) fn partitions(&self) -> Option<PartitionCount> {
        let table = self.table.as_ref().filter(|_| self.master.is_ready());
        table.map(model::PartitionTable::partitions)
    }

    pub(super) fn begin_walk(&mut self, token: Token, walk: Walk) {
        self.walks.insert(token, walk);
        self.advance_walk(token);
    }

    /// Goes on with what waits for a primary master.
    pub(crate) fn begin_waiting_walks(&mut self) {
        let tokens: Vec<_> = self.walks.keys().copied().collect();
        for token in tokens {
            self.advance_walk(token);
        }
    }

    /// Does what is next, as far as it is known.
    pub(super) fn advance_walk(&mut self, token: Token) {
        match self.walks.get(&token) {
            Some(Walk::Transactions(_)) => self.advance_transactions(token),
            Some(Walk::Oids(_)) => self.advance_oids(token),
            Some(Walk::UndoLog(_)) => self.advance_undo_log(token),
            None => {}
        }
    }

    pub(super) fn fail_walk(&mut self, token: Token, error: Error) {
        if self.walks.remove(&token).is_some() {
            self.complete(token, Err(error));
        }
    }

    pub(crate) fn walk_partition_done(
        &mut self,
        token: Token,
        partition: PartitionId,
        result: Result<Message, Error>,
    ) {
        let message = match result {
            Ok(message) => message,
            Err(error) => return self.fail_walk(token, error),
        };
        match (self.walks.get_mut(&token), message) {
            (Some(Walk::Transactions(walk)), Message::AnswerTIDsFrom { tids }) => {
                walk.fetched(partition, tids);
            }
            (Some(Walk::Oids(walk)), Message::AnswerOIDsFrom { next, oids }) => {
                walk.fetched(partition, oids.iter().collect(), next);
            }
            (Some(Walk::UndoLog(walk)), Message::AnswerTIDs { tids }) => {
                if let Some(message) = walk.filled(partition, &tids) {
                    let purpose = Purpose::WalkPartition { token, partition };
                    return self.read(purpose, Place::Partition(partition), message);
                }
            }
            _ => return,
        }
        self.advance_walk(token);
    }

    pub(crate) fn walk_information_done(
        &mut self,
        token: Token,
        place: usize,
        result: Result<TransactionInformation, Error>,
    ) {
        let informations = self.walks.get_mut(&token).and_then(Walk::informations);
        let Some(informations) = informations else { return };
        match result {
            Ok(information) => informations.found(place, Some(information)),
            // It was truncated since its tid was told.
            Err(Error::NoSuchTransaction { .. }) => informations.found(place, None),
            Err(error) => return self.fail_walk(token, error),
        }
        self.advance_walk(token);
    }
}
