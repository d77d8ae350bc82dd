//! Revisions in memory by their object: most often a step or two instead of a search.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::format::{Item, Key};
use crate::run::Neighbours;

/// Half as many as a table of the default size has items.
const BUCKETS: u64 = 1 << 15;
/// Slots of a chunk: so few that making one takes no time that anybody notices.
const CHUNK_LENGTH: usize = 1 << 11;
/// For twice as many items as a table of the default size has. One that grows beyond that, since
/// those before it are not written yet, is searched.
const CHUNKS: usize = 64;
/// Where more revisions are chained up, searching is quicker.
const CHAIN_LENGTH_MAX: u32 = 16;

/// Each revision of a table, chained up with those of the same bucket of a hash table, the one
/// that was inserted last first.
///
/// One thread inserts, any number read without locks: a slot is filled before it is chained up,
/// and not changed again.
#[derive(Debug)]
pub(super) struct Chains {
    /// By hash: the number of the slot that was filled last, counted from 1, or 0.
    heads: OnceLock<Box<[AtomicU32]>>,
    chunks: [OnceLock<Box<[OnceLock<Slot>]>>; CHUNKS],
    count: AtomicU32,
    /// Revisions came for which there is no slot.
    is_incomplete: AtomicBool,
}

#[derive(Debug)]
struct Slot {
    item: Item,
    /// The next slot of the chain, as in [`Chains::heads`].
    older: u32,
    /// Slots of the chain from here on.
    length: u32,
}

impl Default for Chains {
    fn default() -> Self {
        Self {
            heads: OnceLock::new(),
            chunks: [const { OnceLock::new() }; CHUNKS],
            count: AtomicU32::new(0),
            is_incomplete: AtomicBool::new(false),
        }
    }
}

impl Chains {
    /// Adds a revision of the object with this hash.
    pub(super) fn insert(&self, hash: u64, item: Item) {
        let number = self.count.load(Ordering::Relaxed) + 1;
        let (chunk, place) = place(number);
        let Some(chunk) = self.chunks.get(chunk) else {
            // Before anybody can see the item: it is published later.
            return self.is_incomplete.store(true, Ordering::Release);
        };
        let heads = self.heads.get_or_init(|| {
            std::iter::repeat_with(AtomicU32::default).take(index(BUCKETS)).collect()
        });
        let head = &heads[index(hash % BUCKETS)];
        let older = head.load(Ordering::Relaxed);
        let length = 1 + self.slot(older).map_or(0, |slot| slot.length);
        let slots = chunk
            .get_or_init(|| std::iter::repeat_with(OnceLock::new).take(CHUNK_LENGTH).collect());
        slots[place].set(Slot { item, older, length }).expect("each slot is filled once");
        self.count.store(number, Ordering::Relaxed);
        head.store(number, Ordering::Release);
    }

    /// The revisions of the object of `key` next to it, or `None` if that has to be searched for.
    pub(super) fn neighbours(&self, hash: u64, key: &Key) -> Option<Neighbours> {
        let mut found = Neighbours::default();
        if self.is_incomplete.load(Ordering::Acquire) {
            return None;
        }
        let Some(heads) = self.heads.get() else { return Some(found) };
        let mut next = heads[index(hash % BUCKETS)].load(Ordering::Acquire);
        while let Some(slot) = self.slot(next) {
            if slot.length > CHAIN_LENGTH_MAX {
                return None;
            }
            let item = &slot.item;
            if (item.key.a, item.key.b) == (key.a, key.b) {
                // Of two with the same key, the one inserted last counts, which comes first.
                if item.key >= *key {
                    if found.at.is_none_or(|best| item.key < best.key) {
                        found.at = Some(*item);
                    }
                } else if found.before.is_none_or(|best| item.key > best.key) {
                    found.before = Some(*item);
                }
            }
            next = slot.older;
        }
        Some(found)
    }

    fn slot(&self, number: u32) -> Option<&Slot> {
        if number == 0 {
            return None;
        }
        let (chunk, place) = place(number);
        self.chunks[chunk].get()?[place].get()
    }
}

/// The chunk of a slot, and its place in there.
fn place(number: u32) -> (usize, usize) {
    let position = index((number - 1).into());
    (position / CHUNK_LENGTH, position % CHUNK_LENGTH)
}

fn index(number: u64) -> usize {
    usize::try_from(number).expect("addresses have 64 bits")
}
