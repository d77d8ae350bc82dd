//! Records with known tids, as replication and repairs bring them, in any order.

use std::collections::BTreeMap;

use model::{Oid, PartitionId, Tid};

use super::engine::{Engine, Op};
use super::pending::{ObjectData, Objects, entry};
use super::transactions::{OBJECT_LENGTH_MAX, check_length, check_transaction, transaction_item};
use crate::disk::Sync;
use crate::error::Result;
use crate::format::{ObjectId, Record, Transaction};
use crate::log::Class;

/// A revision to add.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AddedObject {
    /// Its partition.
    pub partition: PartitionId,
    /// Of which object.
    pub oid: Oid,
    /// The transaction that wrote it.
    pub tid: Tid,
    /// What it says.
    pub object: ObjectData,
}

/// Metadata of a transaction to add.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AddedTransaction {
    /// Its partition.
    pub partition: PartitionId,
    /// Its tid.
    pub tid: Tid,
    /// What it says.
    pub transaction: Transaction,
}

impl Engine {
    /// Adds committed revisions and transactions, or replaces what has the same tid. They become
    /// visible together, durably, when the token completes; a crash before may leave any of them.
    pub fn add(
        &mut self,
        token: u64,
        objects: &[AddedObject],
        transactions: Vec<AddedTransaction>,
    ) -> Result<()> {
        self.ready_for_ordinary()?;
        for added in objects {
            let length = added.object.data.as_ref().map_or(0, bytes::Bytes::len);
            check_length("bytes of an object", length, OBJECT_LENGTH_MAX)?;
        }
        for added in &transactions {
            check_transaction(&added.transaction)?;
        }
        let seq = self.take_seq(false, Some(token));
        if let Err(error) = self.append_added(seq, objects, transactions) {
            self.seq_refused(seq);
            return Err(error);
        }
        self.log()?.barrier(Op::Seq { seq });
        self.pump()?;
        Ok(())
    }

    fn append_added(
        &mut self,
        seq: u64,
        objects: &[AddedObject],
        transactions: Vec<AddedTransaction>,
    ) -> Result<()> {
        let mut by_tid: BTreeMap<Tid, Objects> = BTreeMap::new();
        for added in objects {
            let id = ObjectId::Committed { tid: added.tid, seq };
            let head = added.object.head(added.partition, added.oid, id);
            let data = added.object.data.clone().unwrap_or_default();
            let (location, _) = self.log()?.append_object(&head, &data, added.object.crc)?;
            let objects = by_tid.entry(added.tid).or_default();
            objects.insert((added.partition, added.oid), entry(&head, location));
        }
        for added in transactions {
            let (partition, tid) = (added.partition, added.tid);
            let ttid = added.transaction.ttid;
            let transaction = added.transaction;
            let record = Record::Transaction { partition, tid, seq, transaction };
            let location = self.log()?.append(&record, Class::Ordinary, Sync::None, None)?;
            let item = transaction_item(partition, tid, seq, ttid, location);
            self.version.active.insert_transaction(&item);
        }
        for (tid, objects) in by_tid {
            self.apply(seq, tid, objects, None);
        }
        Ok(())
    }
}
