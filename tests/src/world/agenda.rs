//! What is to happen, in order of time.

use std::collections::BTreeMap;
use std::time::Duration;

/// Things that happen at moments; those of one moment in the order in which they were added.
pub(super) struct Agenda<T> {
    entries: BTreeMap<(Duration, u64), T>,
    added: u64,
}

impl<T> Default for Agenda<T> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), added: 0 }
    }
}

impl<T> Agenda<T> {
    pub(super) fn add(&mut self, at: Duration, entry: T) {
        self.entries.insert((at, self.added), entry);
        self.added += 1;
    }

    /// The next one, if it is not later than `limit`.
    pub(super) fn next(&mut self, limit: Duration) -> Option<(Duration, T)> {
        let (at, _) = *self.entries.first_key_value()?.0;
        if at > limit {
            return None;
        }
        self.entries.pop_first().map(|(_, entry)| (at, entry))
    }
}
