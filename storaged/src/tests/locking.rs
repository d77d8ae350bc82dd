//! Write locks between transactions: waiting, deadlocks, locks taken again.

use net::{ErrorCode, Message};

use super::world::{PeerId, World, load, oid, store, stored, tid, ttid, vote};

fn deadlock(number: u64, of: u64) -> Message {
    Message::NotifyDeadlock { ttid: ttid(number), oid: oid(of) }
}

fn relock(number: u64, of: u64) -> Message {
    Message::AskRelockObject { ttid: ttid(number), oid: oid(of) }
}

fn abort(number: u64) -> Message {
    Message::AbortTransaction { ttid: ttid(number), nids: Vec::new() }
}

fn put(number: u64, of: u64, serial: u64) -> Message {
    store(ttid(number), oid(of), tid(serial), &format!("{of} of {number}"))
}

/// A storage, and two clients.
fn two() -> (World, PeerId, PeerId) {
    let mut world = World::operating();
    let (first, second) = (world.client(), world.client());
    world.commit(first, 100, 1, 0);
    world.said(first);
    (world, first, second)
}

#[test]
fn r9_the_younger_waits_for_the_older() {
    let (mut world, first, second) = two();
    assert_eq!(world.ask(first, &put(200, 1, 104)), stored(None));
    let waiting = world.post(second, &put(300, 1, 104));
    assert_eq!(world.answer(second, waiting), None);
    world.ask(first, &vote(ttid(200), &[oid(1)]));
    world.lock_one(200, 204);
    assert_eq!(world.answer(second, waiting), None);
    world.unlock_one(200);
    assert_eq!(world.answer(second, waiting), Some(stored(Some(204))));
    assert_eq!(world.ask(second, &put(300, 1, 204)), stored(None));
    assert!(world.said(first).is_empty() && world.said(second).is_empty(), "no deadlock");
}

#[test]
fn r9_the_younger_is_asked_to_relock_for_the_older() {
    let (mut world, first, second) = two();
    assert_eq!(world.ask(second, &put(300, 1, 104)), stored(None));
    let older = world.post(first, &put(200, 1, 104));
    assert_eq!(world.answer(first, older), None);
    assert_eq!(world.said(second), [deadlock(300, 1)]);
    // Once is enough.
    let oldest = world.post(first, &put(150, 1, 104));
    assert_eq!(world.said(second), []);
    let relocked = world.post(second, &relock(300, 1));
    assert_eq!(world.answer(second, relocked), None);
    assert_eq!(world.answer(first, oldest), Some(stored(None)), "the oldest goes first");
    assert_eq!(world.answer(first, older), None);
    world.notify(first, &abort(150));
    assert_eq!(world.answer(first, older), Some(stored(None)));
    world.notify(first, &abort(200));
    let answer = Message::AnswerRelockObject { conflict: None };
    assert_eq!(world.answer(second, relocked), Some(answer));
    world.ask(second, &vote(ttid(300), &[oid(1)]));
    world.lock_one(300, 304);
    world.unlock_one(300);
    assert_eq!(world.newest(first, 1), Some((304, "1 of 300".into())));
}

#[test]
fn a_relock_in_vain_gives_the_data_back() {
    let (mut world, first, second) = two();
    assert_eq!(world.ask(second, &put(300, 1, 104)), stored(None));
    assert_eq!(world.ask(second, &put(300, 2, 0)), stored(None));
    let older = world.post(first, &put(200, 1, 104));
    let relocked = world.post(second, &relock(300, 1));
    assert_eq!(world.answer(first, older), Some(stored(None)));
    world.ask(first, &vote(ttid(200), &[oid(1)]));
    world.lock_one(200, 204);
    world.unlock_one(200);
    let answer = world.answer(second, relocked);
    let Some(Message::AnswerRelockObject { conflict: Some(conflict) }) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!((conflict.serial, conflict.conflict_serial), (tid(104), tid(204)));
    let data = conflict.data.expect("the data comes back");
    assert_eq!(data.data.bytes, "1 of 300".as_bytes());
    assert_eq!(data.checksum, net::Checksum::of(&data.data.bytes));
    // Resolved and stored again, everything is committed.
    assert_eq!(world.ask(second, &put(300, 1, 204)), stored(None));
    world.ask(second, &vote(ttid(300), &[oid(1), oid(2)]));
    world.lock_one(300, 304);
    world.unlock_one(300);
    assert_eq!(world.newest(first, 1), Some((304, "1 of 300".into())));
    assert_eq!(world.newest(first, 2), Some((304, "2 of 300".into())));
}

#[test]
fn what_was_given_back_is_not_committed() {
    let (mut world, first, second) = two();
    assert_eq!(world.ask(second, &put(300, 1, 104)), stored(None));
    let older = world.post(first, &put(200, 1, 104));
    let relocked = world.post(second, &relock(300, 1));
    assert_eq!(world.answer(first, older), Some(stored(None)));
    world.ask(first, &vote(ttid(200), &[oid(1)]));
    world.lock_one(200, 204);
    world.unlock_one(200);
    assert!(world.answer(second, relocked).is_some());
    world.ask(second, &vote(ttid(300), &[]));
    world.lock_one(300, 304);
    world.unlock_one(300);
    assert_eq!(world.newest(first, 1), Some((204, "1 of 200".into())));
    let mut world = World::reopen(world.close());
    world.begin();
    let client = world.client();
    assert_eq!(world.newest(client, 1), Some((204, "1 of 200".into())));
}

#[test]
fn a_relocked_check_gives_no_data_back() {
    let (mut world, first, second) = two();
    let check = Message::AskCheckCurrentSerial { ttid: ttid(300), oid: oid(1), serial: tid(104) };
    let checked = Message::AnswerCheckCurrentSerial { conflict: None };
    assert_eq!(world.ask(second, &check), checked);
    let older = world.post(first, &put(200, 1, 104));
    assert_eq!(world.said(second), [deadlock(300, 1)]);
    let relocked = world.post(second, &relock(300, 1));
    assert_eq!(world.answer(first, older), Some(stored(None)));
    world.ask(first, &vote(ttid(200), &[oid(1)]));
    world.lock_one(200, 204);
    world.unlock_one(200);
    let answer = world.answer(second, relocked);
    let Some(Message::AnswerRelockObject { conflict: Some(conflict) }) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!((conflict.conflict_serial, conflict.data), (tid(204), None));
}

#[test]
fn r9_a_voted_transaction_is_left_alone() {
    let (mut world, first, second) = two();
    assert_eq!(world.ask(second, &put(300, 1, 104)), stored(None));
    world.ask(second, &vote(ttid(300), &[oid(1)]));
    let older = world.post(first, &put(200, 1, 104));
    assert_eq!(world.said(second), []);
    world.lock_one(300, 304);
    world.unlock_one(300);
    assert_eq!(world.answer(first, older), Some(stored(Some(304))));
}

#[test]
fn a_deadlock_of_two_is_broken() {
    let (mut world, first, second) = two();
    world.commit(first, 150, 2, 0);
    assert_eq!(world.ask(first, &put(200, 1, 104)), stored(None));
    assert_eq!(world.ask(second, &put(300, 2, 154)), stored(None));
    let older = world.post(first, &put(200, 2, 154));
    let younger = world.post(second, &put(300, 1, 104));
    assert_eq!(world.said(second), [deadlock(300, 2)]);
    let relocked = world.post(second, &relock(300, 2));
    assert_eq!(world.answer(first, older), Some(stored(None)));
    world.ask(first, &vote(ttid(200), &[oid(1), oid(2)]));
    world.lock_one(200, 204);
    world.unlock_one(200);
    assert_eq!(world.answer(second, younger), Some(stored(Some(204))));
    let answer = world.answer(second, relocked);
    assert!(matches!(answer, Some(Message::AnswerRelockObject { conflict: Some(_) })));
}

#[test]
fn a_store_of_a_transaction_may_follow_its_own() {
    let (mut world, first, second) = two();
    assert_eq!(world.ask(first, &put(200, 1, 104)), stored(None));
    let younger = world.post(second, &put(300, 1, 104));
    // A resolved conflict is stored again, while an earlier store may still wait elsewhere.
    let again = store(ttid(200), oid(1), tid(104), "again");
    assert_eq!(world.ask(first, &again), stored(None));
    let waiting = world.post(second, &store(ttid(300), oid(1), tid(204), "resolved"));
    world.ask(first, &vote(ttid(200), &[oid(1)]));
    world.lock_one(200, 204);
    world.unlock_one(200);
    assert_eq!(world.answer(second, younger), Some(stored(Some(204))));
    assert_eq!(world.answer(second, waiting), Some(stored(None)));
    world.ask(second, &vote(ttid(300), &[oid(1)]));
    world.lock_one(300, 304);
    world.unlock_one(300);
    assert_eq!(world.newest(first, 1), Some((304, "resolved".into())));
    let at = Message::AskObject { oid: oid(1), at: Some(tid(204)), before: None };
    let Message::AnswerObject { data, .. } = world.ask(first, &at) else { panic!() };
    assert_eq!(data.bytes, "again");
}

#[test]
fn r10_an_abort_frees_locks_and_ends_what_waits() {
    let (mut world, first, second) = two();
    assert_eq!(world.ask(first, &put(200, 1, 104)), stored(None));
    let mine = world.post(second, &put(300, 1, 104));
    let other = world.post(second, &put(400, 1, 104));
    world.notify(second, &abort(300));
    assert_eq!(world.answer(second, mine), Some(stored(Some(0))), "the transaction is aborted");
    world.notify(first, &abort(200));
    assert_eq!(world.answer(second, other), Some(stored(None)));
}

#[test]
fn nobody_aborts_or_relocks_for_others() {
    let (mut world, first, second) = two();
    assert_eq!(world.ask(first, &put(200, 1, 104)), stored(None));
    world.notify(second, &abort(200));
    let waiting = world.post(second, &put(300, 1, 104));
    assert_eq!(world.answer(second, waiting), None);
    assert_eq!(world.refused(second, &relock(200, 1)), ErrorCode::ProtocolError);
    assert!(world.is_open(first) && !world.is_open(second));
    world.ask(first, &vote(ttid(200), &[oid(1)]));
}

#[test]
fn a_store_behind_a_relock_does_not_overtake_it_nor_lose_its_data() {
    let (mut world, first, second) = two();
    assert_eq!(world.ask(second, &put(300, 1, 104)), stored(None));
    let older = world.post(first, &put(200, 1, 104));
    let relocked = world.post(second, &relock(300, 1));
    assert_eq!(world.answer(first, older), Some(stored(None)));
    world.ask(first, &vote(ttid(200), &[oid(1)]));
    world.lock_one(200, 204);
    // Another replica was faster: the client has resolved the conflict already.
    let resolved = world.post(second, &store(ttid(300), oid(1), tid(204), "resolved"));
    assert_eq!(world.answer(second, resolved), None);
    world.unlock_one(200);
    assert!(world.answered(second).ends_with(&[relocked, resolved]));
    let answer = world.answer(second, relocked);
    let Some(Message::AnswerRelockObject { conflict: Some(conflict) }) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(conflict.data.expect("the data comes back").data.bytes, "1 of 300".as_bytes());
    assert_eq!(world.answer(second, resolved), Some(stored(None)));
    world.ask(second, &vote(ttid(300), &[oid(1)]));
    world.lock_one(300, 304);
    world.unlock_one(300);
    assert_eq!(world.newest(first, 1), Some((304, "resolved".into())));
}

#[test]
fn deferred_requests_end_with_their_transaction_and_have_a_limit() {
    let (mut world, first, second) = two();
    assert_eq!(world.ask(first, &put(200, 1, 104)), stored(None));
    let tokens: Vec<_> = (0..17).map(|_| world.post(second, &put(300, 1, 104))).collect();
    world.notify(second, &abort(300));
    for token in tokens {
        assert_eq!(world.answer(second, token), Some(stored(Some(0))));
    }
    let tokens: Vec<_> = (0..18).map(|_| world.post(second, &put(400, 1, 104))).collect();
    let last = world.answer(second, tokens[17]);
    assert!(matches!(last, Some(Message::Error { code: ErrorCode::ProtocolError, .. })));
    assert!(!world.is_open(second) && world.is_open(first));
}

#[test]
fn r9_the_locks_of_a_large_transaction_are_given_back_in_slices() {
    let (mut world, first, second) = two();
    let oids: Vec<_> = (1..=2000).map(oid).collect();
    for of in &oids {
        let serial = if of.get() == 1 { 104 } else { 0 };
        assert_eq!(world.ask(first, &put(200, of.get(), serial)), stored(None));
    }
    let older = world.post(second, &put(150, 2000, 0));
    assert_eq!(world.said(first), [deadlock(200, 2000)]);
    world.ask(first, &vote(ttid(200), &oids));
    world.lock_one(200, 204);
    let waiting = [1, 2000].map(|of| world.post(second, &load(oid(of))));
    world.tell_only(&Message::NotifyUnlockInformation { ttid: ttid(200) });
    // Others have their turn.
    world.settle_until(World::is_releasing);
    world.settle();
    assert!(!world.is_releasing());
    assert_eq!(world.answer(second, older), Some(stored(Some(204))));
    for token in waiting {
        let Some(Message::AnswerObject { serial, .. }) = world.answer(second, token) else {
            panic!()
        };
        assert_eq!(serial, tid(204));
    }
    // R10: nothing is left, also of one that is aborted.
    for of in &oids {
        assert_eq!(world.ask(second, &put(300, of.get(), 204)), stored(None));
    }
    world.notify(second, &abort(300));
    for of in &oids {
        assert_eq!(world.ask(first, &put(400, of.get(), 204)), stored(None));
    }
    assert_eq!(world.refused(second, &put(300, 1, 204)), ErrorCode::ProtocolError);
}

#[test]
fn r9_a_vote_with_a_long_list_of_oids_lets_others_go_first() {
    let (mut world, first, second) = two();
    let oids: Vec<_> = (1..=400_000).map(oid).collect();
    for tid_of in [200, 300] {
        assert_eq!(world.ask(first, &put(tid_of, 5, 0)), stored(None));
        let voting = world.post_only(first, &vote(ttid(tid_of), &oids));
        let loading = world.post_only(second, &load(oid(1)));
        world.settle_until(|world| world.answered(second).contains(&loading));
        assert!(!world.answered(first).contains(&voting), "the load goes first");
        if tid_of == 200 {
            // Aborted before it is voted: nobody wants an answer.
            world.notify(first, &abort(200));
            world.settle();
            assert!(!world.answered(first).contains(&voting));
            continue;
        }
        world.settle();
        assert_eq!(world.answer(first, voting), Some(Message::AnswerStoreTransaction {}));
        world.lock_one(300, 304);
        world.unlock_one(300);
    }
    let information = Message::AskTransactionInformation { tid: tid(304) };
    let Message::AnswerTransactionInformation { oids: found, .. } = world.ask(second, &information)
    else {
        panic!()
    };
    assert_eq!(found, oids.into());
}

#[test]
fn r7_a_vote_that_was_aborted_is_not_taken_for_the_next_one() {
    let (mut world, first, second) = two();
    let many: Vec<_> = (1..=400_000).map(oid).collect();
    let again = [
        put(200, 5, 0),
        vote(ttid(200), &many),
        abort(200),
        put(200, 6, 0),
        vote(ttid(200), &[oid(6)]),
    ];
    let tokens = world.post_all(first, &again);
    assert_eq!(world.answer(first, tokens[1]), None, "nobody wants it");
    assert_eq!(world.answer(first, tokens[4]), Some(Message::AnswerStoreTransaction {}));
    world.lock_one(200, 204);
    world.unlock_one(200);
    let information = Message::AskTransactionInformation { tid: tid(204) };
    let Message::AnswerTransactionInformation { oids, .. } = world.ask(second, &information) else {
        panic!()
    };
    assert_eq!(oids, [oid(6)].into());
    assert_eq!(world.newest(second, 5), None);
}
