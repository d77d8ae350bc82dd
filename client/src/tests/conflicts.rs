//! Conflicts and deadlocks.

use model::{Tid, Ttid};
use net::{Data, Message, RelockConflict, RelockData};

use super::world::{MASTER, World, oid, payload, storage, tid};
use crate::{Answer, Completion, Conflict, Error, Request};

fn conflict_with(number: u64) -> Message {
    Message::AnswerStoreObject { conflict: Some(tid(number)) }
}

fn relocked(conflict: Option<RelockConflict>) -> Message {
    Message::AnswerRelockObject { conflict }
}

fn told(ttid: Ttid, serial: u64, conflict_serial: u64, text: &str) -> Completion {
    Completion::Conflict(Conflict {
        ttid,
        oid: oid(4),
        serial: tid(serial),
        conflict_serial: tid(conflict_serial),
        conflict_data: None,
        data: Some(payload(text)),
        data_serial: None,
    })
}

fn resolve(ttid: Ttid, text: &str) -> Request {
    Request::Resolve { ttid, oid: oid(4), data: Some(payload(text)) }
}

fn assert_stored(world: &mut World, number: u32, serial: u64, text: &str, answer: Message) {
    match world.reply(number, "AskStoreObject", answer) {
        Message::AskStoreObject { serial: found, data, .. } => {
            assert_eq!((found, data.bytes.as_ref()), (tid(serial), text.as_bytes()));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_conflict_is_resolved_and_stored_again_everywhere() {
    let mut world = World::readable(&[&[1, 2]]);
    let ttid = world.begin(1002);
    world.store(ttid, oid(4), tid(7), "mine");
    assert_stored(&mut world, 1, 7, "mine", conflict_with(9));
    assert_eq!(world.completion(), told(ttid, 7, 9, "mine"));
    let token = world.vote(ttid);
    world.accepted(resolve(ttid, "both"));
    // The slower storage answers the first attempt late: the second one counts.
    assert_stored(&mut world, 2, 7, "mine", conflict_with(9));
    let stored = Message::AnswerStoreObject { conflict: None };
    assert_stored(&mut world, 2, 9, "both", stored.clone());
    world.assert_nothing();
    assert_stored(&mut world, 1, 9, "both", stored);
    world.reply_ok(&[1, 2], "AskStoreTransaction");
    world.assert_done(token, Ok(Answer::Voted(vec![oid(4)])));
}

#[test]
fn r22_a_conflict_is_told_when_its_cause_was_invalidated() {
    let mut world = World::readable(&[&[1]]);
    let ttid = world.begin(1002);
    world.store(ttid, oid(4), tid(7), "mine");
    world.hold(MASTER, true);
    assert_stored(&mut world, 1, 7, "mine", conflict_with(1001));
    world.assert_nothing();
    let invalidate = Message::InvalidateObjects { tid: tid(1001), oids: vec![oid(4)].into() };
    world.tell(MASTER, invalidate);
    assert!(matches!(world.completion(), Completion::Invalidated { .. }));
    world.assert_nothing();
    world.hold(MASTER, false);
    assert_eq!(world.completion(), told(ttid, 7, 1001, "mine"));
}

#[test]
fn conflicts_may_follow_one_another() {
    let mut world = World::readable(&[&[1, 2]]);
    let ttid = world.begin(1002);
    world.store(ttid, oid(4), tid(7), "mine");
    assert_stored(&mut world, 1, 7, "mine", conflict_with(8));
    assert_eq!(world.completion(), told(ttid, 7, 8, "mine"));
    // One more, which is found again when the first is resolved.
    assert_stored(&mut world, 2, 7, "mine", conflict_with(9));
    world.assert_nothing();
    world.accepted(resolve(ttid, "two"));
    assert_stored(&mut world, 1, 8, "two", conflict_with(9));
    assert_eq!(world.completion(), told(ttid, 8, 9, "two"));
    assert_stored(&mut world, 2, 8, "two", conflict_with(9));
    world.accepted(resolve(ttid, "three"));
    for number in [1, 2] {
        let stored = Message::AnswerStoreObject { conflict: None };
        assert_stored(&mut world, number, 9, "three", stored);
    }
    world.vote(ttid);
    world.reply_ok(&[1, 2], "AskStoreTransaction");
}

#[test]
fn who_gives_up_aborts() {
    let mut world = World::readable(&[&[1, 2]]);
    let ttid = world.begin(1002);
    world.store(ttid, oid(4), tid(7), "mine");
    assert_stored(&mut world, 1, 7, "mine", conflict_with(9));
    world.completion();
    let token = world.submit(Request::Abort { ttid });
    world.assert_done(token, Ok(Answer::Aborted));
    world.take(1, "AbortTransaction");
    world.take(2, "AskStoreObject");
    world.take(2, "AbortTransaction");
    let asked = world.take(MASTER, "AbortTransaction").message;
    let nids = vec![storage(1), storage(2)];
    assert_eq!(asked, Message::AbortTransaction { ttid, nids });
    let token = world.submit(resolve(ttid, "late"));
    world.assert_done(token, Err(Error::NotBegun { ttid }));
}

#[test]
fn a_conflict_of_a_check_ends_the_transaction() {
    let mut world = World::readable(&[&[1, 2]]);
    let ttid = world.begin(1002);
    world.accepted(Request::Check { ttid, oid: oid(4), serial: tid(7) });
    let answer = Message::AnswerCheckCurrentSerial { conflict: Some(tid(9)) };
    world.reply(1, "AskCheckCurrentSerial", answer);
    let token = world.vote(ttid);
    let error = Error::ReadConflict { oid: oid(4), serial: tid(7), conflict_serial: tid(9) };
    world.assert_done(token, Err(error));
    world.take(1, "AbortTransaction");
}

#[test]
fn a_storage_that_conflicts_with_what_is_older_has_failed() {
    let mut world = World::readable(&[&[1, 2]]);
    let ttid = world.begin(1002);
    world.store(ttid, oid(4), tid(7), "mine");
    assert_stored(&mut world, 1, 7, "mine", conflict_with(6));
    world.reply_ok(&[2], "AskStoreObject");
    world.vote(ttid);
    world.reply_ok(&[2], "AskStoreTransaction");
    let asked = world.take(MASTER, "FailedVote").message;
    assert_eq!(asked, Message::FailedVote { ttid, nids: vec![storage(1)] });
}

#[test]
fn r09_a_lock_that_an_older_transaction_waits_for_is_taken_again_before_the_vote() {
    let mut world = World::readable(&[&[1]]);
    let ttid = world.begin(1002);
    world.store(ttid, oid(4), tid(7), "mine");
    world.reply_ok(&[1], "AskStoreObject");
    world.tell(1, Message::NotifyDeadlock { ttid, oid: oid(4) });
    let token = world.vote(ttid);
    let asked = world.take(1, "AskRelockObject");
    assert_eq!(asked.message, Message::AskRelockObject { ttid, oid: oid(4) });
    world.assert_idle(1);
    world.answer(1, asked.id, relocked(None));
    // Now that it votes, nobody has to wait for long.
    world.tell(1, Message::NotifyDeadlock { ttid, oid: oid(4) });
    world.reply_ok(&[1], "AskStoreTransaction");
    world.assert_done(token, Ok(Answer::Voted(vec![])));
    world.assert_idle(1);
}

#[test]
fn r09_a_conflict_of_a_lock_taken_again_brings_the_data_back() {
    let mut world = World::readable(&[&[1, 2]]);
    let ttid = world.begin(1002);
    world.store(ttid, oid(4), tid(7), "mine");
    world.reply_ok(&[1, 2], "AskStoreObject");
    world.tell(1, Message::NotifyDeadlock { ttid, oid: oid(4) });
    let data = Data::new("mine".into());
    let checksum = data.checksum();
    let conflict = RelockConflict {
        serial: tid(7),
        conflict_serial: tid(9),
        data: Some(RelockData { compression: 0, checksum, data }),
    };
    world.reply(1, "AskRelockObject", relocked(Some(conflict)));
    assert_eq!(world.completion(), told(ttid, 7, 9, "mine"));
    let token = world.vote(ttid);
    world.assert_idle(2);
    world.accepted(resolve(ttid, "both"));
    for number in [1, 2] {
        let stored = Message::AnswerStoreObject { conflict: None };
        assert_stored(&mut world, number, 9, "both", stored);
    }
    world.reply_ok(&[1, 2], "AskStoreTransaction");
    world.assert_done(token, Ok(Answer::Voted(vec![oid(4)])));
}

#[test]
fn r09_a_lock_taken_again_is_not_waited_for_if_the_storage_is_lost() {
    let mut world = World::readable(&[&[1, 2]]);
    let ttid = world.begin(1002);
    world.store(ttid, oid(4), tid(7), "mine");
    world.reply_ok(&[1, 2], "AskStoreObject");
    world.tell(1, Message::NotifyDeadlock { ttid, oid: oid(4) });
    world.vote(ttid);
    world.assert_idle(2);
    world.cut(1, false);
    world.reply_ok(&[2], "AskStoreTransaction");
    let asked = world.take(MASTER, "FailedVote").message;
    assert_eq!(asked, Message::FailedVote { ttid, nids: vec![storage(1)] });
}

#[test]
fn r09_a_conflict_of_a_checked_object_taken_again_ends_the_transaction() {
    let mut world = World::readable(&[&[1]]);
    let ttid = world.begin(1002);
    world.accepted(Request::Check { ttid, oid: oid(4), serial: tid(7) });
    world.reply_ok(&[1], "AskCheckCurrentSerial");
    world.tell(1, Message::NotifyDeadlock { ttid, oid: oid(4) });
    let conflict = RelockConflict { serial: tid(7), conflict_serial: tid(9), data: None };
    world.reply(1, "AskRelockObject", relocked(Some(conflict)));
    let token = world.vote(ttid);
    let error = Error::ReadConflict { oid: oid(4), serial: tid(7), conflict_serial: tid(9) };
    world.assert_done(token, Err(error));
    assert_ne!(tid(7), Tid::ZERO);
}
