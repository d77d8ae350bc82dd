//! Power cuts at any moment of commits: what was acknowledged is there.

use std::collections::BTreeMap;

use engine::disk::{Fault, Faults};
use net::{Message, OrderedMap};

use super::world::{World, lock, oid, rows, store, tid, ttid, vote};

/// What the storage acknowledged.
#[derive(Default)]
struct Acknowledged {
    voted: Vec<u64>,
    locked: Vec<u64>,
}

/// Commits until the disk crashes.
fn commit_until_crash(world: &mut World) -> Acknowledged {
    let mut seen = Acknowledged::default();
    let client = world.client();
    for number in (100..1000).step_by(100) {
        let at = ttid(number);
        for of in 0..3 {
            world.post(client, &store(at, oid(number + of), tid(0), &format!("{of} of {number}")));
        }
        let oids = [0, 1, 2].map(|of| oid(number + of));
        let token = world.post(client, &vote(at, &oids));
        if world.answer(client, token) != Some(Message::AnswerStoreTransaction {}) {
            break;
        }
        seen.voted.push(number);
        let master = world.master();
        let token = world.post(master, &lock(at, tid(number + 4)));
        if world.answer(master, token).is_none() {
            break;
        }
        seen.locked.push(number);
        world.unlock_one(number);
    }
    seen
}

fn check(disk: engine::disk::MemoryDisk, seen: &Acknowledged, what: &str) {
    let mut world = World::reopen(disk);
    world.join();
    world.send_table(1, rows(model::CellState::UpToDate));
    let answer = world.ask_master(&Message::AskLockedTransactions {});
    let Message::AnswerLockedTransactions { transactions: OrderedMap(in_doubt) } = answer else {
        panic!("{answer:?}")
    };
    let in_doubt: BTreeMap<_, _> = in_doubt.into_iter().collect();
    for &number in &seen.voted {
        let answer = world.ask_master(&Message::AskFinalTID { ttid: ttid(number) });
        let Message::AnswerFinalTID { tid: found } = answer else { panic!("{answer:?}") };
        let is_there = in_doubt.contains_key(&ttid(number)) || found.is_some();
        assert!(is_there, "{what}: vote {number} is lost");
        if seen.locked.contains(&number) {
            assert_eq!(found, Some(tid(number + 4)), "{what}: lock {number} is lost");
        }
    }
    for &ttid in in_doubt.keys() {
        let tid = tid(ttid.get() + 4);
        world.tell(&Message::ValidateTransaction { ttid, tid });
    }
    world.ask_master(&Message::AskLastIDs {});
    world.start();
    let client = world.client();
    for &number in &seen.voted {
        for of in 0..3 {
            let found = world.newest(client, number + of);
            assert_eq!(found, Some((number + 4, format!("{of} of {number}"))), "{what}");
        }
    }
}

#[test]
fn r1_acknowledged_votes_and_locks_survive_a_crash_at_any_moment() {
    let operations = {
        let mut world = World::operating();
        let before = world.disk.operations();
        let seen = commit_until_crash(&mut world);
        assert_eq!(seen.locked.len(), 9);
        before..world.disk.operations()
    };
    assert!(operations.end - operations.start > 30, "{operations:?}");
    for at in operations {
        let mut world = World::operating();
        world.disk.schedule(at, Fault::Crash);
        let seen = commit_until_crash(&mut world);
        assert!(world.disk.is_crashed());
        for seed in 0..4 {
            check(world.disk.crash_image(seed), &seen, &format!("crash at {at}, image {seed}"));
        }
        check(world.disk.lose_all_unsynced(), &seen, &format!("crash at {at}, all lost"));
    }
}

#[test]
fn r1_the_same_with_a_disk_that_takes_its_time() {
    for seed in 0..40 {
        let mut world = World::operating();
        let faults = Faults { slow_permille: 700, short_write_permille: 200, ..Default::default() };
        let _ = world.disk.clone().with_faults(faults);
        world.disk.schedule(world.disk.operations() + seed, Fault::Crash);
        let seen = commit_until_crash(&mut world);
        check(world.disk.crash_image(seed), &seen, &format!("seed {seed}"));
    }
}
