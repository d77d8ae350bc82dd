//! The shortest way through the engine: store, commit, load, close, open again.

use std::sync::Arc;

use bytes::Bytes;
use engine::disk::{MemoryDisk, Wait};
use engine::{
    Engine, LoadLookup, LoadResult, LoopReader, ObjectData, OpenMode, Options, ReadMode,
    Transaction, When,
};
use model::{Oid, PartitionId, Tid, Ttid};

fn small() -> Options {
    Options {
        segment_length: 8 << 10,
        reserve_length: 2 << 10,
        group_length: 2 << 10,
        table_items_max: 64,
        table_log_max: 16 << 10,
        block_length: 256,
        ..Options::default()
    }
}

#[test]
fn what_was_committed_is_there_after_each_way_to_stop() {
    let disk = MemoryDisk::new(1);
    let partition = PartitionId::new(0);
    let mut engine =
        Engine::create(Arc::new(disk.clone()), small(), [7; 16], Vec::new()).expect("create");
    for n in 1..=200u64 {
        let (ttid, tid) = (Ttid::new(n * 10), Tid::new(n * 10 + 1));
        for oid in [n % 7, 100 + n] {
            let data = Some(Bytes::from(format!("{oid} at {n}").repeat(20)));
            let object = ObjectData { data, ..ObjectData::default() };
            engine.store(ttid, partition, Oid::new(oid), &object).expect("store");
        }
        let transaction = Transaction { ttid, ..Transaction::default() };
        if n % 2 == 0 {
            engine.commit(n, ttid, tid, partition, Some(transaction)).expect("commit");
            engine.wait_for(n).expect("committed");
        } else {
            engine.vote(n, ttid, partition, Some(transaction)).expect("vote");
            engine.wait_for(n).expect("voted");
            engine.lock(n, ttid, tid).expect("lock");
            engine.wait_for(n).expect("locked");
            engine.unlock(ttid).expect("unlock");
        }
        engine.work().expect("work");
    }
    check(&engine);
    let killed = disk.keep_all();
    drop(engine);
    for (disk, what) in [(killed, "killed"), (disk.lose_all_unsynced(), "power cut")] {
        for round in 0..3 {
            let disk: Arc<MemoryDisk> = Arc::new(disk.clone());
            let mut engine = Engine::open(disk, small(), OpenMode::ReadWrite).expect(what);
            for (ttid, _) in engine.transactions().collect::<Vec<_>>() {
                engine.unlock(ttid).expect("it was locked");
            }
            check(&engine);
            if round == 1 {
                engine.close().expect("close");
            }
        }
    }
}

fn check(engine: &Engine) {
    let reader = engine.reader(ReadMode::Calls);
    for n in 1..=200u64 {
        for oid in [n % 7, 100 + n] {
            let tid = Tid::new(n * 10 + 1);
            let when = When::At(tid);
            let lookup =
                LoadLookup::new(engine.snapshot(), PartitionId::new(0), Oid::new(oid), when);
            let LoadResult::Revision(found) = reader.run(lookup).expect("load") else {
                panic!("{oid} at {n} is missing")
            };
            assert_eq!(found.data, Bytes::from(format!("{oid} at {n}").repeat(20)));
            let next = (oid < 100 && n + 7 <= 200).then(|| Tid::new((n + 7) * 10 + 1));
            assert_eq!(found.next_tid, next);
        }
    }
}

#[test]
fn a_long_record_is_verified_in_slices() {
    let disk = MemoryDisk::new(1);
    let (partition, oid, ttid) = (PartitionId::new(0), Oid::new(1), Ttid::new(10));
    let options = Options { segment_length: 4 << 20, reserve_length: 1 << 20, ..small() };
    let mut engine =
        Engine::create(Arc::new(disk.clone()), options, [7; 16], Vec::new()).expect("create");
    let data = Bytes::from(vec![7; 1 << 20]);
    let object = ObjectData { data: Some(data.clone()), ..ObjectData::default() };
    engine.store(ttid, partition, oid, &object).expect("store");
    engine
        .commit(1, ttid, Tid::new(10), partition, None)
        .and_then(|()| engine.wait_for(1))
        .expect("commit");
    let mut reader = LoopReader::new(engine.reader(ReadMode::Calls), &disk).expect("a queue");
    let lookup = || LoadLookup::new(engine.snapshot(), partition, oid, When::Newest);
    let mut answer = reader.start(1, lookup().with_checksum());
    let mut turns = 0;
    while answer.is_none() {
        assert_eq!(reader.waiting(), 1);
        answer = reader.poll(Wait::No).expect("poll").pop().map(|(_, answer)| answer);
        turns += 1;
    }
    assert!(turns >= 4, "it let others go first: {turns}");
    let Some(Ok(LoadResult::Revision(found))) = answer else { panic!("{answer:?}") };
    assert_eq!(found.data, data);
    let waiting = engine.reader(ReadMode::Calls).run(lookup()).expect("load");
    let LoadResult::Revision(waiting) = waiting else { panic!("{waiting:?}") };
    assert_eq!(found.checksum(), waiting.checksum());
}

#[test]
fn to_give_back_a_job_takes_no_disk() {
    let disk = MemoryDisk::new(1);
    let partition = PartitionId::new(0);
    let mut engine =
        Engine::create(Arc::new(disk.clone()), small(), [7; 16], Vec::new()).expect("create");
    let mut given_back = 0;
    for n in 1..=200u64 {
        let (ttid, tid) = (Ttid::new(n * 10), Tid::new(n * 10 + 1));
        let data = Some(Bytes::from(vec![7; 500]));
        let object = ObjectData { data, ..ObjectData::default() };
        engine.store(ttid, partition, Oid::new(n), &object).expect("store");
        let transaction = Transaction { ttid, ..Transaction::default() };
        engine.commit(n, ttid, tid, partition, Some(transaction)).expect("commit");
        engine.wait_for(n).expect("committed");
        while let Some(mut job) = engine.take_job() {
            job.run().expect("work");
            let before = disk.operations();
            engine.finish_job(job, Ok(())).expect("it counts");
            assert_eq!(disk.operations(), before, "the disk was used by who owns the engine");
            given_back += 1;
        }
    }
    assert!(given_back > 50, "only {given_back} jobs");
}
