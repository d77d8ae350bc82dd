//! What `quick_cache` is told of objects: how to hash them, and what they take.

use std::hash::Hasher;

use model::Oid;
use quick_cache::Weighter;

use super::revisions::Revisions;

/// What an object takes besides its data and older revisions: its place among the objects, which a
/// table that grows by doubling has in reserve, its slot in a hash table, and its share of the
/// places of those that were evicted lately.
pub(super) const OBJECT_OVERHEAD: u64 = 2 * PLACE_LENGTH;
/// A place among the objects: its key and value, and links to others.
pub(super) const PLACE_LENGTH: u64 = (size_of::<(Oid, Revisions)>() + 24) as u64;

/// Weighs an object in bytes of memory.
#[derive(Clone)]
pub(super) struct ByMemory;

impl Weighter<Oid, Revisions> for ByMemory {
    fn weight(&self, _: &Oid, revisions: &Revisions) -> u64 {
        revisions.bytes() + OBJECT_OVERHEAD
    }
}

/// Hashes an oid: the same in each run, so that what is kept depends on nothing but what was asked.
#[derive(Clone, Copy, Default)]
pub(crate) struct OidHasher(u64);

impl Hasher for OidHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, oid: u64) {
        self.0 = mixed(oid);
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("an oid is hashed as a number");
    }
}

/// Any bit of the oid may change any bit of the result.
pub(super) fn mixed(oid: u64) -> u64 {
    let mixed = (oid ^ (oid >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9).rotate_left(32)
}
