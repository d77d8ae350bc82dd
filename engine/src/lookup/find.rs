//! Finds the items next to a key, over all tables and runs of a snapshot.

use super::{Source, Step, ready};
use crate::error::Result;
use crate::format::{Item, Key, Order};
use crate::run::{Neighbours, filter_hash};
use crate::version::{Snapshot, Visibility};

/// Which neighbours of a key count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Scope {
    /// Those with the same (a, b): revisions of one oid.
    Column,
    /// Those with the same a: a whole partition.
    Partition,
}

/// Which sides of the key are asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Side {
    At,
    Before,
    Both,
}

/// Finds the nearest visible item at or after a key, and the nearest visible columns before it.
///
/// Sources are asked in the order of their greatest tid; one whose bounds prove that it has
/// nothing nearer is skipped. What turns out to be hidden makes the search go on behind it.
#[derive(Debug)]
pub(crate) struct Find {
    order: Order,
    scope: Scope,
    origin: Key,
    hash: Option<u64>,
    pass: Pass,
    stage: Stage,
    at: Option<Item>,
    before: Option<Item>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Both sides, or only one, for the first time.
    First,
    /// The item at or after was hidden.
    At,
    /// Whether the columns found before are visible.
    Verify,
    /// The columns before were hidden.
    Before,
    Done,
}

#[derive(Debug)]
struct Pass {
    key: Key,
    side: Side,
    next_source: usize,
    at: Option<Item>,
    before: Option<Item>,
}

impl Pass {
    fn new(key: Key, side: Side) -> Self {
        Self { key, side, next_source: 0, at: None, before: None }
    }
}

impl Find {
    /// The nearest at or after `key`.
    pub(crate) fn at(order: Order, scope: Scope, key: Key) -> Self {
        Self::new(order, scope, key, Side::At)
    }

    /// The nearest before `key`.
    pub(crate) fn before(order: Order, scope: Scope, key: Key) -> Self {
        Self::new(order, scope, key, Side::Before)
    }

    /// Both.
    pub(crate) fn both(order: Order, scope: Scope, key: Key) -> Self {
        Self::new(order, scope, key, Side::Both)
    }

    fn new(order: Order, scope: Scope, key: Key, side: Side) -> Self {
        let hash =
            (order == Order::Objects && scope == Scope::Column).then(|| filter_hash(key.a, key.b));
        let pass = Pass::new(key, side);
        Self { order, scope, origin: key, hash, pass, stage: Stage::First, at: None, before: None }
    }

    pub(crate) fn step(
        &mut self,
        snapshot: &Snapshot,
        source: &mut dyn Source,
    ) -> Result<Step<Neighbours>> {
        while self.stage != Stage::Done {
            ready!(self.run_pass(snapshot, source)?);
            self.judge(snapshot);
        }
        Ok(Step::Done(Neighbours { before: self.before, at: self.at }))
    }

    /// After a pass: what it found, and what has to be looked for next.
    fn judge(&mut self, snapshot: &Snapshot) {
        if self.stage == Stage::First && self.pass.side == Side::Both {
            self.before = self.pass.before;
        }
        match self.stage {
            Stage::First | Stage::At if self.pass.side != Side::Before => {
                match self.pass.at {
                    Some(item) if snapshot.visibility(&item, self.order) == Visibility::Hidden => {
                        let past = Key { seq: 0, ..item.key };
                        self.stage = Stage::At;
                        self.pass = Pass::new(past, Side::At);
                        return;
                    }
                    found => self.at = found,
                }
                self.check_before(snapshot);
            }
            Stage::First | Stage::Before => {
                self.before = self.pass.before;
                self.check_before(snapshot);
            }
            Stage::Verify => {
                let candidate = self.before.map(|item| item.key.columns());
                let shown = self.pass.at.filter(|item| {
                    Some(item.key.columns()) == candidate
                        && snapshot.visibility(item, self.order) == Visibility::Shown
                });
                if shown.is_some() {
                    self.before = shown;
                    self.stage = Stage::Done;
                } else if let Some((a, b, c)) = candidate {
                    self.stage = Stage::Before;
                    self.pass = Pass::new(Key::first(a, b, c), Side::Before);
                }
            }
            Stage::At | Stage::Done => self.stage = Stage::Done,
        }
    }

    fn check_before(&mut self, snapshot: &Snapshot) {
        match self.before {
            Some(item)
                if self.scope == Scope::Partition
                    || snapshot.may_hide(self.order)
                    || snapshot.visibility(&item, self.order) != Visibility::Shown =>
            {
                let (a, b, c) = item.key.columns();
                self.stage = Stage::Verify;
                self.pass = Pass::new(Key::first(a, b, c), Side::At);
            }
            _ => self.stage = Stage::Done,
        }
    }

    fn run_pass(&mut self, snapshot: &Snapshot, source: &mut dyn Source) -> Result<Step<()>> {
        let version = &snapshot.version;
        let tables = 1 + version.frozen.len();
        let runs = version.runs(self.order);
        while self.pass.next_source < tables + runs.len() {
            let number = self.pass.next_source;
            if let Some(run) = number.checked_sub(tables).map(|n| &runs[n]) {
                let bounds = (run.summary.tid_min, run.summary.tid_max);
                if self.can_help(bounds) && self.hash.is_none_or(|hash| run.may_contain(hash)) {
                    let partition = self.scope == Scope::Partition;
                    ready!(self.search(snapshot, |key| run.neighbours(key, partition, source))?);
                }
            } else {
                let table = match number {
                    0 => &version.active,
                    n => &version.frozen[n - 1],
                };
                if self.can_help((table.tid_min(), table.tid_max())) {
                    let before = self.pass.side != Side::At;
                    let order = self.order;
                    let hash = self.hash;
                    ready!(self.search(snapshot, |key| {
                        Ok(Step::Done(match hash {
                            Some(hash) => table.revisions(key, hash, before),
                            None => table.neighbours(order, key, before),
                        }))
                    })?);
                }
            }
            self.pass.next_source += 1;
        }
        Ok(Step::Done(()))
    }

    /// Whether a source with these tids may have something nearer than what was found.
    fn can_help(&self, (tid_min, tid_max): (u64, u64)) -> bool {
        if self.order != Order::Objects || self.scope == Scope::Partition {
            return true;
        }
        let key = &self.pass.key;
        let past_all = key.seq == 0 && key.c == u64::MAX;
        let tid = !key.c;
        let at =
            !past_all && tid >= tid_min && self.pass.at.is_none_or(|found| !found.key.c <= tid_max);
        let past_tid = key.seq != u64::MAX && tid_max == tid;
        let before = (tid_max > tid || past_tid)
            && self.pass.before.is_none_or(|found| !found.key.c >= tid_min);
        match self.pass.side {
            Side::At => at,
            Side::Before => before,
            Side::Both => at || before,
        }
    }

    /// Asks one source, and again behind items that are later than the snapshot.
    fn search(
        &mut self,
        snapshot: &Snapshot,
        mut probe: impl FnMut(&Key) -> Result<Step<Neighbours>>,
    ) -> Result<Step<()>> {
        let (scope, origin, order) = (self.scope, self.origin, self.order);
        let same = |item: &Item| {
            item.key.a == origin.a && (scope == Scope::Partition || item.key.b == origin.b)
        };
        let later = |item: &Item| snapshot.visibility(item, order) == Visibility::Later;
        let first = ready!(probe(&self.pass.key)?);
        let mut at = first.at.filter(same);
        let mut before = first.before.filter(same);
        if self.pass.side != Side::Before {
            while let Some(item) = at.filter(later) {
                let past = Key { seq: item.key.seq - 1, ..item.key };
                at = ready!(probe(&past)?).at.filter(same);
            }
        }
        if self.pass.side == Side::Before {
            while let Some(item) = before.filter(later) {
                // One that was refused may have newer ones of the same columns before it.
                before = ready!(probe(&item.key)?).before.filter(same);
            }
        }
        let pass = &mut self.pass;
        if let Some(item) = at
            && pass.side != Side::Before
            && pass.at.is_none_or(|best| item.key < best.key)
        {
            pass.at = Some(item);
        }
        // Of a search for both, a candidate that is later is found out by its check.
        if let Some(item) = before
            && pass.side != Side::At
            && pass.before.is_none_or(|best| item.key.columns() > best.key.columns())
        {
            pass.before = Some(item);
        }
        Ok(Step::Done(()))
    }
}
