//! Requests that wait for a primary master, for as long as the options say.

use std::time::Duration;

use model::CellState::UpToDate;
use net::Message;

use super::world::{MASTER, World, object, oid, tid};
use crate::{Answer, Completion, Error, Request, Revision};

const LIMIT: Duration = Duration::from_secs(7);

fn load() -> Request {
    Request::Load { oid: oid(2), revision: Revision::Newest }
}

fn no_master(world: &World) -> Error {
    let masters = world.client.options.masters.clone();
    Error::NoMaster { masters, waited_s: 7, reason: None }
}

#[test]
fn requests_fail_when_no_master_was_found_in_time_and_at_once_from_then_on() {
    let mut world = World::unconnected(|options| options.master_timeout = Some(LIMIT));
    let waiting = [load(), Request::LastTid, Request::Begin { tid: None }];
    let tokens = waiting.map(|request| world.submit(request));
    world.advance(LIMIT - Duration::from_millis(1));
    world.assert_nothing();
    world.advance(Duration::from_millis(1));
    let error = no_master(&world);
    assert_eq!(world.completion(), Completion::Unreachable(error.clone()));
    // Those of the master, then loads.
    for token in [tokens[1], tokens[2], tokens[0]] {
        world.assert_done(token, Err(error.clone()));
    }
    let late = world.submit(load());
    world.assert_nothing();
    world.advance(Duration::ZERO);
    world.assert_done(late, Err(error));
    world.assert_nothing();
}

#[test]
fn a_master_that_is_found_after_all_is_worked_with() {
    let mut world = World::unconnected(|options| options.master_timeout = Some(LIMIT));
    world.advance(LIMIT);
    let error = no_master(&world);
    assert_eq!(world.completion(), Completion::Unreachable(error));
    world.join(&[&[(1, UpToDate)]], tid(1000));
    assert_eq!(world.completion(), Completion::Connected { last_tid: tid(1000) });
    let token = world.submit(Request::LastTid);
    world.advance(LIMIT * 2);
    world.reply(MASTER, "AskLastTransaction", Message::AnswerLastTransaction { tid: tid(1000) });
    world.assert_done(token, Ok(Answer::LastTid(tid(1000))));
    // The time begins anew when it is lost.
    world.cut(MASTER, false);
    assert_eq!(world.completion(), Completion::Disconnected);
    let token = world.submit(Request::Synchronize);
    world.advance(LIMIT / 2);
    world.assert_nothing();
    world.advance(LIMIT);
    let error = no_master(&world);
    assert_eq!(world.completion(), Completion::Unreachable(error.clone()));
    world.assert_done(token, Err(error));
}

#[test]
fn what_storages_answer_needs_no_master_found_in_time() {
    let mut world = World::unconnected(|options| options.master_timeout = Some(LIMIT));
    world.join(&[&[(1, UpToDate)]], tid(1000));
    assert_eq!(world.completion(), Completion::Connected { last_tid: tid(1000) });
    let token = world.submit(load());
    world.reply(1, "AskObject", object(oid(2), tid(7), "seven"));
    assert!(matches!(world.completion(), Completion::Done { token: done, .. } if done == token));
    world.advance(LIMIT * 3);
    world.assert_nothing();
}
