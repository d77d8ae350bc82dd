//! The primary master is lost around the end of a transaction.

use std::time::Duration;

use model::CellState::UpToDate;
use model::{Tid, Ttid};
use net::{ErrorCode, Message};

use super::world::{MASTER, World, oid, payload, tid};
use crate::{Answer, Completion, Error, Request, Token};

/// A transaction that is voted.
fn voted() -> (World, Ttid) {
    let mut world = World::readable(&[&[1, 2]]);
    let ttid = world.begin(1002);
    world.store(ttid, oid(4), tid(7), "four");
    world.reply_ok(&[1, 2], "AskStoreObject");
    let token = world.vote(ttid);
    world.reply_ok(&[1, 2], "AskStoreTransaction");
    world.assert_done(token, Ok(Answer::Voted(vec![])));
    (world, ttid)
}

fn join_again(world: &mut World) {
    world.advance(Duration::from_secs(1));
    world.join(&[&[(1, UpToDate), (2, UpToDate)]], tid(1010));
    assert_eq!(world.completion(), Completion::Connected { last_tid: tid(1010) });
}

/// A transaction whose finish was asked for when the primary master was lost, and another master
/// that is asked what became of it.
fn in_doubt() -> (World, Ttid, Token) {
    let (mut world, ttid) = voted();
    let token = world.submit(Request::Finish { ttid });
    world.take(MASTER, "AskFinishTransaction");
    world.cut(MASTER, true);
    assert_eq!(world.completion(), Completion::Disconnected);
    join_again(&mut world);
    (world, ttid, token)
}

#[test]
fn a_transaction_fails_if_the_master_is_lost_before_it_is_finished() {
    let mut world = World::readable(&[&[1]]);
    let ttid = world.begin(1002);
    world.store(ttid, oid(4), tid(7), "four");
    let voting = world.vote(ttid);
    world.cut(MASTER, true);
    assert_eq!(world.completion(), Completion::Disconnected);
    world.assert_done(voting, Err(Error::MasterLost { ttid }));
    world.take(1, "AskStoreObject");
    world.take(1, "AbortTransaction");
    let token = world.submit(Request::Finish { ttid });
    world.assert_done(token, Err(Error::MasterLost { ttid }));

    let (mut world, ttid) = voted();
    world.cut(MASTER, true);
    world.completion();
    let token = world.submit(Request::Finish { ttid });
    world.assert_done(token, Err(Error::MasterLost { ttid }));
    let token = world.submit(Request::Abort { ttid });
    world.assert_done(token, Ok(Answer::Aborted));
}

#[test]
fn r03_the_next_master_says_that_it_is_not_committed() {
    let (mut world, ttid, token) = in_doubt();
    let answer = Message::AnswerFinalTID { tid: None };
    let asked = world.reply(MASTER, "AskFinalTID", answer);
    assert_eq!(asked, Message::AskFinalTID { ttid });
    world.assert_done(token, Err(Error::NotCommitted { ttid }));
}

#[test]
fn r03_the_next_master_says_that_it_is_committed() {
    let (mut world, _, token) = in_doubt();
    let answer = Message::AnswerFinalTID { tid: Some(tid(1004)) };
    world.reply(MASTER, "AskFinalTID", answer);
    world.assert_done(token, Ok(Answer::Finished(tid(1004))));
}

#[test]
fn r03_the_storages_are_asked_if_the_master_does_not_know() {
    for committed in [Some(tid(1004)), None] {
        let (mut world, ttid, token) = in_doubt();
        let answer = Message::AnswerFinalTID { tid: Some(Tid::MAX) };
        world.reply(MASTER, "AskFinalTID", answer);
        world.assert_nothing();
        // One of them is lost: the other one knows as well.
        let first = if world.asked(1) == 1 { 1 } else { 2 };
        world.cut(first, false);
        let answer = Message::AnswerFinalTID { tid: committed };
        world.reply(3 - first, "AskFinalTID", answer);
        let result = match committed {
            Some(tid) => Ok(Answer::Finished(tid)),
            None => Err(Error::NotCommitted { ttid }),
        };
        world.assert_done(token, result);
    }
}

#[test]
fn r03_the_outcome_is_asked_until_a_master_answers() {
    let (mut world, ttid, token) = in_doubt();
    for _ in 0..3 {
        world.take(MASTER, "AskFinalTID");
        world.cut(MASTER, true);
        assert_eq!(world.completion(), Completion::Disconnected);
        let aborted = world.submit(Request::Abort { ttid });
        world.assert_done(aborted, Err(Error::OutOfTurn { ttid }));
        join_again(&mut world);
    }
    let answer = Message::AnswerFinalTID { tid: Some(tid(1004)) };
    world.reply(MASTER, "AskFinalTID", answer);
    world.assert_done(token, Ok(Answer::Finished(tid(1004))));
}

#[test]
fn a_master_that_cannot_finish_aborts_by_itself() {
    let (mut world, ttid) = voted();
    let token = world.submit(Request::Finish { ttid });
    world.refuse(MASTER, "AskFinishTransaction", ErrorCode::IncompleteTransaction);
    world.assert_done(token, Err(Error::Incomplete { ttid }));
    let token = world.submit(Request::Abort { ttid });
    world.assert_done(token, Ok(Answer::Aborted));
    for number in [MASTER, 1, 2] {
        world.assert_idle(number);
    }
}

#[test]
fn what_is_asked_of_the_master_while_it_is_away_is_asked_of_the_next() {
    let mut world = World::readable(&[&[1]]);
    let oids = world.submit(Request::NewOids { count: 2 });
    world.take(MASTER, "AskNewOIDs");
    world.cut(MASTER, true);
    world.completion();
    let begin = world.submit(Request::Begin { tid: Some(tid(2000)) });
    world.assert_nothing();
    join_again(&mut world);
    let answer = Message::AnswerNewOIDs { oids: vec![oid(8), oid(9)].into() };
    world.reply(MASTER, "AskNewOIDs", answer);
    world.assert_done(oids, Ok(Answer::NewOids(vec![oid(8), oid(9)])));
    let ttid = Ttid::new(2000);
    let answer = Message::AnswerBeginTransaction { ttid };
    let asked = world.reply(MASTER, "AskBeginTransaction", answer);
    assert_eq!(asked, Message::AskBeginTransaction { tid: Some(tid(2000)) });
    world.assert_done(begin, Ok(Answer::Begun(ttid)));
}

#[test]
fn r25_an_id_that_a_master_gives_again_is_not_taken_for_two_transactions() {
    let mut world = World::readable(&[&[1]]);
    let ttid = world.begin(1002);
    world.cut(MASTER, true);
    assert_eq!(world.completion(), Completion::Disconnected);
    world.advance(Duration::from_secs(1));
    world.join(&[&[(1, UpToDate)]], tid(1001));
    assert_eq!(world.completion(), Completion::Connected { last_tid: tid(1001) });
    let begin = world.submit(Request::Begin { tid: None });
    world.reply(MASTER, "AskBeginTransaction", Message::AnswerBeginTransaction { ttid });
    let told = world.take(MASTER, "AbortTransaction").message;
    assert_eq!(told, Message::AbortTransaction { ttid, nids: Vec::new() });
    world.assert_nothing();
    let next = Ttid::new(1003);
    let answer = Message::AnswerBeginTransaction { ttid: next };
    world.reply(MASTER, "AskBeginTransaction", answer);
    world.assert_done(begin, Ok(Answer::Begun(next)));
    // The caller of the former one is told what became of it.
    let store = Request::Store { ttid, oid: oid(4), serial: tid(7), data: Some(payload("four")) };
    let token = world.submit(store);
    world.assert_done(token, Err(Error::MasterLost { ttid }));
    world.assert_idle(1);
}
