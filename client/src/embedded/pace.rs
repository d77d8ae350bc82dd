//! When the log is synced: for all who are about to commit, not for the first of them.
//!
//! Whose commit was just acknowledged may commit again at once. If others wait already, a sync
//! that is started for them leaves those out, who then wait for it and for their own: two threads
//! would have a sync each, in turn. So they are given a small part of the time that a sync takes.
//! One thread alone never waits.

use std::time::Duration;

/// Which part of the time of a sync may be spent on waiting for more.
const WAIT_PART: u32 = 6;

/// How syncs of the log follow each other.
#[derive(Default, Debug)]
pub(super) struct Pace {
    /// Commits that were taken since the last sync.
    taken: usize,
    /// Commits that the last sync was for.
    acknowledged: usize,
    /// What it took.
    sync_time: Duration,
}

impl Pace {
    /// A commit was taken.
    pub(super) fn committed(&mut self) {
        self.taken += 1;
    }

    /// The disk was waited for, and so many commits are durable.
    pub(super) fn waited(&mut self, acknowledged: usize, time: Duration) {
        self.taken = 0;
        if acknowledged > 0 {
            self.acknowledged = acknowledged;
            self.sync_time = time;
        }
    }

    /// What piled up while the disk was waited for was taken. How many commits it is.
    pub(super) fn begin(&self) -> usize {
        self.taken
    }

    /// How much longer to wait for more, when so many had piled up and so long was waited.
    pub(super) fn wait(&self, piled_up: usize, waited: Duration) -> Option<Duration> {
        let is_alone = piled_up == 0 && self.acknowledged <= 1;
        let has_all = self.taken >= piled_up + self.acknowledged;
        if self.taken == 0 || is_alone || has_all {
            return None;
        }
        let left = (self.sync_time / WAIT_PART).saturating_sub(waited);
        (!left.is_zero()).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYNC: Duration = Duration::from_micros(600);

    fn wait(acknowledged: usize, piled_up: usize, taken: usize, waited: Duration) -> Duration {
        let mut pace = Pace::default();
        pace.waited(acknowledged, SYNC);
        (0..taken).for_each(|_| pace.committed());
        pace.wait(piled_up, waited).unwrap_or_default()
    }

    #[test]
    fn those_who_were_acknowledged_are_waited_for_if_there_are_others() {
        let long = SYNC / WAIT_PART;
        for (acknowledged, piled_up, taken, expected) in [
            (0, 0, 1, Duration::ZERO),
            (1, 0, 1, Duration::ZERO),
            // Two threads in turn, and when they have met.
            (1, 1, 1, long),
            (1, 1, 2, Duration::ZERO),
            (2, 0, 1, long),
            (2, 0, 2, Duration::ZERO),
            (63, 1, 50, long),
            // Nobody came yet.
            (63, 0, 0, Duration::ZERO),
        ] {
            let found = wait(acknowledged, piled_up, taken, Duration::ZERO);
            assert_eq!(found, expected, "{taken} of {piled_up} and {acknowledged}");
        }
        let short = Duration::from_micros(1);
        assert_eq!(wait(1, 1, 1, long - short), short);
        assert_eq!(wait(1, 1, 1, long), Duration::ZERO);
    }
}
