use std::path::Path;

use model::{Oid, Tid};
use rusqlite::{Connection, Statement, Transaction, params};

use super::{Reader, Store};
use crate::error::Result;
use crate::workload::Record;

/// Pages that the log may gather before they are copied to the database: 40 MB rather than SQLite's
/// 4 MB, which every few batches would fill.
const CHECKPOINT_PAGES: u32 = 10_000;
const INSERT: &str = "INSERT INTO records (oid, tid, value) VALUES (?1, ?2, ?3)";
const AT_OR_BEFORE: &str =
    "SELECT value FROM records WHERE oid = ?1 AND tid <= ?2 ORDER BY tid DESC LIMIT 1";

/// SQLite, built from source: a table that grows at its end, and an index over (oid, tid). With the
/// rows in the index (`WITHOUT ROWID`) every batch rewrites a page a record, and inserts are about
/// a sixth as fast. One prepared statement and one read transaction serve all lookups.
pub(crate) struct Sqlite {
    connection: Connection,
}

impl Store for Sqlite {
    const DURABILITY: &'static str = "journal_mode = WAL, synchronous = FULL: fdatasync of the log";

    type Reader<'a> = SqliteReader<'a>;

    fn open(directory: &Path, cache_bytes: usize) -> Result<Self> {
        let connection = Connection::open(directory.join("records.sqlite"))?;
        let cache_kib = cache_bytes / 1024;
        connection.execute_batch(&format!(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA cache_size = -{cache_kib};
             PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};
             CREATE TABLE records (
                 oid INTEGER NOT NULL,
                 tid INTEGER NOT NULL,
                 value BLOB NOT NULL,
                 UNIQUE (oid, tid)
             );"
        ))?;
        Ok(Self { connection })
    }

    fn batch(&mut self, records: &[Record<'_>]) -> Result<()> {
        let transaction = self.connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached(INSERT)?;
            for record in records {
                insert.execute(params![
                    signed(record.oid.get()),
                    signed(record.tid.get()),
                    record.value
                ])?;
            }
        }
        Ok(transaction.commit()?)
    }

    fn settle(&mut self) -> Result<()> {
        let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
        Ok(self.connection.query_row(checkpoint, [], |_| Ok(()))?)
    }

    fn reader(&self) -> Result<Self::Reader<'_>> {
        Ok(SqliteReader {
            statement: self.connection.prepare(AT_OR_BEFORE)?,
            _transaction: self.connection.unchecked_transaction()?,
        })
    }

    fn close(self) -> Result<()> {
        self.connection.close().map_err(|(_, source)| source.into())
    }
}

/// See [`Sqlite`].
pub(crate) struct SqliteReader<'a> {
    statement: Statement<'a>,
    /// Ends when dropped.
    _transaction: Transaction<'a>,
}

impl Reader for SqliteReader<'_> {
    fn at_or_before(&mut self, oid: Oid, tid: Tid, show: impl FnOnce(&[u8])) -> Result<()> {
        let mut rows = self.statement.query(params![signed(oid.get()), signed(tid.get())])?;
        if let Some(row) = rows.next()? {
            show(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?);
        }
        Ok(())
    }
}

/// SQLite's integers are signed; the ids of this work are below 2^63.
fn signed(id: u64) -> i64 {
    i64::try_from(id).expect("ids of the workload are below 2^63")
}
