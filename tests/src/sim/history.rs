//! What programs did and saw.

mod attempt;
mod seen;

use std::cell::RefCell;
use std::rc::Rc;

use model::{Oid, Tid};

pub(crate) use attempt::{Attempt, AttemptId, Fate, Write};
pub(crate) use seen::{Connection, Failed, Found, Read, Synchronized, Walk, Walked};

/// A point in real time: how much was noted before. The simulator is one thread, so what was noted
/// first happened first.
pub(crate) type Moment = u64;

/// What all programs of a run did and saw, as they saw it. It knows nothing of databases: what is
/// true is found there when the run is over, and compared ([`check`](super::check)).
#[derive(Debug, Default)]
pub struct History {
    moment: Moment,
    has_ended: bool,
    busy: u64,
    committed: u64,
    /// The greatest tid that any program was told is committed.
    last_acknowledged: Option<Tid>,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) reads: Vec<Read>,
    pub(crate) walks: Vec<Walk>,
    /// What clients were told of the last transaction, each life of each client for itself.
    pub(crate) connections: Vec<Connection>,
    pub(crate) synchronized: Vec<Synchronized>,
    /// What failed outside of transactions, or left open whether one is committed.
    pub(crate) failed: Vec<Failed>,
    /// When the master forgot which ids it gave out.
    pub(crate) forgotten: Vec<Moment>,
    /// Whether anything goes wrong in this run that is not somebody else's commit.
    pub(crate) has_faults: bool,
    /// Whether a read of a disk may fail: what has no other copy is damaged then.
    pub(crate) is_unreadable: bool,
    /// Oids that were given out: when they were asked for, and when that was answered.
    pub(crate) new_oids: Vec<(Moment, Moment, Oid)>,
}

impl History {
    /// An empty one.
    pub fn new() -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self::default()))
    }

    /// The master has forgotten which ids it gave out: what nobody stored may be given again.
    pub fn directory_lost(&mut self) {
        let moment = self.moment();
        self.forgotten.push(moment);
    }

    /// Something will go wrong.
    pub fn fault(&mut self) {
        self.has_faults = true;
    }

    /// Some disk will not give what it is asked for once.
    pub fn read_fails(&mut self) {
        self.is_unreadable = true;
    }

    /// Tells programs to begin nothing new.
    pub fn end(&mut self) {
        self.has_ended = true;
    }

    /// How many commits programs know of.
    pub fn commits(&self) -> u64 {
        self.committed
    }

    /// Whether no program is in the middle of anything, nor will begin anything.
    pub fn is_at_rest(&self) -> bool {
        self.has_ended && self.busy == 0
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// A program begins something.
    pub(super) fn busy(&mut self) {
        self.busy += 1;
    }

    /// It came to an end, whatever end.
    pub(super) fn idle(&mut self) {
        self.busy -= 1;
    }

    /// Now.
    pub(super) fn moment(&mut self) -> Moment {
        self.moment += 1;
        self.moment
    }

    pub(super) fn last_acknowledged(&self) -> Option<Tid> {
        self.last_acknowledged
    }

    pub(super) fn begin(&mut self, name: String) -> AttemptId {
        let begun = self.moment();
        self.attempts.push(Attempt::new(name, begun));
        AttemptId(self.attempts.len() - 1)
    }

    pub(super) fn attempt(&mut self, id: AttemptId) -> &mut Attempt {
        &mut self.attempts[id.0]
    }

    /// What became of an attempt is known, as far as it ever will be.
    pub(super) fn ended(&mut self, id: AttemptId, fate: Fate) {
        let moment = self.moment();
        if let Fate::Committed(tid) = fate {
            self.committed += 1;
            self.last_acknowledged = self.last_acknowledged.max(Some(tid));
        }
        let attempt = self.attempt(id);
        attempt.fate = fate;
        attempt.ended = Some(moment);
    }
}
