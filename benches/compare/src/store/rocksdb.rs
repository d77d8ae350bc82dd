use std::marker::PhantomData;
use std::path::Path;

use model::{Oid, Tid};
use rocksdb::{
    BlockBasedOptions, Cache, DB, DBCompressionType, DBRawIterator, Options, ReadOptions,
    SliceTransform, WaitForCompactOptions, WriteBatch, WriteOptions,
};

use super::{Reader, Store, is_of, key};
use crate::error::Result;
use crate::workload::Record;

/// Threads for flushes and compactions.
const BACKGROUND_THREADS: i32 = 2;

/// RocksDB: level compaction, one iterator for all lookups, and a Bloom filter of 10 bits over the
/// oids, which seeks within one oid make use of. What is not set here has RocksDB's default.
pub(crate) struct Rocksdb<L> {
    db: DB,
    layout: PhantomData<L>,
}

/// Where the values go.
pub(crate) trait Layout {
    /// Sets it; `cache` is the one for blocks.
    fn set(options: &mut Options, cache: &Cache);
}

/// Values in the tables, their blocks of 4 KiB compressed by LZ4.
pub(crate) struct Lz4;

impl Layout for Lz4 {
    fn set(options: &mut Options, _cache: &Cache) {
        options.set_compression_type(DBCompressionType::Lz4);
    }
}

/// Values in blob files, not compressed, cached like blocks: compaction moves keys only.
pub(crate) struct Blob;

impl Layout for Blob {
    fn set(options: &mut Options, cache: &Cache) {
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_enable_blob_files(true);
        options.set_blob_cache(cache);
        options.set_min_blob_size(0);
    }
}

impl<L: Layout> Store for Rocksdb<L> {
    const DURABILITY: &'static str = "WriteOptions::set_sync(true): write-ahead log, fdatasync";

    type Reader<'a>
        = RocksdbReader<'a>
    where
        L: 'a;

    fn open(directory: &Path, cache_bytes: usize) -> Result<Self> {
        let mut tables = BlockBasedOptions::default();
        let cache = Cache::new_lru_cache(cache_bytes);
        tables.set_block_cache(&cache);
        tables.set_bloom_filter(10.0, false);
        tables.set_whole_key_filtering(false);
        let mut options = Options::default();
        options.create_if_missing(true);
        options.increase_parallelism(BACKGROUND_THREADS);
        options.set_prefix_extractor(SliceTransform::create_fixed_prefix(8));
        options.set_block_based_table_factory(&tables);
        L::set(&mut options, &cache);
        Ok(Self { db: DB::open(&options, directory)?, layout: PhantomData })
    }

    fn batch(&mut self, records: &[Record<'_>]) -> Result<()> {
        let mut batch = WriteBatch::default();
        for record in records {
            batch.put(key(record.oid, record.tid), record.value);
        }
        let mut options = WriteOptions::default();
        options.set_sync(true);
        Ok(self.db.write_opt(batch, &options)?)
    }

    fn settle(&mut self) -> Result<()> {
        let mut options = WaitForCompactOptions::default();
        options.set_flush(true);
        Ok(self.db.wait_for_compact(&options)?)
    }

    fn reader(&self) -> Result<Self::Reader<'_>> {
        let mut options = ReadOptions::default();
        options.set_prefix_same_as_start(true);
        Ok(RocksdbReader { iterator: self.db.raw_iterator_opt(options) })
    }

    fn close(self) -> Result<()> {
        self.db.cancel_all_background_work(true);
        Ok(())
    }
}

/// See [`Rocksdb`].
pub(crate) struct RocksdbReader<'a> {
    iterator: DBRawIterator<'a>,
}

impl Reader for RocksdbReader<'_> {
    fn at_or_before(&mut self, oid: Oid, tid: Tid, show: impl FnOnce(&[u8])) -> Result<()> {
        self.iterator.seek(key(oid, tid));
        match self.iterator.item() {
            Some((key, value)) if is_of(key, oid) => show(value),
            Some(_) => {}
            None => self.iterator.status()?,
        }
        Ok(())
    }
}
