//! Blocks of runs in memory, within a budget of bytes.

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::run::Block;

#[derive(Clone)]
struct ByLength;

impl Weighter<(u32, u64), Block> for ByLength {
    fn weight(&self, _: &(u32, u64), block: &Block) -> u64 {
        // The entry itself takes some bytes, too.
        block.bytes().len() as u64 + 96
    }
}

/// A cache of verified blocks by (run, offset), shared by all readers.
pub(crate) struct BlockCache {
    blocks: Cache<(u32, u64), Block, ByLength>,
}

impl std::fmt::Debug for BlockCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockCache").field("bytes", &self.blocks.weight()).finish()
    }
}

impl BlockCache {
    pub(crate) fn new(bytes_max: u64) -> Self {
        let blocks_estimated = usize::try_from(bytes_max / 4096).unwrap_or(usize::MAX).max(16);
        Self { blocks: Cache::with_weighter(blocks_estimated, bytes_max, ByLength) }
    }

    pub(crate) fn get(&self, run: u32, offset: u64) -> Option<Block> {
        self.blocks.get(&(run, offset))
    }

    pub(crate) fn insert(&self, run: u32, offset: u64, block: Block) {
        self.blocks.insert((run, offset), block);
    }

    /// Forgets all blocks.
    pub(crate) fn clear(&self) {
        self.blocks.clear();
    }
}
