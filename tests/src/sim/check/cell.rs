//! Everything that one database has of one partition.

use std::collections::BTreeMap;

use client::Payload;
use engine::{
    Compression, Engine, Error, LoadLookup, LoadResult, ObjectsLookup, ReadMode, Reader,
    TidsLookup, TransactionLookup, When,
};
use model::{Oid, PartitionId, Tid};
use net::Data;

use super::truth::{Committed, Stored};

/// Revisions that are listed at once.
const PAGE: usize = 1000;

/// A cell as it is read, by the list of transactions and by that of revisions.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Cell {
    pub(super) transactions: BTreeMap<Tid, Committed>,
    pub(super) revisions: BTreeMap<(Tid, Oid), Stored>,
}

impl Cell {
    /// # Errors
    /// If something cannot be read, or is listed and not there.
    pub(super) fn read(engine: &Engine, partition: PartitionId) -> Result<Self, String> {
        let reader = engine.reader(ReadMode::Calls);
        let mut cell = Self::default();
        cell.read_transactions(&reader, partition)?;
        cell.read_revisions(&reader, partition)?;
        Ok(cell)
    }

    fn read_transactions(&mut self, reader: &Reader, partition: PartitionId) -> Result<(), String> {
        let (first, last) = (Tid::ZERO, Tid::MAX);
        let all = TidsLookup::ascending(reader.snapshot(), partition, first, last, usize::MAX);
        for tid in reader.run(all).map_err(text)? {
            let lookup = TransactionLookup::new(reader.snapshot(), partition, tid);
            let found = reader.run(lookup).map_err(text)?;
            let found = found.ok_or_else(|| format!("{tid} is listed and not there"))?;
            let engine::Transaction { ttid, user, description, extension, oids, .. } = found;
            let committed = Committed { ttid, user, description, extension, oids };
            self.transactions.insert(tid, committed);
        }
        Ok(())
    }

    fn read_revisions(&mut self, reader: &Reader, partition: PartitionId) -> Result<(), String> {
        let mut next = Some((Tid::ZERO, Oid::ZERO));
        while let Some(from) = next {
            let snapshot = reader.snapshot();
            let page = ObjectsLookup::new(snapshot, partition, from, Tid::MAX, PAGE);
            let page = reader.run(page).map_err(text)?;
            next = page.next;
            for (tid, oid) in page.objects {
                let snapshot = reader.snapshot();
                let lookup = LoadLookup::new(snapshot, partition, oid, When::At(tid));
                let stored = stored(reader.run(lookup).map_err(text)?);
                let stored =
                    stored.ok_or_else(|| format!("{oid} at {tid} is listed, not there"))?;
                self.revisions.insert((tid, oid), stored);
            }
        }
        Ok(())
    }
}

fn text(error: Error) -> String {
    error.to_string()
}

fn stored(result: LoadResult) -> Option<Stored> {
    match result {
        LoadResult::Revision(revision) => {
            let length = u64::try_from(revision.data.len()).expect("a length fits 64 bits");
            let compression = match revision.compression {
                Compression::None => 0,
                Compression::Zlib => 1,
            };
            let payload = Payload { compression, data: Data::new(revision.data) };
            let data = payload.bytes().expect("it was compressed by the client");
            Some(Stored { data: Some(data), data_tid: revision.data_tid, length })
        }
        LoadResult::Deleted { data_tid, .. } => Some(Stored { data: None, data_tid, length: 0 }),
        LoadResult::NoRevision | LoadResult::NoSuchOid => None,
    }
}
