//! Which entries are agreed on.

use bytes::Bytes;
use raft::eraftpb::{ConfState, Entry, EntryType, HardState, Snapshot};
use raft::{Config, GetEntriesContext, RaftState, RawNode, Storage, StorageError};

/// What has to be durable before entries are agreed on.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Record {
    /// An entry at its place. It replaces what was there, and all that follow.
    Entry { index: u64, term: u64, kind: EntryKind, data: Bytes },
    /// The term, and who was voted for in it.
    Vote { term: u64, vote: u64 },
}

/// What an entry is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum EntryKind {
    /// A command, or nothing: that of a new leader.
    Normal,
}

/// Where a snapshot stands.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Position {
    /// The last entry that is in it, and its term.
    pub(super) index: u64,
    pub(super) term: u64,
    /// The present term, and who was voted for in it.
    pub(super) vote_term: u64,
    pub(super) vote: u64,
    /// Who takes part in the agreement.
    pub(super) voters: Vec<u64>,
}

/// Agreement on the order of entries, without I/O: proposals in; records that have to be durable,
/// and entries that are agreed on, out.
pub(super) trait Consensus: Send {
    /// Proposes an entry.
    fn propose(&mut self, data: Vec<u8>);
    /// Records that are to be made durable, in this order; and the number to report then.
    fn unsaved(&mut self) -> Option<(u64, Vec<Record>)>;
    /// All records up to this number are durable.
    fn saved(&mut self, number: u64);
    /// Entries that are agreed on since the last call, in order, each with its index.
    fn agreed(&mut self) -> Vec<(u64, Bytes)>;
    /// What a snapshot of all that was agreed on has to say.
    fn position(&self) -> Position;
    /// A snapshot of all that was agreed on is durable: entries in it are no more needed.
    fn compacted(&mut self);
}

/// The Raft algorithm with one voter, this one: it leads at once, and an entry is agreed on as
/// soon as it is durable.
pub(super) struct RaftOfOne {
    node: RawNode<Entries>,
    unsaved: Vec<(u64, Vec<Record>)>,
    agreed: Vec<(u64, Bytes)>,
    applied: (u64, u64),
}

/// Ticks of the algorithm's clock, which stands still: nobody else could be elected.
const ELECTION_TICKS: usize = 10;
const HEARTBEAT_TICKS: usize = 3;

impl RaftOfOne {
    /// Goes on from what was durable. Records have to follow one another, as [`Sequence`] says.
    pub(super) fn new(voter: u64, position: &Position, records: Vec<Record>) -> Self {
        let mut entries = Entries::new(position);
        for record in records {
            entries.replay(record);
        }
        let config = Config {
            id: voter,
            election_tick: ELECTION_TICKS,
            heartbeat_tick: HEARTBEAT_TICKS,
            applied: position.index,
            ..Config::default()
        };
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let node = RawNode::new(&config, entries, &logger);
        let mut node = node.expect("the configuration is valid");
        // It is taken from a random source of the thread otherwise.
        node.raft.set_randomized_election_timeout(ELECTION_TICKS);
        node.campaign().expect("a single voter can always campaign");
        let applied = (position.index, position.term);
        let mut raft = Self { node, unsaved: Vec::new(), agreed: Vec::new(), applied };
        raft.step();
        raft
    }

    /// Takes what the algorithm wants done.
    fn step(&mut self) {
        while self.node.has_ready() {
            let mut ready = self.node.ready();
            let mut records = Vec::new();
            if let Some(state) = ready.hs().filter(|_| ready.must_sync()) {
                records.push(Record::Vote { term: state.term, vote: state.vote });
                self.node.mut_store().state = state.clone();
            }
            for entry in ready.take_entries() {
                let (index, term, data) = (entry.index, entry.term, entry.data.clone());
                assert!(entry.get_entry_type() == EntryType::EntryNormal, "there is one voter");
                records.push(Record::Entry { index, term, kind: EntryKind::Normal, data });
                self.node.mut_store().append(entry);
            }
            if !records.is_empty() {
                self.unsaved.push((ready.number(), records));
            }
            for entry in ready.take_committed_entries() {
                self.applied = (entry.index, entry.term);
                // That of a new leader says nothing.
                if !entry.data.is_empty() {
                    self.agreed.push((entry.index, entry.data));
                }
            }
            self.node.advance_append_async(ready);
            self.node.advance_apply();
        }
    }
}

impl Consensus for RaftOfOne {
    fn propose(&mut self, data: Vec<u8>) {
        let proposed = self.node.propose(Vec::new(), data);
        proposed.expect("a single voter leads, and takes proposals");
        self.step();
    }

    fn unsaved(&mut self) -> Option<(u64, Vec<Record>)> {
        let number = self.unsaved.last()?.0;
        let records = std::mem::take(&mut self.unsaved).into_iter().flat_map(|(_, all)| all);
        Some((number, records.collect()))
    }

    fn saved(&mut self, number: u64) {
        self.node.on_persist_ready(number);
        self.step();
    }

    fn agreed(&mut self) -> Vec<(u64, Bytes)> {
        std::mem::take(&mut self.agreed)
    }

    fn position(&self) -> Position {
        let (index, term) = self.applied;
        let Entries { state, voters, .. } = self.node.store();
        let voters = voters.voters.clone();
        Position { index, term, vote_term: state.term, vote: state.vote, voters }
    }

    fn compacted(&mut self) {
        let (index, term) = self.applied;
        self.node.mut_store().compact(index, term);
    }
}

/// What the next record has to fit to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sequence {
    /// The last entry of the snapshot.
    first: u64,
    index: u64,
    term: u64,
    vote_term: u64,
}

impl Sequence {
    pub(super) fn of(position: &Position) -> Self {
        let Position { index, term, vote_term, .. } = *position;
        Self { first: index, index, term, vote_term }
    }

    /// Takes note of a record.
    ///
    /// # Errors
    /// If it does not follow what was before: no consensus has written it there.
    pub(super) fn follow(&mut self, record: &Record) -> Result<(), &'static str> {
        match *record {
            Record::Vote { term, .. } if term < self.vote_term => Err("a vote of an earlier term"),
            Record::Vote { term, .. } => {
                self.vote_term = term;
                Ok(())
            }
            Record::Entry { index, term, .. } => {
                if index <= self.first || index > self.index + 1 {
                    return Err("an entry that does not follow the one before");
                }
                if term < self.term || term > self.vote_term {
                    return Err("an entry of another term");
                }
                self.index = index;
                self.term = term;
                Ok(())
            }
        }
    }
}

/// The entries in memory.
struct Entries {
    /// The last entry that is only in the snapshot, and its term.
    index: u64,
    term: u64,
    entries: Vec<Entry>,
    state: HardState,
    voters: ConfState,
}

impl Entries {
    fn new(position: &Position) -> Self {
        let mut state = HardState::default();
        state.set_term(position.vote_term);
        state.set_vote(position.vote);
        state.set_commit(position.index);
        let mut voters = ConfState::default();
        voters.set_voters(position.voters.clone());
        let Position { index, term, .. } = *position;
        Self { index, term, entries: Vec::new(), state, voters }
    }

    fn replay(&mut self, record: Record) {
        match record {
            Record::Vote { term, vote } => {
                self.state.set_term(term);
                self.state.set_vote(vote);
            }
            Record::Entry { index, term, kind: EntryKind::Normal, data } => {
                let mut entry = Entry::default();
                entry.set_index(index);
                entry.set_term(term);
                entry.set_data(data);
                self.append(entry);
            }
        }
    }

    fn append(&mut self, entry: Entry) {
        let place = self.place(entry.index).expect("entries follow one another");
        assert!(place <= self.entries.len(), "entries follow one another");
        self.entries.truncate(place);
        self.entries.push(entry);
    }

    fn compact(&mut self, index: u64, term: u64) {
        let count = self.place(index + 1).unwrap_or(0).min(self.entries.len());
        self.entries.drain(..count);
        self.index = index;
        self.term = term;
    }

    fn place(&self, index: u64) -> Option<usize> {
        usize::try_from(index.checked_sub(self.index + 1)?).ok()
    }
}

impl Storage for Entries {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(RaftState { hard_state: self.state.clone(), conf_state: self.voters.clone() })
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        let compacted = raft::Error::Store(StorageError::Compacted);
        let low = self.place(low).ok_or(compacted)?;
        let high = self.place(high).unwrap_or(0);
        let unavailable = raft::Error::Store(StorageError::Unavailable);
        let mut entries = self.entries.get(low..high).ok_or(unavailable)?.to_vec();
        raft::util::limit_size(&mut entries, max_size.into());
        Ok(entries)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        if index == self.index {
            return Ok(self.term);
        }
        let place = self.place(index).ok_or(raft::Error::Store(StorageError::Compacted))?;
        let unavailable = raft::Error::Store(StorageError::Unavailable);
        self.entries.get(place).map(|entry| entry.term).ok_or(unavailable)
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.index + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.entries.last().map_or(self.index, |entry| entry.index))
    }

    fn snapshot(&self, _request_index: u64, _to: u64) -> raft::Result<Snapshot> {
        // Nobody asks for one: there is no other voter.
        Err(raft::Error::Store(StorageError::SnapshotTemporarilyUnavailable))
    }
}
