//! What the client knows of a transaction.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use model::{Nid, Oid, PartitionId, PartitionTableId, Tid, Ttid};
use net::{LinkId, PackRequest};

use super::kept::Kept;
use super::undo::Undo;
use crate::error::Error;
use crate::payload::Payload;
use crate::request::{Metadata, Token};

/// Open objects up to which the invariants of each are checked.
const CHECKED_MAX: usize = 100;

/// A transaction in progress.
///
/// Invariants: an object is in `open` exactly while some storage has its answer to give or a
/// conflict of it waits for the caller; nothing is open once it votes; `bytes` is the length of
/// the data of what is open.
pub(crate) struct Transaction {
    pub(crate) ttid: Ttid,
    pub(super) phase: Phase,
    /// The storages that are involved, each by the one connection by which it is told of the
    /// transaction (R7).
    pub(super) nodes: BTreeMap<Nid, Part>,
    pub(super) writes: BTreeMap<Oid, Write>,
    /// The stored objects, in the order in which they were first stored.
    pub(super) order: Vec<Oid>,
    /// Objects that are not answered for yet.
    pub(super) open: BTreeSet<Oid>,
    pub(super) bytes: usize,
    pub(super) kept: Kept,
    /// Conflicts that the caller is to decide on, or is about to be told of.
    pub(super) conflicts: BTreeMap<Oid, PendingConflict>,
    /// Locks that are being taken again.
    pub(super) relocks: BTreeSet<(Oid, Nid)>,
    /// Objects of which a conflict was resolved.
    pub(super) resolved: BTreeSet<Oid>,
    /// Stores that are accepted when less is open.
    pub(super) blocked: VecDeque<Token>,
    pub(super) undo: Option<Undo>,
    pub(super) ballot: Option<Ballot>,
    /// The storages of each partition that was written to, by the version of the table.
    pub(super) rows: BTreeMap<PartitionId, Arc<[Nid]>>,
    pub(super) rows_version: Option<PartitionTableId>,
}

/// How far a transaction has come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// Objects are stored.
    Open,
    /// These storages have still to vote.
    Voting {
        waiting: BTreeSet<Nid>,
    },
    /// The primary master is asked whether it goes without the storages that failed.
    Judging,
    Voted,
    /// The primary master is asked to commit it.
    Finishing {
        token: Token,
    },
    /// The primary master was lost when it had been asked.
    InDoubt {
        token: Token,
    },
    /// It is aborted everywhere.
    Failed(Error),
}

/// A storage's part in a transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Part {
    /// `None` if it could not be connected to.
    pub(super) link: Option<LinkId>,
    pub(super) state: PartState,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum PartState {
    Working,
    /// All that it stored is durable: whatever happens to it, it has it.
    Voted,
    /// Something was not stored. Holds why.
    Failed(String),
}

/// A store or check of one object.
pub(super) struct Write {
    pub(super) kind: Kind,
    /// The revision that it is based on.
    pub(super) serial: Tid,
    /// How often it was sent with other data before. Only answers to the last attempt count.
    pub(super) attempt: u32,
    /// The data, until all storages have answered.
    pub(super) payload: Option<Payload>,
    pub(super) data_serial: Option<Tid>,
    /// Whether the data is kept longer, as a later undo may need it.
    pub(super) retention: Retention,
    /// Whom the last attempt was sent to.
    pub(super) asked: Arc<[Nid]>,
    pub(super) waiting: Vec<Nid>,
    /// Those that stored it without a lock, as they do not have all earlier revisions.
    pub(super) lockless: Vec<Nid>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Store,
    Delete,
    Check,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Retention {
    UntilAnswered,
    UntilVote,
}

/// A conflict that is not resolved yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PendingConflict {
    /// The revision that stands in the way, which the next attempt is based on.
    pub(super) serial: Tid,
    pub(super) cause: Cause,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cause {
    /// A storage refused a store.
    Store,
    /// What is undone is not the current revision.
    Undo { undo_serial: Tid },
}

/// The vote of a transaction.
pub(super) struct Ballot {
    /// `None` once answered.
    pub(super) token: Option<Token>,
    pub(super) metadata: Metadata,
    pub(super) pack: Option<PackRequest>,
}

impl Transaction {
    pub(super) fn new(ttid: Ttid, cache_bytes: u64) -> Self {
        Self {
            ttid,
            phase: Phase::Open,
            nodes: BTreeMap::new(),
            writes: BTreeMap::new(),
            order: Vec::new(),
            open: BTreeSet::new(),
            bytes: 0,
            kept: Kept::new(cache_bytes),
            conflicts: BTreeMap::new(),
            relocks: BTreeSet::new(),
            resolved: BTreeSet::new(),
            blocked: VecDeque::new(),
            undo: None,
            ballot: None,
            rows: BTreeMap::new(),
            rows_version: None,
        }
    }

    /// Whether the primary master may have committed it.
    pub(crate) const fn is_beyond_recall(&self) -> bool {
        matches!(self.phase, Phase::Finishing { .. } | Phase::InDoubt { .. })
    }

    /// Whether a storage lacks something of it.
    pub(crate) fn is_failed(&self, nid: Nid) -> bool {
        let part = self.nodes.get(&nid);
        part.is_some_and(|part| matches!(part.state, PartState::Failed(_)))
    }

    /// Why a storage failed, of those that are given.
    pub(super) fn failure_of(&self, nids: &[Nid]) -> String {
        let failures = nids.iter().filter_map(|nid| match &self.nodes.get(nid)?.state {
            PartState::Failed(reason) => Some(format!("{nid}: {reason}")),
            PartState::Working | PartState::Voted => None,
        });
        failures.last().unwrap_or_else(|| "there is none".to_owned())
    }

    /// Takes what callers wait for.
    pub(super) fn take_tokens(&mut self) -> Vec<Token> {
        let mut tokens: Vec<_> = self.blocked.drain(..).collect();
        tokens.extend(self.undo.take().map(|undo| undo.token));
        tokens.extend(self.ballot.as_mut().and_then(|ballot| ballot.token.take()));
        if let Phase::Finishing { token } | Phase::InDoubt { token } = self.phase {
            tokens.push(token);
        }
        tokens
    }

    pub(crate) fn invariants(&self) {
        if matches!(self.phase, Phase::Failed(_)) {
            return;
        }
        if self.phase != Phase::Open {
            assert!(self.open.is_empty() && self.conflicts.is_empty(), "{}: open", self.ttid);
            assert!(self.relocks.is_empty() && self.undo.is_none(), "{}: open", self.ttid);
            return;
        }
        // A check that takes longer than the work would hold up what it checks.
        if self.open.len() > CHECKED_MAX {
            return;
        }
        let mut bytes = 0;
        for oid in &self.open {
            let write = &self.writes[oid];
            let is_open = !write.waiting.is_empty() || self.conflicts.contains_key(oid);
            assert!(is_open, "{}: {oid} waits for nothing", self.ttid);
            bytes += write.payload.as_ref().map_or(0, Payload::length);
        }
        assert_eq!(bytes, self.bytes, "{}: bytes that are open", self.ttid);
    }
}
