//! Commits in which storages and the network do their worst.

use model::CellState::{OutOfDate, UpToDate};
use model::{NodeState, PartitionId, Tid, Ttid};
use net::{Checksum, Data, ErrorCode, Message};

use super::world::{MASTER, World, oid, payload, storage, tid};
use crate::{Answer, Completion, Error, Payload, Request, Token};

const LOCKLESS: Message = Message::AnswerStoreObject { conflict: Some(Tid::ZERO) };

/// Answers the request to finish.
fn finish(world: &mut World, ttid: Ttid, token: Token, number: u64) -> Message {
    let answer = Message::AnswerTransactionFinished { ttid, tid: tid(number) };
    let asked = world.reply(MASTER, "AskFinishTransaction", answer);
    let Completion::Invalidated { ttid: whose, .. } = world.completion() else {
        panic!("the commit is told")
    };
    assert_eq!(whose, Some(ttid));
    world.assert_done(token, Ok(Answer::Finished(tid(number))));
    asked
}

#[test]
fn a_commit_stores_on_all_cells_votes_and_finishes() {
    // Object 4 and the transaction's metadata are in partition 0, object 5 in partition 1.
    let mut world = World::readable(&[&[1, 2], &[2, 3]]);
    let ttid = world.begin(1002);
    world.store(ttid, oid(4), tid(7), "four");
    world.accepted(Request::Check { ttid, oid: oid(5), serial: tid(8) });
    world.accepted(Request::Store { ttid, oid: oid(6), serial: tid(9), data: None });
    let data = payload("four").data;
    let stored = Message::AskStoreObject {
        oid: oid(4),
        serial: tid(7),
        compression: 0,
        checksum: data.checksum(),
        data,
        data_serial: None,
        ttid,
    };
    for number in [1, 2] {
        let answer = Message::AnswerStoreObject { conflict: None };
        assert_eq!(world.reply(number, "AskStoreObject", answer), stored);
    }
    world.reply_ok(&[2, 3], "AskCheckCurrentSerial");
    let token = world.vote(ttid);
    let answer = Message::AnswerStoreObject { conflict: None };
    let deleted = Message::AskStoreObject {
        oid: oid(6),
        serial: tid(9),
        compression: 0,
        checksum: Checksum::ZERO,
        data: Data::default(),
        data_serial: None,
        ttid,
    };
    assert_eq!(world.reply(1, "AskStoreObject", answer.clone()), deleted);
    world.assert_idle(1);
    world.reply(2, "AskStoreObject", answer);
    let asked = world.reply(1, "AskStoreTransaction", Message::AnswerStoreTransaction {});
    let Message::AskStoreTransaction { oids, pack: None, .. } = asked else { panic!("{asked:?}") };
    assert_eq!(oids, [oid(4), oid(6)].into());
    world.reply_ok(&[2], "AskStoreTransaction");
    world.assert_nothing();
    world.reply_ok(&[3], "AskVoteTransaction");
    world.assert_done(token, Ok(Answer::Voted(vec![])));
    let token = world.submit(Request::Finish { ttid });
    let expected = Message::AskFinishTransaction {
        ttid,
        oids: vec![oid(4), oid(6)].into(),
        deleted: vec![PartitionId::new(0)],
        checked: vec![PartitionId::new(1)],
        pack: None,
    };
    assert_eq!(finish(&mut world, ttid, token, 1004), expected);
    assert_eq!(world.client.last_tid(), Some(tid(1004)));
    for number in 1..4 {
        world.assert_idle(number);
    }
}

#[test]
fn r04_an_object_is_locked_on_some_storage_before_the_vote_succeeds() {
    let rows: [(u32, _); 2] = [(1, UpToDate), (2, OutOfDate)];
    let mut world = World::new(&[&rows]);
    let ttid = world.begin(1002);
    world.store(ttid, oid(4), tid(7), "four");
    world.reply(2, "AskStoreObject", LOCKLESS);
    // The only one that would have had the lock is lost.
    world.cut(1, false);
    let token = world.vote(ttid);
    world.reply_ok(&[2], "AskStoreTransaction");
    world.assert_done(token, Err(Error::NotLocked { oid: oid(4) }));
    world.take(2, "AbortTransaction");
    world.take(MASTER, "AbortTransaction");

    // The same, when it is lost with the lock.
    let mut world = World::new(&[&rows]);
    let ttid = world.begin(1002);
    world.store(ttid, oid(4), tid(7), "four");
    world.reply(2, "AskStoreObject", LOCKLESS);
    world.reply_ok(&[1], "AskStoreObject");
    world.cut(1, false);
    let token = world.vote(ttid);
    world.reply_ok(&[2], "AskStoreTransaction");
    world.assert_done(token, Err(Error::NotLocked { oid: oid(4) }));
}

#[test]
fn r04_one_lock_is_enough() {
    let mut world = World::new(&[&[(1, UpToDate), (2, OutOfDate)]]);
    let ttid = world.begin(1002);
    world.store(ttid, oid(4), tid(7), "four");
    world.reply(2, "AskStoreObject", LOCKLESS);
    world.reply_ok(&[1], "AskStoreObject");
    let token = world.vote(ttid);
    world.reply_ok(&[1, 2], "AskStoreTransaction");
    world.assert_done(token, Ok(Answer::Voted(vec![])));
}

#[test]
fn r05_failed_storages_are_put_before_the_master() {
    for is_allowed in [true, false] {
        let mut world = World::readable(&[&[1, 2]]);
        let ttid = world.begin(1002);
        world.store(ttid, oid(4), tid(7), "four");
        world.reply_ok(&[1], "AskStoreObject");
        world.cut(2, true);
        let token = world.vote(ttid);
        world.reply_ok(&[1], "AskStoreTransaction");
        world.assert_nothing();
        let code = if is_allowed { ErrorCode::Ack } else { ErrorCode::IncompleteTransaction };
        let failed = world.reply(MASTER, "FailedVote", Message::error(code, ""));
        assert_eq!(failed, Message::FailedVote { ttid, nids: vec![storage(2)] });
        if is_allowed {
            world.assert_done(token, Ok(Answer::Voted(vec![])));
            let token = world.submit(Request::Finish { ttid });
            finish(&mut world, ttid, token, 1004);
        } else {
            world.assert_done(token, Err(Error::Incomplete { ttid }));
            world.take(1, "AbortTransaction");
            world.take(MASTER, "AbortTransaction");
        }
    }
}

#[test]
fn r05_a_storage_that_refuses_to_store_or_vote_has_failed() {
    let mut world = World::readable(&[&[1, 2]]);
    let ttid = world.begin(1002);
    world.store(ttid, oid(4), tid(7), "four");
    world.refuse(1, "AskStoreObject", ErrorCode::Denied);
    world.reply_ok(&[2], "AskStoreObject");
    let token = world.vote(ttid);
    world.assert_idle(1);
    world.refuse(2, "AskStoreTransaction", ErrorCode::Denied);
    let Completion::Done { token: done, result: Err(Error::NoStorage { reason, .. }) } =
        world.completion()
    else {
        panic!("no storage is left")
    };
    assert_eq!(done, token);
    assert_eq!(reason, "S2: Denied: refused");
}

#[test]
fn r05_a_storage_that_the_master_lost_is_not_put_before_it() {
    let mut world = World::readable(&[&[1, 2]]);
    let ttid = world.begin(1002);
    world.store(ttid, oid(4), tid(7), "four");
    world.reply_ok(&[1], "AskStoreObject");
    world.tell_state(2, NodeState::Down);
    let token = world.vote(ttid);
    world.reply_ok(&[1], "AskStoreTransaction");
    world.assert_done(token, Ok(Answer::Voted(vec![])));
}

#[test]
fn r06_a_storage_that_only_checked_votes() {
    let mut world = World::readable(&[&[1], &[2]]);
    let ttid = world.begin(1002);
    world.accepted(Request::Check { ttid, oid: oid(5), serial: tid(8) });
    world.reply_ok(&[2], "AskCheckCurrentSerial");
    world.vote(ttid);
    world.reply_ok(&[1], "AskStoreTransaction");
    world.assert_nothing();
    world.reply_ok(&[2], "AskVoteTransaction");
}

#[test]
fn r07_a_storage_that_was_lost_takes_no_part_any_more() {
    let mut world = World::readable(&[&[1, 2]]);
    let ttid = world.begin(1002);
    world.store(ttid, oid(4), tid(7), "four");
    world.reply_ok(&[1, 2], "AskStoreObject");
    world.cut(2, true);
    // Reads may connect to it again, the transaction does not.
    world.advance(std::time::Duration::from_secs(10));
    for _ in 0..20 {
        let oid = oid(4);
        world.submit(Request::Load { oid, revision: crate::Revision::Newest });
    }
    assert!(world.is_connected(2) && world.asked(2) > 0);
    while world.asked(2) > 0 {
        world.take(2, "AskObject");
    }
    while world.asked(1) > 0 {
        world.take(1, "AskObject");
    }
    world.store(ttid, oid(6), tid(7), "six");
    world.reply_ok(&[1], "AskStoreObject");
    world.vote(ttid);
    world.reply_ok(&[1], "AskStoreTransaction");
    world.assert_idle(2);
    let failed = world.take(MASTER, "FailedVote").message;
    assert_eq!(failed, Message::FailedVote { ttid, nids: vec![storage(2)] });
}

#[test]
fn a_storage_that_voted_may_be_lost() {
    let mut world = World::readable(&[&[1, 2]]);
    let ttid = world.begin(1002);
    world.store(ttid, oid(4), tid(7), "four");
    world.reply_ok(&[1, 2], "AskStoreObject");
    let token = world.vote(ttid);
    world.reply_ok(&[2], "AskStoreTransaction");
    world.cut(2, false);
    world.reply_ok(&[1], "AskStoreTransaction");
    world.assert_done(token, Ok(Answer::Voted(vec![])));
}

#[test]
fn a_storage_lost_while_it_votes_has_failed() {
    let mut world = World::readable(&[&[1, 2]]);
    let ttid = world.begin(1002);
    world.store(ttid, oid(4), tid(7), "four");
    world.reply_ok(&[1, 2], "AskStoreObject");
    world.vote(ttid);
    world.reply_ok(&[1], "AskStoreTransaction");
    world.cut(2, false);
    let failed = world.take(MASTER, "FailedVote").message;
    assert_eq!(failed, Message::FailedVote { ttid, nids: vec![storage(2)] });
}

#[test]
fn without_any_storage_a_store_fails() {
    let mut world = World::readable(&[&[1]]);
    let ttid = world.begin(1002);
    world.store(ttid, oid(4), tid(7), "four");
    world.cut(1, false);
    let token = world.vote(ttid);
    let Completion::Done { result: Err(Error::NoStorage { reason, .. }), .. } = world.completion()
    else {
        panic!("{token:?} goes on")
    };
    assert_eq!(reason, "S1: cut");
}

#[test]
fn stores_are_accepted_as_fast_as_they_are_answered() {
    let mut world = World::unconnected(|options| options.transaction_bytes_max = 10_000);
    world.join(&[&[(1, UpToDate)]], tid(1000));
    world.completion();
    let ttid = world.begin(1002);
    let data = Some(Payload::plain(vec![0; 4000]));
    let store =
        |number| Request::Store { ttid, oid: oid(number), serial: Tid::ZERO, data: data.clone() };
    world.accepted(store(1));
    world.accepted(store(2));
    let third = world.submit(store(3));
    world.assert_nothing();
    // It is sent all the same: only the next has to wait.
    assert_eq!(world.asked(1), 3);
    world.reply_ok(&[1], "AskStoreObject");
    world.assert_done(third, Ok(Answer::Accepted));
}

#[test]
fn a_transaction_of_100_000_objects_is_one_commit() {
    const COUNT: u64 = 100_000;
    let mut world = World::readable(&[&[1, 2]]);
    let ttid = world.begin(1002);
    for number in 0..COUNT {
        let token = world.submit(Request::Store {
            ttid,
            oid: oid(number),
            serial: Tid::ZERO,
            data: Some(payload("small")),
        });
        if world.completions.is_empty() {
            assert!(world.asked(1) > 4000, "stores are pipelined");
            while world.asked(1) > 0 {
                world.reply_ok(&[1, 2], "AskStoreObject");
            }
        }
        world.assert_done(token, Ok(Answer::Accepted));
    }
    let token = world.vote(ttid);
    for _ in 0..world.asked(1) {
        world.reply_ok(&[1, 2], "AskStoreObject");
    }
    let answer = Message::AnswerStoreTransaction {};
    let Message::AskStoreTransaction { oids, .. } = world.reply(1, "AskStoreTransaction", answer)
    else {
        panic!("it is of that kind")
    };
    assert_eq!(oids.len() as u64, COUNT);
    world.reply_ok(&[2], "AskStoreTransaction");
    world.assert_done(token, Ok(Answer::Voted(vec![])));
}

#[test]
fn requests_out_of_turn_are_refused() {
    let mut world = World::readable(&[&[1]]);
    let ttid = Ttid::new(5);
    let token = world.submit(Request::Finish { ttid });
    world.assert_done(token, Err(Error::NotBegun { ttid }));
    let ttid = world.begin(1002);
    let token = world.submit(Request::Finish { ttid });
    world.assert_done(token, Err(Error::OutOfTurn { ttid }));
    world.accepted(Request::Check { ttid, oid: oid(4), serial: tid(7) });
    let data = Some(payload("four"));
    let token = world.submit(Request::Store { ttid, oid: oid(4), serial: tid(7), data });
    world.assert_done(token, Err(Error::AlreadyChecked { oid: oid(4) }));
    let token = world.submit(Request::Resolve { ttid, oid: oid(4), data: None });
    world.assert_done(token, Err(Error::OutOfTurn { ttid }));
    world.reply_ok(&[1], "AskCheckCurrentSerial");
    let voted = world.vote(ttid);
    let token = world.submit(Request::Check { ttid, oid: oid(6), serial: tid(7) });
    world.assert_done(token, Err(Error::OutOfTurn { ttid }));
    world.reply_ok(&[1], "AskStoreTransaction");
    world.assert_done(voted, Ok(Answer::Voted(vec![])));
}

#[test]
fn a_read_only_client_does_not_begin() {
    let mut world = World::unconnected(|options| options.access = crate::Access::ReadOnly);
    let token = world.submit(Request::Begin { tid: None });
    world.assert_done(token, Err(Error::ReadOnly));
}
