//! Items of the log that no index has, until it is known why.
//!
//! A merge leaves out what nobody can see any more: what something later with the same key
//! replaced or deleted, what was truncated or dropped, and tombstones that have done their work.
//! All reasons come later in the log, so that items wait here for one.

use std::collections::BTreeMap;

use super::fingerprint;
use crate::format::{Intent, Item, Key, Location, Order};
use crate::version::hidden_by;

/// Items that wait before the rest of the log is searched for what hides many at once.
const WAITING_MAX: usize = 1 << 20;

/// An item that no index has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) order: Order,
    pub(super) key: Key,
    pub(super) location: Option<Location>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Missing {
    /// By the hash of their columns.
    waiting: BTreeMap<u64, Waiting>,
    /// Tombstones: the hash of their columns, and sequence numbers.
    pub(super) tombstones: Vec<(u64, u64)>,
    /// All intents of the log, once they had to be known.
    intents: Option<Vec<Intent>>,
}

impl Missing {
    pub(super) fn add(&mut self, order: Order, item: &Item, intents: &dyn Fn() -> Vec<Intent>) {
        let hash = fingerprint::of_columns(order, &item.key);
        if item.flags.is_tombstone() {
            self.tombstones.push((hash, item.key.seq));
            return;
        }
        let one = Waiting { order, key: item.key, location: item.location };
        if self.intents.as_ref().is_some_and(|intents| one.is_hidden(intents)) {
            return;
        }
        self.waiting.insert(hash, one);
        if self.waiting.len() > WAITING_MAX && self.intents.is_none() {
            let intents = intents();
            self.waiting.retain(|_, one| !one.is_hidden(&intents));
            self.intents = Some(intents);
        }
    }

    /// Something later has the same columns.
    pub(super) fn replaced_by(&mut self, order: Order, item: &Item) {
        if !self.waiting.is_empty() {
            self.waiting.remove(&fingerprint::of_columns(order, &item.key));
        }
    }

    /// What nothing explains, by all intents of the log.
    pub(super) fn unexplained(&self, intents: &[Intent]) -> Vec<Waiting> {
        let mut left: Vec<Waiting> =
            self.waiting.values().filter(|one| !one.is_hidden(intents)).copied().collect();
        left.sort_unstable_by_key(|one| (one.order, one.key));
        left
    }
}

impl Waiting {
    fn is_hidden(&self, intents: &[Intent]) -> bool {
        let item = Item { key: self.key, ..Item::default() };
        hidden_by(intents, &item, self.order, u64::MAX)
    }
}
