//! The newest transactions.

use std::collections::BTreeSet;

use model::{Nid, PartitionId, Tid};
use net::Message;

use super::informations::Informations;
use super::walks::Walk;
use crate::load::{Place, Purpose};
use crate::machine::Client;
use crate::note::Asked;
use crate::request::{Answer, Token};

/// Stands for all partitions of which a storage has a readable cell.
const ALL_PARTITIONS: PartitionId = PartitionId::new(u32::MAX);

/// The newest transactions. Each storage is asked once, for those of all its readable cells;
/// partitions of which no storage answered are read one by one.
pub(crate) struct UndoLogWalk {
    first: u64,
    last: u64,
    stage: Stage,
    tids: BTreeSet<Tid>,
    pub(super) informations: Informations,
}

enum Stage {
    /// Waits for a primary master.
    Waiting,
    Storages {
        pending: BTreeSet<Nid>,
        answered: BTreeSet<Nid>,
    },
    Partitions {
        pending: usize,
    },
    Informations,
}

impl UndoLogWalk {
    pub(super) fn filled(&mut self, tids: Vec<Tid>) {
        self.tids.extend(tids);
        if let Stage::Partitions { pending } = &mut self.stage {
            *pending -= 1;
        }
    }

    /// What was asked for, of all that was found.
    fn choose(&self) -> Vec<Tid> {
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let newest = self.tids.iter().rev().copied();
        newest.skip(count(self.first)).take(count(self.last - self.first)).collect()
    }
}

impl Client {
    pub(crate) fn undo_log(&mut self, token: Token, first: u64, last: u64) {
        if first >= last {
            return self.complete(token, Ok(Answer::UndoLog(Vec::new())));
        }
        let walk = UndoLogWalk {
            first,
            last,
            stage: Stage::Waiting,
            tids: BTreeSet::new(),
            informations: Informations::default(),
        };
        self.begin_walk(token, Walk::UndoLog(walk));
    }

    pub(super) fn advance_undo_log(&mut self, token: Token) {
        let Some(Walk::UndoLog(walk)) = self.walks.get_mut(&token) else { return };
        match &walk.stage {
            Stage::Waiting => self.ask_newest_tids(token),
            Stage::Storages { pending, .. } if pending.is_empty() => self.fill_undo_log(token),
            Stage::Partitions { pending: 0 } => {
                walk.informations = Informations::new(walk.choose());
                walk.stage = Stage::Informations;
                self.read_undo_log(token);
            }
            Stage::Informations => self.read_undo_log(token),
            Stage::Storages { .. } | Stage::Partitions { .. } => {}
        }
    }

    fn ask_newest_tids(&mut self, token: Token) {
        let Some(table) = self.table.as_ref().filter(|_| self.master.is_ready()) else { return };
        let partitions = table.partitions().iter();
        let nids: BTreeSet<_> =
            partitions.flat_map(|partition| table.readable(partition)).collect();
        let links: Vec<_> = nids
            .into_iter()
            .filter_map(|nid| self.storage_link(nid).map(|link| (nid, link)))
            .collect();
        let Some(Walk::UndoLog(walk)) = self.walks.get_mut(&token) else { return };
        let pending = links.iter().map(|(nid, _)| *nid).collect();
        walk.stage = Stage::Storages { pending, answered: BTreeSet::new() };
        let message = Message::AskTIDs { first: 0, last: walk.last, partition: ALL_PARTITIONS };
        for (nid, link) in links {
            self.ask_storage(link, message.clone(), Asked::NewestTids { token, nid });
        }
        self.advance_undo_log(token);
    }

    pub(crate) fn newest_tids_answered(&mut self, token: Token, nid: Nid, message: Message) {
        let Some(Walk::UndoLog(walk)) = self.walks.get_mut(&token) else { return };
        let Stage::Storages { pending, answered } = &mut walk.stage else { return };
        pending.remove(&nid);
        if let Message::AnswerTIDs { tids } = message {
            answered.insert(nid);
            walk.tids.extend(tids);
        }
        self.advance_undo_log(token);
    }

    pub(crate) fn newest_tids_lost(&mut self, token: Token, nid: Nid) {
        let Some(Walk::UndoLog(walk)) = self.walks.get_mut(&token) else { return };
        let Stage::Storages { pending, .. } = &mut walk.stage else { return };
        pending.remove(&nid);
        self.advance_undo_log(token);
    }

    /// Reads partitions of which no storage answered.
    fn fill_undo_log(&mut self, token: Token) {
        let Some(Walk::UndoLog(walk)) = self.walks.get_mut(&token) else { return };
        let Stage::Storages { answered, .. } = &walk.stage else { return };
        let Some(table) = &self.table else { return };
        let is_missing = |partition: &PartitionId| {
            !table.readable(*partition).any(|nid| answered.contains(&nid))
        };
        let missing: Vec<_> = table.partitions().iter().filter(is_missing).collect();
        walk.stage = Stage::Partitions { pending: missing.len() };
        let last = walk.last;
        for partition in missing {
            let message = Message::AskTIDs { first: 0, last, partition };
            let purpose = Purpose::WalkPartition { token, partition };
            self.read(purpose, Place::Partition(partition), message);
        }
        self.advance_undo_log(token);
    }

    fn read_undo_log(&mut self, token: Token) {
        if let Some(found) = self.read_informations(token) {
            self.walks.remove(&token);
            self.complete(token, Ok(Answer::UndoLog(found)));
        }
    }
}
