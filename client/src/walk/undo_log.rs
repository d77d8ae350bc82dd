//! The newest transactions.

use std::collections::{BTreeMap, BTreeSet};

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

/// Tids that are asked for at once.
const LENGTH_MAX: u64 = 1 << 16;

/// The newest transactions that the caller sees. Each storage is asked for those of all its
/// readable cells, until there are enough; partitions of which no storage answered are read one by
/// one.
pub(crate) struct UndoLogWalk {
    /// What is at or above it is not seen; the last tid at the beginning, if not told.
    before: Option<Tid>,
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
        pending: BTreeMap<Nid, Told>,
        answered: BTreeSet<Nid>,
    },
    Partitions {
        pending: BTreeMap<PartitionId, Told>,
    },
    Informations,
}

/// How many transactions were told.
#[derive(Default)]
struct Told {
    all: u64,
    /// Of those that are seen. What is told again, because newer ones came before it meanwhile, is
    /// not counted again.
    seen: u64,
    /// The oldest one.
    oldest: Option<Tid>,
}

impl UndoLogWalk {
    /// Takes tids of a partition. What to ask next, if there may be more.
    pub(super) fn filled(&mut self, partition: PartitionId, tids: &[Tid]) -> Option<Message> {
        let Stage::Partitions { pending } = &mut self.stage else { return None };
        let mut told = pending.remove(&partition)?;
        let message = self.take(&mut told, tids, partition);
        if let (Some(_), Stage::Partitions { pending }) = (&message, &mut self.stage) {
            pending.insert(partition, told);
        }
        message
    }

    fn message(&self, told: &Told, partition: PartitionId) -> Message {
        let (first, length) = (told.all, self.last.min(LENGTH_MAX));
        Message::AskTIDs { first, last: first.saturating_add(length), partition }
    }

    /// Takes tids that are the next newest ones somewhere. What to ask there, if too few of all
    /// are seen.
    fn take(&mut self, told: &mut Told, tids: &[Tid], partition: PartitionId) -> Option<Message> {
        let before = self.before.unwrap_or(Tid::MAX);
        let before = told.oldest.map_or(before, |oldest| oldest.min(before));
        let seen = tids.iter().copied().filter(|tid| *tid < before);
        told.seen += seen.clone().count() as u64;
        told.all += tids.len() as u64;
        told.oldest = tids.last().copied().map(|last| last.min(before)).or(told.oldest);
        self.tids.extend(seen);
        let is_end = (tids.len() as u64) < self.last.min(LENGTH_MAX);
        (!is_end && told.seen < self.last).then(|| self.message(told, partition))
    }

    /// What was asked for, of all that was found.
    fn choose(&self) -> Vec<Tid> {
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let newest = self.tids.iter().rev().copied();
        newest.skip(count(self.first)).take(count(self.last - self.first)).collect()
    }
}

impl Client {
    pub(crate) fn undo_log(
        &mut self,
        token: Token,
        before: Option<Tid>,
        (first, last): (u64, u64),
    ) {
        if first >= last {
            return self.complete(token, Ok(Answer::UndoLog(Vec::new())));
        }
        let walk = UndoLogWalk {
            before,
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
            Stage::Partitions { pending } if pending.is_empty() => {
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
        let newest = self.newest_bound();
        let Some(Walk::UndoLog(walk)) = self.walks.get_mut(&token) else { return };
        walk.before = walk.before.or(newest);
        let pending = links.iter().map(|(nid, _)| (*nid, Told::default())).collect();
        walk.stage = Stage::Storages { pending, answered: BTreeSet::new() };
        let message = walk.message(&Told::default(), ALL_PARTITIONS);
        for (nid, link) in links {
            self.ask_storage(link, message.clone(), Asked::NewestTids { token, nid });
        }
        self.advance_undo_log(token);
    }

    pub(crate) fn newest_tids_answered(&mut self, token: Token, nid: Nid, message: Message) {
        let Some(Walk::UndoLog(walk)) = self.walks.get_mut(&token) else { return };
        let Stage::Storages { pending, .. } = &mut walk.stage else { return };
        let told = pending.remove(&nid);
        if let (Some(mut told), Message::AnswerTIDs { tids }) = (told, message) {
            let message = walk.take(&mut told, &tids, ALL_PARTITIONS);
            let Stage::Storages { pending, answered } = &mut walk.stage else { return };
            let Some(message) = message else {
                answered.insert(nid);
                return self.advance_undo_log(token);
            };
            pending.insert(nid, told);
            match self.storage_link(nid) {
                Some(link) => self.ask_storage(link, message, Asked::NewestTids { token, nid }),
                None => self.newest_tids_lost(token, nid),
            }
        } else {
            self.advance_undo_log(token);
        }
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
        let pending = missing.iter().map(|partition| (*partition, Told::default())).collect();
        walk.stage = Stage::Partitions { pending };
        let messages = missing
            .into_iter()
            .map(|partition| (partition, walk.message(&Told::default(), partition)));
        for (partition, message) in messages.collect::<Vec<_>>() {
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
