use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use engine::disk::{Directory, DirectoryOptions, OpenMode};
use engine::{
    Engine, LoadLookup, LoadResult, ObjectData, Options, ReadMode, Snapshot, When, Worker,
};
use model::{Oid, PartitionId, Tid, Ttid};

use super::{Reader, Store};
use crate::error::{Error, Result};
use crate::workload::Record;

/// The engine of this project, in-process, one partition.
///
/// A batch is a transaction committed in one step. Runs are written and merged by a thread of its
/// own; lookups are whole loads: the record's checksums are verified and the next tid is found too.
pub(crate) struct Neolith {
    engine: Engine,
    worker: Worker,
    token: u64,
}

const PARTITION: PartitionId = PartitionId::new(0);

impl Store for Neolith {
    const DURABILITY: &'static str = "commit: one write and one fdatasync a batch";

    type Reader<'a> = NeolithReader;

    fn open(directory: &Path, cache_bytes: usize) -> Result<Self> {
        let mut o = DirectoryOptions::default();
        if std::env::var("THREADS").is_ok() {
            o.backend = engine::disk::Backend::Threads;
        }
        let disk =
            Directory::open(directory, OpenMode::Create, o).map_err(Error::file(directory))?;
        let options = Options {
            cache_bytes_max: cache_bytes as u64,
            group_length: std::env::var("GROUP").ok().map_or(1 << 20, |v| v.parse().unwrap()),
            table_items_max: std::env::var("ITEMS").ok().map_or(128 << 10, |v| v.parse().unwrap()),
            ..Options::default()
        };
        let engine = Engine::create(Arc::new(disk), options, [1; 16], Vec::new())?;
        let worker = Worker::start().map_err(Error::file(directory))?;
        Ok(Self { engine, worker, token: 0 })
    }

    fn batch(&mut self, records: &[Record<'_>]) -> Result<()> {
        for of_tid in records.chunk_by(|a, b| a.tid == b.tid) {
            let Some(Record { tid, .. }) = of_tid.first() else { continue };
            let ttid = Ttid::new(tid.get());
            for record in of_tid {
                let data = Some(Bytes::copy_from_slice(record.value));
                let object = ObjectData { data, ..ObjectData::default() };
                self.engine.store(ttid, PARTITION, record.oid, &object)?;
            }
            self.token += 1;
            self.engine.commit(self.token, ttid, *tid, PARTITION, None)?;
        }
        self.engine.wait_for(self.token)?;
        self.worker.exchange(&mut self.engine)?;
        while self.engine.is_congested() {
            self.worker.wait(&mut self.engine)?;
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<()> {
        Ok(self.worker.settle(&mut self.engine)?)
    }

    fn reader(&self) -> Result<NeolithReader> {
        let reader = self.engine.reader(ReadMode::Mapped);
        Ok(NeolithReader { snapshot: reader.snapshot(), reader })
    }

    fn close(self) -> Result<()> {
        let Self { mut engine, worker, .. } = self;
        worker.stop(&mut engine)?;
        Ok(engine.close()?)
    }
}

/// See [`Neolith`].
pub(crate) struct NeolithReader {
    reader: engine::Reader,
    snapshot: Snapshot,
}

impl Reader for NeolithReader {
    fn at_or_before(&mut self, oid: Oid, tid: Tid, show: impl FnOnce(&[u8])) -> Result<()> {
        let when = When::Before(Tid::new(tid.get() + 1));
        let lookup = LoadLookup::new(self.snapshot.clone(), PARTITION, oid, when);
        if let LoadResult::Revision(revision) = self.reader.run(lookup)? {
            show(&revision.data);
        }
        Ok(())
    }
}
