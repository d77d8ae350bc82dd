//! What is kept in memory of what was read, and what is not.

use std::sync::Arc;

use bytes::Bytes;
use engine::disk::{MemoryDisk, Wait};
use engine::{
    Engine, Error, LoadLookup, LoadResult, LoopReader, ObjectData, Options, ReadMode, Reader,
    Result, Revision, When,
};
use model::{Oid, PartitionId, Tid, Ttid};
use sha1::{Digest, Sha1};

const PARTITION: PartitionId = PartitionId::new(0);
const OBJECTS: u64 = 50;

/// How lookups are carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    Waiting,
    Loop,
}

const WAYS: [Way; 2] = [Way::Waiting, Way::Loop];

fn options(cache_bytes_max: u64) -> Options {
    Options {
        segment_length: 16 << 10,
        reserve_length: 2 << 10,
        group_length: 2 << 10,
        table_items_max: 16,
        block_length: 256,
        cache_bytes_max,
        ..Options::default()
    }
}

fn data(oid: u64) -> Bytes {
    Bytes::from(format!("object {oid}, ").repeat(60))
}

/// Some of the objects are in runs, some in memory tables; the data of all is in the log.
fn filled(cache_bytes_max: u64) -> (MemoryDisk, Engine) {
    let disk = MemoryDisk::new(1);
    let options = options(cache_bytes_max);
    let mut engine =
        Engine::create(Arc::new(disk.clone()), options, [7; 16], Vec::new()).expect("create");
    for oid in 0..OBJECTS {
        let object = ObjectData { data: Some(data(oid)), ..ObjectData::default() };
        let ttid = Ttid::new(oid + 1);
        engine.store(ttid, PARTITION, Oid::new(oid), &object).expect("store");
        engine.commit(1, ttid, Tid::new(oid + 1), PARTITION, None).expect("commit");
        engine.wait_for(1).expect("committed");
        engine.work().expect("work");
    }
    (disk, engine)
}

struct Loads {
    way: Way,
    reader: Reader,
    on_loop: LoopReader<LoadLookup>,
}

impl Loads {
    fn new(engine: &Engine, way: Way) -> Self {
        let reader = engine.reader(ReadMode::Calls);
        let on_loop = LoopReader::new(reader.clone(), &**engine.disk()).expect("a queue");
        Self { way, reader, on_loop }
    }

    fn lookup(&self, oid: u64) -> LoadLookup {
        LoadLookup::new(self.reader.snapshot(), PARTITION, Oid::new(oid), When::Newest)
    }

    fn run(&mut self, lookup: LoadLookup) -> Result<Revision> {
        let found = match self.way {
            Way::Waiting => self.reader.run(lookup),
            Way::Loop => match self.on_loop.start(0, lookup) {
                Some(found) => found,
                None => loop {
                    let mut answers = self.on_loop.poll(Wait::Yes).expect("poll");
                    if let Some((_, found)) = answers.pop() {
                        break found;
                    }
                },
            },
        };
        match found? {
            LoadResult::Revision(revision) => Ok(revision),
            other => unreachable!("{other:?}"),
        }
    }

    /// Loads all objects, and tells how many reads of the disk that took.
    fn load_all(&mut self, disk: &MemoryDisk) -> u64 {
        let before = disk.reads();
        for oid in 0..OBJECTS {
            let found = self.run(self.lookup(oid)).expect("it is there");
            assert_eq!(found.data, data(oid));
            assert_eq!(found.tid, Tid::new(oid + 1));
        }
        disk.reads() - before
    }
}

#[test]
fn a_warm_load_reads_nothing() {
    for way in WAYS {
        let (disk, engine) = filled(1 << 20);
        let mut loads = Loads::new(&engine, way);
        let first = loads.load_all(&disk);
        assert!(first >= OBJECTS, "{way:?}: {first} reads");
        assert_eq!(loads.load_all(&disk), 0, "{way:?}");
        loads.reader.clear_cache();
        assert_eq!(loads.load_all(&disk), first, "{way:?}: forgotten");
    }
}

#[test]
fn nothing_is_kept_without_a_budget() {
    for way in WAYS {
        let (disk, engine) = filled(0);
        let mut loads = Loads::new(&engine, way);
        let first = loads.load_all(&disk);
        assert_eq!(loads.load_all(&disk), first, "{way:?}");
    }
}

#[test]
fn what_is_read_in_passing_is_not_kept() {
    for way in WAYS {
        let (disk, engine) = filled(1 << 20);
        let mut loads = Loads::new(&engine, way);
        loads.run(loads.lookup(3)).expect("it is there");
        for round in 0..2 {
            let before = disk.reads();
            for oid in 0..OBJECTS {
                let found = loads.run(loads.lookup(oid).in_passing()).expect("it is there");
                assert_eq!(found.data, data(oid));
            }
            let records = disk.reads() - before;
            assert!(records >= OBJECTS - 1, "{way:?}, round {round}: {records} reads");
            if round == 1 {
                assert_eq!(records, OBJECTS - 1, "{way:?}: only what was kept before is there");
            }
        }
    }
}

#[test]
fn damage_is_found_when_it_is_read() {
    for way in WAYS {
        let (disk, engine) = filled(1 << 20);
        let name = "log-00000001";
        let wanted = data(2);
        let contents = disk.read_file(name).expect("the first segment");
        let at = contents.windows(wanted.len()).position(|part| part == wanted);
        let at = at.expect("it is in the first segment") as u64;
        let mut loads = Loads::new(&engine, way);
        disk.flip(name, at + 20, 3);
        for lookup in [loads.lookup(2), loads.lookup(2), loads.lookup(2).in_passing()] {
            let refused = loads.run(lookup);
            assert!(matches!(refused, Err(Error::Damaged { .. })), "{way:?}: {refused:?}");
        }
        disk.flip(name, at + 20, 3);
        let found = loads.run(loads.lookup(2)).expect("it is whole again");
        assert_eq!(found.data, wanted);
        disk.flip(name, at + 20, 3);
        let found = loads.run(loads.lookup(2)).expect("it was verified when it was read");
        assert_eq!(found.data, wanted);
        loads.reader.clear_cache();
        assert!(loads.run(loads.lookup(2)).is_err(), "{way:?}: read again");
    }
}

#[test]
fn a_checksum_that_was_not_stored_is_that_of_the_data() {
    for way in WAYS {
        let (_disk, engine) = filled(1 << 20);
        let mut loads = Loads::new(&engine, way);
        for _ in 0..2 {
            let found = loads.run(loads.lookup(1)).expect("it is there");
            let expected: [u8; 20] = Sha1::digest(data(1)).into();
            assert_eq!(found.checksum(), expected, "{way:?}");
        }
    }
}
