//! Blocks of runs and records of objects in memory, within one budget of bytes.

use std::hash::{BuildHasherDefault, Hash, Hasher};

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

use crate::lookup::ObjectRecord;
use crate::run::{Block, filter_hash};

/// Longer data is not kept: it would take the place of many objects that are asked for more often,
/// and reading it from the system's cache takes little of the time that it takes to send it.
pub(crate) const OBJECT_LENGTH_MAX: usize = 64 << 10;

/// Where something stands. Runs are never written again. Segments of the log are written once,
/// from front to back: what is cut off their end on a full disk was never acknowledged, so nobody
/// has read it, and it is written again in another segment. The number of a file that was read is
/// not given to another one as long as the engine is open, and the cache is not older than that.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Block { run: u32, offset: u64 },
    Object { segment: u32, offset: u64 },
}

impl Hash for Place {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(match self {
            Self::Block { run, offset } => filter_hash(*run, *offset),
            Self::Object { segment, offset } => filter_hash(!*segment, *offset),
        });
    }
}

/// Takes a hash as it is: the same in each run, so that what is kept depends on nothing but what
/// was read.
#[derive(Clone, Copy, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("a place is hashed to a number");
    }
}

/// Parts of the cache, each with a lock of its own, for readers in several threads.
const SHARDS: usize = 16;

#[derive(Clone)]
enum Cached {
    Block(Block),
    Object(ObjectRecord),
}

/// What an entry takes besides the bytes that it holds: itself, a slot in a table and links to
/// others, the head of a record, and what the allocator adds.
const ENTRY_LENGTH: u64 = size_of::<(Place, Cached)>() as u64 + 128;

#[derive(Clone)]
struct ByLength;

impl Weighter<Place, Cached> for ByLength {
    fn weight(&self, _: &Place, cached: &Cached) -> u64 {
        let bytes = match cached {
            Cached::Block(block) => block.bytes(),
            Cached::Object(record) => &record.data,
        };
        bytes.len() as u64 + ENTRY_LENGTH
    }
}

/// A cache of verified blocks and records by their place, shared by all readers. Whoever reads
/// much that is read once only does not put it here; what comes once all the same goes before what
/// was asked for again.
pub(crate) struct ReadCache {
    cached: Cache<Place, Cached, ByLength, BuildHasherDefault<AsItIs>>,
}

impl std::fmt::Debug for ReadCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadCache").field("bytes", &self.bytes()).finish()
    }
}

impl ReadCache {
    pub(crate) fn new(bytes_max: u64) -> Self {
        let count_estimated = usize::try_from(bytes_max / 4096).unwrap_or(usize::MAX).max(16);
        let options = OptionsBuilder::new()
            .shards(SHARDS)
            .estimated_items_capacity(count_estimated)
            .weight_capacity(bytes_max)
            .build()
            .expect("everything that is needed is given");
        let (hasher, lifecycle) = (BuildHasherDefault::default(), DefaultLifecycle::default());
        Self { cached: Cache::with_options(options, ByLength, hasher, lifecycle) }
    }

    pub(crate) fn block(&self, run: u32, offset: u64) -> Option<Block> {
        match self.cached.get(&Place::Block { run, offset })? {
            Cached::Block(block) => Some(block),
            Cached::Object(_) => unreachable!("blocks are where blocks were put"),
        }
    }

    pub(crate) fn insert_block(&self, run: u32, offset: u64, block: Block) {
        self.cached.insert(Place::Block { run, offset }, Cached::Block(block));
    }

    pub(crate) fn object(&self, segment: u32, offset: u64) -> Option<ObjectRecord> {
        match self.cached.get(&Place::Object { segment, offset })? {
            Cached::Object(record) => Some(record),
            Cached::Block(_) => unreachable!("records are where records were put"),
        }
    }

    /// Keeps the record of an object, unless it is long.
    pub(crate) fn insert_object(&self, segment: u32, offset: u64, record: ObjectRecord) {
        if record.data.len() <= OBJECT_LENGTH_MAX {
            self.cached.insert(Place::Object { segment, offset }, Cached::Object(record));
        }
    }

    /// Bytes of memory that are used, as far as known.
    pub(crate) fn bytes(&self) -> u64 {
        self.cached.weight()
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.cached.clear();
    }
}

#[cfg(test)]
mod tests;
