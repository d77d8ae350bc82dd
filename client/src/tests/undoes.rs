//! Undo.

use std::time::Duration;

use bytes::Bytes;
use model::{CellState, PartitionId, Ttid};
use net::{
    Checksum, Data, ErrorCode, Message, OrderedMap, RelockConflict, RelockData, UndoSerials,
};

use super::world::{MASTER, World, object, oid, payload, tid};
use crate::{Answer, Completion, Conflict, Error, Request, Token, UndoFailure};

fn undo(world: &mut World, ttid: Ttid) -> Token {
    let token = world.submit(Request::Undo { ttid, tid: tid(20) });
    world.reply(1, "AskTransactionInformation", information(20, &[4, 5]));
    token
}

fn information(transaction: u64, oids: &[u64]) -> Message {
    Message::AnswerTransactionInformation {
        tid: tid(transaction),
        user: Bytes::new(),
        description: Bytes::new(),
        extension: Bytes::new(),
        packed: false,
        oids: oids.iter().map(|number| oid(*number)).collect::<Vec<_>>().into(),
    }
}

fn serials(current: u64, undo: Option<u64>, is_current: bool) -> Message {
    let serials =
        UndoSerials { current_serial: tid(current), undo_serial: undo.map(tid), is_current };
    Message::AnswerObjectUndoSerial { objects: OrderedMap(vec![(oid(4), serials)]) }
}

const NOTHING: Message = Message::AnswerObjectUndoSerial { objects: OrderedMap(Vec::new()) };

#[test]
fn earlier_data_is_stored_again() {
    let mut world = World::readable(&[&[1], &[2]]);
    let ttid = world.begin(1002);
    let token = undo(&mut world, ttid);
    let asked = world.reply(1, "AskObjectUndoSerial", serials(20, Some(10), true));
    let (limit, undone, oids) = (tid(1001), tid(20), vec![oid(4)]);
    assert_eq!(asked, Message::AskObjectUndoSerial { ttid, limit, undone, oids: oids.into() });
    world.reply(2, "AskObjectUndoSerial", NOTHING);
    let asked = world.reply(1, "AskObject", object(oid(4), tid(10), "ten"));
    assert_eq!(asked, Message::AskObject { oid: oid(4), at: Some(tid(10)), before: None });
    let stored = world.reply(1, "AskStoreObject", Message::AnswerStoreObject { conflict: None });
    let data = payload("ten").data;
    let expected = Message::AskStoreObject {
        oid: oid(4),
        serial: tid(20),
        compression: 0,
        checksum: data.checksum(),
        data,
        data_serial: Some(tid(10)),
        ttid,
    };
    assert_eq!(stored, expected);
    world.assert_done(token, Ok(Answer::Undone(vec![oid(4)])));
}

#[test]
fn an_undone_creation_is_told_to_others() {
    let mut world = World::readable(&[&[1], &[2]]);
    let ttid = world.begin(1002);
    let token = undo(&mut world, ttid);
    world.reply(1, "AskObjectUndoSerial", serials(20, None, true));
    world.reply(2, "AskObjectUndoSerial", NOTHING);
    let stored = world.reply(1, "AskStoreObject", Message::AnswerStoreObject { conflict: None });
    assert!(matches!(stored, Message::AskStoreObject { data_serial: None, ref data, .. }
        if data.bytes.is_empty()));
    world.assert_done(token, Ok(Answer::Undone(vec![oid(4)])));
    world.vote(ttid);
    world.reply_ok(&[1], "AskStoreTransaction");
    assert!(matches!(world.completion(), Completion::Done { result: Ok(_), .. }));
    world.submit(Request::Finish { ttid });
    let finish = world.take(MASTER, "AskFinishTransaction").message;
    let Message::AskFinishTransaction { oids, deleted, .. } = finish else { panic!() };
    let partitions = vec![PartitionId::new(0)];
    assert_eq!((oids, deleted), (vec![oid(4)].into(), partitions), "others are told of it");
}

#[test]
fn r09_an_undone_creation_has_no_data_to_be_brought_back() {
    let mut world = World::readable(&[&[1], &[2]]);
    let ttid = world.begin(1002);
    let token = undo(&mut world, ttid);
    world.reply(1, "AskObjectUndoSerial", serials(20, None, true));
    world.reply(2, "AskObjectUndoSerial", NOTHING);
    world.reply(1, "AskStoreObject", Message::AnswerStoreObject { conflict: None });
    world.assert_done(token, Ok(Answer::Undone(vec![oid(4)])));
    world.tell(1, Message::NotifyDeadlock { ttid, oid: oid(4) });
    let nothing = RelockData { compression: 0, checksum: Checksum::ZERO, data: Data::default() };
    let (serial, conflict_serial) = (tid(20), tid(30));
    let conflict = Some(RelockConflict { serial, conflict_serial, data: Some(nothing) });
    world.reply(1, "AskRelockObject", Message::AnswerRelockObject { conflict });
    let Completion::Conflict(conflict) = world.completion() else { panic!() };
    assert_eq!((conflict.conflict_serial, conflict.data), (tid(30), None));
}

#[test]
fn what_was_changed_since_is_left_to_the_caller() {
    let mut world = World::readable(&[&[1], &[2]]);
    let ttid = world.begin(1002);
    let token = undo(&mut world, ttid);
    world.reply(1, "AskObjectUndoSerial", serials(30, Some(10), false));
    world.reply(2, "AskObjectUndoSerial", NOTHING);
    let conflict = Conflict {
        ttid,
        oid: oid(4),
        serial: tid(20),
        conflict_serial: tid(30),
        conflict_data: None,
        data: None,
        data_serial: Some(tid(10)),
    };
    assert_eq!(world.completion(), Completion::Conflict(conflict));
    let data = Some(payload("merged"));
    world.accepted(Request::Resolve { ttid, oid: oid(4), data });
    let stored = world.reply(1, "AskStoreObject", Message::AnswerStoreObject { conflict: None });
    let Message::AskStoreObject { serial, data_serial, data, .. } = stored else { panic!() };
    assert_eq!((serial, data_serial), (tid(30), None));
    assert_eq!(data, payload("merged").data);
    world.assert_done(token, Ok(Answer::Undone(vec![oid(4)])));

    // On top of that, an undo finds the transaction's own data in its way.
    undo(&mut world, ttid);
    world.reply(1, "AskObjectUndoSerial", serials(1002, Some(10), false));
    world.reply(2, "AskObjectUndoSerial", NOTHING);
    let Completion::Conflict(conflict) = world.completion() else { panic!() };
    assert_eq!(conflict.conflict_data, Some(payload("merged")));
}

#[test]
fn what_cannot_be_undone_is_told() {
    let undo_error = |oid, reason| Err(Error::Undo { tid: tid(20), oid, reason });
    let mut world = World::readable(&[&[1], &[2]]);
    let ttid = world.begin(1002);
    let token = world.submit(Request::Undo { ttid, tid: tid(20) });
    world.refuse(1, "AskTransactionInformation", ErrorCode::TidNotFound);
    world.assert_done(token, undo_error(None, UndoFailure::NoSuchTransaction));

    world.take(MASTER, "AbortTransaction");
    let ttid = world.begin(1003);
    let token = undo(&mut world, ttid);
    world.refuse(1, "AskObjectUndoSerial", ErrorCode::OidNotFound);
    world.assert_done(token, undo_error(None, UndoFailure::Packed));

    let mut world = World::readable(&[&[1], &[2]]);
    let ttid = world.begin(1004);
    let token = undo(&mut world, ttid);
    world.reply(1, "AskObjectUndoSerial", serials(20, Some(10), true));
    world.reply(2, "AskObjectUndoSerial", NOTHING);
    world.reply(1, "AskObject", object(oid(4), tid(10), "ten"));
    world.refuse(1, "AskStoreObject", ErrorCode::UndoPackError);
    world.assert_done(token, undo_error(Some(oid(4)), UndoFailure::Packed));

    let mut world = World::readable(&[&[1], &[2]]);
    let ttid = world.begin(1004);
    let token = undo(&mut world, ttid);
    world.reply(1, "AskObjectUndoSerial", serials(30, None, false));
    world.reply(2, "AskObjectUndoSerial", NOTHING);
    world.assert_done(token, undo_error(Some(oid(4)), UndoFailure::Changed));
}

/// A master that lost its log does not know of transactions that nobody voted for.
#[test]
fn r25_what_was_read_for_a_lost_transaction_is_not_of_the_next_with_its_ttid() {
    let mut world = World::readable(&[&[1]]);
    let ttid = world.begin(1002);
    let token = world.submit(Request::Undo { ttid, tid: tid(20) });
    world.take(1, "AskTransactionInformation");
    world.cut(MASTER, true);
    assert_eq!(world.completion(), Completion::Disconnected);
    world.assert_done(token, Err(Error::MasterLost { ttid }));
    let token = world.submit(Request::Abort { ttid });
    world.assert_done(token, Ok(Answer::Aborted));
    world.advance(Duration::from_secs(1));
    world.join(&[&[(1, CellState::UpToDate)]], tid(1000));
    assert_eq!(world.completion(), Completion::Connected { last_tid: tid(1000) });

    assert_eq!(world.begin(1002), ttid);
    let token = world.submit(Request::Undo { ttid, tid: tid(22) });
    // It is asked again for the one that is lost.
    let asked = world.reply(1, "AskTransactionInformation", information(20, &[4]));
    assert_eq!(asked, Message::AskTransactionInformation { tid: tid(20) });
    let asked = world.reply(1, "AskTransactionInformation", information(22, &[5]));
    assert_eq!(asked, Message::AskTransactionInformation { tid: tid(22) });
    let asked = world.reply(1, "AskObjectUndoSerial", NOTHING);
    let (limit, undone, oids) = (tid(1001), tid(22), vec![oid(5)]);
    assert_eq!(asked, Message::AskObjectUndoSerial { ttid, limit, undone, oids: oids.into() });
    world.assert_done(token, Ok(Answer::Undone(Vec::new())));
    world.assert_idle(1);
}
