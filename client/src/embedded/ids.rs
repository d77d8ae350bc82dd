//! Oids and tids: given out, never twice.

use std::time::Duration;

use model::{Oid, PartitionCount, Tid, Ttid, UtcTime};

use crate::error::Error;

/// How far ahead of the clock, or of the last one, a tid may be that a caller chooses: all later
/// ones follow it, so one that is far in the future would stay with the database for ever.
const CHOSEN_AHEAD_MAX: Duration = Duration::from_secs(24 * 3600);

/// What was given out.
///
/// After a crash it begins above what the database has. What was given out and not committed
/// may be given out again then: nobody has seen it.
#[derive(Debug)]
pub(super) struct Ids {
    /// The greatest tid or ttid that was given out.
    used_tid: Tid,
    /// The greatest tid that was given to a commit.
    last_tid: Tid,
    /// What new oids follow.
    greatest_oid: Oid,
    /// Transactions that are not over.
    in_progress: usize,
    /// One of them has a tid of its own, and is the only one.
    has_chosen: bool,
}

impl Ids {
    pub(super) fn new(last_tid: Tid, greatest_oid: Oid) -> Self {
        Self { used_tid: last_tid, last_tid, greatest_oid, in_progress: 0, has_chosen: false }
    }

    /// The ttid of a new transaction: of the present time, and later than all others; that of one
    /// with a tid of its own is that.
    pub(super) fn begin(&mut self, unix: Duration, tid: Option<Tid>) -> Result<Ttid, Error> {
        let refusal = match tid {
            Some(_) if self.in_progress > 0 => Some("there are pending transactions"),
            None if self.has_chosen => Some("one has a tid of its own"),
            Some(tid) if tid <= self.last_tid => Some("the tid must exceed the last one"),
            Some(tid) if tid > Tid::MAX => Some("no such tid"),
            Some(tid) if self.is_far(unix, tid) => {
                Some("the tid is far in the future, where all that follow would be too")
            }
            _ => None,
        };
        if let Some(reason) = refusal {
            return Err(Error::CannotBegin { tid, reason });
        }
        let ttid = match tid {
            Some(tid) => tid,
            None => {
                let next = Tid::next_after(unix, self.used_tid);
                let reason = "there are no later tids";
                let next = next.ok_or(Error::CannotBegin { tid, reason })?;
                self.used_tid = next;
                next
            }
        };
        self.in_progress += 1;
        self.has_chosen = tid.is_some();
        Ok(Ttid::new(ttid.get()))
    }

    /// A transaction is over.
    pub(super) fn end(&mut self) {
        self.in_progress -= 1;
        self.has_chosen = false;
    }

    /// A tid for a commit: later than all others, and of the ttid's partition. It is of the present
    /// time, or up to a partition's turn earlier, rather than later.
    pub(super) fn next_tid(
        &mut self,
        unix: Duration,
        ttid: Ttid,
        partitions: PartitionCount,
    ) -> Result<Tid, Error> {
        let turn = u64::from(partitions.get());
        let earliest = self.used_tid.get().max(ttid.get()) + 1;
        let present = UtcTime::from_unix(unix).map_or(0, |time| Tid::at(time).get());
        let wanted = present.max(earliest);
        let aligned = wanted - wanted % turn + ttid.get() % turn;
        let tid = Tid::new(if aligned < earliest { aligned + turn } else { aligned });
        if tid > Tid::MAX {
            let (given, limit) = (tid.get(), Tid::MAX.get());
            return Err(Error::Limit { what: "tids", given, limit });
        }
        self.take_tid(tid);
        Ok(tid)
    }

    /// Takes note of the tid of a commit.
    pub(super) fn take_tid(&mut self, tid: Tid) {
        assert!(tid > self.last_tid, "tids grow: {tid} after {}", self.last_tid);
        self.used_tid = self.used_tid.max(tid);
        self.last_tid = tid;
    }

    /// New oids, as many as asked.
    pub(super) fn next_oids(&mut self, count: u32) -> Result<Vec<Oid>, Error> {
        let first = self.greatest_oid.get();
        let last = first.saturating_add(u64::from(count));
        let limit = Oid::FOLLOWED_MAX.get();
        if last > limit {
            return Err(Error::Limit { what: "new oids", given: last, limit });
        }
        self.greatest_oid = Oid::new(last);
        Ok((first + 1..=last).map(Oid::new).collect())
    }

    /// Takes note of an oid that is stored.
    pub(super) fn stored_oid(&mut self, oid: Oid) {
        if oid <= Oid::FOLLOWED_MAX {
            self.greatest_oid = self.greatest_oid.max(oid);
        }
    }

    fn is_far(&self, unix: Duration, tid: Tid) -> bool {
        let present = UtcTime::from_unix(unix + CHOSEN_AHEAD_MAX).map_or(Tid::MAX, Tid::at);
        // As a number of units of 60 s / 2^32.
        let units = (CHOSEN_AHEAD_MAX.as_secs() << 32) / 60;
        tid > present.max(Tid::new(self.used_tid.get().saturating_add(units)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_millis(1_767_616_401_500);

    fn refusal(result: Result<Ttid, Error>) -> &'static str {
        match result {
            Err(Error::CannotBegin { reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn tids_follow_the_clock_and_grow_and_keep_the_partition() {
        let partitions = PartitionCount::new(7).unwrap();
        let mut ids = Ids::new(Tid::ZERO, Oid::ZERO);
        let mut last = Tid::ZERO;
        for step in 0..100 {
            // The clock stands still, and goes back once.
            let now = if step < 50 { NOW } else { NOW - Duration::from_secs(1) };
            let ttid = ids.begin(now, None).unwrap();
            let tid = ids.next_tid(now, ttid, partitions).unwrap();
            assert!(ttid.get() > last.get() && tid.get() > ttid.get());
            assert_eq!(tid.get() % 7, ttid.get() % 7);
            assert!(tid.get() - Tid::at(UtcTime::from_unix(NOW).unwrap()).get() < 2000);
            last = tid;
            ids.end();
        }
    }

    #[test]
    fn a_chosen_tid_is_alone_later_and_not_far_off() {
        let present = Tid::at(UtcTime::from_unix(NOW).unwrap());
        let mut ids = Ids::new(Tid::new(1000), Oid::ZERO);
        assert!(refusal(ids.begin(NOW, Some(Tid::new(1000)))).contains("exceed"));
        assert!(refusal(ids.begin(NOW, Some(Tid::new(1 << 63)))).contains("no such"));
        assert!(refusal(ids.begin(NOW, Some(Tid::MAX))).contains("far"));
        let ttid = ids.begin(NOW, Some(Tid::new(1001))).unwrap();
        assert_eq!(ttid.get(), 1001);
        assert!(refusal(ids.begin(NOW, None)).contains("of its own"));
        assert!(refusal(ids.begin(NOW, Some(present))).contains("pending"));
        ids.take_tid(Tid::new(1001));
        ids.end();
        assert_eq!(ids.begin(NOW, None).unwrap().get(), present.get());
        assert!(refusal(ids.begin(NOW, Some(present))).contains("pending"));
    }

    #[test]
    fn oids_follow_what_is_stored_but_not_the_last_ones() {
        let mut ids = Ids::new(Tid::ZERO, Oid::new(7));
        assert_eq!(ids.next_oids(2).unwrap(), [8, 9].map(Oid::new));
        ids.stored_oid(Oid::new(100));
        ids.stored_oid(Oid::MAX);
        assert_eq!(ids.next_oids(1).unwrap(), [Oid::new(101)]);
        ids.stored_oid(Oid::FOLLOWED_MAX);
        assert!(matches!(ids.next_oids(1), Err(Error::Limit { .. })));
        assert_eq!(ids.next_oids(0).unwrap(), []);
    }
}
