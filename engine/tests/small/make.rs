use std::sync::Arc;

use bytes::Bytes;
use engine::disk::MemoryDisk;
use engine::{
    AddedObject, AddedTransaction, Compression, Delete, Engine, MetadataEdit, MetadataKey,
    ObjectData, Options, PackOrder, Superseded, Transaction,
};
use model::{Oid, PartitionId, Tid, Ttid};

/// Sizes with which a small database has several files of each kind.
pub(crate) fn options() -> Options {
    Options {
        segment_length: 6 << 10,
        reserve_length: 1 << 10,
        group_length: 1 << 10,
        table_items_max: 24,
        table_log_max: 8 << 10,
        block_length: 256,
        fan_out: 3,
        ..Options::default()
    }
}

const P0: PartitionId = PartitionId::new(0);
const P1: PartitionId = PartitionId::new(1);
const P2: PartitionId = PartitionId::new(2);

/// Writes and closes it: two partitions that live and one that was dropped, revisions of all kinds,
/// an undo, a deletion, replicated records, a truncation that is over, a transaction in doubt.
pub(crate) fn make(disk: &MemoryDisk) {
    let name = MetadataEdit::set(MetadataKey::ClusterName, "golden");
    let disk = Arc::new(disk.clone());
    let mut engine =
        Engine::create(disk, options(), *b"golden database!", vec![name]).expect("an empty disk");
    for n in 1..=18 {
        commit(&mut engine, n);
        engine.work().expect("no faults");
    }
    replicate(&mut engine);
    hide(&mut engine);
    leave_in_doubt(&mut engine);
    engine.work().expect("no faults");
    engine.close().expect("no faults");
}

fn data(text: &str, length: usize) -> Option<Bytes> {
    let repeated: Vec<u8> = text.bytes().cycle().take(length).collect();
    Some(repeated.into())
}

fn commit(engine: &mut Engine, n: u64) {
    let (ttid, tid) = (Ttid::new(16 * n), Tid::new(16 * n + 3));
    let mut oids = Vec::new();
    for oid in [n % 4, 100 + n, u64::MAX - n] {
        let partition = if oid.is_multiple_of(2) { P0 } else { P1 };
        let object = match (n, oid) {
            (7, 3) => ObjectData::default(),
            (9, 1) => ObjectData {
                data: data("undone", 40),
                data_tid: Some(Tid::new(16 + 3)),
                ..ObjectData::default()
            },
            (_, 2) => ObjectData {
                compression: Compression::Zlib,
                checksum: Some([5; 20]),
                data: data("zlib", 30),
                data_tid: None,
            },
            _ => ObjectData {
                data: data(&format!("{oid} at {n}, "), 20 + 7 * oids.len() * oids.len()),
                ..ObjectData::default()
            },
        };
        engine.store(ttid, partition, Oid::new(oid), &object).expect("no faults");
        oids.push(Oid::new(oid));
    }
    let transaction = Transaction {
        ttid,
        user: Bytes::from(format!("user {n}")),
        description: Bytes::from_static("größer".as_bytes()),
        extension: Bytes::from_static(b"}."),
        superseded: match n {
            5 => vec![Superseded {
                position: 0,
                data_tid: None,
                compression: Compression::None,
                data: data("earlier", 9),
            }],
            _ => Vec::new(),
        },
        packed: n < 3,
        pack_order: (n == 6).then(|| PackOrder {
            approved: None,
            partial: true,
            oids: Some(vec![Oid::new(1)]),
            tid: Tid::new(40),
        }),
        oids,
    };
    if n.is_multiple_of(3) {
        engine.commit(n, ttid, tid, P0, Some(transaction)).expect("no faults");
        engine.wait_for(n).expect("no faults");
    } else {
        engine.vote(n, ttid, P0, Some(transaction)).expect("no faults");
        engine.wait_for(n).expect("no faults");
        engine.lock(n, ttid, tid).expect("no faults");
        engine.wait_for(n).expect("no faults");
        engine.unlock(ttid).expect("it is locked");
    }
}

fn replicate(engine: &mut Engine) {
    let object = |partition, oid, tid, text| AddedObject {
        partition,
        oid: Oid::new(oid),
        tid: Tid::new(tid),
        object: ObjectData { data: data(text, 33), ..ObjectData::default() },
    };
    let objects = [
        object(P0, 0, 5, "older than all"),
        object(P1, 1, 45, "in between"),
        object(P2, 2, 45, "soon dropped"),
        object(P0, 0, 900, "soon truncated"),
    ];
    let transactions = vec![AddedTransaction {
        partition: P0,
        tid: Tid::new(45),
        transaction: Transaction { ttid: Ttid::new(44), ..Transaction::default() },
    }];
    engine.add(100, &objects, transactions).expect("no faults");
    engine.wait_for(100).expect("no faults");
}

fn hide(engine: &mut Engine) {
    engine.drop_partition(101, P2).expect("no faults");
    engine.truncate(102, Tid::new(800)).expect("no faults");
    let revision = Delete::Revision { partition: P1, oid: Oid::new(101), tid: Tid::new(16 + 3) };
    let transaction = Delete::Transaction { partition: P0, tid: Tid::new(45) };
    engine.delete(103, &[revision, transaction]).expect("no faults");
    engine.wait_for(103).expect("no faults");
    let nid = MetadataEdit::set(MetadataKey::Nid, 1u32.to_le_bytes());
    engine.edit(104, vec![nid]).expect("no faults");
    engine.wait_for(104).expect("no faults");
}

fn leave_in_doubt(engine: &mut Engine) {
    let ttid = Ttid::new(1000);
    let object = ObjectData { data: data("in doubt", 50), ..ObjectData::default() };
    engine.store(ttid, P0, Oid::new(0), &object).expect("no faults");
    engine.vote(200, ttid, P0, Some(Transaction { ttid, ..Transaction::default() })).expect("ok");
    engine.wait_for(200).expect("no faults");
    let ttid = Ttid::new(1001);
    engine.store(ttid, P0, Oid::new(4), &object).expect("no faults");
    engine.abort(ttid).expect("it is open");
}
