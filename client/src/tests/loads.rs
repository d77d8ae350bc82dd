//! Loads, and where they go.

use std::time::Duration;

use bytes::Bytes;
use model::CellState::{OutOfDate, UpToDate};
use model::{NodeState, Tid};
use net::{Checksum, Data, ErrorCode, Message};

use super::world::{MASTER, World, change, deleted, object, oid, payload, storage, tid};
use crate::{Answer, Completion, Error, Object, Request, Revision};

fn load(revision: Revision) -> Request {
    Request::Load { oid: oid(2), revision }
}

fn found(serial: Tid, text: &str) -> Answer {
    let data = Some(payload(text));
    Answer::Object(Object { oid: oid(2), serial, next_serial: None, data, data_serial: None })
}

#[test]
fn a_load_asks_a_cell_of_the_partition_for_what_the_client_was_told_of() {
    let mut world = World::readable(&[&[1], &[2]]);
    let token = world.submit(load(Revision::Newest));
    let asked = world.reply(1, "AskObject", object(oid(2), tid(7), "seven"));
    let before = Some(tid(1001));
    assert_eq!(asked, Message::AskObject { oid: oid(2), at: None, before });
    world.assert_done(token, Ok(found(tid(7), "seven")));
    assert!(!world.is_connected(2));

    let token = world.submit(load(Revision::At(tid(7))));
    let asked = world.reply(1, "AskObject", deleted(oid(2), tid(7)));
    assert_eq!(asked, Message::AskObject { oid: oid(2), at: Some(tid(7)), before: None });
    let nothing =
        Object { oid: oid(2), serial: tid(7), next_serial: None, data: None, data_serial: None };
    world.assert_done(token, Ok(Answer::Object(nothing)));
}

#[test]
fn what_is_missing_is_told_apart() {
    let mut world = World::readable(&[&[1]]);
    let revision = Revision::Before(tid(3));
    let token = world.submit(load(revision));
    world.refuse(1, "AskObject", ErrorCode::OidDoesNotExist);
    world.assert_done(token, Err(Error::NoSuchObject { oid: oid(2) }));
    let token = world.submit(load(revision));
    world.refuse(1, "AskObject", ErrorCode::OidNotFound);
    world.assert_done(token, Err(Error::NoSuchRevision { oid: oid(2), revision }));
    let token = world.submit(Request::TransactionInformation { tid: tid(3) });
    world.refuse(1, "AskTransactionInformation", ErrorCode::TidNotFound);
    world.assert_done(token, Err(Error::NoSuchTransaction { tid: tid(3) }));
    let token = world.submit(Request::History { oid: oid(2), before: None, first: 0, last: 9 });
    world.refuse(1, "AskObjectHistory", ErrorCode::OidNotFound);
    world.assert_done(token, Err(Error::NoSuchObject { oid: oid(2) }));
}

#[test]
fn requests_wait_until_the_primary_master_is_found() {
    let mut world = World::unconnected(|_| {});
    let token = world.submit(load(Revision::Newest));
    world.assert_nothing();
    world.join(&[&[(1, UpToDate)]], tid(9));
    assert_eq!(world.completion(), Completion::Connected { last_tid: tid(9) });
    let asked = world.reply(1, "AskObject", object(oid(2), tid(7), "seven"));
    let before = Some(tid(10));
    assert_eq!(asked, Message::AskObject { oid: oid(2), at: None, before });
    world.assert_done(token, Ok(found(tid(7), "seven")));
}

#[test]
fn loads_are_spread_over_all_readable_cells() {
    let mut world = World::new(&[&[(1, UpToDate), (2, UpToDate), (3, OutOfDate)]]);
    for _ in 0..40 {
        world.submit(load(Revision::Newest));
    }
    assert_eq!(world.asked(1) + world.asked(2), 40);
    assert!(world.asked(1) > 5 && world.asked(2) > 5, "{}", world.asked(1));
}

#[test]
fn a_storage_that_fails_is_replaced_and_avoided_for_a_while() {
    let mut world = World::readable(&[&[1, 2]]);
    world.cut(1, false);
    for _ in 0..20 {
        let token = world.submit(load(Revision::Newest));
        world.reply(2, "AskObject", object(oid(2), tid(7), "seven"));
        world.assert_done(token, Ok(found(tid(7), "seven")));
        world.advance(Duration::from_millis(100));
    }
    world.set_up(1);
    world.advance(Duration::from_secs(6));
    for _ in 0..20 {
        world.submit(load(Revision::Newest));
    }
    assert!(world.asked(1) > 0 && world.asked(2) > 0);
}

#[test]
fn a_load_whose_connection_is_lost_goes_to_another_storage() {
    let mut world = World::readable(&[&[1, 2]]);
    let token = world.submit(load(Revision::Newest));
    let first = if world.asked(1) == 1 { 1 } else { 2 };
    let second = 3 - first;
    world.cut(first, true);
    world.assert_nothing();
    world.reply(second, "AskObject", object(oid(2), tid(7), "seven"));
    world.assert_done(token, Ok(found(tid(7), "seven")));
}

#[test]
fn r17_a_cell_that_is_not_readable_makes_the_client_ask_again_by_a_newer_table() {
    let mut world = World::readable(&[&[1]]);
    let token = world.submit(load(Revision::Newest));
    world.hold(MASTER, true);
    world.refuse(1, "AskObject", ErrorCode::NonReadableCell);
    // The master sends the newer table before it answers.
    world.tell(MASTER, change(2, &[(0, 1, OutOfDate), (0, 2, UpToDate)]));
    world.assert_idle(1);
    world.assert_idle(1);
    world.hold(MASTER, false);
    world.reply(2, "AskObject", object(oid(2), tid(7), "seven"));
    world.assert_done(token, Ok(found(tid(7), "seven")));
}

#[test]
fn a_load_gives_up_when_no_storage_works_for_seconds() {
    let mut world = World::readable(&[&[1]]);
    world.tell_state(1, NodeState::Down);
    let token = world.submit(load(Revision::Newest));
    for _ in 0..9 {
        world.advance(Duration::from_secs(1));
    }
    let Completion::Done { token: done, result: Err(Error::NoStorage { .. }) } = world.completion()
    else {
        panic!("the load goes on")
    };
    assert_eq!(done, token);
}

#[test]
fn data_with_another_checksum_is_loaded_from_another_storage() {
    let mut world = World::readable(&[&[1, 2]]);
    let wrong = Message::AnswerObject {
        oid: oid(2),
        serial: tid(7),
        next_serial: None,
        compression: Some(0),
        checksum: Checksum::of(b"seven"),
        data: Data::new(Bytes::from_static(b"eleven")),
        data_serial: None,
    };
    let token = world.submit(load(Revision::Newest));
    let first = if world.asked(1) == 1 { 1 } else { 2 };
    world.reply(first, "AskObject", wrong.clone());
    world.reply(3 - first, "AskObject", object(oid(2), tid(7), "seven"));
    world.assert_done(token, Ok(found(tid(7), "seven")));

    let token = world.submit(load(Revision::Newest));
    let first = if world.asked(1) == 1 { 1 } else { 2 };
    world.reply(first, "AskObject", wrong.clone());
    world.reply(3 - first, "AskObject", wrong);
    let nid = storage(3 - first);
    world.assert_done(token, Err(Error::WrongChecksum { oid: oid(2), serial: tid(7), nid }));
}

#[test]
fn a_damaged_revision_is_waited_for_while_another_storage_is_away() {
    let mut world = World::readable(&[&[1, 2]]);
    let damaged = Message::AnswerObject {
        oid: oid(2),
        serial: tid(7),
        next_serial: None,
        compression: Some(0),
        checksum: Checksum([0xff; 20]),
        data: Data::default(),
        data_serial: None,
    };
    world.cut(2, false);
    let token = world.submit(load(Revision::Newest));
    world.reply(1, "AskObject", damaged.clone());
    world.advance(Duration::from_millis(100));
    world.assert_nothing();
    world.assert_idle(1);
    world.set_up(2);
    world.advance(Duration::from_secs(2));
    world.reply(2, "AskObject", object(oid(2), tid(7), "seven"));
    world.assert_done(token, Ok(found(tid(7), "seven")));

    // But not once the master says that it is out of date.
    world.cut(2, false);
    let token = world.submit(load(Revision::Newest));
    world.reply(1, "AskObject", damaged);
    world.assert_nothing();
    world.tell(MASTER, change(2, &[(0, 2, OutOfDate)]));
    for _ in 0..9 {
        world.advance(Duration::from_secs(1));
    }
    let nid = storage(1);
    world.assert_done(token, Err(Error::WrongChecksum { oid: oid(2), serial: tid(7), nid }));
}

#[test]
fn r22_the_last_tid_moves_with_the_invalidation() {
    let mut world = World::readable(&[&[1]]);
    let oids = vec![oid(2), oid(3)];
    world.tell(MASTER, Message::InvalidateObjects { tid: tid(1005), oids: oids.clone().into() });
    let invalidated = Completion::Invalidated { tid: tid(1005), oids, ttid: None };
    assert_eq!(world.completion(), invalidated);
    assert_eq!(world.client.last_tid(), Some(tid(1005)));
    world.submit(load(Revision::Newest));
    let before = Some(tid(1006));
    let asked = world.take(1, "AskObject").message;
    assert_eq!(asked, Message::AskObject { oid: oid(2), at: None, before });
}

#[test]
fn a_lost_primary_master_is_found_again_and_loads_go_on() {
    let mut world = World::readable(&[&[1]]);
    let token = world.submit(load(Revision::At(tid(7))));
    world.cut(MASTER, true);
    assert_eq!(world.completion(), Completion::Disconnected);
    let waiting = world.submit(Request::LastTid);
    // The storage may still answer what it was asked.
    world.reply(1, "AskObject", object(oid(2), tid(7), "seven"));
    world.assert_done(token, Ok(found(tid(7), "seven")));
    let later = world.submit(load(Revision::At(tid(7))));
    world.assert_idle(1);
    world.advance(Duration::from_secs(1));
    world.join(&[&[(1, UpToDate)]], tid(1010));
    assert_eq!(world.completion(), Completion::Connected { last_tid: tid(1010) });
    world.reply(MASTER, "AskLastTransaction", Message::AnswerLastTransaction { tid: tid(1010) });
    world.assert_done(waiting, Ok(Answer::LastTid(tid(1010))));
    world.reply(1, "AskObject", object(oid(2), tid(7), "seven"));
    world.assert_done(later, Ok(found(tid(7), "seven")));
}

#[test]
fn a_master_that_refuses_is_reported_once_and_asked_again() {
    let mut world = World::unconnected(|_| {});
    for round in 0..2 {
        world.refuse(MASTER, "RequestIdentification", ErrorCode::ProtocolError);
        if round == 0 {
            let Completion::Refused { text, .. } = world.completion() else {
                panic!("the caller is told")
            };
            assert_eq!(text, "refused");
        }
        world.assert_nothing();
        world.advance(Duration::from_secs(1));
    }
    world.join(&[&[(1, UpToDate)]], tid(9));
    assert_eq!(world.completion(), Completion::Connected { last_tid: tid(9) });
}

#[test]
fn a_table_that_skips_a_version_makes_the_client_join_again() {
    let mut world = World::readable(&[&[1]]);
    world.tell(MASTER, change(5, &[(0, 2, UpToDate)]));
    assert_eq!(world.completion(), Completion::Disconnected);
    world.advance(Duration::from_secs(1));
    world.join(&[&[(2, UpToDate)]], tid(1000));
    assert_eq!(world.completion(), Completion::Connected { last_tid: tid(1000) });
    world.submit(load(Revision::Newest));
    assert_eq!(world.asked(2), 1);
    assert_ne!(storage(1), storage(2));
}

#[test]
fn closing_answers_everything() {
    let mut world = World::readable(&[&[1]]);
    let first = world.submit(load(Revision::Newest));
    let second = world.submit(Request::NewOids { count: 5 });
    let now = world.now;
    world.client.close(now);
    let third = world.submit(Request::LastTid);
    let mut closed = Vec::new();
    while let Some(Completion::Done { token, result: Err(Error::Closed) }) =
        world.completions.pop_front()
    {
        closed.push(token);
    }
    closed.sort_unstable();
    assert_eq!(closed, [first, second, third]);
}
