use std::path::Path;
use std::thread;
use std::time::Duration;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable, Snapshot};
use model::{Oid, Tid};

use super::{Reader, Store, is_of, key};
use crate::error::Result;
use crate::workload::Record;

const POLL: Duration = Duration::from_millis(10);
/// Fjall starts compactions by itself and tells nobody: it is idle after so many polls without one.
const POLLS_IDLE: u32 = 20;

/// Fjall: one keyspace, blocks compressed by LZ4 as by default, one snapshot for all lookups.
pub(crate) struct Fjall {
    database: Database,
    records: Keyspace,
}

impl Store for Fjall {
    const DURABILITY: &'static str = "PersistMode::SyncData: journal, fdatasync";

    type Reader<'a> = FjallReader<'a>;

    fn open(directory: &Path, cache_bytes: usize) -> Result<Self> {
        let database = Database::builder(directory).cache_size(cache_bytes as u64).open()?;
        let records = database.keyspace("records", KeyspaceCreateOptions::default)?;
        Ok(Self { database, records })
    }

    fn batch(&mut self, records: &[Record<'_>]) -> Result<()> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for record in records {
            batch.insert(&self.records, key(record.oid, record.tid), record.value);
        }
        Ok(batch.commit()?)
    }

    fn settle(&mut self) -> Result<()> {
        self.records.rotate_memtable_and_wait()?;
        let mut idle = 0;
        let mut completed = self.database.compactions_completed();
        while idle < POLLS_IDLE {
            thread::sleep(POLL);
            let completed_now = self.database.compactions_completed();
            let is_idle = self.database.outstanding_flushes() == 0
                && self.database.active_compactions() == 0
                && completed_now == completed;
            idle = if is_idle { idle + 1 } else { 0 };
            completed = completed_now;
        }
        Ok(())
    }

    fn reader(&self) -> Result<Self::Reader<'_>> {
        Ok(FjallReader { snapshot: self.database.snapshot(), records: &self.records })
    }

    fn close(self) -> Result<()> {
        Ok(self.database.persist(PersistMode::SyncAll)?)
    }
}

/// See [`Fjall`].
pub(crate) struct FjallReader<'a> {
    snapshot: Snapshot,
    records: &'a Keyspace,
}

impl Reader for FjallReader<'_> {
    fn at_or_before(&mut self, oid: Oid, tid: Tid, show: impl FnOnce(&[u8])) -> Result<()> {
        let range = key(oid, tid)..=key(oid, Tid::ZERO);
        if let Some(first) = self.snapshot.range(self.records, range).next() {
            let (key, value) = first.into_inner()?;
            debug_assert!(is_of(&key, oid), "the range ends with the oid");
            show(&value);
        }
        Ok(())
    }
}
