//! What threads that share a session do.

use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::Duration;

use client::{ClientOptions, Error, Notice, Revision, Session};
use model::{Oid, Random, Tid};

use crate::scenarios::{commit_numbers, load_number, new_oid, number, say};

/// How many there are.
const THREADS: u64 = 12;
/// How often each does something.
const ROUNDS: usize = 60;
/// What is to come at once has come by then.
const LONG: Duration = Duration::from_secs(20);

/// Threads load and commit at the same time: each sees its own commits, and all see the same.
pub(crate) fn threads(session: &Session, _: &ClientOptions) {
    let oids = session.new_oids(8).unwrap();
    let first: Vec<_> = oids.iter().map(|oid| (*oid, Tid::ZERO, 0)).collect();
    commit_numbers(session, &first, "first");
    let notices = session.subscribe();
    let added: u64 = thread::scope(|scope| {
        let adding: Vec<_> = (0..THREADS)
            .map(|seed| {
                let (session, oids) = (session.clone(), &oids);
                scope.spawn(move || add_some(&session, oids, Random::from_seed(seed)))
            })
            .collect();
        adding.into_iter().map(|thread| thread.join().expect("it does not panic")).sum()
    });
    let sum: u64 = oids.iter().map(|oid| load_number(session, *oid).0).sum();
    assert_eq!(sum, added, "each commit counts once");
    let mut told = 0;
    while told < added {
        match notices.recv_timeout(LONG) {
            Ok(Notice::Invalidated { .. }) => told += 1,
            Ok(_) => {}
            Err(error) => panic!("{told} of {added} commits were told: {error}"),
        }
    }
}

/// Returns how many commits succeeded.
fn add_some(session: &Session, oids: &[Oid], mut random: Random) -> u64 {
    let mut added = 0;
    for _ in 0..ROUNDS {
        let oid = oids[random.index(oids.len())];
        let (value, serial) = load_number(session, oid);
        if random.below(4) > 0 {
            continue;
        }
        let mut transaction = session.begin().expect("it begins");
        let stored = transaction.store(oid, serial, number(value + 1));
        match stored.and_then(|()| transaction.commit(say("one more"))) {
            Ok(tid) => {
                added += 1;
                let (_, newest) = load_number(session, oid);
                assert!(newest >= tid, "its own commit is seen");
            }
            Err(Error::Conflict { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    added
}

/// Who asks for nothing is told of what others commit, as soon as they do.
pub(crate) fn notices(session: &Session, options: &ClientOptions) {
    let notices = session.subscribe();
    let other = Session::open_with(options.clone()).unwrap();
    let oid = new_oid(&other);
    for round in 0..20 {
        let serial = if round == 0 { Tid::ZERO } else { other.last_tid() };
        let tid = commit_numbers(&other, &[(oid, serial, round)], "theirs");
        loop {
            match notices.recv_timeout(LONG) {
                Ok(Notice::Invalidated { tid: told, .. }) if told == tid => break,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => panic!("{tid} is not told"),
                Err(RecvTimeoutError::Disconnected) => panic!("the session ended"),
            }
        }
        // Sometimes right after a load, so that nobody is awake, and sometimes not.
        if round % 2 == 0 {
            assert_eq!(load_number(session, oid), (round, tid));
        }
    }
}

/// Whoever waits when a session is closed is told so.
pub(crate) fn closing(_: &Session, options: &ClientOptions) {
    let session = Session::open_with(options.clone()).unwrap();
    let oid = new_oid(&session);
    commit_numbers(&session, &[(oid, Tid::ZERO, 1)], "first");
    thread::scope(|scope| {
        let loading: Vec<_> = (0..THREADS)
            .map(|_| {
                let session = session.clone();
                scope.spawn(move || {
                    while session.load(oid).is_ok() {}
                    session.load_before(oid, Tid::new(1))
                })
            })
            .collect();
        session.synchronize().unwrap();
        session.close();
        for thread in loading {
            assert_eq!(thread.join().expect("it does not panic"), Err(Error::Closed));
        }
    });
    assert_eq!(session.ask_last_tid(), Err(Error::Closed));
}

/// A program that panics in the middle of a transaction ends nothing but that, and does not hang.
pub(crate) fn panics(session: &Session, options: &ClientOptions) {
    let oid = new_oid(session);
    let first = commit_numbers(session, &[(oid, Tid::ZERO, 1)], "first");
    let panicking = thread::spawn({
        let (session, last) = (session.clone(), Session::open_with(options.clone()).unwrap());
        move || {
            let _last = last;
            let mut transaction = session.begin().expect("it begins");
            transaction.store(oid, first, number(2)).expect("it is stored");
            // So that nobody has anything to do when it happens.
            thread::park_timeout(Duration::from_millis(20));
            std::panic::resume_unwind(Box::new("on purpose"));
        }
    });
    assert!(panicking.join().is_err());
    assert_eq!(load_number(session, oid), (1, first));
    commit_numbers(session, &[(oid, first, 3)], "the lock is gone");
}

/// Many loads of which nobody waits for most, while others go on.
pub(crate) fn ahead(session: &Session, _: &ClientOptions) {
    let oids = session.new_oids(3_000).unwrap();
    let numbers: Vec<_> = (0..).zip(&oids).map(|(number, oid)| (*oid, Tid::ZERO, number)).collect();
    let tid = commit_numbers(session, &numbers, "many");
    let other = new_oid(session);
    commit_numbers(session, &[(other, Tid::ZERO, 7)], "another");
    session.prefetch(&oids, Revision::Newest);
    assert_eq!(load_number(session, other).0, 7);
    let wanted = oids.iter().map(|oid| (*oid, Revision::At(tid)));
    for (object, (oid, _, value)) in session.load_many(wanted).into_iter().zip(&numbers) {
        let object = object.expect("it is there");
        assert_eq!((object.oid, object.data), (*oid, Some(number(*value))));
    }
    let missing = Oid::new(oids[0].get() + (1 << 40));
    let loaded = session.load_many([(missing, Revision::Newest), (other, Revision::Newest)]);
    assert_eq!(loaded[0], Err(Error::NoSuchObject { oid: missing }));
    assert_eq!(loaded[1].as_ref().map(|object| object.oid), Ok(other));
}
