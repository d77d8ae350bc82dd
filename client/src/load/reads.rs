//! Reads that are going on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::{Nid, Oid, PartitionId, Tid, Ttid};
use net::{LinkId, Message};

use super::history::History;
use crate::cache::Ticket;
use crate::error::Error;
use crate::request::{Revision, Token};

/// Names a read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct ReadId(u64);

/// What a read is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    Load {
        /// Who asks: several if what they ask is the same.
        tokens: Vec<Token>,
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
    UndoneTransaction {
        ttid: Ttid,
    },
    UndoSerials {
        ttid: Ttid,
    },
    /// Data that comes back.
    UndoData {
        ttid: Ttid,
        oid: Oid,
    },
}

/// What a load asks: which revision of an object, and below which tid the newest is looked for.
pub(super) type Question = (Oid, Revision, Option<Tid>);

/// A read of one partition.
pub(crate) struct Read {
    pub(crate) purpose: Purpose,
    /// The partition, or what tells it once the client has a table.
    pub(crate) place: Place,
    pub(crate) message: Message,
    /// Storages that were tried in this round.
    pub(crate) tried: BTreeSet<Nid>,
    /// Storages on which the revision is damaged.
    pub(crate) damaged: BTreeSet<Nid>,
    /// How many rounds there were, each of which tried all storages.
    pub(crate) round: u32,
    pub(crate) state: ReadState,
    /// What is wrong if the revision is damaged wherever it is.
    pub(crate) failure: Option<Error>,
    pub(crate) reason: String,
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
    pub(super) fn question(&self) -> Option<Question> {
        match (&self.purpose, &self.message) {
            (Purpose::Load { oid, revision, .. }, Message::AskObject { before, .. }) => {
                Some((*oid, *revision, *before))
            }
            _ => None,
        }
    }
}

/// All reads that are going on.
#[derive(Default)]
pub(crate) struct Reads {
    next: u64,
    pub(crate) reads: BTreeMap<ReadId, Read>,
    /// Loads that others may join, who ask the same.
    pub(super) questions: BTreeMap<Question, ReadId>,
    /// Those that wait for a moment.
    pub(crate) delayed: BTreeSet<(Duration, ReadId)>,
}

impl Reads {
    pub(crate) fn insert(&mut self, purpose: Purpose, place: Place, message: Message) -> ReadId {
        self.next += 1;
        let id = ReadId(self.next);
        let read = Read {
            purpose,
            place,
            message,
            tried: BTreeSet::new(),
            damaged: BTreeSet::new(),
            round: 0,
            state: ReadState::WaitsForMaster,
            failure: None,
            reason: "there is none at work".to_owned(),
        };
        self.reads.insert(id, read);
        id
    }

    /// Takes a read out that is over.
    pub(super) fn remove(&mut self, id: ReadId) -> Option<Read> {
        let read = self.reads.remove(&id)?;
        if let Some(question) = read.question()
            && self.questions.get(&question) == Some(&id)
        {
            self.questions.remove(&question);
        }
        Some(read)
    }

    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.delayed.first().map(|(at, _)| *at)
    }

    /// Requests of the caller that are a single read.
    pub(crate) fn tokens(self) -> impl Iterator<Item = Token> {
        self.reads.into_values().flat_map(|read| match read.purpose {
            Purpose::Load { tokens, .. } => tokens,
            Purpose::Information { token, .. } => vec![token],
            Purpose::History(history) => vec![history.token],
            _ => Vec::new(),
        })
    }

    pub(crate) fn invariants(&self) {
        for (at, id) in &self.delayed {
            let state = self.reads.get(id).map(|read| read.state);
            assert_eq!(state, Some(ReadState::WaitsUntil(*at)), "a read that is woken waits");
        }
        for (question, id) in &self.questions {
            let asked = self.reads.get(id).and_then(Read::question);
            assert_eq!(asked, Some(*question), "who joins a load asks the same");
        }
    }
}
