//! Oids and tids: given out, never twice.

use std::time::Duration;

use model::{Oid, PartitionCount, Tid, Ttid, UtcTime};
use net::Oids;

/// How many oids are reserved ahead in the log.
const OIDS_AHEAD: u64 = 65_536;
/// How far ahead tids are reserved in the log. After a crash they may be so far ahead of the clock.
const TIDS_AHEAD: Duration = Duration::from_secs(1);
/// When less than this is left of the reserved tids, more are reserved.
const TIDS_AHEAD_LOW: Duration = Duration::from_millis(750);

/// How far ahead of the clock, or of what was given out, a tid may be that a client chooses. Clocks
/// differ, and tids of a database that was filled in no time run ahead; but all later tids follow
/// the greatest one, so one that is far in the future would stay with the database for ever.
const CHOSEN_AHEAD_MAX: Duration = Duration::from_secs(24 * 3600);

/// Why no id can be given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum IdError {
    /// The reserved range has to reach up to here first.
    Reserve(u64),
    /// There is none left at all.
    Exhausted,
}

/// What was given out, and up to where the log has it reserved.
///
/// Nothing above a reserved mark is given out, so that after a restart, which begins above the
/// marks, nothing is given out twice, whatever the storages know and the clock says. The last
/// committed tid is another thing: it comes from the storages, and goes back on truncation.
#[derive(Debug)]
pub(crate) struct Ids {
    /// The last committed tid.
    last_tid: Tid,
    /// The first one; `Tid::MAX` without any.
    first_tid: Tid,
    /// The greatest oid that was given out or stored.
    last_oid: Oid,
    /// The greatest tid or ttid that was given out, or may have been by an earlier master.
    used_tid: Tid,
    /// The greatest oid that was given out, or may have been by an earlier master.
    used_oid: Oid,
    /// What is durable in the log.
    reserved_tid: Tid,
    reserved_oid: Oid,
    /// What the log was asked for.
    requested_tid: Tid,
    requested_oid: Oid,
    /// A tid of the present time was not reserved yet when it was asked for.
    is_late: bool,
    /// Nothing is given out any more.
    is_closed: bool,
}

impl Ids {
    /// Begins above what the log has reserved.
    pub(crate) fn new(reserved_tid: Tid, reserved_oid: Oid) -> Self {
        Self {
            last_tid: Tid::ZERO,
            first_tid: Tid::MAX,
            last_oid: Oid::ZERO,
            used_tid: reserved_tid,
            used_oid: reserved_oid,
            reserved_tid,
            reserved_oid,
            requested_tid: reserved_tid,
            requested_oid: reserved_oid,
            is_late: false,
            is_closed: false,
        }
    }

    /// Forgets what the storages said, to be told again.
    pub(crate) fn forget(&mut self) {
        self.last_tid = Tid::ZERO;
        self.first_tid = Tid::MAX;
        self.last_oid = Oid::ZERO;
    }

    /// Takes note of what a storage has.
    pub(crate) fn learn(&mut self, last_tid: Option<Tid>, last_oid: Option<Oid>, first_tid: Tid) {
        self.last_tid = self.last_tid.max(last_tid.unwrap_or(Tid::ZERO));
        self.last_oid = self.last_oid.max(last_oid.unwrap_or(Oid::ZERO));
        self.first_tid = self.first_tid.min(first_tid);
        self.used_tid = self.used_tid.max(self.last_tid);
    }

    /// Takes note of a commit.
    pub(crate) fn committed(&mut self, tid: Tid) {
        assert!(tid > self.last_tid, "tids of commits grow: {tid:?} after {:?}", self.last_tid);
        self.last_tid = tid;
        self.first_tid = self.first_tid.min(tid);
    }

    pub(crate) fn last_tid(&self) -> Tid {
        self.last_tid
    }

    pub(crate) fn first_tid(&self) -> Tid {
        self.first_tid
    }

    pub(crate) fn last_oid(&self) -> Oid {
        self.last_oid
    }

    /// The greatest tid or ttid that was given out.
    pub(crate) fn used_tid(&self) -> Tid {
        self.used_tid
    }

    /// Takes note of what the log has reserved.
    pub(crate) fn reserved(&mut self, tid: Tid, oid: Oid) {
        self.reserved_tid = self.reserved_tid.max(tid);
        self.reserved_oid = self.reserved_oid.max(oid);
        self.requested_tid = self.requested_tid.max(self.reserved_tid);
        self.requested_oid = self.requested_oid.max(self.reserved_oid);
    }

    /// Gives out nothing any more. Returns the least marks that cover all that was given out.
    pub(crate) fn close(&mut self) -> (Tid, Oid) {
        self.is_closed = true;
        (self.used_tid, self.used_oid)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// A ttid of the present time, later than all others.
    pub(crate) fn next_ttid(&mut self, unix: Duration) -> Result<Ttid, IdError> {
        let tid = Tid::next_after(unix, self.used_tid).ok_or(IdError::Exhausted)?;
        let earliest = Tid::new(self.used_tid.get() + 1);
        let tid = self.give_tid(unix, tid, earliest)?;
        Ok(Ttid::new(tid.get()))
    }

    /// A tid for a ttid: later than all others and of the same partition. It is of the present
    /// time, or up to a partition's turn earlier, rather than later.
    pub(crate) fn next_tid(
        &mut self,
        unix: Duration,
        ttid: Ttid,
        partitions: PartitionCount,
    ) -> Result<Tid, IdError> {
        let turn = u64::from(partitions.get());
        let earliest = self.used_tid.get().max(ttid.get()) + 1;
        let present = present(unix).map_or(0, Tid::get);
        let remainder = ttid.get() % turn;
        let aligned = |wanted: u64| {
            let aligned = wanted - wanted % turn + remainder;
            Tid::new(if aligned < earliest { aligned + turn } else { aligned })
        };
        let tid = aligned(present.max(earliest));
        if tid > Tid::MAX {
            return Err(IdError::Exhausted);
        }
        self.give_tid(unix, tid, aligned(earliest))
    }

    /// Whether a tid that a client chooses is too far in the future.
    pub(crate) fn is_far(&self, unix: Duration, tid: Tid) -> bool {
        tid > self.after(unix, CHOSEN_AHEAD_MAX)
    }

    /// Takes note of a tid that a client chose, and that is being committed. It need not be
    /// reserved: either it is committed, and the storages know it, or it is nobody's.
    pub(crate) fn chosen_tid(&mut self, tid: Tid) {
        self.used_tid = self.used_tid.max(tid);
    }

    /// Takes note of a transaction that a storage had. It was given out by a master whose log may
    /// be lost, and its client may still ask what became of it: nobody else gets the same.
    pub(crate) fn learn_ttid(&mut self, unix: Duration, ttid: Ttid) {
        let tid = Tid::new(ttid.get());
        // One that is far in the future was not given out but made up.
        if !self.is_far(unix, tid) {
            self.used_tid = self.used_tid.max(tid);
        }
    }

    /// The log that knew what was given out is lost. If the clock is behind the last commit, the
    /// same ids as before would follow it, and a client that still asks what became of its
    /// transaction be told of another one: they begin anywhere within some seconds (R25).
    pub(crate) fn begin_anywhere(&mut self, random: u32) {
        let skipped = u64::from(random >> 4);
        self.used_tid = self.used_tid.max(Tid::new(self.last_tid.get().saturating_add(skipped)));
    }

    /// New oids, as many as asked.
    pub(crate) fn next_oids(&mut self, count: u32) -> Result<Oids, IdError> {
        let first = self.greatest_oid();
        let last = first.saturating_add(u64::from(count));
        if last > Oid::FOLLOWED_MAX.get() {
            return Err(IdError::Exhausted);
        }
        if self.is_closed || last > self.reserved_oid.get() {
            return Err(IdError::Reserve(last));
        }
        self.used_oid = Oid::new(last);
        self.last_oid = self.last_oid.max(self.used_oid);
        Ok((first + 1..=last).map(Oid::new).collect())
    }

    /// What new oids follow.
    fn greatest_oid(&self) -> u64 {
        self.last_oid.max(self.used_oid).get()
    }

    /// Takes note of an oid that was committed.
    pub(crate) fn stored_oid(&mut self, oid: Oid) {
        self.last_oid = self.last_oid.max(oid);
    }

    /// Up to where tids should be reserved, if little is left. The log is to be asked for that.
    pub(crate) fn tids_to_reserve(&mut self, unix: Duration) -> Option<Tid> {
        // What a slow log was asked for comes first: it would never be done with everything else.
        let is_asked = self.requested_tid > self.reserved_tid;
        if self.is_closed || is_asked || self.requested_tid >= self.after(unix, TIDS_AHEAD_LOW) {
            return None;
        }
        self.requested_tid = self.after(unix, TIDS_AHEAD);
        Some(self.requested_tid)
    }

    /// Up to where oids should be reserved, likewise.
    pub(crate) fn oids_to_reserve(&mut self) -> Option<Oid> {
        let greatest = Some(self.greatest_oid()).filter(|oid| *oid < Oid::FOLLOWED_MAX.get())?;
        self.more_oids(greatest.saturating_add(OIDS_AHEAD / 2))
    }

    /// Takes note of oids that were asked for and not given: the log is to be asked for this.
    pub(crate) fn more_oids(&mut self, mark: u64) -> Option<Oid> {
        if self.is_closed || self.requested_oid.get() >= mark.min(Oid::FOLLOWED_MAX.get()) {
            return None;
        }
        self.requested_oid = Oid::new(mark.saturating_add(OIDS_AHEAD)).min(Oid::FOLLOWED_MAX);
        Some(self.requested_oid)
    }

    /// The same for tids.
    pub(crate) fn more_tids(&mut self, mark: u64) -> Option<Tid> {
        if self.is_closed || self.requested_tid.get() >= mark {
            return None;
        }
        self.requested_tid = Tid::new(mark);
        Some(self.requested_tid)
    }

    /// Gives out a tid of the present time if it is reserved. Where the log is so slow that it was
    /// not even after being asked for once, the earliest possible one is as good.
    fn give_tid(&mut self, unix: Duration, tid: Tid, earliest: Tid) -> Result<Tid, IdError> {
        let is_reserved = |tid: &Tid| !self.is_closed && *tid <= self.reserved_tid;
        let given = if is_reserved(&tid) {
            self.is_late = false;
            tid
        } else if self.is_late && is_reserved(&earliest) {
            earliest
        } else {
            self.is_late = true;
            return Err(IdError::Reserve(self.after(unix, TIDS_AHEAD).max(tid).get()));
        };
        self.used_tid = given;
        Ok(given)
    }

    /// Panics if an invariant does not hold, given what the log has reserved.
    pub(crate) fn invariants(&self, reserved_tid: Tid, reserved_oid: Oid) {
        assert!(self.is_closed || self.reserved_tid == reserved_tid, "{self:?}");
        assert!(self.is_closed || self.reserved_oid == reserved_oid, "{self:?}");
        assert!(self.used_oid <= reserved_oid, "{self:?}: {reserved_oid}");
        assert!(self.requested_tid >= self.reserved_tid, "{self:?}");
        assert!(self.requested_oid >= self.reserved_oid, "{self:?}");
    }

    /// The tid some time after the present, or after the last one if that is later.
    fn after(&self, unix: Duration, ahead: Duration) -> Tid {
        let later = present(unix + ahead).unwrap_or(Tid::MAX);
        // As a number of units of 60 s / 2^32.
        let units = u64::try_from((ahead.as_nanos() << 32) / 60_000_000_000);
        let units = units.expect("some seconds");
        let used = self.used_tid.get().saturating_add(units);
        later.max(Tid::new(used)).min(Tid::MAX)
    }
}

fn present(unix: Duration) -> Option<Tid> {
    UtcTime::from_unix(unix).map(Tid::at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_millis(1_767_616_401_500);

    fn at(unix: Duration) -> Tid {
        present(unix).unwrap()
    }

    /// Whatever time the log takes: what it has reserved in the end is given out.
    #[test]
    fn a_slow_log_lets_tids_out() {
        let mut ids = Ids::new(Tid::ZERO, Oid::ZERO);
        let partitions = PartitionCount::new(7).unwrap();
        let (mut now, mut last) = (NOW, Tid::ZERO);
        for _ in 0..5 {
            let Err(IdError::Reserve(mark)) = ids.next_ttid(now) else { panic!("{ids:?}") };
            assert_eq!(ids.more_tids(mark), Some(Tid::new(mark)));
            now += Duration::from_secs(100);
            ids.reserved(Tid::new(mark), Oid::ZERO);
            let ttid = ids.next_ttid(now).unwrap();
            let tid = ids.next_tid(now, ttid, partitions).unwrap();
            assert!(ttid.get() > last.get() && tid.get() > ttid.get() && tid <= Tid::new(mark));
            assert_eq!(tid.get() % 7, ttid.get() % 7);
            last = tid;
            // What is reserved now is of the present time again.
            ids.reserved(at(now + Duration::from_secs(1)), Oid::ZERO);
            assert_eq!(ids.next_ttid(now).unwrap().get(), at(now).get());
            now += Duration::from_secs(10);
        }
    }

    /// What storages have is followed, however few oids are left.
    #[test]
    fn oids_are_above_all_that_storages_have() {
        let mut ids = Ids::new(Tid::ZERO, Oid::ZERO);
        let greatest = Oid::FOLLOWED_MAX.get() - 5;
        ids.learn(None, Some(Oid::new(greatest)), Tid::MAX);
        assert_eq!(ids.next_oids(2), Err(IdError::Reserve(greatest + 2)));
        assert_eq!(ids.more_oids(greatest + 2), Some(Oid::FOLLOWED_MAX));
        ids.reserved(Tid::ZERO, Oid::FOLLOWED_MAX);
        assert_eq!(ids.next_oids(2).unwrap(), [greatest + 1, greatest + 2].map(Oid::new).into());
        assert_eq!(ids.next_oids(3).unwrap().iter().last(), Some(Oid::FOLLOWED_MAX));
        assert_eq!(ids.next_oids(1), Err(IdError::Exhausted));
        // A storage that knows no better says that all are used.
        let mut ids = Ids::new(Tid::ZERO, Oid::ZERO);
        ids.learn(None, Some(Oid::new(u64::MAX - 1)), Tid::MAX);
        assert_eq!(ids.next_oids(1), Err(IdError::Exhausted));
        assert_eq!(ids.oids_to_reserve(), None);
    }
}
