//! Objects that were loaded or committed, kept for those who ask again.
//!
//! A *revision* is valid from its serial up to but excluding the next one. The cache says what a
//! load says, or nothing: what it knows of an object is a set of revisions with the ranges of tids
//! for which each is the answer. A range that is *open* ends when an invalidation says so.
//!
//! - [`Cache`] is what threads share: shards with a lock each, and the tid up to which it was told
//!   of everything;
//! - `Shard` has the revisions of its objects and the loads of them that are going on;
//! - `Revisions` is one object, and decides which ranges may be claimed;
//! - `Flights` orders loads against invalidations (R22).
//!
//! Which objects stay is decided by crate `quick_cache`, whose unit here is an object with all its
//! revisions: see docs/decisions/0007-client-cache.md. Nothing here waits for
//! anything but a lock that is held for less than a microsecond.

mod flights;
mod policy;
mod revisions;
mod shard;
mod shared;

pub(crate) use flights::Ticket;
pub(crate) use policy::OidHasher;
pub(crate) use shared::Cache;

#[cfg(test)]
mod tests;
