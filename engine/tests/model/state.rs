//! The plain map that the engine has to agree with.

use std::collections::BTreeMap;
use std::rc::Rc;

use engine::{
    AddedObject, AddedTransaction, Delete, MetadataEdit, MetadataKey, ObjectData, Transaction,
    TransactionState,
};
use model::Tid;

/// Something that was asked of the engine and has a place in the log.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Store { ttid: u64, partition: u32, oid: u64, object: ObjectData },
    Unstore { ttid: u64, partition: u32, oid: u64 },
    Vote { ttid: u64, partition: u32, transaction: Option<Transaction> },
    Lock { ttid: u64, tid: u64 },
    Unlock { ttid: u64 },
    Abort { ttid: u64 },
    Commit { ttid: u64, tid: u64, partition: u32, transaction: Option<Transaction> },
    Add { objects: Vec<AddedObject>, transactions: Vec<AddedTransaction> },
    Delete { deletes: Vec<Delete> },
    Truncate { tid: u64 },
    Drop { partition: u32 },
    Edit { edits: Vec<MetadataEdit> },
    Sync,
}

impl Op {
    /// Whether it takes an engine sequence number.
    pub(crate) fn has_seq(&self) -> bool {
        matches!(
            self,
            Op::Unlock { .. }
                | Op::Commit { .. }
                | Op::Add { .. }
                | Op::Delete { .. }
                | Op::Truncate { .. }
                | Op::Drop { .. }
        )
    }

    /// Records that may be there or not one by one: of replicated batches.
    pub(crate) fn parts(&self) -> usize {
        match self {
            Op::Add { objects, transactions } => objects.len() + transactions.len(),
            _ => 0,
        }
    }
}

/// What is committed.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Data {
    /// By partition, oid, tid.
    pub(crate) objects: BTreeMap<(u32, u64, u64), ObjectData>,
    /// By partition, tid.
    pub(crate) transactions: BTreeMap<(u32, u64), Transaction>,
}

/// A transaction that is not committed.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) objects: BTreeMap<(u32, u64), ObjectData>,
    pub(crate) state: TransactionState,
    pub(crate) partition: u32,
    pub(crate) transaction: Option<Transaction>,
    /// Whether the engine has said that it has come this far.
    pub(crate) is_acknowledged: bool,
    pub(crate) is_broken: bool,
}

/// All that a database knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) data: Rc<Data>,
    pub(crate) pending: BTreeMap<u64, Pending>,
    pub(crate) metadata: BTreeMap<MetadataKey, Vec<u8>>,
}

impl State {
    pub(crate) fn apply(&mut self, op: &Op) {
        match op {
            Op::Store { ttid, partition, oid, object } => {
                let pending = self.pending.entry(*ttid).or_insert_with(|| Pending {
                    objects: BTreeMap::new(),
                    state: TransactionState::Open,
                    partition: 0,
                    transaction: None,
                    is_acknowledged: true,
                    is_broken: false,
                });
                pending.objects.insert((*partition, *oid), object.clone());
            }
            Op::Unstore { ttid, partition, oid } => {
                if let Some(pending) = self.pending.get_mut(ttid) {
                    pending.objects.remove(&(*partition, *oid));
                }
            }
            Op::Vote { ttid, partition, transaction } => {
                let mut pending = self.pending.remove(ttid).unwrap_or_else(Pending::empty);
                pending.state = TransactionState::Voted;
                pending.partition = *partition;
                pending.transaction = transaction.clone();
                pending.is_acknowledged = false;
                self.pending.insert(*ttid, pending);
            }
            Op::Lock { ttid, tid } => {
                if let Some(pending) = self.pending.get_mut(ttid) {
                    pending.state = TransactionState::Locked(Tid::new(*tid));
                    pending.is_acknowledged = false;
                }
            }
            Op::Unlock { ttid } => {
                if let Some(pending) = self.pending.remove(ttid)
                    && let TransactionState::Locked(tid) = pending.state
                {
                    self.commit(tid.get(), pending);
                }
            }
            Op::Abort { ttid } => {
                self.pending.remove(ttid);
            }
            Op::Commit { ttid, tid, partition, transaction } => {
                let mut pending = self.pending.remove(ttid).unwrap_or_else(Pending::empty);
                pending.partition = *partition;
                pending.transaction = transaction.clone();
                self.commit(*tid, pending);
            }
            Op::Add { .. } => self.apply_parts(op, usize::MAX),
            Op::Sync => {}
            Op::Delete { .. } | Op::Truncate { .. } | Op::Drop { .. } | Op::Edit { .. } => {
                self.apply_edit(op);
            }
        }
    }

    fn apply_edit(&mut self, op: &Op) {
        match op {
            Op::Delete { deletes } => {
                let data = Rc::make_mut(&mut self.data);
                for delete in deletes {
                    match delete {
                        Delete::Revision { partition, oid, tid } => {
                            let key = (partition.get(), oid.get(), tid.get());
                            data.objects.remove(&key);
                        }
                        Delete::Transaction { partition, tid } => {
                            data.transactions.remove(&(partition.get(), tid.get()));
                        }
                    }
                }
            }
            Op::Truncate { tid } => {
                let data = Rc::make_mut(&mut self.data);
                data.objects.retain(|key, _| key.2 <= *tid);
                data.transactions.retain(|key, _| key.1 <= *tid);
            }
            Op::Drop { partition } => {
                let data = Rc::make_mut(&mut self.data);
                data.objects.retain(|key, _| key.0 != *partition);
                data.transactions.retain(|key, _| key.0 != *partition);
                for pending in self.pending.values_mut() {
                    pending.objects.retain(|key, _| key.0 != *partition);
                }
            }
            Op::Edit { edits } => {
                for edit in edits {
                    match &edit.value {
                        Some(value) => self.metadata.insert(edit.key, value.clone()),
                        None => self.metadata.remove(&edit.key),
                    };
                }
            }
            _ => unreachable!("the others are applied above"),
        }
    }

    /// Only the first records of a replicated batch.
    pub(crate) fn apply_parts(&mut self, op: &Op, parts: usize) {
        let Op::Add { objects, transactions } = op else { return };
        let data = Rc::make_mut(&mut self.data);
        for added in objects.iter().take(parts) {
            let key = (added.partition.get(), added.oid.get(), added.tid.get());
            data.objects.insert(key, added.object.clone());
        }
        for added in transactions.iter().take(parts.saturating_sub(objects.len())) {
            let key = (added.partition.get(), added.tid.get());
            data.transactions.insert(key, added.transaction.clone());
        }
    }

    fn commit(&mut self, tid: u64, pending: Pending) {
        let data = Rc::make_mut(&mut self.data);
        for ((partition, oid), object) in pending.objects {
            data.objects.insert((partition, oid, tid), object);
        }
        if let Some(transaction) = pending.transaction {
            data.transactions.insert((pending.partition, tid), transaction);
        }
    }

    /// What is left of it when the process ends.
    pub(crate) fn forget_open(&mut self) {
        self.pending.retain(|_, pending| pending.state != TransactionState::Open);
        for pending in self.pending.values_mut() {
            pending.is_acknowledged = true;
        }
    }

    /// After all that is in doubt went forward. A tid that is not known yet is the ttid.
    pub(crate) fn unlocked(&self) -> State {
        let mut state = self.clone();
        for (ttid, doubt) in self.in_doubt() {
            if doubt == TransactionState::Voted {
                state.apply(&Op::Lock { ttid, tid: ttid });
            }
            state.apply(&Op::Unlock { ttid });
        }
        state
    }

    /// Transactions that were voted and not unlocked.
    pub(crate) fn in_doubt(&self) -> BTreeMap<u64, TransactionState> {
        let pending = self.pending.iter().map(|(ttid, pending)| (*ttid, pending.state));
        pending.filter(|(_, state)| *state != TransactionState::Open).collect()
    }
}

impl Pending {
    fn empty() -> Self {
        Self {
            objects: BTreeMap::new(),
            state: TransactionState::Open,
            partition: 0,
            transaction: None,
            is_acknowledged: true,
            is_broken: false,
        }
    }
}
