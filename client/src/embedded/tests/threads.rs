//! Many threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use engine::Options;
use engine::disk::{Directory, DirectoryOptions, OpenMode};
use model::{Oid, Random, Tid};

use super::world::{commit, load, new, oid, options, store};
use crate::{Contention, Embedded, EmbeddedTransaction, Error, Metadata, Notice, Payload, Trouble};

fn number(data: &[u8]) -> u64 {
    std::str::from_utf8(data).unwrap().parse().unwrap()
}

/// Both changes of a counter.
fn add(contention: &Contention) -> Option<Bytes> {
    let [old, committed, new] =
        [&contention.old, &contention.committed, &contention.new].map(|data| number(data));
    Some(Bytes::from((committed + new - old).to_string()))
}

fn increment(embedded: &Embedded, oid: Oid, transaction: &mut EmbeddedTransaction) {
    let object = embedded.load(oid).unwrap();
    let value = number(&object.data.unwrap().bytes().unwrap());
    transaction.store(oid, object.serial, Payload::plain((value + 1).to_string())).unwrap();
}

/// No change is lost, whichever way conflicts go.
#[test]
fn r4_counters_count_everything() {
    const COUNTERS: u64 = 3;
    const THREADS: u64 = 8;
    const ROUNDS: u64 = 60;
    let embedded = new();
    let counters: Vec<_> = (0..COUNTERS).map(|number| (number, Tid::ZERO, "0")).collect();
    commit(&embedded, &counters).unwrap();
    let resolved = AtomicU64::new(0);
    thread::scope(|scope| {
        for seed in 0..THREADS {
            let (embedded, resolved) = (&embedded, &resolved);
            scope.spawn(move || {
                let mut random = Random::from_seed(seed);
                for _ in 0..ROUNDS {
                    let resolves = random.chance(1, 2);
                    // Two of three, so that transactions meet in all orders.
                    let left_out = random.below(COUNTERS);
                    loop {
                        let mut transaction = embedded.begin().unwrap();
                        if resolves {
                            transaction.set_resolver(add);
                        }
                        for counter in (0..COUNTERS).filter(|counter| *counter != left_out) {
                            increment(embedded, oid(counter), &mut transaction);
                        }
                        match transaction.vote(Metadata::default()) {
                            Ok(oids) => {
                                resolved.fetch_add(oids.len() as u64, Ordering::Relaxed);
                                transaction.finish().unwrap();
                                break;
                            }
                            Err(error) => {
                                assert_eq!(error.trouble(), Trouble::Conflict, "{error}");
                                assert!(!resolves);
                            }
                        }
                    }
                }
            });
        }
    });
    let sum: u64 = (0..COUNTERS).map(|counter| number(&load(&embedded, counter).unwrap())).sum();
    assert_eq!(sum, THREADS * ROUNDS * (COUNTERS - 1));
    assert!(resolved.into_inner() > 0, "some had conflicts");
    assert!(embedded.shared.common.locks.is_empty());
}

/// Each of two withdraws from an account if both together have enough: never both do (write skew).
#[test]
fn what_is_checked_stays_current() {
    let embedded = new();
    let mut serials = [Tid::ZERO; 2];
    for round in 0..100 {
        let serial = serials[0].max(serials[1]);
        for (account, serial) in serials.iter_mut().enumerate() {
            *serial = commit(&embedded, &[(account as u64, *serial, "1")]).unwrap();
        }
        assert!(serials[0] > serial);
        let results = thread::scope(|scope| {
            let withdraw = |own: usize| {
                let mut transaction = embedded.begin().unwrap();
                transaction.check_current(oid(1 - own as u64), serials[1 - own]).unwrap();
                store(&mut transaction, &[(own as u64, serials[own], "0")]).unwrap();
                transaction.commit(Metadata::default())
            };
            let threads = [0, 1].map(|own| scope.spawn(move || withdraw(own)));
            threads.map(|thread| thread.join().unwrap())
        });
        let failures: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
        assert!(matches!(failures[..], [Error::ReadConflict { .. }]), "{round}: {results:?}");
        for (serial, result) in serials.iter_mut().zip(results) {
            *serial = result.unwrap_or(*serial);
        }
    }
}

/// Checks of one object do not exclude each other.
#[test]
fn who_only_checks_waits_for_nobody_who_does() {
    let embedded = new();
    let first = commit(&embedded, &[(1, Tid::ZERO, "one")]).unwrap();
    let mut both = [2, 3].map(|number| {
        let mut transaction = embedded.begin().unwrap();
        transaction.check_current(oid(1), first).unwrap();
        store(&mut transaction, &[(number, Tid::ZERO, "x")]).unwrap();
        transaction
    });
    for transaction in &mut both {
        transaction.vote(Metadata::default()).unwrap();
    }
    let tids = both.map(|transaction| transaction.finish().unwrap());
    assert!(tids[1] > tids[0]);
}

/// Whoever votes for an object that another one has voted for waits for its end.
#[test]
fn the_second_waits_for_the_first() {
    for aborts in [false, true] {
        let embedded = new();
        let first = commit(&embedded, &[(1, Tid::ZERO, "one")]).unwrap();
        let mut voted = embedded.begin().unwrap();
        store(&mut voted, &[(1, first, "two")]).unwrap();
        voted.vote(Metadata::default()).unwrap();
        thread::scope(|scope| {
            let second = scope.spawn(|| commit(&embedded, &[(1, first, "three")]));
            let result = match aborts {
                true => {
                    voted.abort();
                    Ok(())
                }
                false => voted.finish().map(drop),
            };
            result.unwrap();
            assert_eq!(second.join().unwrap().is_ok(), aborts);
        });
    }
}

/// While a sync is under way, commits of others pile up and share the next one.
#[test]
fn concurrent_commits_share_syncs() {
    const THREADS: u64 = 8;
    const COMMITS: u64 = 25;
    let directory = tempfile::tempdir().unwrap();
    let delay = Duration::from_millis(1);
    let disk_options = DirectoryOptions { delay, ..DirectoryOptions::default() };
    let disk = Directory::open(directory.path(), OpenMode::ReadWrite, disk_options).unwrap();
    let embedded = Embedded::open_on(Arc::new(disk), Options::default(), options()).unwrap();
    commit(&embedded, &[(1000, Tid::ZERO, "x")]).unwrap();
    let before = embedded.figures().unwrap().groups_synced;
    thread::scope(|scope| {
        for number in 0..THREADS {
            let embedded = &embedded;
            scope.spawn(move || {
                let mut serial = Tid::ZERO;
                for _ in 0..COMMITS {
                    serial = commit(embedded, &[(number, serial, "x")]).unwrap();
                }
            });
        }
    });
    let shared = embedded.figures().unwrap().groups_synced - before;
    let commits = THREADS * COMMITS;
    println!("{commits} commits of {THREADS} threads took {shared} syncs");
    assert!(shared * 2 < commits, "{shared} syncs for {commits} commits");
    let mut serial = Tid::ZERO;
    for _ in 0..COMMITS {
        serial = commit(&embedded, &[(2000, serial, "x")]).unwrap();
    }
    let alone = embedded.figures().unwrap().groups_synced - before - shared;
    assert_eq!(alone, COMMITS, "one sync a commit");
}

/// Readers see what was told and nothing later; what was told is there (R16, R22).
#[test]
fn readers_see_whole_commits_up_to_the_last() {
    const OBJECTS: u64 = 5;
    let embedded = new();
    let all: Vec<_> = (0..OBJECTS).map(|number| (number, Tid::ZERO, "0")).collect();
    commit(&embedded, &all).unwrap();
    let notices = embedded.subscribe();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut last = Tid::ZERO;
                while !is_over.load(Ordering::Relaxed) {
                    let tid = embedded.last_tid();
                    assert!(tid >= last, "it grows");
                    last = tid;
                    let before = Tid::new(tid.get() + 1);
                    let serials =
                        (0..OBJECTS).map(|n| embedded.load_before(oid(n), before).unwrap().serial);
                    let serials: Vec<_> = serials.collect();
                    assert!(serials.iter().all(|serial| *serial == tid), "{serials:?} at {tid}");
                    let newest = embedded.load(oid(0)).unwrap();
                    assert!(newest.serial >= tid);
                    let log = embedded.undo_log(0, 1).unwrap();
                    assert!(log[0].tid >= tid);
                }
            });
        }
        let mut serial = embedded.last_tid();
        for _ in 0..300 {
            let all: Vec<_> = (0..OBJECTS).map(|number| (number, serial, "1")).collect();
            serial = commit(&embedded, &all).unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let told = notices.try_iter().map(|notice| match notice {
        Notice::Invalidated { tid, .. } => tid,
        other => panic!("{other:?}"),
    });
    let told: Vec<_> = told.collect();
    assert!(told.len() == 300 && told.is_sorted());
}
