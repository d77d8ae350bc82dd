//! Lookups on behalf of requests: never waiting for the disk, and in slices.
//!
//! A [`Task`] is a request that needs lookups. It is resumed with what was found, says what it
//! needs next, and answers when it has all. Meanwhile it may wait for the disk, for a transaction
//! that is locked and not shown yet (R16), or for its peer to take what was sent.

mod damage;
mod lookup;
mod tasks;

pub(crate) use lookup::{AnyLookup, Found};
pub(crate) use tasks::{QUEUED_MAX, Reads, Task, Turn};
