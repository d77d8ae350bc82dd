//! When a rule of docs/rules.md has something to say: the situation in which it could be broken, as
//! far as packets tell.

use std::collections::{BTreeMap, BTreeSet};

use model::{NodeState, NodeType, Tid, Ttid};
use net::{ErrorCode, Message};

/// What is possible where nothing is checked.
pub(super) const SKEW: &str = "write skew without a check";

/// Others have what it had.
pub(super) const LOST: &str = "R19: a storage is lost for good";

/// Rules whose situations are looked for.
pub(super) const RULES: [&str; 23] = [
    "R1: a commit is completed after a restart",
    "R2: a client is gone while a storage has its transaction locked",
    "R3: the master is asked for an outcome",
    "R3: a storage is asked for an outcome by a client",
    "R4: a store without a lock",
    "R5: a failed write is put before the master",
    "R6: a storage without metadata votes",
    "R7: a client connects again to a storage",
    "R8: two transactions do without storages at once",
    "R9: a transaction is asked to relock",
    "R9: a relock finds a conflict",
    "R10: a transaction with locks is aborted",
    "R16: a load while something is locked",
    "R16: a list while something is locked",
    "R17: a cell that is not readable is asked",
    "R19: a cluster recovers again",
    "R21: a node says who it is",
    "R22: a client is told of a commit of another",
    "R25: tids are given out after a restart",
    SKEW,
    "R18: a storage is told to truncate",
    LOST,
    "R9: a huge transaction is voted",
];

/// As many objects are more than is done at once.
const HUGE: usize = 1_500;

/// What is known from the packets before.
#[derive(Debug, Default)]
pub(super) struct Triggers {
    /// What storages have locked, by their names.
    locked: BTreeMap<String, BTreeSet<Ttid>>,
    /// Transactions that are to do without storages.
    failed: BTreeSet<Ttid>,
    /// Transactions that stored something.
    stored: BTreeSet<Ttid>,
    /// Who has connected to whom.
    connected: BTreeSet<(String, String)>,
    has_run: bool,
    has_tids: bool,
}

impl Triggers {
    /// The rules that a packet is about.
    pub(super) fn packet(&mut self, from: &str, to: &str, message: &Message) -> Vec<&'static str> {
        let mut rules = of_one(from, to, message);
        rules.extend(self.of_identity(from, to, message));
        rules.extend(self.of_commits(from, to, message));
        rules.extend(self.of_reads(to, message));
        rules.extend(self.of_restarts(message));
        rules
    }

    fn of_identity(&mut self, from: &str, to: &str, message: &Message) -> Option<&'static str> {
        let Message::RequestIdentification { .. } = message else { return None };
        let is_new = self.connected.insert((from.to_owned(), to.to_owned()));
        let is_client_of_storage = from.starts_with('C') && to.starts_with('S');
        (!is_new && is_client_of_storage).then_some(RULES[7])
    }

    fn of_commits(&mut self, from: &str, to: &str, message: &Message) -> Option<&'static str> {
        match message {
            Message::FailedVote { ttid, nids } if !nids.is_empty() => {
                self.failed.insert(*ttid);
                (self.failed.len() > 1).then_some(RULES[8])
            }
            Message::AnswerTransactionFinished { ttid, .. } => {
                self.failed.remove(ttid);
                self.stored.remove(ttid);
                None
            }
            Message::AskStoreObject { ttid, .. } | Message::AskCheckCurrentSerial { ttid, .. } => {
                self.stored.insert(*ttid);
                None
            }
            Message::AbortTransaction { ttid, .. } => {
                self.failed.remove(ttid);
                self.stored.contains(ttid).then_some(RULES[11])
            }
            Message::AnswerInformationLocked { ttid } => {
                self.locked.entry(from.to_owned()).or_default().insert(*ttid);
                None
            }
            Message::NotifyUnlockInformation { ttid } => {
                if let Some(locked) = self.locked.get_mut(to) {
                    locked.remove(ttid);
                }
                None
            }
            Message::NotifyNodeInformation { nodes, .. } if self.has_locks(to) => {
                let is_gone = |node: &net::NodeInformation| {
                    node.node_type == NodeType::Client && node.state != NodeState::Running
                };
                nodes.iter().any(is_gone).then_some(RULES[1])
            }
            _ => None,
        }
    }

    fn of_reads(&self, to: &str, message: &Message) -> Option<&'static str> {
        match message {
            Message::AskObject { .. } if self.has_locks(to) => Some(RULES[12]),
            Message::AskTIDs { .. }
            | Message::AskTIDsFrom { .. }
            | Message::AskOIDsFrom { .. }
            | Message::AskObjectHistory { .. }
            | Message::AskTransactionInformation { .. }
            | Message::AskObjectUndoSerial { .. }
                if self.has_locks(to) =>
            {
                Some(RULES[13])
            }
            _ => None,
        }
    }

    fn of_restarts(&mut self, message: &Message) -> Option<&'static str> {
        match message {
            // To be told again when it operates.
            Message::AskRecovery {} if self.has_run => {
                self.has_run = false;
                self.locked.clear();
                self.failed.clear();
                Some(RULES[15])
            }
            Message::StartOperation { .. } => {
                self.has_run = true;
                None
            }
            Message::AskLastIDs {} => {
                self.has_tids = true;
                None
            }
            Message::AnswerBeginTransaction { .. } if self.has_tids => {
                self.has_tids = false;
                (!self.stored.is_empty()).then_some(RULES[18])
            }
            _ => None,
        }
    }

    fn has_locks(&self, storage: &str) -> bool {
        self.locked.get(storage).is_some_and(|locked| !locked.is_empty())
    }
}

/// Rules that one packet tells of by itself.
fn of_one(from: &str, to: &str, message: &Message) -> Vec<&'static str> {
    let is_from_client = from.starts_with('C');
    let rule = match message {
        Message::ValidateTransaction { .. } => RULES[0],
        Message::AskFinalTID { .. } if is_from_client && to.starts_with('M') => RULES[2],
        Message::AskFinalTID { .. } if is_from_client => RULES[3],
        Message::AnswerStoreObject { conflict: Some(Tid::ZERO) } => RULES[4],
        Message::FailedVote { .. } => RULES[5],
        Message::AskVoteTransaction { .. } => RULES[6],
        Message::NotifyDeadlock { .. } => RULES[9],
        Message::AnswerRelockObject { conflict: Some(_) } => RULES[10],
        Message::Error { code: ErrorCode::NonReadableCell, .. } => RULES[14],
        Message::AcceptIdentification { .. } => RULES[16],
        Message::InvalidateObjects { .. } => RULES[17],
        Message::Truncate { .. } => RULES[20],
        Message::AskStoreTransaction { oids, .. } if oids.len() >= HUGE => RULES[22],
        _ => return Vec::new(),
    };
    vec![rule]
}
