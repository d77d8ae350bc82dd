//! A small database that has everything, always the same, and all that can be read of it.

mod listing;

use std::sync::Arc;

use bytes::Bytes;
use engine::disk::{Disk, MemoryDisk, Wait};
use engine::{
    AddedObject, AddedTransaction, Compression, Delete, Engine, MetadataEdit, MetadataKey,
    ObjectData, Options, PackOrder, Superseded, Transaction,
};
use model::{Oid, PartitionId, Tid, Ttid};

pub(crate) use listing::listing;

/// Partitions of the database.
pub(crate) const PARTITIONS: u32 = 3;

/// Sizes that make a few files of everything.
fn options() -> Options {
    Options {
        segment_length: 2048,
        reserve_length: 1024,
        group_length: 256,
        table_items_max: 8,
        block_length: 80,
        fan_out: 3,
        ..Options::default()
    }
}

/// Makes the database on an empty disk, and closes it.
pub(crate) fn make() -> MemoryDisk {
    let disk = MemoryDisk::new(1);
    let engine = Engine::create(
        Arc::new(disk.clone()),
        options(),
        *b"a small database",
        vec![
            MetadataEdit::set(MetadataKey::Nid, 7u32.to_le_bytes()),
            MetadataEdit::set(MetadataKey::ClusterName, "sample"),
            MetadataEdit::set(MetadataKey::Partitions, PARTITIONS.to_le_bytes()),
        ],
    );
    let mut sample = Sample { engine: engine.expect("an empty disk"), token: 0 };
    for n in 1..=9 {
        sample.transaction(n);
    }
    sample.add();
    sample.hide();
    for n in 10..=13 {
        sample.transaction(n);
    }
    sample.in_doubt();
    sample.engine.close().expect("nothing is in the way");
    disk
}

/// Reads the whole directory.
pub(crate) fn files(disk: &MemoryDisk) -> Vec<(String, Vec<u8>)> {
    let names = disk.list().expect("a disk without faults");
    names
        .into_iter()
        .map(|name| {
            let bytes = disk.read_file(&name).expect("it was listed");
            (name, bytes)
        })
        .collect()
}

struct Sample {
    engine: Engine,
    token: u64,
}

impl Sample {
    /// Waits for what was submitted last, and does what there is to do in background.
    fn wait(&mut self) {
        self.engine.wait_for(self.token).expect("written");
        self.engine.work().expect("worked");
    }

    fn token(&mut self) -> u64 {
        self.token += 1;
        self.token
    }

    fn store(&mut self, ttid: Ttid, oid: u64, object: &ObjectData) {
        let partition = partition_of(oid);
        self.engine.store(ttid, partition, Oid::new(oid), object).expect("stored");
    }

    /// One of the ordinary transactions: with three objects, in one step or in three.
    fn transaction(&mut self, n: u64) {
        let (ttid, tid) = (Ttid::new(n * 100), Tid::new(n * 100 + 3));
        let oids = [n % 4, 10 + n, 0u64.wrapping_sub(n % 3)];
        for oid in oids {
            self.store(ttid, oid, &object(n, oid));
        }
        if n == 5 {
            // Stored again, and stored and withdrawn.
            self.store(ttid, oids[0], &object(50, oids[0]));
            self.store(ttid, 77, &object(n, 77));
            let (partition, oid) = (partition_of(77), Oid::new(77));
            self.engine.unstore(ttid, partition, oid).expect("it is open");
        }
        let metadata = Some(metadata(ttid, &oids));
        let partition = PartitionId::new(u32::try_from(n % 3).expect("small"));
        let token = self.token();
        if n.is_multiple_of(2) {
            self.engine.commit(token, ttid, tid, partition, metadata).expect("committed");
        } else {
            self.engine.vote(token, ttid, partition, metadata).expect("voted");
            self.wait();
            let token = self.token();
            self.engine.lock(token, ttid, tid).expect("locked");
            self.wait();
            self.engine.unlock(ttid).expect("unlocked");
            let token = self.token();
            self.engine.sync(token).expect("synced");
        }
        self.wait();
    }

    /// What replication brings: older revisions, one of them twice, and one that replaces another.
    fn add(&mut self) {
        let added = |oid, tid, n| AddedObject {
            partition: partition_of(oid),
            oid: Oid::new(oid),
            tid: Tid::new(tid),
            object: object(n, oid),
        };
        let objects = [added(2, 50, 21), added(11, 103, 22), added(40, 51, 24), added(40, 51, 23)];
        let transactions = vec![AddedTransaction {
            partition: PartitionId::new(1),
            tid: Tid::new(50),
            transaction: metadata(Ttid::new(49), &[2, 40]),
        }];
        let token = self.token();
        self.engine.add(token, &objects, transactions).expect("added");
        self.wait();
    }

    /// Deletions, a truncation and a drop; some of it comes back.
    fn hide(&mut self) {
        let token = self.token();
        let deletes = [
            Delete::Revision { partition: partition_of(12), oid: Oid::new(12), tid: Tid::new(203) },
            Delete::Transaction { partition: PartitionId::new(0), tid: Tid::new(303) },
        ];
        self.engine.delete(token, &deletes).expect("deleted");
        self.wait();
        let token = self.token();
        self.engine.truncate(token, Tid::new(803)).expect("truncated");
        self.wait();
        self.transaction(9);
        let token = self.token();
        self.engine.drop_partition(token, PartitionId::new(2)).expect("dropped");
        self.wait();
        let token = self.token();
        let edit = MetadataEdit::set(MetadataKey::CellProgress(PartitionId::new(2)), [1, 2, 3]);
        let gone = MetadataEdit::remove(MetadataKey::BackupTid);
        // Of three orders, the first is approved, the second rejected, the third not signed.
        let orders = [(403u64, 1), (503, 0), (1203, 2)];
        let orders = orders.map(|(id, signed)| [&id.to_le_bytes()[..], &[signed]].concat());
        let orders = MetadataEdit::set(MetadataKey::PackOrders, orders.concat());
        self.engine.edit(token, vec![edit, gone, orders]).expect("edited");
        self.wait();
    }

    /// One transaction that is voted, one that is locked, and one that was aborted.
    fn in_doubt(&mut self) {
        for (ttid, oid) in [(2000, 3), (2001, 4), (2002, 5)] {
            let ttid = Ttid::new(ttid);
            self.store(ttid, oid, &object(30, oid));
            let token = self.token();
            let metadata = Some(metadata(ttid, &[oid]));
            self.engine.vote(token, ttid, PartitionId::new(0), metadata).expect("voted");
            self.wait();
        }
        let token = self.token();
        self.engine.lock(token, Ttid::new(2001), Tid::new(2010)).expect("locked");
        self.wait();
        self.engine.abort(Ttid::new(2002)).expect("aborted");
        self.engine.poll(Wait::Yes).expect("written");
        self.engine.work().expect("worked");
    }
}

fn partition_of(oid: u64) -> PartitionId {
    PartitionId::new(u32::try_from(oid % u64::from(PARTITIONS)).expect("small"))
}

/// Objects of all kinds, by the number of their transaction.
fn object(n: u64, oid: u64) -> ObjectData {
    let length = usize::try_from(n * 7 % 23 + oid % 5).expect("small");
    let letter = b'a' + u8::try_from(n % 26).expect("small");
    ObjectData {
        compression: match n % 4 {
            0 => Compression::Zlib,
            _ => Compression::None,
        },
        checksum: n.is_multiple_of(3).then_some([letter; 20]),
        data: (n % 5 != 3).then(|| Bytes::from(vec![letter; length])),
        crc: None,
        data_tid: (n % 4 == 1).then(|| Tid::new(n * 100 - 97)),
    }
}

/// Transactions of all kinds, by their ttid.
fn metadata(ttid: Ttid, oids: &[u64]) -> Transaction {
    let n = ttid.get() / 100;
    let mut oids: Vec<Oid> = oids.iter().copied().map(Oid::new).collect();
    let mut superseded = Vec::new();
    if n == 4 {
        let (last, data) = (oids[0], Bytes::from_static(b"an earlier record"));
        oids.push(last);
        superseded.push(Superseded {
            position: 0,
            data_tid: Some(Tid::new(103)),
            compression: Compression::None,
            data: Some(data),
        });
    }
    Transaction {
        ttid,
        user: Bytes::from(format!("user {n}")),
        description: Bytes::from_static("caf\u{e9}".as_bytes()),
        extension: Bytes::from_static(b"}q\x00."),
        oids: oids.clone(),
        packed: n == 2,
        pack_order: (n == 6).then(|| PackOrder {
            approved: Some(true),
            partial: true,
            oids: Some(oids),
            tid: Tid::new(103),
        }),
        superseded,
    }
}
