//! Reads that are going on.

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::hash::BuildHasherDefault;
use std::time::Duration;

use model::{InOrder, Nid, Oid, PartitionId, Tid, Ttid};
use net::{LinkId, Message};

use super::history::History;
use crate::cache::{OidHasher, Ticket};
use crate::error::Error;
use crate::request::{Revision, Token};

/// Names a read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct ReadId(u64);

/// What a read is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    Load {
        token: Token,
        /// Others that ask the same.
        joined: Vec<Token>,
        oid: Oid,
        revision: Revision,
        /// By which the cache knows of it, if there is one.
        ticket: Option<Ticket>,
    },
    History(Box<History>),
    Information {
        token: Token,
        tid: Tid,
    },
    /// A step of an iteration: tids or oids of a partition.
    WalkPartition {
        token: Token,
        partition: PartitionId,
    },
    /// A step of an iteration: metadata of the transaction at a place of the result.
    WalkInformation {
        token: Token,
        place: usize,
    },
    /// What became of a transaction.
    Outcome {
        ttid: Ttid,
    },
    /// What a transaction undoes.
    UndoneTransaction(UndoId),
    UndoSerials(UndoId),
    /// Data that comes back.
    UndoData {
        undo: UndoId,
        oid: Oid,
    },
}

/// An undo of a transaction. The ttid alone does not name it: a master that lost its log may give a
/// ttid again whose transaction was lost, while something is still read for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct UndoId {
    pub(crate) ttid: Ttid,
    /// Of the request.
    pub(crate) token: Token,
}

/// What a load asks of an object: which revision, and below which tid the newest is looked for.
pub(super) type Question = (Revision, Option<Tid>);

/// A read of one partition.
pub(crate) struct Read {
    pub(crate) purpose: Purpose,
    /// The partition, or what tells it once the client has a table.
    pub(crate) place: Place,
    pub(crate) message: Message,
    /// Storages that were tried in this round, in vain.
    pub(super) tried: Vec<Nid>,
    /// Storages on which the revision is damaged.
    pub(super) damaged: Vec<Nid>,
    /// How many rounds there were, each of which tried all storages.
    pub(crate) round: u32,
    pub(crate) state: ReadState,
    /// What is wrong if the revision is damaged wherever it is.
    pub(crate) failure: Option<Error>,
    /// What went wrong last.
    pub(crate) reason: Cow<'static, str>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    Oid(Oid),
    Tid(Tid),
    Partition(PartitionId),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ReadState {
    /// Asked of a storage.
    Asked(Nid, LinkId),
    /// Waits for a primary master.
    WaitsForMaster,
    /// Waits for a moment, after all storages failed.
    WaitsUntil(Duration),
    /// Waits for the newest table.
    WaitsForTable,
}

impl Read {
    /// What a load asks; `None` of other reads.
    fn question(&self) -> Option<(Oid, Question)> {
        match (&self.purpose, &self.message) {
            (Purpose::Load { oid, revision, .. }, Message::AskObject { before, .. }) => {
                Some((*oid, (*revision, *before)))
            }
            _ => None,
        }
    }
}

/// All reads that are going on.
#[derive(Default)]
pub(crate) struct Reads {
    last: u64,
    reads: InOrder<Read>,
    /// Loads that others may join, who ask the same: the last one of an object.
    pub(super) questions: HashMap<Oid, (Question, ReadId), BuildHasherDefault<OidHasher>>,
    /// Those that wait for a moment.
    pub(crate) delayed: BTreeSet<(Duration, ReadId)>,
}

impl Reads {
    pub(crate) fn insert(&mut self, purpose: Purpose, place: Place, message: Message) -> ReadId {
        self.last += 1;
        let id = ReadId(self.last);
        let read = Read {
            purpose,
            place,
            message,
            tried: Vec::new(),
            damaged: Vec::new(),
            round: 0,
            state: ReadState::WaitsForMaster,
            failure: None,
            reason: Cow::Borrowed("there is none at work"),
        };
        self.reads.insert(id.0, read);
        id
    }

    pub(crate) fn get(&self, id: ReadId) -> Option<&Read> {
        self.reads.get(id.0)
    }

    pub(crate) fn get_mut(&mut self, id: ReadId) -> Option<&mut Read> {
        self.reads.get_mut(id.0)
    }

    /// All, the oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ReadId, &Read)> {
        self.reads.iter().map(|(number, read)| (ReadId(number), read))
    }

    pub(crate) fn len(&self) -> usize {
        self.reads.len()
    }

    /// Who joined a load that asks the same, if there is one.
    pub(super) fn asked(&mut self, oid: Oid, question: Question) -> Option<&mut Vec<Token>> {
        let (_, id) = self.questions.get(&oid).filter(|(asked, _)| *asked == question)?;
        match &mut self.reads.get_mut(id.0)?.purpose {
            Purpose::Load { joined, .. } => Some(joined),
            _ => None,
        }
    }

    /// Takes a read out that is over.
    pub(super) fn remove(&mut self, id: ReadId) -> Option<Read> {
        let read = self.reads.remove(id.0)?;
        if let Purpose::Load { oid, .. } = read.purpose
            && let Entry::Occupied(last) = self.questions.entry(oid)
            && last.get().1 == id
        {
            last.remove();
        }
        Some(read)
    }

    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.delayed.first().map(|(at, _)| *at)
    }

    /// Requests of the caller that are a single read.
    pub(crate) fn tokens(self) -> impl Iterator<Item = Token> {
        self.reads.into_values().flat_map(|read| match read.purpose {
            Purpose::Load { token, mut joined, .. } => {
                joined.insert(0, token);
                joined
            }
            Purpose::Information { token, .. } => vec![token],
            Purpose::History(history) => vec![history.token],
            _ => Vec::new(),
        })
    }

    pub(crate) fn invariants(&self) {
        for (at, id) in &self.delayed {
            let state = self.get(*id).map(|read| read.state);
            assert_eq!(state, Some(ReadState::WaitsUntil(*at)), "a read that is woken waits");
        }
        for (oid, (question, id)) in &self.questions {
            let asked = self.get(*id).and_then(Read::question);
            assert_eq!(asked, Some((*oid, *question)), "who joins a load asks the same");
        }
    }
}
