//! A program that imports, waits for its background work and closes, on a disk that fills up:
//! each step succeeds or says that the disk is full, and what was acknowledged is there.

use std::sync::Arc;

use bytes::Bytes;
use engine::disk::{MemoryDisk, Wait};
use engine::{
    Engine, Error, LoadLookup, LoadResult, ObjectData, OpenMode, Options, ReadMode, Result,
    Transaction, When, Worker,
};
use model::{Oid, PartitionId, Tid, Ttid};

const PARTITION: PartitionId = PartitionId::new(0);
const TRANSACTIONS: u64 = 300;

fn small() -> Options {
    Options {
        segment_length: 64 << 10,
        reserve_length: 8 << 10,
        group_length: 4 << 10,
        table_items_max: 128,
        table_log_max: 64 << 10,
        block_length: 512,
        ..Options::default()
    }
}

#[test]
fn an_import_ends_however_much_space_there_is() {
    let roomy = MemoryDisk::new(1);
    assert_eq!(import(&roomy).expect("there is space"), TRANSACTIONS);
    let mut was_full = 0;
    for capacity in (16 << 10..800 << 10).step_by(4 << 10) {
        let disk = MemoryDisk::new(capacity);
        disk.set_capacity(Some(capacity));
        let acknowledged = match import(&disk) {
            Ok(count) => count,
            Err((Error::Full { .. }, count)) => {
                was_full += 1;
                count
            }
            Err((error, _)) => panic!("{capacity} bytes: {error}"),
        };
        disk.set_capacity(None);
        check(disk, acknowledged, capacity);
    }
    assert!(was_full > 30, "only {was_full} disks were too small");
}

/// How many transactions were acknowledged, and why there were not more.
fn import(disk: &MemoryDisk) -> std::result::Result<u64, (Error, u64)> {
    let mut acknowledged = 0;
    let imported = import_counting(disk, &mut acknowledged);
    imported.map(|()| acknowledged).map_err(|error| (error, acknowledged))
}

fn import_counting(disk: &MemoryDisk, acknowledged: &mut u64) -> Result<()> {
    let disk = Arc::new(disk.clone());
    let mut engine = Engine::create(disk, small(), [7; 16], Vec::new())?;
    let mut worker = Worker::start().expect("a thread");
    for n in 1..=TRANSACTIONS {
        let ttid = Ttid::new(n);
        for oid in 0..4 {
            let data = Some(Bytes::from(vec![b'x'; 300]));
            let object = ObjectData { data, ..ObjectData::default() };
            engine.store(ttid, PARTITION, Oid::new(n * 4 + oid), &object)?;
        }
        let transaction = Transaction { ttid, ..Transaction::default() };
        engine.commit(n, ttid, Tid::new(n), PARTITION, Some(transaction))?;
        take(&mut engine, acknowledged, Wait::No)?;
        worker.exchange(&mut engine)?;
    }
    while *acknowledged < TRANSACTIONS {
        take(&mut engine, acknowledged, Wait::Yes)?;
    }
    worker.settle(&mut engine)?;
    worker.stop(&mut engine)?;
    engine.close()
}

fn take(engine: &mut Engine, acknowledged: &mut u64, wait: Wait) -> Result<()> {
    for completion in engine.poll(wait)? {
        completion.result?;
        *acknowledged = (*acknowledged).max(completion.token);
    }
    Ok(())
}

fn check(disk: MemoryDisk, acknowledged: u64, capacity: u64) {
    let engine = match Engine::open(Arc::new(disk), small(), OpenMode::ReadWrite) {
        Ok(engine) => engine,
        Err(Error::NoDatabase { .. }) if acknowledged == 0 => return,
        Err(error) => panic!("{capacity} bytes: {error}"),
    };
    let reader = engine.reader(ReadMode::Calls);
    for n in 1..=acknowledged {
        for oid in 0..4 {
            let oid = Oid::new(n * 4 + oid);
            let lookup = LoadLookup::new(engine.snapshot(), PARTITION, oid, When::Newest);
            let found = reader.run(lookup).expect("load");
            assert!(matches!(found, LoadResult::Revision(_)), "{capacity} bytes: {oid} is lost");
        }
    }
}
