//! Aborts reach everybody who may hold a lock.

use net::Message;

use super::world::{MASTER, World, oid, payload, storage, tid};
use crate::{Answer, Completion, Error, Request};

#[test]
fn r10_an_abort_is_told_to_all_who_were_written_to() {
    let mut world = World::readable(&[&[1, 2], &[3]]);
    let ttid = world.begin(1002);
    world.store(ttid, oid(4), tid(7), "four");
    world.accepted(Request::Check { ttid, oid: oid(5), serial: tid(8) });
    world.reply_ok(&[1], "AskStoreObject");
    // This one holds the lock and is not connected any more: the master tells it.
    world.cut(2, false);
    let token = world.submit(Request::Abort { ttid });
    world.assert_done(token, Ok(Answer::Aborted));
    world.take(3, "AskCheckCurrentSerial");
    for number in [1, 3] {
        let asked = world.take(number, "AbortTransaction").message;
        assert_eq!(asked, Message::AbortTransaction { ttid, nids: vec![] });
    }
    let asked = world.take(MASTER, "AbortTransaction").message;
    let nids = vec![storage(1), storage(2), storage(3)];
    assert_eq!(asked, Message::AbortTransaction { ttid, nids });
    let token = world.submit(Request::Abort { ttid });
    world.assert_done(token, Ok(Answer::Aborted));
    world.assert_idle(MASTER);
}

#[test]
fn r10_a_voted_transaction_can_be_aborted() {
    let mut world = World::readable(&[&[1]]);
    let ttid = world.begin(1002);
    world.store(ttid, oid(4), tid(7), "four");
    world.reply_ok(&[1], "AskStoreObject");
    world.vote(ttid);
    world.reply_ok(&[1], "AskStoreTransaction");
    world.completion();
    world.submit(Request::Abort { ttid });
    world.take(1, "AbortTransaction");
    world.take(MASTER, "AbortTransaction");
}

#[test]
fn r10_closing_aborts() {
    let mut world = World::readable(&[&[1]]);
    let ttid = world.begin(1002);
    world.store(ttid, oid(4), tid(7), "four");
    let now = world.now;
    world.client.close(now);
    let data = Some(payload("late"));
    let token = world.submit(Request::Store { ttid, oid: oid(6), serial: tid(7), data });
    world.assert_done(token, Err(Error::Closed));
    world.take(1, "AskStoreObject");
    world.take(1, "AbortTransaction");
    world.take(MASTER, "AbortTransaction");
}

#[test]
fn late_answers_of_an_aborted_transaction_are_ignored() {
    let mut world = World::readable(&[&[1]]);
    let ttid = world.begin(1002);
    world.store(ttid, oid(4), tid(7), "four");
    world.submit(Request::Abort { ttid });
    assert!(matches!(world.completion(), Completion::Done { .. }));
    let conflict = Message::AnswerStoreObject { conflict: Some(tid(9)) };
    world.reply(1, "AskStoreObject", conflict);
    world.tell(1, Message::NotifyDeadlock { ttid, oid: oid(4) });
    world.assert_nothing();
    assert!(world.is_connected(1));
}
