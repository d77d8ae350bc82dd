//! Loads that a cache answers.

use std::time::Duration;

use model::CellState::UpToDate;
use model::Tid;
use net::{ErrorCode, Message};

use super::world::{MASTER, World, deleted, object, oid, payload, tid};
use crate::{Answer, Completion, Error, Object, Request, Revision};

fn load(revision: Revision) -> Request {
    Request::Load { oid: oid(2), revision }
}

fn found(serial: Tid, next_serial: Option<Tid>, text: &str) -> Answer {
    let data = Some(payload(text));
    Answer::Object(Object { oid: oid(2), serial, next_serial, data, data_serial: None })
}

/// A client with a cache, of a cluster with one storage whose last tid is 1000.
fn connected() -> World {
    let mut world = World::unconnected(|options| options.cache_bytes = 1 << 20);
    join(&mut world, 1000);
    world
}

fn join(world: &mut World, last_tid: u64) {
    let last_tid = tid(last_tid);
    world.join(&[&[(1, UpToDate)]], last_tid);
    assert_eq!(world.completion(), Completion::Connected { last_tid });
}

fn reconnect(world: &mut World, last_tid: u64) {
    world.cut(MASTER, true);
    assert_eq!(world.completion(), Completion::Disconnected);
    world.advance(Duration::from_secs(1));
    join(world, last_tid);
}

fn invalidate(world: &mut World, number: u64) {
    let oids = vec![oid(2)];
    let tid = tid(number);
    world.tell(MASTER, Message::InvalidateObjects { tid, oids: oids.clone().into() });
    assert_eq!(world.completion(), Completion::Invalidated { tid, oids, ttid: None });
}

/// Loads what only a storage can tell.
fn ask(world: &mut World, revision: Revision, answer: Message) {
    let token = world.submit(load(revision));
    world.reply(1, "AskObject", answer);
    assert!(matches!(world.completion(), Completion::Done { token: done, .. } if done == token));
}

/// Loads what no storage is asked for.
#[track_caller]
fn assert_cached(world: &mut World, revision: Revision, answer: Answer) {
    let token = world.submit(load(revision));
    world.assert_done(token, Ok(answer));
    world.assert_idle(1);
}

#[track_caller]
fn assert_asked(world: &mut World, revision: Revision) {
    world.submit(load(revision));
    world.assert_nothing();
    world.take(1, "AskObject");
}

#[test]
fn what_was_loaded_is_not_asked_for_again() {
    let mut world = connected();
    ask(&mut world, Revision::Newest, object(oid(2), tid(7), "seven"));
    assert_cached(&mut world, Revision::Newest, found(tid(7), None, "seven"));
    assert_cached(&mut world, Revision::Before(tid(8)), found(tid(7), None, "seven"));
    assert_cached(&mut world, Revision::At(tid(7)), found(tid(7), None, "seven"));
    assert_asked(&mut world, Revision::At(tid(6)));
    assert_asked(&mut world, Revision::Before(tid(7)));
    assert_asked(&mut world, Revision::Before(Tid::MAX));
}

#[test]
fn what_was_invalidated_is_the_answer_up_to_there() {
    let mut world = connected();
    ask(&mut world, Revision::Newest, object(oid(2), tid(7), "seven"));
    invalidate(&mut world, 1005);
    let answer = found(tid(7), Some(tid(1005)), "seven");
    assert_cached(&mut world, Revision::Before(tid(1005)), answer);
    ask(&mut world, Revision::Newest, object(oid(2), tid(1005), "new"));
    assert_cached(&mut world, Revision::Newest, found(tid(1005), None, "new"));
}

#[test]
fn r22_an_answer_that_an_invalidation_overtook_is_not_current() {
    let mut world = connected();
    let token = world.submit(load(Revision::Newest));
    invalidate(&mut world, 1005);
    world.reply(1, "AskObject", object(oid(2), tid(7), "seven"));
    let answer = found(tid(7), Some(tid(1005)), "seven");
    world.assert_done(token, Ok(answer.clone()));
    assert_cached(&mut world, Revision::Before(tid(1001)), answer);
    assert_asked(&mut world, Revision::Newest);
}

#[test]
fn loads_that_ask_the_same_are_one_request() {
    let mut world = connected();
    let tokens = [0; 3].map(|_| world.submit(load(Revision::Newest)));
    let other = world.submit(load(Revision::Before(tid(900))));
    assert_eq!(world.asked(1), 2);
    world.reply(1, "AskObject", object(oid(2), tid(7), "seven"));
    for token in tokens {
        world.assert_done(token, Ok(found(tid(7), None, "seven")));
    }
    world.refuse(1, "AskObject", ErrorCode::OidDoesNotExist);
    world.assert_done(other, Err(Error::NoSuchObject { oid: oid(2) }));
}

#[test]
fn who_joins_a_load_after_an_invalidation_is_told_what_follows() {
    let mut world = connected();
    let first = world.submit(load(Revision::Before(tid(901))));
    invalidate(&mut world, 1006);
    let second = world.submit(load(Revision::Before(tid(901))));
    world.reply(1, "AskObject", object(oid(2), tid(800), "new"));
    for token in [first, second] {
        world.assert_done(token, Ok(found(tid(800), Some(tid(1006)), "new")));
    }
}

#[test]
fn r22_a_load_does_not_join_one_that_may_miss_what_was_told_since() {
    let mut world = connected();
    for revision in [Revision::Newest, Revision::Before(tid(1010)), Revision::At(tid(1005))] {
        world.submit(load(revision));
    }
    invalidate(&mut world, 1005);
    for revision in [Revision::Newest, Revision::Before(tid(1010)), Revision::At(tid(1005))] {
        world.submit(load(revision));
    }
    assert_eq!(world.asked(1), 6);
}

#[test]
fn revisions_asked_for_by_their_serials_are_not_kept() {
    let mut world = connected();
    ask(&mut world, Revision::At(tid(7)), object(oid(2), tid(7), "seven"));
    assert_asked(&mut world, Revision::At(tid(7)));
}

#[test]
fn a_commit_fills_the_cache() {
    let mut world = connected();
    let ttid = world.begin(500);
    world.store(ttid, oid(2), tid(7), "first");
    world.store(ttid, oid(2), tid(7), "second");
    world.accepted(Request::Store { ttid, oid: oid(3), serial: tid(7), data: None });
    world.reply_ok(&[1, 1, 1], "AskStoreObject");
    let token = world.vote(ttid);
    world.reply_ok(&[1], "AskStoreTransaction");
    world.assert_done(token, Ok(Answer::Voted(vec![])));
    let token = world.submit(Request::Finish { ttid });
    assert_asked(&mut world, Revision::Newest);
    let answer = Message::AnswerTransactionFinished { ttid, tid: tid(1001) };
    world.reply(MASTER, "AskFinishTransaction", answer);
    assert!(matches!(world.completion(), Completion::Invalidated { .. }));
    world.assert_done(token, Ok(Answer::Finished(tid(1001))));
    assert_cached(&mut world, Revision::Newest, found(tid(1001), None, "second"));
    world.submit(Request::Load { oid: oid(3), revision: Revision::Newest });
    world.take(1, "AskObject");
}

#[test]
fn what_was_not_committed_is_not_kept() {
    let mut world = connected();
    let ttid = world.begin(500);
    world.store(ttid, oid(2), tid(7), "never");
    world.reply_ok(&[1], "AskStoreObject");
    let token = world.submit(Request::Abort { ttid });
    world.assert_done(token, Ok(Answer::Aborted));
    world.take(1, "AbortTransaction");
    world.take(MASTER, "AbortTransaction");
    assert_asked(&mut world, Revision::Newest);
}

#[test]
fn a_primary_master_that_is_found_again_with_the_same_last_tid_changes_nothing() {
    let mut world = connected();
    ask(&mut world, Revision::Newest, object(oid(2), tid(7), "seven"));
    world.cut(MASTER, true);
    assert_eq!(world.completion(), Completion::Disconnected);
    assert_cached(&mut world, Revision::Newest, found(tid(7), None, "seven"));
    world.advance(Duration::from_secs(1));
    join(&mut world, 1000);
    assert_cached(&mut world, Revision::Newest, found(tid(7), None, "seven"));
}

#[test]
fn everything_is_loaded_again_after_commits_that_nobody_told_or_a_truncation() {
    for last_tid in [999, 1001] {
        let mut world = connected();
        ask(&mut world, Revision::Newest, object(oid(2), tid(7), "seven"));
        reconnect(&mut world, last_tid);
        ask(&mut world, Revision::Newest, deleted(oid(2), tid(8)));
        let nothing = Object {
            oid: oid(2),
            serial: tid(8),
            next_serial: None,
            data: None,
            data_serial: None,
        };
        assert_cached(&mut world, Revision::Newest, Answer::Object(nothing));
        assert_asked(&mut world, Revision::Before(tid(8)));
    }
}

#[test]
fn a_load_that_waited_for_the_primary_master_is_kept() {
    let mut world = World::unconnected(|options| options.cache_bytes = 1 << 20);
    let first = world.submit(load(Revision::Newest));
    join(&mut world, 1000);
    let second = world.submit(load(Revision::Newest));
    for token in [first, second] {
        world.reply(1, "AskObject", object(oid(2), tid(7), "seven"));
        world.assert_done(token, Ok(found(tid(7), None, "seven")));
    }
    assert_cached(&mut world, Revision::Newest, found(tid(7), None, "seven"));
    // Also one that a storage did not answer in time.
    reconnect(&mut world, 1001);
    let token = world.submit(load(Revision::Newest));
    world.take(1, "AskObject");
    reconnect(&mut world, 1003);
    world.reply(1, "AskObject", object(oid(2), tid(1003), "new"));
    world.assert_done(token, Ok(found(tid(1003), None, "new")));
    assert_cached(&mut world, Revision::Newest, found(tid(1003), None, "new"));
}

#[test]
fn a_closed_client_has_nothing() {
    let mut world = connected();
    ask(&mut world, Revision::Newest, object(oid(2), tid(7), "seven"));
    let tokens = [0; 2].map(|_| world.submit(load(Revision::Before(tid(7)))));
    world.client.close(world.now);
    let token = world.submit(load(Revision::Newest));
    let mut closed = Vec::new();
    while let Some(Completion::Done { token, result: Err(Error::Closed) }) =
        world.completions.pop_front()
    {
        closed.push(token);
    }
    closed.sort_unstable();
    assert_eq!(closed, [tokens[0], tokens[1], token]);
}
