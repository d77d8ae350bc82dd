//! Power cuts at any operation of the disk: what was acknowledged is there, and of the rest
//! whole transactions or nothing.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;

use bytes::Bytes;
use engine::disk::{Fault, MemoryDisk};
use model::{Random, Tid};

use super::random::Program;
use super::world::{commit, open, options, try_open};
use crate::{Error, Trouble};

const SEEDS: u64 = 60;
const STEPS: u64 = 60;
/// Power cuts of one program, each after what was left of the one before.
const CRASHES: u64 = 3;

/// Whatever failed, it is because of that.
fn assert_crashed(error: &Error) {
    assert!(error.to_string().contains("the simulated disk has crashed"), "{error}");
}

#[test]
fn acknowledged_commits_survive() {
    for seed in 0..SEEDS {
        println!("seed {seed}");
        let mut disk = MemoryDisk::new(seed);
        let mut program = Program::new(seed);
        for crash in 0..CRASHES {
            let at = disk.operations() + program.random.below(400);
            disk.schedule(at, Fault::Crash);
            // The disk may crash while it is opened.
            if let Ok(embedded) = try_open(&disk, options()) {
                program.take_unacknowledged(&embedded);
                let failed = (0..STEPS).find_map(|_| program.step(&embedded).err());
                if let Some(error) = failed {
                    assert_crashed(&error);
                }
            }
            disk = disk.crash_image(seed * CRASHES + crash);
        }
        let embedded = open(&disk);
        program.take_unacknowledged(&embedded);
        program.model.compare(&embedded);
        program.step(&embedded).unwrap();
    }
}

/// The same with threads, whose commits share syncs: each counts up an object of its own and one
/// that nobody else writes, which are always equal.
#[test]
fn acknowledged_commits_of_threads_survive() {
    const THREADS: u64 = 4;
    for seed in 0..SEEDS {
        println!("seed {seed}");
        let disk = MemoryDisk::new(seed);
        let embedded = open(&disk);
        let mut random = Random::from_seed(seed);
        disk.schedule(disk.operations() + random.below(300), Fault::Crash);
        let acknowledged = Mutex::new(BTreeMap::new());
        thread::scope(|scope| {
            for number in 0..THREADS {
                let (embedded, acknowledged) = (&embedded, &acknowledged);
                scope.spawn(move || {
                    let mut serial = Tid::ZERO;
                    for value in 0..100_u64 {
                        let text = value.to_string();
                        let pair = [2 * number, 2 * number + 1];
                        let objects = pair.map(|number| (number, serial, text.as_str()));
                        match commit(embedded, &objects) {
                            Ok(tid) => serial = tid,
                            Err(error) => {
                                return assert_crashed(&error);
                            }
                        }
                        acknowledged.lock().unwrap().insert(number, (value, serial));
                    }
                });
            }
        });
        drop(embedded);
        let embedded = open(&disk.crash_image(seed));
        for (number, (value, tid)) in acknowledged.into_inner().unwrap() {
            let objects = [2 * number, 2 * number + 1].map(|n| embedded.load(super::world::oid(n)));
            let [first, second] = objects.map(Result::unwrap);
            assert_eq!((first.serial, &first.data), (second.serial, &second.data));
            let found: Bytes = first.data.unwrap().bytes().unwrap();
            let found: u64 = std::str::from_utf8(&found).unwrap().parse().unwrap();
            assert!(found == value || found == value + 1, "{found}, but {value} was acknowledged");
            assert!(first.serial >= tid);
        }
    }
}

/// A sync that fails is not tried again, and what it was for is not acknowledged.
#[test]
fn nothing_is_acknowledged_after_a_sync_that_failed() {
    for (seed, fault) in (0..40).flat_map(|seed| {
        [(seed, Fault::SyncError), (seed, Fault::SyncNoSpace), (seed, Fault::WriteError)]
    }) {
        let disk = MemoryDisk::new(seed);
        let mut program = Program::new(seed);
        let embedded = open(&disk);
        for _ in 0..5 {
            program.step(&embedded).unwrap();
        }
        disk.schedule(disk.operations() + program.random.below(60), fault);
        let failed = (0..STEPS).find_map(|_| program.step(&embedded).err());
        let Some(error) = failed else { panic!("{fault:?}, seed {seed}: nothing failed") };
        assert_eq!(error.trouble(), Trouble::Storage, "{error}");
        assert!(error.to_string().contains("memory:"), "the file is named: {error}");
        if !matches!(error, Error::Undecided { .. }) {
            // What is told to be not committed is not.
            program.unacknowledged = None;
        }
        // What was acknowledged can still be read, and nothing else; nothing is written.
        program.model.compare(&embedded);
        let refused = commit(&embedded, &[(900, Tid::ZERO, "no")]);
        assert_eq!(refused.unwrap_err().trouble(), Trouble::Storage);
        drop(embedded);
        let embedded = open(&disk.crash_image(seed));
        program.take_unacknowledged(&embedded);
        program.model.compare(&embedded);
    }
}
