//! What each method does.

use bytes::Bytes;
use engine::disk::MemoryDisk;
use model::{Oid, Tid};

use super::world::{commit, load, metadata, new, oid, open, store};
use crate::{Embedded, EmbeddedTransaction, Error, Metadata, Notice, Payload, Revision};

/// Threads share it, and hand transactions to each other.
const _: fn() = || {
    fn shared<T: Clone + Send + Sync>() {}
    fn sent<T: Send>() {}
    shared::<Embedded>();
    sent::<EmbeddedTransaction>();
};

#[test]
fn revisions_are_found_by_tid() {
    let embedded = new();
    assert_eq!(embedded.last_tid(), Tid::ZERO);
    assert_eq!(embedded.load(oid(1)), Err(Error::NoSuchObject { oid: oid(1) }));
    let first = commit(&embedded, &[(1, Tid::ZERO, "one"), (2, Tid::ZERO, "two")]).unwrap();
    let second = commit(&embedded, &[(1, first, "one again")]).unwrap();
    assert_eq!(embedded.last_tid(), second);
    let object = embedded.load_before(oid(1), second).unwrap();
    assert_eq!((object.serial, object.next_serial), (first, Some(second)));
    assert_eq!(object.data, Some(Payload::plain("one")));
    let newest = embedded.load(oid(1)).unwrap();
    assert_eq!((newest.serial, newest.next_serial), (second, None));
    assert_eq!(embedded.load_before(oid(1), Tid::MAX).unwrap(), newest);
    assert_eq!(embedded.load_at(oid(1), second).unwrap(), newest);
    let missing = |revision| Err(Error::NoSuchRevision { oid: oid(1), revision });
    assert_eq!(embedded.load_before(oid(1), first), missing(Revision::Before(first)));
    assert_eq!(embedded.load_at(oid(1), Tid::MAX), missing(Revision::At(Tid::MAX)));
    assert_eq!(embedded.load_at(oid(9), Tid::MAX), Err(Error::NoSuchObject { oid: oid(9) }));
    assert_eq!(embedded.history(oid(1), 10).unwrap(), [(second, 9), (first, 3)]);
    assert_eq!(embedded.history(oid(1), 1).unwrap(), [(second, 9)]);
    assert_eq!(embedded.history(oid(1), 0).unwrap(), []);
    assert_eq!(embedded.history_before(oid(1), Some(second), 10).unwrap(), [(first, 3)]);
    assert_eq!(
        embedded.history_before(oid(1), Some(first), 10),
        Err(Error::NoSuchObject { oid: oid(1) })
    );
}

#[test]
fn deletions_are_revisions_without_data() {
    let embedded = new();
    let first = commit(&embedded, &[(1, Tid::ZERO, "one"), (2, Tid::ZERO, "two")]).unwrap();
    let mut transaction = embedded.begin().unwrap();
    transaction.delete(oid(1), first).unwrap();
    let second = transaction.commit(Metadata::default()).unwrap();
    assert_eq!(load(&embedded, 1), None);
    assert_eq!(load(&embedded, 2), Some(Bytes::from("two")));
    let oids = |tid| embedded.oids(Oid::ZERO, tid).map(Result::unwrap).collect::<Vec<_>>();
    assert_eq!(oids(None), [oid(2)]);
    assert_eq!(oids(Some(first)), [oid(1), oid(2)]);
    assert_eq!(embedded.transaction(second).unwrap().oids, [oid(1)]);
}

#[test]
fn transactions_keep_what_users_say_and_the_order_of_stores() {
    let embedded = new();
    let mut transaction = embedded.begin().unwrap();
    let ttid = transaction.ttid();
    store(&mut transaction, &[(7, Tid::ZERO, "a"), (3, Tid::ZERO, "b"), (7, Tid::ZERO, "c")])
        .unwrap();
    transaction.check_current(oid(5), Tid::ZERO).unwrap();
    let metadata = Metadata {
        user: Bytes::from("me"),
        description: Bytes::from("why"),
        extension: Bytes::from("more"),
    };
    let tid = transaction.commit(metadata.clone()).unwrap();
    assert!(tid.get() > ttid.get() && tid.get() % 3 == ttid.get() % 3);
    let found = embedded.transaction(tid).unwrap();
    assert_eq!((&found.metadata, found.packed), (&metadata, false));
    assert_eq!(found.oids, [oid(7), oid(3)]);
    assert_eq!(load(&embedded, 7), Some(Bytes::from("c")));
    let objects: Vec<_> = embedded.objects_of(&found).map(|found| found.unwrap().oid).collect();
    assert_eq!(objects, [oid(7), oid(3)]);
    let none = Tid::new(tid.get() - 3);
    assert_eq!(embedded.transaction(none), Err(Error::NoSuchTransaction { tid: none }));
    assert_eq!(embedded.transaction(Tid::MAX), Err(Error::NoSuchTransaction { tid: Tid::MAX }));
}

#[test]
fn iterations_are_in_order_and_bounded() {
    let embedded = new();
    let tids: Vec<_> =
        (0..2000).map(|number| commit(&embedded, &[(number, Tid::ZERO, "x")]).unwrap()).collect();
    let all = embedded.transactions(Tid::ZERO, None);
    let later = commit(&embedded, &[(5000, Tid::ZERO, "later")]).unwrap();
    assert!(all.map(|found| found.unwrap().tid).eq(tids.iter().copied()));
    let some = embedded.transactions(tids[3], Some(tids[1500]));
    assert!(some.map(|found| found.unwrap().tid).eq(tids[3..=1500].iter().copied()));
    let oids = embedded.oids(oid(700), Some(tids[1999]));
    assert!(oids.map(Result::unwrap).eq((700..2000).map(oid)));
    let log = |before, first, last| {
        let log = embedded.undo_log_before(before, first, last).unwrap();
        log.into_iter().map(|found| found.tid).collect::<Vec<_>>()
    };
    assert_eq!(log(None, 0, 2), [later, tids[1999]]);
    assert_eq!(log(Some(tids[1000]), 300, 302), [tids[699], tids[698]]);
    assert_eq!(log(Some(tids[0]), 0, 10), []);
    assert_eq!(log(Some(Tid::ZERO), 0, 10), []);
    assert_eq!(log(None, 5, 5), []);
    let newest = embedded.undo_log(0, u64::MAX).unwrap().into_iter().map(|found| found.tid);
    assert!(newest.eq(tids.iter().copied().chain([later]).rev()));
}

#[test]
fn commits_are_told_before_they_are_the_last() {
    let embedded = new();
    let notices = embedded.subscribe();
    let mut transaction = embedded.begin().unwrap();
    let ttid = Some(transaction.ttid());
    store(&mut transaction, &[(2, Tid::ZERO, "a"), (1, Tid::ZERO, "b")]).unwrap();
    let tid = transaction.commit(Metadata::default()).unwrap();
    let oids = vec![oid(2), oid(1)];
    assert_eq!(notices.try_recv(), Ok(Notice::Invalidated { tid, oids, ttid }));
    embedded.begin().unwrap().abort();
    embedded.close();
    assert!(notices.recv().is_err(), "nothing more is told");
}

#[test]
fn requests_out_of_turn_do_not_end_a_transaction() {
    let embedded = new();
    let first = commit(&embedded, &[(1, Tid::ZERO, "one")]).unwrap();
    let mut transaction = embedded.begin().unwrap();
    let ttid = transaction.ttid();
    transaction.check_current(oid(1), first).unwrap();
    let stored = store(&mut transaction, &[(1, first, "no")]);
    assert_eq!(stored, Err(Error::AlreadyChecked { oid: oid(1) }));
    store(&mut transaction, &[(2, Tid::ZERO, "two")]).unwrap();
    transaction.vote(metadata("vote")).unwrap();
    let out_of_turn = Err(Error::OutOfTurn { ttid });
    assert_eq!(store(&mut transaction, &[(2, Tid::ZERO, "no")]), out_of_turn);
    assert_eq!(transaction.check_current(oid(2), first), out_of_turn);
    assert_eq!(transaction.vote(Metadata::default()).map(drop), out_of_turn);
    assert_eq!(transaction.undo(first).map(drop), out_of_turn);
    let tid = transaction.finish().unwrap();
    assert_eq!(embedded.transaction(tid).unwrap().metadata, metadata("vote"));
    let early = embedded.begin().unwrap();
    let ttid = early.ttid();
    assert_eq!(early.finish(), Err(Error::OutOfTurn { ttid }));
    // Nothing is left of any.
    embedded.begin_at(Tid::new(tid.get() + 1000)).unwrap();
}

#[test]
fn conflicts_end_a_transaction() {
    let embedded = new();
    let first = commit(&embedded, &[(1, Tid::ZERO, "one"), (2, Tid::ZERO, "two")]).unwrap();
    let second = commit(&embedded, &[(1, first, "new")]).unwrap();
    let mut transaction = embedded.begin().unwrap();
    let ttid = transaction.ttid();
    store(&mut transaction, &[(1, first, "late"), (2, first, "lost")]).unwrap();
    let conflict = Error::Conflict { oid: oid(1), serial: first, conflict_serial: second };
    assert_eq!(transaction.vote(Metadata::default()), Err(conflict));
    assert_eq!(transaction.vote(Metadata::default()), Err(Error::NotBegun { ttid }));
    let mut transaction = embedded.begin().unwrap();
    transaction.check_current(oid(1), first).unwrap();
    let conflict = Error::ReadConflict { oid: oid(1), serial: first, conflict_serial: second };
    assert_eq!(transaction.vote(Metadata::default()), Err(conflict));
    let early = commit(&embedded, &[(1, Tid::MAX, "of the future")]);
    let (serial, conflict_serial) = (Tid::MAX, second);
    assert_eq!(early, Err(Error::Conflict { oid: oid(1), serial, conflict_serial }));
    assert_eq!(load(&embedded, 2), Some(Bytes::from("two")));
    assert!(embedded.shared.common.locks.is_empty());
}

#[test]
fn transactions_of_any_size_are_one() {
    let embedded = new();
    let long = vec![7_u8; 100_000];
    let mut transaction = embedded.begin().unwrap();
    for number in 0..100 {
        transaction.store(oid(number), Tid::ZERO, Payload::plain(long.clone())).unwrap();
    }
    // Stored again when the engine has it: this one counts.
    store(&mut transaction, &[(3, Tid::ZERO, "short")]).unwrap();
    assert!(transaction.is_appended);
    transaction.vote(Metadata::default()).unwrap();
    let first = transaction.finish().unwrap();
    assert_eq!(load(&embedded, 3), Some(Bytes::from("short")));
    assert_eq!(load(&embedded, 99), Some(Bytes::from(long.clone())));
    // What the engine has is merged, too.
    let second = commit(&embedded, &[(0, first, "other")]).unwrap();
    let mut transaction = embedded.begin().unwrap();
    transaction.set_resolver(|contention: &crate::Contention| {
        Some(Bytes::from(format!(
            "{} and {} bytes",
            contention.committed.len(),
            contention.new.len()
        )))
    });
    for number in 0..10 {
        transaction.store(oid(number), first, Payload::plain(long.clone())).unwrap();
    }
    assert_eq!(transaction.vote(Metadata::default()).unwrap(), [oid(0)]);
    assert!(transaction.finish().unwrap() > second);
    assert_eq!(load(&embedded, 0), Some(Bytes::from("5 and 100000 bytes")));
    let mut dropped = embedded.begin().unwrap();
    for number in 200..300 {
        dropped.store(oid(number), Tid::ZERO, Payload::plain(long.clone())).unwrap();
    }
    drop(dropped);
    commit(&embedded, &[(300, Tid::ZERO, "x")]).unwrap();
    assert_eq!(embedded.load(oid(250)), Err(Error::NoSuchObject { oid: oid(250) }));
    assert!(embedded.figures().unwrap().garbage_bytes > 90 * 100_000);
}

#[test]
fn a_chosen_tid_is_respected() {
    let embedded = new();
    for number in [5_u64, 6, 100] {
        let tid = Tid::new(number);
        let mut transaction = embedded.begin_at(tid).unwrap();
        assert!(matches!(embedded.begin(), Err(Error::CannotBegin { tid: None, .. })));
        store(&mut transaction, &[(number, Tid::ZERO, "x")]).unwrap();
        assert_eq!(transaction.commit(Metadata::default()), Ok(tid));
    }
    let refused = embedded.begin_at(Tid::new(100)).map(drop);
    assert!(matches!(refused, Err(Error::CannotBegin { tid: Some(_), .. })));
    let open = embedded.begin().unwrap();
    assert!(embedded.begin_at(Tid::new(101)).is_err(), "one is in progress");
    drop(open);
    let now = commit(&embedded, &[(1, Tid::ZERO, "x")]).unwrap();
    assert!(now > Tid::new(1 << 56), "of the present: {now}");
}

#[test]
fn ids_are_not_given_twice() {
    let disk = MemoryDisk::new(1);
    let embedded = open(&disk);
    let oids = embedded.new_oids(3).unwrap();
    assert_eq!(oids, [1, 2, 3].map(oid));
    let first = commit(&embedded, &[(3, Tid::ZERO, "x"), (u64::MAX, Tid::ZERO, "y")]).unwrap();
    let mut transaction = embedded.begin().unwrap();
    transaction.delete(oid(3), first).unwrap();
    let second = transaction.commit(Metadata::default()).unwrap();
    drop(embedded);
    let embedded = open(&disk);
    assert_eq!(embedded.last_tid(), second);
    assert_eq!(embedded.new_oids(1).unwrap(), [oid(4)]);
    commit(&embedded, &[(10, Tid::ZERO, "x")]).unwrap();
    assert_eq!(embedded.new_oids(1).unwrap(), [oid(11)]);
}

#[test]
fn nothing_goes_on_after_a_close() {
    let disk = MemoryDisk::new(1);
    let embedded = open(&disk);
    let first = commit(&embedded, &[(1, Tid::ZERO, "one")]).unwrap();
    let mut transaction = embedded.begin().unwrap();
    store(&mut transaction, &[(1, first, "no")]).unwrap();
    let mut voted = embedded.begin().unwrap();
    store(&mut voted, &[(2, Tid::ZERO, "no")]).unwrap();
    voted.vote(Metadata::default()).unwrap();
    let clone = embedded.clone();
    clone.close();
    embedded.close();
    assert_eq!(embedded.load(oid(1)), Err(Error::Closed));
    assert_eq!(embedded.begin().map(drop), Err(Error::Closed));
    assert_eq!(embedded.new_oids(1), Err(Error::Closed));
    assert_eq!(embedded.ask_last_tid(), Err(Error::Closed));
    assert_eq!(embedded.figures(), Err(Error::Closed));
    assert_eq!(transaction.vote(Metadata::default()), Err(Error::Closed));
    assert_eq!(voted.finish(), Err(Error::Closed));
    let mut all = embedded.transactions(Tid::ZERO, None);
    assert_eq!(all.next(), Some(Err(Error::Closed)));
    assert_eq!(all.next(), None);
    assert!(embedded.subscribe().recv().is_err(), "nothing will be told");
    assert!(disk.read_file("closed").is_some(), "it was closed in good order");
    let embedded = open(&disk);
    assert_eq!(load(&embedded, 1), Some(Bytes::from("one")));
    assert_eq!(embedded.load(oid(2)), Err(Error::NoSuchObject { oid: oid(2) }));
}
