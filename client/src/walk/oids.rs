//! Iteration over oids.

use std::collections::BTreeSet;

use model::{Oid, PartitionId};
use net::Message;

use super::cursor::OidCursor;
use super::informations::READS_MAX;
use super::walks::Walk;
use crate::load::{Place, Purpose};
use crate::machine::Client;
use crate::request::{Answer, Token};

/// Oids that are fetched ahead, of all partitions together.
const AHEAD_MAX: u32 = 1 << 16;
/// Oids that are fetched at least at once from a partition.
const LENGTH_MIN: u32 = 16;

/// The next oids of an iteration.
pub(crate) struct OidWalk {
    cursor: OidCursor,
    count_max: usize,
    /// Partitions that oids are being fetched from.
    pending: BTreeSet<PartitionId>,
}

impl OidWalk {
    pub(super) fn fetched(&mut self, partition: PartitionId, oids: Vec<Oid>, next: Option<Oid>) {
        self.pending.remove(&partition);
        self.cursor.merge.fetched(partition, oids, next);
    }
}

impl Client {
    pub(crate) fn walk_oids(&mut self, token: Token, cursor: OidCursor, count_max: usize) {
        let walk = OidWalk { cursor, count_max: count_max.max(1), pending: BTreeSet::new() };
        self.begin_walk(token, Walk::Oids(walk));
    }

    pub(super) fn advance_oids(&mut self, token: Token) {
        let (partitions, last_tid) = (self.partitions(), self.last_tid);
        let (Some(partitions), Some(last_tid)) = (partitions, last_tid) else { return };
        let Some(Walk::Oids(walk)) = self.walks.get_mut(&token) else { return };
        let tid = walk.cursor.begin(partitions, last_tid);
        let length = (AHEAD_MAX / partitions.get()).max(LENGTH_MIN);
        let missing = walk.cursor.merge.missing();
        let missing = missing.filter(|(partition, _)| !walk.pending.contains(partition));
        let begun: Vec<_> = missing.take(READS_MAX - walk.pending.len()).collect();
        walk.pending.extend(begun.iter().map(|(partition, _)| *partition));
        if walk.pending.is_empty() {
            let oids = walk.cursor.merge.take(walk.count_max);
            if let Some(Walk::Oids(walk)) = self.walks.remove(&token) {
                let cursor = Some(walk.cursor).filter(|cursor| !cursor.merge.is_at_end());
                self.complete(token, Ok(Answer::Oids(oids, cursor)));
            }
            return;
        }
        for (partition, oid_min) in begun {
            let message = Message::AskOIDsFrom { partition, length, oid_min, tid };
            let purpose = Purpose::WalkPartition { token, partition };
            self.read(purpose, Place::Partition(partition), message);
        }
    }
}
