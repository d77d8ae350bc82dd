//! What only a storage node asks of the engine: to be told when a commit is visible, to forget what
//! the cluster decided on without it, and to read back what is not committed.

use std::sync::Arc;

use bytes::Bytes;
use engine::disk::{MemoryDisk, Wait};
use engine::{
    Compression, Engine, MetadataEdit, MetadataKey, NewestTidLookup, ObjectData, OpenMode, Options,
    ReadMode, Transaction, TransactionState,
};
use model::{Oid, PartitionId, Tid, Ttid};

const PARTITION: PartitionId = PartitionId::new(0);

fn open(disk: &MemoryDisk) -> Engine {
    let disk = Arc::new(disk.clone());
    Engine::open(disk, Options::default(), OpenMode::ReadWrite).expect("open")
}

fn create() -> (MemoryDisk, Engine) {
    let disk = MemoryDisk::new(1);
    let arc = Arc::new(disk.clone());
    let engine = Engine::create(arc, Options::default(), [3; 16], Vec::new()).expect("create");
    (disk, engine)
}

fn store(engine: &mut Engine, ttid: Ttid, oid: u64, data: &str) {
    let data = Some(Bytes::from(data.to_owned()));
    let object = ObjectData { data, ..ObjectData::default() };
    engine.store(ttid, PARTITION, Oid::new(oid), &object).expect("store");
}

fn vote(engine: &mut Engine, token: u64, ttid: Ttid) {
    let transaction = Transaction { ttid, ..Transaction::default() };
    engine.vote(token, ttid, PARTITION, Some(transaction)).expect("vote");
    engine.wait_for(token).expect("voted");
}

fn newest(engine: &Engine, oid: u64) -> Option<Tid> {
    let lookup = NewestTidLookup::new(engine.snapshot(), PARTITION, Oid::new(oid));
    engine.reader(ReadMode::Calls).run(lookup).expect("look up")
}

#[test]
fn an_unlock_is_told_when_it_is_visible() {
    let (_, mut engine) = create();
    let (small, large) = (Ttid::new(10), Ttid::new(20));
    store(&mut engine, small, 1, "small");
    // More than is inserted at once.
    for oid in 0..5000 {
        store(&mut engine, large, oid, "large");
    }
    for (token, ttid) in [(1, small), (2, large)] {
        vote(&mut engine, token, ttid);
        engine.lock(token, ttid, Tid::new(ttid.get() + 1)).expect("lock");
        engine.wait_for(token).expect("locked");
    }
    engine.unlock_with(3, small).expect("unlock");
    let told: Vec<_> = engine.take_completions().iter().map(|c| c.token).collect();
    assert_eq!((told, newest(&engine, 1)), (vec![3], Some(Tid::new(11))));
    engine.unlock_with(4, large).expect("unlock");
    assert!(engine.take_completions().is_empty() && engine.is_applying());
    assert_eq!(newest(&engine, 1), Some(Tid::new(11)));
    while engine.is_applying() {
        engine.poll(Wait::No).expect("poll");
    }
    assert_eq!(newest(&engine, 4999), Some(Tid::new(21)));
}

#[test]
fn what_is_disowned_is_gone_for_good() {
    let (disk, mut engine) = create();
    let (open_one, voted, locked) = (Ttid::new(10), Ttid::new(20), Ttid::new(30));
    for ttid in [open_one, voted, locked] {
        store(&mut engine, ttid, ttid.get(), "data");
    }
    vote(&mut engine, 1, voted);
    vote(&mut engine, 2, locked);
    engine.lock(3, locked, Tid::new(31)).expect("lock");
    engine.wait_for(3).expect("locked");
    assert!(engine.abort(locked).is_err(), "a locked transaction only goes forward");
    drop(engine);

    let mut engine = open(&disk.lose_all_unsynced());
    let states: Vec<_> = engine.transactions().collect();
    let expected =
        [(voted, TransactionState::Voted), (locked, TransactionState::Locked(Tid::new(31)))];
    assert_eq!(states, expected);
    for ttid in [voted, locked] {
        engine.disown(ttid).expect("disown");
    }
    engine.sync(9).expect("sync");
    engine.wait_for(9).expect("synced");
    assert_eq!(engine.transactions().count(), 0);
    assert_eq!(newest(&engine, 30), None);
    engine.disown(Ttid::new(99)).expect("nothing to disown is nothing wrong");
}

#[test]
fn what_is_stored_can_be_read_back() {
    let (_, mut engine) = create();
    let ttid = Ttid::new(10);
    store(&mut engine, ttid, 1, "first");
    store(&mut engine, ttid, 1, "second");
    engine.store(ttid, PARTITION, Oid::new(2), &ObjectData::default()).expect("store");
    assert!(engine.stored(ttid, PARTITION, Oid::new(3)).is_none());
    assert!(engine.stored(Ttid::new(11), PARTITION, Oid::new(1)).is_none());
    let lookups = [1, 2].map(|oid| engine.stored(ttid, PARTITION, Oid::new(oid)).expect("there"));
    engine.unstore(ttid, PARTITION, Oid::new(1)).expect("unstore");
    assert!(engine.stored(ttid, PARTITION, Oid::new(1)).is_none());
    engine.sync(1).expect("sync");
    engine.wait_for(1).expect("synced");
    let found = lookups.map(|lookup| engine.reader(ReadMode::Calls).run(lookup).expect("read"));
    let found = found.map(|found| found.map(|object| (object.compression, object.data)));
    assert_eq!(found, [Some((Compression::None, Some(Bytes::from("second")))), None]);
}

#[test]
fn pack_orders_are_metadata_like_any_other() {
    let (disk, mut engine) = create();
    engine.edit(1, vec![MetadataEdit::set(MetadataKey::PackOrders, [1, 2, 3])]).expect("edit");
    engine.wait_for(1).expect("durable");
    let engine = open(&disk.lose_all_unsynced());
    assert_eq!(engine.metadata().get(MetadataKey::PackOrders), Some(&[1, 2, 3][..]));
}
