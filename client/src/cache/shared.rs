//! The cache that threads share.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use model::{Oid, Tid};

use super::flights::{End, Ticket};
use super::policy::mixed;
use super::shard::Shard;
use crate::load::following;
use crate::request::{Object, Revision};

/// What a shard has at least, so that one large object does not take the place of all others.
const SHARD_BYTES_MIN: u64 = 4 << 20;
/// More locks than threads that are likely to run at a time.
const SHARDS_MAX: u64 = 16;

/// Revisions of objects, with the tids for which they are the answer to a load.
///
/// Any number of threads load. One is told by the primary master what was committed, in order, and
/// tells the cache: the thread that drives the client.
///
/// What is not kept: that an object is not there, since hardly anybody asks twice; revisions that
/// were asked for by their serial, since whoever does so goes through all of them once.
///
/// When the primary master was lost and is found again, everything is dropped, unless its last tid
/// is the one that was told last, and storages told of nothing later. What was current could only
/// be said to have been valid up to the last tid that was told, and new snapshots are all beyond
/// it: they would have to load it again, and there is no way to ask whether it changed that is
/// cheaper than to load. And whether the database was truncated in between, and has gone on since,
/// cannot be told from its last tid.
pub(crate) struct Cache {
    shards: Box<[Mutex<Shard>]>,
    /// All that was committed with a tid below it is known; 0: nothing.
    ///
    /// It is read with a shard locked, and moves when all shards know of a commit. So whoever sees
    /// that it has moved sees what the commit invalidated in the shard.
    known_before: AtomicU64,
}

impl Cache {
    /// A cache that takes about as many bytes of memory.
    pub(crate) fn new(bytes_max: u64) -> Self {
        let count = (bytes_max / SHARD_BYTES_MIN).clamp(1, SHARDS_MAX).ilog2();
        let shard = |_| Mutex::new(Shard::new(bytes_max >> count));
        Self { shards: (0..1 << count).map(shard).collect(), known_before: AtomicU64::new(0) }
    }

    /// What a load gives, if that is known: at most what a storage would answer.
    pub(crate) fn load(&self, oid: Oid, revision: Revision) -> Option<Object> {
        let shard = self.shard(oid);
        shard.revisions(oid)?.find(oid, revision, self.known_before())
    }

    /// The same for somebody who inflates compressed data; and whether that was done before, so
    /// that it is worthwhile to tell [`Cache::inflate`] what came of it.
    pub(crate) fn load_to_inflate(&self, oid: Oid, revision: Revision) -> Option<(Object, bool)> {
        let shard = self.shard(oid);
        shard.revisions(oid)?.find_to_inflate(oid, revision, self.known_before())
    }

    /// Takes note that a load is asked of a storage.
    #[must_use]
    pub(crate) fn begin(&self, oid: Oid) -> Ticket {
        self.shard(oid).begin(oid)
    }

    /// Keeps what was loaded, as far as it is known to be true after all that happened meanwhile.
    /// The revision that follows, if the storage or an invalidation told of one.
    pub(crate) fn answered(&self, ticket: Ticket, object: &Object) -> Option<Tid> {
        let mut shard = self.shard(ticket.oid);
        match shard.answered(ticket, object, self.known_before()) {
            End::Before(next_serial) => Some(next_serial),
            End::Open | End::Unknown => object.next_serial,
        }
    }

    /// A load gives nothing that could be kept.
    pub(crate) fn give_up(&self, ticket: Ticket) {
        self.shard(ticket.oid).give_up(ticket);
    }

    /// A transaction was committed: what was current of what it changed is so no longer. Everything
    /// with a lower tid was told before.
    pub(crate) fn invalidate(&self, tid: Tid, oids: &[Oid]) {
        for oid in oids {
            self.shard(*oid).invalidate(*oid, tid);
        }
        let known_before = following(tid).get();
        self.known_before.fetch_max(known_before, Ordering::Release);
    }

    /// Keeps a revision that was just committed here, which was told by [`Cache::invalidate`].
    pub(crate) fn committed(&self, object: &Object) {
        self.shard(object.oid).put(object, End::Open, self.known_before());
    }

    /// Keeps data of a revision without compression, if it is kept.
    pub(crate) fn inflate(&self, oid: Oid, serial: Tid, plain: &Bytes) {
        self.shard(oid).inflate(oid, serial, plain);
    }

    /// The primary master was found, and tells up to where there is something.
    pub(crate) fn connected(&self, last_tid: Tid) {
        let known_before = following(last_tid);
        let is_beyond = |shard| lock(shard).is_beyond(known_before);
        if self.known_before() != known_before || self.shards.iter().any(is_beyond) {
            self.clear();
            return self.known_before.store(known_before.get(), Ordering::Release);
        }
        // Storages may have answered them before they lost something that nobody was told of.
        self.shards.iter().for_each(|shard| lock(shard).clear_flights());
    }

    /// Forgets everything, until it is told where there is something.
    pub(crate) fn clear(&self) {
        self.known_before.store(0, Ordering::Release);
        for shard in &self.shards {
            lock(shard).clear();
        }
    }

    /// Bytes of memory that are used, as far as known.
    pub(crate) fn bytes(&self) -> u64 {
        self.shards.iter().map(|shard| lock(shard).bytes()).sum()
    }

    /// Loads that are going on.
    pub(crate) fn flights(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).flights()).sum()
    }

    fn known_before(&self) -> Tid {
        Tid::new(self.known_before.load(Ordering::Acquire))
    }

    fn shard(&self, oid: Oid) -> MutexGuard<'_, Shard> {
        let mask = self.shards.len() as u64 - 1;
        // Other bits than those by which a shard finds the object.
        let index = (mixed(oid.get()) >> 40) & mask;
        lock(&self.shards[usize::try_from(index).expect("there are few shards")])
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("known_before", &self.known_before())
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().expect("no thread panics while it has a shard, which it may leave half changed")
}
