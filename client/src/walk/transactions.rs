//! Iteration over transactions.

use std::collections::BTreeSet;

use model::{PartitionId, Tid};
use net::Message;

use super::cursor::TransactionCursor;
use super::informations::{Informations, READS_MAX};
use super::walks::Walk;
use crate::load::{Place, Purpose, following};
use crate::machine::Client;
use crate::request::{Answer, Token};

/// Tids that are fetched ahead, of all partitions together.
const AHEAD_MAX: u32 = 1 << 14;
/// Tids that are fetched at least at once from a partition.
const LENGTH_MIN: u32 = 16;

/// The next transactions of an iteration.
pub(crate) struct TransactionWalk {
    cursor: TransactionCursor,
    count_max: usize,
    length: u32,
    /// Partitions that tids are being fetched from.
    pending: BTreeSet<PartitionId>,
    /// Whether the tids are known whose metadata is read.
    pub(super) is_chosen: bool,
    pub(super) informations: Informations,
}

impl TransactionWalk {
    pub(super) fn fetched(&mut self, partition: PartitionId, tids: Vec<Tid>) {
        self.pending.remove(&partition);
        let tid_max = self.cursor.tid_max.unwrap_or(Tid::MAX);
        let last = tids.last().copied().filter(|last| *last < tid_max);
        self.cursor.merge.fetched(partition, tids, last.map(following));
    }
}

impl Client {
    pub(crate) fn walk_transactions(
        &mut self,
        token: Token,
        cursor: TransactionCursor,
        count_max: usize,
    ) {
        let walk = TransactionWalk {
            cursor,
            count_max: count_max.max(1),
            length: 0,
            pending: BTreeSet::new(),
            is_chosen: false,
            informations: Informations::default(),
        };
        self.begin_walk(token, Walk::Transactions(walk));
    }

    pub(super) fn advance_transactions(&mut self, token: Token) {
        let (partitions, last_tid) = (self.partitions(), self.last_tid);
        let Some(Walk::Transactions(walk)) = self.walks.get_mut(&token) else { return };
        if !walk.is_chosen {
            let (Some(partitions), Some(last_tid)) = (partitions, last_tid) else { return };
            let tid_max = walk.cursor.begin(partitions, last_tid);
            walk.length = (AHEAD_MAX / partitions.get()).max(LENGTH_MIN);
            let length = walk.length;
            let missing = walk.cursor.merge.missing();
            let missing = missing.filter(|(partition, _)| !walk.pending.contains(partition));
            let begun: Vec<_> = missing.take(READS_MAX - walk.pending.len()).collect();
            walk.pending.extend(begun.iter().map(|(partition, _)| *partition));
            if walk.pending.is_empty() {
                walk.is_chosen = true;
                walk.informations = Informations::new(walk.cursor.merge.take(walk.count_max));
            }
            for (partition, tid_min) in begun {
                let message = Message::AskTIDsFrom { tid_min, tid_max, length, partition };
                let purpose = Purpose::WalkPartition { token, partition };
                self.read(purpose, Place::Partition(partition), message);
            }
        }
        if let Some(found) = self.read_informations(token)
            && let Some(Walk::Transactions(walk)) = self.walks.remove(&token)
        {
            let cursor = Some(walk.cursor).filter(|cursor| !cursor.merge.is_at_end());
            self.complete(token, Ok(Answer::Transactions(found, cursor)));
        }
    }
}
