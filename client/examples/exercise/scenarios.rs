//! What clients do, checked against what must come of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use bytes::Bytes;
use client::{
    ClientOptions, Contention, Error, Metadata, Payload, Session, Transaction,
    TransactionInformation, UndoFailure,
};
use model::{Oid, Random, Tid};

use crate::shared;

/// Something to do with a session on a cluster; further ones are opened with the options.
pub(crate) type Scenario = fn(&Session, &ClientOptions);

/// All of them, by name.
pub(crate) const ALL: &[(&str, Scenario)] = &[
    ("loads", loads),
    ("conflicts", conflicts),
    ("checks", checks),
    ("deletes_and_undoes", deletes_and_undoes),
    ("undo_conflicts", undo_conflicts),
    ("iteration", iteration),
    ("large_objects", large_objects),
    ("many_objects", many_objects),
    ("wanted_tids", wanted_tids),
    ("aborts", aborts),
    ("deadlocks", deadlocks),
    ("bank", bank),
    ("pack", pack),
    ("threads", shared::threads),
    ("notices", shared::notices),
    ("closing", shared::closing),
    ("panics", shared::panics),
    ("ahead", shared::ahead),
];

pub(crate) fn number(value: u64) -> Payload {
    Payload::plain(value.to_be_bytes().to_vec())
}

fn value(bytes: &Bytes) -> u64 {
    u64::from_be_bytes(bytes.as_ref().try_into().expect("8 bytes"))
}

pub(crate) fn say(text: &'static str) -> Metadata {
    Metadata { user: "exercise".into(), description: text.into(), extension: Bytes::new() }
}

pub(crate) fn load_number(session: &Session, oid: Oid) -> (u64, Tid) {
    let object = session.load(oid).expect("it is there");
    let data = object.data.expect("it has data").bytes().expect("it is whole");
    (value(&data), object.serial)
}

/// A transaction that was committed. Storages of NEO/py may not know it yet if they are asked
/// for it alone.
fn committed(session: &Session, tid: Tid) -> TransactionInformation {
    let found: Vec<_> = session.transactions(tid, Some(tid)).collect::<Result<_, _>>().unwrap();
    assert_eq!(session.transaction(tid).as_ref(), Ok(&found[0]));
    found[0].clone()
}

pub(crate) fn new_oid(session: &Session) -> Oid {
    session.new_oids(1).expect("there are more")[0]
}

pub(crate) fn commit_numbers(
    session: &Session,
    numbers: &[(Oid, Tid, u64)],
    text: &'static str,
) -> Tid {
    let mut transaction = session.begin().expect("it begins");
    for (oid, serial, number_) in numbers {
        transaction.store(*oid, *serial, number(*number_)).expect("it is stored");
    }
    transaction.commit(say(text)).expect("it is committed")
}

fn loads(session: &Session, _: &ClientOptions) {
    let oids = session.new_oids(3).unwrap();
    let (a, b, missing) = (oids[0], oids[1], oids[2]);
    let first = commit_numbers(session, &[(a, Tid::ZERO, 1), (b, Tid::ZERO, 2)], "first");
    assert_eq!(session.last_tid(), first);
    let second = commit_numbers(session, &[(a, first, 11)], "second");
    assert!(second > first);

    assert_eq!(load_number(session, a), (11, second));
    assert_eq!(load_number(session, b), (2, first));
    let object = session.load_before(a, second).unwrap();
    assert_eq!((object.serial, object.next_serial), (first, Some(second)));
    assert_eq!(session.load_at(a, first).unwrap().data, Some(number(1)));
    assert_eq!(session.load(missing), Err(Error::NoSuchObject { oid: missing }));
    assert!(matches!(session.load_before(a, first), Err(Error::NoSuchRevision { .. })));
    assert!(matches!(session.load_at(b, second), Err(Error::NoSuchRevision { .. })));

    assert_eq!(session.history(a, 10).unwrap(), [(second, 8), (first, 8)]);
    assert_eq!(session.history(a, 1).unwrap(), [(second, 8)]);
    assert_eq!(session.history(missing, 1), Err(Error::NoSuchObject { oid: missing }));
    let information = committed(session, first);
    assert_eq!(information.metadata, say("first"));
    assert_eq!(information.oids, [a, b]);
    let nothing = Tid::new(first.get() + 1);
    assert_eq!(session.transaction(nothing), Err(Error::NoSuchTransaction { tid: nothing }));
    assert!(session.ask_last_tid().unwrap() >= second);
}

fn add(contention: &Contention) -> Option<Bytes> {
    let both = value(&contention.committed) + value(&contention.new) - value(&contention.old);
    Some(Bytes::copy_from_slice(&both.to_be_bytes()))
}

fn conflicts(session: &Session, _: &ClientOptions) {
    let oid = new_oid(session);
    let first = commit_numbers(session, &[(oid, Tid::ZERO, 100)], "first");

    let mut mine = session.begin().unwrap();
    mine.set_resolver(add);
    let second = commit_numbers(session, &[(oid, first, 101)], "theirs");
    mine.store(oid, first, number(110)).unwrap();
    assert_eq!(mine.vote(say("mine")).unwrap(), [oid]);
    let third = mine.finish().unwrap();
    assert_eq!(load_number(session, oid), (111, third));

    let mut mine = session.begin().unwrap();
    mine.store(oid, first, number(0)).unwrap();
    let conflict = mine.vote(Metadata::default()).unwrap_err();
    assert_eq!(conflict, Error::Conflict { oid, serial: first, conflict_serial: third });
    drop(mine);
    // Nothing stays locked.
    let fourth = commit_numbers(session, &[(oid, third, 5)], "after");
    assert_eq!(load_number(session, oid), (5, fourth));
    assert_eq!(session.load_at(oid, second).unwrap().data, Some(number(101)));
}

fn checks(session: &Session, _: &ClientOptions) {
    let oids = session.new_oids(2).unwrap();
    let (read, written) = (oids[0], oids[1]);
    let first = commit_numbers(session, &[(read, Tid::ZERO, 1), (written, Tid::ZERO, 1)], "");
    let mut transaction = session.begin().unwrap();
    transaction.check_current(read, first).unwrap();
    transaction.store(written, first, number(2)).unwrap();
    let second = transaction.commit(say("checked")).unwrap();
    assert_eq!(committed(session, second).oids, [written]);
    let third = commit_numbers(session, &[(read, first, 2)], "");
    let mut transaction = session.begin().unwrap();
    transaction.check_current(read, first).unwrap();
    let conflict = transaction.vote(Metadata::default()).unwrap_err();
    let expected = Error::ReadConflict { oid: read, serial: first, conflict_serial: third };
    assert_eq!(conflict, expected);
}

fn deletes_and_undoes(session: &Session, _: &ClientOptions) {
    let oid = new_oid(session);
    let first = commit_numbers(session, &[(oid, Tid::ZERO, 1)], "create");
    let second = commit_numbers(session, &[(oid, first, 2)], "change");

    let undo = |tid| {
        let mut transaction = session.begin().unwrap();
        assert_eq!(transaction.undo(tid).unwrap(), [oid]);
        transaction.commit(say("undo")).unwrap()
    };
    let third = undo(second);
    let object = session.load(oid).unwrap();
    assert_eq!(
        (object.serial, object.data, object.data_serial),
        (third, Some(number(1)), Some(first))
    );
    // Undo the undo, then everything back to before it was created.
    let fourth = undo(third);
    assert_eq!(load_number(session, oid), (2, fourth));
    undo(fourth);
    let sixth = undo(first);
    let object = session.load(oid).unwrap();
    assert_eq!((object.serial, object.data), (sixth, None));

    let other = new_oid(session);
    let first = commit_numbers(session, &[(other, Tid::ZERO, 1)], "create");
    let mut transaction = session.begin().unwrap();
    transaction.delete(other, first).unwrap();
    let deleted = transaction.commit(say("delete")).unwrap();
    let object = session.load(other).unwrap();
    assert_eq!((object.serial, object.data), (deleted, None));
    assert_eq!(session.load_before(other, deleted).unwrap().data, Some(number(1)));
    let nothing = Tid::new(1);
    let error = session.begin().unwrap().undo(nothing).unwrap_err();
    let reason = UndoFailure::NoSuchTransaction;
    assert_eq!(error, Error::Undo { tid: nothing, oid: None, reason });
}

fn undo_conflicts(session: &Session, _: &ClientOptions) {
    let oid = new_oid(session);
    let first = commit_numbers(session, &[(oid, Tid::ZERO, 100)], "create");
    let second = commit_numbers(session, &[(oid, first, 110)], "plus ten");
    let third = commit_numbers(session, &[(oid, second, 111)], "plus one");

    let error = session.begin().unwrap().undo(second).unwrap_err();
    let reason = UndoFailure::Changed;
    assert_eq!(error, Error::Undo { tid: second, oid: Some(oid), reason });
    let mut transaction = session.begin().unwrap();
    transaction.set_resolver(|contention: &Contention| {
        let difference = value(&contention.new) as i64 - value(&contention.old) as i64;
        let both = value(&contention.committed).checked_add_signed(difference)?;
        Some(Bytes::copy_from_slice(&both.to_be_bytes()))
    });
    assert_eq!(transaction.undo(second).unwrap(), [oid]);
    // Another one, on top of what this transaction made.
    assert_eq!(transaction.undo(third).unwrap(), [oid]);
    let fourth = transaction.commit(say("undo both")).unwrap();
    assert_eq!(load_number(session, oid), (100, fourth));
}

fn iteration(session: &Session, _: &ClientOptions) {
    let oids = session.new_oids(250).unwrap();
    let mut tids = Vec::new();
    for pair in oids.chunks(2) {
        let numbers = [(pair[0], Tid::ZERO, 1), (pair[1], Tid::ZERO, 2)];
        tids.push(commit_numbers(session, &numbers, "iteration"));
    }
    let transactions: Vec<_> =
        session.transactions(tids[0], None).collect::<Result<_, _>>().unwrap();
    assert!(transactions.is_sorted_by_key(|transaction| transaction.tid));
    let found: Vec<_> = transactions.iter().map(|transaction| transaction.tid).collect();
    assert_eq!(found, tids);
    for (transaction, pair) in transactions.iter().zip(oids.chunks(2)) {
        assert_eq!(transaction.oids, pair);
        let objects: Vec<_> = session.objects_of(transaction).collect::<Result<_, _>>().unwrap();
        let data: Vec<_> = objects.into_iter().map(|object| object.data).collect();
        assert_eq!(data, [Some(number(1)), Some(number(2))]);
    }
    let within = session.transactions(tids[10], Some(tids[20]));
    assert_eq!(within.map(|found| found.unwrap().tid).collect::<Vec<_>>(), tids[10..=20]);

    let log = session.undo_log(0, 30).unwrap();
    let newest: Vec<_> = log.iter().map(|transaction| transaction.tid).collect();
    let expected: Vec<_> = tids.iter().rev().take(30).copied().collect();
    assert_eq!(newest, expected);
    assert_eq!(session.undo_log(5, 6).unwrap()[0].tid, expected[5]);

    let all: Vec<_> = session.oids(oids[0], None).collect::<Result<_, _>>().unwrap();
    assert_eq!(all, oids);
    let middle = session.oids(oids[0], Some(tids[50]));
    assert_eq!(middle.collect::<Result<Vec<_>, _>>().unwrap(), oids[..102]);
}

fn large_objects(session: &Session, _: &ClientOptions) {
    let oids = session.new_oids(4).unwrap();
    let mut random = Random::from_seed(7);
    let mut data: Vec<u8> = Vec::new();
    data.extend((0..(5 << 20) / 8).flat_map(|_| random.next_u64().to_be_bytes()));
    let data = Bytes::from(data);
    let mut transaction = session.begin().unwrap();
    transaction.store(oids[0], Tid::ZERO, Payload::plain(data.clone())).unwrap();
    transaction.store(oids[1], Tid::ZERO, Payload::compressed(vec![7; 9 << 20])).unwrap();
    transaction.store(oids[2], Tid::ZERO, Payload::plain(Bytes::new())).unwrap();
    transaction.store(oids[3], Tid::ZERO, Payload::plain(data.slice(1..))).unwrap();
    transaction.commit(say("large")).unwrap();
    let load = |oid| session.load(oid).unwrap().data.map(|data| data.bytes().unwrap());
    assert_eq!(load(oids[0]), Some(data.clone()));
    assert_eq!(load(oids[1]), Some(Bytes::from(vec![7; 9 << 20])));
    assert_eq!(load(oids[2]), Some(Bytes::new()));
    assert_eq!(load(oids[3]), Some(data.slice(1..)));
}

fn many_objects(session: &Session, _: &ClientOptions) {
    let oids = session.new_oids(20_000).unwrap();
    let mut transaction = session.begin().unwrap();
    for oid in &oids {
        transaction.store(*oid, Tid::ZERO, number(oid.get())).unwrap();
    }
    let tid = transaction.commit(say("many")).unwrap();
    assert_eq!(committed(session, tid).oids, oids);
    for oid in oids.iter().step_by(997) {
        assert_eq!(load_number(session, *oid), (oid.get(), tid));
    }
}

fn wanted_tids(session: &Session, _: &ClientOptions) {
    let oid = new_oid(session);
    let first = commit_numbers(session, &[(oid, Tid::ZERO, 1)], "");
    let wanted = Tid::new(first.get() + 1000);
    let mut transaction = session.begin_at(wanted).unwrap();
    transaction.store(oid, first, number(2)).unwrap();
    assert_eq!(transaction.commit(say("wanted")), Ok(wanted));
    assert_eq!(load_number(session, oid), (2, wanted));
    assert!(matches!(session.begin_at(wanted), Err(Error::Peer { .. })));
}

fn aborts(session: &Session, options: &ClientOptions) {
    let oid = new_oid(session);
    let first = commit_numbers(session, &[(oid, Tid::ZERO, 1)], "");
    let mut transaction = session.begin().unwrap();
    transaction.store(oid, first, number(2)).unwrap();
    transaction.vote(Metadata::default()).unwrap();
    transaction.abort();
    // The death of a client ends its transactions, voted or not.
    let other = Session::open_with(options.clone()).unwrap();
    let mut lost: Transaction = other.begin().unwrap();
    lost.store(oid, first, number(3)).unwrap();
    other.close();
    assert_eq!(lost.vote(Metadata::default()), Err(Error::Closed));
    let second = commit_numbers(session, &[(oid, first, 4)], "");
    assert_eq!(load_number(session, oid), (4, second));
    let mut empty = session.begin().unwrap();
    empty.vote(say("empty")).unwrap();
    let tid = empty.finish().unwrap();
    assert_eq!(committed(session, tid).oids, []);
}

/// Sessions of several threads that all add to the same objects, in any order.
fn deadlocks(session: &Session, options: &ClientOptions) {
    const THREADS: u64 = 6;
    const ROUNDS: u64 = 15;
    let oids = session.new_oids(8).unwrap();
    let zeros: Vec<_> = oids.iter().map(|oid| (*oid, Tid::ZERO, 0)).collect();
    commit_numbers(session, &zeros, "zeros");
    let added = AtomicU64::new(0);
    thread::scope(|scope| {
        for seed in 0..THREADS {
            let (oids, added) = (&oids, &added);
            scope.spawn(move || {
                let session = Session::open_with(options.clone()).unwrap();
                let mut random = Random::from_seed(seed);
                for _ in 0..ROUNDS {
                    let mut order = oids.clone();
                    random.shuffle(&mut order);
                    order.truncate(5);
                    let mut transaction = session.begin().unwrap();
                    transaction.set_resolver(add);
                    for oid in &order {
                        let (value, serial) = load_number(&session, *oid);
                        transaction.store(*oid, serial, number(value + 1)).unwrap();
                    }
                    transaction.commit(say("add")).unwrap();
                    added.fetch_add(5, Ordering::Relaxed);
                }
            });
        }
    });
    session.synchronize().unwrap();
    let total: u64 = oids.iter().map(|oid| load_number(session, *oid).0).sum();
    assert_eq!(total, added.load(Ordering::Relaxed));
}

/// Money is moved between accounts without resolving conflicts: none is made or lost, at any time.
fn bank(session: &Session, options: &ClientOptions) {
    const ACCOUNTS: usize = 10;
    const THREADS: u64 = 4;
    const MOVES: usize = 25;
    let oids = session.new_oids(u32::try_from(ACCOUNTS).unwrap()).unwrap();
    let accounts: Vec<_> = oids.iter().map(|oid| (*oid, Tid::ZERO, 1000)).collect();
    let opened = commit_numbers(session, &accounts, "accounts");
    thread::scope(|scope| {
        for seed in 0..THREADS {
            let oids = &oids;
            scope.spawn(move || {
                let session = Session::open_with(options.clone()).unwrap();
                let mut random = Random::from_seed(100 + seed);
                let mut moved = 0;
                while moved < MOVES {
                    match move_money(&session, oids, &mut random) {
                        Ok(()) => moved += 1,
                        Err(Error::Conflict { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
    });
    session.synchronize().unwrap();
    let mut count = 0;
    for transaction in session.transactions(opened, None) {
        let before = Tid::new(transaction.unwrap().tid.get() + 1);
        let balance = |oid: &Oid| {
            let object = session.load_before(*oid, before).unwrap();
            value(&object.data.unwrap().bytes().unwrap())
        };
        assert_eq!(oids.iter().map(balance).sum::<u64>(), 10_000, "at {before}");
        count += 1;
    }
    assert_eq!(count, THREADS * MOVES as u64 + 1);
}

fn move_money(session: &Session, oids: &[Oid], random: &mut Random) -> Result<(), Error> {
    let source = random.index(oids.len());
    let target = (source + 1 + random.index(oids.len() - 1)) % oids.len();
    // Both as of one moment.
    let before = Tid::new(session.last_tid().get() + 1);
    let load = |oid| {
        let object = session.load_before(oid, before)?;
        let data = object.data.expect("accounts stay").bytes()?;
        Ok::<_, Error>((value(&data), object.serial))
    };
    let (source_balance, source_serial) = load(oids[source])?;
    let (target_balance, target_serial) = load(oids[target])?;
    let amount = random.below(source_balance.min(100) + 1);
    let mut transaction = session.begin()?;
    transaction.store(oids[source], source_serial, number(source_balance - amount))?;
    transaction.store(oids[target], target_serial, number(target_balance + amount))?;
    transaction.commit(say("move"))?;
    Ok(())
}

fn pack(session: &Session, _: &ClientOptions) {
    let oid = new_oid(session);
    let first = commit_numbers(session, &[(oid, Tid::ZERO, 1)], "");
    let second = commit_numbers(session, &[(oid, first, 2)], "");
    let id = session.pack(second, None).unwrap();
    session.wait_for_pack(id).unwrap();
    assert_eq!(load_number(session, oid), (2, second));
    let orders = session.pack_orders(id).unwrap();
    assert!(orders.iter().all(|order| order.id >= id));
    assert!(matches!(session.pack(Tid::MAX, None), Err(Error::Peer { .. })));
}
