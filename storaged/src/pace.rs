//! When the log is synced: for all who are about to ask for it, not for the first of them.
//!
//! Many clients whose votes were made durable together ask for their locks at about the same time.
//! If the first of them started a sync, all others would wait for it and then for their own. So
//! when the last sync was for many, others get their turn first, for a small part of the time
//! that a sync takes. One client alone never waits.

use std::time::Duration;

use crate::machine::Storage;

/// With fewer records in the last sync, nothing is waited for.
const MANY: usize = 8;
/// Which part of the time of a sync may be spent on waiting for more.
const WAIT_PART: u32 = 6;
/// How often others get their turn, at most, whatever time that takes.
const TURNS_MAX: u32 = 64;

/// How syncs of the log follow each other.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Since when records wait to be synced, and how often others had their turn meanwhile.
    waiting: Option<(Duration, u32)>,
    /// When the sync that goes on was started.
    started: Option<Duration>,
    /// What the last one took.
    sync_time: Duration,
}

impl Pace {
    /// Whether the log is to be looked at when others had their turn.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }
}

impl Storage {
    /// Starts the next sync, if there is one to start and no reason to wait for more.
    pub(crate) fn pace_log(&mut self) {
        let pace = &mut self.pace;
        if !self.engine.is_writing()
            && let Some(started) = pace.started.take()
        {
            pace.sync_time = self.now.saturating_sub(started);
        }
        let (count, last) = (self.engine.gathered(), self.engine.last_gathered());
        if count == 0 {
            pace.waiting = None;
            return;
        }
        let (since, turns) = pace.waiting.unwrap_or((self.now, 0));
        let waited = self.now.saturating_sub(since);
        if are_few(count, last) && waited < pace.sync_time / WAIT_PART && turns < TURNS_MAX {
            pace.waiting = Some((since, turns + 1));
            return;
        }
        pace.waiting = None;
        pace.started = Some(self.now);
        self.engine.start_gathered();
    }
}

/// Whether more than these are to be expected, after so many in the last sync.
fn are_few(count: usize, last: usize) -> bool {
    last >= MANY && 4 * count < 3 * last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_are_expected_after_many_only() {
        for (count, last, expected) in [
            (1, 0, false),
            (1, 1, false),
            (1, MANY - 1, false),
            (1, MANY, true),
            (5, MANY, true),
            (6, MANY, false),
            (64, 64, false),
            (usize::MAX / 4, 1, false),
        ] {
            assert_eq!(are_few(count, last), expected, "{count} after {last}");
        }
    }
}
