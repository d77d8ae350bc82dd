//! Truncate, drop, delete: what is there already is hidden at once, and goes away in background.

use std::sync::Arc;

use model::{Oid, PartitionId, Tid};

use super::engine::{Engine, Op};
use crate::disk::Sync;
use crate::error::Result;
use crate::format::{Deleted, Intent, Item, ItemFlags, Key, Record};
use crate::log::Class;
use crate::memtable::ObjectEntry;

/// Something to delete.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delete {
    /// One revision.
    Revision {
        /// Of which partition.
        partition: PartitionId,
        /// Of which object.
        oid: Oid,
        /// Written by which transaction.
        tid: Tid,
    },
    /// The metadata of one transaction.
    Transaction {
        /// Of which partition.
        partition: PartitionId,
        /// Which.
        tid: Tid,
    },
}

impl Delete {
    fn record(self) -> Deleted {
        match self {
            Delete::Revision { partition, oid, tid } => Deleted::Revision { partition, oid, tid },
            Delete::Transaction { partition, tid } => Deleted::Transaction { partition, tid },
        }
    }
}

impl Engine {
    /// Hides everything above a tid. Transactions that are not committed are not touched.
    /// Completes with the token.
    pub fn truncate(&mut self, token: u64, tid: Tid) -> Result<()> {
        self.ready_for_ordinary()?;
        let seq = self.next_seq;
        let record = Record::Truncate { tid, seq };
        self.intend(token, &record, Intent::Truncate { tid, seq })
    }

    /// Hides everything of a partition, also what open transactions have stored in it. Completes
    /// with the token.
    pub fn drop_partition(&mut self, token: u64, partition: PartitionId) -> Result<()> {
        self.ready_for_ordinary()?;
        let seq = self.next_seq;
        let record = Record::Drop { partition, seq };
        let position = self.log()?.end();
        self.intend(token, &record, Intent::Drop { partition, seq, position })
    }

    /// Hides revisions and transactions, one by one. They may come back later. Completes with
    /// the token.
    pub fn delete(&mut self, token: u64, deletes: &[Delete]) -> Result<()> {
        self.ready_for_ordinary()?;
        let seq = self.next_seq;
        let deleted: Vec<Deleted> = deletes.iter().map(|delete| delete.record()).collect();
        let record = Record::Delete { seq, deleted: deleted.clone() };
        let op = Op::Seq { seq };
        self.log()?.append(&record, Class::Ordinary, Sync::Data, Some(op))?;
        self.take_seq(false, Some(token));
        insert_deleted(&self.version.active, &deleted, seq);
        self.pump()?;
        Ok(())
    }

    fn intend(&mut self, token: u64, record: &Record, intent: Intent) -> Result<()> {
        let op = Op::Seq { seq: intent.seq() };
        self.log()?.append(record, Class::Ordinary, Sync::Data, Some(op))?;
        self.take_seq(false, Some(token));
        self.publish(|version| Arc::make_mut(&mut version.intents).push(intent));
        self.pump()?;
        Ok(())
    }
}

/// Puts tombstones into a table.
pub(crate) fn insert_deleted(table: &crate::memtable::Memtable, deleted: &[Deleted], seq: u64) {
    for one in deleted {
        match *one {
            Deleted::Revision { partition, oid, tid } => {
                let tombstone = ObjectEntry {
                    partition,
                    oid,
                    flags: ItemFlags::TOMBSTONE,
                    data_tid: None,
                    location: None,
                };
                table.insert_objects(tid, seq, &[tombstone]);
            }
            Deleted::Transaction { partition, tid } => table.insert_transaction(&Item {
                key: Key { a: partition.get(), b: tid.get(), c: 0, seq },
                flags: ItemFlags::TOMBSTONE,
                ..Item::default()
            }),
        }
    }
}
