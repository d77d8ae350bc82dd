//! Bugs that the model test or a reader found, each as short as it can be.

use std::sync::Arc;

use bytes::Bytes;
use engine::disk::{Disk, Fault, Faults, MemoryDisk, Wait};
use engine::{
    AddedObject, AddedTransaction, Delete, Engine, Error, LoadLookup, LoadResult, ObjectData,
    ObjectsLookup, OpenMode, Options, ReadMode, Result, TidsLookup, Transaction, TransactionState,
    When,
};
use model::{Oid, PartitionId, Tid, Ttid};

const PARTITION: PartitionId = PartitionId::new(0);
const TTID: Ttid = Ttid::new(7);

fn small() -> Options {
    Options {
        segment_length: 2 << 10,
        reserve_length: 16 << 10,
        group_length: 200,
        table_items_max: 1000,
        table_log_max: 1 << 20,
        block_length: 256,
        fan_out: 2,
        ..Options::default()
    }
}

fn create(disk: &MemoryDisk) -> Engine {
    Engine::create(Arc::new(disk.clone()), small(), [7; 16], Vec::new()).expect("create")
}

fn open(disk: &MemoryDisk) -> Engine {
    Engine::open(Arc::new(disk.clone()), small(), OpenMode::ReadWrite).expect("open")
}

fn text(text: &str) -> ObjectData {
    ObjectData { data: Some(Bytes::copy_from_slice(text.as_bytes())), ..ObjectData::default() }
}

fn store(engine: &mut Engine, oid: u64, data: &str) -> Result<()> {
    engine.store(TTID, PARTITION, Oid::new(oid), &text(data))
}

fn vote(engine: &mut Engine) {
    engine.vote(1, TTID, PARTITION, None).and_then(|()| engine.wait_for(1)).expect("vote");
}

fn commit(engine: &mut Engine, tid: u64) {
    engine
        .commit(2, TTID, Tid::new(tid), PARTITION, None)
        .and_then(|()| engine.wait_for(2))
        .expect("commit");
}

fn unlock(engine: &mut Engine, tid: u64) {
    engine.lock(3, TTID, Tid::new(tid)).and_then(|()| engine.wait_for(3)).expect("lock");
    engine.unlock(TTID).expect("unlock");
}

/// Commits objects until the log is in another segment.
fn fill(engine: &mut Engine, oid: u64) {
    let length = usize::try_from(small().segment_length).expect("small");
    for tid in 1..4 {
        let object = text(&"x".repeat(length));
        engine.store(Ttid::new(tid), PARTITION, Oid::new(oid), &object).expect("store");
        engine
            .commit(9, Ttid::new(tid), Tid::new(tid), PARTITION, None)
            .and_then(|()| engine.wait_for(9))
            .expect("commit");
        engine.work().expect("work");
    }
}

fn load(engine: &Engine, oid: u64) -> Option<String> {
    let reader = engine.reader(ReadMode::Calls);
    let lookup = LoadLookup::new(reader.snapshot(), PARTITION, Oid::new(oid), When::Newest);
    match reader.run(lookup).expect("load") {
        LoadResult::Revision(found) => Some(String::from_utf8_lossy(&found.data).into_owned()),
        _ => None,
    }
}

#[test]
fn what_was_withdrawn_and_stored_again_is_voted() {
    let disk = MemoryDisk::new(1);
    let mut engine = create(&disk);
    store(&mut engine, 1, "first").expect("store");
    engine.unstore(TTID, PARTITION, Oid::new(1)).expect("unstore");
    store(&mut engine, 1, "second").expect("store");
    vote(&mut engine);
    let mut engine = open(&disk.lose_all_unsynced());
    unlock(&mut engine, 9);
    assert_eq!(load(&engine, 1).as_deref(), Some("second"));
}

#[test]
fn a_ttid_is_used_again_after_an_abort() {
    let disk = MemoryDisk::new(1);
    let mut engine = create(&disk);
    store(&mut engine, 1, "aborted").expect("store");
    engine.abort(TTID).expect("abort");
    store(&mut engine, 2, "committed").expect("store");
    commit(&mut engine, 9);
    let engine = open(&disk.lose_all_unsynced());
    assert_eq!((load(&engine, 1), load(&engine, 2).as_deref()), (None, Some("committed")));
}

#[test]
fn a_ttid_is_used_again_after_a_crash() {
    let disk = MemoryDisk::new(1);
    let mut engine = create(&disk);
    store(&mut engine, 1, "lost").expect("store");
    engine.sync(1).and_then(|()| engine.wait_for(1)).expect("sync");
    let disk = disk.lose_all_unsynced();
    let mut engine = open(&disk);
    assert_eq!(engine.transaction(TTID), None, "open transactions are gone");
    store(&mut engine, 2, "committed").expect("store");
    commit(&mut engine, 9);
    let engine = open(&disk.lose_all_unsynced());
    assert_eq!((load(&engine, 1), load(&engine, 2).as_deref()), (None, Some("committed")));
}

#[test]
fn what_is_in_doubt_goes_forward_before_any_other_write() {
    let disk = MemoryDisk::new(1);
    let mut engine = create(&disk);
    store(&mut engine, 1, "voted").expect("store");
    vote(&mut engine);
    let mut engine = open(&disk.lose_all_unsynced());
    unlock(&mut engine, 9);
    assert_eq!(load(&engine, 1).as_deref(), Some("voted"));
}

#[test]
fn what_is_in_doubt_goes_forward_on_a_full_disk_after_a_restart() {
    let disk = MemoryDisk::new(1);
    let mut engine = create(&disk);
    store(&mut engine, 1, "voted").expect("store");
    vote(&mut engine);
    disk.set_capacity(Some(disk.allocated_bytes()));
    let mut engine = open(&disk.lose_all_unsynced());
    unlock(&mut engine, 9);
    assert_eq!(load(&engine, 1).as_deref(), Some("voted"));
    assert!(matches!(store(&mut engine, 2, &"x".repeat(9000)), Ok(()) | Err(Error::Full { .. })));
}

#[test]
fn the_segment_of_the_checkpoint_stays_when_nothing_was_written_since() {
    let disk = MemoryDisk::new(1);
    let mut engine = create(&disk);
    store(&mut engine, 1, "kept").expect("store");
    commit(&mut engine, 9);
    engine.flush().expect("flush");
    let disk = disk.lose_all_unsynced();
    let mut engine = open(&disk);
    store(&mut engine, 2, "new").expect("store");
    commit(&mut engine, 10);
    let engine = open(&disk.lose_all_unsynced());
    assert_eq!(
        (load(&engine, 1).as_deref(), load(&engine, 2).as_deref()),
        (Some("kept"), Some("new"))
    );
}

#[test]
fn an_opening_that_crashes_does_not_make_a_closed_database_look_damaged() {
    let disk = MemoryDisk::new(1);
    let mut engine = create(&disk);
    store(&mut engine, 1, "kept").expect("store");
    commit(&mut engine, 9);
    engine.close().expect("close");
    for at in 0..12 {
        for seed in 0..8 {
            let disk = disk.snapshot();
            disk.schedule(at, Fault::Crash);
            drop(Engine::open(Arc::new(disk.clone()), small(), OpenMode::ReadWrite));
            let engine = open(&disk.crash_image(seed));
            assert_eq!(load(&engine, 1).as_deref(), Some("kept"));
        }
    }
}

#[test]
fn openings_that_are_killed_and_then_lose_power_do_not_either() {
    let closed = MemoryDisk::new(1);
    let mut engine = create(&closed);
    store(&mut engine, 1, "kept").expect("store");
    commit(&mut engine, 9);
    engine.close().expect("close");
    for (first, second) in (0..4).flat_map(|first| (0..12).map(move |second| (first, second))) {
        for seed in 0..8 {
            let disk = closed.snapshot();
            disk.schedule(first, Fault::Crash);
            drop(Engine::open(Arc::new(disk.clone()), small(), OpenMode::ReadWrite));
            let disk = disk.keep_all();
            disk.schedule(second, Fault::Crash);
            drop(Engine::open(Arc::new(disk.clone()), small(), OpenMode::ReadWrite));
            let engine = open(&disk.crash_image(seed));
            assert_eq!(load(&engine, 1).as_deref(), Some("kept"));
        }
    }
}

#[test]
fn closing_a_full_disk_ends() {
    let disk = MemoryDisk::new(1);
    let mut engine = create(&disk);
    store(&mut engine, 1, "kept").expect("store");
    commit(&mut engine, 9);
    disk.set_capacity(Some(disk.allocated_bytes()));
    assert!(matches!(engine.close(), Err(Error::Full { .. })));
    assert_eq!(load(&open(&disk.keep_all()), 1).as_deref(), Some("kept"));
}

#[test]
fn a_sync_that_finds_no_space_is_no_full_disk() {
    let disk = MemoryDisk::new(1);
    let mut engine = create(&disk);
    store(&mut engine, 1, "first").expect("store");
    commit(&mut engine, 9);
    store(&mut engine, 1, "second").expect("store");
    engine.commit(4, TTID, Tid::new(10), PARTITION, None).expect("commit");
    disk.schedule(disk.operations(), Fault::SyncNoSpace);
    assert!(matches!(engine.wait_for(4), Err(Error::Io { .. })), "the data may be gone");
    assert!(engine.poll(Wait::No).is_err(), "what failed stays failed");
}

#[test]
fn a_drop_that_is_refused_takes_nothing_from_open_transactions() {
    let disk = MemoryDisk::new(1);
    let mut engine = create(&disk);
    store(&mut engine, 1, "voted").expect("store");
    vote(&mut engine);
    engine.lock(3, TTID, Tid::new(9)).and_then(|()| engine.wait_for(3)).expect("lock");
    disk.schedule(disk.operations(), Fault::NoSpace);
    engine.drop_partition(5, PARTITION).expect("drop");
    engine.unlock(TTID).expect("unlock");
    assert!(matches!(engine.wait_for(5), Err(Error::Full { .. })), "it was refused");
    assert_eq!(load(&engine, 1).as_deref(), Some("voted"));
}

#[test]
fn a_revision_that_comes_twice_in_a_batch_is_written_once() {
    let disk = MemoryDisk::new(1);
    let mut engine = create(&disk);
    let added = |data| AddedObject {
        partition: PARTITION,
        oid: Oid::new(1),
        tid: Tid::new(9),
        object: text(data),
    };
    engine.add(1, &[added("first"), added("second")], Vec::new()).expect("add");
    engine.wait_for(1).expect("added");
    engine.flush().expect("flush");
    assert_eq!(load(&engine, 1).as_deref(), Some("second"));
    let reader = engine.reader(ReadMode::Calls);
    let from = (Tid::new(0), Oid::new(0));
    let lookup = ObjectsLookup::new(reader.snapshot(), PARTITION, from, Tid::new(u64::MAX), 9);
    assert_eq!(reader.run(lookup).expect("page").objects, [(Tid::new(9), Oid::new(1))]);
}

#[test]
fn a_closed_segment_is_named_only_when_it_is_durable() {
    let disk = MemoryDisk::new(1);
    let mut engine = create(&disk);
    fill(&mut engine, 1);
    engine.flush().expect("flush");
    for operation in 0..40 {
        let disk = MemoryDisk::new(1);
        let mut engine = create(&disk);
        store(&mut engine, 2, "kept").expect("store");
        commit(&mut engine, 9);
        disk.schedule(disk.operations() + operation, Fault::NoSpace);
        for tid in 20..24 {
            let object = text(&"x".repeat(1500));
            let ttid = Ttid::new(tid);
            let stored = engine.store(ttid, PARTITION, Oid::new(tid), &object);
            if stored.is_ok() && engine.commit(tid, ttid, Tid::new(tid), PARTITION, None).is_ok() {
                assert!(matches!(engine.wait_for(tid), Ok(()) | Err(Error::Full { .. })));
            }
            engine.work().expect("work");
        }
        // Without space nothing but reading may suffer.
        assert!(matches!(engine.flush(), Ok(()) | Err(Error::Full { .. })));
        let engine = open(&disk.lose_all_unsynced());
        assert_eq!(load(&engine, 2).as_deref(), Some("kept"));
    }
}

#[test]
fn an_edit_of_the_manifest_that_is_refused_is_not_found_later() {
    for operation in 0..60 {
        let disk = MemoryDisk::new(operation)
            .with_faults(Faults { short_write_permille: 500, ..Faults::default() });
        let mut engine = create(&disk);
        store(&mut engine, 1, "kept").expect("store");
        commit(&mut engine, 9);
        disk.schedule(disk.operations() + operation, Fault::NoSpace);
        let _ = engine.flush();
        let _ = engine.work();
        assert_eq!(load(&open(&disk.keep_all()), 1).as_deref(), Some("kept"));
    }
}

#[test]
fn what_was_refused_does_not_hide_what_came_later() {
    let disk = MemoryDisk::new(1);
    let mut engine = create(&disk);
    store(&mut engine, 1, "x").expect("store");
    commit(&mut engine, 1);
    let transaction = || AddedTransaction {
        partition: PARTITION,
        tid: Tid::new(9),
        transaction: Transaction::default(),
    };
    engine.add(4, &[], vec![transaction()]).expect("add");
    disk.schedule(disk.operations(), Fault::NoSpace);
    assert!(matches!(engine.wait_for(4), Err(Error::Full { .. })), "it was refused");
    engine.add(5, &[], vec![transaction()]).expect("add");
    engine.wait_for(5).expect("there is space again");
    let reader = engine.reader(ReadMode::Calls);
    let (first, last) = (Tid::new(0), Tid::new(u64::MAX));
    let lookup = TidsLookup::descending(reader.snapshot(), PARTITION, first, last, 9);
    assert_eq!(reader.run(lookup).expect("tids"), [Tid::new(9)]);
}

#[test]
fn a_tombstone_stays_while_what_it_hides_is_still_inserted() {
    let disk = MemoryDisk::new(1);
    let mut engine = create(&disk);
    for oid in 0..5000 {
        store(&mut engine, oid, "x").expect("store");
    }
    engine.commit(4, TTID, Tid::new(9), PARTITION, None).expect("commit");
    let revision = Delete::Revision { partition: PARTITION, oid: Oid::new(4999), tid: Tid::new(9) };
    engine.delete(5, &[revision]).expect("delete");
    engine.wait_for(5).expect("deleted");
    for _ in 0..4 {
        engine.flush().expect("flush");
        engine.work().expect("work");
    }
    assert_eq!((load(&engine, 0).as_deref(), load(&engine, 4999)), (Some("x"), None));
    let engine = open(&disk.lose_all_unsynced());
    assert_eq!((load(&engine, 4998).as_deref(), load(&engine, 4999)), (Some("x"), None));
}

#[test]
fn a_vote_on_its_way_survives_a_close() {
    let disk = MemoryDisk::new(1);
    let mut engine = create(&disk);
    store(&mut engine, 1, "voted").expect("store");
    engine.vote(1, TTID, PARTITION, None).expect("vote");
    engine.close().expect("close");
    let engine = open(&disk);
    assert_eq!(engine.transaction(TTID), Some(TransactionState::Voted));
}

#[test]
fn a_damaged_run_is_left_out_of_merges() {
    let disk = MemoryDisk::new(1);
    let mut engine = create(&disk);
    let write = |engine: &mut Engine, tid: u64| {
        let ttid = Ttid::new(tid);
        engine.store(ttid, PARTITION, Oid::new(tid), &text("data")).expect("store");
        engine
            .commit(9, ttid, Tid::new(tid), PARTITION, None)
            .and_then(|()| engine.wait_for(9))
            .expect("commit");
        engine.flush().expect("flush");
    };
    write(&mut engine, 1);
    let runs = disk.list().expect("list").into_iter().filter(|name| name.starts_with("run-"));
    let damaged = runs.collect::<Vec<_>>();
    assert!(!damaged.is_empty(), "the table was written");
    for name in &damaged {
        disk.flip(name, 64 + 9, 3);
    }
    for tid in 2..20 {
        write(&mut engine, tid);
        engine.work().expect("the engine goes on");
    }
    assert!(!engine.has_work(), "what cannot be merged is no work");
    let reader = engine.reader(ReadMode::Calls);
    let load = |oid| {
        reader.run(LoadLookup::new(reader.snapshot(), PARTITION, Oid::new(oid), When::Newest))
    };
    for oid in 2..20 {
        assert!(matches!(load(oid), Ok(LoadResult::Revision(_))), "{oid}");
    }
    assert!(load(1).is_err_and(|error| error.place().is_some()));
    let runs = disk.list().expect("list").into_iter().filter(|name| name.starts_with("run-"));
    let runs = runs.collect::<Vec<_>>();
    assert!(damaged.iter().all(|name| runs.contains(name)), "fsck still finds them");
    assert!(runs.len() < 18, "the others were merged: {runs:?}");
    engine.close().expect("close");
}
