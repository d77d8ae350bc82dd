use std::path::Path;

use model::{Oid, Tid};
use redb::{Database, Durability, ReadOnlyTable, TableDefinition};

use super::{Reader, Store, key};
use crate::error::{Error, Result};
use crate::workload::Record;

const RECORDS: TableDefinition<'static, [u8; 16], &[u8]> = TableDefinition::new("records");

/// redb: one table with keys of fixed size, one read transaction for all lookups.
pub(crate) struct Redb {
    database: Database,
}

impl Store for Redb {
    const DURABILITY: &'static str = "Durability::Immediate, one-phase commit: fdatasync";

    type Reader<'a> = RedbReader;

    fn open(directory: &Path, cache_bytes: usize) -> Result<Self> {
        let path = directory.join("records.redb");
        let database = Database::builder().set_cache_size(cache_bytes).create(path);
        Ok(Self { database: database.map_err(error)? })
    }

    fn batch(&mut self, records: &[Record<'_>]) -> Result<()> {
        let mut transaction = self.database.begin_write().map_err(error)?;
        transaction.set_durability(Durability::Immediate).map_err(error)?;
        {
            let mut table = transaction.open_table(RECORDS).map_err(error)?;
            for record in records {
                table.insert(key(record.oid, record.tid), record.value).map_err(error)?;
            }
        }
        transaction.commit().map_err(error)
    }

    fn settle(&mut self) -> Result<()> {
        Ok(())
    }

    fn reader(&self) -> Result<Self::Reader<'_>> {
        use redb::ReadableDatabase;
        let transaction = self.database.begin_read().map_err(error)?;
        Ok(RedbReader { table: transaction.open_table(RECORDS).map_err(error)? })
    }

    fn close(self) -> Result<()> {
        self.database.close().map_err(error)
    }
}

/// See [`Redb`].
pub(crate) struct RedbReader {
    table: ReadOnlyTable<[u8; 16], &'static [u8]>,
}

impl Reader for RedbReader {
    fn at_or_before(&mut self, oid: Oid, tid: Tid, show: impl FnOnce(&[u8])) -> Result<()> {
        let range = key(oid, tid)..=key(oid, Tid::ZERO);
        let first = self.table.range(range).map_err(error)?.next();
        if let Some((_, value)) = first.transpose().map_err(error)? {
            show(value.value());
        }
        Ok(())
    }
}

/// redb has an error type for each kind of call, and one that takes in all of them.
fn error(source: impl Into<redb::Error>) -> Error {
    Error::Redb(Box::new(source.into()))
}
