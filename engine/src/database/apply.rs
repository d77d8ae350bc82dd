//! Puts committed items into the memory table, and makes them visible in order.

use std::collections::btree_map;

use model::{Oid, PartitionId, Tid, Ttid};

use super::engine::{Completion, Engine};
use super::pending::{Objects, State, is_dropped};
use crate::error::Error;
use crate::format::Item;
use crate::memtable::ObjectEntry;

/// Items that are inserted at once, before others get their turn.
const SLICE_ITEMS: usize = 256;

/// A sequence number that does not count yet.
#[derive(Debug)]
pub(super) struct SeqState {
    pub(super) seq: u64,
    /// Its record is durable, or need not be.
    pub(super) durable: bool,
    /// Its items are in the memory table.
    pub(super) applied: bool,
    /// Who is to be told when it is visible.
    pub(super) token: Option<u64>,
}

/// Objects on their way into the memory table.
#[derive(Debug)]
pub(super) struct Applying {
    pub(super) seq: u64,
    pub(super) tid: Tid,
    pub(super) objects: btree_map::IntoIter<(PartitionId, Oid), ObjectEntry>,
}

impl Engine {
    /// Takes the next sequence number.
    pub(super) fn take_seq(&mut self, durable: bool, token: Option<u64>) -> u64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        self.seqs.push_back(SeqState { seq, durable, applied: true, token });
        seq
    }

    /// Inserts the items of a sequence number: the few at once, the many slice by slice.
    pub(super) fn apply(
        &mut self,
        seq: u64,
        tid: Tid,
        objects: Objects,
        transaction: Option<Item>,
    ) {
        if let Some(item) = transaction {
            self.version.active.insert_transaction(&item);
        }
        if objects.len() <= SLICE_ITEMS && self.applying.is_empty() {
            self.insert_some(tid, seq, &mut objects.into_iter());
            return;
        }
        if let Some(state) = self.seqs.iter_mut().rfind(|state| state.seq == seq) {
            state.applied = false;
        }
        self.applying.push_back(Applying { seq, tid, objects: objects.into_iter() });
    }

    /// Inserts one slice.
    fn insert_some(
        &mut self,
        tid: Tid,
        seq: u64,
        objects: &mut btree_map::IntoIter<(PartitionId, Oid), ObjectEntry>,
    ) {
        self.slice.clear();
        self.slice.extend(objects.take(SLICE_ITEMS).map(|(_, object)| object));
        self.version.active.insert_objects(tid, seq, &self.slice);
    }

    /// One slice of what waits to be inserted. Whether anything is left.
    pub(super) fn apply_slice(&mut self) -> bool {
        let Some(mut applying) = self.applying.pop_front() else { return false };
        let Applying { seq, tid, .. } = applying;
        self.insert_some(tid, seq, &mut applying.objects);
        if applying.objects.len() > 0 {
            self.applying.push_front(applying);
        } else {
            // One batch of replicated objects has an entry for each of its tids.
            let more = self.applying.iter().any(|other| other.seq == seq);
            if let Some(state) = self.seqs.iter_mut().find(|state| state.seq == seq) {
                state.applied = !more;
            }
            self.advance();
        }
        !self.applying.is_empty()
    }

    /// A sequence number's record is durable.
    pub(super) fn seq_durable(&mut self, seq: u64) {
        if let Some(state) = self.seqs.iter_mut().find(|state| state.seq == seq) {
            state.durable = true;
        }
        self.advance();
    }

    /// A sequence number's record was not written: its items never count.
    pub(super) fn seq_void(&mut self, seq: u64, file: &str) {
        self.publish(|version| {
            std::sync::Arc::make_mut(&mut version.voided).insert(seq);
            std::sync::Arc::make_mut(&mut version.intents).retain(|i| i.seq() != seq);
        });
        self.applying.retain(|applying| applying.seq != seq);
        self.restore_left_out();
        if let Some(state) = self.seqs.iter_mut().find(|state| state.seq == seq) {
            state.durable = true;
            state.applied = true;
            let error = Error::Full { file: file.to_owned() };
            if let Some(token) = state.token.take() {
                self.completions.push_back(Completion { token, result: Err(error) });
            }
        }
        self.advance();
    }

    /// Nothing of a sequence number counts, and nobody waits for it.
    pub(super) fn seq_refused(&mut self, seq: u64) {
        if let Some(state) = self.seqs.iter_mut().find(|state| state.seq == seq) {
            state.token = None;
        }
        self.seq_void(seq, "");
    }

    /// A partition may not be dropped after all: what was unlocked since comes back in full. It
    /// is not visible yet.
    fn restore_left_out(&mut self) {
        let mut restored = Vec::new();
        for pending in self.transactions.values_mut() {
            if let State::Unlocked { tid, seq } = pending.state {
                let intents = &self.version.intents;
                let back =
                    pending.left_out.extract_if(.., |_, object| !is_dropped(intents, object));
                restored.push((seq, tid, back.collect::<Objects>()));
            }
        }
        for (seq, tid, objects) in restored {
            self.apply(seq, tid, objects, None);
        }
    }

    /// Makes visible what is durable and inserted, in order.
    pub(super) fn advance(&mut self) {
        let before = self.visible;
        while let Some(state) = self.seqs.front() {
            if !state.durable || !state.applied {
                break;
            }
            self.visible = state.seq;
            if let Some(token) = state.token {
                self.completions.push_back(Completion { token, result: Ok(()) });
            }
            self.seqs.pop_front();
        }
        if self.visible != before {
            self.published.set_visible(self.visible);
        }
    }

    /// A transaction is over: it is forgotten, and was garbage if it was not committed.
    pub(super) fn forget(&mut self, ttid: Ttid, is_garbage: bool) {
        if let Some(pending) = self.transactions.remove(&ttid) {
            if is_garbage {
                self.garbage_bytes += pending.bytes;
            }
            self.discard.objects(pending.objects);
        }
    }
}
