//! Disks that are full or damaged.

use bytes::Bytes;
use engine::disk::{Fault, MemoryDisk};
use model::{Random, Tid};

use super::super::shared::Promise;
use super::random::Program;
use super::world::{commit, load, oid, open, options, try_open};
use crate::{Embedded, EmbeddedOptions, EmbeddedTransaction, Error, Metadata, Payload, Trouble};

fn store_random(embedded: &Embedded, random: &mut Random, number: u64) -> Result<Tid, Error> {
    let mut transaction = embedded.begin()?;
    let length = 1 + random.index(20_000);
    let data = Payload::plain(random.bytes(length));
    transaction.store(oid(number), Tid::ZERO, data)?;
    transaction.vote(Metadata::default())?;
    // What was voted for finds its place.
    Ok(transaction.finish().expect("there is space for what was voted for"))
}

#[test]
fn a_full_disk_is_told_at_the_vote_and_survived() {
    for seed in 0..20 {
        let disk = MemoryDisk::new(seed);
        let embedded = open(&disk);
        let mut random = Random::from_seed(seed);
        disk.set_capacity(Some(disk.allocated_bytes() + 200_000 + random.below(300_000)));
        let mut stored = Vec::new();
        let error = loop {
            match store_random(&embedded, &mut random, stored.len() as u64) {
                Ok(tid) => stored.push(tid),
                Err(error) => break error,
            }
        };
        assert_eq!(error.trouble(), Trouble::Storage, "{error}");
        assert!(error.to_string().contains("memory:") && error.to_string().contains("no space"));
        assert!(stored.len() > 5);
        for (number, tid) in stored.iter().enumerate() {
            assert_eq!(embedded.load(oid(number as u64)).unwrap().serial, *tid);
        }
        // A long transaction finds out as well, wherever it is.
        let mut transaction = embedded.begin().unwrap();
        let failed = (0..100).find_map(|number| {
            let data = Payload::plain(vec![1; 50_000]);
            transaction.store(oid(1000 + number), Tid::ZERO, data).err()
        });
        let failed = failed.or_else(|| transaction.vote(Metadata::default()).err());
        assert_eq!(failed.expect("there is no space").trouble(), Trouble::Storage);
        drop(transaction);
        // As soon as there is space it goes on.
        disk.set_capacity(None);
        let last = commit(&embedded, &[(5000, Tid::ZERO, "at last")]).unwrap();
        drop(embedded);
        let embedded = open(&disk.lose_all_unsynced());
        assert_eq!(embedded.last_tid(), last);
        assert_eq!(embedded.transactions(Tid::ZERO, None).count(), stored.len() + 1);
        assert_eq!(load(&embedded, 5000), Some(Bytes::from("at last")));
    }
}

/// Votes of many at the same time do not count on the same space, and what others store without a
/// vote does not take it.
#[test]
fn what_several_voted_for_finds_its_place() {
    for seed in 0..10 {
        let disk = MemoryDisk::new(seed);
        let embedded = open(&disk);
        let mut random = Random::from_seed(seed);
        let capacity = disk.allocated_bytes() + 1_500_000 + random.below(1_000_000);
        disk.set_capacity(Some(capacity));
        let mut begun = 0;
        let mut vote = |length| {
            let mut transaction = embedded.begin()?;
            begun += 1;
            transaction.store(oid(begun), Tid::ZERO, Payload::plain(random.bytes(length)))?;
            transaction.vote(Metadata::default())?;
            Ok(transaction)
        };
        let mut voted: Vec<EmbeddedTransaction> = Vec::new();
        // One of them was given to the engine before its vote.
        voted.push(vote(300_000).unwrap());
        for _ in 0..60 {
            voted.push(vote(4_000).unwrap());
        }
        // Another stores until there is no place, and does not vote.
        let mut long = embedded.begin().unwrap();
        let refused = (0..100).find_map(|number| {
            let data = Payload::plain(vec![3; 50_000]);
            long.store(oid(1000 + number), Tid::ZERO, data).err()
        });
        assert_eq!(refused.expect("there is no space").trouble(), Trouble::Storage);
        let refused = loop {
            match vote(4_000) {
                Ok(transaction) => voted.push(transaction),
                Err(error) => break error,
            }
            assert!(voted.len() < 1000, "there is no such space");
        };
        assert_eq!(Error::trouble(&refused), Trouble::Storage, "{refused}");
        for (number, transaction) in voted.into_iter().enumerate() {
            match number % 5 {
                4 => transaction.abort(),
                _ => drop(transaction.finish().expect("there is space for what was voted for")),
            }
        }
        drop(long);
        assert_eq!(Promise::sum(&embedded.shared.common), 0, "all is given back");
    }
}

/// What could not be appended when there was no space is not left out of a commit, though there is
/// space again at its vote.
#[test]
fn a_transaction_that_lost_something_to_a_full_disk_is_not_committed() {
    let mut lost = 0;
    for seed in 0..30 {
        let disk = MemoryDisk::new(seed);
        let embedded = open(&disk);
        let mut transaction = embedded.begin().unwrap();
        let mut stored = 0;
        let mut store_some = |transaction: &mut EmbeddedTransaction| {
            for _ in 0..8 {
                let data = Payload::plain(vec![2; 50_000]);
                transaction.store(oid(stored), Tid::ZERO, data)?;
                stored += 1;
            }
            // The thread that writes has got so far.
            embedded.figures().map(drop)
        };
        store_some(&mut transaction).unwrap();
        // Somebody else takes the space while it is written.
        disk.schedule(disk.operations() + seed % 6, Fault::Full);
        let mut done = store_some(&mut transaction);
        disk.set_capacity(None);
        done = done.and_then(|()| store_some(&mut transaction));
        let is_stored = done.is_ok();
        let done = done.and_then(|()| transaction.commit(Metadata::default()));
        lost += u32::from(is_stored && done.is_err());
        drop(embedded);
        let embedded = open(&disk.lose_all_unsynced());
        for number in 0..stored {
            let loaded = embedded.load(oid(number));
            assert_eq!(loaded.is_ok(), done.is_ok(), "seed {seed}, object {number}");
        }
    }
    assert!(lost > 0, "something was lost");
}

/// Random programs on a disk that fills up now and then: what fails is not there, the rest is.
#[test]
fn programs_on_a_disk_that_fills_up() {
    for seed in 0..20 {
        let disk = MemoryDisk::new(seed);
        let mut program = Program::new(seed);
        let embedded = open(&disk);
        let mut failures = 0;
        for _ in 0..100 {
            let room = program.random.below(400_000);
            let capacity = program.random.chance(2, 3).then(|| disk.allocated_bytes() + room);
            disk.set_capacity(capacity);
            if let Err(error) = program.step(&embedded) {
                assert_eq!(error.trouble(), Trouble::Storage, "{error}");
                assert!(!matches!(error, Error::Undecided { .. }), "{error}");
                program.unacknowledged = None;
                failures += 1;
            }
        }
        assert!(failures > 0, "seed {seed}: the disk was full");
        disk.set_capacity(None);
        program.step(&embedded).unwrap();
        program.model.compare(&embedded);
        drop(embedded);
        program.model.compare(&open(&disk.lose_all_unsynced()));
    }
}

#[test]
fn a_damaged_record_is_told_with_its_object_and_place() {
    let disk = MemoryDisk::new(1);
    let embedded = open(&disk);
    let text = "a record that is looked for in the file";
    let tid = commit(&embedded, &[(1, Tid::ZERO, text), (2, Tid::ZERO, "sound")]).unwrap();
    drop(embedded);
    let name = "log-00000001";
    let file = disk.read_file(name).expect("the first segment");
    let mut windows = file.windows(text.len());
    let offset = windows.position(|window| window == text.as_bytes()).expect("it is there");
    // Without a cache it is read again.
    let embedded = try_open(&disk, EmbeddedOptions { cache_bytes: Some(0), ..options() }).unwrap();
    disk.flip(name, offset as u64, 3);
    let error = embedded.load(oid(1)).unwrap_err();
    assert_eq!(error.trouble(), Trouble::Damage);
    let told = error.to_string();
    assert!(told.contains(&oid(1).to_string()) && told.contains(name), "{told}");
    assert_eq!(load(&embedded, 2), Some(Bytes::from("sound")));
    assert_eq!(embedded.load_at(oid(1), tid), Err(error));
    // What is not read can be replaced.
    commit(&embedded, &[(1, tid, "new")]).unwrap();
    assert_eq!(load(&embedded, 1), Some(Bytes::from("new")));
}
