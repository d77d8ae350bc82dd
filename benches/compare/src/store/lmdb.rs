use std::path::Path;

use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvOpenOptions, RoTxn, WithTls};
use model::{Oid, Tid};

use super::{Reader, Store, is_of, key};
use crate::error::Result;
use crate::workload::Record;

/// Addresses set aside for the mapping: LMDB wants to be told an upper bound of the file's size.
const MAP_BYTES: usize = 64 << 30;

/// LMDB through heed: the unnamed database, one read transaction for all lookups. LMDB has no cache
/// of its own: it reads the mapping of its file.
pub(crate) struct Lmdb {
    env: Env,
    records: Database<'static, Bytes, Bytes>,
}

impl Store for Lmdb {
    const DURABILITY: &'static str = "default flags: fdatasync, then the meta page by O_DSYNC";

    type Reader<'a> = LmdbReader<'a>;

    fn open(directory: &Path, _cache_bytes: usize) -> Result<Self> {
        let mut options = EnvOpenOptions::new();
        options.map_size(MAP_BYTES);
        // SAFETY: this process alone has the directory, and opens it once.
        let env = unsafe { options.open(directory) }?;
        let records = env
            .create_databases_and_commit(env.write_txn()?, |opener, transaction| {
                let records = opener.create_database::<Bytes, Bytes>(transaction, None)?;
                Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(records))
            })?
            .unwrap_commit();
        Ok(Self { env, records })
    }

    fn batch(&mut self, records: &[Record<'_>]) -> Result<()> {
        let mut transaction = self.env.write_txn()?;
        for record in records {
            self.records.put(&mut transaction, &key(record.oid, record.tid), record.value)?;
        }
        Ok(transaction.commit()?)
    }

    fn settle(&mut self) -> Result<()> {
        Ok(())
    }

    fn reader(&self) -> Result<Self::Reader<'_>> {
        Ok(LmdbReader { transaction: self.env.read_txn()?, records: &self.records })
    }

    fn close(self) -> Result<()> {
        self.env.prepare_for_closing().wait();
        Ok(())
    }
}

/// See [`Lmdb`].
pub(crate) struct LmdbReader<'a> {
    transaction: RoTxn<'a, WithTls>,
    records: &'a Database<'static, Bytes, Bytes>,
}

impl Reader for LmdbReader<'_> {
    fn at_or_before(&mut self, oid: Oid, tid: Tid, show: impl FnOnce(&[u8])) -> Result<()> {
        let from = key(oid, tid);
        match self.records.get_greater_than_or_equal_to(&self.transaction, &from)? {
            Some((key, value)) if is_of(key, oid) => show(value),
            _ => {}
        }
        Ok(())
    }
}
