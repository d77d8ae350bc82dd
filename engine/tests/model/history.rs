//! What was asked of an engine in one life, in the order of its log, and what may be left of it.

use std::rc::Rc;

use super::check::is_equal;
use super::state::{Data, Op, State};

/// One operation.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) op: Op,
    pub(crate) seq: Option<u64>,
    /// The engine has said that it was not done.
    pub(crate) is_refused: bool,
    /// It may have been refused, but the engine had no opportunity to say so.
    pub(crate) is_uncertain: bool,
}

/// The operations since a database was opened.
#[derive(Debug)]
pub(crate) struct History {
    start: State,
    pub(crate) entries: Vec<Entry>,
    /// So many entries are durable.
    pub(crate) durable: usize,
    /// After all entries.
    pub(crate) current: State,
    visible: State,
    visible_entries: usize,
    next_seq: u64,
}

impl History {
    /// Begins with what was found.
    pub(crate) fn new(start: State, seq: u64) -> Self {
        Self {
            current: start.clone(),
            visible: start.clone(),
            start,
            entries: Vec::new(),
            durable: 0,
            visible_entries: 0,
            next_seq: seq + 1,
        }
    }

    /// Takes note of what the engine accepted; the entry's number.
    pub(crate) fn push(&mut self, op: Op) -> usize {
        let seq = op.has_seq().then_some(self.next_seq);
        self.next_seq += u64::from(op.has_seq());
        self.current.apply(&op);
        self.entries.push(Entry { op, seq, is_refused: false, is_uncertain: false });
        self.entries.len() - 1
    }

    /// All up to an entry is durable.
    pub(crate) fn durable_up_to(&mut self, number: usize) {
        self.durable = self.durable.max(number + 1);
    }

    /// How many transactions were unlocked: not all of them may be written.
    pub(crate) fn unlocks(&self) -> usize {
        self.entries.iter().filter(|entry| matches!(entry.op, Op::Unlock { .. })).count()
    }

    /// The last sequence number that was given.
    pub(crate) fn last_seq(&self) -> u64 {
        self.next_seq - 1
    }

    /// An entry was not done after all.
    pub(crate) fn refuse(&mut self, number: usize) {
        let entry = &mut self.entries[number];
        entry.is_refused = true;
        let broken = match entry.op {
            Op::Vote { ttid, .. } | Op::Commit { ttid, .. } => Some(ttid),
            _ => None,
        };
        let mut state = self.start.clone();
        for entry in self.entries.iter().filter(|entry| !entry.is_refused) {
            state.apply(&entry.op);
        }
        for (ttid, pending) in &mut state.pending {
            if let Some(before) = self.current.pending.get(ttid) {
                pending.is_acknowledged = before.is_acknowledged;
                pending.is_broken = before.is_broken;
            }
            pending.is_broken |= Some(*ttid) == broken;
        }
        self.current = state;
    }

    /// What a snapshot with this sequence number shows.
    pub(crate) fn visible(&mut self, seq: u64) -> Rc<Data> {
        while let Some(entry) = self.entries.get(self.visible_entries)
            && entry.seq.is_none_or(|entry_seq| entry_seq <= seq)
        {
            if !entry.is_refused {
                self.visible.apply(&entry.op);
            }
            self.visible_entries += 1;
        }
        Rc::clone(&self.visible.data)
    }

    /// The state that was found after a crash, if it is one that may be: all up to some
    /// operation, which is not before what was acknowledged, and nothing else. Of a batch of
    /// replicated records the first ones may be there, also if the batch was refused.
    pub(crate) fn explain(&self, found: &Found) -> Option<State> {
        self.explain_from(0, self.start.clone(), found)
    }

    fn explain_from(&self, number: usize, mut state: State, found: &Found) -> Option<State> {
        for (number, entry) in self.entries.iter().enumerate().skip(number) {
            if number >= self.durable && found.is(&state) {
                return Some(state);
            }
            let may_be_refused = entry.is_refused || entry.is_uncertain;
            if entry.is_uncertain {
                let explained = self.explain_from(number + 1, state.clone(), found);
                if explained.is_some() {
                    return explained;
                }
            }
            for parts in 1..entry.op.parts() {
                if may_be_refused || number >= self.durable {
                    let mut state = state.clone();
                    state.apply_parts(&entry.op, parts);
                    if may_be_refused {
                        let explained = self.explain_from(number + 1, state, found);
                        if explained.is_some() {
                            return explained;
                        }
                    } else if found.is(&state) {
                        return Some(state);
                    }
                }
            }
            if !entry.is_refused {
                state.apply(&entry.op);
            }
        }
        found.is(&state).then_some(state)
    }

    /// What has to be there at least, to be shown beside what was found.
    pub(crate) fn acknowledged(&self) -> State {
        let mut state = self.start.clone();
        for entry in self.entries.iter().take(self.durable).filter(|entry| !entry.is_refused) {
            state.apply(&entry.op);
        }
        state
    }
}

/// What an engine has after it was opened.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) data: Data,
    /// The same after all that is in doubt was unlocked.
    pub(crate) unlocked: Option<Data>,
    pub(crate) in_doubt: std::collections::BTreeMap<u64, engine::TransactionState>,
    pub(crate) metadata: std::collections::BTreeMap<engine::MetadataKey, Vec<u8>>,
}

impl Found {
    fn is(&self, state: &State) -> bool {
        self.in_doubt == state.in_doubt()
            && self.metadata == state.metadata
            && is_equal(&self.data, &state.data)
            && self
                .unlocked
                .as_ref()
                .is_none_or(|unlocked| is_equal(unlocked, &state.unlocked().data))
    }
}
